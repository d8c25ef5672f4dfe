"""Measure the milliseconds of done runs' files and store them beside the scores, once per shape.

A shape is everything that determines the time of a batch: architecture, depth, widths, and how each module is packed.
The values of the weights, the task and the length to which its texts are cut do not matter.
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
    *("xtc_task", "xtc_texts", "xtc_label_mean", "xtc_label_deviation", "xtc_regularisation", FIELD),
)


@dataclass(frozen=True)
class Setting:
    """How a time was measured. Only times of one setting can be compared."""

    batch: str
    """Sentences x tokens: ``1x128``."""
    threads: int
    engine: str
    """The engine of packed files; files without packed weights run in PyTorch."""
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
    """A run that was measured on behalf of all runs of its shape."""

    run: Path
    ms: float


def shape_of(config: Mapping[str, Any]) -> str:
    """Return the part of a configuration that determines a file's time, as text."""
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
    """Write latency.json into each run folder, and return the run that was measured for each shape.

    Each file runs in its own process, in the engine that ``load`` chooses on this machine. A shape that was measured
    in the same setting before is not measured again.

    Args:
        runs: folders of done runs.
        batch: sentences and tokens per batch; cut to what a model can read.
        threads: number of threads of the engine.
        seconds: as for ``bench``.
        passes: as for ``bench``.
        again: measure all shapes, also those measured before.
        progress: called with a line of text for each measurement.
        force: also write the times of a busy machine.

    Raises:
        BusyError: the machine is busy; nothing is written.
        CheckpointError: a run has no model.
        BenchError: a file does not load.
    """
    groups = _groups(runs, batch, threads)
    if not again:
        for group in groups:
            group.ms = _known(group.runs, group.setting)

    # One benchmark per setting, so that its passes measure the files in turn.
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

    # Write only after everything is measured, so that a busy machine leaves every file unchanged.
    for group in groups:
        for run in group.runs:
            write_json(run / LATENCY, {"ms": group.ms, **asdict(group.setting)})
    return measured


def _groups(runs: Sequence[Path], batch: Shape, threads: int) -> list[_Group]:
    """Return the runs grouped by shape and setting, in the order of each group's first run."""
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
    """Return the time that one of these runs has in this setting; None if none has."""
    for run in runs:
        try:
            content = json.loads((run / LATENCY).read_text(encoding="utf-8"))
            if {key: content.get(key) for key in asdict(setting)} == asdict(setting):
                return float(content["ms"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
