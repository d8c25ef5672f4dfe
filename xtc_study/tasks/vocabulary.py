"""The built-in vocabulary: the words of the generated tasks, and a word-level tokenizer over them."""

from __future__ import annotations

from typing import Any

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""First in the vocabulary, so that their ids are 0 to 4, with the padding at 0."""

Synonyms = tuple[tuple[str, str], ...]
"""Concepts: each is two words that the tasks treat as the same."""

# Acceptability. Every noun makes its plural, and every verb its third person, by adding an s.
NOUNS = (
    *("boy", "girl", "teacher", "doctor", "pilot", "farmer", "king", "queen", "dog", "cat", "bird", "horse"),
    *("singer", "dancer", "guard", "sailor", "lion", "cow", "duck", "friend", "driver", "painter", "baker", "tiger"),
)
INTRANSITIVE = ("sleep", "laugh", "smile", "dance", "wait", "sing", "run", "swim", "talk", "work", "jump", "play")
TRANSITIVE = ("like", "see", "know", "help", "follow", "love", "trust", "visit", "fear", "meet", "need", "want")
DETERMINERS = (("this", "these"), ("every", "all"), ("each", "several"), ("one", "two"), ("a", "many"))
"""Singular form, plural form."""
ANY_NUMBER = ("the", "my", "our", "the")
COPULAS = (("is", "are"), ("was", "were"))
STATES = ("here", "tired", "happy", "hungry", "ready", "late")
NOUN_ADJECTIVES = ("young", "old", "small", "tall", "clever", "brave")
POSITIONS = ("near", "behind", "with", "beside")
ADVERBS = ("today", "again", "outside", "often")

# Sentiment.
ASPECTS = (
    *("food", "room", "service", "staff", "film", "story", "ending", "music", "view", "price", "pool", "garden"),
    *("soup", "bed", "actor", "plot", "tour", "guide", "bar", "menu"),
)
GOOD = ("good", "great", "nice", "lovely", "pleasant", "excellent", "charming", "superb", "fine", "delightful")
BAD = ("bad", "awful", "nasty", "terrible", "boring", "poor", "horrible", "dreadful", "ugly", "disappointing")
STRONG = ("very", "really", "extremely")
WEAK = ("slightly", "somewhat")

# Paraphrase and similarity.
PEOPLE: Synonyms = (
    *(("doctor", "physician"), ("boy", "lad"), ("thief", "robber"), ("teacher", "instructor"), ("lawyer", "attorney")),
    *(("woman", "lady"), ("writer", "author"), ("singer", "vocalist"), ("cook", "chef"), ("king", "monarch")),
)
DEEDS: Synonyms = (
    *(("helped", "assisted"), ("called", "phoned"), ("hired", "employed"), ("praised", "applauded")),
    *(("attacked", "assaulted"), ("rescued", "saved"), ("scolded", "rebuked"), ("questioned", "interrogated")),
)
PLACES: Synonyms = (
    *(("shop", "store"), ("street", "road"), ("house", "home"), ("forest", "woods"), ("city", "town")),
    *(("harbour", "port"), ("hospital", "clinic"), ("prison", "jail")),
)
HANDLINGS: Synonyms = (
    *(("bought", "purchased"), ("found", "discovered"), ("repaired", "fixed"), ("hid", "concealed")),
    *(("drew", "sketched"), ("cleaned", "washed"), ("chose", "selected"), ("moved", "shifted")),
)
THINGS: Synonyms = (
    *(("car", "automobile"), ("phone", "telephone"), ("bike", "bicycle"), ("picture", "image"), ("sofa", "couch")),
    *(("gift", "present"), ("stone", "rock"), ("cup", "mug"), ("jacket", "coat"), ("hat", "cap")),
)
MANNERS: Synonyms = (
    *(("quickly", "rapidly"), ("quietly", "silently"), ("happily", "gladly"), ("carefully", "cautiously")),
    *(("suddenly", "abruptly"), ("angrily", "furiously"), ("secretly", "covertly"), ("finally", "eventually")),
)

# Inference.
NAMES = ("anna", "ben", "carl", "dora", "emil", "fay", "gus", "hana")
OPPOSITES = (
    *(("tall", "short"), ("rich", "poor"), ("happy", "sad"), ("young", "old"), ("strong", "weak"), ("calm", "angry")),
    *(("kind", "cruel"), ("lazy", "busy")),
)
NUMBERS = ("one", "two", "three", "four", "five", "six")
OWNED = ("dog", "cat", "horse", "bike", "house", "car")
BOUNDS = ("exactly", "more", "fewer", "than")

GLUE_WORDS = (
    *(".", ",", "the", "a", "that", "and", "but", "although", "not", "never", "is", "was", "has", "by", "in"),
    *("i", "do", "think"),
)
"""Words of the sentence patterns themselves."""


def _all_words() -> list[str]:
    words = {*GLUE_WORDS, *ANY_NUMBER, *STATES, *NOUN_ADJECTIVES, *POSITIONS, *ADVERBS, *ASPECTS, *GOOD, *BAD}
    words |= {*STRONG, *WEAK, *NAMES, *NUMBERS, *BOUNDS}
    for stem in (*NOUNS, *INTRANSITIVE, *TRANSITIVE, *OWNED):
        words |= {stem, stem + "s"}
    for pairs in (DETERMINERS, COPULAS, PEOPLE, DEEDS, PLACES, HANDLINGS, THINGS, MANNERS, OPPOSITES):
        words |= {word for pair in pairs for word in pair}
    return sorted(words)


VOCABULARY: dict[str, int] = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *_all_words()))}
"""Word to id: the special tokens, then every word of the generated tasks in alphabetical order."""


def toy_tokenizer() -> Any:
    """A transformers fast tokenizer over ``VOCABULARY``; it lower-cases and splits at spaces and punctuation."""
    from transformers import BertTokenizer  # slow to import, and a plan needs no tokenizer

    return BertTokenizer(vocab=dict(VOCABULARY), do_lower_case=True)
