"""Bytes, memory and milliseconds of a packed folder, beside its float32 teacher and other runtimes' files.

Each runtime runs in a process of its own and in turn, several passes in all, so that a busy moment of the machine does
not fall on one of them alone; of the passes the lowest median counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from xtc_study.errors import first_line
from xtc_study.model_folder import CONFIG
from xtc_study.packed.checksums import CHECKSUMS, read_config
from xtc_study.packed.quiet import quiet_loading

Shape = tuple[int, int]
SHAPES: tuple[Shape, ...] = ((1, 16), (1, 128), (32, 128))


@dataclass(frozen=True)
class Contender:
    """A file and the runtime that it is measured in."""

    name: str
    runtime: str
    """One of ``worker.RUNTIMES``."""
    path: Path
    """The file, or a folder."""
    config: Path
    """A folder with its config.json."""
    group: int = 0
    """Inputs that OpenVINO quantises together; 0: none."""
    more_files: tuple[Path, ...] = field(default=())
    """Counted into its bytes."""

    @property
    def bytes(self) -> int:
        files = list(self.path.glob("*.safetensors")) if self.path.is_dir() else [self.path, *self.more_files]
        return sum(file.stat().st_size for file in files)


class BenchError(ValueError):
    """Nothing to measure, or a runtime that did not come to an end: the message then holds its last lines."""


@quiet_loading()
def contenders(folder: Path, teacher: Path | None, workdir: Path) -> tuple[list[Contender], dict[str, float]]:
    """The packed folder by every engine, its exports, and the float32 teacher by every runtime installed.

    Args:
        folder: packed.
        teacher: a float32 folder; None makes one of the packed folder's own shape, which is as fast as any.
        workdir: a folder for the exported files.

    Returns:
        The contenders, and the largest difference of each export's logits to the packed model's.

    Raises:
        BenchError: ``teacher`` is no float32 folder.
        CheckpointError: ``folder`` is no sound packed folder, or the teacher's configuration cannot be read.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from xtc_study.deploy.export.dequantize import dequantized
    from xtc_study.deploy.export.onnx import to_onnx, write_onnx
    from xtc_study.deploy.export.openvino import converted, to_openvino
    from xtc_study.packed.engines.native_build import is_built

    # The float32 side: the given teacher, or one of the packed folder's shape.
    if teacher is None:
        teacher = workdir / "fp32"
        dequantized(folder).save_pretrained(teacher)
    if not (teacher / CONFIG).is_file():
        raise BenchError(f"teacher {teacher}: no {CONFIG} in it; expected a float32 folder of transformers")
    if CHECKSUMS in read_config(teacher):
        raise BenchError(
            f"teacher {teacher}: a packed folder; expected a float32 folder, as transformers saves it. Without a "
            "teacher one of the packed folder's own shape is measured"
        )
    try:
        model = AutoModelForSequenceClassification.from_pretrained(teacher, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise BenchError(
            f"teacher {teacher}: does not load ({first_line(error)}); expected a float32 folder"
        ) from None

    # The runtimes that are installed here.
    runtimes = [
        Contender("fp32, PyTorch", "pytorch", teacher, teacher),
        Contender("packed, torch engine", "xtc-torch", folder, folder),
    ]
    if find_spec("numba"):
        runtimes.append(Contender("packed, numba engine", "xtc-numba", folder, folder))
    if is_built():
        runtimes.append(Contender("packed, native engine", "xtc-native", folder, folder))

    differences = {}
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        write_onnx(model, workdir / "fp32.onnx", int8=False)
        differences["int8, ONNX Runtime"] = to_onnx(folder, workdir / "int8.onnx").difference
        runtimes += [
            Contender("fp32, ONNX Runtime", "onnxruntime", workdir / "fp32.onnx", teacher),
            Contender("int8, ONNX Runtime", "onnxruntime", workdir / "int8.onnx", folder),
        ]

    if find_spec("openvino"):
        import openvino

        openvino.save_model(converted(model), str(workdir / "fp32.xml"), compress_to_fp16=False)
        differences["u2, OpenVINO"] = to_openvino(folder, workdir / "u2.xml").difference
        group = AutoConfig.from_pretrained(folder, local_files_only=True).hidden_size  # DistilBERT calls it dim
        runtimes += [
            Contender("fp32, OpenVINO", "openvino", workdir / "fp32.xml", teacher, 0, (workdir / "fp32.bin",)),
            Contender("u2, OpenVINO", "openvino", workdir / "u2.xml", folder, group, (workdir / "u2.bin",)),
        ]
    return runtimes, differences


def bench(
    runtimes: Sequence[Contender],
    shapes: Iterable[Shape] = SHAPES,
    threads: Iterable[int] = (1, 2),
    seconds: float = 1.0,
    passes: int = 2,
    progress: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """One row a contender, number of threads and shape: bytes, loaded_mb, peak_mb (over imports), ms, worst_ms.

    ``ms`` is the lowest of the passes' medians, ``worst_ms`` the highest.

    Args:
        runtimes: what to measure.
        shapes: sentences and tokens of each batch.
        threads: each number of them is measured.
        seconds: of each measurement, at least.
        passes: over all runtimes.
        progress: takes a line of text for each measurement.

    Raises:
        BenchError: no runtime, shape, number of threads or pass; a runtime failed.
    """
    shapes, threads = list(shapes), list(threads)
    if not runtimes or not shapes or not threads or passes < 1:
        raise BenchError(
            f"nothing to measure: {len(runtimes)} runtimes, shapes {shapes}, threads {threads}, {passes} passes; "
            "expected at least one of each (a shape longer than the model reads does not count)"
        )

    # Each runtime in turn, so that a busy moment does not fall on one of them alone.
    rows, measured, turns = [], 0, len(threads) * passes * len(runtimes)
    for count in threads:
        for turn in range(passes):
            for one in runtimes:
                measured += 1
                what = f"{one.name}, {count} thread{'s' if count > 1 else ''}, pass {turn + 1}"
                progress(f"{measured} of {turns}: {what}")
                result = _measured(one, shapes, count, seconds)
                for shape, times in result["times"].items():
                    rows.append(
                        {"name": one.name, "threads": count, "batch": shape, "bytes": one.bytes}
                        | {key: result[key] for key in ("loaded_mb", "peak_mb")}
                        | {"ms": times["ms"], "worst_ms": times["ms"], "least_ms": times["least_ms"]}
                    )

    frame = pd.DataFrame(rows)
    keys = ["name", "threads", "batch"]
    of_passes = frame.groupby(keys, sort=False)
    return of_passes.min().assign(worst_ms=of_passes["worst_ms"].max()).reset_index()


def _measured(one: Contender, shapes: list[Shape], threads: int, seconds: float) -> dict[str, Any]:
    job = {
        "runtime": one.runtime,
        "path": str(one.path),
        "config": str(one.config),
        "group": one.group,
        "threads": threads,
        "shapes": shapes,
        "seconds": seconds,
    }
    variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "xtc_study.deploy.bench.worker", json.dumps(job)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{one.name}: " + "\n".join(done.stderr.splitlines()[-5:]))
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
