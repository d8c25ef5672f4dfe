"""Variants of sentences, pairs and whole tasks, and augmentation that is killed and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.recipe import Recipe
from xtc_study.tasks.augmentation import augment as module
from xtc_study.tasks.augmentation.augment import Augmenter, variants
from xtc_study.tasks.augmentation.synonyms import WordClasses, synonym_source
from xtc_study.tasks.augmentation.words import Slot
from xtc_study.tasks.catalogue import find_task, load_task

SLOTS = [Slot(4, 7, ("cat", "cow")), Slot(8, 12, ("purr", "moos"))]
CLASSES = WordClasses([("cat", "dog", "cow"), ("runs", "sits")], 15)


class _Numbers(Random):
    """A random source that gives these numbers."""

    def __init__(self, numbers: Sequence[float]) -> None:
        super().__init__()
        self.numbers = iter(numbers)

    def random(self) -> float:
        return next(self.numbers)


def test_variants_match_hand_computed_values() -> None:
    # Replace? 0.3 < 0.4: yes; which? 0.9: the second. Replace? 0.4 < 0.4: no. Then both, then none, then as at first.
    numbers = _Numbers([0.3, 0.9, 0.4, 0.0, 0.0, 0.1, 0.5, 0.4, 0.9, 0.3, 0.9, 0.4])
    assert variants("The dog runs.", SLOTS, 4, 0.4, numbers) == ["The cow runs.", "The cat moos."]
    with pytest.raises(StopIteration):
        numbers.random()


def test_sentence_without_slots_has_no_variants() -> None:
    assert variants("The dog runs.", [], 30, 0.4, Random(0)) == []


@given(st.integers(1, 40), st.floats(0.01, 1), st.integers(0, 10_000))
def test_variants_differ_in_candidate_words_alone(copies: int, probability: float, seed: int) -> None:
    sentence = "The dog runs."
    found = variants(sentence, SLOTS, copies, probability, Random(seed))
    assert len(set(found)) == len(found) <= copies and sentence not in found
    for variant in found:
        the, animal, rest = variant.split(" ")
        assert the == "The" and animal in ("dog", "cat", "cow") and rest in ("runs.", "purr.", "moos.")
    if probability == 1:
        assert all("dog" not in variant and "runs" not in variant for variant in found)
    assert found == variants(sentence, SLOTS, copies, probability, Random(seed))


def pair(train: Sequence[tuple[str, str, float]], dev: Sequence[tuple[str, str, float]] = ()) -> DatasetDict:
    def rows(values: Sequence[tuple[str, str, float]]) -> Dataset:
        columns = {"sentence1": [row[0] for row in values], "sentence2": [row[1] for row in values]}
        return Dataset.from_dict({**columns, "label": [row[2] for row in values], "idx": list(range(len(values)))})

    return DatasetDict({"train": rows(train), "dev": rows(dev or [("x", "y", 0.0)])})


def augmented(text: DatasetDict, copies: int = 50, probability: float = 0.5) -> list[dict[str, Any]]:
    augmenter = Augmenter(text, find_task("stsb"), CLASSES, copies, probability)
    return augmenter.augmented(text["train"]).to_list()


def test_pairs_vary_one_sentence_at_a_time() -> None:
    rows = augmented(pair([("A cat.", "It runs.", 2.5)]))
    assert [(row["sentence1"], row["sentence2"]) for row in rows[:1]] == [("A cat.", "It runs.")]
    assert {(row["sentence1"], row["sentence2"]) for row in rows[1:]} == {
        ("A dog.", "It runs."),
        ("A cow.", "It runs."),
        ("A cat.", "It sits."),
    }
    assert [row["variant"] for row in rows] == [0, 1, 2, 3]
    assert {(row["label"], row["idx"]) for row in rows} == {(2.5, 0)}


def test_variants_equal_to_other_rows_are_dropped() -> None:
    text = pair([("A cat.", "B.", 0.0), ("A dog.", "B.", 1.0)], dev=[("A cow.", "B.", 0.0)])
    assert [row["variant"] for row in augmented(text)] == [0, 0]


@pytest.fixture(scope="module")
def toy() -> dict[str, DatasetDict]:
    names = ("toy-acceptability", "toy-sentiment", "toy-paraphrase", "toy-similarity")
    return {name: load_task(name) for name in names}


def toy_augmenter(text: DatasetDict, name: str, copies: int = 5) -> Augmenter:
    source = synonym_source(Recipe.of(task=name, augmentation="synonyms"), None)
    return Augmenter(text, find_task(name), source, copies, 0.4)


def test_generated_tasks_are_augmented(toy: dict[str, DatasetDict]) -> None:
    for name, text in toy.items():
        task, plain = find_task(name), text["train"].select(range(300))
        found = toy_augmenter(text, name).augmented(plain).to_pandas()
        originals = found[found["variant"] == 0].drop(columns="variant").reset_index(drop=True)
        assert originals.equals(plain.to_pandas()), "every original row is kept, in order"
        assert not found.duplicated(list(task.text_fields)).any() or not plain.to_pandas().duplicated().any()
        assert (found["label"] == found["idx"].map(originals["label"])).all()
        assert 2 * len(plain) < len(found) <= (1 + 5 * len(task.text_fields)) * len(plain)
        dev = set(zip(*(text["dev"][field][:] for field in task.text_fields), strict=True))
        assert not dev & set(found[list(task.text_fields)].itertuples(index=False, name=None))


def test_sentiment_variants_keep_their_label(toy: dict[str, DatasetDict]) -> None:
    """In the sentiment task each word has a value, so a variant's words must have the values of its row's words."""
    from xtc_study.tasks.generated.vocabulary import BAD, GOOD, STRONG, WEAK

    def values(sentence: str) -> list[int]:
        words = sentence.lower().replace(".", "").replace(",", "").split()
        return [[word in group for group in (GOOD, BAD, STRONG, WEAK)].index(True) for word in words
                if word in (*GOOD, *BAD, *STRONG, *WEAK)]  # fmt: skip

    text = toy["toy-sentiment"]
    plain = text["train"].select(range(200))
    for row in toy_augmenter(text, "toy-sentiment").augmented(plain):
        assert values(row["sentence"]) == values(plain[row["idx"]]["sentence"])


def test_killed_augmentation_resumes_and_file_size_does_not_matter(
    toy: dict[str, DatasetDict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = DatasetDict({split: rows.select(range(100)) for split, rows in toy["toy-paraphrase"].items()})
    augmenter = toy_augmenter(text, "toy-paraphrase")
    monkeypatch.setattr(module, "CHUNK_ROWS", 30)

    class Killed(BaseException):
        pass

    asked: list[int] = []
    whole = augmenter.augmented

    def killed_at_the_third(rows: Dataset) -> Dataset:
        asked.append(len(rows))
        if len(asked) == 3:
            raise Killed
        return whole(rows)

    monkeypatch.setattr(augmenter, "augmented", killed_at_the_third)
    with pytest.raises(Killed):
        augmenter.write(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert list(times) and len(times) == 2
    files = augmenter.write(tmp_path)
    assert asked == [30, 30, 30, 30, 10], "existing files are not written again"
    assert [path.stat().st_mtime_ns for path in files[:2]] == [times[path.name] for path in files[:2]]
    found = [row for path in files for row in Dataset.from_parquet(str(path), keep_in_memory=True)]
    assert found == whole(text["train"]).to_list()
