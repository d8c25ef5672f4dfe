"""Cut a tokenizer to the tokens that a task needs. A text whose tokens are all kept is tokenised as before.

Kept are all tokens of the task's training text, special tokens, and the tokens that spell any other word: single
characters, bytes, and for a BPE tokenizer the tokens from which kept tokens are merged. A word whose token was removed
is spelled with smaller tokens.

- WordPiece takes the longest matching token from left to right: removing tokens that it would not have taken changes
  nothing.
- Unigram takes the likeliest spelling of a word: removing tokens of other spellings changes nothing.
- BPE merges in the order of its rules: a text whose tokens are all kept needs only the rules that make them, and these
  are kept. Rules that make no kept token are removed.
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
"""Marks that a token begins, continues or ends a word; they are not characters of the word."""
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class TokenizerError(ValueError):
    """The tokenizer cannot be cut."""


def task_tokens(tokenizer: Any, rows: Dataset) -> list[int]:
    """Return the ids of the tokens to keep for a task, in ascending order.

    Args:
        tokenizer: the tokenizer to cut.
        rows: the training split, tokenised (``tasks/batches.py``).

    Raises:
        TokenizerError: the tokenizer has no tokenizer.json, or its kind is not supported.
    """
    import pyarrow.compute as pc

    used = pc.unique(pc.list_flatten(rows.data.column("input_ids"))).to_pylist()
    return needed_tokens(tokenizer, used)


def needed_tokens(tokenizer: Any, used: Iterable[int]) -> list[int]:
    """Return the ids in ``used`` and those that must also be kept, in ascending order.

    Args:
        tokenizer: the tokenizer to cut.
        used: ids of the tokens that texts use.

    Raises:
        TokenizerError: as for ``task_tokens``.
    """
    content = _content(tokenizer)
    ids = _ids_by_token(content["model"])
    keep = {token["id"] for token in content["added_tokens"]} | set(tokenizer.all_special_ids)
    keep |= {number for token, number in ids.items() if _is_one_character(token)}
    keep |= set(used)
    if content["model"]["type"] == "BPE":
        keep = _with_their_parts(keep, ids, _merges(content["model"]))
    return sorted(keep)


def cut_tokenizer(tokenizer: Any, kept: Sequence[int]) -> Any:
    """Return a copy of the tokenizer with only these tokens; the n-th of them becomes token n.

    Args:
        tokenizer: the tokenizer to cut.
        kept: ids of the tokens to keep, in ascending order.

    Raises:
        TokenizerError: as for ``task_tokens``; or transformers loads the cut tokenizer with other tokens than these.
    """
    content = _content(tokenizer)
    new = {old: place for place, old in enumerate(kept)}

    # The vocabulary, and for BPE the rules whose tokens are all kept.
    model = content["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        model["unk_id"] = new.get(model["unk_id"])
    else:
        model["vocab"] = {token: new[old] for token, old in model["vocab"].items() if old in new}
    if model["type"] == "BPE":
        model["merges"] = [
            [left, right] for left, right, merged in _merges(model) if {left, right, merged} <= model["vocab"].keys()
        ]

    # Special tokens get their new numbers.
    content["added_tokens"] = [
        {**token, "id": new[token["id"]]} for token in content["added_tokens"] if token["id"] in new
    ]
    content["post_processor"] = _renumbered(content["post_processor"], new)
    if content.get("padding"):
        content["padding"]["pad_id"] = new[content["padding"]["pad_id"]]

    # transformers loads only the new tokenizer.json and derives everything else from it.
    with TemporaryDirectory(prefix="xtc-") as workdir:
        tokenizer.save_pretrained(workdir)
        for file in Path(workdir).iterdir():  # vocab.txt and the like would restore removed tokens
            if file.name not in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                file.unlink()
        (Path(workdir) / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        smaller = type(tokenizer).from_pretrained(workdir, local_files_only=True)

    if len(smaller) != len(kept) or smaller.convert_ids_to_tokens(range(len(kept))) != (
        tokenizer.convert_ids_to_tokens(list(kept))
    ):
        raise TokenizerError(f"{type(tokenizer).__name__} does not accept a smaller vocabulary; use vocabulary='full'")
    return smaller


def _content(tokenizer: Any) -> dict[str, Any]:
    """The content of the tokenizer's tokenizer.json."""
    if not getattr(tokenizer, "is_fast", False):
        raise TokenizerError(f"{type(tokenizer).__name__} has no tokenizer.json; use vocabulary='full'")
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    if content["model"]["type"] not in ("WordPiece", "WordLevel", "BPE", "Unigram"):
        raise TokenizerError(f"a tokenizer of kind {content['model']['type']} cannot be cut; use vocabulary='full'")
    return content


def _ids_by_token(model: dict[str, Any]) -> dict[str, int]:
    if model["type"] == "Unigram":
        return {token: number for number, (token, _) in enumerate(model["vocab"])}
    vocabulary: dict[str, int] = model["vocab"]
    return vocabulary


def _is_one_character(token: str) -> bool:
    """Whether a token is one character, at the beginning of a word or inside it, or one byte."""
    return len(MARKS.sub("", token)) == 1 or BYTE.fullmatch(token) is not None


def _merges(model: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The rules in order: two tokens and the token they become. Older files write the two as one text."""
    prefix = model.get("continuing_subword_prefix") or ""
    pairs = [rule.split(" ") if isinstance(rule, str) else rule for rule in model["merges"]]
    return [(left, right, left + right.removeprefix(prefix)) for left, right in pairs]


def _with_their_parts(keep: set[int], ids: dict[str, int], merges: list[tuple[str, str, str]]) -> set[int]:
    """``keep`` and all tokens from which its tokens are merged."""
    parts: dict[int, set[int]] = {}
    for left, right, merged in merges:
        if {left, right, merged} <= ids.keys():
            parts.setdefault(ids[merged], set()).update((ids[left], ids[right]))
    needed, new = set(keep), set(keep)
    while new:
        new = {part for token in new for part in parts.get(token, ())} - needed
        needed |= new
    return needed


def _renumbered(processor: Any, new: dict[int, int]) -> Any:
    """The post-processor, which adds special tokens to a text, with their new ids."""
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
