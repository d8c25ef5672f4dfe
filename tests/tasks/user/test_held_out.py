"""Rows are held out by class, texts stay together, and the order of the file does not matter."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.tasks.task import DataError
from xtc_study.tasks.user.dataset import read_own
from xtc_study.tasks.user.held_out import held_out_rows


def test_every_class_keeps_its_share() -> None:
    labels = [0] * 900 + [1] * 90 + [2] * 10
    held = held_out_rows([(f"text {number}",) for number in range(1000)], labels, 0.1)
    assert Counter(label for label, row in zip(labels, held, strict=True) if row) == {0: 90, 1: 9, 2: 1}


def test_rare_class_has_a_text_in_both_parts() -> None:
    texts = [(f"text {number}",) for number in range(102)]
    held = held_out_rows(texts, [0] * 100 + [1] * 2, 0.1)
    assert sorted(held[100:]) == [False, True] and sum(held[:100]) == 10
    held = held_out_rows(texts[:101], [0] * 100 + [1], 0.5)
    assert not held[100], "a class with one text stays in train"


def test_copies_of_a_text_stay_together_and_count_as_rows() -> None:
    texts = [("often",)] * 50 + [(f"text {number}",) for number in range(50)]
    held = held_out_rows(texts, [0] * 100, 0.2)
    assert sum(held) == 20 and not any(held[:50]), "fifty rows are more than a fifth"


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=2, max_size=80),
    share=st.sampled_from([0.05, 0.1, 0.25, 0.5]),
    data=st.data(),
)
def test_split_is_stratified_and_ignores_row_order(
    rows: list[tuple[int, int]], share: float, data: st.DataObject
) -> None:
    """Each text has one class here, so that no two classes compete for a text."""
    texts = [(f"text {text} {label}",) for text, label in rows]
    labels = [label for _, label in rows]
    held = dict(zip(texts, held_out_rows(texts, labels, share), strict=True))
    parts = defaultdict(set)
    for text, label in set(zip(texts, labels, strict=True)):
        parts[label].add(held[text])
    for label, texts_of in Counter(label for _, label in set(rows)).items():
        assert parts[label] == ({True, False} if texts_of > 1 else {False})
    order = data.draw(st.permutations(range(len(rows))))
    again = held_out_rows([texts[place] for place in order], [labels[place] for place in order], share)
    assert [held[texts[place]] for place in order] == again


def test_text_of_two_classes_leaves_both_classes_in_training() -> None:
    """'both' is the only text of class 1, so it stays in train, and class 0 is held out by another text."""
    texts = [("both",), ("both",), ("a",), ("b",)]
    held = held_out_rows(texts, [0, 1, 0, 0], 0.5)
    assert held[:2] == [False, False] and any(held[2:])


def test_error_if_no_row_can_be_held_out(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("t,y\nx,a\ny,b\n")
    (tmp_path / "my.yml").write_text("{name: n, files: {train: train.csv}, held_out: 0.2, text: t, label: y}")
    with pytest.raises(
        DataError, match="held_out leaves no row to score on, because no class has two different texts"
    ):
        read_own(tmp_path / "my.yml")


def test_note_names_classes_that_are_not_scored(tmp_path: Path) -> None:
    rows = "".join(f"text {number},{'ab'[number % 2]}\n" for number in range(20))
    (tmp_path / "train.csv").write_text(f"t,y\n{rows}odd,rare\n")
    (tmp_path / "my.yml").write_text("{name: n, files: {train: train.csv}, held_out: 0.2, text: t, label: y}")
    data = read_own(tmp_path / "my.yml")
    assert data.counts()["rare"] == {"train": 1, "dev": 0}
    assert data.notes == ("no row of dev has the label 'rare': the scores of this split do not cover it",)
