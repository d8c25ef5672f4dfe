"""Packed folder in, model out. ``load`` checks and chooses an engine; transformers' own loader does the rest.

``prepare`` and ``complete`` are the two halves that ``xtc_study.packed.hf_quantizer`` plugs into ``from_pretrained``:
before the weights are read, packed layers without weights take the places of the plain ones; afterwards what was
stored in fewer bits becomes float32, and the engine takes the packed bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.attention import FIELD as ATTENTION_BITS
from xtc_study.compress.quantization.attention import restore_attention
from xtc_study.compress.quantization.lowbit import replace
from xtc_study.packed.alignment import align
from xtc_study.packed.checkpoint import packed_modules, stored_shapes
from xtc_study.packed.checksums import CONFIG, WEIGHTS, CheckpointError, check_alone, read_config, verify
from xtc_study.packed.engines import engine_for_loading, make_engine
from xtc_study.packed.layers import PackedEmbedding, PackedLinear
from xtc_study.packed.module_format import KINDS, ModuleFormat
from xtc_study.packed.quiet import without_bars
from xtc_study.packed.unpacked import decode, encoded_length


def load(folder: str | Path, engine: str = "auto") -> Any:
    """The model of a packed folder, in evaluation mode, with the logits of the student that was saved.

    Args:
        engine: auto, torch, numba or native (``xtc_study.packed.engines``).

    Raises:
        CheckpointError: missing or damaged files, an unknown format version, tensors that do not fit.
        ValueError: no such engine, or it is not installed or built.
    """
    from transformers import AutoModelForSequenceClassification

    import xtc_study.packed.hf_quantizer  # noqa: F401  (registers itself)

    make_engine(engine)
    folder = Path(folder)
    config = read_config(folder)
    verify(folder, config)
    check_alone(folder, config)
    packed_modules(folder, config)
    check_depth(str(folder / CONFIG), config, len(stored_shapes(folder)), "tensors")
    _check_attention(folder, config)
    try:
        with engine_for_loading(engine), without_bars():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )
    except CheckpointError:
        raise
    except Exception as error:  # transformers checks little of a configuration: anything may come of a wrong one
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(f"{folder / CONFIG}: describes no model that fits its weights ({reason})") from error
    missing, surplus = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing or surplus or report["mismatched_keys"]:
        raise CheckpointError(f"{folder / WEIGHTS}: missing tensors {missing[:5]}, surplus tensors {surplus[:5]}")
    if "quantization_config" not in config:
        restore_attention(model)
        align(model)
    return model.eval()


def prepare(model: Any, folder: Path) -> None:
    """Puts empty packed layers into a model on the meta device, after checking that the file fits it.

    Raises:
        CheckpointError: damaged files, or tensors that do not fit the architecture.
    """
    config = read_config(folder)
    verify(folder, config)
    formats, shapes = packed_modules(folder, config)
    _check_attention(folder, config)
    restore_attention(model)
    stored = stored_shapes(folder)
    for name, module_format in formats.items():
        try:
            module = model.get_submodule(name)
        except AttributeError:
            raise CheckpointError(f"{folder / CONFIG}: no module {name!r} in this architecture") from None
        _check_kind(folder, name, module_format, module)
        with torch.device("meta"):
            if module_format.kind == "embedding":
                replace(model, name, PackedEmbedding(module_format))
            else:
                replace(model, name, PackedLinear(module_format, bias=getattr(module, "bias", None) is not None))
    expected = _expected(model, formats)
    missing, surplus = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))
    if missing or surplus:
        raise CheckpointError(f"{folder / WEIGHTS}: missing tensors {missing[:5]}, surplus tensors {surplus[:5]}")
    for name, (packed, shape) in expected.items():
        dtype, found = stored[name]
        if name in shapes and not packed:
            fits = dtype == torch.uint8 and shapes[name] == shape and found == (encoded_length(shape),)
        else:
            fits = found == shape and (dtype == torch.uint8 if packed else dtype in (torch.float32, torch.float16))
        if not fits:
            what = "packed uint8" if packed else "float32, float16 or 8bit"
            raise CheckpointError(
                f"{folder / WEIGHTS}: {name} is {dtype} {list(found)}, expected {what} {list(shape)}"
            )
        assert isinstance(dtype, torch.dtype)
        _reserve(model, name, dtype, found)
    model.xtc_shapes = {name: shape for name, (packed, shape) in expected.items() if not packed}


def complete(model: Any, folder: Path) -> None:
    """Turns what was read into what computes.

    Raises:
        CheckpointError: bytes that stand for no weight.
    """
    from xtc_study.packed.engines import chosen_engine

    for name, shape in model.__dict__.pop("xtc_shapes").items():
        owner, leaf = _owner(model, name)
        try:
            value = decode(getattr(owner, leaf), shape)
        except ValueError as error:
            raise CheckpointError(f"{folder / WEIGHTS}: {name} {error}") from None
        _put(owner, leaf, value)
    engine = make_engine(chosen_engine())
    for name, module in model.named_modules():
        try:
            if isinstance(module, PackedLinear):
                _fill(module)
                module.engine = engine
                engine.prepare(module)
            elif isinstance(module, PackedEmbedding):
                module.weight = module.weight.reshape(module.format.shape[0], -1)
                _check_rows(module)
        except ValueError as error:
            raise CheckpointError(f"{folder / WEIGHTS}: module {name!r}: {error}") from None


def _fill(layer: PackedLinear) -> None:
    if layer.format.weight is None and layer.weight is not None:
        layer.weight = layer.weight.reshape(layer.format.shape)
    if layer.input_range is not None and not layer.input_range.limit >= 0:
        raise ValueError(f"input_range.limit is {float(layer.input_range.limit)}, expected 0 or more")


def _check_rows(table: PackedEmbedding) -> None:
    """Every row must stand for weights; a few at a time, so that the table is never in memory unpacked."""
    for rows in table.weight.split(1024):
        table.format.unpack(rows)


def check_depth(where: str, config: dict[str, Any], most: int, what: str) -> None:
    """An absurd depth would build layers for hours before the tensors are found missing.

    Raises:
        CheckpointError: a field of ``config`` that counts layers says more than ``most``, the number of ``what``.
    """
    for field, depth in config.items():  # num_hidden_layers, n_layer, decoder_layers, as the family calls it
        if field.endswith(("layer", "layers")) and isinstance(depth, int) and depth > most:
            raise CheckpointError(f"{where}: {field} is {depth}, but the file has {most} {what}")


def _check_attention(folder: Path, config: dict[str, Any]) -> None:
    bits = config.get(ATTENTION_BITS)
    if bits is not None and (type(bits) is not int or not 2 <= bits <= 8):
        raise CheckpointError(f"{folder / CONFIG}: {ATTENTION_BITS} is {bits!r}, expected a whole number from 2 to 8")


def _check_kind(folder: Path, name: str, module_format: ModuleFormat, module: nn.Module) -> None:
    if not isinstance(module, KINDS[module_format.kind]):
        reason = f"kind {module_format.kind!r}, but the architecture has a {type(module).__name__}"
    elif tuple(module.weight.shape) != module_format.shape:  # type: ignore[arg-type]
        reason = f"shape {list(module_format.shape)}, but the architecture has {list(module.weight.shape)}"  # type: ignore[arg-type]
    else:
        return
    raise CheckpointError(f"{folder / WEIGHTS}: module {name!r} does not fit its entry: {reason}")


def _expected(model: nn.Module, formats: dict[str, ModuleFormat]) -> dict[str, tuple[bool, tuple[int, ...]]]:
    """Of each tensor in the file: whether it is packed weights, and the shape of these, or of the float tensor."""
    expected = {}
    for name, tensor in model.state_dict().items():
        module, _, leaf = name.rpartition(".")
        module_format = formats.get(module)
        if module_format is None or leaf not in ("weight", "weight_scale", "bias"):
            expected[name] = (False, tuple(tensor.shape))
        elif leaf == "weight":
            rows, columns = module_format.shape
            expected[name] = (
                (True, (rows * module_format.row_bytes,)) if module_format.weight else (False, (rows * columns,))
            )
        elif leaf == "bias":
            expected[name] = (False, (module_format.shape[0],))
        elif module_format.weight is not None:
            expected[name] = (False, module_format.scale_shape)
    return expected


def _reserve(model: nn.Module, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """A place of the stored dtype and shape, for transformers' loader to fill."""
    owner, leaf = _owner(model, name)
    if dtype == torch.uint8 or isinstance(owner, PackedLinear | PackedEmbedding):
        _put(owner, leaf, torch.empty(shape, dtype=dtype, device="meta"))


def _put(owner: nn.Module, leaf: str, value: Tensor) -> None:
    """Parameters stay parameters, without gradients; bytes on their way to one are a buffer."""
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
