from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from xtc_study.tasks.task import Task
from xtc_study.training.predict import decide, predict, scores

CLASSES = Task("t", "?", ("sentence",), ("a", "b", "c"), ("accuracy",), ("matched", "mismatched"))
REGRESSION = Task("t", "?", ("sentence",), (), ("pearson", "spearman"))


class Rows:
    """An encoded split of sentences of given lengths, each one word repeated."""

    def __init__(self, words: list[int], lengths: list[int], labels: list[float]) -> None:
        self.columns = {"words": words, "length": lengths, "labels": labels}

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]

    def __getitems__(self, numbers: list[int]) -> list[dict[str, Any]]:
        words, lengths, labels = self.columns.values()
        return [{"input_ids": [words[row]] * int(lengths[row]), "labels": labels[row]} for row in numbers]


def padded(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.tensor([row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows])
    labels = torch.tensor([row["labels"] for row in rows])
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


class FirstWord(nn.Module):
    """A model whose logits are a sentence's first word and its length; it records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(()))
        self.batches: list[list[int]] = []
        self.modes: set[tuple[bool, bool]] = set()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        lengths = attention_mask.sum(1)
        self.batches.append(lengths.tolist())
        self.modes.add((self.training, torch.is_grad_enabled()))
        return SimpleNamespace(logits=torch.stack([input_ids[:, 0], lengths], 1).to(torch.bfloat16))


def test_logits_are_in_the_order_of_the_rows() -> None:
    generator = np.random.default_rng(0)
    words, lengths = generator.integers(1, 100, 150).tolist(), generator.integers(1, 20, 150).tolist()
    model = FirstWord()
    logits = predict(model, Rows(words, lengths, [0] * 150), padded)
    assert logits.dtype == np.float32
    assert logits.tolist() == [[word, length] for word, length in zip(words, lengths, strict=True)]
    assert [len(batch) for batch in model.batches] == [64, 64, 22]
    assert [length for batch in model.batches for length in batch] == sorted(lengths), (
        "sentences of like length share a batch"
    )


@pytest.mark.parametrize("training", [True, False])
def test_prediction_uses_evaluation_mode_and_restores_the_mode(training: bool) -> None:
    model = FirstWord().train(training)
    predict(model, Rows([1], [1], [0]), padded)
    assert model.modes == {(False, False)}
    assert model.training is training


def test_the_mode_is_restored_after_an_error() -> None:
    model = FirstWord().train()
    with pytest.raises(ZeroDivisionError):
        predict(model, Rows([1], [1], [0]), lambda rows: 1 // 0)
    assert model.training


def test_batching_changes_no_prediction(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    words, lengths = [7, 50, 9, 23], [12, 3, 5, 1]
    together = predict(model, Rows(words, lengths, [0] * 4), padded)
    alone = [predict(model, Rows([w], [n], [0]), padded)[0] for w, n in zip(words, lengths, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_decide_gives_classes_and_regression_values() -> None:
    logits = np.array([[0.1, 0.7, 0.2], [3.0, -1.0, 0.0]], dtype=np.float32)
    assert decide(logits, CLASSES).tolist() == [1, 0]
    assert decide(np.array([[0.25], [-3.0]], dtype=np.float32), REGRESSION).tolist() == [0.25, -3.0]
    assert decide(logits, CLASSES).dtype == np.float64


def test_scores_have_every_split_and_metric() -> None:
    # FirstWord predicts class 0 if the word exceeds the length, else class 1
    splits = {
        "matched": Rows([5, 1, 9, 1], [2, 3, 4, 6], [0, 1, 0, 0]),
        "mismatched": Rows([5, 1], [2, 3], [1, 1]),
    }
    assert scores(FirstWord(), splits, padded, CLASSES) == {
        "matched": {"accuracy": 0.75},
        "mismatched": {"accuracy": 0.5},
    }
    regression = {"dev": Rows([1, 2, 3], [9, 1, 4], [10.0, 20.0, 30.0])}
    assert scores(FirstWord(), regression, padded, REGRESSION)["dev"] == pytest.approx({"pearson": 1, "spearman": 1})
