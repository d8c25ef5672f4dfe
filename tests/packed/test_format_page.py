"""docs/format.md is sufficient: a reader written from it, with json and numpy but without xtc_study, reads the same.

torch is its arithmetic, as the page has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load

DTYPES = {"U8": np.uint8, "F16": np.float16, "F32": np.float32}
STATIC = {"activation_scale": "tensor", "activation_range": "static"}
CASES: dict[str, dict[str, Any]] = {
    "binary": {"weight_bits": 1, "granularity": "row"},
    "base 3": {"weight_bits": 2},
    "without a zero": {"weight_bits": 2, "two_bit_levels": "odd", "granularity": "row"},
    "without a zero, groups": {"weight_bits": 2, "two_bit_levels": "odd", "granularity": "group:16"},
    "4 bits, a scale a tensor": {"weight_bits": 4, "activation_bits": 4, "activation_scale": "tensor"},
    "groups": {"weight_bits": 2, "granularity": "group:16"},
    "groups, inputs as they are": {"weight_bits": 1, "granularity": "group:8", "activation_bits": 32},
    "inputs as they are": {"weight_bits": 3, "activation_bits": 32},
    "static": {"weight_bits": 1, **STATIC},
    "attention": {"weight_bits": 1, "quantise_attention": True},
    "normalised": {"weight_bits": 1, "granularity": "row", "input_norm": "rms"},
    "normalised, groups, 4 bits": {
        "weight_bits": 2,
        "granularity": "group:8",
        "activation_bits": 4,
        "input_norm": "rms",
    },
    "normalised, inputs as they are": {"weight_bits": 2, "activation_bits": 32, "input_norm": "rms"},
    "normalised inputs only": {"weight_bits": 32, "activation_bits": 8, "input_norm": "rms"},
    "inputs only": {"weight_bits": 32, "activation_bits": 8},
    "inputs only, static": {"weight_bits": 32, "activation_bits": 8, **STATIC},
    "full precision": {"weight_bits": 32, "activation_bits": 32},
}


class Reader:
    def __init__(self, folder: Path) -> None:
        raw = (folder / "model.safetensors").read_bytes()
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        sums = self.config["xtc_checksums"]
        left_out = ("xtc_checksums", "transformers_version", "_name_or_path")
        covered = {key: value for key, value in self.config.items() if key not in left_out}
        text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
        assert sums["config.json"] == hashlib.sha256(text.encode()).hexdigest()
        assert sums["model.safetensors"] == hashlib.sha256(raw).hexdigest()
        length = int.from_bytes(raw[:8], "little")
        self.header, self.data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
        packing = self.config.get("quantization_config", {"format_version": 2, "modules": {}, "shapes": {}})
        assert packing["format_version"] == 2
        self.modules, self.shapes = packing["modules"], packing["shapes"]

    def stored(self, name: str) -> Any:
        entry = self.header[name]
        first, end = entry["data_offsets"]
        return np.frombuffer(self.data[first:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])

    def rest(self, name: str) -> Tensor:
        stored, shape = self.stored(name), self.shapes.get(name)
        if shape is None:
            return torch.from_numpy(stored.astype(np.float32))
        rows = shape[0] if len(shape) == 2 and shape[1] > 16 else 1
        lowest, step = np.frombuffer(stored[: 8 * rows].tobytes(), np.float32).reshape(2, rows, 1)
        return torch.from_numpy(stored[8 * rows :].reshape(rows, -1).astype(np.float32) * step + lowest).reshape(shape)

    def weight(self, module: str) -> Tensor:
        """Its integers, or the weight itself."""
        entry = self.modules[module]
        (rows, columns), bits = entry["shape"], entry.get("bits")
        if bits is None:
            return self.rest(f"{module}.weight").reshape(rows, columns)
        stored = self.stored(f"{module}.weight").reshape(rows, -1)
        if entry["packing"] == "base3":
            return torch.tensor(
                [[int(row[j // 5]) // 3 ** (j % 5) % 3 - 1.0 for j in range(columns)] for row in stored]
            )
        numbers = [int.from_bytes(row.tobytes(), "little") for row in stored]
        codes = torch.tensor([[number >> j * bits & 2**bits - 1 for j in range(columns)] for number in numbers])
        if entry["packing"] == "b2-odd-le":
            return (2 * codes - 3).float()
        assert entry["packing"] == f"b{bits}-le" and bits != 2
        return (2 * codes - 1 if bits == 1 else codes - (2 ** (bits - 1) - 1)).float()

    def linear(self, module: str, x: Tensor) -> Tensor:
        entry, weight, s = self.modules[module], self.weight(module), None
        if fmt := entry.get("activation"):
            limit = self.rest(f"{module}.input_range.limit") if fmt["static"] else None
            x, s = quantized(x, fmt["bits"], fmt["scale"], limit)
        if entry.get("input_norm") == "rms":
            x, s = normalised(x, s)
        if "bits" not in entry:
            y = (x @ weight.t()) * s
        else:
            a = self.rest(f"{module}.weight_scale")
            if entry["granularity"].startswith("group:"):
                y = torch.zeros(())
                parts = zip(x.chunk(a.shape[1], -1), weight.chunk(a.shape[1], -1), a.unbind(1), strict=True)
                for x_g, weight_g, a_g in parts:
                    y = y + (x_g @ weight_g.t()) * a_g
                y = y if s is None else y * s
            else:
                y = (x @ weight.t()) * (a[:, 0] if s is None else a[:, 0] * s)
        return y + self.rest(f"{module}.bias")

    def attention(self, module: str, x: Tensor, mask: Tensor) -> Tensor:
        bits, (batch, length, width) = self.config["xtc_attention_bits"], x.shape
        heads = self.config["num_attention_heads"]
        parts = [self.linear(f"{module}.{name}", x) for name in ("query", "key", "value")]
        parts = [part.reshape(batch, length, heads, -1).transpose(1, 2) for part in parts]
        q, k, v = (rounded(part, bits) for part in parts)
        chances = rounded(((q @ k.transpose(2, 3)) * (width // heads) ** -0.5 + mask).softmax(-1), bits)
        return (chances @ v).transpose(1, 2).reshape(batch, length, width)


def quantized(x: Tensor, bits: int, scale: str, limit: Tensor | None = None) -> tuple[Tensor, Tensor]:
    largest = 2 ** (bits - 1) - 1
    if limit is None:
        limit = x.abs().amax(-1, keepdim=True) if scale == "token" else x.abs().max()
    s = limit / largest
    return (x / torch.where(s > 0, s, 1.0)).round().clamp(-largest, largest), s


def normalised(x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor | None]:
    width, epsilon = np.float32(x.shape[-1]), np.float32(1e-6)
    if s is None:
        mean = x.square().mean(-1, keepdim=True).numpy()
        return x * torch.from_numpy(1 / np.sqrt(mean + epsilon)), None
    total = (x.long() ** 2).sum(-1, keepdim=True).numpy().astype(np.float32)
    rms = np.sqrt(s.numpy() * s.numpy() * (total / width) + epsilon)
    return x, s * torch.from_numpy(1 / rms)


def rounded(x: Tensor, bits: int) -> Tensor:
    q, s = quantized(x, bits, "token")
    return q * s


@torch.no_grad()
@pytest.mark.parametrize("rest", ["fp32", "fp16", "8bit"])
@pytest.mark.parametrize("case", CASES)
def test_reader_written_from_the_page_reads_the_same(
    student: Callable[..., Any], batch: Callable[..., Any], case: str, rest: str, tmp_path: Path
) -> None:
    model = student("bert", layers=1, **CASES[case])
    model.config.id2label = {0: "schlecht", 1: "gut", 2: "später"}
    save_packed(model, tmp_path, rest=rest)
    model, reader, seen = load(tmp_path, "torch"), Reader(tmp_path), []

    def compare(name: str) -> Callable[..., None]:
        def hook(module: Any, given: Any, named: dict[str, Any], found: Any) -> None:
            x = given[0] if given else named["hidden_states"]
            kind = reader.modules.get(name, {}).get("kind", "attention")
            if kind == "linear":
                expected = reader.linear(name, 1.5 * x)  # beyond a static range
                found = type(module).forward(module, 1.5 * x)
            elif kind == "embedding":
                expected = (reader.weight(name) * reader.rest(f"{name}.weight_scale"))[x]
            else:
                expected, found = (
                    reader.attention(name, x, given[1] if given[1:] else named["attention_mask"]),
                    found[0],
                )
            assert torch.equal(found, expected), name
            seen.append(name)

        return hook

    attention = ["bert.encoder.layer.0.attention.self"] if "xtc_attention_bits" in reader.config else []
    for name in [*reader.modules, *attention]:
        model.get_submodule(name).register_forward_hook(compare(name), with_kwargs=True)
    model(**batch("bert"))
    assert sorted(seen) == sorted([*reader.modules, *attention])
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, reader.rest(name)), name
