"""Convert a column of labels to classes or numbers. An invalid label is named with its file, line, column and fix.

Blanks around a label are removed. Classes that differ only in blanks, case, the form of a number or of Unicode are a
typo far more often than two classes, so they are refused unless ``labels`` in the description lists both.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.tasks.rows import Rows
from xtc_study.tasks.task import DataError

if TYPE_CHECKING:
    from xtc_study.tasks.user.description import Description

SHOWN = 5
"""Number of further wrong rows that an error lists."""
LARGEST = 3.4e38
"""The largest label: models are trained in float32, where anything larger is infinite."""
MISSING = frozenset(("nan", "null", "<na>", "nat", "n/a", "#n/a"))
"""How tables write a missing label, in lower case. Such a name is a class only if ``labels`` lists it."""
MISSING_AS_WRITTEN = frozenset(("None", "NA"))

_WHOLE = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)")
_COMMA = re.compile(r"[+-]?\d[\d.' ]*(,\d+)+(\.\d+)?")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}/\d{1,2}/\d{1,2}")


def label_text(value: Any) -> str | None:
    """Return a label as text, as a description writes it: 1 for 1.0, true for True; None if it is missing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def trimmed_labels(values: Iterable[Any]) -> int:
    """Count the labels with blanks around them, which are removed."""
    return sum(isinstance(value, str) and value != value.strip() and bool(value.strip()) for value in values)


def near_equal(classes: Iterable[str], by_case: bool = True) -> list[list[str]]:
    """Group classes that are nearly equal, and return the groups of two or more.

    Args:
        classes: class names.
        by_case: also treat names as nearly equal that differ in case or in how a number is written, not only in blanks
            or in their form of Unicode.
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(classes):
        key = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
        key = " ".join(key.split())
        if by_case:
            number = _WHOLE.fullmatch(key) or _DECIMAL.fullmatch(key)
            key = repr(float(key)) if number else unicodedata.normalize("NFKC", key.casefold())
        groups.setdefault(key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def class_names(description: Description, file: Path, rows: Rows) -> tuple[str, ...]:
    """Return the classes in the order of their ids; none for a regression.

    Args:
        description: of the data set.
        file: the file of train, for messages.
        rows: the rows of train, whose last column holds the labels.

    Raises:
        DataError: labels that are missing or cannot be classes, or classes that are nearly equal.
    """
    if description.kind == "regression":
        return ()
    if description.labels:
        return tuple(description.labels)

    # Refuse single values that cannot be a class: lists, dates, missing labels.
    values, column = rows.columns[-1], description.label
    texts = [label_text(value) for value in values]
    refuse(file, rows, column, values, [_is_list(value) for value in values], *_NOT_A_LIST)
    dates = [isinstance(value, datetime.date) for value in values]
    if all(text is not None and _DATE.fullmatch(text) for text in texts):
        dates = [True] * len(values)
    refuse(file, rows, column, values, dates, *_NOT_A_DATE)
    fix = "fill it in or delete the row; if it is the name of a class, list it under labels in the description"
    refuse(file, rows, column, values, [is_missing(text) for text in texts], "a label", fix)

    # Refuse columns that do not look like classes: too few or too many values, numbers, near-equal names.
    classes = sorted({str(text) for text in texts})
    expected = "expected at least 2 classes with a few rows each"
    if len(classes) < 2 or len(classes) > max(len(rows.numbers) // 2, 2):
        raise DataError(
            f"{file}, column {column!r}: {len(classes)} different value{'s' * (len(classes) != 1)} in "
            f"{len(rows.numbers)} rows, {expected}; check that this is the column of labels, or set kind: regression"
        )
    decimals = [_DECIMAL.fullmatch(text) is not None and not float(text).is_integer() for text in classes]
    if any(decimals) and all(_DECIMAL.fullmatch(text) or _WHOLE.fullmatch(text) for text in classes):
        refuse(
            *(file, rows, column, values, [text == classes[decimals.index(True)] for text in texts], "a class"),
            "these labels are numbers: set kind: regression, or list them under labels if each is a class",
        )
    if near := near_equal(classes):
        raise DataError(f"{file}, column {column!r}: {_near_equal_message(near[0], rows, texts)}")

    # Whole numbers are ordered by value, names alphabetically.
    whole = all(text.removeprefix("-").isdecimal() for text in classes)
    return tuple(sorted(classes, key=lambda text: (int(text) if whole else 0, text)))


def class_ids(description: Description, labels: Sequence[str], file: Path, rows: Rows) -> list[int]:
    """Return the class id of each row.

    Args:
        description: of the data set.
        labels: the classes in the order of their ids.
        file: the file of the split, for messages.
        rows: the rows of the split, whose last column holds the labels.

    Raises:
        DataError: the label of a row is not in ``labels``.
    """
    column, values = description.label, rows.columns[-1]
    ids = {name: index for index, name in enumerate(labels)}
    row_ids = [ids.get(label_text(value) or "") for value in values]
    wrong = [index is None for index in row_ids]

    # The fix depends on the first wrong value.
    fix = "correct it, or change labels in the description"
    if not description.labels:
        fix = "correct it: train has no row with this label"
    first = next((values[place] for place, is_wrong in enumerate(wrong) if is_wrong), None)
    if _is_list(first):
        refuse(file, rows, column, values, wrong, *_NOT_A_LIST)
    for near in near_equal([*labels, text] if (text := label_text(first)) else []):
        if text in near:
            fix = f"it differs from {near[0]!r} only in {_difference(near[0], text)}: write both the same way"

    expected = f"one of {', '.join(map(repr, labels[:20]))}{', ...' if len(labels) > 20 else ''}"
    refuse(file, rows, column, values, wrong, expected, fix)
    return [int(index) for index in row_ids if index is not None]


def numbers(description: Description, file: Path, rows: Rows) -> list[float]:
    """Return the number of each row.

    Args:
        description: of the data set.
        file: the file of the split, for messages.
        rows: the rows of the split, whose last column holds the labels.

    Raises:
        DataError: a label is not a finite number.
    """
    values = rows.columns[-1]
    parsed = [_number(value) for value in values]
    first = next((values[place] for place, number in enumerate(parsed) if number is None), None)
    expected, fix = _why_no_number(first)
    refuse(file, rows, description.label, values, [number is None for number in parsed], expected, fix)
    return [number for number in parsed if number is not None]


def is_missing(text: str | None) -> bool:
    """Return whether a label's text stands for a missing label."""
    return text is None or text.lower() in MISSING or text in MISSING_AS_WRITTEN


def refuse(
    file: Path, rows: Rows, column: str, values: Sequence[Any], wrong: Sequence[bool], expected: str, fix: str
) -> None:
    """Raise an error about the wrong values, if there are any.

    Args:
        file: for the message.
        rows: give each value its line or row number.
        column: its name, for the message.
        values: of the column.
        wrong: whether each value is wrong.
        expected: what the values should be.
        fix: what to do.

    Raises:
        DataError: names the first wrong value and where the others are.
    """
    places = [place for place, is_wrong in enumerate(wrong) if is_wrong]
    if not places:
        return
    value, others = repr(values[places[0]]), [str(rows.numbers[place]) for place in places[1:]]
    also = ""
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        also = f" (also wrong: {rows.unit} {', '.join(others[:SHOWN])}{more})"
    shown = value if len(value) <= 60 else f"{value[:60]}..."
    raise DataError(
        f"{file}, {rows.unit} {rows.numbers[places[0]]}, column {column!r}: {shown}, expected {expected}{also}; {fix}"
    )


_NOT_A_LIST = (
    "one label",
    "each row has exactly one label, so several per text cannot be learned: keep one, or describe one data set per "
    "label",
)


_NOT_A_DATE = (
    "a class",
    "a date is not a class: write what it stands for, such as its year, or list the values under labels if they are "
    "classes",
)


def _is_list(value: Any) -> bool:
    """Whether a label is a list or is written like one: ['a', 'b']. A class may be called [other]."""
    text = value.strip() if isinstance(value, str) else ""
    written = text[:1] + text[-1:] in ("[]", "{}") and any(sign in text for sign in ",'\"")
    return isinstance(value, list | tuple | dict) or written


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # OverflowError: an integer of hundreds of digits
        return None
    return number if abs(number) <= LARGEST else None  # false for NaN


def _why_no_number(value: Any) -> tuple[str, str]:
    """What was expected instead of a label that is not a number, and the fix."""
    text = value.strip() if isinstance(value, str) else ""
    if _is_list(value):
        return "one number", "each row has exactly one label: keep one, or describe one data set per label"
    if _COMMA.fullmatch(text):
        return "a number", "write decimals with a point (3.5) and thousands without a separator (1000)"
    if isinstance(value, datetime.date) or _DATE.fullmatch(text):
        return "a number", "write a date as a number, such as the days since a fixed day"
    if re.fullmatch(r"[^\d\s]{0,3}\s*[+-]?\d[\d.,]*\s*[^\d\s]{1,5}|[^\d\s.+-]{1,3}\s*\d[\d.,]*", text):
        return "a number", "remove the unit"
    if not isinstance(value, bool) and (isinstance(value, int) or _is_huge(text or value)):
        return f"a number of at most {LARGEST:g}", "choose a larger unit, or delete the row"
    if value is None or is_missing(text or None):
        return "a number", "fill it in or delete the row"
    return "a number", "correct it or delete the row"


def _is_huge(value: Any) -> bool:
    try:
        return abs(float(value)) > LARGEST
    except (TypeError, ValueError, OverflowError):
        return False


def _near_equal_message(group: Sequence[str], rows: Rows, texts: Sequence[str | None]) -> str:
    """Near-equal classes and where each occurs, the rarest first, and the fix."""
    where = []
    for name in sorted(group, key=lambda name: (texts.count(name), name)):
        first = next(number for number, text in zip(rows.numbers, texts, strict=True) if text == name)
        where.append(f"{name!r} ({texts.count(name):,} rows, the first on {rows.unit} {first})")
    return (
        f"{' and '.join(where)} differ only in {_difference(group[0], group[1])}; write both the same way, or list "
        "both under labels in the description if they are two classes"
    )


def _difference(one: str, other: str) -> str:
    """In what two near-equal classes differ."""
    if near_equal([one, other], by_case=False):
        same = "".join(one.split()) == "".join(other.split())
        return "blanks" if same else "how Unicode writes them (blanks, accents or signs that look alike)"
    return "how a number is written" if re.search(r"\d", one) and one.casefold() != other.casefold() else "case"
