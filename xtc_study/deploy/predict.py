"""Predict classes or values for texts with a packed folder, for ``xtc-study predict``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from xtc_study.packed.loading import load
from xtc_study.packed.text_length import longest_text
from xtc_study.training.predict import in_batches

WINDOW = 2**16
"""Texts that are encoded and sorted by length together; more than any dev split of GLUE has."""
BLANK = "a blank line holds no text, and training accepts none"


def predict_texts(folder: Path, texts: Sequence[str], engine: str = "auto") -> Iterator[dict[str, Any]]:
    """Yield one prediction per text: label and probability, or the value of a regression.

    Texts are cut, batched and padded as for a run's metrics.json, so that the dev split gives exactly its score. A
    blank text gets a row too, with the reason under ``error``.

    Args:
        folder: a packed folder with its tokenizer.
        texts: one sentence each, or two separated by a TAB.
        engine: as for ``load``.

    Raises:
        CheckpointError: ``folder`` is not a packed folder, or is damaged.
        ValueError: a text does not have as many sentences as the folder's task, a sentence is empty, or the folder has
            no tokenizer.
    """
    from transformers import AutoTokenizer

    pairs = {number: text.split("\t") for number, text in enumerate(texts) if text.strip()}
    if any(len(pair) > 2 for pair in pairs.values()) or len({len(pair) for pair in pairs.values()}) > 1:
        raise ValueError("expected one sentence on every line, or two separated by a TAB on every line")
    for number, pair in pairs.items():
        if not all(part.strip() for part in pair):
            raise ValueError(
                f"text {number + 1}, {texts[number]!r}: the text before or after the TAB is empty; write a sentence"
            )

    model = load(folder, engine)
    _check_count(next(iter(pairs.values()), []), model.config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder}: no tokenizer beside the weights ({error}); copy the tokenizer's files into the folder"
        ) from None

    # Within a window, batches contain texts of similar length; predictions are in the order of the texts.
    longest = longest_text(folder, model, tokenizer)
    for start in range(0, len(texts), WINDOW):
        numbers = [number for number in range(start, min(start + WINDOW, len(texts))) if number in pairs]
        logits = _logits(model, tokenizer, [pairs[number] for number in numbers], longest) if numbers else []
        rows = dict(zip(numbers, logits, strict=True))
        for number, text in enumerate(texts[start : start + WINDOW], start):
            prediction = (
                _prediction(torch.from_numpy(rows[number]), model.config) if number in rows else {"error": BLANK}
            )
            yield {"text": text} | prediction


def _logits(model: Any, tokenizer: Any, pairs: Sequence[Sequence[str]], longest: int) -> Any:
    """Return the logits of the texts, (texts, outputs) float32."""
    columns = [list(column) for column in zip(*pairs, strict=True)]
    encoded = tokenizer(*columns, truncation="longest_first", max_length=longest)

    def batch_of(chosen: list[int]) -> dict[str, torch.Tensor]:
        rows = [{name: values[row] for name, values in encoded.items()} for row in chosen]
        return dict(tokenizer.pad(rows, return_tensors="pt", padding_side="right"))

    return in_batches(model, [len(tokens) for tokens in encoded["input_ids"]], batch_of)


def _check_count(pair: Sequence[str], config: Any) -> None:
    """Check that a text has as many sentences as the task's rows; older folders do not record how many."""
    expected = getattr(config, "xtc_texts", None)
    if expected in (1, 2) and pair and len(pair) != expected:
        wanted = "two texts, separated by a TAB" if expected == 2 else "one text, without a TAB"
        given = "one text" if len(pair) == 1 else "two"
        task = getattr(config, "xtc_task", "of this folder")
        raise ValueError(f"text {chr(9).join(pair)!r}: {given}; task {task} expects {wanted}, on every line")


def _prediction(logits: torch.Tensor, config: Any) -> dict[str, Any]:
    if len(logits) == 1:
        return {"value": float(logits[0])}
    probabilities = logits.softmax(-1)
    best = int(probabilities.argmax())
    return {"label": config.id2label.get(best, str(best)), "probability": round(float(probabilities[best]), 6)}
