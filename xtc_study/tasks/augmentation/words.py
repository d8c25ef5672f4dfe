"""Find the words of a sentence that may be replaced, and write their replacements like them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, Protocol

TOKEN = re.compile(r"[^\W_]+")
"""A run of letters and digits, between spaces and punctuation."""

PLAIN_WORD = re.compile(r"[a-z]{2,}")
"""A word that may be replaced or may replace another: at least two plain letters, lower-cased."""

STOP_WORDS = frozenset(
    " ".join(
        (
            # pronouns and determiners
            "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she",
            "her hers herself it its itself they them their theirs themselves one this that these those what which",
            "who whom whose whoever whatever whichever there here a an the each every either neither both all any",
            "some such same other another many much more most few fewer less least several none nobody nothing",
            "someone somebody something anyone anybody anything everyone everybody everything",
            # negation and degree
            "no not nor never only own so too very just than quite rather as",
            # auxiliary and modal verbs
            "am is are was were be been being have has had having do does did doing done can could may might must",
            "shall should will would ought",
            # conjunctions, question words and prepositions
            "and or but if then else because since while although though unless until whether when where why how",
            "about above across after against along among around at before behind below beneath beside between",
            "beyond by despite down during except for from in inside into near of off on onto out outside over past",
            "per through throughout to toward towards under up upon via with within without again further once",
            # what remains of a contraction that is split at its apostrophe, or before its n't
            "ain aren ca couldn didn doesn don hadn hasn haven isn ll mightn mustn needn nt re shan shouldn ve wasn",
            "weren wo won wouldn",
        )
    ).split()
)
"""Words that carry grammar rather than content; they are never replaced and never replace another word."""


class Word(NamedTuple):
    """A word and its position: ``sentence[start:end] == text``."""

    start: int
    end: int
    text: str


class Slot(NamedTuple):
    """A place in a sentence and its candidate words, at least one."""

    start: int
    end: int
    words: tuple[str, ...]


class WordSource(Protocol):
    """Finds replacements."""

    def slots(self, sentences: Sequence[str]) -> list[list[Slot]]:
        """Return for each sentence its replaceable words, from left to right, with candidates in the same case."""


def replaceable(sentence: str) -> list[Word]:
    """Return the content words of a sentence: plain letters a to z, no stop words."""
    words = []
    for match in TOKEN.finditer(sentence):
        lower = match.group().lower()
        accented = match.end() < len(sentence) and unicodedata.combining(sentence[match.end()])
        if PLAIN_WORD.fullmatch(lower) and lower not in STOP_WORDS and not accented:
            words.append(Word(match.start(), match.end(), match.group()))
    return words


def may_replace(word: str) -> bool:
    """Return whether a word may take the place of another: plain lower-case letters, no stop word."""
    return PLAIN_WORD.fullmatch(word) is not None and word not in STOP_WORDS


def written_as(word: str, original: str) -> str:
    """Return the lower-case word with the capitals of the word it replaces: Dog, DOG, dog."""
    if original.isupper():
        return word.upper()
    return word.capitalize() if original[0].isupper() else word
