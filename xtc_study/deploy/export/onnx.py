"""Export a packed folder to ONNX: float32, or int8 by ONNX Runtime's dynamic quantisation.

Dynamic quantisation has its own rules: 8-bit weights, and inputs with one scale and zero point per tensor, whereas
packed models have one scale per token. So its logits are close to those of the packed model but not equal;
``to_onnx`` returns how close, measured on the given batches or on random pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xtc_study.deploy.export.dequantize import dequantized
from xtc_study.deploy.export.parity import Agreement, agreement
from xtc_study.deploy.sample_inputs import Batch, input_names, random_batches, sample_inputs, select_inputs
from xtc_study.packed.loading import load
from xtc_study.packed.quiet import quiet_export


def to_onnx(
    folder: Path, path: Path, int8: bool = True, names: Sequence[str] = (), batches: Sequence[Batch] = ()
) -> Agreement:
    """Write the ONNX file, and return how its logits agree with the packed model's.

    Args:
        folder: the packed folder.
        path: the file to write.
        int8: whether to quantise it dynamically.
        names: the file's inputs; empty: those that the model takes.
        batches: rows to compare on; empty: random ones.

    Raises:
        ValueError: onnx, onnxscript or onnxruntime is not installed.
        CheckpointError: ``folder`` is not a packed folder, or is damaged.
    """
    model = dequantized(folder)
    names = names or input_names(model)
    write_onnx(model, path, int8, names)
    running, packed = session(path), load(folder)
    rows = batches or random_batches(packed, names)
    return agreement(packed, lambda inputs: run_onnx(running, inputs), rows, not batches)


def write_onnx(model: Any, path: Path, int8: bool, names: Sequence[str] = ()) -> None:
    """Write any float32 classifier as ONNX, with dynamic batch size and length.

    Args:
        model: the classifier.
        path: the file to write.
        int8: whether to quantise it dynamically.
        names: as for ``to_onnx``.

    Raises:
        ValueError: onnx, onnxscript or onnxruntime is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise ValueError(f"ONNX export needs {error.name}; from the source: pip install -e '.[export]'") from None

    path.parent.mkdir(parents=True, exist_ok=True)
    inputs = select_inputs(sample_inputs(model.config, 2, 8), names or input_names(model))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with tempfile.TemporaryDirectory() as workdir, quiet_export():
        plain = Path(workdir) / "model.onnx" if int8 else path
        torch.onnx.export(
            Logits(model),
            tuple(inputs.values()),
            str(plain),
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=tuple(axes for _ in inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )

        if int8:
            quantize_dynamic(
                plain, path, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm", "Gather"]
            )


def session(path: Path, threads: int = 0) -> Any:
    """Return an ONNX Runtime session on the CPU; ``threads`` 0: as many as ONNX Runtime chooses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_onnx(running: Any, inputs: Mapping[str, torch.Tensor]) -> np.ndarray[Any, Any]:
    """Return a session's logits; inputs that it does not take are ignored."""
    taken = select_inputs(dict(inputs), [port.name for port in running.get_inputs()])
    (logits,) = running.run(None, {name: tensor.numpy() for name, tensor in taken.items()})
    return np.asarray(logits)


class Logits(torch.nn.Module):
    """A module that takes ids, mask and optional token types, and returns only the logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        return logits
