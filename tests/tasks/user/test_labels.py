"""What is a class, what is a number, and what each message says of the rest."""

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
    """A data set whose rows have these labels, five times over, a fifth of it held out."""
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


def test_blanks_around_a_label_are_no_part_of_it(tmp_path: Path) -> None:
    data = own(tmp_path, [" good", "good", "bad ", "bad"])
    assert data.task.labels == ("bad", "good")
    assert data.counts() == {"bad": {"train": 8, "dev": 2}, "good": {"train": 8, "dev": 2}}
    assert data.notes == ("train.csv: blanks around 10 labels are left out",)
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
def test_classes_that_are_nearly_equal_are_named_together(one: str, other: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        own(tmp_path, [one, one, "bad", other, "bad", one])
    message = str(caught.value)
    assert (
        f"{other!r} (5 rows, the first on line 5) and {one!r} (15 rows, the first on line 2) differ only in" in message
    )
    assert f"only in {why}" in message and "list both under labels" in message and "train.csv, column 'y'" in message


def test_labels_of_the_description_say_that_near_classes_are_two(tmp_path: Path) -> None:
    assert own(tmp_path, ["us", "US"], "labels: [us, US]").task.labels == ("us", "US")
    with pytest.raises(DataError, match="labels: 'a b' and 'a  b' look alike; give one of them another name"):
        own(tmp_path, ["a b", "c"], 'labels: ["a b", "a  b"]')
    with pytest.raises(DataError, match=r"line 3, column 'y': 'Bad', expected .*; it differs from 'bad' only in case"):
        own(tmp_path, ["good", "Bad"], "labels: [good, bad]")
    assert near_equal(["good", "bad", "goods"]) == []


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "null", "NULL", "<NA>", "N/A", "None", "NA"])
def test_a_label_that_is_missing_is_no_class(missing: str, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"train\.csv, line 3, column 'y': '{missing}', expected a label .*fill it in"
    ):
        own(tmp_path, ["good", missing, "bad", "bad"])
    with pytest.raises(DataError, match=rf"line 3, column 'y': '{missing}', expected one of 'bad', 'good'"):
        own(tmp_path, ["good", missing, "bad"], "labels: [bad, good]")


def test_missing_values_of_files_with_types(tmp_path: Path) -> None:
    for ending, value, shown in (("jsonl", None, "None"), ("jsonl", float("nan"), "nan"), ("parquet", None, "None")):
        with pytest.raises(DataError, match=rf"(line|row) 2, column 'y': {shown}, expected a label"):
            own(tmp_path, [1.0, value, 0.0], ending=ending)


def test_a_class_may_be_called_none_if_labels_say_so(tmp_path: Path) -> None:
    assert own(tmp_path, ["NA", "null"], 'labels: ["NA", "null"]').task.labels == ("NA", "null")
    assert own(tmp_path, ["none", "some"]).task.labels == ("none", "some")


@pytest.mark.parametrize(
    ("labels", "ending", "message"),
    [
        (
            [["a", "b"], "c"],
            "jsonl",
            r"line 1, column 'y': \['a', 'b'\], expected one label .*; a row has one label here",
        ),
        (["['a', 'b']", "c"], "csv", r"""line 2, column 'y': "\['a', 'b'\]", expected one label"""),
        (
            [1.5, 2.5, 3.0],
            "parquet",
            "row 1, column 'y': 1.5, expected a class .*; these labels are numbers, which kind",
        ),
        (
            ["0.5", "0", "1"],
            "csv",
            "line 2, column 'y': '0.5', expected a class .*if each is a class, list them under",
        ),
        (["2024-01-05", "2024-01-06"], "csv", "line 2, column 'y': '2024-01-05', expected a class .*a date is none"),
        ([datetime.date(2024, 1, 5)] * 2, "parquet", "row 1, column 'y': datetime.date.*a date is none"),
    ],
)
def test_what_cannot_be_a_class(labels: list[Any], ending: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        own(tmp_path, labels, ending=ending)


def test_what_looks_odd_and_is_a_class_all_the_same(tmp_path: Path) -> None:
    assert own(tmp_path, ["[other]", "1.5"]).task.labels == ("1.5", "[other]")
    assert own(tmp_path, ["0.5", "1"], 'labels: ["0.5", "1"]').task.labels == ("0.5", "1")
    assert own(tmp_path, ["1.0", "0.0"]).task.labels == ("0.0", "1.0"), "as pandas writes whole numbers"


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("3,5", r"write decimals with a point \(3\.5\)"),
        ("1.234,5", "write decimals with a point"),
        ("1,234", r"thousands without a separator \(1000\)"),
        ("2024-01-05", "write a date as one, such as the days since"),
        ("5.1.2024", "write a date as one"),
        ("12 %", "leave the unit out"),
        ("$12", "leave the unit out"),
        ("[1, 2]", "a row has one label here: keep one"),
        ("", "fill it in or delete the row"),
        ("nan", "fill it in or delete the row"),
        ("good", "correct it or delete the row"),
    ],
)
def test_what_is_no_number(value: str, fix: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"train\.csv, line 3, column 'y': .*, expected (a|one) number .*; .*{fix}"):
        own(tmp_path, ["1.5", value, "-2e3"], "kind: regression")


def test_numbers_that_are_all_alike_teach_nothing(tmp_path: Path) -> None:
    assert own(tmp_path, ["1.5", " -2e3 "], "kind: regression").splits["dev"].labels
    with pytest.raises(DataError, match="every row of train has the label 3; there is nothing to learn"):
        own(tmp_path, ["3", "3.0"], "kind: regression")
