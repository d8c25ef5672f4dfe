"""Your own data sets: descriptions, task names, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from xtc_study.tasks.catalogue import chosen_tasks, find_task, load_task
from xtc_study.tasks.metric_names import CLASS_METRICS, SCORE_METRICS, in_words
from xtc_study.tasks.metrics import METRICS
from xtc_study.tasks.task import DataError
from xtc_study.tasks.user.dataset import read_own

PLAIN = """
name: reviews
files: {train: train.csv, dev: dev.csv}
text: review
label: stars
labels: [no, yes]
"""
TRAIN = "id,review,stars\n1,good,yes\n2,bad,no\n3,fine,yes\n"
DEV = "review,stars\nnot bad,yes\n"


def write(folder: Path, description: str = PLAIN, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in {"train": TRAIN, "dev": DEV, **files}.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    (folder / "my.yml").write_text(description, encoding="utf-8")
    return folder / "my.yml"


def test_sentence_classification_is_read(tmp_path: Path) -> None:
    data = read_own(write(tmp_path))
    assert data.task.text_fields == ("sentence",) and data.task.labels == ("no", "yes")
    assert data.task.metrics == ("accuracy",) and data.task.eval_splits == ("dev",) and data.task.train_rows == 3
    text = data.load()
    assert text["train"].to_dict() == {"sentence": ["good", "bad", "fine"], "label": [1, 0, 1], "idx": [0, 1, 2]}
    assert text["dev"].to_dict() == {"sentence": ["not bad"], "label": [1], "idx": [0]}


@pytest.mark.parametrize("score", ["1e39", "-1e39", "1" + "0" * 400], ids=lambda text: text[:6])
def test_numbers_beyond_float32_are_refused(score: str, tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN.replace("train.csv", "train.jsonl").replace("labels: [no, yes]", "kind: regression"))
    (tmp_path / "train.jsonl").write_text(f'{{"review": "x", "stars": {score}}}\n')
    with pytest.raises(
        DataError, match=r"train\.jsonl, line 1, column 'stars': .* expected a number of at most 3\.4e\+38"
    ):
        read_own(path)


def test_pair_regression_with_two_scored_splits_is_read(tmp_path: Path) -> None:
    description = """
name: near
files: {train: a.parquet, easy: b.csv, hard: c.csv}
text: [left, right]
label: score
kind: regression
metrics: [spearman]
"""
    path = write(tmp_path, description, b="left,right,score\nx,y,1\n", c="left,right,score\nx,y,-2.5e0\n")
    pq.write_table(pa.table({"score": [0.5, 2.0], "left": ["a", "b"], "right": ["c", "d"]}), tmp_path / "a.parquet")
    data = read_own(path)
    assert data.task.is_regression and data.task.eval_splits == ("easy", "hard") and data.task.metrics == ("spearman",)
    assert data.load()["train"].to_dict() == {
        **{"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0.5, 2.0], "idx": [0, 1]}
    }
    assert data.load()["hard"]["label"][:] == [-2.5]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([10, 9, 10, 9], ("9", "10")),
        (["b", "a", "C", "b", "a", "C"], ("C", "a", "b")),
        ([True, False, True, False], ("false", "true")),
        ([1.0, 0.0, 1.0, 0.0], ("0", "1")),
    ],
)
def test_labels_found_in_the_data_are_sorted(values: list[Any], labels: tuple[str, ...], tmp_path: Path) -> None:
    description = "{name: n, files: {train: a.parquet}, held_out: 0.2, text: t, label: y}"
    texts = [f"text {number}" for number in range(5 * len(values))]
    path = write(tmp_path, description)
    pq.write_table(pa.table({"t": texts, "y": values * 5}), tmp_path / "a.parquet")
    assert read_own(path).task.labels == labels


def test_held_out_rows_depend_only_on_content(tmp_path: Path) -> None:
    rows = [f"text {number % 30},{'ab'[number % 30 % 2]}" for number in range(40)]  # ten texts occur twice
    parts = []
    for order in (rows, rows[::-1]):
        description = "{name: n, files: {train: train.csv}, held_out: 0.2, text: t, label: y}"
        text = read_own(write(tmp_path, description, train="t,y\n" + "\n".join(order))).load()
        parts.append((set(text["train"]["sentence"]), set(text["dev"]["sentence"])))
        assert len(text["train"]) + len(text["dev"]) == 40
    assert parts[0] == parts[1]
    train, dev = parts[0]
    assert not train & dev, "a text is never both trained on and scored"
    assert read_own(tmp_path / "my.yml").counts() == {"a": {"train": 16, "dev": 4}, "b": {"train": 16, "dev": 4}}


def test_task_name_changes_only_with_the_data(tmp_path: Path) -> None:
    def name(folder: str, *args: str, **files: str) -> str:
        return read_own(write(tmp_path / folder, *args, **files)).task.name

    plain = name("a")
    assert plain.startswith("own-reviews-") and plain.replace("-", "").isalnum()
    assert plain == name("b") == name("c", PLAIN + "question: Is it good?\n# a remark\n")
    others = [
        name("d", dev=DEV + "fine,yes\n"),
        name("e", PLAIN.replace("[no, yes]", "[yes, no]")),
        name("f", PLAIN + "metrics: [matthews]"),
        name("g", PLAIN.replace("reviews", "opinions")),
        name("h", PLAIN.replace("dev:", "test:")),
    ]
    assert len({plain, *others}) == 6


def test_changed_file_is_reread_and_its_old_name_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    (name,), files = chosen_tasks([str(path)])
    assert find_task(name, files).labels == ("no", "yes") and len(load_task(name, None, files)["dev"]) == 1
    write(tmp_path, dev=DEV + "fine,yes\n")
    with pytest.raises(DataError, match=rf"task='{name}': .*my\.yml describes own-reviews-.*changed since this run"):
        load_task(name, None, files)
    with pytest.raises(DataError, match=r"choose it by its description: --task FILE\.yml"):
        find_task(name)
    path.unlink()
    with pytest.raises(DataError, match=r"my\.yml: cannot be read"):
        find_task(name, files)
    with pytest.raises(ValueError, match=r"task='.*my\.yml': no such file"):
        chosen_tasks([str(path)])


def test_description_accepts_exactly_the_implemented_metrics() -> None:
    assert set(METRICS) == {*CLASS_METRICS, *SCORE_METRICS}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: reviews", "name: My reviews", "name: 'My reviews', expected up to 30 lower-case letters"),
        ("name: reviews", "name: ../x", "name: '../x', expected"),
        (
            "label: stars",
            "labl: stars",
            "(?s)label: is required.*labl: no such field; known fields are name, question",
        ),
        ("text: review", "text: [a, b, c]", "text="),
        ("text: review", "text: stars", "text and label: expected distinct columns"),
        (", dev: dev.csv", "", "expected either a second split to score on, or held_out"),
        ("labels:", "held_out: 0.1\nlabels:", "expected either a second split to score on, or held_out"),
        ("files: {train", "files: {trian", "files: expected a split named train"),
        ("files:", "hub: a/b\nfiles:", "expected either files, or hub with splits"),
        ("files:", "revision: abc\nfiles:", "splits, config and revision belong to hub"),
        (
            "labels:",
            "metrics: [f2]\nlabels:",
            "metrics: 'f2', expected some of accuracy, f1, matthews, macro_f1 and f1_of:CLASS for a classification",
        ),
        ("labels:", "kind: regression\nlabels:", "labels: a regression has no classes"),
        ("[no, yes]", "[no, no]", "labels: expected each class once"),
        ("labels:", "metrics: [f1, f1]\nlabels:", "metrics: expected each metric once"),
        ("name:", "name: [", "not YAML"),
        ("name:", "text: id\nname:", "not YAML .*'text' occurs twice; keep one of them"),
        ("dev: dev.csv}", "dev: dev.csv, dev: train.csv}", "'dev' occurs twice"),
        ("dev: dev.csv", "dev: train.csv", "train and dev are the same data; name another file"),
        ("dev: dev.csv", "dev: ./train.csv", "train and dev are the same data"),
        ("files: {train: train.csv", "files: {train: none.csv", r"none\.csv: no such file; a path in a description"),
        ("label: stars", "label: star", r"train\.csv, line 1: no column 'star'"),
        (
            "[no, yes]",
            "[No, yes]",
            r"train\.csv, line 3, column 'stars': 'no', expected one of 'No', 'yes'; it differs from 'No' only",
        ),
        ("[no, yes]", "[no, yes, perhaps]", "no row of train has the label 'perhaps'"),
        ("[no, yes]", "[no, yes, perhaps]\nmetrics: [f1]", "no row of train has the label 'perhaps'"),
        (
            "labels: [no, yes]",
            "kind: regression",
            r"line 2, column 'stars': 'yes', expected a number \(also wrong: line 3, 4\); correct it or delete",
        ),
    ],
)
def test_error_names_the_mistake_in_the_description(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in PLAIN
    path = write(tmp_path, PLAIN.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_own(path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train", "review,stars\n ,yes\nbad,no\n", r"train\.csv, line 2, column 'review': ' ', expected text; fill"),
        ("dev", "review,stars\nx,maybe\n", r"dev\.csv, line 2, column 'stars': 'maybe', expected one of 'no', 'yes'"),
        (
            "dev",
            "review,stars\n" + "x,maybe\n" * 8,
            r"line 2, .*\(also wrong: line 3, 4, 5, 6, 7 and 2 more\); correct it, or change labels in the descr",
        ),
        ("dev", "review,stars\nx," + "y" * 99 + "\n", r"'y{59}\.\.\., expected"),
    ],
)
def test_error_names_the_wrong_row(file: str, content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_own(write(tmp_path, **{file: content}))


def test_found_labels_that_cannot_be_classes_are_refused(tmp_path: Path) -> None:
    many = "review,stars\n" + "".join(f"text {number},{number}.5\n" for number in range(20))
    with pytest.raises(DataError, match=r"20 different values in 20 rows.*kind: regression"):
        read_own(write(tmp_path, PLAIN.replace("labels: [no, yes]", ""), train=many))
    with pytest.raises(DataError, match=r"line 3, column 'stars': '', expected a label; fill it in"):
        read_own(write(tmp_path, PLAIN.replace("labels: [no, yes]", ""), train="review,stars\na,no\nb,\nc,yes\n"))


HUB = """
name: hubby
hub: owner/set
revision: abc
splits: {train: train, dev: validation}
text: premise
label: label
"""


def hub_split(labels: list[int]) -> Dataset:
    features = Features({"premise": Value("string"), "label": ClassLabel(names=["yes", "no"])})
    return Dataset.from_dict({"premise": [f"p{n}" for n in range(len(labels))], "label": labels}, features=features)


def test_hub_data_set_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def load_dataset(*names: Any, **options: Any) -> DatasetDict:
        calls.append((names, options))
        return DatasetDict({"train": hub_split([0, 1, 1, 0]), "validation": hub_split([1])})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = read_own(write(tmp_path, HUB))
    assert data.task.labels == ("no", "yes"), "names, not the hub's ids"
    assert data.load()["train"]["label"][:] == [1, 0, 0, 1]
    assert calls == [(("owner/set", None), {"revision": "abc"})], "no option that could run code from the hub"
    with pytest.raises(DataError, match=r"splits: owner/set has no split 'test', it has train, validation"):
        read_own(write(tmp_path, HUB.replace("validation", "test")))
    with pytest.raises(DataError, match="owner/set has no column 'hypothesis', it has premise, label"):
        read_own(write(tmp_path, HUB.replace("premise", "hypothesis")))


def test_hidden_hub_labels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = DatasetDict({"train": hub_split([0, 1, 1, 0]), "validation": hub_split([-1])})
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, **options: hub)
    with pytest.raises(
        DataError, match="owner/set validation, row 0, column 'label': -1, expected one of 'no', 'yes'"
    ):
        read_own(write(tmp_path, HUB))


def test_unreachable_hub_and_local_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*names: Any, **options: Any) -> DatasetDict:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=r"hub='owner/set' could not be loaded \(ConnectionError: no network\)"):
        read_own(write(tmp_path, HUB))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "set").mkdir(parents=True)
    with pytest.raises(DataError, match="is also a local folder or file"):
        read_own(write(tmp_path, HUB))
    with pytest.raises(DataError, match=r"hub='\.\./set'"):
        read_own(write(tmp_path, HUB.replace("owner/set", "../set")))


def test_texts_in_both_train_and_dev_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, dev=DEV + "good,yes\ngood,no\n")
    with pytest.warns(UserWarning, match=r"my\.yml: 2 of 3 rows of dev have a text that is also in train"):
        chosen_tasks([path])
    pairs = PLAIN.replace("text: review", "text: [id, review]")
    path = write(tmp_path / "pairs", pairs, dev="id,review,stars\n1,fine,no\n3,fine,yes\n")
    assert read_own(path).in_train_too() == {"dev": 1}, "for a pair both texts must match"


def test_f1_metric_names_its_class(tmp_path: Path) -> None:
    def metrics(more: str) -> tuple[str, ...]:
        return read_own(write(tmp_path, PLAIN.replace("labels: [no, yes]", more))).task.metrics

    assert metrics("metrics: [accuracy, f1]\npositive: no") == ("accuracy", "f1_of:0:no")
    assert metrics("metrics: [f1, f1_of:no, macro_f1]\npositive: ' yes'") == ("f1_of:1:yes", "f1_of:0:no", "macro_f1")
    assert [in_words(metric) for metric in metrics("metrics: [f1, matthews]\npositive: yes")] == [
        "f1 of yes",
        "matthews",
    ]
    for more, message in (
        (
            "metrics: [f1]",
            "metrics: f1 is the F1 of one class, and none is named; add positive: yes or positive: no",
        ),
        ("labels: [yes, no]\nmetrics: [f1]", "add positive: no or positive: yes"),
        ("metrics: [f1]\npositive: Yes", "positive: 'Yes' is not a class; expected one of 'no', 'yes'"),
        ("metrics: [f1_of:perhaps]", "metrics: 'perhaps' is not a class"),
        ("metrics: [f1, f1_of:yes]\npositive: yes", "f1 and f1_of:yes are the same"),
        (
            "metrics: [accuracy]\npositive: yes",
            "positive: 'yes' names the class of f1, which is not in metrics; add f1 to",
        ),
        (
            "kind: regression\nmetrics: [f1_of:yes]",
            "'f1_of:yes', expected some of pearson, spearman, mae, rmse for a regress",
        ),
        (
            "kind: regression\nmetrics: [rmse, pearson]",
            "'rmse' is an error .*: put pearson or spearman first, and this",
        ),
        ("metrics: [mae]", "metrics: 'mae', expected some of accuracy, f1"),
    ):
        with pytest.raises(DataError, match=message):
            metrics(more)


def test_f1_is_refused_for_three_classes(tmp_path: Path) -> None:
    three = TRAIN + "4,so so,perhaps\n5,well,perhaps\n6,so,perhaps\n"
    with pytest.raises(DataError, match="f1 needs two classes, but there are 3; use macro_f1, f1_of:CLASS"):
        read_own(write(tmp_path, PLAIN.replace("labels: [no, yes]", "metrics: [f1]"), train=three))
    data = read_own(write(tmp_path, PLAIN.replace("labels: [no, yes]", "metrics: [f1_of:perhaps]"), train=three))
    assert data.task.metrics == ("f1_of:1:perhaps",)


def test_task_names_match_earlier_versions_if_reading_did_not_change(tmp_path: Path) -> None:
    """The hash equals that of commit 0e5d90d, except for what is new: stratified splits, and scaled numbers."""
    assert read_own(write(tmp_path)).task.name == "own-reviews-3e42b258b6"
    twenty = "id,review,stars\n" + "".join(f"{n},text {n},{['no', 'yes'][n % 2]}\n" for n in range(20))
    changed = {
        "held_out: 0.2": PLAIN.replace(", dev: dev.csv", "").replace("labels:", "held_out: 0.2\nlabels:"),
        "regression": PLAIN.replace("stars\nlabels: [no, yes]", "id\nkind: regression").replace(", dev: dev.csv", "")
        + "held_out: 0.2\n",
    }
    old = {"held_out: 0.2": "own-reviews-d3342a44d6", "regression": "own-reviews-fec4c3cd1e"}
    for what, description in changed.items():
        name = read_own(write(tmp_path, description, train=twenty)).task.name
        assert name != old[what] and len(name) == len(old[what])
