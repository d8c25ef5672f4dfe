"""English inflection, just enough to put a synonym into the form of the word it replaces.

A synonym table lists base forms. ``readings`` lists the base forms that a word may be a form of, ``inflect`` makes
that form of another base form. Both cover the regular endings and the irregular verbs below. They leave out what is
uncertain: nouns with an irregular plural, the comparison of adjectives, and spellings that depend on stress.
"""

from __future__ import annotations

import re
from typing import NamedTuple

BASE, S, ING, PAST, PARTICIPLE, ED = "base", "s", "ing", "past", "participle", "ed"
"""S: plural or third person. ED: past or participle, if the word does not show which."""

PARTS_OF_SPEECH = {BASE: "nvar", S: "nv", ING: "v", PAST: "v", PARTICIPLE: "v", ED: "v"}
"""Parts of speech that have this form: noun, verb, adjective (a), adverb (r)."""

# Base form, past, and the participle if it differs from the past.
_IRREGULAR = """
arise arose arisen|awake awoke awoken|bear bore borne|beat beat beaten|become became become|begin began begun
bend bent|bet bet|bid bid|bind bound|bite bit bitten|bleed bled|blow blew blown|break broke broken|breed bred
bring brought|broadcast broadcast|build built|burst burst|buy bought|cast cast|catch caught|choose chose chosen
cling clung|come came come|cost cost|creep crept|cut cut|deal dealt|dig dug|draw drew drawn|drink drank drunk
drive drove driven|eat ate eaten|fall fell fallen|feed fed|feel felt|fight fought|find found|flee fled|fling flung
fly flew flown|forbid forbade forbidden|forecast forecast|foresee foresaw foreseen|forget forgot forgotten
forgive forgave forgiven|forsake forsook forsaken|freeze froze frozen|get got gotten|give gave given|go went gone
grind ground|grow grew grown|hang hung|hear heard|hide hid hidden|hit hit|hold held|hurt hurt|keep kept|know knew known
lay laid|lead led|leave left|lend lent|let let|lie lay lain|lose lost|make made|mean meant|meet met
mislead misled|mistake mistook mistaken|misunderstand misunderstood|outdo outdid outdone|overcome overcame overcome
overdo overdid overdone|overhear overheard|override overrode overridden|oversee oversaw overseen
overtake overtook overtaken|overthrow overthrew overthrown|pay paid|put put|quit quit|read read|rebuild rebuilt|rid rid
ride rode ridden|ring rang rung|rise rose risen|run ran run|say said|see saw seen|seek sought|sell sold|send sent
set set|shake shook shaken|shed shed|shoot shot|show showed shown|shrink shrank shrunk|shut shut|sing sang sung
sink sank sunk|sit sat|slay slew slain|sleep slept|slide slid|sling slung|slink slunk|slit slit|speak spoke spoken
spend spent|spin spun|split split|spread spread|spring sprang sprung|stand stood|steal stole stolen|stick stuck
sting stung|stink stank stunk|stride strode stridden|strike struck|string strung|strive strove striven
swear swore sworn|sweep swept|swell swelled swollen|swim swam swum|swing swung|take took taken|teach taught
tear tore torn|tell told|think thought|throw threw thrown|thrust thrust|tread trod trodden|undergo underwent undergone
understand understood|undertake undertook undertaken|undo undid undone|uphold upheld|upset upset|wake woke woken
wear wore worn|weave wove woven|weep wept|win won|wind wound|withdraw withdrew withdrawn|withhold withheld
withstand withstood|wring wrung|write wrote written
"""

# Verbs of several syllables, stressed on the last, which therefore double its consonant: admit, admitted.
_DOUBLING = re.compile(
    "abet|abhor|acquit|admit|annul|begin|allot|commit|compel|concur|confer|control|defer|deter|dispel|emit|equip|"
    "excel|expel|forbid|forget|impel|incur|infer|occur|omit|outrun|patrol|permit|prefer|propel|rebel|rebut|recur|"
    "refer|regret|remit|repel|rerun|reset|submit|transfer|transmit|upset"
)
_OTHER_PLURAL = re.compile(
    r".*((?<!hu)(?<!ro)(?<!ger)man|foot|tooth|goose|mouse|louse|child|person|f|fe|is|us|um|sheep|deer|fish|craft)|ox"
)
"""Nouns whose plural does not, or may not, end in s."""
_AFTER_ES = ("s", "x", "z", "ch", "sh")


class Reading(NamedTuple):
    """A word as one form of a base form."""

    base: str
    form: str


def _parse() -> dict[str, tuple[str, str]]:
    table = {}
    for entry in _IRREGULAR.strip().replace("\n", "|").split("|"):
        base, past, *participle = entry.split()
        table[base] = (past, participle[0] if participle else past)
    return table


IRREGULAR_VERBS: dict[str, tuple[str, str]] = _parse()
"""Past and participle by base form."""


def _by_form() -> dict[str, list[Reading]]:
    readings_of: dict[str, list[Reading]] = {}
    for base, (past, participle) in IRREGULAR_VERBS.items():
        forms = [(past, ED)] if past == participle else [(past, PAST), (participle, PARTICIPLE)]
        for word, form in forms:
            readings_of.setdefault(word, []).append(Reading(base, form))
    return readings_of


_IRREGULAR_FORMS = _by_form()


def readings(word: str) -> list[Reading]:
    """Return the readings of a lower-case word, as a base form itself first; a synonym table tells which exist.

    An irregular form has no other reading: "saw" is always a form of "see", so that no sentence with it gets a
    "proverb".
    """
    irregular = [reading for reading in _IRREGULAR_FORMS.get(word, ()) if reading.base != word]
    if irregular:
        return irregular
    regular = [
        Reading(base, form) for form in (S, ING, ED) for base in _bases(word, form) if inflect(base, form) == word
    ]
    return [Reading(word, BASE), *regular]


def inflect(base: str, form: str) -> str | None:
    """Return a form of a lower-case base form, or None if this module cannot be sure of it.

    Args:
        base: the base form.
        form: BASE, S, ING, PAST, PARTICIPLE or ED.
    """
    if form == BASE:
        return base
    if form == S:
        return None if _OTHER_PLURAL.fullmatch(base) else _with_s(base)
    if base.endswith(("c", "ie")) and form == ING:
        return None if base.endswith("c") else base[:-2] + "ying"
    if form == ING:
        drops = base.endswith("e") and not base.endswith(("ee", "oe", "ye")) and len(base) > 2
        return (base[:-1] if drops else _doubled(base)) + "ing"
    past, participle = IRREGULAR_VERBS.get(base) or (_with_ed(base),) * 2
    if form == ED:
        return past if past == participle else None
    return past if form == PAST else participle


def _bases(word: str, form: str) -> list[str]:
    """Every base form that could give the word, right or not."""
    ending = {S: "s", ING: "ing", ED: "ed"}[form]
    if not word.endswith(ending):
        return []
    stem = word.removesuffix(ending)
    bases = [stem]
    if form == S and stem.endswith("ie"):
        bases.append(stem[:-2] + "y")
    if form == S and stem.endswith("e"):
        bases.append(stem[:-1])
    if form == ING:
        bases += [stem + "e", *([stem[:-1] + "ie"] if stem.endswith("y") else [])]
    if form == ED:
        bases += [stem + "e", *([stem[:-1] + "y"] if stem.endswith("i") else [])]
    if form != S and len(stem) > 2 and stem[-1] == stem[-2]:
        bases.append(stem[:-1])
    return [base for base in bases if len(base) > 1]


def _with_s(base: str) -> str | None:
    if base.endswith(_AFTER_ES):
        return base + "es"
    if _consonant_then(base, "y"):
        return base[:-1] + "ies"
    # Potatoes and goes, but photos: only a dictionary would tell.
    return None if _consonant_then(base, "o") else base + "s"


def _with_ed(base: str) -> str | None:
    if base.endswith("c"):
        return None
    if base.endswith("e"):
        return base + "d"
    return base[:-1] + "ied" if _consonant_then(base, "y") else _doubled(base) + "ed"


def _doubled(base: str) -> str:
    """The base with its last consonant doubled if an ending with a vowel requires it: stop, stopp."""
    short = re.fullmatch(r"[^aeiou]*(qu)?[aeiou][^aeiouwxy]", base)
    return base + base[-1] if short or _DOUBLING.fullmatch(base) else base


def _consonant_then(base: str, letter: str) -> bool:
    return len(base) > 1 and base.endswith(letter) and base[-2] not in "aeiou"
