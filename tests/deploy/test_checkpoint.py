from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from xtc_study.compress.layers import LowBitLinear
from xtc_study.compress.lowbit import make_low_bit
from xtc_study.deploy.checkpoint import save_packed
from xtc_study.deploy.checksums import CheckpointError, write_config
from xtc_study.deploy.loading import load
from xtc_study.deploy.rounding import rounded_student
from xtc_study.recipe import Recipe

STATIC = {"activation_scale": "tensor", "activation_range": "static"}
FORMATS: dict[str, dict[str, Any]] = {
    "1 bit": {"weight_bits": 1},
    "2 bits": {"weight_bits": 2},
    "3 bits": {"weight_bits": 3},
    "4 bits": {"weight_bits": 4},
    "8 bits": {"weight_bits": 8},
    "1 bit a row": {"weight_bits": 1, "granularity": "row"},
    "2 bits, groups of 16": {"weight_bits": 2, "granularity": "group:16"},
    "1 bit, static inputs": {"weight_bits": 1, **STATIC},
    "inputs only": {"weight_bits": 32, "activation_bits": 8},
    "inputs only, static": {"weight_bits": 32, "activation_bits": 8, **STATIC},
    "4 bits an input, a scale a tensor": {"weight_bits": 4, "activation_bits": 4, "activation_scale": "tensor"},
    "weights only": {"weight_bits": 2, "activation_bits": 32},
    "weights only, groups": {"weight_bits": 1, "activation_bits": 32, "granularity": "group:8"},
    "clipped": {"weight_bits": 2, "weight_clip": 0.1},
    "table at 8 bits": {"weight_bits": 1, "embedding_bits": 8},
    "table left": {"weight_bits": 1, "embedding_bits": 32},
    "pooler left": {"weight_bits": 1, "quantise_pooler": False},
    "every table": {"weight_bits": 1, "quantise_tables": True},
    "full precision": {"weight_bits": 32, "activation_bits": 32},
}


@pytest.fixture
def student(tiny: Callable[..., Any], batch: Callable[..., Any]) -> Callable[..., Any]:
    def make(family: str = "bert", **fields: Any) -> Any:
        model = tiny(family)
        make_low_bit(model, Recipe.of(task="toy-sentiment", **fields))
        with torch.no_grad():
            model.train()(**batch(family))  # sets static ranges
        return model.eval()

    return make


def weights_of(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


@torch.no_grad()
@pytest.mark.parametrize("name", FORMATS)
def test_reloads_bit_for_bit(
    student: Callable[..., Any], batch: Callable[..., Any], family: str, name: str, engine: str, tmp_path: Path
) -> None:
    model = student(family, **FORMATS[name])
    before = model(**batch(family)).logits
    size = save_packed(model, tmp_path)
    assert size == weights_of(tmp_path).stat().st_size
    loaded = load(tmp_path, engine)
    assert not loaded.training
    assert torch.equal(loaded(**batch(family)).logits, before)
    assert torch.equal(model(**batch(family)).logits, before), "saving changes nothing"


@torch.no_grad()
@pytest.mark.parametrize("rest", ["fp16", "8bit"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_rounded_rest_reloads_bit_for_bit(
    student: Callable[..., Any], batch: Callable[..., Any], name: str, rest: str, tmp_path: Path
) -> None:
    model = student("bert", **FORMATS[name])
    before = model(**batch("bert")).logits
    rounded = rounded_student(model, rest)(**batch("bert")).logits
    assert save_packed(model, tmp_path / "small", rest=rest) < save_packed(model, tmp_path / "fp32")
    assert torch.equal(load(tmp_path / "small")(**batch("bert")).logits, rounded)
    assert not torch.equal(rounded, before), "the rounding is felt"
    assert torch.equal(model(**batch("bert")).logits, before), "and the student itself stays as it was"


@torch.no_grad()
def test_one_sentence_alone(student: Callable[..., Any], batch: Callable[..., Any], tmp_path: Path) -> None:
    model = student("bert", weight_bits=1)
    save_packed(model, tmp_path)
    ids = batch("bert")["input_ids"][1:2, :6]
    assert torch.equal(load(tmp_path)(input_ids=ids).logits, model(input_ids=ids).logits)


def header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensors a safetensors file lists, and where its data begins; read without safetensors."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return entries, 8 + length


def nbytes(entry: dict[str, Any]) -> int:
    start, end = entry["data_offsets"]
    return int(end - start)


# The tiny BERT: 101 words; in each of 4 layers four linears 32 x 32, one 64 x 32, one 32 x 64; the pooler 32 x 32.
WEIGHTS = 101 * 32 + 4 * (4 * 32 * 32 + 2 * 32 * 64) + 32 * 32
# In base 3 a row of 32 takes 7 bytes and a row of 64 takes 13.
TERNARY = 101 * 7 + 4 * (4 * 32 * 7 + 64 * 7 + 32 * 13) + 32 * 7


@pytest.mark.parametrize(("bits", "packed_bytes"), [(1, 4_628), (2, 7_971), (3, 13_884), (4, 18_512), (8, 37_024)])
def test_the_file_holds_real_bits(student: Callable[..., Any], bits: int, packed_bytes: int, tmp_path: Path) -> None:
    assert packed_bytes == (TERNARY if bits == 2 else WEIGHTS * bits // 8)
    model = student("bert", weight_bits=bits)
    size = save_packed(model, tmp_path)
    entries, data = header(weights_of(tmp_path))
    packed = {name: entry for name, entry in entries.items() if entry["dtype"] == "U8"}
    assert len(packed) == 26
    assert sum(map(nbytes, packed.values())) == packed_bytes
    words = "bert.embeddings.word_embeddings"
    assert packed[f"{words}.weight"]["shape"] == [101 * (7 if bits == 2 else 4 * bits)]
    scales = [entry for name, entry in entries.items() if name.endswith(".weight_scale")]
    assert sum(map(nbytes, scales)) == 4 * (101 + 25)
    assert all(name.endswith(".weight") for name in packed)
    rest = [parameter.numel() for name, parameter in model.named_parameters() if name not in packed]
    assert size == data + packed_bytes + 4 * (101 + 25) + 4 * sum(rest)


def test_full_precision_has_every_parameter(student: Callable[..., Any], tmp_path: Path) -> None:
    model = student("bert", weight_bits=32, activation_bits=32)
    size = save_packed(model, tmp_path)
    _, data = header(weights_of(tmp_path))
    assert size == data + 4 * sum(parameter.numel() for parameter in model.parameters())
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())


def test_the_configuration_says_what_is_packed(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student("bert", weight_bits=2, granularity="group:16", **STATIC), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    packing = config["quantization_config"]
    assert packing["quant_method"] == "xtc"
    assert packing["format_version"] == 2
    assert packing["modules"]["bert.encoder.layer.2.intermediate.dense"] == {
        "kind": "linear",
        "shape": [64, 32],
        "bits": 2,
        "packing": "base3",
        "granularity": "group:16",
        "activation": {"bits": 8, "scale": "tensor", "static": True},
    }
    assert packing["modules"]["bert.embeddings.word_embeddings"] == {
        "kind": "embedding",
        "shape": [101, 32],
        "bits": 2,
        "packing": "base3",
        "granularity": "row",
    }


@pytest.mark.parametrize("bits", [1, 32])
def test_the_configuration_does_not_say_where_the_student_was_trained(
    student: Callable[..., Any], bits: int, tmp_path: Path
) -> None:
    model = student(weight_bits=bits, activation_bits=32)
    model.config._name_or_path = "/home/somebody/results/steps/quantise-0"
    save_packed(model, tmp_path)
    assert "somebody" not in (tmp_path / "config.json").read_text()


def test_saves_over_another_checkpoint(student: Callable[..., Any], tmp_path: Path) -> None:
    larger = save_packed(student("bert", weight_bits=8), tmp_path)
    assert save_packed(student("bert", weight_bits=1), tmp_path) < larger
    load(tmp_path)


class FakeTokenizer:
    def save_pretrained(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{}")


def test_the_tokenizer_goes_with_it(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student("bert"), tmp_path / "new" / "folder", FakeTokenizer())
    assert (tmp_path / "new" / "folder" / "tokenizer.json").is_file()


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
    """A sound checkpoint to damage."""
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


def test_the_sound_checkpoint_loads(packed: Path) -> None:
    """Guards the tests below: it is the damage that is refused."""
    load(packed)
    edit_config(packed, lambda config: None)
    edit_tensors(packed, lambda tensors: None)
    load(packed)


def test_missing_folder(tmp_path: Path) -> None:
    rejected(tmp_path / "none", "config.json: not found")


def test_missing_configuration(packed: Path) -> None:
    (packed / "config.json").unlink()
    rejected(packed, r"config\.json: not found")


def test_missing_weights(packed: Path) -> None:
    weights_of(packed).unlink()
    rejected(packed, r"safetensors: not found")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64], ids=["empty", "text", "binary"])
def test_weights_that_are_no_safetensors(packed: Path, content: bytes) -> None:
    weights_of(packed).write_bytes(content)
    rejected(packed, "checksum")
    edit_config(packed, lambda config: None)
    rejected(packed, "not a readable safetensors file")


@pytest.mark.parametrize("kept", [4, 100, -1])
def test_truncated_weights(packed: Path, kept: int) -> None:
    path = weights_of(packed)
    path.write_bytes(path.read_bytes()[:kept])
    rejected(packed, "checksum")
    edit_config(packed, lambda config: None)
    rejected(packed, "not a readable safetensors file")


@pytest.mark.parametrize("content", ["", "{", "\udcff"], ids=["empty", "half", "no UTF-8"])
def test_a_configuration_that_is_no_json(packed: Path, content: str) -> None:
    (packed / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    rejected(packed, "config.json: not valid JSON")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"format_version": 3}, "format_version 3.*reads 2", id="newer version"),
        pytest.param({"format_version": 1}, "format_version 1.*reads 2", id="older version"),
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
def test_a_quantisation_this_loader_cannot_read(packed: Path, change: dict, message: str) -> None:
    edit_config(packed, lambda config: config["quantization_config"].update(change))
    rejected(packed, message)


@pytest.mark.parametrize("content", ["{}", "[]", '{"model_type": "no-such-family"}'])
def test_a_configuration_of_no_model(packed: Path, content: str) -> None:
    (packed / "config.json").write_text(content)
    rejected(packed, "config.json")
    if content.startswith("{"):
        edit_config(packed, lambda config: None)
        rejected(packed, "config.json")


def test_a_quantisation_that_is_no_mapping(packed: Path) -> None:
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
        pytest.param({"activation": {"bits": 1}}, id="activation bits no format has"),
        pytest.param({"activation": {"width": 8}}, id="unknown activation field"),
    ],
)
def test_an_entry_that_does_not_fit(packed: Path, entry: dict) -> None:
    edit_config(packed, lambda config: config["quantization_config"]["modules"][QUERY].update(entry))
    rejected(packed, re.escape(QUERY))


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
def test_a_missing_tensor(packed: Path, name: str) -> None:
    edit_tensors(packed, lambda tensors: tensors.pop(name))
    rejected(packed, re.escape(name.rpartition(".")[2]))


@pytest.mark.parametrize("name", ["extra", f"{QUERY}.weight_packed", f"{WORDS}.bias", f"{QUERY}.zero_point"])
def test_a_surplus_tensor(packed: Path, name: str) -> None:
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
def test_a_tensor_that_does_not_fit(packed: Path, name: str, tensor: torch.Tensor) -> None:
    edit_tensors(packed, lambda tensors: tensors.update({name: tensor}))
    rejected(packed, re.escape(name.rpartition(".")[0]))


def test_another_depth(packed: Path) -> None:
    edit_config(packed, lambda config: config.update(num_hidden_layers=5))
    rejected(packed, "missing tensors")


def test_another_width_of_an_inputs_only_checkpoint(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student("bert", weight_bits=32, activation_bits=8), tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors.update({f"{QUERY}.weight": torch.zeros(64 * 32)}))
    rejected(tmp_path, re.escape(QUERY))


def test_transformers_alone_loads_a_full_precision_folder(
    student: Callable[..., Any], batch: Callable[..., Any], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    model = student("bert", weight_bits=32, activation_bits=32)
    save_packed(model, tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(**batch("bert")).logits, model(**batch("bert")).logits)


def test_packed_layers_hold_no_float_weight(packed: Path) -> None:
    model = load(packed, "torch")
    assert model.get_submodule(QUERY).integers.dtype == torch.int8
    assert not any(isinstance(module, LowBitLinear) for module in model.modules())
    assert f"{QUERY}.weight" not in model.state_dict()
