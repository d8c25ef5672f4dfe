"""Students whose scales were trained, or whose two bits have no zero: the file gives their logits bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from packed_layers import weights_of
from safetensors.torch import load_file

from xtc_study.compress.quantization.freeze import freeze
from xtc_study.compress.quantization.quantizers import Quantized, dequantize
from xtc_study.deploy.export.dequantize import dequantized
from xtc_study.packed.as_stored import rounded_student
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.checksums import CheckpointError, write_config
from xtc_study.packed.loading import load

ODD = {"weight_bits": 2, "two_bit_levels": "odd"}
LEARNED = {"weight_scale": "learned"}
RECIPES: dict[str, dict[str, Any]] = {
    "1 bit": LEARNED,
    "1 bit a row": {"granularity": "row", **LEARNED},
    "1 bit, groups": {"granularity": "group:16", **LEARNED},
    "2 bits": {"weight_bits": 2, **LEARNED},
    "2 bits a row, inputs as they are": {"weight_bits": 2, "granularity": "row", "activation_bits": 32, **LEARNED},
    "4 bits, groups": {"weight_bits": 4, "granularity": "group:8", **LEARNED},
    "odd": ODD,
    "odd, learned": {**ODD, **LEARNED},
    "odd, learned, groups, every table": {**ODD, **LEARNED, "granularity": "group:16", "quantise_tables": True},
    "odd table": {"embedding_bits": 2, "two_bit_levels": "odd"},
    "odd table, learned": {"embedding_bits": 2, "two_bit_levels": "odd", **LEARNED},
}


@pytest.fixture
def trained(student: Callable[..., Any], batch: Callable[..., Any]) -> Callable[..., Any]:
    """``trained(**fields)``: a frozen student after three steps of AdamW, whose learned scales have all moved."""

    def make(**fields: Any) -> Any:
        model = student("bert", layers=1, **fields).train()
        learned = {name: p for name, p in model.named_parameters() if name.endswith(".weight_scale")}
        start = {name: parameter.detach().clone() for name, parameter in learned.items()}
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            model(**batch("bert"), labels=torch.tensor([0, 1, 2])).loss.backward()
            optimizer.step()
        assert bool(learned) == (fields.get("weight_scale") == "learned")
        assert all(not torch.equal(parameter, start[name]) for name, parameter in learned.items())
        freeze(model)
        return model

    return make


@torch.no_grad()
@pytest.mark.parametrize("rest", ["fp32", "fp16", "8bit"])
@pytest.mark.parametrize("name", RECIPES)
def test_file_gives_the_trained_students_logits(
    trained: Callable[..., Any], batch: Callable[..., Any], engine: str, name: str, rest: str, tmp_path: Path
) -> None:
    with torch.enable_grad():
        model = trained(**RECIPES[name])
    expected = rounded_student(model, rest)(**batch("bert")).logits
    assert rest != "fp32" or torch.equal(expected, model(**batch("bert")).logits)
    save_packed(model, tmp_path, rest=rest)
    assert torch.equal(load(tmp_path, engine)(**batch("bert")).logits, expected)


@pytest.mark.parametrize("name", ["1 bit, groups", "odd, learned"])
def test_learned_scales_are_the_files_bit_for_bit(trained: Callable[..., Any], name: str, tmp_path: Path) -> None:
    model = trained(**RECIPES[name])
    save_packed(model, tmp_path)
    stored = load_file(weights_of(tmp_path))
    learned = {name: value for name, value in model.named_parameters() if name.endswith(".weight_scale")}
    assert learned and all(torch.equal(stored[name].reshape(-1), value) for name, value in learned.items())


@torch.no_grad()
def test_levels_without_a_zero_are_named_in_the_file_and_take_two_bits(
    student: Callable[..., Any], tmp_path: Path
) -> None:
    save_packed(student("bert", layers=1, **ODD), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert config["format_version"] == 2, "an older reader refuses the packing"
    linear = config["modules"]["bert.encoder.layer.0.intermediate.dense"]
    assert (linear["bits"], linear["packing"]) == (2, "b2-odd-le")
    stored = load_file(weights_of(tmp_path))
    assert stored["bert.encoder.layer.0.intermediate.dense.weight"].numel() == 64 * 32 // 4
    assert stored["bert.embeddings.word_embeddings.weight"].numel() == 101 * 32 // 4


@torch.no_grad()
def test_plain_copy_for_exports_has_the_same_weights(student: Callable[..., Any], tmp_path: Path) -> None:
    model = student("bert", layers=1, **ODD)
    save_packed(model, tmp_path)
    plain, name = dequantized(tmp_path), "bert.encoder.layer.0.intermediate.dense"
    for place in (name, "bert.embeddings.word_embeddings"):
        integers, scale = model.get_submodule(place).stored_weight()
        assert set(integers.unique().tolist()) == {-3, -1, 1, 3}
        assert torch.equal(plain.get_submodule(place).weight, dequantize(Quantized(integers.float(), scale)))


@pytest.mark.parametrize(
    ("bits", "packing", "message"),
    [
        (2, "b2-le", "packing 'b2-le', expected 'base3' or 'b2-odd-le' for 2 bits"),
        (1, "b2-odd-le", "packing 'b2-odd-le', expected 'b1-le' for 1 bits"),
        (4, "b2-odd-le", "packing 'b2-odd-le', expected 'b4-le' for 4 bits"),
    ],
)
def test_another_packing_is_refused(
    student: Callable[..., Any], bits: int, packing: str, message: str, tmp_path: Path
) -> None:
    save_packed(student("bert", layers=1, **ODD), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"]["modules"]["bert.pooler.dense"] |= {"bits": bits, "packing": packing}
    write_config(tmp_path, config)
    with pytest.raises(CheckpointError, match=rf"module 'bert\.pooler\.dense': {message}"):
        load(tmp_path)
