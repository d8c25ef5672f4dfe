from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor

from xtc_study.compress.reduction.width import feed_forwards
from xtc_study.training import importance as module
from xtc_study.training.importance import importances


def padded(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        mask[place, : len(row["input_ids"])] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


ROWS = Dataset.from_dict({"input_ids": [[5, 9, 33, 70], [8, 12], [99, 4, 4]], "labels": [0, 2, 1]})


def test_importance_is_the_first_order_change_of_the_loss(tiny: Callable[..., Any], family: str) -> None:
    """One row: scaling a unit's column scales its activation at every position. Compare with a central difference."""
    model, row, small = tiny(family).double(), ROWS.select([0]), 1e-5
    found = importances(model, row, padded)
    inputs = padded([row[0]])
    labels = inputs.pop("labels")
    assert len(found) == 4 and found[0].shape == (64,)
    for layer, unit in ((0, 3), (3, 60)):
        column = model.get_submodule(feed_forwards(model)[layer].down).weight.data[:, unit]
        before, losses = column.clone(), []
        for scale in (1 + small, 1 - small):
            column.copy_(before * scale)
            with torch.no_grad():
                losses.append(float(F.cross_entropy(model(**inputs).logits, labels)))
        column.copy_(before)
        assert float(found[layer][unit]) == pytest.approx(abs(losses[0] - losses[1]) / (2 * small), rel=1e-2)


def test_importance_is_averaged_over_rows_without_padding(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = importances(tiny("bert"), ROWS, padded)
    monkeypatch.setattr(module, "BATCH_SIZE", 1)
    alone = importances(tiny("bert"), ROWS, padded)
    each = [importances(tiny("bert"), ROWS.select([place]), padded) for place in range(3)]
    for layer in range(4):
        assert torch.allclose(together[layer], alone[layer], rtol=1e-3, atol=1e-7)
        assert torch.allclose(alone[layer], sum(one[layer] for one in each) / 3, rtol=1e-4)


def test_a_unit_with_zero_output_has_zero_importance(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    with torch.no_grad():
        model.get_submodule(feed_forwards(model)[1].down).weight[:, 5] = 0
    found = importances(model, ROWS, padded)
    assert found[1][5] == 0 and (found[1] > 0).sum() > 60


def test_importances_leave_the_model_unchanged_and_read_few_rows(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("bert").train()
    model.classifier.weight.requires_grad_(False)
    monkeypatch.setattr(module, "ROWS", 2)
    seen: list[int] = []

    def counting(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        seen.extend(row["labels"] for row in rows)
        return padded(rows)

    importances(model, ROWS, counting)
    assert seen == [0, 1], "evenly spaced: the first and the third row"
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert [name for name, one in model.named_parameters() if not one.requires_grad] == ["classifier.weight"]
    assert not any(part._forward_pre_hooks for part in model.modules())
