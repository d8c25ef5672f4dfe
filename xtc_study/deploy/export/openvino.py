"""A packed folder as OpenVINO IR: binary and ternary weights as u2, the word table as u8, everything else float32.

OpenVINO can quantise inputs while it runs, symmetric, in groups of ``group`` neighbours, one size for the whole model:
with the hidden size every linear but one gets one scale a token, as in training; the second linear of the
feed-forward block gets several. By default it does so in groups of 32, and in bf16 where the processor has that. The
two together fail on u2 weights (OpenVINO 2026.4.1: an exception, or logits of no rows), so the file itself asks for
inputs as they are (``RUNTIME_OPTIONS``), which this runtime heeds and which the caller's own options overrule. Its
logits are near ours and not equal; ``to_openvino`` returns how near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xtc_study.deploy.export.dequantize import dequantized
from xtc_study.deploy.export.onnx import Logits
from xtc_study.deploy.export.parity import Agreement, agreement
from xtc_study.deploy.sample_inputs import Batch, input_names, made_up, only, sample_inputs
from xtc_study.packed.layers import PackedEmbedding, PackedLinear, unpacked_rows
from xtc_study.packed.loading import load
from xtc_study.packed.quiet import quiet_export

LOW_BIT = 2
"""Wider weights are stored in u8."""
RUNTIME_OPTIONS = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""Written into the file, so that it is right with default options."""


def to_openvino(folder: Path, path: Path, names: Sequence[str] = (), batches: Sequence[Batch] = ()) -> Agreement:
    """Writes ``path`` (.xml, and .bin beside it), and compares its logits, with default options, with ours.

    Args:
        folder: packed.
        path: of the file to write.
        names: its inputs; none: those that the model takes.
        batches: rows to compare on; none: random ones.

    Raises:
        ValueError: openvino is not installed.
        CheckpointError: ``folder`` is no sound packed folder.
    """
    ov = _openvino()
    plain = dequantized(folder)
    names = names or input_names(plain)
    model = converted(plain, names)
    packed = load(folder, "torch")

    # Low-bit weights take the places of the float constants; OpenVINO keeps them small.
    constants = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "Constant"}
    kept: list[Any] = []
    for name, module in packed.named_modules():
        if isinstance(module, PackedLinear) and module.integers is not None:
            assert module.weight_scale is not None and module.format.weight is not None
            _replace(
                constants, name, module.integers.numpy(), module.weight_scale.numpy(), module.format.weight.bits, kept
            )
        elif isinstance(module, PackedEmbedding):
            integers = unpacked_rows(module.weight, module.format).numpy()
            _replace(constants, name, integers, module.weight_scale.numpy(), 8, kept)
    for option, value in RUNTIME_OPTIONS.items():
        model.set_rt_info(value, ["runtime_options", option])

    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)

    running = ov.Core().compile_model(str(path), "CPU")
    rows = batches or made_up(packed, names)
    return agreement(packed, lambda inputs: run_openvino(running, inputs), rows, not batches)


def converted(model: Any, names: Sequence[str] = ()) -> Any:
    """Any float32 classifier as an OpenVINO model, batch and length left open; ``names`` as for ``to_openvino``."""
    ov = _openvino()
    inputs = only(sample_inputs(model.config, 2, 8, padded=True), names or input_names(model))
    with torch.no_grad(), quiet_export():
        result = ov.convert_model(Logits(model), example_input=tuple(inputs.values()))
    for port, name in zip(result.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(ov.PartialShape([-1, -1]))
    result.validate_nodes_and_infer_types()
    return result


def compiled(path: Path, threads: int = 0, group: int = 0) -> Any:
    """The model on the CPU in float32 (OpenVINO's default may be bf16); ``group`` 0 leaves inputs as they are."""
    ov = _openvino()
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group),
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    return ov.Core().compile_model(str(path), "CPU", options)


def run_openvino(model: Any, inputs: Mapping[str, torch.Tensor]) -> np.ndarray[Any, Any]:
    """Logits of a compiled model, from those of the inputs that it takes."""
    taken = only(dict(inputs), [port.get_any_name() for port in model.inputs])
    return np.asarray(model({name: tensor.numpy() for name, tensor in taken.items()})[0])


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ValueError(f"OpenVINO export needs {error.name}; from the source: pip install -e '.[export]'") from None
    return openvino


def _replace(constants: dict[str, Any], module: str, integers: Any, scale: Any, bits: int, kept: list[Any]) -> None:
    """A float weight becomes (codes - zero point) * scale, which OpenVINO runs without making it float."""
    from openvino import opset13 as op

    matches = [node for name, node in constants.items() if name.endswith(f"{module}.weight")]
    if len(matches) != 1:
        raise ValueError(f"module {module}: {len(matches)} constants of that name in the OpenVINO model")
    zero = 1 if bits <= LOW_BIT else 128
    codes = op.convert(_codes(integers.astype(np.int16) + zero, bits, kept), "f32")
    point = op.convert(op.constant(np.array(zero, np.uint8)), "f32")

    rows, columns = integers.shape
    if scale.shape[1] == 1:
        weight = op.multiply(op.subtract(codes, point), op.constant(scale.astype(np.float32)))
    else:
        groups = op.constant(np.array([rows, scale.shape[1], -1]))
        spread = op.multiply(
            op.reshape(op.subtract(codes, point), groups, False), op.constant(scale.astype(np.float32)[:, :, None])
        )
        weight = op.reshape(spread, op.constant(np.array([rows, columns])), False)

    for target in list(matches[0].output(0).get_target_inputs()):
        target.replace_source_output(weight.output(0))


def _codes(values: Any, bits: int, kept: list[Any]) -> Any:
    """u2, four to a byte and little-endian, or u8."""
    import openvino as ov

    codes = np.ascontiguousarray(values.astype(np.uint8))
    if bits > LOW_BIT or codes.size % 4:
        return ov.opset13.constant(codes)
    four = (codes.reshape(-1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(-1).astype(np.uint8)
    constant = ov.op.Constant(ov.Tensor(four, ov.Shape(codes.shape), ov.Type.u2))
    kept.append(four)  # OpenVINO shares its memory
    return constant
