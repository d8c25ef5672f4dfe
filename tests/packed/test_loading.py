"""The loader refuses damaged folders, other formats, other files, and tensors that do not fit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from packed_layers import STATIC, weights_of
from safetensors.torch import load_file, save_file

from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.checksums import CheckpointError, write_config
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe

QUERY = "bert.encoder.layer.1.attention.self.query"
WORDS = "bert.embeddings.word_embeddings"


@pytest.fixture(scope="module")
def saved(tiny: Callable[..., Any], batch: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model = tiny("bert")
    make_low_bit(model, Recipe.of(task="toy-sentiment", weight_bits=2, granularity="group:16", **STATIC))
    with torch.no_grad():
        model.train()(**batch("bert"))
    save_packed(model.eval(), folder)
    return folder


@pytest.fixture
def packed(saved: Path, tmp_path: Path) -> Path:
    """An intact checkpoint to damage."""
    return Path(shutil.copytree(saved, tmp_path / "packed"))


# These edits are sealed again: the checksums are right, and what is wrong must be noticed all the same.


def edit_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    write_config(folder, config)


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    path = weights_of(folder)
    tensors = dict(load_file(path))
    change(tensors)
    path.unlink()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    write_config(folder, json.loads((folder / "config.json").read_text()))


def rejected(folder: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value), "the message names the file"


def test_intact_checkpoint_loads(packed: Path) -> None:
    """Guards the tests below: without damage the folder loads."""
    load(packed)
    edit_config(packed, lambda config: None)
    edit_tensors(packed, lambda tensors: None)
    load(packed)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    rejected(tmp_path / "none", "config.json: not found")


def test_missing_configuration_is_refused(packed: Path) -> None:
    (packed / "config.json").unlink()
    rejected(packed, r"config\.json: not found")


def test_missing_weights_are_refused(packed: Path) -> None:
    weights_of(packed).unlink()
    rejected(packed, r"safetensors: not found")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64], ids=["empty", "text", "binary"])
def test_weights_in_another_format_are_refused(packed: Path, content: bytes) -> None:
    weights_of(packed).write_bytes(content)
    rejected(packed, "checksum")
    edit_config(packed, lambda config: None)
    rejected(packed, "not a readable safetensors file")


@pytest.mark.parametrize("kept", [4, 100, -1])
def test_truncated_weights_are_refused(packed: Path, kept: int) -> None:
    path = weights_of(packed)
    path.write_bytes(path.read_bytes()[:kept])
    rejected(packed, "checksum")
    edit_config(packed, lambda config: None)
    rejected(packed, "not a readable safetensors file")


@pytest.mark.parametrize("content", ["", "{", "\udcff"], ids=["empty", "half", "no UTF-8"])
def test_configuration_that_is_not_json_is_refused(packed: Path, content: str) -> None:
    (packed / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    rejected(packed, "config.json: not valid JSON")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"format_version": 3}, "format_version 3.*reads version 2", id="newer version"),
        pytest.param({"format_version": 1}, "format_version 1.*reads version 2", id="older version"),
        pytest.param({"format_version": None}, "format_version None", id="no version"),
        pytest.param({"quant_method": "gptq"}, "quant_method 'gptq'", id="other method"),
        pytest.param({"quant_method": None}, "quant_method None", id="no method"),
        pytest.param(
            {"modules": {"bert.no.such": {"kind": "linear", "shape": [1, 1]}}},
            "no module 'bert.no.such'",
            id="unknown module",
        ),
        pytest.param({"modules": [1]}, "modules", id="modules is a list"),
        pytest.param({"modules": None}, "modules", id="no modules"),
    ],
)
def test_unknown_quantization_config_is_refused(packed: Path, change: dict, message: str) -> None:
    edit_config(packed, lambda config: config["quantization_config"].update(change))
    rejected(packed, message)


@pytest.mark.parametrize("content", ["{}", "[]", '{"model_type": "no-such-family"}'])
def test_configuration_without_a_model_is_refused(packed: Path, content: str) -> None:
    (packed / "config.json").write_text(content)
    rejected(packed, "config.json")
    if content.startswith("{"):
        edit_config(packed, lambda config: None)
        rejected(packed, "config.json")


def test_quantization_config_that_is_not_a_mapping_is_refused(packed: Path) -> None:
    edit_config(packed, lambda config: config.update(quantization_config="xtc"))
    rejected(packed, "quantization_config")


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"bits": 12}, id="bits no format has"),
        pytest.param({"bits": 1}, id="other bits than the file"),
        pytest.param({"bits": "2"}, id="bits as text"),
        pytest.param({"shape": [32, 64]}, id="other columns"),
        pytest.param({"shape": [64, 32]}, id="other rows"),
        pytest.param({"shape": [32]}, id="one dimension"),
        pytest.param({"granularity": "row"}, id="other granularity than the file"),
        pytest.param({"granularity": "column"}, id="unknown granularity"),
        pytest.param({"kind": "convolution"}, id="unknown kind"),
        pytest.param({"kind": "embedding"}, id="kind of another module"),
        pytest.param({"kind": []}, id="kind that is no text"),
        pytest.param({"activation": {"bits": 1}}, id="activation bits no format has"),
        pytest.param({"activation": {"width": 8}}, id="unknown activation field"),
        pytest.param({"activation": {"bits": 8, "scale": "tensor", "static": []}}, id="static that is no truth"),
        pytest.param({"input_norm": "rms"}, id="norm of an input with one scale"),
        pytest.param({"input_norms": "rms"}, id="unknown field"),
    ],
)
def test_module_entry_that_does_not_fit_is_refused(packed: Path, entry: dict) -> None:
    edit_config(packed, lambda config: config["quantization_config"]["modules"][QUERY].update(entry))
    rejected(packed, re.escape(QUERY))


def test_norm_of_an_embedding_is_refused(packed: Path) -> None:
    edit_config(packed, lambda config: config["quantization_config"]["modules"][WORDS].update({"input_norm": "rms"}))
    rejected(packed, "word_embeddings.*input_norm 'rms': expected 'rms', of a linear")


def test_embedding_needs_one_scale_per_row(packed: Path) -> None:
    """Rows are looked up one by one, so a single scale would go unnoticed until the first sentence is read."""
    edit_tensors(packed, lambda tensors: tensors.update({f"{WORDS}.weight_scale": torch.ones(1, 1)}))
    words = {"granularity": "tensor"}
    edit_config(packed, lambda config: config["quantization_config"]["modules"][WORDS].update(words))
    rejected(packed, rf"{re.escape(WORDS)}.*granularity 'tensor', expected 'row' or 'group:N'")
    words = {"granularity": "row", "activation": {"bits": 8, "scale": "token", "static": False}}
    edit_config(packed, lambda config: config["quantization_config"]["modules"][WORDS].update(words))
    rejected(packed, rf"{re.escape(WORDS)}.*not a known format of a linear's input")


@pytest.mark.parametrize("bits", [2, 32])
@pytest.mark.parametrize(
    "fields",
    [
        {"transformers_weights": "other.safetensors"},
        {"attribute_map": {"transformers_weights": "elsewhere"}, "elsewhere": "other.safetensors"},
        {"configuration_files": ["config.4.0.0.json"]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_configuration_that_names_other_files_is_refused(
    student: Callable[..., Any], bits: int, fields: dict[str, Any], tmp_path: Path
) -> None:
    """transformers would read those files instead of the ones that the checksums cover."""
    save_packed(student(weight_bits=bits, activation_bits=32), tmp_path)
    shutil.copy(tmp_path / "model.safetensors", tmp_path / "other.safetensors")
    shutil.copy(tmp_path / "config.json", tmp_path / "config.4.0.0.json")
    load(tmp_path)
    edit_config(tmp_path, lambda config: config.update(fields))
    rejected(tmp_path, next(iter(fields)))


def test_teachers_other_weight_file_is_not_saved_with_the_student(student: Callable[..., Any], tmp_path: Path) -> None:
    model = student()
    model.config.transformers_weights = "other.safetensors"
    save_packed(model, tmp_path)
    load(tmp_path)


@pytest.mark.parametrize("name", ["adapter_config.json", "shard-00001-model-00001-of-00001.safetensors"])
def test_extra_file_that_transformers_would_load_is_refused(packed: Path, name: str) -> None:
    (packed / name).write_text("{}")
    rejected(packed, re.escape(name))


def test_transformers_may_load_only_the_one_weight_file(packed: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    shutil.copy(packed / "model.safetensors", packed / "model.other.safetensors")
    AutoModelForSequenceClassification.from_pretrained(packed)
    with pytest.raises(CheckpointError, match=r"model\.other\.safetensors.* has exactly one model\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(packed, variant="other")


def test_codes_that_are_not_bytes_are_refused(packed: Path) -> None:
    module_format = load(packed, "torch").get_submodule(QUERY).format
    with pytest.raises(ValueError, match=r"packed weights are torch\.float32, expected torch\.uint8"):
        module_format.unpack(torch.zeros(32 * 7))


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_invalid_static_range_is_refused(packed: Path, limit: float) -> None:
    edit_tensors(packed, lambda tensors: tensors.update({f"{QUERY}.input_range.limit": torch.tensor(limit)}))
    rejected(packed, rf"{re.escape(QUERY)}.*limit is {limit}, expected 0 or more")


@pytest.mark.parametrize(
    "name",
    [
        "classifier.weight",
        "bert.embeddings.LayerNorm.bias",
        f"{QUERY}.weight",
        f"{QUERY}.weight_scale",
        f"{QUERY}.bias",
        f"{QUERY}.input_range.limit",
        f"{WORDS}.weight_scale",
    ],
)
def test_missing_tensor_is_refused(packed: Path, name: str) -> None:
    edit_tensors(packed, lambda tensors: tensors.pop(name))
    rejected(packed, re.escape(name.rpartition(".")[2]))


@pytest.mark.parametrize("name", ["extra", f"{QUERY}.weight_packed", f"{WORDS}.bias", f"{QUERY}.zero_point"])
def test_unexpected_tensor_is_refused(packed: Path, name: str) -> None:
    edit_tensors(packed, lambda tensors: tensors.update({name: torch.zeros(32, 32)}))
    rejected(packed, re.escape(name))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        pytest.param("classifier.weight", torch.zeros(2, 32), id="classifier"),
        pytest.param("bert.embeddings.LayerNorm.bias", torch.zeros(1), id="a bias that would broadcast"),
        pytest.param(f"{QUERY}.bias", torch.zeros(1), id="a packed linear's bias that would broadcast"),
        pytest.param(f"{QUERY}.weight_scale", torch.ones(1, 1), id="one scale for groups"),
        pytest.param(f"{QUERY}.weight_scale", torch.ones(32, 4), id="more groups"),
        pytest.param(f"{QUERY}.weight_scale", torch.ones(32, 2, dtype=torch.float64), id="scale of another dtype"),
        pytest.param(f"{QUERY}.weight", torch.zeros(32 * 8, dtype=torch.uint8), id="longer rows"),
        pytest.param(f"{QUERY}.weight", torch.zeros(31 * 7, dtype=torch.uint8), id="fewer rows"),
        pytest.param(f"{QUERY}.weight", torch.zeros(32 * 7, dtype=torch.int8), id="codes of another dtype"),
        pytest.param(f"{QUERY}.weight", torch.full((32 * 7,), 255, dtype=torch.uint8), id="codes of no weight"),
        pytest.param(f"{QUERY}.weight", torch.full((32 * 7,), 242, dtype=torch.uint8), id="digits past the end"),
        pytest.param(f"{WORDS}.weight", torch.full((101 * 7,), 255, dtype=torch.uint8), id="words of no weight"),
        pytest.param(f"{QUERY}.input_range.limit", torch.ones(32), id="limit"),
        pytest.param(f"{WORDS}.weight_scale", torch.ones(1, 1), id="one scale for the table"),
    ],
)
def test_tensor_that_does_not_fit_is_refused(packed: Path, name: str, tensor: torch.Tensor) -> None:
    edit_tensors(packed, lambda tensors: tensors.update({name: tensor}))
    rejected(packed, re.escape(name.rpartition(".")[0]))


def test_other_depth_is_refused(packed: Path) -> None:
    edit_config(packed, lambda config: config.update(num_hidden_layers=5))
    rejected(packed, "missing tensors")


@pytest.mark.parametrize("fields", [{"num_hidden_layers": 10**7}, {"model_type": "gpt2", "n_layer": 10**7}])
def test_absurd_depth_is_refused_at_once(packed: Path, fields: dict[str, Any]) -> None:
    """Otherwise transformers would build layers for hours."""
    edit_config(packed, lambda config: config.update(fields))
    rejected(packed, "10000000, but the file has")


def test_other_width_of_an_inputs_only_checkpoint_is_refused(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student("bert", weight_bits=32, activation_bits=8), tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors.update({f"{QUERY}.weight": torch.zeros(64 * 32)}))
    rejected(tmp_path, re.escape(QUERY))


def test_packed_layers_have_no_float_weight(packed: Path) -> None:
    model = load(packed, "torch")
    assert model.get_submodule(QUERY).integers.dtype == torch.int8
    assert not any(isinstance(module, LowBitLinear) for module in model.modules())
    assert f"{QUERY}.weight" not in model.state_dict()


@pytest.mark.parametrize("rest", ["x", 5, None, ["fp32"], "FP16"])
def test_unknown_rest_format_is_refused(packed: Path, rest: Any) -> None:
    edit_config(packed, lambda config: config["quantization_config"].update(rest=rest))
    rejected(packed, re.escape(f"rest {rest!r}, expected one of fp32, fp16, 8bit"))


@pytest.mark.parametrize("bits", ["8", [8], 1, 9, 8.0, True])
def test_invalid_attention_bits_are_refused(packed: Path, bits: Any) -> None:
    from transformers import AutoModelForSequenceClassification

    edit_config(packed, lambda config: config.update(xtc_attention_bits=bits))
    message = re.escape(f"xtc_attention_bits is {bits!r}, expected a whole number from 2 to 8")
    rejected(packed, message)
    with pytest.raises(CheckpointError, match=message):
        AutoModelForSequenceClassification.from_pretrained(packed)


def test_absurd_depth_is_refused_by_from_pretrained_too(packed: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    edit_config(packed, lambda config: config.update(num_hidden_layers=10**9))
    with pytest.raises(CheckpointError, match=r"config\.json: num_hidden_layers is 1000000000, but the file has"):
        AutoModelForSequenceClassification.from_pretrained(packed)
