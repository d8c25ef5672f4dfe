"""Labels become classes or numbers; the error about any other value names it and says how to fix it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xtc_study.tasks.task import DataError
from xtc_study.tasks.user.dataset import OwnData, read_own
from xtc_study.tasks.user.labels import near_equal


def own(folder: Path, labels: list[Any], more: str = "", ending: str = "csv") -> OwnData:
    """Read a data set whose rows have these labels, repeated five times, with a fifth held out."""
    rows = [(f"text {number}", label) for number, label in enumerate(labels * 5)]
    file = folder / f"train.{ending}"
    if ending == "csv":
        quoted = (f'{text},"{str(label).replace(chr(34), chr(34) * 2)}"\n' for text, label in rows)
        file.write_text("t,y\n" + "".join(quoted), encoding="utf-8")
    elif ending == "jsonl":
        file.write_text("".join(json.dumps({"t": text, "y": label}) + "\n" for text, label in rows), encoding="utf-8")
    else:
        pq.write_table(pa.table({"t": [text for text, _ in rows], "y": [label for _, label in rows]}), file)
    path = folder / "my.yml"
    path.write_text(
        f"name: n\nfiles: {{train: {file.name}}}\nheld_out: 0.2\ntext: t\nlabel: y\n{more}", encoding="utf-8"
    )
    return read_own(path)


def test_blanks_around_labels_are_removed(tmp_path: Path) -> None:
    data = own(tmp_path, [" good", "good", "bad ", "bad"])
    assert data.task.labels == ("bad", "good")
    assert data.counts() == {"bad": {"train": 8, "dev": 2}, "good": {"train": 8, "dev": 2}}
    assert data.notes == ("train.csv: blanks around 10 labels are removed",)
    assert own(tmp_path, ["good", "bad"], 'labels: [" good", "bad "]').task.labels == ("good", "bad")


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("good", "Good", "case"),
        ("very good", "very  good", "blanks"),
        ("caf\u00e9", "cafe\u0301", "how Unicode writes them"),
        ("good", "go\u200bod", "how Unicode writes them"),
        ("stra\u00dfe", "STRASSE", "case"),
        ("1", "1.0", "how a number is written"),
        ("7", "07", "how a number is written"),
    ],
)
def test_error_names_nearly_equal_classes_together(one: str, other: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        own(tmp_path, [one, one, "bad", other, "bad", one])
    message = str(caught.value)
    assert (
        f"{other!r} (5 rows, the first on line 5) and {one!r} (15 rows, the first on line 2) differ only in" in message
    )
    assert f"only in {why}" in message and "list both under labels" in message and "train.csv, column 'y'" in message


def test_description_may_list_nearly_equal_classes(tmp_path: Path) -> None:
    assert own(tmp_path, ["us", "US"], "labels: [us, US]").task.labels == ("us", "US")
    with pytest.raises(DataError, match="labels: 'a b' and 'a  b' look alike; rename one of them"):
        own(tmp_path, ["a b", "c"], 'labels: ["a b", "a  b"]')
    with pytest.raises(DataError, match=r"line 3, column 'y': 'Bad', expected .*; it differs from 'bad' only in case"):
        own(tmp_path, ["good", "Bad"], "labels: [good, bad]")
    assert near_equal(["good", "bad", "goods"]) == []


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "null", "NULL", "<NA>", "N/A", "None", "NA"])
def test_missing_label_is_refused(missing: str, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"train\.csv, line 3, column 'y': '{missing}', expected a label .*fill it in"
    ):
        own(tmp_path, ["good", missing, "bad", "bad"])
    with pytest.raises(DataError, match=rf"line 3, column 'y': '{missing}', expected one of 'bad', 'good'"):
        own(tmp_path, ["good", missing, "bad"], "labels: [bad, good]")


def test_missing_labels_in_typed_files_are_refused(tmp_path: Path) -> None:
    for ending, value, shown in (("jsonl", None, "None"), ("jsonl", float("nan"), "nan"), ("parquet", None, "None")):
        with pytest.raises(DataError, match=rf"(line|row) 2, column 'y': {shown}, expected a label"):
            own(tmp_path, [1.0, value, 0.0], ending=ending)


def test_description_may_list_a_class_called_none(tmp_path: Path) -> None:
    assert own(tmp_path, ["NA", "null"], 'labels: ["NA", "null"]').task.labels == ("NA", "null")
    assert own(tmp_path, ["none", "some"]).task.labels == ("none", "some")


@pytest.mark.parametrize(
    ("labels", "ending", "message"),
    [
        (
            [["a", "b"], "c"],
            "jsonl",
            r"line 1, column 'y': \['a', 'b'\], expected one label .*; each row has exactly one label",
        ),
        (["['a', 'b']", "c"], "csv", r"""line 2, column 'y': "\['a', 'b'\]", expected one label"""),
        (
            [1.5, 2.5, 3.0],
            "parquet",
            "row 1, column 'y': 1.5, expected a class .*; these labels are numbers: set kind",
        ),
        (
            ["0.5", "0", "1"],
            "csv",
            "line 2, column 'y': '0.5', expected a class .*list them under labels if each is a class",
        ),
        (
            ["2024-01-05", "2024-01-06"],
            "csv",
            "line 2, column 'y': '2024-01-05', expected a class .*a date is not a cl",
        ),
        ([datetime.date(2024, 1, 5)] * 2, "parquet", "row 1, column 'y': datetime.date.*a date is not a class"),
    ],
)
def test_values_that_cannot_be_classes_are_refused(
    labels: list[Any], ending: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        own(tmp_path, labels, ending=ending)


def test_unusual_class_names_are_accepted(tmp_path: Path) -> None:
    assert own(tmp_path, ["[other]", "1.5"]).task.labels == ("1.5", "[other]")
    assert own(tmp_path, ["0.5", "1"], 'labels: ["0.5", "1"]').task.labels == ("0.5", "1")
    assert own(tmp_path, ["1.0", "0.0"]).task.labels == ("0.0", "1.0"), "as pandas writes whole numbers"


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("3,5", r"write decimals with a point \(3\.5\)"),
        ("1.234,5", "write decimals with a point"),
        ("1,234", r"thousands without a separator \(1000\)"),
        ("2024-01-05", "write a date as a number, such as the days since"),
        ("5.1.2024", "write a date as a number"),
        ("12 %", "remove the unit"),
        ("$12", "remove the unit"),
        ("[1, 2]", "each row has exactly one label: keep one"),
        ("", "fill it in or delete the row"),
        ("nan", "fill it in or delete the row"),
        ("good", "correct it or delete the row"),
    ],
)
def test_error_says_how_to_fix_a_label_that_is_not_a_number(value: str, fix: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"train\.csv, line 3, column 'y': .*, expected (a|one) number .*; .*{fix}"):
        own(tmp_path, ["1.5", value, "-2e3"], "kind: regression")


def test_constant_regression_labels_are_refused(tmp_path: Path) -> None:
    assert own(tmp_path, ["1.5", " -2e3 "], "kind: regression").splits["dev"].labels
    with pytest.raises(DataError, match="every row of train has the label 3; there is nothing to learn"):
        own(tmp_path, ["3", "3.0"], "kind: regression")
