"""Milliseconds of done runs' files, kept beside their scores. Files of one shape are equally fast and measured once.

A shape is what decides the time of a batch: architecture, depth, widths, and how each module is packed. What the
weights are, the task they were trained for, and the length at which its texts are cut, does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    """Sentences x tokens: ``1x128``."""
    threads: int
    engine: str
    """Of packed files; files without packed weights run in PyTorch itself."""
    processor: str


@dataclass
class _Group:
    """Runs whose files take the same time."""

    shape: str
    setting: Setting
    runs: list[Path]
    ms: float | None = None
    """None: not measured yet."""


class Measured(NamedTuple):
    """A run that was measured, for all runs of its shape."""

    run: Path
    ms: float


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
) -> list[Measured]:
    """Writes latency.json into each run folder, and returns the run that was measured for each shape.

    Each file runs in the engine that ``load`` chooses here, in a process of its own. A shape that was measured in the
    same setting before is not measured again.

    Args:
        runs: folders of done runs.
        batch: sentences and tokens of each; cut to what a model can read.
        threads: of the engine.
        seconds: as for ``bench``.
        passes: as for ``bench``.
        again: measure everything once more.
        progress: takes a line of text for each measurement.
        force: write times of a busy machine too.

    Raises:
        BusyError: the machine is busy; nothing is written.
        CheckpointError: a run without its model.
        BenchError: a file that does not load.
    """
    groups = _groups(runs, batch, threads)
    if not again:
        for group in groups:
            group.ms = _known(group.runs, group.setting)

    # One benchmark a setting, so that its passes take the files in turn.
    measured: list[Measured] = []
    for setting in dict.fromkeys(group.setting for group in groups):
        unknown = [group for group in groups if group.setting == setting and group.ms is None]
        if not unknown:
            continue
        contenders = [
            Contender(group.runs[0].name, "xtc-auto", group.runs[0] / "model", group.runs[0] / "model")
            for group in unknown
        ]
        sentences, length = setting.batch.split("x")
        in_use = cores_in_use()
        frame = bench(contenders, [(int(sentences), int(length))], [threads], seconds, passes, progress)
        if not force:
            refuse_if_busy(frame, in_use)

        times = dict(zip(frame["name"], frame["ms"], strict=True))
        for group in unknown:
            group.ms = float(times[group.runs[0].name])
            measured.append(Measured(group.runs[0], group.ms))

    # Written when all is measured: a busy machine then leaves every file as it was.
    for group in groups:
        for run in group.runs:
            write_json(run / LATENCY, {"ms": group.ms, **asdict(group.setting)})
    return measured


def _groups(runs: Sequence[Path], batch: Shape, threads: int) -> list[_Group]:
    """The runs by shape and setting, in the order of each group's first run."""
    engine, processor = make_engine("auto").name, cpu_name()
    groups: dict[tuple[str, Setting], _Group] = {}
    for run in runs:
        config = read_config(run / "model")
        shape = shape_of(config)
        length = min(batch[1], config.get("max_position_embeddings", batch[1]))
        setting = Setting(f"{batch[0]}x{length}", threads, engine, processor)
        groups.setdefault((shape, setting), _Group(shape, setting, [])).runs.append(run)
    return list(groups.values())


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
