"""Write what the tests in this folder compare with. Run it in a checkout of 0e5d90d, then in one of 3fbc00f:

    PYTHONPATH=<checkout of 0e5d90d> python tests/compat/make_fixtures.py OUT
    PYTHONPATH=<checkout of 3fbc00f> python tests/compat/make_fixtures.py OUT --second

Between the two commits, generated tasks got their own version, the rule for intervals changed, and names were added.
The second pass therefore replaces the run ids of generated tasks, and adds intervals and names. No test needs this
script.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from make_names import add_names, make_names
from make_packed import make_packed
from make_recipes import GENERATED_BY, MADE_BY, make_recipes, remake_generated_ids
from make_results import add_intervals, make_results


def main(out: Path, second: bool) -> None:
    import xtc_study

    package = Path(xtc_study.__file__).parent
    git = ["git", "-C", str(package), "rev-parse", "--short=7", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    wanted = GENERATED_BY if second else MADE_BY
    if commit != wanted:
        raise SystemExit(f"{package} is a checkout of {commit}; expected {wanted}: put it first in PYTHONPATH")
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if second:
        remake_generated_ids(out)
        add_intervals(out)
        add_names(package, out)
        shutil.rmtree(out / "work")
        return
    if out.exists():
        raise SystemExit(f"{out}: already exists; name a new folder")
    out.mkdir(parents=True)
    make_recipes(package, out)
    make_results(out)
    make_packed(out)
    make_names(package, out)
    shutil.rmtree(out / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), "--second" in sys.argv)
