"""Synonym tables: written here, read from a file, and built in for the generated tasks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from xtc_study.recipe import Recipe
from xtc_study.tasks.augmentation.synonyms import (
    SynonymTable,
    WordClasses,
    check_synonyms,
    read_synonyms,
    synonym_source,
    table_hash,
)
from xtc_study.tasks.augmentation.words import STOP_WORDS
from xtc_study.tasks.generated.toy import TOY_TASKS
from xtc_study.tasks.generated.vocabulary import INTERCHANGEABLE, VOCABULARY
from xtc_study.tasks.task import DataError

ENTRIES = {
    ("dog", "n"): ["hound", "wolfman", "cur"],
    ("dog", "v"): ["chase"],
    ("walk", "v"): ["stroll", "go", "step"],
    ("saw", "n"): ["proverb"],
    ("human", "n"): ["person"],
    ("man", "n"): ["humans", "human", "fellow"],
}


def table(most: int = 15) -> SynonymTable:
    return SynonymTable(ENTRIES, most)


def test_synonyms_take_the_form_of_the_word() -> None:
    assert table().candidates("dog") == ("hound", "wolfman", "cur")
    assert table().candidates("dogs") == ("hounds", "curs"), "wolfman's plural is left out"
    assert table().candidates("walking") == ("strolling", "going", "stepping")
    assert table().candidates("walked") == ("strolled", "stepped"), "went or gone is uncertain, so it is left out"
    assert table().candidates("saw") == (), "the past of see, not the tool"
    assert table().candidates("man") == ("human", "fellow"), "no plural for a singular"
    assert table(most=2).candidates("dog") == ("hound", "wolfman")


def test_slots_skip_capitalized_and_stop_words() -> None:
    sentence = "Dogs walk; every man walked John's dog."
    slots = table().slots([sentence, "Nothing here"])
    assert [(sentence[slot.start : slot.end], slot.words) for slot in slots[0]] == [
        ("walk", ("stroll", "go", "step")),
        ("man", ("human", "fellow")),
        ("walked", ("strolled", "stepped")),
        ("dog", ("hound", "wolfman", "cur")),
    ]
    assert slots[1] == []


def test_synonyms_are_ranked_by_count_then_by_how_common_they_are(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(
        "dog\tn\trare:1|common:1|close:2|hot dog:9|Rex:9|the:9\n\ncommon\tn\tplain|usual\r\nhot dog\tn\tfrank:1\n"
    )
    found = read_synonyms(path, 15)
    assert found.candidates("dog") == ("close", "common", "rare")
    assert found.candidates("common") == ("plain", "usual")
    assert table_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest() and table_hash(None) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"dog\tn\tcur\ndog cur\n", r"line 2: 'dog cur', expected word TAB part of speech"),
        (b"dog\tnoun\tcur\n", r"line 1: .*expected word TAB"),
        (b"dog\tn\tcur:many\n", r"line 1: 'cur:many', expected SYNONYM or SYNONYM:COUNT"),
        (b"hot dog\tn\tfrank\n", r"no single word with a single-word synonym"),
        (b"", r"no single word"),
        (b"\xff\n", r"cannot be read as UTF-8"),
    ],
)
def test_malformed_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_synonyms(path, 15)


def test_word_classes_replace_any_member_by_any_other() -> None:
    (slots,) = WordClasses([("Good", "fine"), ("good", "nice", "fair")], 15).slots(["Good food"])
    assert [slot.words for slot in slots] == [("Nice", "Fair")]


@pytest.mark.parametrize("name", TOY_TASKS)
def test_built_in_classes_are_disjoint_and_in_the_vocabulary(name: str) -> None:
    words = [word for members in INTERCHANGEABLE[name] for word in members]
    assert set(words) <= set(VOCABULARY) and len(words) == len(set(words))
    assert all(len(members) > 1 for members in INTERCHANGEABLE[name])
    if words:
        assert not {"the", "not", "never"} & set(words) and set(words) - STOP_WORDS
        assert isinstance(synonym_source(Recipe.of(task=name, augmentation="synonyms"), None), WordClasses)


def test_augmentation_without_a_table_is_refused() -> None:
    check_synonyms(Recipe.of(task="cola"), None)
    check_synonyms(Recipe.of(task="cola", augmentation="masked-lm"), None)
    with pytest.raises(DataError, match=r"'cola' needs a synonym table: pass one with --synonyms FILE"):
        check_synonyms(Recipe.of(task="cola", augmentation="synonyms"), None)
    with pytest.raises(DataError, match=r"no word of 'toy-inference' can be replaced.*toy-sentiment"):
        check_synonyms(Recipe.of(task="toy-inference", augmentation="synonyms"), None)
