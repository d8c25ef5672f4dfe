"""The format of one packed module, as in ``config.json``: kind, shape, bits, packing, scales and input format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.input_norm import RMS
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.granularity import Granularity
from xtc_study.packed.codec import BASE3, ODD, Codec, codec, levels_of

KINDS: dict[str, type[nn.Module]] = {"linear": nn.Linear, "embedding": nn.Embedding}


@dataclass(frozen=True)
class ModuleFormat:
    """The format of one packed module."""

    kind: str
    """linear or embedding."""
    shape: tuple[int, int]
    """(rows, columns) of the weight."""
    weight: WeightFormat | None = None
    """None if only the input is quantised; the weight is then an unpacked tensor, in one dimension."""
    activation: ActivationFormat | None = None
    """Format of a linear's input; None if it is not quantised."""
    input_norm: bool = False
    """Whether each token of a linear's input is divided by its root mean square."""

    @classmethod
    def of(cls, module: nn.Module) -> ModuleFormat | None:
        """Return the format of a low-bit layer of a trained student, or None for any other module."""
        if isinstance(module, LowBitLinear):
            rows, columns = module.weight.shape
            return cls(
                "linear",
                (rows, columns),
                module.weight_format,
                module.activation_format,
                module.input_norm is not None,
            )
        if isinstance(module, LowBitEmbedding):
            rows, columns = module.weight.shape
            return cls("embedding", (rows, columns), module.weight_format)
        return None

    @classmethod
    def read(cls, fields: Any) -> ModuleFormat:
        """Read and check a format from its JSON.

        Raises:
            ValueError: a field is missing, unknown or invalid.
        """
        if not isinstance(fields, dict):
            raise ValueError(f"is {fields!r}, expected a mapping")
        unknown = set(fields) - {"kind", "shape", "bits", "packing", "granularity", "activation", "input_norm"}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
        kind, shape = fields.get("kind"), fields.get("shape")
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"kind {kind!r}, expected one of {', '.join(KINDS)}")
        if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"shape {shape!r}, expected [rows, columns]")

        weight = _weight_format(fields, shape[1])
        activation = fields.get("activation")
        if activation is not None:
            if not isinstance(activation, dict) or set(activation) != {"bits", "scale", "static"}:
                raise ValueError(f"activation {activation!r}, expected bits, scale and static")
            known = type(activation["bits"]) is int and activation["scale"] in ("token", "tensor")
            if not known or type(activation["static"]) is not bool or kind != "linear":
                raise ValueError(f"activation {activation!r}: not a known format of a linear's input")
            activation = ActivationFormat(activation["bits"], activation["scale"], activation["static"])

        input_norm = "input_norm" in fields
        if input_norm:
            _check_norm(fields, activation)
        return cls(kind, (shape[0], shape[1]), weight, activation, input_norm)

    def json(self) -> dict[str, Any]:
        """Return the fields as ``config.json`` stores them."""
        fields: dict[str, Any] = {"kind": self.kind, "shape": list(self.shape)}
        if self.weight is not None:
            fields |= {"bits": self.weight.bits, "packing": self.packing, "granularity": self.weight.granularity}
        if self.activation is not None:
            fmt = self.activation
            fields["activation"] = {"bits": fmt.bits, "scale": fmt.scale, "static": fmt.static}
        if self.input_norm:
            fields["input_norm"] = RMS
        return fields

    @property
    def packing(self) -> str:
        """The name of the packing."""
        return self._codec.name

    @property
    def row_bytes(self) -> int:
        """Bytes of a packed row."""
        return self._codec.bytes_per_row(self.shape[1])

    @property
    def _codec(self) -> Codec:
        assert self.weight is not None
        return codec(self.weight)

    @property
    def scale_shape(self) -> tuple[int, int]:
        """(1 or rows, groups per row)."""
        assert self.weight is not None
        return Granularity.parse(self.weight.granularity).scale_shape(*self.shape)

    def pack(self, integers: Tensor) -> Tensor:
        """Pack integers (rows, columns) to the uint8 of the file, in one dimension."""
        codes = self._codec.pack(integers.to(torch.int8).cpu().numpy())
        return torch.from_numpy(np.ascontiguousarray(codes)).reshape(-1)

    def unpack(self, codes: Tensor) -> Tensor:
        """Unpack the uint8 of the file to int8 (rows, columns).

        Raises:
            ValueError: codes that encode no weight (a damaged file).
        """
        if codes.dtype != torch.uint8:
            raise ValueError(f"packed weights are {codes.dtype}, expected torch.uint8")
        rows = codes.cpu().numpy().reshape(-1, self.row_bytes)
        return torch.from_numpy(self._codec.unpack(rows, self.shape[1]))


def _check_norm(fields: dict[str, Any], activation: ActivationFormat | None) -> None:
    if fields["input_norm"] != RMS or fields["kind"] != "linear":
        raise ValueError(f"input_norm {fields['input_norm']!r}: expected {RMS!r}, of a linear")
    if activation is not None and activation.scale != "token":
        raise ValueError(f"input_norm {RMS!r} needs activation scale 'token', not {activation.scale!r}")


def _weight_format(fields: dict[str, Any], columns: int) -> WeightFormat | None:
    bits, granularity, packing_name = (fields.get(name) for name in ("bits", "granularity", "packing"))
    if bits is None:
        if granularity is not None or packing_name is not None or fields["kind"] != "linear":
            raise ValueError("bits are missing")
        return None
    if type(bits) is not int:
        raise ValueError(f"bits {bits!r}, expected a whole number")

    # Two bits have two packings, which hold other integers; otherwise bits determine the packing.
    fmt = WeightFormat(bits, str(granularity), levels=levels_of(packing_name))
    Granularity.parse(granularity).scale_shape(1, columns)
    if fields["kind"] == "embedding" and granularity == "tensor":
        raise ValueError(
            "granularity 'tensor', expected 'row' or 'group:N': an embedding's rows are looked up one by one"
        )

    known = [BASE3, ODD] if bits == 2 else [codec(fmt).name]
    if packing_name not in known:
        raise ValueError(f"packing {packing_name!r}, expected {' or '.join(map(repr, known))} for {bits} bits")
    return fmt
