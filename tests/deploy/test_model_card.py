from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from xtc_study.deploy.model_card import GPU_SPEED, add_speed, write_card
from xtc_study.recipe import Recipe
from xtc_study.training.heads import NO_HEAD

ROW = {"split": "dev", "teacher_value": 0.9, "n_examples": 40}
METRICS: dict[str, Any] = {
    "rows": [{**ROW, "metric": "f1", "value": 0.5}, {**ROW, "metric": "accuracy", "value": 0.75}],
    "size_bytes": 1234567,
    "size_bytes_paper": 1000000,
    "teacher_size_bytes": 40000000,
}


def card(folder: Path, **fields: Any) -> str:
    write_card(folder, Recipe.of(task="cola", **fields), METRICS, "accuracy")
    return (folder / "README.md").read_text(encoding="utf-8")


def test_a_card_has_the_measured_scores_and_sizes(tmp_path: Path) -> None:
    text = card(tmp_path, model="owner/encoder", weight_bits=1)
    front = yaml.safe_load(text.split("---")[1])
    assert (front["base_model"], front["base_model_relation"]) == ("owner/encoder", "quantized")
    assert [one["metrics"][0]["type"] for one in front["model-index"][0]["results"]] == ["accuracy", "f1"]
    assert "| dev | accuracy | 0.7500 | 0.9000 | 40 |" in text
    assert "every matrix at 1 bit, nothing else | 1,000,000 |" in text
    assert "of the encoder's" not in text
    assert "every matrix at 2 bits," in card(tmp_path, weight_bits=2)


def test_a_card_says_what_is_particular_about_the_weights(tmp_path: Path) -> None:
    assert "1-bit weights, 8-bit inputs" in card(tmp_path)
    assert "1-bit weights (learned scales), 8-bit inputs" in card(tmp_path, weight_scale="learned")
    both = card(tmp_path, weight_bits=2, two_bit_levels="odd", weight_scale="learned")
    assert "2-bit weights (levels -3, -1, 1, 3; learned scales), 8-bit inputs" in both
    assert "1-bit weights, 8-bit" in card(tmp_path, embedding_bits=2, two_bit_levels="odd"), "those of the table"


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (None, "The teacher is the same encoder in full precision"),
        (3, "The teacher is the same encoder, cut to 3 of its layers, in full precision"),
        ("1/2", "The teacher is the same encoder, cut to 1/2 of its layers, in full precision"),
        ((0, 5), "The teacher is the same encoder, cut to its layers 0, 5 (counted from 0), in full precision"),
    ],
)
def test_a_card_names_the_depth_of_the_teacher(depth: Any, text: str, tmp_path: Path) -> None:
    assert text in card(tmp_path, teacher_layers=depth)


@pytest.mark.parametrize("model", ["/home/somebody/encoders/mine", "./encoders/mine"])
def test_a_card_does_not_contain_local_paths(model: str, tmp_path: Path) -> None:
    text = card(tmp_path, model=model)
    assert "encoders" not in text and "base_model" not in text
    assert "`mine`" in text and '"model": "mine"' in text


def test_names_contain_no_markup(tmp_path: Path) -> None:
    text = card(tmp_path, model="owner/<b>`x|y")
    assert "`owner/ b  x y`" in text


def test_new_times_replace_older_ones(tmp_path: Path) -> None:
    card(tmp_path)
    add_speed(tmp_path, [{"runtime": "torch", "ms": "2.00"}], "a processor")
    add_speed(tmp_path, [{"runtime": "torch", "ms": "1.00"}], "another")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.count("## Speed") == 1 and "measured on another" in text
    assert "| torch | 1.00 |" in text and "2.00" not in text
    assert text.index("## Size") < text.index("## Speed") < text.index("## Use")
    add_speed(tmp_path / "none", [{"runtime": "torch", "ms": "1.00"}], "another")
    assert not (tmp_path / "none").exists()


def test_times_of_a_gpu_have_a_section_of_their_own(tmp_path: Path) -> None:
    card(tmp_path)
    before = (tmp_path / "README.md").read_text(encoding="utf-8")
    add_speed(tmp_path, [{"runtime": "torch", "ms": "9.00"}], "a GPU", GPU_SPEED)
    add_speed(tmp_path, [{"runtime": "torch", "ms": "2.00"}], "a CPU")
    add_speed(tmp_path, [{"runtime": "torch", "ms": "0.50"}], "another GPU", GPU_SPEED)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## S")] == [
        "## Score",
        "## Size",
        "## Speed",
        "## Speed on a GPU",
    ]
    speed, gpu = text.split("## Speed\n")[1].split("## Speed on a GPU\n")
    assert "a CPU" in speed and "| torch | 2.00 |" in speed and "GPU" not in speed
    assert "another GPU" in gpu and "| torch | 0.50 |" in gpu and "9.00" not in gpu
    assert text.split("## Use")[1] == before.split("## Use")[1]


def test_a_card_warns_of_one_prediction_cut_rows_and_unused_heads(tmp_path: Path) -> None:
    """F1 0.98 for a model that always predicts legit: the class, the prediction, and a Matthews correlation of 0."""
    lengths = {"rows": 40, "max_length": 48, "cut": 30, "longest": 117, "median": 107, "holds_95": 116}
    metrics = {
        **METRICS,
        "rows": [{**ROW, "metric": "f1_of:0:legit|`", "value": 0.98}, {**ROW, "metric": "matthews", "value": 0.0}],
        "one_answer": {"dev": "legit|`"},
        "teacher_one_answer": {},
        "heads": {"model": "the checkpoint's head has other classes; a new one is drawn", "start": NO_HEAD.text},
        "lengths": {"dev": lengths, "train": {**lengths, "cut": 0}},
    }
    write_card(tmp_path, Recipe.of(task="cola"), metrics, "f1_of:0:legit|`")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| dev | f1 of legit   | 0.9800 |" in text and "| dev | matthews | 0.0000 |" in text
    assert "**This file predicts `legit  ` for every row of dev.** Its Matthews correlation" in text
    assert "**The teacher predicts" not in text
    assert "30 of 40 rows of dev (75%) are longer than max_length=48 tokens and are cut" in text
    assert "`model`: the checkpoint's head has other classes; a new one is drawn." in text and "`start`" not in text
    assert "would hold 95 %." in text and "rows of train" not in text
    front = yaml.safe_load(text.split("---")[1])
    assert front["model-index"][0]["results"][0]["metrics"][0]["type"] == "f1 of legit|`"
