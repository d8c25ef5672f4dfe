"""How a tokenizer reads a task's text, asked before anything is trained: what is cut, and what is spelled in bytes.

Imports no torch: a plan asks too, with the tokenizer.json of a model that is at hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xtc_study.model_source import BUILTIN, ModelError, resolve_model
from xtc_study.tasks.lengths import MOST_TOKENS_PER_CHARACTER, MOST_UNKNOWN, Lengths, lengths_of, tokens_per_character
from xtc_study.tasks.task import Task
from xtc_study.training.pretrained import load_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

SAMPLE = 2000
"""Rows of a split, evenly spaced, that a plan reads, and that the tokens a character are counted on."""

Columns = Sequence[Sequence[str]]
"""One list of texts a text field."""


class Reader(NamedTuple):
    """A tokenizer, as far as it is asked here."""

    encode: Callable[[Columns], list[list[int]]]
    """The tokens of each row, special ones included, none cut off."""
    special: tuple[int, int]
    """How many special tokens it puts around one text, and around two."""
    unknown: int | None
    """The token it gives for what it cannot spell; None: there is none."""


def reader_of(tokenizer: Any) -> Reader:
    """The reader of a transformers tokenizer."""

    def encode(columns: Columns) -> list[list[int]]:
        encoded = tokenizer(*(list(texts) for texts in columns), truncation=False, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    one, two = (tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True))
    return Reader(encode, (one, two), tokenizer.unk_token_id)


def reader_at_hand(model: str, models_dir: Path | None = None) -> Reader | None:
    """The reader of a model whose tokenizer.json is in a folder or in the hub's cache; None where it is not.

    transformers is not imported, for it takes long to start.
    """
    if model == BUILTIN:
        return reader_of(load_tokenizer(model))
    try:
        file = _tokenizer_file(resolve_model(model, models_dir))
        if file is None:
            return None
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises Exception itself; a run reports what is wrong with the folder
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(columns: Columns) -> list[list[int]]:
        rows = list(columns[0]) if len(columns) == 1 else list(zip(*columns, strict=True))
        return [encoding.ids for encoding in tokenizer.encode_batch(rows)]

    one, two = (tokenizer.num_special_tokens_to_add(pair) for pair in (False, True))
    unknown = getattr(tokenizer.model, "unk_token", None)
    return Reader(encode, (one, two), None if unknown is None else tokenizer.token_to_id(unknown))


def _tokenizer_file(source: str) -> Path | None:
    """The model's tokenizer.json, in its folder or in the hub's cache; the hub itself is not asked."""
    if Path(source).is_dir():
        file = Path(source) / "tokenizer.json"
        return file if file.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, "tokenizer.json")
    return Path(cached) if isinstance(cached, str) else None


def sampled(columns: Columns) -> list[list[str]]:
    """At most SAMPLE rows, evenly spaced."""
    step = -(-len(columns[0]) // SAMPLE) or 1
    return [list(texts[::step]) for texts in columns]


def lengths_before_cutting(
    text: Mapping[str, Dataset], encoded: Mapping[str, Dataset], task: Task, tokenizer: Any, max_length: int
) -> dict[str, Lengths]:
    """By split, how long its rows are. Only rows that fill ``max_length`` are read a second time.

    Args:
        encoded: the same rows, tokenised and cut to ``max_length``.
    """
    lengths = {}
    reader = reader_of(tokenizer)
    for split, rows in encoded.items():
        counts = list(rows["length"][:])
        full = [place for place, length in enumerate(counts) if length >= max_length]
        if full:
            some = text[split].select(full)
            again = reader.encode([some[field][:] for field in task.text_fields])
            for place, ids in zip(full, again, strict=True):
                counts[place] = len(ids)
        lengths[split] = lengths_of(counts, max_length)
    return lengths


def check_reading(name: str, tokenizer: Any, task: Task, train: Dataset, lengths: Mapping[str, Lengths]) -> None:
    """Checks that the tokenizer spells the text in characters at least; and warns of splits of which much is cut.

    Raises:
        ModelError: it spells it in smaller tokens, such as bytes.
    """
    columns = sampled([train[field][:] for field in task.text_fields])
    reader = reader_of(tokenizer)
    if problem := spelled_in_bytes(columns, reader.encode(columns), reader, lengths["train"]):
        raise ModelError(f"model={name!r}: {problem}")
    for split, of_split in lengths.items():
        if of_split.is_bad:
            warnings.warn(f"task {task.name}: {of_split.in_words(f'rows of {split}')}", stacklevel=2)


def unsuited(columns: Columns, rows: Sequence[Sequence[int]], reader: Reader, lengths: Lengths) -> str:
    """What a run would refuse of a tokenizer and a text, in words; empty where nothing is.

    Args:
        rows: what ``reader`` makes of ``columns``.
    """
    words = sum(map(len, rows)) - len(rows) * reader.special[len(columns) - 1]
    share = sum(list(ids).count(reader.unknown) for ids in rows) / max(words, 1) if reader.unknown is not None else 0.0
    if share > MOST_UNKNOWN:
        return f"{share:.0%} of the tokens of this text are unknown to its tokenizer; choose one of its language"
    return spelled_in_bytes(columns, rows, reader, lengths)


def spelled_in_bytes(columns: Columns, rows: Sequence[Sequence[int]], reader: Reader, lengths: Lengths) -> str:
    """What is wrong where a text needs more tokens than it has characters; empty where nothing is."""
    counts = [len(ids) for ids in rows]
    share = tokens_per_character(columns, counts, reader.special[len(columns) - 1])
    if share <= MOST_TOKENS_PER_CHARACTER:
        return ""
    first = len("".join("".join(texts[0].split()) for texts in columns))
    return (
        f"its tokenizer makes {share:.1f} tokens of each character of this text (the first row's {first:,} "
        f"characters become {counts[0]:,}), and {lengths.share:.0%} of the rows are cut at max_length="
        f"{lengths.max_length}: it knows another script and spells this one in bytes; choose a model of this language"
    )
