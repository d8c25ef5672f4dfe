"""Measure bytes, memory and milliseconds of a packed folder, its float32 teacher and other runtimes' files.

Each runtime runs in its own process. All runtimes are measured in turn, in several passes, so that a busy moment of
the machine does not affect only one of them; the lowest median of the passes is reported.
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
    """A file, and the runtime that it is measured in."""

    name: str
    runtime: str
    """One of ``worker.RUNTIMES``."""
    path: Path
    """The file, or a folder."""
    config: Path
    """A folder with its config.json."""
    group: int = 0
    """Neighbouring inputs that OpenVINO quantises together; 0: inputs are not quantised."""
    more_files: tuple[Path, ...] = field(default=())
    """Further files that count towards its bytes."""

    @property
    def bytes(self) -> int:
        files = list(self.path.glob("*.safetensors")) if self.path.is_dir() else [self.path, *self.more_files]
        return sum(file.stat().st_size for file in files)


class BenchError(ValueError):
    """There is nothing to measure, or a runtime failed; the message then has its last lines of output."""


def check_card() -> None:
    """Check that there is a GPU to measure on.

    Raises:
        BenchError: torch finds none.
    """
    import torch

    if not torch.cuda.is_available():
        raise BenchError("--device cuda: torch finds no CUDA GPU here; measure on this CPU with --device cpu")


@quiet_loading()
def contenders(
    folder: Path, teacher: Path | None, workdir: Path, device: str = "cpu"
) -> tuple[list[Contender], dict[str, float]]:
    """Return the packed folder in every engine, its exports, and the float32 teacher in every installed runtime.

    On a GPU: the packed folder in the engine that runs there, and the teacher in PyTorch, in float32 and in bfloat16.

    Args:
        folder: the packed folder.
        teacher: a float32 folder; None creates one of the packed folder's shape, which is as fast as any.
        workdir: a folder for the exported files.
        device: cpu or cuda.

    Returns:
        The contenders, and the largest difference of each export's logits to the packed model's.

    Raises:
        BenchError: ``teacher`` is not a float32 folder.
        CheckpointError: ``folder`` is not a packed folder or is damaged, or the teacher's configuration cannot be
            read.
    """
    import torch
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
        raise BenchError(f"teacher {teacher}: it has no {CONFIG}; expected a float32 folder of transformers")
    if CHECKSUMS in read_config(teacher):
        raise BenchError(
            f"teacher {teacher}: it is a packed folder; expected a float32 folder, as transformers saves it. Without "
            "a teacher, a model of the packed folder's shape is measured"
        )
    try:
        model = AutoModelForSequenceClassification.from_pretrained(teacher, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise BenchError(
            f"teacher {teacher}: it does not load ({first_line(error)}); expected a float32 folder"
        ) from None

    runtimes = [
        Contender("fp32, PyTorch", "pytorch", teacher, teacher),
        Contender("packed, torch engine", "xtc-torch", folder, folder),
    ]
    if device == "cuda":  # transformers computes in the type of a folder's numbers
        half = workdir / "bf16"
        model.to(torch.bfloat16).save_pretrained(half)
        return [runtimes[0], Contender("bf16, PyTorch", "pytorch", half, half), runtimes[1]], {}

    # The other runtimes that are installed.
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
        group = AutoConfig.from_pretrained(folder, local_files_only=True).hidden_size  # "dim" in DistilBERT's file
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
    device: str = "cpu",
) -> pd.DataFrame:
    """Return one row per contender, number of threads and shape.

    Columns: name, device (the name of the CPU or GPU), threads, batch, bytes, loaded_mb and peak_mb (above the memory
    of imports; on a GPU what tensors held, the peak that of the shape), ms and worst_ms (the lowest and the highest
    median of the passes), least_ms (the fastest repetition). On a GPU a time ends when the GPU has finished.

    Args:
        runtimes: the contenders to measure.
        shapes: sentences and tokens of each batch.
        threads: the numbers of threads to measure with.
        seconds: minimum time of each measurement.
        passes: number of passes over all runtimes.
        progress: called with a line of text for each measurement.
        device: cpu or cuda; the contenders must be of the same device.

    Raises:
        BenchError: there is no runtime, shape, number of threads or pass, or a runtime failed.
    """
    shapes, threads = list(shapes), list(threads)
    if not runtimes or not shapes or not threads or passes < 1:
        raise BenchError(
            f"nothing to measure: {len(runtimes)} runtimes, shapes {shapes}, threads {threads}, {passes} passes; "
            "expected at least one of each (shapes longer than the model reads are left out)"
        )

    # Each runtime in turn, so that a busy moment does not affect only one of them.
    rows, measured, turns = [], 0, len(threads) * passes * len(runtimes)
    for count in threads:
        for turn in range(passes):
            for one in runtimes:
                measured += 1
                what = f"{one.name}, {count} thread{'s' if count > 1 else ''}, pass {turn + 1}"
                progress(f"{measured} of {turns}: {what}")
                result = _measured(one, shapes, count, seconds, device)
                for shape, times in result["times"].items():
                    rows.append(
                        {"name": one.name, "device": result["device"], "threads": count, "batch": shape}
                        | {"bytes": one.bytes, "loaded_mb": result["loaded_mb"]}
                        | {"peak_mb": times.get("peak_mb", result.get("peak_mb"))}
                        | {"ms": times["ms"], "worst_ms": times["ms"], "least_ms": times["least_ms"]}
                    )

    # The best of the passes, and the worst median beside it.
    frame = pd.DataFrame(rows)
    keys = ["name", "threads", "batch"]
    by_contender = frame.groupby(keys, sort=False)
    return by_contender.min().assign(worst_ms=by_contender["worst_ms"].max()).reset_index()


def _measured(one: Contender, shapes: list[Shape], threads: int, seconds: float, device: str) -> dict[str, Any]:
    job = {
        "runtime": one.runtime,
        "path": str(one.path),
        "config": str(one.config),
        "group": one.group,
        "device": device,
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
