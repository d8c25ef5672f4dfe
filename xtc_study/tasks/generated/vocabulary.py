"""The built-in vocabulary: the words of the generated tasks, and a tokenizer that has one token per word."""

from __future__ import annotations

from typing import Any

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""First in the vocabulary, so that their ids are 0 to 4, with the padding at 0."""

Synonyms = tuple[tuple[str, str], ...]
"""Concepts: each is two words that the tasks treat as the same."""

# The generators pick early words of most lists more often than late ones, so their order is part of the data.

# Acceptability. Every noun forms its plural, and every verb its third person, by adding an s.
NOUNS = ("boy", "teacher", "dog", "girl", "doctor", "cat", "pilot", "farmer", "horse", "singer", "guard", "bird")
INTRANSITIVE = ("sleep", "laugh", "wait", "work", "sing", "run")
TRANSITIVE = ("like", "see", "help", "know", "follow", "fear")
DETERMINERS = (("this", "these"), ("every", "all"), ("one", "two"), ("a", "many"))
"""Singular form, plural form."""
ANY_NUMBER = ("the", "my", "our")
COPULAS = (("is", "are"), ("was", "were"))
STATES = ("here", "tired", "happy", "hungry", "ready", "late")
NOUN_ADJECTIVES = ("young", "little", "small", "tall", "clever", "brave")
POSITIONS = ("near", "behind", "with", "beside")
ADVERBS = ("today", "again", "outside", "often")

# Sentiment.
ASPECTS = (
    *("food", "room", "service", "staff", "film", "story", "ending", "music", "view", "price", "pool", "garden"),
    *("soup", "bed", "actor", "plot", "tour", "guide", "bar", "menu"),
)
GOOD = (
    *("good", "nice", "pleasant", "lovely", "charming"),
    *("enjoyable", "impressive", "delightful", "appealing", "agreeable"),
)
BAD = (
    *("bad", "poor", "boring", "nasty", "ugly"),
    *("dull", "unpleasant", "annoying", "disappointing", "dreary"),
)
STRONG = ("very", "really", "extremely")
WEAK = ("fairly", "rather")

# Paraphrase and similarity.
PEOPLE: Synonyms = (
    *(("doctor", "physician"), ("boy", "lad"), ("thief", "robber")),
    *(("teacher", "instructor"), ("lawyer", "attorney"), ("woman", "lady")),
)
DEEDS: Synonyms = (
    *(("helped", "assisted"), ("called", "phoned"), ("hired", "employed")),
    *(("praised", "applauded"), ("attacked", "assaulted"), ("saved", "rescued")),
)
PLACES: Synonyms = (
    *(("shop", "store"), ("street", "road"), ("forest", "woods"), ("city", "town"), ("hospital", "clinic")),
)
HANDLINGS: Synonyms = (
    *(("bought", "purchased"), ("found", "discovered"), ("repaired", "fixed"), ("hid", "concealed")),
    ("cleaned", "washed"),
)
THINGS: Synonyms = (
    *(("car", "automobile"), ("phone", "telephone"), ("bike", "bicycle")),
    *(("picture", "image"), ("sofa", "couch"), ("cup", "mug")),
)
MANNERS: Synonyms = (
    *(("quickly", "rapidly"), ("quietly", "silently"), ("happily", "gladly"), ("carefully", "cautiously")),
    ("suddenly", "abruptly"),
)

# Inference.
NAMES = ("Anna", "Ben", "Carl", "Dora", "Emil", "Fay")
OPPOSITES = (("tall", "short"), ("happy", "sad"), ("rich", "poor"), ("young", "old"))
NUMBERS = ("one", "two", "three", "four", "five")
OWNED = ("dog", "cat", "horse")
BOUNDS = ("more", "fewer", "than")

PATTERN_WORDS = (
    *(".", ",", "the", "a", "that", "and", "but", "although", "not", "never", "is", "was", "has", "by", "in"),
    *("i", "do", "think"),
)
"""Words that the sentence patterns contain."""

INTERCHANGEABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "toy-acceptability": (
        *(NOUNS, tuple(noun + "s" for noun in NOUNS), STATES, NOUN_ADJECTIVES, ADVERBS, INTRANSITIVE, TRANSITIVE),
        *(tuple(verb + "s" for verb in verbs) for verbs in (INTRANSITIVE, TRANSITIVE)),
    ),
    "toy-sentiment": (ASPECTS, GOOD, BAD, STRONG, WEAK),
    "toy-paraphrase": (*PEOPLE, *DEEDS),
    "toy-similarity": (*PEOPLE, *HANDLINGS, *THINGS, *PLACES, *MANNERS),
    "toy-inference": (),
}
"""Classes of words that may replace each other, one at a time, without changing the label.

For agreement these are nouns of the same number; for sentiment, words of the same strength. In an inference every word
counts, and a name changed in only one place makes it another question.
"""


def _all_words() -> list[str]:
    words = {*PATTERN_WORDS, *ANY_NUMBER, *STATES, *NOUN_ADJECTIVES, *POSITIONS, *ADVERBS, *ASPECTS, *GOOD, *BAD}
    words |= {*STRONG, *WEAK, *(name.lower() for name in NAMES), *NUMBERS, *BOUNDS}
    for stem in (*NOUNS, *INTRANSITIVE, *TRANSITIVE, *OWNED):
        words |= {stem, stem + "s"}
    for pairs in (DETERMINERS, COPULAS, PEOPLE, DEEDS, PLACES, HANDLINGS, THINGS, MANNERS, OPPOSITES):
        words |= {word for pair in pairs for word in pair}
    return sorted(words)


VOCABULARY: dict[str, int] = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *_all_words()))}
"""Word to id: the special tokens, then every word of the generated tasks in alphabetical order."""


def toy_tokenizer() -> Any:
    """Build a transformers fast tokenizer over ``VOCABULARY``; it lower-cases and splits at spaces and punctuation."""
    from transformers import BertTokenizer  # slow to import, and a plan needs no tokenizer

    return BertTokenizer(vocab=dict(VOCABULARY), do_lower_case=True)
