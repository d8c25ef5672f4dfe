"""Export a packed folder to OpenVINO IR: weights of 1 and 2 bits as u2, the word table as u8, the rest as float32.

OpenVINO can quantise inputs at run time, symmetrically, in groups of ``group`` neighbours, with one group size for the
whole model. With the hidden size as group size every linear layer but one gets one scale per token, as in training;
the second linear layer of the feed-forward block gets several. By default OpenVINO uses groups of 32, and bf16 if the
processor has it. The two together fail on u2 weights (OpenVINO 2026.4.1: an exception, or logits of no rows), so the
file itself turns input quantisation off (``RUNTIME_OPTIONS``); options of the caller override this. The logits are
close to those of the packed model but not equal; ``to_openvino`` returns how close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.deploy.export.dequantize import dequantized
from xtc_study.deploy.export.onnx import Logits
from xtc_study.deploy.export.parity import Agreement, agreement
from xtc_study.deploy.sample_inputs import Batch, input_names, random_batches, sample_inputs, select_inputs
from xtc_study.packed.layers import PackedEmbedding, PackedLinear, unpacked_rows
from xtc_study.packed.loading import load
from xtc_study.packed.quiet import quiet_export

LOW_BIT = 2
"""Maximum bits of weights stored as u2; wider weights are stored as u8."""
RUNTIME_OPTIONS = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""Stored in the file, so that it works with OpenVINO's default options."""


def to_openvino(folder: Path, path: Path, names: Sequence[str] = (), batches: Sequence[Batch] = ()) -> Agreement:
    """Write ``path`` (.xml, and .bin beside it), and return how its logits agree with the packed model's.

    The comparison uses OpenVINO's default options.

    Args:
        folder: the packed folder.
        path: the file to write.
        names: the file's inputs; empty: those that the model takes.
        batches: rows to compare on; empty: random ones.

    Raises:
        ValueError: openvino is not installed.
        CheckpointError: ``folder`` is not a packed folder, or is damaged.
    """
    ov = _openvino()
    plain = dequantized(folder)
    names = names or input_names(plain)
    model = converted(plain, names)
    packed = load(folder, "torch")

    # Replace the float constants by low-bit weights, which OpenVINO keeps in their small type.
    constants = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "Constant"}
    kept: list[Any] = []
    for name, module in packed.named_modules():
        if isinstance(module, PackedLinear) and module.integers is not None:
            assert module.weight_scale is not None and module.format.weight is not None
            fmt = module.format.weight
            _replace(constants, name, module.integers.numpy(), module.weight_scale.numpy(), fmt, kept)
        elif isinstance(module, PackedEmbedding):
            integers = unpacked_rows(module.weight, module.format).numpy()
            _replace(constants, name, integers, module.weight_scale.numpy(), None, kept)
    for option, value in RUNTIME_OPTIONS.items():
        model.set_rt_info(value, ["runtime_options", option])

    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)

    # Compare the file as a user would run it.
    running = ov.Core().compile_model(str(path), "CPU")
    rows = batches or random_batches(packed, names)
    return agreement(packed, lambda inputs: run_openvino(running, inputs), rows, not batches)


def converted(model: Any, names: Sequence[str] = ()) -> Any:
    """Return any float32 classifier as an OpenVINO model with dynamic batch size and length.

    Args:
        model: the classifier.
        names: as for ``to_openvino``.

    Raises:
        ValueError: openvino is not installed.
    """
    ov = _openvino()
    inputs = select_inputs(sample_inputs(model.config, 2, 8, padded=True), names or input_names(model))
    with torch.no_grad(), quiet_export():
        result = ov.convert_model(Logits(model), example_input=tuple(inputs.values()))
    for port, name in zip(result.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(ov.PartialShape([-1, -1]))
    result.validate_nodes_and_infer_types()
    return result


def compiled(path: Path, threads: int = 0, group: int = 0) -> Any:
    """Return the model compiled for the CPU in float32 (OpenVINO's default may be bf16).

    Args:
        path: the .xml file.
        threads: number of threads; 0: as many as OpenVINO chooses.
        group: neighbouring inputs that are quantised together; 0: inputs are not quantised.
    """
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
    """Return a compiled model's logits; inputs that it does not take are ignored."""
    taken = select_inputs(dict(inputs), [port.get_any_name() for port in model.inputs])
    return np.asarray(model({name: tensor.numpy() for name, tensor in taken.items()})[0])


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ValueError(f"OpenVINO export needs {error.name}; from the source: pip install -e '.[export]'") from None
    return openvino


def _replace(
    constants: dict[str, Any], module: str, integers: Any, scale: Any, fmt: WeightFormat | None, kept: list[Any]
) -> None:
    """Replace a float weight by (codes - zero point) * scale, which OpenVINO computes without storing it as float.

    Args:
        constants: the model's constants, by name.
        module: the packed module's name.
        integers: its weights, int8 (rows, columns).
        scale: float32 (1 or rows, groups).
        fmt: of a linear's weight; None: of a table, which is stored as u8.
        kept: gets the memory that OpenVINO shares.
    """
    from openvino import opset13 as op

    matches = [node for name, node in constants.items() if name.endswith(f"{module}.weight")]
    if len(matches) != 1:
        raise ValueError(f"module {module}: {len(matches)} constants of that name in the OpenVINO model, expected one")
    low_bit, whole = fmt is not None and fmt.bits <= LOW_BIT, integers.astype(np.int16)
    if fmt is not None and fmt.is_odd:  # (code - 1.5) * 2 scale: in codes of one apart, zero lies between two
        codes, scale = op.convert(_codes((whole + 3) // 2, low_bit, kept), "f32"), 2 * scale
        point = op.constant(np.array(1.5, np.float32))
    else:
        zero = 1 if low_bit else 128
        codes = op.convert(_codes(whole + zero, low_bit, kept), "f32")
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


def _codes(values: Any, low_bit: bool, kept: list[Any]) -> Any:
    """Return values as a constant: u2, four per byte in little-endian order, or u8."""
    import openvino as ov

    codes = np.ascontiguousarray(values.astype(np.uint8))
    if not low_bit or codes.size % 4:
        return ov.opset13.constant(codes)
    four = (codes.reshape(-1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(-1).astype(np.uint8)
    constant = ov.op.Constant(ov.Tensor(four, ov.Shape(codes.shape), ov.Type.u2))
    kept.append(four)  # OpenVINO shares its memory
    return constant
