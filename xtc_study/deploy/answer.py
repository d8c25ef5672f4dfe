"""Text in, answers out: what ``xtc-study predict`` does with a packed folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from xtc_study.compress.encoder import positions
from xtc_study.deploy.loading import load

BATCH = 16


def answers(folder: Path, texts: Sequence[str], engine: str = "auto") -> Iterator[dict[str, Any]]:
    """One answer a text: label and probability, or value for regression. A tab parts the sentences of a pair.

    Raises:
        CheckpointError: no sound packed folder.
        ValueError: a text that is empty, or not of as many sentences as the folder's task has; no tokenizer beside
            the weights.
    """
    from transformers import AutoTokenizer

    pairs = [text.split("\t") for text in texts]
    if any(len(pair) > 2 for pair in pairs) or len({len(pair) for pair in pairs}) > 1:
        raise ValueError("expected one sentence a line, or two with a tab between them on every line")
    for text, pair in zip(texts, pairs, strict=True):
        if not all(part.strip() for part in pair):
            raise ValueError(f"text {text!r}: empty{' beside the tab' if len(pair) == 2 else ''}; write a sentence")
    model = load(folder, engine)
    _check_count(pairs[0] if pairs else [], model.config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: no tokenizer beside the weights ({error})") from None
    longest = min(tokenizer.model_max_length, positions(model))
    for start in range(0, len(pairs), BATCH):
        part = pairs[start : start + BATCH]
        columns = [[pair[index] for pair in part] for index in range(len(part[0]))]
        batch = tokenizer(*columns, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**batch).logits
        for text, row in zip(texts[start : start + BATCH], logits, strict=True):
            yield {"text": text} | _answer(row, model.config)


def _check_count(pair: Sequence[str], config: Any) -> None:
    """A folder says how many texts a row of its task has; earlier ones do not."""
    expected = getattr(config, "xtc_texts", None)
    if expected in (1, 2) and pair and len(pair) != expected:
        wanted = "two texts, separated by a TAB" if expected == 2 else "one text, without a TAB"
        found = "one text" if len(pair) == 1 else "two"
        task = getattr(config, "xtc_task", "of this folder")
        raise ValueError(f"text {chr(9).join(pair)!r}: {found}; task {task} expects {wanted}, on every line")


def _answer(logits: torch.Tensor, config: Any) -> dict[str, Any]:
    if len(logits) == 1:
        return {"value": float(logits[0])}
    chances = logits.softmax(-1)
    best = int(chances.argmax())
    return {"label": config.id2label.get(best, str(best)), "probability": round(float(chances[best]), 6)}
