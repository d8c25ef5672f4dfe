"""A quantizer for transformers, with which ``from_pretrained`` loads a packed folder.

transformers has no plug-in entry point: it knows a quantizer once the quantizer's module has registered it. ``import
xtc_study`` registers this one (``xtc_study.registration``). Before transformers reads the weights it calls
``prepare``, which replaces plain layers with empty packed ones; afterwards it calls ``complete``, which converts
tensors stored in fewer bits to float32 and gives the packed bits to the engine.

Modules that import transformers' model code are imported within functions, because this module is registered while
that code is still being imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.quantizers.auto import (
    AUTO_QUANTIZER_MAPPING,
    register_quantization_config,
    register_quantizer,
)
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from xtc_study.model_folder import CONFIG, METHOD, WEIGHTS
from xtc_study.packed.alignment import align
from xtc_study.packed.checkpoint import StoredTensor, packed_modules, stored_shapes
from xtc_study.packed.checksums import CheckpointError, read_config, verify
from xtc_study.packed.engines import chosen_engine, make_engine
from xtc_study.packed.layers import PackedEmbedding, PackedLinear
from xtc_study.packed.module_format import KINDS, ModuleFormat
from xtc_study.packed.unpacked import decode, encoded_length

MOST_LAYERS = 1000
"""More layers than any encoder has. A file may have more packed modules, since each layer has several."""


class XtcConfig(QuantizationConfigMixin):
    """``quantization_config`` of a packed folder; ``prepare`` itself reads it from the verified config.json."""

    def __init__(self, **fields: Any) -> None:
        self.quant_method = METHOD
        self.fields = {key: value for key, value in fields.items() if key != "quant_method"}

    def to_dict(self) -> dict[str, Any]:
        return {"quant_method": METHOD, **self.fields}


class XtcQuantizer(HfQuantizer):
    """Puts packed layers into the model before its weights are read, and gives them an engine afterwards."""

    def __init__(self, quantization_config: Any, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self.folder: Path | None = None

    def update_attn_implementation(self, config: Any) -> Any:
        """Check the depth: this is the first hook to get the model's configuration, before any layer is built."""
        fields = getattr(self.quantization_config, "fields", {})
        modules = fields.get("modules")
        most = max(len(modules) if isinstance(modules, dict) else 0, MOST_LAYERS)
        check_depth(str(Path(str(config._name_or_path)) / CONFIG), config.to_dict(), most, "layers at most")
        return super().update_attn_implementation(config)

    def update_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32  # scales, sums and norms are float32 in training too

    def _process_model_before_weight_loading(
        self, model: Any, checkpoint_files: list[str] | None = None, **kwargs: Any
    ) -> None:
        if [Path(file).name for file in checkpoint_files or []] != [WEIGHTS]:
            raise CheckpointError(
                f"weights {checkpoint_files}: a packed folder has exactly one {WEIGHTS}; remove other weight files"
            )
        assert checkpoint_files is not None
        self.folder = Path(checkpoint_files[0]).parent
        prepare(model, self.folder)

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
        assert self.folder is not None
        complete(model, self.folder)
        align(model)
        if model.config.num_labels == 1 and model.config.problem_type is None:
            model.config.problem_type = "regression"  # older folders lack it; a pipeline would apply a sigmoid
        return model

    def is_serializable(self) -> bool:
        return False  # an engine may hold bytes other than the file's; copy the folder instead

    @property
    def is_trainable(self) -> bool:
        return False


class _Expected(NamedTuple):
    """The expected form of a tensor in the file."""

    packed: bool
    """Whether it holds packed weights."""
    shape: tuple[int, ...]
    """Shape of the packed bytes, or of the float tensor."""


def prepare(model: Any, folder: Path) -> None:
    """Put empty packed layers into a model on the meta device, after checking that the file fits it.

    Args:
        model: the plain model that the folder's config describes.
        folder: a packed folder.

    Raises:
        CheckpointError: damaged files, or tensors that do not fit the architecture.
    """
    from xtc_study.compress.quantization.attention import restore_attention

    config = read_config(folder)
    verify(folder, config)
    formats, shapes = packed_modules(folder, config)
    check_attention(folder, config)
    restore_attention(model)
    stored = stored_shapes(folder)

    for name, module_format in formats.items():
        _replace_layer(model, name, module_format, folder)
    expected = _expected_tensors(model, formats)
    _reserve_tensors(model, expected, stored, shapes, folder)

    # ``complete`` needs the original shapes of tensors stored as bytes in one dimension.
    model.xtc_shapes = {name: tensor.shape for name, tensor in expected.items() if not tensor.packed}


def complete(model: Any, folder: Path) -> None:
    """Make a model ready to compute: decode its tensors to float32 and give each packed linear an engine.

    Args:
        model: from ``prepare``, with its tensors read.
        folder: for messages.

    Raises:
        CheckpointError: bytes that encode no weight.
    """
    for name, shape in model.__dict__.pop("xtc_shapes").items():
        module, leaf = _owner(model, name)
        try:
            value = decode(getattr(module, leaf), shape)
        except ValueError as error:
            raise CheckpointError(f"{folder / WEIGHTS}: {name} {error}") from None
        _put(module, leaf, value)

    engine = make_engine(chosen_engine())
    for name, module in model.named_modules():
        try:
            if isinstance(module, PackedLinear):
                _complete_linear(module)
                module.engine = engine
                engine.prepare(module)
            elif isinstance(module, PackedEmbedding):
                module.weight = module.weight.reshape(module.format.shape[0], -1)
                _check_rows(module)
        except ValueError as error:
            raise CheckpointError(f"{folder / WEIGHTS}: module {name!r}: {error}") from None


def _replace_layer(model: Any, name: str, module_format: ModuleFormat, folder: Path) -> None:
    """Replace a plain layer with an empty packed layer of the same kind and shape."""
    from xtc_study.compress.quantization.lowbit import replace

    try:
        module = model.get_submodule(name)
    except AttributeError:
        raise CheckpointError(f"{folder / CONFIG}: this architecture has no module {name!r}") from None
    _check_kind(folder, name, module_format, module)
    with torch.device("meta"):
        if module_format.kind == "embedding":
            replace(model, name, PackedEmbedding(module_format))
        else:
            replace(model, name, PackedLinear(module_format, bias=getattr(module, "bias", None) is not None))


def _reserve_tensors(
    model: Any,
    expected: dict[str, _Expected],
    stored: dict[str, StoredTensor],
    shapes: dict[str, tuple[int, ...]],
    folder: Path,
) -> None:
    """Reserve tensors of the file's dtypes and shapes, after checking that the file has what the model expects."""
    missing, surplus = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))
    if missing or surplus:
        raise CheckpointError(f"{folder / WEIGHTS}: missing tensors {missing[:5]}, unexpected tensors {surplus[:5]}")

    for name, (packed, shape) in expected.items():
        dtype, stored_shape = stored[name]
        if name in shapes and not packed:  # 8bit: bytes in one dimension
            fits = dtype == torch.uint8 and shapes[name] == shape and stored_shape == (encoded_length(shape),)
        elif packed:
            fits = dtype == torch.uint8 and stored_shape == shape
        else:
            fits = dtype in (torch.float32, torch.float16) and stored_shape == shape
        if not fits:
            allowed = "packed uint8" if packed else "float32, float16 or 8bit"
            raise CheckpointError(
                f"{folder / WEIGHTS}: {name} is {dtype} {list(stored_shape)}, expected {allowed} {list(shape)}"
            )
        assert isinstance(dtype, torch.dtype)
        _reserve(model, name, dtype, stored_shape)


def _expected_tensors(model: nn.Module, formats: dict[str, ModuleFormat]) -> dict[str, _Expected]:
    """The expected form of each tensor in the file, by name."""
    expected: dict[str, _Expected] = {}
    for name, tensor in model.state_dict().items():
        module, _, leaf = name.rpartition(".")
        module_format = formats.get(module)
        if module_format is None or leaf not in ("weight", "weight_scale", "bias"):
            expected[name] = _Expected(False, tuple(tensor.shape))
            continue

        rows, columns = module_format.shape
        if leaf == "weight" and module_format.weight is not None:
            expected[name] = _Expected(True, (rows * module_format.row_bytes,))
        elif leaf == "weight":
            expected[name] = _Expected(False, (rows * columns,))
        elif leaf == "bias":
            expected[name] = _Expected(False, (rows,))
        elif module_format.weight is not None:
            expected[name] = _Expected(False, module_format.scale_shape)
    return expected


def check_depth(where: str, config: dict[str, Any], most: int, what: str) -> None:
    """Check that no field of ``config`` asks for more layers than a file can have.

    With an absurd depth, transformers would build layers for hours before it finds their tensors missing.

    Args:
        where: the path of the config, for the message.
        config: the fields of config.json.
        most: the largest allowed depth.
        what: what ``most`` counts, for the message.

    Raises:
        CheckpointError: the depth in a field exceeds ``most``.
    """
    for field, depth in config.items():  # num_hidden_layers, n_layer or decoder_layers, depending on the family
        if field.endswith(("layer", "layers")) and isinstance(depth, int) and depth > most:
            raise CheckpointError(f"{where}: {field} is {depth}, but the file has {most} {what}")


def check_attention(folder: Path, config: dict[str, Any]) -> None:
    """Check that the config's attention bits are valid, if it has any.

    Raises:
        CheckpointError: they are not a whole number from 2 to 8.
    """
    from xtc_study.compress.quantization.attention import FIELD

    bits = config.get(FIELD)
    if bits is not None and (type(bits) is not int or not 2 <= bits <= 8):
        raise CheckpointError(f"{folder / CONFIG}: {FIELD} is {bits!r}, expected a whole number from 2 to 8")


def _check_kind(folder: Path, name: str, module_format: ModuleFormat, module: nn.Module) -> None:
    if not isinstance(module, KINDS[module_format.kind]):
        reason = f"kind {module_format.kind!r}, but the architecture has a {type(module).__name__}"
    elif tuple(module.weight.shape) != module_format.shape:  # type: ignore[arg-type]
        reason = f"shape {list(module_format.shape)}, but the architecture has {list(module.weight.shape)}"  # type: ignore[arg-type]
    else:
        return
    raise CheckpointError(f"{folder / WEIGHTS}: module {name!r} does not match its entry in {CONFIG}: {reason}")


def _reserve(model: nn.Module, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Reserve a tensor of the stored dtype and shape, which transformers' loader fills."""
    owner, leaf = _owner(model, name)
    if dtype == torch.uint8 or isinstance(owner, PackedLinear | PackedEmbedding):
        _put(owner, leaf, torch.empty(shape, dtype=dtype, device="meta"))


def _put(owner: nn.Module, leaf: str, value: Tensor) -> None:
    """Set a tensor of a module; a parameter stays a parameter, without gradients.

    Why not ``setattr``: an 8bit parameter is read as bytes, and torch refuses parameters of integers. It is a buffer
    until its float32 values are decoded; ``_xtc_parameters`` records that it was a parameter, which users, optimisers
    and ``state_dict`` of a loaded model expect it to be.
    """
    was_parameter = leaf in owner._parameters or leaf in getattr(owner, "_xtc_parameters", ())
    owner._parameters.pop(leaf, None)
    if was_parameter and value.is_floating_point():
        owner._buffers.pop(leaf, None)
        owner.register_parameter(leaf, nn.Parameter(value, requires_grad=False))
        return
    if was_parameter:
        owner._xtc_parameters = {leaf, *getattr(owner, "_xtc_parameters", ())}  # type: ignore[assignment]
    owner._buffers.pop(leaf, None)
    owner.register_buffer(leaf, value)


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    module, _, leaf = name.rpartition(".")
    return model.get_submodule(module), leaf


def _complete_linear(layer: PackedLinear) -> None:
    """Give a plain weight its shape, and check that a static range is a magnitude."""
    if layer.format.weight is None and layer.weight is not None:
        layer.weight = layer.weight.reshape(layer.format.shape)
    if layer.input_range is not None and not layer.input_range.limit >= 0:
        raise ValueError(f"input_range.limit is {float(layer.input_range.limit)}, expected 0 or more")


def _check_rows(table: PackedEmbedding) -> None:
    """Check that every row encodes weights; a few rows at a time, so that the table is never unpacked in memory."""
    for rows in table.weight.split(1024):
        table.format.unpack(rows)


if METHOD not in AUTO_QUANTIZER_MAPPING:
    register_quantization_config(METHOD)(XtcConfig)
    register_quantizer(METHOD)(XtcQuantizer)
