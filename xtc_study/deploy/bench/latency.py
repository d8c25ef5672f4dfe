"""Milliseconds of done runs' files, kept beside their scores. Files of one shape are equally fast and measured once.

A shape is what decides the time of a batch: architecture, depth, widths, and how each module is packed. What the
weights are, the task they were trained for, and the length at which its texts are cut, does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xtc_study.deploy.bench.benchmark import Contender, Shape, bench
from xtc_study.deploy.bench.busy import cores_in_use, refuse_if_busy
from xtc_study.hardware import cpu_name
from xtc_study.packed.checksums import CHECKSUMS, read_config
from xtc_study.packed.engines import make_engine
from xtc_study.packed.text_length import FIELD
from xtc_study.runs.store import LATENCY, write_json

NOT_SHAPE = (
    *(CHECKSUMS, "transformers_version", "_name_or_path", "id2label", "label2id", "problem_type"),
    *("xtc_task", "xtc_texts", "xtc_label_mean", "xtc_label_deviation", FIELD),
)


@dataclass(frozen=True)
class Setting:
    """What a time was measured with. Only times of one setting can be compared."""

    batch: str
    """Sentences x word pieces: ``1x128``."""
    threads: int
    engine: str
    """That of packed files; files without packed weights run in PyTorch itself."""
    processor: str


def shape_of(config: Mapping[str, Any]) -> str:
    """What two configurations share if their files take the same time, as text."""
    return json.dumps({key: value for key, value in config.items() if key not in NOT_SHAPE}, sort_keys=True)


def measure_runs(
    runs: Sequence[Path],
    batch: Shape = (1, 128),
    threads: int = 1,
    seconds: float = 1.0,
    passes: int = 2,
    again: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    force: bool = False,
) -> list[tuple[Path, float]]:
    """Writes latency.json into each run folder, and returns one run and its milliseconds for each shape measured.

    Each file is answered by the engine that ``load`` chooses here, in a process of its own. What was measured in the
    same setting before, of this run or of another with the same shape, is not measured again.

    Args:
        runs: folders of done runs. batch: cut to what a model can read.
        seconds, passes: as for ``bench``. again: measure everything once more.
        force: write times of a busy machine too.

    Raises:
        BusyError: the machine is busy; nothing is written.
        CheckpointError: a run without its model. BenchError: a file that does not load.
    """
    engine, processor = make_engine("auto").name, cpu_name()
    groups: dict[tuple[str, Setting], list[Path]] = {}
    for run in runs:
        config = read_config(run / "model")
        length = min(batch[1], config.get("max_position_embeddings", batch[1]))
        setting = Setting(f"{batch[0]}x{length}", threads, engine, processor)
        groups.setdefault((shape_of(config), setting), []).append(run)
    known = {} if again else {key: _known(folders, key[1]) for key, folders in groups.items()}
    measured = []
    for setting in dict.fromkeys(setting for _, setting in groups):
        first = {key: folders[0] for key, folders in groups.items() if key[1] == setting and known.get(key) is None}
        found = [Contender(run.name, "xtc-auto", run / "model", run / "model") for run in first.values()]
        if not found:
            continue
        words, length = setting.batch.split("x")
        in_use = cores_in_use()
        frame = bench(found, [(int(words), int(length))], [threads], seconds, passes, progress)
        if not force:
            refuse_if_busy(frame, in_use)
        times = dict(zip(frame["name"], frame["ms"], strict=True))
        known |= {key: float(times[run.name]) for key, run in first.items()}
        measured += [(run, float(times[run.name])) for run in first.values()]
    for key, folders in groups.items():
        for run in folders:
            write_json(run / LATENCY, {"ms": known[key], **asdict(key[1])})
    return measured


def _known(runs: Sequence[Path], setting: Setting) -> float | None:
    """The time that one of these runs has in this setting."""
    for run in runs:
        try:
            content = json.loads((run / LATENCY).read_text(encoding="utf-8"))
            if {key: content.get(key) for key in asdict(setting)} == asdict(setting):
                return float(content["ms"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
