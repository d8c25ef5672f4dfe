"""Hold out rows of your own data for scoring if there is no separate file for that.

Rows with the same text stay together. The choice depends only on texts and labels, not on the order of the file or on
a seed. It is stratified: every class keeps its share of rows, and a class with two texts or more has one in each part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

Text = tuple[str, ...]
"""The sentence, or the two sentences, of a row."""


def held_out_rows(texts: Sequence[Text], labels: Sequence[int] | None, share: float) -> list[bool]:
    """Return for each row whether it is held out.

    Args:
        texts: the text of each row.
        labels: the class id of each row; None for a regression, which is not stratified.
        share: the share of rows to hold out, above 0 and at most 0.5.
    """
    order = sorted(set(texts), key=lambda text: hashlib.sha256("\0".join(text).encode()).digest())
    if labels is None:
        chosen = set(order[: max(round(share * len(order)), 1)])
        return [text in chosen for text in texts]

    rows: dict[Text, dict[int, int]] = {text: {} for text in order}
    for text, label in zip(texts, labels, strict=True):
        rows[text][label] = rows[text].get(label, 0) + 1
    held = _stratified(rows, share)
    return [held[text] for text in texts]


def _stratified(rows: Mapping[Text, Mapping[int, int]], share: float) -> dict[Text, bool]:
    """Decide text by text, rarest class first: a text of several classes is decided with its rarest class.

    Args:
        rows: for each text, in the order of choice, its number of rows of each class.
        share: the share of rows to hold out.
    """
    of_class: dict[int, list[Text]] = {}
    for text, counts in rows.items():
        for label in counts:
            of_class.setdefault(label, []).append(text)

    held: dict[Text, bool] = {}
    for label, texts in sorted(of_class.items(), key=lambda item: (len(item[1]), item[0])):
        wanted = share * sum(rows[text][label] for text in texts)
        taken = sum(rows[text][label] for text in texts if held.get(text))
        for text in texts:
            if text not in held:
                held[text] = taken + rows[text][label] / 2 < wanted  # as near to the share as whole texts allow
                taken += rows[text][label] if held[text] else 0
        _both_parts(label, texts, rows, held, of_class)
    return held


def _both_parts(
    label: int,
    texts: Sequence[Text],
    rows: Mapping[Text, Mapping[int, int]],
    held: dict[Text, bool],
    of_class: Mapping[int, Sequence[Text]],
) -> None:
    """Give a class with two texts or more at least one in each part.

    Moves its smallest text whose move leaves every other class a text in the part it came from.
    """
    for part in (True, False):
        if len(texts) < 2 or any(held[text] == part for text in texts):
            continue
        for text in sorted(texts, key=lambda text: rows[text][label]):
            others = (
                any(held.get(other, held[text]) == held[text] for other in of_class[one] if other != text)
                for one in rows[text]
            )
            if all(others):
                held[text] = part
                break
