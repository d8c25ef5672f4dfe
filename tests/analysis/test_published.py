from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import make_done_run

from xtc_study.analysis.collect import collect
from xtc_study.analysis.glue_average import NINE_COLUMNS
from xtc_study.analysis.published import (
    AVERAGE,
    beside_measured,
    published_scores,
    why_not_comparable,
)
from xtc_study.recipe import Recipe
from xtc_study.studies import PlannedRun

BERT = "google-bert/bert-base-uncased"


def test_every_published_score_has_a_source_and_a_status() -> None:
    scores = published_scores()
    assert set(scores["status"]) == {"read", "derived", "recalled"}
    assert (scores["source"] != "").all() and scores["value"].between(0, 100).all()
    assert not scores.duplicated(["origin", "model", "layers", "weight_bits", "activation_bits", "augmented",
                                  "task", "split", "metric", "source", "note"]).any()  # fmt: skip


def test_published_scores_of_xtc_and_bert_base() -> None:
    scores = published_scores()
    average = scores[(scores["task"] == AVERAGE) & (scores["origin"] == "XTC")]
    found = {
        (row.layers, row.weight_bits, row.model == "BERT-base teacher"): row.value for row in average.itertuples()
    }
    assert found[12, 32, True] == 83.95 and found[12, 1, False] == 83.44 and found[6, 1, False] == 81.71


def test_nine_columns_of_bert_base_average_to_what_was_published() -> None:
    """The teacher's row of the BiT tables: its nine columns give the 83.9 that is printed beside them."""
    scores = published_scores()
    row = scores[(scores["origin"] == "BinaryBERT") & (scores["model"] == "BERT-base teacher")]
    columns = row[row["task"] != AVERAGE]
    keys = dict(zip(zip(columns["task"], columns["split"], strict=True), columns["metric"], strict=True))
    assert keys == NINE_COLUMNS
    assert columns["value"].mean() == pytest.approx(83.93, abs=0.005)


def planned(task: str, **fields: object) -> PlannedRun:
    recipe = Recipe.of(task=task, **{"model": BERT, "weight_bits": 1, **fields})
    return PlannedRun("s", recipe.run_id, str(fields.get("layers", "all")), recipe)


def test_only_runs_of_the_published_depth_and_bits_are_compared(tmp_path: Path) -> None:
    runs = [planned("mnli"), planned("mnli", layers="1/2"), planned("mnli", layers=7), planned("rte")]
    for run in runs:
        split = {"split": "matched", "n_examples": 9}
        rows = [{**split, "metric": "accuracy", "value": 0.8, "best_value": None, "teacher_value": 0.8}]
        make_done_run(tmp_path, run, rows=rows)
    table = beside_measured(collect(tmp_path, runs))
    assert set(table["arm"]) == {"all", "1/2"}, "seven layers were never published"
    assert set(table["task"]) == {"mnli"} and (table["measured"] == 80.0).all()
    xtc = table[table["origin"] == "XTC"].set_index("arm")["published"]
    assert (xtc["all"], xtc["1/2"]) == (84.1, 82.9)
    rerun = table[(table["origin"] == "DeepSpeed re-run") & (table["arm"] == "all")]
    assert sorted(rerun["published"]) == [82.7, 82.9] and (rerun["note"] != "").all()


def test_explicit_word_table_bits_are_comparable_only_if_equal_to_the_weights(tmp_path: Path) -> None:
    named = {"1": planned("mnli", embedding_bits=1, layers=12), "8": planned("mnli", embedding_bits=8)}
    for run in named.values():
        split = {"split": "matched", "n_examples": 9}
        rows = [{**split, "metric": "accuracy", "value": 0.8, "best_value": None, "teacher_value": 0.8}]
        make_done_run(tmp_path, run, rows=rows)
    xtc = beside_measured(collect(tmp_path, list(named.values()))).query("origin == 'XTC'")
    assert list(xtc["arm"]) == ["12"] and list(xtc["published"]) == [84.1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "builtin:tiny"}, "these runs are of builtin:tiny"),
        ({"weight_bits": 3}, "None of the published scores collected here has these depths and bits"),
        ({"start": "pretrained"}, "None of"),
        ({"vocabulary": "task"}, "None of"),
        ({"ffn": "1/2"}, "None of"),
        ({"teacher_layers": "1/2"}, "None of"),
        ({"embedding_bits": 8}, "None of"),
    ],
)
def test_the_reason_is_given_if_no_published_score_is_comparable(tmp_path: Path, fields: dict, message: str) -> None:
    run = planned("mnli", **fields)
    make_done_run(tmp_path, run)
    frame = collect(tmp_path, [run])
    assert beside_measured(frame).empty and message in why_not_comparable(frame)
    assert "nothing to compare with published scores" in why_not_comparable(collect(tmp_path / "none", [run]))
