"""From a column of labels to classes or numbers. What is no label is named with its file, line, column, and fix.

Blanks around a label are no part of it. Classes that differ only in blanks, case, the form of a number or of Unicode
are a typo far more often than two classes, so they are refused; ``labels`` in the description says that they are two.
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
"""How many further wrong rows an error names."""
LARGEST = 3.4e38
"""What a label may be at most: models are trained in float32, where more is infinite."""
MISSING = frozenset(("nan", "null", "<na>", "nat", "n/a", "#n/a"))
"""How tables write that a label is missing, in small letters. A class of that name is one if ``labels`` lists it."""
MISSING_AS_WRITTEN = frozenset(("None", "NA"))

_WHOLE = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)")
_COMMA = re.compile(r"[+-]?\d[\d.' ]*(,\d+)+(\.\d+)?")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}/\d{1,2}/\d{1,2}")


def label_text(value: Any) -> str | None:
    """A label as text, as a description writes it: 1 for 1.0, true for True; None where there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def are_trimmed(values: Iterable[Any]) -> int:
    """How many labels have blanks around them, which are left out."""
    return sum(isinstance(value, str) and value != value.strip() and bool(value.strip()) for value in values)


def near_equal(classes: Iterable[str], by_case: bool = True) -> list[list[str]]:
    """Groups of classes that differ only in blanks, the form of Unicode, and, ``by_case``, case or how a number is
    written."""
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
    """The classes in the order of their ids; none for a regression.

    Args:
        file, rows: of train, whose last column holds the labels.

    Raises:
        DataError: labels that are missing, or can be no classes, or classes that are nearly equal.
    """
    if description.kind == "regression":
        return ()
    if description.labels:
        return tuple(description.labels)
    values, column = rows.columns[-1], description.label
    texts = [label_text(value) for value in values]
    refuse(file, rows, column, values, [_is_list(value) for value in values], *_NO_LIST)
    dates = [isinstance(value, datetime.date) for value in values]
    if all(text is not None and _DATE.fullmatch(text) for text in texts):
        dates = [True] * len(values)
    refuse(file, rows, column, values, dates, *_NO_DATE)
    fix = "fill it in, or delete the row; a class of that name is listed under labels in the description"
    refuse(file, rows, column, values, [is_missing(text) for text in texts], "a label", fix)
    found = sorted({str(text) for text in texts})
    wanted = "expected at least 2 classes with a few rows each"
    if len(found) < 2 or len(found) > max(len(rows.numbers) // 2, 2):
        raise DataError(
            f"{file}, column {column!r}: {len(found)} different value{'s' * (len(found) != 1)} in "
            f"{len(rows.numbers)} rows, {wanted}; is this the column of labels, or kind: regression?"
        )
    decimals = [_DECIMAL.fullmatch(text) is not None and not float(text).is_integer() for text in found]
    if any(decimals) and all(_DECIMAL.fullmatch(text) or _WHOLE.fullmatch(text) for text in found):
        refuse(
            *(file, rows, column, values, [text == found[decimals.index(True)] for text in texts], "a class"),
            "these labels are numbers, which kind: regression learns; if each is a class, list them under labels",
        )
    if near := near_equal(found):
        raise DataError(f"{file}, column {column!r}: {_told(near[0], rows, texts)}")
    whole = all(text.removeprefix("-").isdecimal() for text in found)
    return tuple(sorted(found, key=lambda text: (int(text) if whole else 0, text)))


def class_ids(description: Description, labels: Sequence[str], file: Path, rows: Rows) -> list[int]:
    """The class id of each row.

    Raises:
        DataError: a row whose label is none of ``labels``.
    """
    column, values = description.label, rows.columns[-1]
    ids = {name: index for index, name in enumerate(labels)}
    found = [ids.get(label_text(value) or "") for value in values]
    wrong = [index is None for index in found]
    fix = "correct it, or change labels in the description"
    if not description.labels:
        fix = "correct it: it is none of the labels found in train"
    first = next((values[place] for place, is_wrong in enumerate(wrong) if is_wrong), None)
    if _is_list(first):
        refuse(file, rows, column, values, wrong, *_NO_LIST)
    for near in near_equal([*labels, text] if (text := label_text(first)) else []):
        if text in near:
            fix = f"it differs from {near[0]!r} only in {_difference(near[0], text)}: write them alike"
    expected = f"one of {', '.join(map(repr, labels[:20]))}{', ...' if len(labels) > 20 else ''}"
    refuse(file, rows, column, values, wrong, expected, fix)
    return [int(index) for index in found if index is not None]


def numbers(description: Description, file: Path, rows: Rows) -> list[float]:
    """The number of each row.

    Raises:
        DataError: a label that is no finite number.
    """
    values = rows.columns[-1]
    found = [_number(value) for value in values]
    first = next((values[place] for place, number in enumerate(found) if number is None), None)
    expected, fix = _why_no_number(first)
    refuse(file, rows, description.label, values, [number is None for number in found], expected, fix)
    return [number for number in found if number is not None]


def is_missing(text: str | None) -> bool:
    return text is None or text.lower() in MISSING or text in MISSING_AS_WRITTEN


def refuse(
    file: Path, rows: Rows, column: str, values: Sequence[Any], wrong: Sequence[bool], expected: str, fix: str
) -> None:
    """Raises an error that names the first wrong value and where the others are, if there are any."""
    places = [place for place, is_wrong in enumerate(wrong) if is_wrong]
    if not places:
        return
    value, others = repr(values[places[0]]), [str(rows.numbers[place]) for place in places[1:]]
    also = ""
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        also = f" (wrong too: {rows.unit} {', '.join(others[:SHOWN])}{more})"
    shown = value if len(value) <= 60 else f"{value[:60]}..."
    raise DataError(
        f"{file}, {rows.unit} {rows.numbers[places[0]]}, column {column!r}: {shown}, expected {expected}{also}; {fix}"
    )


_NO_LIST = (
    "one label",
    "a row has one label here, and several for one text cannot be learned: keep one, or describe a data set for each",
)


_NO_DATE = (
    "a class",
    "a date is none: write what it stands for, such as its year, or list the values under labels if they are classes",
)


def _is_list(value: Any) -> bool:
    """Whether a label is a list, or is written as one: ['a', 'b']. A class may be called [other]."""
    text = value.strip() if isinstance(value, str) else ""
    written = text[:1] + text[-1:] in ("[]", "{}") and any(sign in text for sign in ",'\"")
    return isinstance(value, list | tuple | dict) or written


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
        return None
    return number if abs(number) <= LARGEST else None  # never true of nan


def _why_no_number(value: Any) -> tuple[str, str]:
    """What was expected in place of a label that is no number, and the fix."""
    text = value.strip() if isinstance(value, str) else ""
    if _is_list(value):
        return "one number", "a row has one label here: keep one, or describe a data set for each"
    if _COMMA.fullmatch(text):
        return "a number", "write decimals with a point (3.5) and thousands without a separator (1000)"
    if isinstance(value, datetime.date) or _DATE.fullmatch(text):
        return "a number", "write a date as one, such as the days since a fixed day"
    if re.fullmatch(r"[^\d\s]{0,3}\s*[+-]?\d[\d.,]*\s*[^\d\s]{1,5}|[^\d\s.+-]{1,3}\s*\d[\d.,]*", text):
        return "a number", "leave the unit out"
    if not isinstance(value, bool) and (isinstance(value, int) or _is_huge(text or value)):
        return f"a number, of {LARGEST:g} at most", "choose a larger unit, or delete the row"
    if value is None or is_missing(text or None):
        return "a number", "fill it in or delete the row"
    return "a number", "correct it or delete the row"


def _is_huge(value: Any) -> bool:
    try:
        return abs(float(value)) > LARGEST
    except (TypeError, ValueError, OverflowError):
        return False


def _told(group: Sequence[str], rows: Rows, texts: Sequence[str | None]) -> str:
    """Near-equal classes with where each occurs, the rarest first, and the fix."""
    where = []
    for name in sorted(group, key=lambda name: (texts.count(name), name)):
        first = next(number for number, text in zip(rows.numbers, texts, strict=True) if text == name)
        where.append(f"{name!r} ({texts.count(name):,} rows, the first on {rows.unit} {first})")
    return (
        f"{' and '.join(where)} differ only in {_difference(group[0], group[1])}; write them alike, or list both "
        "under labels in the description if they are two classes"
    )


def _difference(one: str, other: str) -> str:
    """In what two near-equal classes differ."""
    if near_equal([one, other], by_case=False):
        same = "".join(one.split()) == "".join(other.split())
        return "blanks" if same else "how Unicode writes them (blanks, accents or signs that look alike)"
    return "how a number is written" if re.search(r"\d", one) and one.casefold() != other.casefold() else "case"
