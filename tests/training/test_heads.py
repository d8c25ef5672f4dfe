"""A classifier fine-tuned elsewhere: its classes are matched by name; a head without names is not used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from xtc_study.tasks.task import Task
from xtc_study.training.heads import class_names, match_head
from xtc_study.training.pretrained import load_encoder, load_with_head

TASK = Task("t", "?", ("sentence",), ("bad", "good", "so_so"), ("accuracy",))
REGRESSION = Task("t", "?", ("sentence",), (), ("pearson",))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("bad", "good", "so_so"), (0, 1, 2)),
        (("so_so", "bad", "good"), (1, 2, 0)),
        (("SO-SO", "Good", " bad"), (2, 1, 0)),
        (("good", "So so", "bad"), (2, 0, 1)),
    ],
)
def test_classes_are_matched_by_name(names: tuple[str, ...], order: tuple[int, ...]) -> None:
    head = match_head(names, 3, TASK)
    assert (head.kind, head.order) == ("matched", order)
    assert ("its rows are reordered" in head.text) == (order != (0, 1, 2))


@pytest.mark.parametrize(
    ("names", "outputs", "message"),
    [
        (("good", "bad"), 2, "has 2 outputs, the task 3 classes (bad, good, so_so); a new one is drawn"),
        (("a", "b", "c"), 3, "has the classes a, b, c, the task bad, good, so_so; a new one is drawn"),
        (("good", "Good", "bad"), 3, "has the classes good, Good, bad"),
        (None, 3, "does not name the 3 classes of its head (id2label)"),
    ],
)
def test_a_head_of_other_classes_is_not_used(names: tuple[str, ...] | None, outputs: int, message: str) -> None:
    head = match_head(names, outputs, TASK)
    assert head.kind == "drawn" and message in head.text


def test_exact_names_are_matched_before_names_without_case() -> None:
    task = Task("t", "?", ("sentence",), ("US", "us"), ("accuracy",))
    assert match_head(("us", "US"), 2, task).order == (1, 0)
    assert match_head(("u-s", "US"), 2, task).kind == "drawn"


def test_the_head_of_a_regression_has_one_output() -> None:
    assert match_head(None, 1, REGRESSION).kind == "matched"
    assert match_head(None, 1, REGRESSION, unit_known=False).kind == "drawn"
    assert "has 2 outputs" in match_head(("bad", "good"), 2, REGRESSION, unit_known=False).text
    assert match_head(("bad", "good"), 2, REGRESSION).kind == "drawn"
    assert match_head(None, 1, TASK).kind == "drawn"


def test_class_names_are_read_from_id2label_or_label2id_without_placeholders() -> None:
    config = transformers.BertConfig(num_labels=2)
    assert class_names(config) is None, "LABEL_0, LABEL_1"
    config.id2label = {"1": "good", "0": "bad"}
    assert class_names(config) == ("bad", "good")
    config = transformers.BertConfig(num_labels=2)
    config.label2id = {"good": 0, "bad": 1}
    assert class_names(config) == ("good", "bad")
    config.label2id = {"good": 1, "bad": 2}
    assert class_names(config) is None


@pytest.fixture
def tuned(tiny: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[Any, str]]:
    """Save a classifier with these class names: ``tuned(family, names)`` returns it and its folder."""

    def make(family: str, names: dict[int, str], **fields: Any) -> tuple[Any, str]:
        model = tiny(family, layers=1, labels=len(names))
        model.config.id2label, model.config.label2id = names, {name: number for number, name in names.items()}
        model.save_pretrained(tmp_path / family)
        config = tmp_path / family / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
        return model, str(tmp_path / family)

    return make


def logits(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batch).logits
    return found


def test_rows_of_the_head_are_reordered_to_the_task(
    family: str, tuned: Callable[..., Any], batch: Callable[..., Any]
) -> None:
    model, folder = tuned(family, {0: "good", 1: "so_so", 2: "bad"})
    loaded, head = load_with_head(folder, TASK, 0)
    assert head.kind == "matched" and "good, so_so, bad" in head.text
    assert torch.equal(logits(loaded, batch(family)), logits(model, batch(family))[:, [2, 0, 1]])
    assert loaded.config.id2label == {0: "bad", 1: "good", 2: "so_so"}
    assert loaded.config.label2id == {"bad": 0, "good": 1, "so_so": 2}


def test_a_head_without_names_is_redrawn_by_seed_and_other_weights_are_kept(tuned: Callable[..., Any]) -> None:
    model, folder = tuned("bert", {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    before = model.state_dict()
    one, same, other = (load_encoder(folder, TASK, seed).state_dict() for seed in (0, 0, 1))
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name])
        assert torch.equal(tensor, before[name]) == (not name.startswith("classifier."))
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
    assert one["classifier.bias"].eq(0).all() and 0.1 < one["classifier.weight"].std() < 0.3, "the range is 0.2"


def test_the_head_of_a_token_classifier_is_not_used(tuned: Callable[..., Any]) -> None:
    names = {0: "bad", 1: "good", 2: "so_so"}
    model, folder = tuned("bert", names, architectures=["BertForTokenClassification"])
    loaded, head = load_with_head(folder, TASK, 0)
    assert head.kind == "drawn" and "BertForTokenClassification" in head.text
    assert not torch.equal(loaded.classifier.weight, model.classifier.weight)


def test_a_checkpoint_without_a_head_is_reported(tiny: Callable[..., Any], tmp_path: Path) -> None:
    tiny("bert", layers=1).bert.save_pretrained(tmp_path)
    loaded, head = load_with_head(str(tmp_path), TASK, 3)
    assert head.kind == "none"
    transformers.set_seed(3)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).state_dict()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in loaded.state_dict().items())
