"""The packed checkpoint: a Hugging Face folder whose one safetensors file holds real bits.

docs/format.md describes it byte by byte. ``config.json`` records under ``quantization_config`` how each packed module
is stored. ``model.safetensors`` holds its bits as ``<module>.weight`` (uint8, one dimension: rows of whole bytes, one
after the other), ``<module>.weight_scale``, and every other tensor in the format ``rest``. The single dimension is on
purpose: a loader that does not know the format fails on the shape, whereas under another name it would draw random
weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xtc_study.compress.quantization.freeze import Freezable
from xtc_study.model_folder import CONFIG, METHOD, WEIGHTS
from xtc_study.packed.checksums import OTHER_FILES, CheckpointError, read_config, verify, write_config
from xtc_study.packed.module_format import ModuleFormat
from xtc_study.packed.text_length import FIELD, write_length
from xtc_study.packed.unpacked import decode, encode
from xtc_study.recipe_xtc import REST_FORMATS

FORMAT_VERSION = 2


def save_packed(
    model: Any, folder: Path, tokenizer: Any = None, rest: str = "fp32", max_length: int | None = None
) -> int:
    """Write the trained student to ``folder`` and return the bytes of its weight file.

    Args:
        model: a sequence classifier with low-bit layers. Frozen layers are written with their frozen integers and
            scales, others with what their forward pass computes now, on the model's own device. Without low-bit layers
            and with ``rest='fp32'``, a plain checkpoint is written.
        folder: created if necessary.
        tokenizer: saved in the same folder, so that the folder is sufficient for predictions.
        rest: format of the unpacked tensors: fp32, fp16 or 8bit (``xtc_study.packed.unpacked``).
        max_length: the length in tokens at which texts were cut for training and scoring; every reader cuts there.

    Raises:
        ValueError: a tensor that this format cannot store; the message names it, and nothing has been written.
    """
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    modules: dict[str, Any] = {}
    packed = {}

    # For each low-bit module: its format, its packed bits and its scale.
    for name, module in model.named_modules():
        module_format = ModuleFormat.of(module)
        if module_format is None:
            continue
        modules[name] = module_format.json()
        weight = tensors.pop(f"{name}.weight")
        if module_format.weight is None:
            tensors[f"{name}.weight"] = weight.reshape(-1)
        else:
            assert isinstance(module, Freezable)
            try:
                integers, scale = module.stored_weight()
            except ValueError as error:
                raise ValueError(f"module {name!r}: {error}") from None
            packed[f"{name}.weight"], tensors[f"{name}.weight_scale"] = module_format.pack(integers), scale.cpu()

    config = model.config.to_dict()
    config["architectures"], config["dtype"] = [type(model).__name__], "float32"
    if max_length is not None:
        config[FIELD] = max_length
    return _write(folder, config, modules, packed, tensors, rest, tokenizer)


def repack(source: Path, folder: Path, rest: str) -> int:
    """Rewrite a packed folder's weights with another ``rest``, and return the bytes of the new weight file.

    The packed bits do not change; rounding changes the logits, so the score must be measured again.

    Args:
        source: a packed folder.
        folder: where to write.
        rest: the new format of the unpacked tensors.

    Raises:
        CheckpointError: ``source`` is damaged or not a packed folder.
        ValueError: a number that ``rest`` cannot store.
    """
    config = read_config(source)
    verify(source, config)
    modules, shapes = packed_modules(source, config)
    packed, tensors = {}, {}
    for name, stored in read_tensors(source).items():
        module, _, leaf = name.rpartition(".")
        if leaf == "weight" and module in modules and modules[module].weight is not None:
            packed[name] = stored
        else:
            shape = tuple(shapes.get(name, stored.shape))
            tensors[name] = decode(stored, shape) if stored.is_floating_point() or name in shapes else stored
    formats = {name: module_format.json() for name, module_format in modules.items()}
    return _write(folder, config, formats, packed, tensors, rest)


def _write(
    folder: Path,
    config: dict[str, Any],
    modules: dict[str, Any],
    packed: dict[str, Tensor],
    unpacked: dict[str, Tensor],
    rest: str,
    tokenizer: Any = None,
) -> int:
    tensors, shapes = dict(packed), {}
    for name, tensor in unpacked.items():
        try:
            stored = encode(tensor, rest)
        except ValueError as error:
            raise ValueError(f"tensor {name} {error}") from None
        if stored.shape != tensor.shape:
            shapes[name] = list(tensor.shape)
        tensors[name] = stored.contiguous()

    # _name_or_path is a folder on the machine that trained the student, and the file may be published.
    left_out = ("quantization_config", "_name_or_path", *OTHER_FILES)
    config = {key: value for key, value in config.items() if key not in left_out}
    if modules or rest != "fp32":
        config["quantization_config"] = {
            "quant_method": METHOD,
            "format_version": FORMAT_VERSION,
            "modules": modules,
            "rest": rest,
            "shapes": shapes,
        }

    # The config comes last, because it holds the other files' checksums.
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    if FIELD in config:
        write_length(folder, config[FIELD])
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    write_config(folder, config)
    return (folder / WEIGHTS).stat().st_size


def packed_modules(folder: Path, config: dict[str, Any]) -> tuple[dict[str, ModuleFormat], dict[str, tuple[int, ...]]]:
    """Return the packed modules by name, and the shapes of the tensors stored as bytes.

    Args:
        folder: for messages.
        config: the content of its config.json.

    Raises:
        CheckpointError: another method or version, or an invalid module format.
    """
    path = folder / CONFIG
    packing = config.get("quantization_config")
    if packing is None:
        return {}, {}
    if not isinstance(packing, dict):
        raise CheckpointError(f"{path}: quantization_config is {packing!r}, expected a mapping")
    if packing.get("quant_method") != METHOD:
        raise CheckpointError(f"{path}: quant_method {packing.get('quant_method')!r}; this loader reads {METHOD!r}")
    if packing.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version {packing.get('format_version')!r}; this xtc-study reads version {FORMAT_VERSION}"
        )

    # The fields of the format.
    modules, shapes = packing.get("modules"), packing.get("shapes")
    if not isinstance(modules, dict) or not isinstance(shapes, dict):
        raise CheckpointError(f"{path}: quantization_config lacks the mappings 'modules' and 'shapes'")
    if packing.get("rest") not in REST_FORMATS:
        raise CheckpointError(
            f"{path}: quantization_config has rest {packing.get('rest')!r}, expected one of {', '.join(REST_FORMATS)}"
        )

    formats = {}
    for name, fields in modules.items():
        try:
            formats[name] = ModuleFormat.read(fields)
        except ValueError as error:
            raise CheckpointError(f"{path}: module {name!r}: {error}") from None
    for name, shape in shapes.items():
        if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**40 for n in shape):
            raise CheckpointError(
                f"{path}: tensor {name!r}: shape {shape!r}, expected a list of positive whole numbers"
            )
    return formats, {name: tuple(shape) for name, shape in shapes.items()}


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of the weight file as stored, copied one at a time.

    Raises:
        CheckpointError: the file is missing or not a readable safetensors file.
    """
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None


class StoredTensor(NamedTuple):
    """A tensor of the weight file, as its header describes it."""

    dtype: torch.dtype | str
    """A torch dtype, or the file's own name of a dtype that is never written here."""
    shape: tuple[int, ...]


def stored_shapes(folder: Path) -> dict[str, StoredTensor]:
    """Return dtype and shape of every tensor, read only from the header.

    Raises:
        CheckpointError: the file is missing or not a readable safetensors file.
    """
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            kinds = {name: _DTYPES.get(part.get_dtype(), part.get_dtype()) for name, part in slices.items()}
            return {name: StoredTensor(kinds[name], tuple(part.get_shape())) for name, part in slices.items()}
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None


_DTYPES = {"F32": torch.float32, "F16": torch.float16, "U8": torch.uint8}
