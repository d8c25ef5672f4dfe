"""Check how a tokenizer reads a task's text before training: which rows are cut, and what is spelled in bytes.

Imports no torch, because a plan checks this too, with the tokenizer.json of a model on this machine.
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
"""Maximum rows of a split, evenly spaced, on which a plan counts lengths and tokens per character."""

Columns = Sequence[Sequence[str]]
"""One list of texts per text field."""


class Reader(NamedTuple):
    """What these checks need of a tokenizer."""

    encode: Callable[[Columns], list[list[int]]]
    """Returns the tokens of each row, special ones included, without cutting."""
    special: tuple[int, int]
    """Number of special tokens added to one text, and to two."""
    unknown: int | None
    """The id of the unknown token; None: there is none."""


def reader_of(tokenizer: Any) -> Reader:
    """Return the reader of a transformers tokenizer."""

    def encode(columns: Columns) -> list[list[int]]:
        encoded = tokenizer(*(list(texts) for texts in columns), truncation=False, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    one, two = (tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True))
    return Reader(encode, (one, two), tokenizer.unk_token_id)


def reader_at_hand(model: str, models_dir: Path | None = None) -> Reader | None:
    """Return the reader of a model whose tokenizer.json is in a folder or in the hub's cache; None if there is none.

    transformers is not imported, because it starts slowly.

    Args:
        model: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.
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
    """Return the model's tokenizer.json in its folder or in the hub's cache; the hub itself is not contacted."""
    if Path(source).is_dir():
        file = Path(source) / "tokenizer.json"
        return file if file.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, "tokenizer.json")
    return Path(cached) if isinstance(cached, str) else None


def sampled(columns: Columns) -> list[list[str]]:
    """Return at most SAMPLE rows, evenly spaced."""
    step = -(-len(columns[0]) // SAMPLE) or 1
    return [list(texts[::step]) for texts in columns]


def lengths_before_cutting(
    text: Mapping[str, Dataset], encoded: Mapping[str, Dataset], task: Task, tokenizer: Any, max_length: int
) -> dict[str, Lengths]:
    """Return the lengths of each split's rows before cutting. Only rows that fill ``max_length`` are encoded again.

    Args:
        text: the splits as text.
        encoded: the same rows, tokenised and cut to ``max_length``.
        task: names the text fields.
        tokenizer: the tokenizer that encoded the rows.
        max_length: maximum tokens of a row.
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
    """Check that the tokenizer does not spell the text in bytes, and warn of splits of which many rows are cut.

    Args:
        name: the model's name, for messages.
        tokenizer: the model's tokenizer.
        task: names the text fields.
        train: the training rows as text.
        lengths: by split, what ``lengths_before_cutting`` returned.

    Raises:
        ModelError: the tokenizer needs several tokens for each character.
    """
    columns = sampled([train[field][:] for field in task.text_fields])
    reader = reader_of(tokenizer)
    if problem := spelled_in_bytes(columns, reader.encode(columns), reader, lengths["train"]):
        raise ModelError(f"model={name!r}: {problem}")
    for split, split_lengths in lengths.items():
        if split_lengths.is_bad:
            warnings.warn(f"task {task.name}: {split_lengths.in_words(f'rows of {split}')}", stacklevel=2)


def unsuited(columns: Columns, rows: Sequence[Sequence[int]], reader: Reader, lengths: Lengths) -> str:
    """Return why a run would refuse this tokenizer for this text, in words; empty if it would not.

    Args:
        columns: the text.
        rows: the tokens that ``reader`` gives for ``columns``.
        reader: the tokenizer.
        lengths: of the rows.
    """
    words = sum(map(len, rows)) - len(rows) * reader.special[len(columns) - 1]
    share = sum(list(ids).count(reader.unknown) for ids in rows) / max(words, 1) if reader.unknown is not None else 0.0
    if share > MOST_UNKNOWN:
        return f"{share:.0%} of the tokens of this text are unknown to its tokenizer; choose a model of this language"
    return spelled_in_bytes(columns, rows, reader, lengths)


def spelled_in_bytes(columns: Columns, rows: Sequence[Sequence[int]], reader: Reader, lengths: Lengths) -> str:
    """Return the problem in words if the text needs more tokens than it has characters; empty if it does not.

    Args:
        columns: the text.
        rows: the tokens that ``reader`` gives for ``columns``.
        reader: the tokenizer.
        lengths: of the rows.
    """
    counts = [len(ids) for ids in rows]
    share = tokens_per_character(columns, counts, reader.special[len(columns) - 1])
    if share <= MOST_TOKENS_PER_CHARACTER:
        return ""
    first = len("".join("".join(texts[0].split()) for texts in columns))
    return (
        f"its tokenizer makes {share:.1f} tokens of each character of this text (the first row's {first:,} "
        f"characters become {counts[0]:,}), and {lengths.share:.0%} of the rows are cut at max_length="
        f"{lengths.max_length}: it was trained on another script and spells this one in bytes; choose a model of this "
        "language"
    )
