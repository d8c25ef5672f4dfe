from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from packed_layers import STATIC, weights_of

from xtc_study.compress.quantization.freeze import Freezable, freeze
from xtc_study.packed.as_stored import rounded_student
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load

FORMATS: dict[str, dict[str, Any]] = {
    "1 bit": {"weight_bits": 1},
    "2 bits": {"weight_bits": 2},
    "3 bits": {"weight_bits": 3},
    "4 bits": {"weight_bits": 4},
    "8 bits": {"weight_bits": 8},
    "1 bit a row": {"weight_bits": 1, "granularity": "row"},
    "2 bits, groups of 16": {"weight_bits": 2, "granularity": "group:16"},
    "1 bit, static inputs": {"weight_bits": 1, **STATIC},
    "normalised": {"weight_bits": 1, "input_norm": "rms"},
    "normalised, 2 bits, 4 bits an input": {"weight_bits": 2, "activation_bits": 4, "input_norm": "rms"},
    "normalised weights only, groups": {"activation_bits": 32, "granularity": "group:8", "input_norm": "rms"},
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
    "2 bits without a zero": {"weight_bits": 2, "two_bit_levels": "odd"},
    "table without a zero": {"weight_bits": 1, "embedding_bits": 2, "two_bit_levels": "odd"},
    "full precision": {"weight_bits": 32, "activation_bits": 32},
}


@torch.no_grad()
@pytest.mark.parametrize("name", FORMATS)
def test_student_reloads_bit_for_bit(
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
def test_rounded_rest_reloads_bit_for_bit(
    student: Callable[..., Any], batch: Callable[..., Any], name: str, rest: str, tmp_path: Path
) -> None:
    model = student("bert", **FORMATS[name])
    before = model(**batch("bert")).logits
    rounded = rounded_student(model, rest)(**batch("bert")).logits
    assert save_packed(model, tmp_path / "small", rest=rest) < save_packed(model, tmp_path / "fp32")
    assert torch.equal(load(tmp_path / "small")(**batch("bert")).logits, rounded)
    assert not torch.equal(rounded, before), "rounding changes the logits"
    assert torch.equal(model(**batch("bert")).logits, before), "and the student itself does not change"


@torch.no_grad()
def test_single_sentence_gives_the_same_logits(
    student: Callable[..., Any], batch: Callable[..., Any], tmp_path: Path
) -> None:
    model = student("bert", weight_bits=1)
    save_packed(model, tmp_path)
    ids = batch("bert")["input_ids"][1:2, :6]
    assert torch.equal(load(tmp_path)(input_ids=ids).logits, model(input_ids=ids).logits)


def header(path: Path) -> tuple[dict[str, Any], int]:
    """Read the header of a safetensors file without safetensors: its tensors, and where the data begin."""
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
def test_file_stores_real_bits(student: Callable[..., Any], bits: int, packed_bytes: int, tmp_path: Path) -> None:
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


def test_full_precision_file_has_every_parameter(student: Callable[..., Any], tmp_path: Path) -> None:
    model = student("bert", weight_bits=32, activation_bits=32)
    size = save_packed(model, tmp_path)
    _, data = header(weights_of(tmp_path))
    assert size == data + 4 * sum(parameter.numel() for parameter in model.parameters())
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())


def test_configuration_lists_the_packed_modules(student: Callable[..., Any], tmp_path: Path) -> None:
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


def test_configuration_names_the_norm_only_where_there_is_one(student: Callable[..., Any], tmp_path: Path) -> None:
    for name, fields in (("plain", {}), ("normalised", {"input_norm": "rms"})):
        save_packed(student("bert", layers=1, **fields), tmp_path / name)
    plain, normalised = (
        json.loads((tmp_path / name / "config.json").read_text())["quantization_config"]
        for name in ("plain", "normalised")
    )
    linears = {name for name, entry in plain["modules"].items() if entry["kind"] == "linear"}
    assert {name for name, entry in normalised["modules"].items() if entry.pop("input_norm", None) == "rms"} == linears
    assert normalised == plain


@pytest.mark.parametrize("bits", [1, 32])
def test_configuration_omits_where_the_student_was_trained(
    student: Callable[..., Any], bits: int, tmp_path: Path
) -> None:
    model = student(weight_bits=bits, activation_bits=32)
    model.config._name_or_path = "/home/somebody/results/steps/quantise-0"
    save_packed(model, tmp_path)
    assert "somebody" not in (tmp_path / "config.json").read_text()


def test_saving_replaces_another_checkpoint(student: Callable[..., Any], tmp_path: Path) -> None:
    larger = save_packed(student("bert", weight_bits=8), tmp_path)
    assert save_packed(student("bert", weight_bits=1), tmp_path) < larger
    load(tmp_path)


class FakeTokenizer:
    def save_pretrained(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{}")


def test_tokenizer_is_saved_with_the_model(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student("bert"), tmp_path / "new" / "folder", FakeTokenizer())
    assert (tmp_path / "new" / "folder" / "tokenizer.json").is_file()


@torch.no_grad()
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("value", [3e38, float("nan")])
def test_error_names_non_finite_weights_before_writing(
    student: Callable[..., Any], bits: int, value: float, tmp_path: Path
) -> None:
    model, name = student("bert", weight_bits=bits), "bert.encoder.layer.1.intermediate.dense"
    model.get_submodule(name).weight[3] = value
    folder = tmp_path / "new"
    if bits == 4 and value == 3e38:  # the largest is all that counts
        save_packed(model, folder)
        assert float(load(folder, "torch").get_submodule(name).weight_scale) == pytest.approx(3e38 / 7)
        return
    with pytest.raises(ValueError, match=rf"module '{name}': a scale of its weight is (inf|nan)"):
        save_packed(model, folder, FakeTokenizer())
    assert not folder.exists()


@torch.no_grad()
def test_error_names_a_non_finite_bias_before_writing(student: Callable[..., Any], tmp_path: Path) -> None:
    model = student("bert", weight_bits=1)
    model.classifier.bias[0] = float("inf")
    with pytest.raises(ValueError, match=r"tensor classifier\.bias contains a number that is not finite"):
        save_packed(model, tmp_path / "new", FakeTokenizer())
    assert not (tmp_path / "new").exists()


@torch.no_grad()
@pytest.mark.parametrize("rest", ["fp32", "8bit"])
@pytest.mark.parametrize("name", ["1 bit", "2 bits, groups of 16", "every table"])
def test_file_stores_the_frozen_weights(
    student: Callable[..., Any], batch: Callable[..., Any], name: str, rest: str, tmp_path: Path
) -> None:
    model = student("bert", **FORMATS[name])
    freeze(model)
    before = rounded_student(model, rest)(**batch("bert")).logits
    for module in model.modules():
        if isinstance(module, Freezable):
            module.weight.mul_(3)
    save_packed(model, tmp_path, rest=rest)
    assert torch.equal(load(tmp_path)(**batch("bert")).logits, before)
    assert torch.equal(rounded_student(model, rest)(**batch("bert")).logits, before)


def test_transformers_alone_loads_a_full_precision_folder(
    student: Callable[..., Any], batch: Callable[..., Any], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    model = student("bert", weight_bits=32, activation_bits=32)
    save_packed(model, tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(**batch("bert")).logits, model(**batch("bert")).logits)
