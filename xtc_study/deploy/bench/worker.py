"""Measure one runtime in its own process: its memory and the time of a batch. Started by ``bench``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xtc_study.hardware import cpu_name, forget_peak, resident
from xtc_study.model_folder import CONFIG

CHUNK_TOKENS = 1024
"""Maximum tokens that a PyTorch model gets at once; larger batches are split, because new 50 MB tensors are slow."""

CARD_WARM_UP = 5
"""Repetitions on a GPU before the first that counts: libraries choose their kernels, the allocator fills."""
Start = Callable[[], tuple[Callable[[Any], Any], Any]]


def main() -> None:
    """Read a job from the first argument, and print its measurements as JSON in the last line."""
    job = json.loads(sys.argv[1])
    threads = job["threads"]
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(threads)

    start = RUNTIMES[job["runtime"]](job)
    print(json.dumps(_on_card(start, job) if job["device"] == "cuda" else _on_cpu(start, job)))


def _on_cpu(start: Start, job: dict[str, Any]) -> dict[str, Any]:
    # Memory in three steps: the runtime's imports, the loaded model, and its peak at the first batch.
    imports = resident()
    forget_peak()
    run, config = start()
    loaded = resident()
    first = measure(run, config, (1, 128 if config.max_position_embeddings >= 128 else 16), 0.0)
    peak = resident("VmHWM")

    shapes = [tuple(shape) for shape in job["shapes"]]
    times = {f"{batch}x{length}": measure(run, config, (batch, length), job["seconds"]) for batch, length in shapes}
    memory = {"loaded_mb": (loaded - imports) / 1e6, "peak_mb": (peak - imports) / 1e6, "imports_mb": imports / 1e6}
    return {**memory, "device": cpu_name(), "first_ms": first["ms"], "times": times}


def _on_card(start: Start, job: dict[str, Any]) -> dict[str, Any]:
    import torch

    run, config = start()
    loaded = torch.cuda.memory_allocated()
    times = {}
    for batch, length in job["shapes"]:
        torch.cuda.reset_peak_memory_stats()
        found = measure(run, config, (batch, length), job["seconds"], "cuda")
        times[f"{batch}x{length}"] = {**found, "peak_mb": torch.cuda.max_memory_allocated() / 1e6}
    return {"loaded_mb": loaded / 1e6, "device": torch.cuda.get_device_name(), "times": times}


def _pytorch(job: dict[str, Any]) -> Start:
    from transformers import AutoModelForSequenceClassification

    _import_architecture(job)
    return lambda: _torch_run(AutoModelForSequenceClassification.from_pretrained(job["path"]), job["device"])


def _packed(job: dict[str, Any]) -> Start:
    from xtc_study.packed import loading

    _import_architecture(job)
    engine = job["runtime"].removeprefix("xtc-")
    # Imported now, because an engine's libraries do not count towards the model's memory.
    if engine == "numba":
        from xtc_study.packed.engines import numba_engine  # noqa: F401
    if engine == "native":
        from xtc_study.packed.engines import native_engine  # noqa: F401
    return lambda: _torch_run(loading.load(job["path"], engine), job["device"])


def _import_architecture(job: dict[str, Any]) -> None:
    """Import the family's code and the list of quantisers, which do not count towards the model's memory."""
    import transformers.quantizers.auto  # noqa: F401
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(AutoConfig.from_pretrained(job["config"]))]


def _torch_run(model: Any, device: str) -> tuple[Callable[[Any], Any], Any]:
    import torch

    from xtc_study.deploy.sample_inputs import input_names, select_inputs

    model.eval().to(device)
    names = input_names(model)

    @torch.inference_mode()
    def run(inputs: dict[str, Any]) -> Any:
        batch, length = inputs["input_ids"].shape
        inputs = select_inputs(inputs, names)
        if device == "cuda":  # the whole batch at once; a caller waits until the card has finished
            logits = model(**inputs).logits
            torch.cuda.synchronize()
            return [logits]
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


def measure(
    run: Callable[[Any], Any], config: Any, shape: tuple[int, int], seconds: float, device: str = "cpu"
) -> dict[str, float]:
    """Return the median and lowest milliseconds of a batch, after one repetition to warm up, on a GPU several.

    Args:
        run: runs the model on inputs, and returns when the result is there.
        config: the model's configuration.
        shape: sentences and tokens of the batch.
        seconds: minimum time; at least 3 repetitions are measured.
        device: of the inputs; copying them there is not measured.
    """
    from xtc_study.deploy.sample_inputs import sample_inputs

    inputs = {name: tensor.to(device) for name, tensor in sample_inputs(config, *shape).items()}
    times: list[float] = []
    for _ in range(CARD_WARM_UP if device == "cuda" else 1):
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
