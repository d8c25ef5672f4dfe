"""What a plan says of the text its runs will read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xtc_study.cli.plan_data import data_lines, described
from xtc_study.places import Places
from xtc_study.study import Study
from xtc_study.tasks.user.dataset import read_own

ONE_ARM = {"weights": ["32-bit", "1-bit"], "activations": ["A32", "A8"]}


def own(folder: Path, rows: list[tuple[str, str]], more: str = "") -> Path:
    (folder / "train.csv").write_text("t,y\n" + "".join(f"{text},{label}\n" for text, label in rows))
    (folder / "my.yml").write_text(f"name: n\nfiles: {{train: train.csv}}\nheld_out: 0.2\ntext: t\nlabel: y\n{more}")
    return folder / "my.yml"


def lines(folder: Path, only_bad: bool = False, data_dir: Path | None = None, **chosen: Any) -> list[str]:
    study = Study("12_bits", seeds=[0], axes=ONE_ARM, places=Places(folder / "results", data_dir), **chosen)
    return list(data_lines([study], only_bad))


def test_classes_by_split_and_the_rarest_of_many(tmp_path: Path) -> None:
    path = own(tmp_path, [(f"the soup was good {number}", f"class{number % 3}") for number in range(30)])
    assert list(described(read_own(path), "my.yml"))[1:] == [
        f"  'class{number}': 8 in train, 2 in dev" for number in range(3)
    ]
    rows = [(f"text {number}", f"class{number % 20:02}") for number in range(200)] + [("one more", "class00")] * 3
    told = list(described(read_own(own(tmp_path, rows)), "my.yml"))
    assert told[1] == "  20 classes; the rarest:" and len(told) == 14 and "class00" not in " ".join(told)


def test_a_regression_by_its_labels(tmp_path: Path) -> None:
    path = own(tmp_path, [(f"text {number}", str(100_000 * number)) for number in range(10)], "kind: regression\n")
    first, train, dev = described(read_own(path), "my.yml")
    assert first.endswith("train 8 rows, dev 2 rows; metrics: pearson, spearman")
    assert train.startswith("  labels of train: ") and dev.startswith("  labels of dev: ") and "mean" in dev


def test_only_what_is_bad_is_said_before_a_run(tmp_path: Path) -> None:
    path = own(
        tmp_path, [(f"the soup was {'good' if n % 2 else 'bad'} " + "the " * n, "ab"[n % 2]) for n in range(20)]
    )
    assert lines(tmp_path, only_bad=True, tasks=[path]) == []
    bad = lines(tmp_path, only_bad=True, tasks=[path], overrides={"max_length": 8})
    assert [line.split(" (")[0].split(" of ")[-1] for line in bad] == ["train", "dev"]
    assert all(line.startswith("my.yml: ") and "would hold 95 %" in line for line in bad)


def test_a_model_that_is_not_here_yet(tmp_path: Path) -> None:
    path = own(tmp_path, [(f"the soup was {number}", "ab"[number % 2]) for number in range(20)])
    told = lines(tmp_path, tasks=[path], overrides={"model": "nobody/such-a-model"})
    assert told[-1] == (
        "  the tokenizer of nobody/such-a-model is not on this machine yet; a run will say how many texts are cut"
    )


def test_glue_where_its_folder_is(tmp_path: Path) -> None:
    (tmp_path / "glue" / "SST-2").mkdir(parents=True)
    file = tmp_path / "glue" / "SST-2" / "train.tsv"
    file.write_text("sentence\tlabel\n" + "".join(f"the soup was {'good ' * 20}\t1\n" for _ in range(2001)))
    chosen: dict[str, Any] = {"tasks": ["sst2"], "data_dir": tmp_path / "glue"}
    (told,) = lines(tmp_path, overrides={"max_length": 12}, **chosen)
    assert told.startswith("sst2: 1,001 of 1,001 rows of train (100%) are longer than max_length=12 tokens")
    assert told.endswith("max_length=25 would hold 95 % (counted on 1,001 of 2,001)")
    assert lines(tmp_path, overrides={"max_length": 48}, **chosen) == []
    file.write_text("broken")
    assert lines(tmp_path, overrides={"max_length": 12}, **chosen) == [], "a run says what is wrong with it"
