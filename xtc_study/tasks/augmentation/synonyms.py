"""Find replacements in a table of synonyms: the user's file, or the built-in table of a generated task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from xtc_study.recipe import Recipe
from xtc_study.tasks.augmentation.inflection import BASE, PARTS_OF_SPEECH, S, inflect, readings
from xtc_study.tasks.augmentation.words import Slot, may_replace, replaceable, written_as
from xtc_study.tasks.generated.toy import TOY_TASKS
from xtc_study.tasks.generated.vocabulary import INTERCHANGEABLE
from xtc_study.tasks.task import DataError

FORMAT = "word TAB part of speech (n, v, a or r) TAB synonyms separated by |, each optionally with :COUNT"


class SynonymTable:
    """Maps base form and part of speech to synonyms, best first.

    A capitalised word is left alone: it is a name or the first word of its sentence, and John must not get the
    synonyms of a john. Other forms than the base form are looked up too, and their synonyms are put into the same
    form, as far as ``inflection`` can.

    Args:
        entries: {(base form, part of speech): synonyms}.
        most: maximum number of synonyms per word (TinyBERT's M).
    """

    def __init__(self, entries: Mapping[tuple[str, str], Sequence[str]], most: int) -> None:
        self.entries, self.most = entries, most
        self._known: dict[str, tuple[str, ...]] = {}

    def candidates(self, word: str) -> tuple[str, ...]:
        """Return the replacements of a word, best first, never itself. Entries are lower-case: "Dog" has none."""
        if word not in self._known:
            others = [candidate for candidate in self._candidates(word) if candidate != word]
            self._known[word] = tuple(dict.fromkeys(others))[: self.most]
        return self._known[word]

    def slots(self, sentences: Sequence[str]) -> list[list[Slot]]:
        return [
            [
                Slot(word.start, word.end, candidates)
                for word in replaceable(sentence)
                if (candidates := self.candidates(word.text))
            ]
            for sentence in sentences
        ]

    def _candidates(self, word: str) -> Iterator[str]:
        """Candidates from the word's entry with the most synonyms.

        The table does not tell which entry the sentence means, but a word with many synonyms as one part of speech is
        common as that part of speech ("go" the verb, not the game).
        """
        is_plural = self._is_plural(word)
        entries = [
            (self.entries.get((base, part), ()), form)
            for base, form in readings(word)
            if not (is_plural and form == BASE)
            for part in PARTS_OF_SPEECH[form]
        ]
        synonyms, form = max(entries, key=lambda entry: len(entry[0]), default=((), BASE))
        for synonym in synonyms:
            inflected = inflect(synonym, form)
            if inflected is not None and may_replace(inflected) and not (form == BASE and self._is_plural(synonym)):
                yield inflected

    def _is_plural(self, word: str) -> bool:
        """Whether a word is the plural of a noun in the table, even if it has an entry of its own ("humans")."""
        return any(form == S and (base, "n") in self.entries for base, form in readings(word))


class WordClasses:
    """Words of a generated task, in classes whose members may replace each other.

    Args:
        classes: each a class of interchangeable words.
        most: maximum number of candidates per word.
    """

    def __init__(self, classes: Sequence[Sequence[str]], most: int) -> None:
        self.others = {
            word: tuple(other for other in members if other != word)[:most] for members in classes for word in members
        }

    def slots(self, sentences: Sequence[str]) -> list[list[Slot]]:
        return [
            [
                Slot(word.start, word.end, tuple(written_as(other, word.text) for other in self.others[lower]))
                for word in replaceable(sentence)
                if (lower := word.text.lower()) in self.others
            ]
            for sentence in sentences
        ]


def read_synonyms(path: Path, most: int) -> SynonymTable:
    """Read a synonym table from a TSV file. Entries and synonyms of several words are skipped.

    Within an entry, synonyms with a higher count come first (a count may be the number of meanings two words share),
    then synonyms that have more synonyms themselves: a common word has many, a rare word few.

    Args:
        path: the file.
        most: maximum number of synonyms per word.

    Raises:
        DataError: no such file, or another format; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"synonyms={str(path)!r}: cannot be read as UTF-8 text ({error})") from None

    counted: dict[tuple[str, str], dict[str, int]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        columns = line.removesuffix("\r").split("\t")
        if len(columns) != 3 or columns[1] not in ("n", "v", "a", "r"):
            raise DataError(f"{path}, line {number}: {line[:60]!r}, expected {FORMAT}")
        word, part, listed = columns
        if may_replace(word):
            counted.setdefault((word, part), {}).update(_counted(listed, path, number))
    if not any(counted.values()):
        raise DataError(f"{path}: no single word with a single-word synonym; expected {FORMAT}")

    entries = {
        (word, part): sorted(counts, key=lambda synonym: (-counts[synonym], -len(counted.get((synonym, part), ()))))
        for (word, part), counts in counted.items()
    }
    return SynonymTable(entries, most)


def _counted(listed: str, path: Path, number: int) -> dict[str, int]:
    counts = {}
    for item in listed.split("|"):
        synonym, colon, count = item.rpartition(":")
        if colon and not count.isdecimal():
            raise DataError(f"{path}, line {number}: {item!r}, expected SYNONYM or SYNONYM:COUNT")
        if may_replace(synonym if colon else item):
            counts[synonym if colon else item] = int(count) if colon else 1
    return counts


def table_hash(path: Path | None) -> str | None:
    """Return the sha256 of a synonym file, which results record; None without a file.

    Raises:
        DataError: the file cannot be read.
    """
    if path is None:
        return None
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"synonyms={str(path)!r}: cannot be read ({error})") from None


def check_synonyms(recipe: Recipe, path: Path | None) -> None:
    """Check that the recipe's augmentation has a table of synonyms, if it needs one.

    Raises:
        DataError: there is no table; the message says how to provide one.
    """
    if recipe.augmentation != "synonyms" or path is not None:
        return
    if recipe.task not in TOY_TASKS:
        raise DataError(
            f"augmentation='synonyms' of task {recipe.task!r} needs a synonym table: pass one with --synonyms FILE "
            f"({FORMAT}), or choose augmentation='masked-lm'"
        )
    if not INTERCHANGEABLE[recipe.task]:
        able = ", ".join(task for task, classes in INTERCHANGEABLE.items() if classes)
        raise DataError(
            f"augmentation='synonyms': no word of {recipe.task!r} can be replaced without changing the label; "
            f"choose another task ({able}), or pass a table with --synonyms FILE"
        )


def synonym_source(recipe: Recipe, path: Path | None) -> SynonymTable | WordClasses:
    """Return the table of a recipe with augmentation 'synonyms': the file if given, else the generated task's own.

    Raises:
        DataError: there is neither, or the file is malformed.
    """
    check_synonyms(recipe, path)
    if path is not None:
        return read_synonyms(path, recipe.augmentation_candidates)
    return WordClasses(INTERCHANGEABLE[recipe.task], recipe.augmentation_candidates)
