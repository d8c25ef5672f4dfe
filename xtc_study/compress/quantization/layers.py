"""Low-bit layers for training: full-precision latent weights, quantised in every forward pass.

The backward pass is the straight-through estimator: gradients flow as if quantisation were the identity (Bengio et
al. 2013; XTC uses it without clipping). A clip acts only on weights, and a weight whose magnitude equals the clip
still learns. TernaryBERT also clamps inputs to +-2.5, with no gradient at and beyond +-2.5. Where scales are learned,
the gradients of weights and scales are those of ``learned_scale``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xtc_study.compress.quantization.activations import ActivationFormat, StaticRange
from xtc_study.compress.quantization.freeze import Freezable
from xtc_study.compress.quantization.input_norm import InputNorm, Normalized, gradient_before
from xtc_study.compress.quantization.integer_first import integer_first_linear
from xtc_study.compress.quantization.learned_scale import ThroughScale, quantize_by_scale, start_scale
from xtc_study.compress.quantization.quantizers import Quantized, WeightFormat, dequantize, grouped, quantize_weight
from xtc_study.compress.quantization.shared_input import LinearInput, linear_input
from xtc_study.compress.quantization.straight_through import StraightThrough

ROWS = 1024
"""Number of rows of a table that are quantised together when it is frozen."""


class _StraightThroughLinear(torch.autograd.Function):
    """Integer-first forward; backward of ``F.linear(x_hat, w_hat, bias)`` with x_hat and w_hat taken as x and w.

    With a norm, x_hat is the normalised input, and the gradient passes through the norm.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layer: LowBitLinear, inputs: LinearInput
    ) -> Tensor:
        dtype = inputs.value.dtype
        quantized = layer.quantized_weight(dtype)
        ctx.save_for_backward(inputs.value, *quantized, weight, *(inputs.normalized or ()))
        ctx.clip = layer.weight_format.clip if layer.weight_format else None
        ctx.has_bias = bias is not None
        return integer_first_linear(inputs.integers, inputs.scale, quantized, bias, layer.largest_product, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_hat, integers, scale, weight, *normalized = ctx.saved_tensors
        grad = grad.to(x_hat.dtype)

        # Two dimensions: with more, a product would copy the weight for every row of the batch if grad is strided.
        flat = grad.reshape(-1, grad.shape[-1])
        grad_x = None
        if ctx.needs_input_grad[0]:
            if (
                scale.shape[1] == 1
            ):  # one scale per row or tensor: scaling the gradient is cheaper than scaling the weights
                grad_x = (flat * scale.reshape(-1).to(flat.dtype)) @ integers
            else:
                grad_x = flat @ dequantize(Quantized(integers, scale)).to(flat.dtype)
            grad_x = grad_x.reshape(x_hat.shape)
            if normalized:
                grad_x = gradient_before(grad_x, x_hat, Normalized(*normalized))

        grad_weight = (flat.t() @ x_hat.reshape(-1, x_hat.shape[-1])).to(weight.dtype)
        if ctx.clip is not None:
            grad_weight = grad_weight * (weight.abs() <= ctx.clip)
        grad_bias = flat.sum(0, dtype=torch.float32).to(weight.dtype) if ctx.has_bias else None
        return grad_x, grad_weight, grad_bias, None, None


class LowBitLinear(Freezable, nn.Linear):
    """A linear whose weight and input are quantised in the forward pass.

    Parameters keep their names and full precision. Once frozen (``freeze``), the layer uses the frozen integers and
    scale.

    Args:
        linear: provides weight and bias.
        weight_format: None leaves the weight in full precision.
        activation_format: None leaves the input in full precision.
        input_norm: divides each token of the input by its root mean square; None does not.
    """

    def __init__(
        self,
        linear: nn.Linear,
        weight_format: WeightFormat | None,
        activation_format: ActivationFormat | None,
        input_norm: InputNorm | None = None,
    ) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.weight_format, self.activation_format = weight_format, activation_format
        self.input_norm = input_norm
        self.weight_scale = start_scale(self.weight, weight_format)
        self.input_range = StaticRange() if activation_format and activation_format.static else None
        self.ready: Quantized | None = None
        """The quantised weight during a forward pass that quantises all of them together (``weights_together``)."""
        self.thaw_weight()

    @property
    def largest_product(self) -> int | None:
        """The largest |input integer * weight integer|; None if either is not quantised."""
        if self.weight_format is None or self.activation_format is None:
            return None
        return self.weight_format.largest * self.activation_format.largest

    def quantized_weight(self, dtype: torch.dtype = torch.float32) -> Quantized:
        """Return integers (out, in) and scale; the weight itself with scale 1 if it is not quantised."""
        if self.weight_format is None:
            return Quantized(self.weight.detach().to(dtype), self.weight.new_ones(1, 1))
        if self.frozen_integers is not None and self.frozen_scale is not None:
            return Quantized(self.frozen_integers.to(dtype), self.frozen_scale)
        if self.ready is not None and self.ready.integers.dtype == dtype:
            return self.ready
        if (scale := self.learned_scale) is not None:
            return quantize_by_scale(self.weight, scale, self.weight_format, dtype)
        return quantize_weight(self.weight, self.weight_format, dtype)

    def latent_weight(self) -> Tensor:
        """Return the weight, through which the gradient of the quantised weight reaches weight and learned scales."""
        if (scale := self.learned_scale) is None or self.weight_format is None:
            return self.weight
        groups = grouped(self.weight, self.weight_format.granularity)
        shared = scale.reshape(groups.shape[:2])
        through: Tensor = ThroughScale.apply(groups, shared, self.weight_format)  # type: ignore[no-untyped-call]
        return through.reshape(self.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out), in the autocast dtype if autocast is on."""
        inputs = self.quantized_input(x)
        result: Tensor = _StraightThroughLinear.apply(x, self.latent_weight(), self.bias, self, inputs)  # type: ignore[no-untyped-call]
        return result

    def quantized_input(self, x: Tensor) -> LinearInput:
        """Quantise and normalise x (..., in) as the product uses it; in training mode a static range is updated."""
        limit = self.input_range(x) if self.input_range is not None else None
        return linear_input(x, self.activation_format, arithmetic_dtype(x), limit, self.input_norm)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.weight_format}, {self.activation_format}"


class LowBitEmbedding(Freezable, nn.Embedding):
    """An embedding with one scale per row.

    Until it is frozen (``freeze``), only the rows that a batch looks up are quantised, never the whole table.

    Args:
        embedding: provides the weight.
        weight_format: of granularity ``row``.

    Raises:
        ValueError: another granularity.
    """

    def __init__(self, embedding: nn.Embedding, weight_format: WeightFormat) -> None:
        if weight_format.granularity != "row":
            raise ValueError(
                f"granularity={weight_format.granularity!r}: an embedding has one scale per row; use 'row'"
            )
        super().__init__(
            embedding.num_embeddings, embedding.embedding_dim, padding_idx=embedding.padding_idx, device="meta"
        )
        self.weight = embedding.weight
        self.weight_format = weight_format  # None for a time: progressive_bits
        self.weight_scale = start_scale(self.weight, weight_format)
        self.thaw_weight()

    def quantized_weight(self) -> Quantized:
        """Return integers (rows, embedding_dim) and scale (rows, 1) of the whole table, equal to those of lookups.

        The weight itself with scale 1 if it is not quantised.

        On a GPU the order of summation within a row depends on the number of rows if there are few. So rows are looked
        up many at a time, as in a batch, cycling through a table that has fewer.
        """
        if self.weight_format is None:
            return Quantized(self.weight.detach(), self.weight.new_ones(1, 1))
        if self.frozen_integers is not None and self.frozen_scale is not None:
            return Quantized(self.frozen_integers.float(), self.frozen_scale)
        ids = torch.arange(-(-self.num_embeddings // ROWS) * ROWS, device=self.weight.device) % self.num_embeddings
        parts = [self._quantized(F.embedding(part, self.weight), self._scales(part)) for part in ids.split(ROWS)]
        integers, scale = (torch.cat(every)[: self.num_embeddings] for every in zip(*parts, strict=True))
        return Quantized(integers, scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (...) to (..., embedding_dim)."""
        rows, scales = F.embedding(ids, self.weight, self.padding_idx), self._scales(ids)
        if self.weight_format is None:
            return rows
        if scales is not None:
            rows = ThroughScale.apply(rows, scales, self.weight_format)  # type: ignore[no-untyped-call]
        if self.frozen_integers is not None and self.frozen_scale is not None:
            flat = ids.reshape(-1)
            quantized = Quantized(self.frozen_integers[flat].float(), self.frozen_scale[flat])
        else:
            quantized = self._quantized(rows.detach().reshape(-1, rows.shape[-1]), scales)
        rounded = dequantize(quantized).reshape(rows.shape)
        result: Tensor = StraightThrough.apply(rows, rounded)  # type: ignore[no-untyped-call]
        return result

    def _scales(self, ids: Tensor) -> Tensor | None:
        """The learned scales of rows, in the shape of ids; None if scales follow from the rows."""
        if (scale := self.learned_scale) is None:
            return None
        return F.embedding(ids, scale.unsqueeze(-1), self.padding_idx).squeeze(-1)

    def _quantized(self, rows: Tensor, scales: Tensor | None) -> Quantized:
        assert self.weight_format is not None
        if scales is None:
            return quantize_weight(rows, self.weight_format)
        return quantize_by_scale(rows, scales, self.weight_format)

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only these rows of the table; frozen values stay. The caller must set ``padding_idx``."""
        self.weight = nn.Parameter(self.weight.detach()[rows], requires_grad=self.weight.requires_grad)
        if self.weight_scale is not None:
            self.weight_scale = nn.Parameter(self.weight_scale.detach()[rows])
        self.num_embeddings = len(rows)
        if self.frozen_integers is not None and self.frozen_scale is not None:
            self.frozen_integers, self.frozen_scale = self.frozen_integers[rows], self.frozen_scale[rows]


def arithmetic_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which a linear computes: autocast's if it is on, else float32."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
