"""The packed checkpoint: a Hugging Face folder whose one safetensors file holds real bits.

``config.json`` says under ``quantization_config`` how each packed module is stored. ``model.safetensors`` holds its
bits as ``<module>.weight`` (uint8, one dimension: rows of whole bytes end to end), ``<module>.weight_scale``
(float32), and every other tensor in float32. One dimension on purpose: a loader that does not know the format meets a
shape it cannot use and says so, where another name would let it draw new weights.
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
from xtc_study.compress.attention import restore_attention
from xtc_study.compress.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.lowbit import replace
from xtc_study.compress.quantizers import WeightFormat, grouped, quantize_weight
from xtc_study.deploy.packed_layers import PackedEmbedding, PackedLinear
from xtc_study.deploy.packing import bytes_per_row, pack, unpack

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
    file = folder / WEIGHTS
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{folder / 'config.json'}: describes no model transformers knows ({error})") from None
    tensors = _read_tensors(file)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # known to this loader only; from_config would look for a quantizer
    model = AutoModelForSequenceClassification.from_config(config)
    restore_attention(model)
    for name, entry in packed.items():
        try:
            module = model.get_submodule(name)
        except AttributeError:
            raise CheckpointError(f"{folder / 'config.json'}: no module {name!r} in this architecture") from None
        try:
            replace(model, name, _packed_module(name, entry, tensors, module))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{file}: module {name!r} does not fit its entry: {error}") from None
    own = {name: tensor for name, tensor in model.state_dict().items() if not _belongs_to(name, packed)}
    missing, surplus = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or surplus:
        raise CheckpointError(f"{file}: missing tensors {missing[:5]}, surplus tensors {surplus[:5]}")
    for name, target in own.items():
        if target.shape != tensors[name].shape:
            raise CheckpointError(
                f"{file}: {name} has shape {list(tensors[name].shape)}, expected {list(target.shape)}"
            )
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def _weight_entry(weight: Tensor, form: WeightFormat) -> dict[str, Any]:
    return {"bits": form.bits, "granularity": form.granularity, "shape": list(weight.shape)}


def _pack_weight(name: str, weight: Tensor, form: WeightFormat, tensors: dict[str, Tensor]) -> None:
    integers, scale = quantize_weight(weight, form)
    codes = pack(integers.to(torch.int8).cpu().numpy(), form.bits)
    tensors[f"{name}.weight"] = torch.from_numpy(codes).reshape(-1)
    tensors[f"{name}.weight_scale"] = scale.cpu().contiguous()


def _store_linear(name: str, module: LowBitLinear, tensors: dict[str, Tensor]) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": "linear", "shape": list(module.weight.shape)}
    if module.weight_format is None:
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"].reshape(-1)
    else:
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
    if not isinstance(packing, dict):
        raise CheckpointError(f"{path}: quantization_config is {packing!r}, expected a mapping")
    if packing.get("quant_method") != METHOD:
        raise CheckpointError(f"{path}: quant_method {packing.get('quant_method')!r}; this loader reads {METHOD!r}")
    if packing.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version {packing.get('format_version')!r}; this xtc-study reads {FORMAT_VERSION}"
        )
    modules = packing.get("modules")
    if not isinstance(modules, dict):
        raise CheckpointError(f"{path}: quantization_config has no mapping 'modules'")
    return modules


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: not found")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None


def _packed_module(name: str, entry: dict[str, Any], tensors: dict[str, Tensor], module: nn.Module) -> nn.Module:
    """The packed layer that takes the place of ``module``."""
    kinds = {"linear": nn.Linear, "embedding": nn.Embedding}
    if not isinstance(module, nn.Linear | nn.Embedding) or not isinstance(module, kinds[entry["kind"]]):
        raise ValueError(f"kind {entry['kind']!r}, but the architecture has a {type(module).__name__}")
    if entry["shape"] != list(module.weight.shape):
        raise ValueError(f"shape {entry['shape']}, but the architecture has {list(module.weight.shape)}")
    integers, scale, form = _integers(name, entry, tensors)
    if entry["kind"] == "embedding":
        return PackedEmbedding(integers, scale)
    fields = entry.get("activation")
    activation = ActivationFormat(**fields) if fields else None
    bias = (
        None
        if not isinstance(module, nn.Linear) or module.bias is None
        else _of_shape(f"{name}.bias", tuple(module.bias.shape), tensors)
    )
    static = activation is not None and activation.static
    limit = _of_shape(f"{name}.input_range.limit", (), tensors) if static else None
    return PackedLinear(integers, scale, bias, form, activation, limit)


def _integers(
    name: str, entry: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[Tensor, Tensor, WeightFormat | None]:
    """int8 integers and scale; the float weight with scale 1 where only the input is quantised."""
    rows, columns = entry["shape"]
    if "bits" not in entry:
        weight = _of_shape(f"{name}.weight", (rows * columns,), tensors).reshape(rows, columns)
        return weight, weight.new_ones(1, 1), None
    form = WeightFormat(entry["bits"], entry["granularity"])
    groups = grouped(torch.empty(rows, columns, device="meta"), form.granularity)
    scale = _of_shape(f"{name}.weight_scale", tuple(groups.shape[:2]), tensors)
    width = bytes_per_row(columns, form.bits)
    codes = _of_shape(f"{name}.weight", (rows * width,), tensors, torch.uint8).reshape(rows, width)
    return torch.from_numpy(unpack(codes.numpy(), columns, form.bits)), scale, form


def _of_shape(
    name: str, shape: tuple[int, ...], tensors: dict[str, Tensor], dtype: torch.dtype = torch.float32
) -> Tensor:
    tensor = tensors.pop(name)
    if tensor.dtype != dtype or tensor.shape != shape:
        raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}, expected {dtype} {list(shape)}")
    return tensor


def _belongs_to(name: str, packed: dict[str, Any]) -> bool:
    return any(name.startswith(f"{module}.") for module in packed)
