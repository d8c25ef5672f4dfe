"""The packed checkpoint: a Hugging Face folder whose one safetensors file holds real bits.

``config.json`` says under ``quantization_config`` how each packed module is stored; ``model.safetensors`` holds
``<module>.weight_packed`` (uint8, rows of whole bytes), ``<module>.weight_scale`` (float32) and every other tensor
in float32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xtc_study.compress.activations import ActivationFormat
from xtc_study.compress.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.lowbit import replace
from xtc_study.compress.quantizers import WeightFormat, quantize_weight
from xtc_study.deploy.packed_layers import PackedEmbedding, PackedLinear
from xtc_study.deploy.packing import pack, unpack

METHOD = "xtc"
FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"


class CheckpointError(ValueError):
    """A folder that is no packed checkpoint, or a damaged one. The message names the file and what is wrong."""


def save_packed(model: Any, folder: Path, tokenizer: Any = None) -> int:
    """Writes the trained student into ``folder`` and returns the bytes of its weight file.

    Args:
        model: a sequence classifier with low-bit layers (or none: then a plain float32 checkpoint is written).
        tokenizer: saved beside it, so that the folder is all one needs to predict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    modules: dict[str, Any] = {}
    for name, module in model.named_modules():
        if isinstance(module, LowBitLinear):
            modules[name] = _store_linear(name, module, tensors)
        elif isinstance(module, LowBitEmbedding):
            _pack_weight(name, module.weight, module.weight_format, tensors)
            modules[name] = {"kind": "embedding", **_weight_entry(module.weight, module.weight_format)}
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    if modules:
        config["quantization_config"] = {
            "quant_method": METHOD,
            "format_version": FORMAT_VERSION,
            "modules": modules,
        }
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return (folder / WEIGHTS).stat().st_size


def load(folder: str | Path) -> Any:
    """The model of a packed folder, in evaluation mode, with the logits of the student that was saved.

    Raises:
        CheckpointError: missing or damaged files, an unknown format version, tensors that do not fit.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = Path(folder)
    packed = _read_packed_modules(folder)
    tensors = _read_tensors(folder / WEIGHTS)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # known to this loader only; from_config would look for a quantizer
    model = AutoModelForSequenceClassification.from_config(config)
    for name, entry in packed.items():
        try:
            model.get_submodule(name)
        except AttributeError:
            raise CheckpointError(f"{folder / 'config.json'}: no module {name!r} in this architecture") from None
        replace(model, name, _packed_module(name, entry, tensors, folder))
    own = {name: tensor for name, tensor in model.state_dict().items() if not _belongs_to(name, packed)}
    missing, surplus = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or surplus:
        raise CheckpointError(f"{folder / WEIGHTS}: missing tensors {missing[:5]}, surplus tensors {surplus[:5]}")
    for name, target in own.items():
        if target.shape != tensors[name].shape:
            raise CheckpointError(
                f"{folder / WEIGHTS}: {name} has shape {list(tensors[name].shape)}, expected {list(target.shape)}"
            )
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def _weight_entry(weight: Tensor, form: WeightFormat) -> dict[str, Any]:
    return {"bits": form.bits, "granularity": form.granularity, "shape": list(weight.shape)}


def _pack_weight(name: str, weight: Tensor, form: WeightFormat, tensors: dict[str, Tensor]) -> None:
    integers, scale = quantize_weight(weight, form)
    del tensors[f"{name}.weight"]
    codes = pack(integers.to(torch.int8).cpu().numpy(), form.bits)
    tensors[f"{name}.weight_packed"] = torch.from_numpy(codes)
    tensors[f"{name}.weight_scale"] = scale.cpu().contiguous()


def _store_linear(name: str, module: LowBitLinear, tensors: dict[str, Tensor]) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": "linear", "shape": list(module.weight.shape)}
    if module.weight_format is not None:
        _pack_weight(name, module.weight, module.weight_format, tensors)
        entry |= _weight_entry(module.weight, module.weight_format)
    if module.activation_format is not None:
        form = module.activation_format
        entry["activation"] = {"bits": form.bits, "scale": form.scale, "static": form.static}
    return entry


def _read_packed_modules(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"{path}: not found; expected a folder written by xtc-study, with config.json and {WEIGHTS}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from None
    packing = config.get("quantization_config") if isinstance(config, dict) else None
    if packing is None:
        return {}
    if packing.get("quant_method") != METHOD:
        raise CheckpointError(f"{path}: quant_method {packing.get('quant_method')!r}; this loader reads {METHOD!r}")
    if packing.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version {packing.get('format_version')!r}; this xtc-study reads {FORMAT_VERSION}"
        )
    return dict(packing["modules"])


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: not found")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None


def _packed_module(name: str, entry: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> nn.Module:
    try:
        integers, scale, form = _integers(name, entry, tensors)
        if entry["kind"] == "embedding":
            return PackedEmbedding(integers, scale)
        activation = entry.get("activation")
        limit = tensors.pop(f"{name}.input_range.limit", None)
        return PackedLinear(
            integers,
            scale,
            tensors.pop(f"{name}.bias", None),
            form,
            ActivationFormat(**activation) if activation else None,
            limit,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / WEIGHTS}: module {name!r} does not fit its entry: {error}") from None


def _integers(
    name: str, entry: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[Tensor, Tensor, WeightFormat | None]:
    """int8 integers and scale; the float weight with scale 1 where only the input is quantised."""
    if "bits" not in entry:
        weight = tensors.pop(f"{name}.weight")
        return weight, weight.new_ones(1, 1), None
    form = WeightFormat(entry["bits"], entry["granularity"])
    rows, columns = entry["shape"]
    codes, scale = tensors.pop(f"{name}.weight_packed"), tensors.pop(f"{name}.weight_scale")
    if codes.dtype != torch.uint8 or codes.ndim != 2 or codes.shape[0] != rows:
        raise ValueError(f"weight_packed is {codes.dtype} {list(codes.shape)}, expected uint8 [{rows}, bytes a row]")
    return torch.from_numpy(unpack(codes.numpy(), columns, form.bits)), scale, form


def _belongs_to(name: str, packed: dict[str, Any]) -> bool:
    return any(name.startswith(f"{module}.") for module in packed)
