"""The GLUE tasks: the real files' counts, tiny files in the real layout, and the hub's columns."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from xtc_study.tasks.glue import GLUE_TASKS, SOURCES, load_glue
from xtc_study.tasks.metrics import METRICS
from xtc_study.tasks.task import DataError


def test_the_registry_names_the_eight_tasks_and_known_metrics() -> None:
    assert list(GLUE_TASKS) == ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"] == list(SOURCES)
    primary = [task.primary_metric for task in GLUE_TASKS.values()]
    assert primary == ["matthews", "accuracy", "accuracy", "pearson", "accuracy", "accuracy", "accuracy", "accuracy"]
    for name, task in GLUE_TASKS.items():
        assert task.name == name
        assert set(task.metrics) <= set(METRICS)
        assert len(SOURCES[name].file_classes) == len(task.labels)
        assert len(SOURCES[name].file_texts) == len(SOURCES[name].hub_texts) == len(task.text_fields)


@pytest.mark.parametrize("name", ["../rte", "RTE", "wnli", "", "rte/../cola", "/etc"])
def test_a_name_outside_the_registry_never_reaches_the_disk_or_the_hub(name: str, tmp_path: Path) -> None:
    for data_dir in (None, tmp_path):
        with pytest.raises(DataError, match=r"unknown GLUE task .*expected one of cola, sst2"):
            load_glue(name, data_dir)


def test_importing_the_registry_imports_neither_datasets_nor_torch() -> None:
    code = "import sys, xtc_study.tasks.glue; sys.exit(bool({'datasets', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


REAL = {
    ("cola", "train"): {0: 2528, 1: 6023},
    ("cola", "dev"): {0: 322, 1: 721},
    ("sst2", "train"): {0: 29780, 1: 37569},
    ("sst2", "dev"): {0: 428, 1: 444},
    ("mrpc", "train"): {0: 1194, 1: 2474},
    ("mrpc", "dev"): {0: 129, 1: 279},
    ("rte", "train"): {0: 1249, 1: 1241},
    ("rte", "dev"): {0: 146, 1: 131},
}


def assert_shape(name: str, data: DatasetDict) -> None:
    task = GLUE_TASKS[name]
    label = "float32" if task.is_regression else "int64"
    assert list(data) == ["train", *task.eval_splits]
    for split in data.values():
        assert split.column_names == [*task.text_fields, "label", "idx"]
        assert [feature.dtype for feature in split.features.values()] == [
            *["string"] * len(task.text_fields),
            label,
            "int64",
        ]
        assert split["idx"][:] == list(range(len(split)))


@pytest.mark.parametrize("name", ["cola", "sst2", "mrpc", "rte"])
def test_the_real_files_have_the_known_label_counts(glue_dir: Path, name: str) -> None:
    data = load_glue(name, glue_dir)
    assert_shape(name, data)
    for split in ("train", "dev"):
        assert Counter(data[split]["label"]) == REAL[name, split]


def test_the_real_stsb_has_the_known_counts_and_means(glue_dir: Path) -> None:
    data = load_glue("stsb", glue_dir)
    assert_shape("stsb", data)
    assert {split: len(rows) for split, rows in data.items()} == {"train": 5749, "dev": 1500}
    for split, mean in (("train", 2.7010), ("dev", 2.3639)):
        assert sum(data[split]["label"]) / len(data[split]) == pytest.approx(mean, abs=5e-5)


def test_the_real_mrpc_keeps_its_quotes(glue_dir: Path) -> None:
    first = load_glue("mrpc", glue_dir)["dev"][0]
    assert first["sentence2"] == '"The foodservice pie business does not fit our long-term growth strategy.'


MNLI_START = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
    "\tsentence1\tsentence2"
)
MNLI_TRAIN = f"{MNLI_START}\tlabel1\tgold_label\n"
MNLI_DEV = f"{MNLI_START}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
QNLI = "index\tquestion\tsentence\tlabel\n"
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
STSB_START = "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane.\tAn air plane."


def write(data_dir: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = data_dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode())
    return data_dir


def write_mnli(data_dir: Path) -> Path:
    start = "31193\t31193n\tslate\t( a )\t( b )\t(ROOT a)\t(ROOT b)"
    files = {
        "MNLI/train.tsv": f"{MNLI_TRAIN}0\t{start}\tOld.\tNew.\tneutral\tneutral\n",
        "MNLI/dev_matched.tsv": (
            f'{MNLI_DEV}0\t{start}\tSaid "so.\tNA\tneutral\tneutral\tcontradiction\tneutral\tneutral\tcontradiction\n'
            f"1\t{start}\tThree.\tFour.\tneutral\t\t\t\t\tneutral\n"
        ),
        "MNLI/dev_mismatched.tsv": f"{MNLI_DEV}0\t{start}\tFive.\tSix.\tneutral\t\t\t\t\tentailment\n",
    }
    return write(data_dir, files)


def test_mnli_takes_the_gold_label_and_both_dev_files(tmp_path: Path) -> None:
    assert MNLI_TRAIN.count("\t") + 1 == 12
    assert MNLI_DEV.count("\t") + 1 == 16
    data = load_glue("mnli", write_mnli(tmp_path))
    assert_shape("mnli", data)
    assert data["train"].to_list() == [{"sentence1": "Old.", "sentence2": "New.", "label": 1, "idx": 0}]
    assert data["matched"].to_list() == [
        {"sentence1": 'Said "so.', "sentence2": "NA", "label": 2, "idx": 0},
        {"sentence1": "Three.", "sentence2": "Four.", "label": 1, "idx": 1},
    ]
    assert data["mismatched"]["label"][:] == [0]


def test_mnli_needs_both_dev_files(tmp_path: Path) -> None:
    write_mnli(tmp_path)
    (tmp_path / "MNLI" / "dev_mismatched.tsv").unlink()
    with pytest.raises(DataError, match=r"dev_mismatched\.tsv: no such file"):
        load_glue("mnli", tmp_path)


def test_qqp_and_qnli_columns_are_renamed(tmp_path: Path) -> None:
    write(tmp_path, {f"QQP/{split}.tsv": f"{QQP}7\t1\t2\tWhy\u2028me?\tWhy not?\t1\n" for split in ("train", "dev")})
    write(tmp_path, {f"QNLI/{s}.tsv": f"{QNLI}9\tWho?\tHe.\tnot_entailment\n" for s in ("train", "dev")})
    for name, first in (("qqp", "Why\u2028me?"), ("qnli", "Who?")):
        data = load_glue(name, tmp_path)
        assert_shape(name, data)
        second = "Why not?" if name == "qqp" else "He."
        assert data["dev"].to_list() == [{"sentence1": first, "sentence2": second, "label": 1, "idx": 0}]


def test_split_qqp_row_is_refused_with_the_fix(tmp_path: Path) -> None:
    write(tmp_path, {"QQP/train.tsv": f"{QQP}7\t1\t2\tWhy?\tWhy not?\t1\n\tIs there evidence?\t0\n"})
    with pytest.raises(DataError, match=r"QQP.train\.tsv, line 3: got 3 columns, expected 6.*join.*or delete them"):
        load_glue("qqp", tmp_path)


def test_error_about_a_missing_task_folder_lists_the_existing_ones(tmp_path: Path) -> None:
    (tmp_path / "MRPC").mkdir()
    (tmp_path / "RTE").mkdir()
    with pytest.raises(DataError) as caught:
        load_glue("cola", tmp_path)
    assert str(tmp_path / "CoLA") in str(caught.value)
    assert f"{tmp_path} has: MRPC, RTE)" in str(caught.value)
    with pytest.raises(DataError, match="has: none"):
        load_glue("cola", tmp_path / "RTE")


def test_error_names_a_missing_data_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist or is not a folder.*--data-dir"):
        load_glue("sst2", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "file", "content", "expected"),
    [
        (
            "sst2",
            "SST-2/train.tsv",
            "sentence\tlabel\ngood\t1\nbad\t2\n",
            "line 3: label '2', expected one of '0', '1'",
        ),
        ("sst2", "SST-2/train.tsv", "sentence\tlabel\ngood\t-1\n", "line 2: label '-1'"),
        (
            "cola",
            "CoLA/train.tsv",
            "source\tlabel\tstar\tsentence\n",
            "line 1: label 'label', expected one of '0', '1'",
        ),
        (
            "qnli",
            "QNLI/train.tsv",
            f"{QNLI}0\tWho?\tHe.\tentails\n",
            "line 2: label 'entails', expected one of 'entail",
        ),
        (
            "stsb",
            "STS-B/train.tsv",
            f"{STSB}{STSB_START}\tfive\n",
            "line 2: score 'five', expected a number from 0 to 5",
        ),
        ("stsb", "STS-B/train.tsv", f"{STSB}{STSB_START}\t5.1\n", "line 2: score '5.1'"),
        ("stsb", "STS-B/train.tsv", f"{STSB}{STSB_START}\t-0.1\n", "line 2: score '-0.1'"),
        ("stsb", "STS-B/train.tsv", f"{STSB}{STSB_START}\tnan\n", "line 2: score 'nan'"),
        ("stsb", "STS-B/train.tsv", STSB, "no rows"),
        ("rte", "RTE/train.tsv", "index\tsentence1\tlabel\n", "line 1: no column 'sentence2'"),
    ],
)
def test_error_names_the_file_and_line_of_a_wrong_value(
    tmp_path: Path, name: str, file: str, content: str, expected: str
) -> None:
    write(tmp_path, {file: content})
    with pytest.raises(DataError) as caught:
        load_glue(name, tmp_path)
    assert str(tmp_path / file) in str(caught.value)
    assert expected in str(caught.value)


def hub_split(name: str, texts: tuple[str, ...], labels: list[Any], classes: tuple[str, ...] | None = None) -> Dataset:
    """A split as on the hub: its own column names, ClassLabel or float32, and an idx with gaps."""
    names = GLUE_TASKS[name].labels if classes is None else classes
    features: dict[str, Any] = {column: Value("string") for column in texts}
    features |= {"label": ClassLabel(names=list(names)) if names else Value("float32"), "idx": Value("int32")}
    columns: dict[str, list[Any]] = {column: [f"{column} {row}" for row in range(len(labels))] for column in texts}
    columns |= {"label": labels, "idx": [10 * row + 3 for row in range(len(labels))]}
    return Dataset.from_dict(columns, features=Features(features))


def patch_hub(monkeypatch: pytest.MonkeyPatch, hub: DatasetDict) -> list[tuple[str, ...]]:
    calls: list[tuple[str, ...]] = []

    def load_dataset(*names: str) -> DatasetDict:
        calls.append(names)
        return hub

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


HUB_TEXTS = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "stsb": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
}


@pytest.mark.parametrize("name", HUB_TEXTS)
def test_the_hub_gives_the_same_columns_and_drops_the_test_split(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    texts = HUB_TEXTS[name]
    suffixes = ("_matched", "_mismatched") if name == "mnli" else ("",)
    hub = {"train": hub_split(name, texts, [1, 0, 1])}
    labels = ([0, 1], [1, 0])
    hub |= {f"validation{suffix}": hub_split(name, texts, labels[row]) for row, suffix in enumerate(suffixes)}
    hub |= {f"test{suffix}": hub_split(name, texts, [-1, -1]) for suffix in suffixes}
    calls = patch_hub(monkeypatch, DatasetDict(hub))

    data = load_glue(name)

    assert calls == [("nyu-mll/glue", name)]
    assert_shape(name, data)
    assert data["train"]["label"][:] == [1, 0, 1]
    for row, split in enumerate(GLUE_TASKS[name].eval_splits):
        assert data[split]["label"][:] == labels[row]
        for field, column in zip(GLUE_TASKS[name].text_fields, texts, strict=True):
            assert data[split][field][:] == [f"{column} 0", f"{column} 1"]


def test_both_sources_give_one_type_of_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    split = hub_split("stsb", HUB_TEXTS["stsb"], [3.8])
    patch_hub(monkeypatch, DatasetDict(train=split, validation=split))
    write(tmp_path, {f"STS-B/{file}.tsv": f"{STSB}{STSB_START}\t3.800\n" for file in ("train", "dev")})
    assert load_glue("stsb")["dev"]["label"][:] == load_glue("stsb", tmp_path)["dev"]["label"][:]


@pytest.mark.parametrize("error", [ConnectionError("no route"), ValueError("no cache"), RuntimeError("timed out")])
def test_error_about_an_unreachable_hub_names_task_cause_and_fix(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load_dataset(*names: str) -> DatasetDict:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError) as caught:
        load_glue("mrpc")
    assert str(caught.value).startswith("mrpc: nyu-mll/glue could not be loaded")
    assert f"({type(error).__name__}: {error})" in str(caught.value)
    assert "--data-dir FOLDER, a folder with the GLUE download layout (MRPC/train.tsv" in str(caught.value)
    assert caught.value.__cause__ is error


RTE_TEXTS = HUB_TEXTS["rte"]
GOOD = hub_split("rte", RTE_TEXTS, [0, 1])


@pytest.mark.parametrize(
    ("hub", "expected"),
    [
        (DatasetDict(train=GOOD), "has no split 'validation'"),
        (DatasetDict(train=GOOD.remove_columns("sentence2"), validation=GOOD), "has no column 'sentence2'"),
        (DatasetDict(train=GOOD.select([]), validation=GOOD), "has no rows"),
        (DatasetDict(train=hub_split("rte", RTE_TEXTS, [0, -1]), validation=GOOD), "row 1: label -1, expected an id"),
        (
            DatasetDict(train=hub_split("rte", RTE_TEXTS, [0], ("not_entailment", "entailment")), validation=GOOD),
            "has classes not_entailment, entailment; expected entailment, not_entailment",
        ),
    ],
    ids=["split", "column", "rows", "label", "classes"],
)
def test_hub_data_that_is_not_glue_is_refused(
    monkeypatch: pytest.MonkeyPatch, hub: DatasetDict, expected: str
) -> None:
    patch_hub(monkeypatch, hub)
    with pytest.raises(DataError) as caught:
        load_glue("rte")
    assert str(caught.value).startswith("rte: ")
    assert expected in str(caught.value)


def test_an_stsb_score_outside_the_scale_on_the_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    split = hub_split("stsb", HUB_TEXTS["stsb"], [2.5, 6.0])
    patch_hub(monkeypatch, DatasetDict(train=split, validation=split))
    with pytest.raises(DataError, match=r"row 1: label 6\.0, expected 0 to 5"):
        load_glue("stsb")
