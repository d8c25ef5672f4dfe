"""Convert a packed model to a plain float32 model, for runtimes that have their own quantisers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xtc_study.compress.quantization.input_norm import EPSILON
from xtc_study.compress.quantization.lowbit import replace
from xtc_study.compress.quantization.quantizers import Quantized, dequantize
from xtc_study.packed.layers import PackedEmbedding, PackedLinear, unpacked_rows
from xtc_study.packed.loading import load


class NormalizedLinear(nn.Linear):
    """A linear that divides each token of its input by the token's root mean square."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out)."""
        rms = (x.square().mean(-1, keepdim=True) + EPSILON).sqrt()
        return F.linear(x / rms, self.weight, self.bias)


@torch.no_grad()
def dequantized(folder: Path) -> Any:
    """Return the folder's model with every weight as a float, and inputs in full precision.

    Raises:
        CheckpointError: ``folder`` is not a packed folder, or is damaged.
    """
    # Replace packed linears and tables by plain ones with the same values.
    model = load(folder, "torch")
    for name, module in list(model.named_modules()):
        if isinstance(module, PackedLinear):
            rows, columns = module.format.shape
            weight = module.weight
            if module.integers is not None and module.weight_scale is not None:
                weight = dequantize(Quantized(module.integers.float(), module.weight_scale))
            assert weight is not None
            kind = NormalizedLinear if module.format.input_norm else nn.Linear
            linear = kind(columns, rows, bias=module.bias is not None, device="meta")
            linear.weight = nn.Parameter(weight, requires_grad=False)
            if module.bias is not None:
                linear.bias = nn.Parameter(module.bias, requires_grad=False)
            replace(model, name, linear)
        elif isinstance(module, PackedEmbedding):
            integers = unpacked_rows(module.weight, module.format).float()
            table = nn.Embedding(*module.format.shape, device="meta")
            table.weight = nn.Parameter(dequantize(Quantized(integers, module.weight_scale)), requires_grad=False)
            replace(model, name, table)

    # Remove the fields of the packed format from the config.
    for attribute in ("quantization_config", "xtc_checksums"):
        if hasattr(model.config, attribute):
            delattr(model.config, attribute)
    model.__dict__.pop("hf_quantizer", None)
    return model.eval()
