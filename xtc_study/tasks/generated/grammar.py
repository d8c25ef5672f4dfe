"""The sentences of the generated tasks: one function per task makes an example of a given class."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from xtc_study.tasks.generated import vocabulary as words

Example = tuple[str, ...]
"""One sentence, or two."""
Item = TypeVar("Item")


def pick(rng: Random, options: Sequence[Item]) -> Item:
    """Pick an option; all are equally likely."""
    # Python guarantees the same numbers in every version only for Random.random().
    return options[int(rng.random() * len(options))]


def pick_common(rng: Random, options: Sequence[Item]) -> Item:
    """Pick an option; earlier ones are picked more often.

    Words of real text are not equally common either. Here this also makes the tasks learnable in seconds: if all words
    were equally likely, no single word would tell whether two of them fit together, and a small model trained from
    scratch would find no signal to start from.
    """
    share = rng.random()
    return options[int(share * share * share * len(options))]


def pick_other(rng: Random, options: Sequence[Item], *taken: Item) -> Item:
    """Pick an option as ``pick_common`` does, but none of ``taken``."""
    return pick_common(rng, [option for option in options if option not in taken])


def written(text: Sequence[str]) -> str:
    """Join words to a sentence: capital first letter, no blank before a comma, full stop."""
    sentence = " ".join(text).replace(" ,", ",")
    return sentence[0].upper() + sentence[1:] + "."


# Acceptability: a sentence is a list of words, each with its form in the other number ("" if it has none).
Agreeing = tuple[str, str]
# Plural subjects are the rule, for the same reason as common words (see pick_common).
PLURAL = 0.75


def _agree(pair: tuple[str, str], plural: bool) -> Agreeing:
    return (pair[1], pair[0]) if plural else pair


def _noun_phrase(rng: Random, noun: str, plural: bool) -> list[Agreeing]:
    if rng.random() < 0.5:
        determiner = _agree(pick_common(rng, words.DETERMINERS), plural)
    else:
        determiner = (pick(rng, words.ANY_NUMBER), "")
    adjective = [(pick(rng, words.NOUN_ADJECTIVES), "")] if rng.random() < 0.2 else []
    # The noun itself is never changed, so that an error always shows against it.
    return [determiner, *adjective, (noun + "s" if plural else noun, "")]


def _verb(stem: str, plural: bool) -> Agreeing:
    return _agree((stem + "s", stem), plural)


def _modifier(rng: Random, noun: str, plural: bool) -> list[Agreeing]:
    """Words between the subject and its verb; their noun often has the other number and attracts the verb."""
    inner = rng.random() < 0.5
    attractor = _noun_phrase(rng, noun, inner)
    kind = rng.random()
    if kind < 0.4:
        return [(pick(rng, words.POSITIONS), ""), *attractor]
    verb = pick_common(rng, words.TRANSITIVE)
    if kind < 0.7:
        return [("that", ""), _verb(verb, plural), *attractor]
    return [("that", ""), *attractor, _verb(verb, inner)]


def _predicate(rng: Random, object_noun: str, plural: bool) -> list[Agreeing]:
    kind = rng.random()
    if kind < 0.4:
        adverb = [(pick(rng, words.ADVERBS), "")] if rng.random() < 0.5 else []
        return [_verb(pick_common(rng, words.INTRANSITIVE), plural), *adverb]
    if kind < 0.7:
        return [_agree(pick_common(rng, words.COPULAS), plural), (pick(rng, words.STATES), "")]
    return [_verb(pick_common(rng, words.TRANSITIVE), plural), *_noun_phrase(rng, object_noun, rng.random() < PLURAL)]


def acceptability(rng: Random, label: int) -> Example:
    """Make a sentence. 1: every determiner and verb agrees with its noun; 0: exactly one does not."""
    plural = rng.random() < PLURAL
    subject = pick_common(rng, words.NOUNS)
    attractor = pick_other(rng, words.NOUNS, subject)
    target = pick_other(rng, words.NOUNS, subject, attractor)
    modifier = _modifier(rng, attractor, plural) if rng.random() < 0.6 else []
    sentence = [*_noun_phrase(rng, subject, plural), *modifier, *_predicate(rng, target, plural)]
    text = [form for form, _ in sentence]
    if label == 0:
        place = pick(rng, [index for index, (_, other) in enumerate(sentence) if other])
        text[place] = sentence[place][1]
    return (written(text),)


# Sentiment: each opinion has a strength, and the clause that the sentence emphasises counts twice.
def _opinion(rng: Random, negatable: bool = True) -> tuple[list[str], float]:
    sign = pick(rng, (1, -1))
    word = pick_common(rng, words.GOOD if sign > 0 else words.BAD)
    kind = rng.random()
    if kind < 0.3:
        return [word], sign
    if kind < 0.5:
        return [pick(rng, words.STRONG), word], 2 * sign
    if kind < 0.7 or not negatable:
        return [pick(rng, words.WEAK), word], sign / 2
    # "not very good" is no worse than "not good".
    negation = pick(rng, (["not"], ["not", pick(rng, words.STRONG)], ["never"]))
    return [*negation, word], -sign


def _review(rng: Random) -> tuple[list[str], float]:
    """Two or three opinions in one sentence, and their balance."""
    aspects: list[str] = []
    clauses: list[list[str]] = []
    values: list[float] = []
    for _ in range(3):
        aspects.append(pick(rng, [aspect for aspect in words.ASPECTS if aspect not in aspects]))
        opinion, value = _opinion(rng)
        clauses.append(["the", aspects[-1], "was", *opinion])
        values.append(value)
    first, second, third = clauses
    kind = rng.random()
    if kind < 0.25:
        return [*first, "and", *second], values[0] + values[1]
    if kind < 0.4:
        return [*first, "but", *second], values[0] + 2 * values[1]
    if kind < 0.5:
        return ["although", *first, ",", *second], values[0] + 2 * values[1]
    if kind < 0.7:
        return [*first, ",", "although", *second], 2 * values[0] + values[1]
    if kind < 0.9:
        return [*first, "and", *second, "but", *third], values[0] + values[1] + 2 * values[2]
    doubted, value = _opinion(rng, negatable=False)
    denied = ["i", "do", "not", "think", "that", "the", aspects[0], "was", *doubted]
    return [*denied, ",", "but", *second], -(1 if value > 0 else -1) + 2 * values[1]


def sentiment(rng: Random, label: int) -> Example:
    """Make a review. 1: the good outweighs the bad; 0: the bad outweighs the good. A balance of 0 never occurs."""
    while True:
        text, balance = _review(rng)
        if balance and (balance > 0) == bool(label):
            return (written(text),)


# Paraphrase: who did what to whom.
Event = tuple[tuple[str, str], tuple[str, str], tuple[str, str]]


def _wording(rng: Random, event: Event) -> str:
    """The event in one of its wordings: either synonym, active or passive."""
    doer, deed, receiver = (pick_common(rng, concept) for concept in event)
    if rng.random() < 0.7:
        return written(["the", doer, deed, "the", receiver])
    return written(["the", receiver, "was", deed, "by", "the", doer])


def paraphrase(rng: Random, label: int) -> Example:
    """Make two sentences. 1: they word the same event; 0: roles are swapped, or one concept is replaced."""
    doer = pick_common(rng, words.PEOPLE)
    # The people who act most often are rarely the ones acted upon.
    receiver = pick_other(rng, words.PEOPLE[::-1], doer)
    deed = pick_common(rng, words.DEEDS)
    event = other = (doer, deed, receiver)
    if label == 0:
        changes = (
            (receiver, deed, doer),
            (doer, pick_other(rng, words.DEEDS, deed), receiver),
            (pick_other(rng, words.PEOPLE, doer, receiver), deed, receiver),
            (doer, deed, pick_other(rng, words.PEOPLE, doer, receiver)),
        )
        other = pick(rng, changes)
    first = second = _wording(rng, event)
    while second == first:
        second = _wording(rng, other)
    return first, second


# Similarity: five concepts per sentence.
SLOTS = (words.PEOPLE, words.HANDLINGS, words.THINGS, words.PLACES, words.MANNERS)


def _happening(rng: Random, concepts: Sequence[tuple[str, str]]) -> str:
    person, handling, thing, place, manner = (pick_common(rng, concept) for concept in concepts)
    text = ["the", person, manner, handling, "the", thing]
    where = ["in", "the", place]
    return written([*text, *where] if rng.random() < 0.85 else [*where, ",", *text])


def similarity(rng: Random, label: int) -> Example:
    """Make two sentences that share ``label`` (0 to 5) of their five concepts."""
    first = [pick_common(rng, slot) for slot in SLOTS]
    second = [pick_other(rng, slot, concept) for slot, concept in zip(SLOTS, first, strict=True)]
    places = list(range(len(SLOTS)))
    for _ in range(label):
        shared = pick(rng, places)
        places.remove(shared)
        second[shared] = first[shared]
    return _happening(rng, first), _happening(rng, second)


# Inference: facts about one or two people, then a claim about one of them.
def _counted(number: int, thing: str) -> list[str]:
    return [words.NUMBERS[number - 1], thing if number == 1 else thing + "s"]


# A fact, and two claims for each class in turn (entailed, undecided, contradicted).
Fact = tuple[list[str], list[list[list[str]]]]


def _attribute(rng: Random, name: str) -> Fact:
    """For example "Anna is tall", hence "Anna is not short"."""
    dimension = pick_common(rng, words.OPPOSITES)
    side = pick_common(rng, (0, 1))
    same, opposite = dimension[side], dimension[1 - side]
    unknown = pick_common(rng, pick_other(rng, words.OPPOSITES, dimension))
    claims = [
        [[name, "is", same], [name, "is", "not", opposite]],
        [[name, "is", unknown], [name, "is", "not", unknown]],
        [[name, "is", opposite], [name, "is", "not", same]],
    ]
    return [name, "is", same], claims


def _possession(rng: Random, name: str) -> Fact:
    """For example "Anna has two dogs", hence "Anna has more than one dog". Numbers are exact."""
    thing = pick_common(rng, words.OWNED)
    number = pick_common(rng, (2, 3, 4))
    below, above = pick(rng, range(1, number)), pick(rng, range(number + 1, 6))
    other, any_number = pick_other(rng, words.OWNED, thing), pick(rng, (2, 3, 4))
    has, more, fewer = [name, "has"], ["more", "than"], ["fewer", "than"]
    claims = [
        [[*has, *more, *_counted(below, thing)], [*has, *fewer, *_counted(above, thing)]],
        [[*has, *more, *_counted(any_number, other)], [*has, *fewer, *_counted(any_number, other)]],
        [[*has, *more, *_counted(above, thing)], [*has, *fewer, *_counted(below + 1, thing)]],
    ]
    return [*has, *_counted(number, thing)], claims


def inference(rng: Random, label: int) -> Example:
    """Make facts and a claim. 0: the claim follows; 1: the facts leave it open; 2: the facts rule it out."""
    first = pick_common(rng, words.NAMES)
    second = pick_other(rng, words.NAMES, first)
    kinds = (_attribute, _possession) if rng.random() < 0.7 else (_possession, _attribute)
    facts = [kinds[0](rng, first)]
    if rng.random() < 0.7:
        # Two facts of one kind are the hard case: only the name tells them apart.
        facts.append(kinds[0 if rng.random() < 0.2 else 1](rng, second))
    claim = pick_common(rng, pick(rng, facts)[1][label])
    premise = facts[0][0] if len(facts) == 1 else [*facts[0][0], "and", *facts[1][0]]
    return written(premise), written(claim)
