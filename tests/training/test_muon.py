"""Muon: its step by hand, its matrices, and one optimiser made of two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.training.muon import MuonWithAdamW, muon_matrices
from xtc_study.training.pipeline import Pipeline


def singular_value(start: float) -> float:
    """What five Newton-Schulz iterations make of a singular value (coefficients of Jordan et al.)."""
    for _ in range(5):
        start = 3.4445 * start - 4.7750 * start**3 + 2.0315 * start**5
    return start


def adamw(groups: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=0.1, fused=True)


def test_a_step_by_hand() -> None:
    """A matrix with one singular value, 3 = 1 * its Frobenius norm, and one with two, each 1/sqrt(2) of the norm."""
    one = torch.nn.Parameter(torch.tensor([[2.0]]))
    tall = torch.nn.Parameter(torch.zeros(4, 2))
    rest = torch.nn.Parameter(torch.tensor([7.0]))
    optimiser = MuonWithAdamW(adamw([{"params": [one, tall, rest], "weight_decay": 0.5}]), [one, tall], 0.1)
    one.grad, rest.grad = torch.tensor([[3.0]]), torch.tensor([-4.0])
    tall.grad = torch.tensor([[0.0, 0.0], [0.0, -2.0], [2.0, 0.0], [0.0, 0.0]])
    optimiser.step()

    # Decay by rate * decay, then 0.2 * sqrt(the longer side) * rate * the orthogonalised momentum.
    assert singular_value(1.0) == pytest.approx(0.696, abs=1e-3)
    assert one.item() == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 0.696, abs=2e-4)
    size = 0.1 * 0.2 * 2 * singular_value(2**-0.5)
    expected = torch.tensor([[0.0, 0.0], [0.0, size], [-size, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(tall.detach(), expected, rtol=0.02, atol=1e-6)
    # AdamW's first step: its rate, in the direction of the gradient.
    assert rest.item() == pytest.approx(7 * (1 - 0.1 * 0.5) + 0.1)


def test_momentum_by_hand() -> None:
    """With a gradient that turns round the sign of Nesterov's momentum decides: 0.05 g1, then 0.95 of the lerp."""
    weight = torch.nn.Parameter(torch.zeros(1, 1))
    optimiser = MuonWithAdamW(adamw([{"params": [weight], "weight_decay": 0.0}]), [weight], 1.0)
    seen = []
    for gradient in (1.0, -0.5, -0.5):
        weight.grad = torch.tensor([[gradient]])
        before = weight.item()
        optimiser.step()
        seen.append(weight.item() - before)
    # buffer: .05, .0225, -.003625; momentum: buffer + .05 * (gradient - buffer) = .0975, -.003625, -.02844...
    assert [change > 0 for change in seen] == [False, True, True]
    assert [abs(change) for change in seen] == pytest.approx([0.2 * 0.696] * 3, rel=0.02)


def names_of(model: Any, matrices: list[torch.nn.Parameter]) -> set[str]:
    chosen = {id(matrix) for matrix in matrices}
    return {name for name, parameter in model.named_parameters() if id(parameter) in chosen}


@pytest.mark.parametrize("fields", [None, {}, {"quantise_pooler": False}, {"quantise_tables": True}], ids=str)
def test_which_matrices_muon_moves(tiny: Callable[..., Any], fields: dict[str, Any] | None) -> None:
    model = tiny()
    if fields is not None:
        make_low_bit(model, Recipe.of(task="cola", **fields))
    names = names_of(model, muon_matrices(model))
    in_layers = {
        name
        for name, parameter in model.named_parameters()
        if ".encoder.layer." in name and parameter.dim() == 2 and "LayerNorm" not in name
    }
    assert len(in_layers) == 6 * model.config.num_hidden_layers
    pooler = {"bert.pooler.dense.weight"} if fields is not None and fields.get("quantise_pooler", True) else set()
    assert names == in_layers | pooler


def test_one_optimiser_made_of_two(tiny: Callable[..., Any]) -> None:
    """All parameters once, those of AdamW as without Muon, decay as the groups have it, one schedule."""
    model, plain = tiny(), tiny()
    plain.load_state_dict(model.state_dict())

    def groups(of: Any) -> list[dict[str, Any]]:
        decayed = [parameter for parameter in of.parameters() if parameter.dim() == 2]
        others = [parameter for parameter in of.parameters() if parameter.dim() != 2]
        return [{"params": decayed, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]

    matrices = muon_matrices(model)
    optimiser, alone = MuonWithAdamW(adamw(groups(model)), matrices, 0.02), adamw(groups(plain))
    held = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, model.parameters()))
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.3, 0.0, 0.3]
    assert [id(parameter) for parameter in optimiser.param_groups[2]["params"]] == [id(one) for one in matrices]

    # Half of the warm-up's two steps, then the peak, of each group's own rate.
    schedulers = [get_scheduler("linear", one, 2, 10) for one in (optimiser, alone)]
    generator = torch.Generator().manual_seed(0)
    for expected in ([0.0, 0.0, 0.0], [0.05, 0.05, 0.01], [0.1, 0.1, 0.02]):
        assert schedulers[0].get_last_lr() == pytest.approx(expected)
        for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            theirs.grad = mine.grad.clone()
        optimiser.step()
        alone.step()
        for scheduler in schedulers:
            scheduler.step()
    moved_by_muon = names_of(model, matrices)
    for (name, mine), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs) is (name not in moved_by_muon)


def test_state_is_saved_and_loaded_bit_for_bit(tmp_path: Path) -> None:
    def made() -> tuple[list[torch.nn.Parameter], MuonWithAdamW]:
        torch.manual_seed(0)
        parameters = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(4))]
        return parameters, MuonWithAdamW(adamw([{"params": parameters, "weight_decay": 0.1}]), parameters[:1], 0.1)

    def step(parameters: list[torch.nn.Parameter], optimiser: MuonWithAdamW, number: int) -> None:
        for parameter in parameters:
            parameter.grad = torch.cos(torch.arange(float(parameter.numel())) * number).reshape(parameter.shape)
        optimiser.step()

    (whole, optimiser), (resumed, fresh) = made(), made()
    for number in range(1, 5):
        step(whole, optimiser, number)
        if number == 2:
            torch.save(optimiser.state_dict(), tmp_path / "state.pt")
            for mine, theirs in zip(resumed, whole, strict=True):
                mine.data.copy_(theirs.data)
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for number in (3, 4):
        step(resumed, fresh, number)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(resumed, whole, strict=True))


def test_a_torch_without_muon_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match=r"optimizer='muon' needs torch 2\.9 or newer.*choose optimizer 'adamw'"):
        Pipeline(Recipe.of(task="toy-sentiment", optimizer="muon"), Places(tmp_path / "results"))
    assert list(tmp_path.iterdir()) == []
