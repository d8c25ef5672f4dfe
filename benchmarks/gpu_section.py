"""One section of gpu_paths.py, in a process of its own. An error in it is the section's failure.

python benchmarks/gpu_section.py NAME --device cuda --workdir FOLDER --output FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gpu_commands import inference, machine, mps, plan, reload, train_step, workers
from gpu_findings import Findings
from gpu_trainings import graphs, lessons, resume

SECTIONS: dict[str, Callable[[Findings], None]] = {
    function.__name__: function
    for function in (machine, lessons, graphs, resume, reload, workers, mps, inference, plan, train_step)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(SECTIONS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workdir", type=Path, required=True, help="for what the section writes on the way")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    chosen = parser.parse_args()
    SECTIONS[chosen.name](Findings(chosen.device, chosen.workdir, chosen.output))


if __name__ == "__main__":
    main()
