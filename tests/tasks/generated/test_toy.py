"""The generated tasks are pinned, balanced and without leaks, and their labels follow from the text."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from xtc_study.tasks.generated.toy import TOY_TASKS, load_toy

# A change of these is a change of every published number: bump recipe.GENERATED_VERSION with it, and VERSION if rows
# that are trained on change. Of the training rows and the first 600 dev rows, which were all there were in version 1.
PINNED_HEAD = {
    "toy-acceptability": "3bc4fe0591efee542e96ee9358eff1ce04226230f43a377b53beeb737b50ad92",
    "toy-sentiment": "7265da9a67024cf3bc81441dbab31a22dc43c82c18c4e70c768ababeae7be61e",
    "toy-paraphrase": "a817346783e29a27abcc481a890bb1e6ba4212e83484dcaa080091416db3e0fe",
    "toy-similarity": "83f3fcbd20d1d0dac5a8073b6cf97c28fcdaa717311396b7135327abec49d8ea",
    "toy-inference": "2bfff2dce5fef657d84777cb34678f3849dd3ae9a31107d0721f71e657619f01",
}
PINNED = {
    "toy-acceptability": "9b800d5ff1293573049fe192d65bf7a21ae7c4cf96072c251378a9987f02bb49",
    "toy-sentiment": "2035b9e760a6195d7873c340591f37db081746b43c0ef0577cbbcb4816afa755",
    "toy-paraphrase": "3e04c6e15f34036518d6c61a869885765a64ff490c92422614c14a69c2d365dc",
    "toy-similarity": "f0f0440d8ea2677153468ed635d08769706aaf94e37a2970b4b186e18df6fd7b",
    "toy-inference": "82f1247f157470c999ea1f7d3977fe0163b0627ea6488afa0e838e253a07525b",
}


def _content(name: str) -> dict[str, list[dict[str, Any]]]:
    return {split: list(rows) for split, rows in load_toy(name).items()}


def _sha(content: dict[str, list[dict[str, Any]]]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@pytest.fixture(scope="module", params=TOY_TASKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def content(name: str) -> dict[str, list[dict[str, Any]]]:
    return _content(name)


def _inputs(name: str, rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [tuple(row[field] for field in TOY_TASKS[name].text_fields) for row in rows]


def test_columns_and_sizes(name: str, content: dict[str, list[dict[str, Any]]]) -> None:
    task = TOY_TASKS[name]
    assert {split: len(rows) for split, rows in content.items()} == {"train": task.train_rows, "dev": task.dev_rows}
    assert (task.train_rows, task.dev_rows) == (5000, 2000)
    for rows in content.values():
        assert set(rows[0]) == {*task.text_fields, "label", "idx"}
        assert [row["idx"] for row in rows] == list(range(len(rows)))
        assert {type(row["label"]) for row in rows} == {float if task.is_regression else int}


def test_data_is_pinned(name: str, content: dict[str, list[dict[str, Any]]]) -> None:
    assert _sha(content) == PINNED[name]
    assert _sha({**content, "dev": content["dev"][:600]}) == PINNED_HEAD[name], "the training rows have changed"


def test_data_does_not_depend_on_hash_randomisation() -> None:
    code = (
        "from xtc_study.tasks.generated.toy import _rows, TOY_TASKS; import hashlib;"
        "print(hashlib.sha256(repr([_rows(name, 300) for name in TOY_TASKS]).encode()).hexdigest())"
    )
    seen = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def test_no_input_occurs_twice(name: str, content: dict[str, list[dict[str, Any]]]) -> None:
    inputs = [text for rows in content.values() for text in _inputs(name, rows)]
    assert len(set(inputs)) == len(inputs)


def test_classes_are_balanced(name: str, content: dict[str, list[dict[str, Any]]]) -> None:
    classes = 6 if TOY_TASKS[name].is_regression else TOY_TASKS[name].num_labels
    for rows in content.values():
        counts = Counter(row["label"] for row in rows)
        assert set(counts) == set(range(classes))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_labels_follow_from_the_text(name: str, content: dict[str, list[dict[str, Any]]]) -> None:
    oracle = ORACLES[name]
    for rows in content.values():
        for row, texts in zip(rows, _inputs(name, rows), strict=True):
            assert oracle(*texts) == row["label"], texts


def test_sentences_have_capitals_and_full_stops(name: str, content: dict[str, list[dict[str, Any]]]) -> None:
    for texts in _inputs(name, content["dev"]):
        for text in texts:
            assert re.fullmatch(r"[A-Z][A-Za-z]*(,? [A-Za-z]+)*\.", text), text
            assert not re.search(r"\ba [aeiou]", text.lower()), text


def test_unknown_task_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown generated task 'toy-cola'; expected one of toy-acceptability, .*"):
        load_toy("toy-cola")


# The oracles read the text alone and share no code or word list with the generators.


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|,", text.lower())


SINGULAR = {"this", "every", "one", "a"}
PLURAL = {"these", "all", "two", "many"}
ADJECTIVES = {"young", "little", "small", "tall", "clever", "brave"}


def _acceptable(text: str) -> int:
    """Decide agreement only by the final s: plural nouns and the verbs of singular nouns have it."""
    rest = _words(text)

    def noun_phrase() -> bool:
        determiner = rest.pop(0)
        assert determiner in SINGULAR | PLURAL | {"the", "my", "our"}
        while rest[0] in ADJECTIVES:
            rest.pop(0)
        plural = rest.pop(0).endswith("s")
        checks.append(determiner not in (SINGULAR if plural else PLURAL))
        return plural

    def verb(plural: bool) -> str:
        word = rest.pop(0)
        checks.append((word in ("are", "were") or not word.endswith("s")) == plural)
        return word

    checks: list[bool] = []
    subject = noun_phrase()
    if rest[0] in ("near", "behind", "with", "beside"):
        rest.pop(0)
        noun_phrase()
    elif rest[0] == "that":
        rest.pop(0)
        if rest[0] in SINGULAR | PLURAL | {"the", "my", "our"}:
            verb(noun_phrase())
        else:
            verb(subject)
            noun_phrase()
    verb(subject)
    if len(rest) > 1:
        noun_phrase()
    assert len(rest) <= 1
    assert checks.count(False) <= 1
    return int(all(checks))


GOOD = set(
    re.findall(r"\w+", "good nice pleasant lovely charming enjoyable impressive delightful appealing agreeable")
)
BAD = set(re.findall(r"\w+", "bad poor boring nasty ugly dull unpleasant annoying disappointing dreary"))


def _clause(clause: list[str]) -> float:
    value = 1.0 if clause[-1] in GOOD else -1.0
    assert clause[-1] in GOOD | BAD
    if {"not", "never"} & set(clause):
        return -value
    if {"very", "really", "extremely"} & set(clause):
        return 2 * value
    return value / 2 if {"fairly", "rather"} & set(clause) else value


def _positive(text: str) -> int:
    words = _words(text)
    if words[0] == "although":
        aside, main = " ".join(words[1:]).split(" , ")
    elif "although" in words:
        main, aside = " ".join(words).split(" , although ")
    elif "but" in words:
        aside, main = " ".join(words).split(" but ")
    else:
        aside, main = " ".join(words).split(" and ")
        return int(_clause(aside.split()) + _clause(main.split()) > 0)
    balance = sum(_clause(part.strip(" ,").split()) for part in aside.split(" and ")) + 2 * _clause(main.split())
    assert balance
    return int(balance > 0)


SYNONYMS = dict(
    re.findall(
        r"(\w+)/(\w+)",
        "doctor/physician boy/lad thief/robber teacher/instructor lawyer/attorney woman/lady helped/assisted "
        "called/phoned hired/employed praised/applauded attacked/assaulted saved/rescued shop/store street/road "
        "forest/woods city/town hospital/clinic bought/purchased found/discovered repaired/fixed hid/concealed "
        "cleaned/washed car/automobile phone/telephone bike/bicycle picture/image sofa/couch cup/mug "
        "quickly/rapidly quietly/silently happily/gladly carefully/cautiously suddenly/abruptly",
    )
)
MEANING = {second: first for first, second in SYNONYMS.items()}


def _meanings(text: str) -> list[str]:
    kept = [word for word in _words(text) if word not in ("the", "in", ",")]
    return [MEANING.get(word, word) for word in kept]


def _event(text: str) -> tuple[str, ...]:
    meanings = _meanings(text)
    if "by" in meanings:
        receiver, was, deed, by, doer = meanings
        assert (was, by) == ("was", "by")
        return doer, deed, receiver
    doer, deed, receiver = meanings
    return doer, deed, receiver


def _paraphrase(first: str, second: str) -> int:
    return int(_event(first) == _event(second) and first != second)


def _shared(first: str, second: str) -> float:
    assert len(_meanings(first)) == len(_meanings(second)) == 5
    return float(len(set(_meanings(first)) & set(_meanings(second))))


OPPOSITES = [{"tall", "short"}, {"happy", "sad"}, {"rich", "poor"}, {"young", "old"}]
COUNTS = ["one", "two", "three", "four", "five", "six"]
ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2


def _verdict(premise: str, claim: str) -> int:
    facts = [fact.split() for fact in premise.lower().strip(".").split(" and ")]
    name, verb, *said = claim.lower().strip(".").split()
    (known,) = [fact[2:] for fact in facts if fact[0] == name]
    if verb == "is":
        holds = "not" not in said
        for pair in OPPOSITES:
            if {known[-1], said[-1]} <= pair:
                return ENTAILMENT if (known[-1] == said[-1]) == holds else CONTRADICTION
        return NEUTRAL
    bound, than, number, thing = said
    assert than == "than"
    if known[-1].rstrip("s") != thing.rstrip("s"):
        return NEUTRAL
    owned, limit = COUNTS.index(known[0]), COUNTS.index(number)
    return ENTAILMENT if (owned > limit if bound == "more" else owned < limit) else CONTRADICTION


ORACLES: dict[str, Any] = {
    "toy-acceptability": _acceptable,
    "toy-sentiment": _positive,
    "toy-paraphrase": _paraphrase,
    "toy-similarity": _shared,
    "toy-inference": _verdict,
}
