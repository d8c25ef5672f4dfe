"""Decide whether a checkpoint's classification head fits the task, by comparing the names of its classes.

A checkpoint that was fine-tuned elsewhere may have the task's classes in another order, or as many other classes.
Matched by position, its head would silently give wrong predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from xtc_study.tasks.task import Task

Kind = Literal["none", "matched", "drawn"]


@dataclass(frozen=True)
class Head:
    """Whether a checkpoint's head is used, and why."""

    kind: Kind
    """none: the checkpoint has no head; matched: its head is used; drawn: its head is replaced by a random one."""
    text: str
    """The same in words, with the reason."""
    order: tuple[int, ...] = ()
    """For a matched head: the row of the checkpoint's head for each class of the task."""


NO_HEAD = Head("none", "the checkpoint brings no classification head; one is drawn at random")


def class_names(config: Any) -> tuple[str, ...] | None:
    """Return the classes of a checkpoint's head in the order of its rows; None if they have no names.

    transformers fills in LABEL_0, LABEL_1, ... as placeholders.
    """
    by_id = {int(key): str(name) for key, name in (getattr(config, "id2label", None) or {}).items()}
    if _are_placeholders(by_id):
        by_name = getattr(config, "label2id", None) or {}
        by_id = {int(key): str(name) for name, key in by_name.items() if str(key).isdigit()}
    if _are_placeholders(by_id) or sorted(by_id) != list(range(len(by_id))):
        return None
    return tuple(by_id[key] for key in range(len(by_id)))


def match_head(names: tuple[str, ...] | None, outputs: int, task: Task, unit_known: bool = True) -> Head:
    """Decide whether a head with these outputs and class names is used for this task.

    Names match if they are equal without blanks, hyphens, underscores and case. A head with one output fits a
    regression, whatever its name, if its values are in the unit of the labels.

    Args:
        names: the classes of the head (``class_names``).
        outputs: the number of outputs of the head.
        task: names the classes, or is a regression.
        unit_known: whether the head's values are known to be in the unit of the labels. A head with values from 0 to 5
            is useless for labels of 400,000.
    """
    if task.is_regression:
        if outputs == 1 and not unit_known:
            return Head(
                "drawn",
                "the checkpoint's head has one output, as the regression needs, but the unit of its values is not "
                "known; a new one is drawn at random",
            )
        if outputs == 1:
            return Head("matched", "the checkpoint's head has one output, as the regression needs", (0,))
        return Head(
            "drawn",
            f"the checkpoint's head has {outputs} outputs, a regression needs one; a new one is drawn at random",
        )

    wanted = ", ".join(task.labels)
    if outputs != task.num_labels:
        return Head(
            "drawn",
            f"the checkpoint's head has {outputs} outputs, the task {task.num_labels} classes ({wanted}); a new one "
            "is drawn at random",
        )
    if names is None:
        return Head(
            "drawn",
            f"the checkpoint's config.json does not name the {outputs} classes of its head (id2label), so they "
            f"cannot be matched to {wanted}; a new one is drawn at random",
        )

    rows = _rows(names, task.labels)
    if rows is None:
        return Head(
            "drawn",
            f"the checkpoint's head has the classes {', '.join(names)}, the task {wanted}; a new one is drawn at "
            "random",
        )
    moved = "" if rows == tuple(range(outputs)) else f"; its rows are reordered from {', '.join(names)}"
    return Head("matched", f"the checkpoint's head has the task's classes ({wanted}){moved}", rows)


def classifier_name(model: Any) -> str | None:
    """Return the name of the last linear layer, which gives the logits; None if its number of outputs is another."""
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linears or linears[-1][1].out_features != model.config.num_labels:
        return None
    return str(linears[-1][0])


def other_kind(config: Any) -> str | None:
    """Return the checkpoint's architecture if it does not classify whole texts, so that its head cannot be used."""
    kinds = [str(kind) for kind in getattr(config, "architectures", None) or []]
    return None if not kinds or any(kind.endswith("ForSequenceClassification") for kind in kinds) else kinds[0]


def not_of_texts(kind: str) -> Head:
    """Return the decision on the head of another kind of model, for instance one that labels each token."""
    return Head(
        "drawn", f"the checkpoint's head is that of a {kind} and does not classify texts; a new one is drawn at random"
    )


def apply_head(classifier: Any, head: Head, seed: int | None, spread: float) -> None:
    """Reorder the classifier's rows to the task's classes, or draw new ones: normal weights, zero biases.

    Args:
        classifier: the last linear layer; changed in place.
        head: what ``match_head`` returned.
        seed: seed of the drawn weights; None: a head that is not used has been redrawn already.
        spread: standard deviation of the drawn weights.
    """
    with torch.no_grad():
        if head.kind == "matched":
            order = list(head.order)
            for parameter in classifier.parameters():
                parameter.copy_(parameter[order].clone())
        elif seed is not None:
            generator = torch.Generator().manual_seed(seed)
            classifier.weight.copy_(torch.randn(classifier.weight.shape, generator=generator) * spread)
            if classifier.bias is not None:
                classifier.bias.zero_()


def name_classes(config: Any, task: Task) -> None:
    """Set the configuration's classes to those of the task, in place of the checkpoint's."""
    if task.labels:
        config.id2label = dict(enumerate(task.labels))
        config.label2id = {name: number for number, name in enumerate(task.labels)}


def _are_placeholders(names: Mapping[int, str]) -> bool:
    return not names or all(name.strip().upper() == f"LABEL_{key}" for key, name in names.items())


def _rows(names: tuple[str, ...], labels: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return the index in ``names`` of each of ``labels``; None if they are not the same names."""
    for plain in (str, _plain):
        places = {plain(name): place for place, name in enumerate(names)}
        wanted = [plain(label) for label in labels]
        if len(places) == len(names) and len(set(wanted)) == len(wanted) and set(wanted) == set(places):
            return tuple(places[name] for name in wanted)
    return None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " \t-_")
