"""Whether the classification head that a checkpoint brings is the task's: its classes are compared by name.

A checkpoint that was fine-tuned elsewhere may have the task's classes in another order, or other classes in the same
number. Kept by position its head would answer wrongly without a word.
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
    """What becomes of a checkpoint's head."""

    kind: Kind
    """none: the checkpoint brings no head; matched: its head is used; drawn: it brings one that is not used."""
    text: str
    """The same for a reader, with the reason."""
    order: tuple[int, ...] = ()
    """Of a matched head: the row of the checkpoint's head for each class of the task."""


NO_HEAD = Head("none", "the checkpoint brings no classification head; one is drawn")


def class_names(config: Any) -> tuple[str, ...] | None:
    """The classes of a checkpoint's head in the order of its rows; None where the configuration has no names for them.

    transformers fills in LABEL_0, LABEL_1, ... where a configuration names none.
    """
    by_id = {int(key): str(name) for key, name in (getattr(config, "id2label", None) or {}).items()}
    if _says_nothing(by_id):
        by_name = getattr(config, "label2id", None) or {}
        by_id = {int(key): str(name) for name, key in by_name.items() if str(key).isdigit()}
    if _says_nothing(by_id) or sorted(by_id) != list(range(len(by_id))):
        return None
    return tuple(by_id[key] for key in range(len(by_id)))


def match_head(names: tuple[str, ...] | None, outputs: int, task: Task, unit_known: bool = True) -> Head:
    """What becomes of a head with these outputs and class names for this task.

    Names are equal if they are after blanks, hyphens, underscores and case are left out of account. A head with one
    output suits a regression, whatever its name, if it answers in the unit of the labels.

    Args:
        unit_known: whether it does; False: nothing says so, and one that answers from 0 to 5 is of no use for labels
            of 400,000.
    """
    if task.is_regression:
        if outputs == 1 and not unit_known:
            return Head(
                "drawn",
                "the checkpoint's head has one output, as the regression needs, but nothing says in which unit it "
                "answers; one is drawn",
            )
        if outputs == 1:
            return Head("matched", "the checkpoint's head has one output, as the regression needs", (0,))
        return Head("drawn", f"the checkpoint's head has {outputs} outputs, the regression needs one; one is drawn")

    wanted = ", ".join(task.labels)
    if outputs != task.num_labels:
        return Head(
            "drawn",
            f"the checkpoint's head has {outputs} outputs, the task {task.num_labels} ({wanted}); one is drawn",
        )
    if names is None:
        return Head(
            "drawn",
            f"the checkpoint's config.json does not name the {outputs} classes of its head (id2label), so nothing "
            f"says which is which of {wanted}; one is drawn",
        )

    rows = _rows(names, task.labels)
    if rows is None:
        return Head("drawn", f"the checkpoint's head knows {', '.join(names)}, the task {wanted}; one is drawn")
    moved = "" if rows == tuple(range(outputs)) else f", its rows put into the task's order from {', '.join(names)}"
    return Head("matched", f"the checkpoint's head knows the task's classes by name ({wanted}){moved}", rows)


def classifier_name(model: Any) -> str | None:
    """The name of the linear whose outputs are the logits: the last one; None where it has another number of them."""
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linears or linears[-1][1].out_features != model.config.num_labels:
        return None
    return str(linears[-1][0])


def other_kind(config: Any) -> str | None:
    """What the checkpoint was trained as, where that is no classifier of whole texts and so its head is none."""
    kinds = [str(kind) for kind in getattr(config, "architectures", None) or []]
    return None if not kinds or any(kind.endswith("ForSequenceClassification") for kind in kinds) else kinds[0]


def not_of_texts(kind: str) -> Head:
    """The head of another kind of model, say of one that labels each token."""
    return Head("drawn", f"the checkpoint's head is a {kind}'s and does not classify texts; one is drawn")


def apply_head(classifier: Any, head: Head, seed: int | None, spread: float) -> None:
    """Puts the rows of the classifier into the task's order, or draws them: normal weights, biases zero.

    Args:
        classifier: the last linear.
        head: from ``match_head``.
        seed: None: a head that is not used has been drawn already.
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
    """Writes the task's classes into the configuration, where the checkpoint's may stand."""
    if task.labels:
        config.id2label = dict(enumerate(task.labels))
        config.label2id = {name: number for number, name in enumerate(task.labels)}


def _says_nothing(names: Mapping[int, str]) -> bool:
    return not names or all(name.strip().upper() == f"LABEL_{key}" for key, name in names.items())


def _rows(names: tuple[str, ...], labels: tuple[str, ...]) -> tuple[int, ...] | None:
    """The place in ``names`` of each of ``labels``; None unless they are the same names."""
    for plain in (str, _plain):
        places = {plain(name): place for place, name in enumerate(names)}
        wanted = [plain(label) for label in labels]
        if len(places) == len(names) and len(set(wanted)) == len(wanted) and set(wanted) == set(places):
            return tuple(places[name] for name in wanted)
    return None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " \t-_")
