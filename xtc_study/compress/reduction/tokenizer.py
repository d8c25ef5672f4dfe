"""A tokenizer cut to the tokens that a task needs. It gives the same tokens as before wherever it has them all.

What stays: every token of the task's training text, special tokens, and what any other word is spelled with: single
characters, bytes, and for a BPE tokenizer the tokens that the others are merged from. A word whose token is gone is
then spelled by smaller ones.

- WordPiece takes the longest token that fits, from left to right: taking away tokens it would not have taken changes
  nothing.
- Unigram takes the likeliest way to spell a word: taking away others changes nothing.
- BPE merges in the order of its rules: a text whose tokens are all kept needs the rules they were made by, and these
  stay. Rules that make no kept token go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

MARKS = re.compile(r"^(##|▁)(?=.)|(?<=.)</w>$", re.DOTALL)
"""Marks that a token begins, continues or ends a word; no characters of the word."""
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class TokenizerError(ValueError):
    """A tokenizer that cannot be cut."""


def task_tokens(tokenizer: Any, rows: Dataset) -> list[int]:
    """Ids of the tokens to keep for a task, rising.

    Args:
        rows: the training split, tokenised (``tasks/batches.py``).

    Raises:
        TokenizerError: a tokenizer without a tokenizer.json, or of a kind not known here.
    """
    import pyarrow.compute as pc

    used = pc.unique(pc.list_flatten(rows.data.column("input_ids"))).to_pylist()
    return needed_tokens(tokenizer, used)


def needed_tokens(tokenizer: Any, used: Iterable[int]) -> list[int]:
    """``used`` and whatever must stay beside it, rising ids.

    Raises:
        TokenizerError: as for ``task_tokens``.
    """
    content = _content(tokenizer)
    pieces = _pieces(content["model"])
    keep = {token["id"] for token in content["added_tokens"]} | set(tokenizer.all_special_ids)
    keep |= {number for piece, number in pieces.items() if _spells(piece)}
    keep |= set(used)
    if content["model"]["type"] == "BPE":
        keep = _with_their_parts(keep, pieces, _merges(content["model"]))
    return sorted(keep)


def cut_tokenizer(tokenizer: Any, kept: Sequence[int]) -> Any:
    """The same tokenizer with only these tokens; the n-th of them is token n.

    Raises:
        TokenizerError: as for ``task_tokens``; or what transformers makes of it has other tokens than asked for.
    """
    content = _content(tokenizer)
    new = {old: place for place, old in enumerate(kept)}

    # The vocabulary, and of BPE the rules whose tokens all stay.
    model = content["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        model["unk_id"] = new.get(model["unk_id"])
    else:
        model["vocab"] = {piece: new[old] for piece, old in model["vocab"].items() if old in new}
    if model["type"] == "BPE":
        model["merges"] = [
            [left, right] for left, right, whole in _merges(model) if {left, right, whole} <= model["vocab"].keys()
        ]

    # Special tokens get their new numbers.
    content["added_tokens"] = [
        {**token, "id": new[token["id"]]} for token in content["added_tokens"] if token["id"] in new
    ]
    content["post_processor"] = _renumbered(content["post_processor"], new)
    if content.get("padding"):
        content["padding"]["pad_id"] = new[content["padding"]["pad_id"]]

    # Only a new tokenizer.json goes through transformers: it derives everything else.
    with TemporaryDirectory(prefix="xtc-") as workdir:
        tokenizer.save_pretrained(workdir)
        for file in Path(workdir).iterdir():  # vocab.txt and the like would bring back what was taken away
            if file.name not in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                file.unlink()
        (Path(workdir) / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        smaller = type(tokenizer).from_pretrained(workdir, local_files_only=True)

    if len(smaller) != len(kept) or smaller.convert_ids_to_tokens(range(len(kept))) != (
        tokenizer.convert_ids_to_tokens(list(kept))
    ):
        raise TokenizerError(f"{type(tokenizer).__name__} does not take a smaller vocabulary; use vocabulary='full'")
    return smaller


def _content(tokenizer: Any) -> dict[str, Any]:
    """The content of the tokenizer's tokenizer.json."""
    if not getattr(tokenizer, "is_fast", False):
        raise TokenizerError(f"{type(tokenizer).__name__} has no tokenizer.json; use vocabulary='full'")
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    if content["model"]["type"] not in ("WordPiece", "WordLevel", "BPE", "Unigram"):
        raise TokenizerError(f"a tokenizer of kind {content['model']['type']} cannot be cut; use vocabulary='full'")
    return content


def _pieces(model: dict[str, Any]) -> dict[str, int]:
    if model["type"] == "Unigram":
        return {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    vocabulary: dict[str, int] = model["vocab"]
    return vocabulary


def _spells(piece: str) -> bool:
    """Whether a token is one character, at the beginning of a word or inside it, or one byte."""
    return len(MARKS.sub("", piece)) == 1 or BYTE.fullmatch(piece) is not None


def _merges(model: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The rules in their order: two tokens and what they become. Older files write the two as one text."""
    prefix = model.get("continuing_subword_prefix") or ""
    pairs = [rule.split(" ") if isinstance(rule, str) else rule for rule in model["merges"]]
    return [(left, right, left + right.removeprefix(prefix)) for left, right in pairs]


def _with_their_parts(keep: set[int], pieces: dict[str, int], merges: list[tuple[str, str, str]]) -> set[int]:
    """``keep`` and all tokens that its tokens are merged from."""
    made: dict[int, set[int]] = {}
    for left, right, whole in merges:
        if {left, right, whole} <= pieces.keys():
            made.setdefault(pieces[whole], set()).update((pieces[left], pieces[right]))
    needed, new = set(keep), set(keep)
    while new:
        new = {part for piece in new for part in made.get(piece, ())} - needed
        needed |= new
    return needed


def _renumbered(processor: Any, new: dict[int, int]) -> Any:
    """The post-processor, which puts special tokens around a text, with their new ids."""
    if processor is None:
        return None
    if processor["type"] == "Sequence":
        return {**processor, "processors": [_renumbered(one, new) for one in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [new[old] for old in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": tokens}
    ends = {name: [processor[name][0], new[processor[name][1]]] for name in ("sep", "cls") if name in processor}
    return {**processor, **ends}
