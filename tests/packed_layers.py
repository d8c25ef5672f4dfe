"""Low-bit layers and their packed twins, folders' weight files: what tests of the packed file share."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.input_norm import InputNorm
from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.packed.engines import make_engine
from xtc_study.packed.layers import PackedLinear
from xtc_study.packed.module_format import ModuleFormat

STATIC = {"activation_scale": "tensor", "activation_range": "static"}


def low_bit(
    rows: int,
    columns: int,
    weight: WeightFormat | None,
    activation: ActivationFormat | None,
    input_norm: InputNorm | None = None,
) -> LowBitLinear:
    """A training layer with random weights; a learned scale is none that its rule would give."""
    linear = nn.Linear(columns, rows)
    with torch.no_grad():
        linear.weight.normal_()
        linear.bias.normal_()
        layer = LowBitLinear(linear, weight, activation, input_norm)
        if layer.weight_scale is not None:
            layer.weight_scale.mul_(0.9)
        if layer.input_range is not None:
            layer.input_range.limit.fill_(2.5)
    return layer.eval()


def packed(layer: LowBitLinear, engine: str) -> PackedLinear:
    """The inference layer that a packed file of it gives."""
    module_format = ModuleFormat.of(layer)
    assert module_format is not None
    twin = PackedLinear(module_format, bias=True)
    integers, scale = layer.quantized_weight()
    if module_format.weight is None:
        twin.weight = integers
    else:
        twin.weight, twin.weight_scale = module_format.pack(integers), scale
    twin.bias = layer.bias.detach().clone()
    if layer.input_range is not None:
        twin.input_range = layer.input_range
    twin.engine = make_engine(engine)
    twin.engine.prepare(twin)
    return twin


def weights_of(folder: Path) -> Path:
    """The one weight file of a folder."""
    (path,) = folder.glob("*.safetensors")
    return path
