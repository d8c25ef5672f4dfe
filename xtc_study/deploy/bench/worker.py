"""One runtime in a process of its own: how much memory it takes, and how long a batch. Started by ``bench``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xtc_study.hardware import forget_peak, resident
from xtc_study.model_folder import CONFIG

CHUNK_TOKENS = 1024
"""Tokens of each part of a large batch that a PyTorch model gets: fresh 50 MB tensors cost more than they save."""


def main() -> None:
    """Reads a job from the first argument, prints its measurements as JSON in the last line."""
    job = json.loads(sys.argv[1])
    threads = job["threads"]
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(threads)

    # Memory in three steps: the runtime's imports, the loaded model, and its peak at the first batch.
    start = RUNTIMES[job["runtime"]](job)
    imports = resident()
    forget_peak()
    run, config = start()
    loaded = resident()
    first = measure(run, config, (1, 128 if config.max_position_embeddings >= 128 else 16), 0.0)
    peak = resident("VmHWM")

    shapes = [tuple(shape) for shape in job["shapes"]]
    times = {f"{batch}x{length}": measure(run, config, (batch, length), job["seconds"]) for batch, length in shapes}
    memory = {"loaded_mb": (loaded - imports) / 1e6, "peak_mb": (peak - imports) / 1e6, "imports_mb": imports / 1e6}
    print(json.dumps({**memory, "first_ms": first["ms"], "times": times}))


Start = Callable[[], tuple[Callable[[Any], Any], Any]]


def _pytorch(job: dict[str, Any]) -> Start:
    from transformers import AutoModelForSequenceClassification

    _import_architecture(job)
    return lambda: _torch_run(AutoModelForSequenceClassification.from_pretrained(job["path"]))


def _packed(job: dict[str, Any]) -> Start:
    from xtc_study.packed import loading

    _import_architecture(job)
    engine = job["runtime"].removeprefix("xtc-")
    # Imported now: an engine's own libraries are no memory of the model's.
    if engine == "numba":
        from xtc_study.packed.engines import numba_engine  # noqa: F401
    if engine == "native":
        from xtc_study.packed.engines import native_engine  # noqa: F401
    return lambda: _torch_run(loading.load(job["path"], engine))


def _import_architecture(job: dict[str, Any]) -> None:
    """Loading a model imports its family's code and the list of quantizers; that is no memory of the model's."""
    import transformers.quantizers.auto  # noqa: F401
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(AutoConfig.from_pretrained(job["config"]))]


def _torch_run(model: Any) -> tuple[Callable[[Any], Any], Any]:
    import torch

    from xtc_study.deploy.sample_inputs import input_names, only

    model.eval()
    names = input_names(model)

    @torch.inference_mode()
    def run(inputs: dict[str, Any]) -> Any:
        batch, length = inputs["input_ids"].shape
        inputs = only(inputs, names)
        rows = max(CHUNK_TOKENS // length, 1)
        return [
            model(**{name: tensor[start : start + rows] for name, tensor in inputs.items()}).logits
            for start in range(0, batch, rows)
        ]

    return run, model.config


def _onnx(job: dict[str, Any]) -> Start:
    import onnxruntime  # noqa: F401

    from xtc_study.deploy.export.onnx import run_onnx, session

    def start() -> tuple[Callable[[Any], Any], Any]:
        running = session(Path(job["path"]), job["threads"])
        return lambda inputs: run_onnx(running, inputs), _config(job)

    return start


def _openvino(job: dict[str, Any]) -> Start:
    import openvino  # noqa: F401

    from xtc_study.deploy.export.openvino import compiled, run_openvino

    def start() -> tuple[Callable[[Any], Any], Any]:
        model = compiled(Path(job["path"]), job["threads"], job.get("group", 0))
        return lambda inputs: run_openvino(model, inputs), _config(job)

    return start


def _config(job: dict[str, Any]) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(**json.loads((Path(job["config"]) / CONFIG).read_text()))


RUNTIMES = {
    "pytorch": _pytorch,
    "xtc-native": _packed,
    "xtc-numba": _packed,
    "xtc-torch": _packed,
    "xtc-auto": _packed,
    "onnxruntime": _onnx,
    "openvino": _openvino,
}


def measure(run: Callable[[Any], Any], config: Any, shape: tuple[int, int], seconds: float) -> dict[str, float]:
    """Median and least milliseconds of a batch, over at least 3 repetitions and ``seconds``, after one to warm up."""
    from xtc_study.deploy.sample_inputs import sample_inputs

    inputs = sample_inputs(config, *shape)
    times: list[float] = []
    run(inputs)

    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        run(inputs)
        times.append(1000 * (time.perf_counter() - started))

    times.sort()
    return {"ms": times[len(times) // 2], "least_ms": times[0]}


if __name__ == "__main__":
    main()
