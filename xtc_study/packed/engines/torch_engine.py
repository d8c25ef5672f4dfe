"""The engine that works everywhere: int8 weights in memory, products by ``_int_mm`` or, without it, exact float32."""

from __future__ import annotations

import torch
from torch import Tensor

from xtc_study.compress.quantization.activations import quantize_activation
from xtc_study.compress.quantization.input_norm import normalized_input, normalized_integers
from xtc_study.compress.quantization.integer_first import integer_first_linear
from xtc_study.compress.quantization.quantizers import Quantized
from xtc_study.packed.engines.int8 import has_exact_int8, int8_matmul
from xtc_study.packed.layers import PackedLinear


class TorchEngine:
    """For every layer, on CPU, CUDA and any other device that torch supports."""

    name = "torch"

    def prepare(self, layer: PackedLinear) -> None:
        assert layer.weight is not None
        if layer.format.weight is not None:
            layer.integers = layer.format.unpack(layer.weight).to(layer.weight.device)
            layer.weight = None

    def linear(self, layer: PackedLinear, x: Tensor) -> Tensor:
        module_format, x = layer.format, x.float()
        if module_format.activation is None:
            if module_format.input_norm:
                x = x * normalized_input(x).factor
            return integer_first_linear(x, None, self._weight(layer), layer.bias, None)

        limit = layer.input_range.limit if layer.input_range is not None else None
        q, token_scale = quantize_activation(x, module_format.activation, limit)
        assert token_scale is not None  # quantize_activation always returns one
        if module_format.input_norm:
            token_scale = token_scale * normalized_integers(q, token_scale, module_format.activation.largest).factor

        # One scale per output: an exact int8 product, if the device has one.
        scale = layer.weight_scale
        one_scale = layer.integers is not None and scale is not None and scale.shape[1] == 1
        if one_scale and has_exact_int8(x.device.type):
            assert layer.integers is not None and scale is not None
            total = int8_matmul(q.to(torch.int8).reshape(-1, q.shape[-1]), layer.integers)
            y = total.reshape(*q.shape[:-1], len(layer.integers)) * (scale.reshape(-1) * token_scale)
            return y if layer.bias is None else y + layer.bias

        # Otherwise slices in float32, which are exact too.
        product = (
            None if module_format.weight is None else module_format.weight.largest * module_format.activation.largest
        )
        return integer_first_linear(q, token_scale, self._weight(layer), layer.bias, product)

    def _weight(self, layer: PackedLinear) -> Quantized:
        if layer.integers is not None and layer.weight_scale is not None:
            return Quantized(layer.integers.float(), layer.weight_scale)
        assert layer.weight is not None
        return Quantized(layer.weight, layer.weight.new_ones(1, 1))
