from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from fabricate import do

from xtc_study.ablation import Ablation, in_turns
from xtc_study.studies import StudyError

CUT: dict[str, Any] = {"seeds": [0], "axes": {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}}


@pytest.fixture
def ablation(tmp_path: Path) -> Ablation:
    return Ablation("12_bits", results_dir=tmp_path, **CUT)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"seeds": 0}, "seeds=0: expected a list"),
        ({"seeds": []}, r"seeds=\[\]: expected a list"),
        ({"seeds": ["a"]}, "seed='a'"),
        ({"tasks": "cola"}, "tasks='cola': expected a list"),
        ({"tasks": ["kola"]}, "task='kola'"),
        ({"axes": "weights"}, "axes='weights': expected names"),
        ({"axes": {"weights": "1-bit"}}, "axis weights='1-bit': expected a list of points"),
        ({"overrides": "epochs=2"}, "fields='epochs=2': expected names"),
        ({"overrides": {"epoch": 2}}, "epoch"),
        ({"data_dir": "nowhere"}, "data_dir"),
    ],
)
def test_what_cannot_be_planned_is_named_before_anything_is_written(
    chosen: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        Ablation("12_bits", results_dir=tmp_path / "results", **chosen)
    assert not (tmp_path / "results").exists()


def test_what_chosen_points_leave_is_said_in_words() -> None:
    said = {
        None: "12 arms, compared with 32-bit, A32; 3 of 3 claims can be judged.",
        "1-bit": "3 arms, compared with 1-bit, A32 (not with 32-bit, A32, which was not chosen); "
        "1 of 3 claims can be judged.",
        "8-bit": "3 arms, compared with 8-bit, A32 (not with 32-bit, A32, which was not chosen); "
        "no claim is left, for each is about an arm that was not chosen.",
    }
    for bits, sentence in said.items():
        assert Ablation("12_bits", axes={"weights": [bits]} if bits else None).in_words() == sentence


def test_a_task_or_seed_named_twice_counts_once() -> None:
    assert len(Ablation("12_bits", tasks=["cola", "cola"], seeds=[1, 1], axes=CUT["axes"]).planned) == 2


def test_what_is_done_is_not_to_do_unless_forced(ablation: Ablation) -> None:
    full, one_bit = ablation.planned
    do(ablation.runs_folder, full)
    assert ablation.to_do() == [one_bit]
    assert ablation.to_do(force=True) == [full, one_bit]
    assert ablation.to_do(force=True, limit=1) == [full]
    assert ablation.to_do(force=True, arms=["1-bit, A8"]) == [one_bit]
    assert ablation.to_do(only_failed=True) == []
    with pytest.raises(StudyError, match="arm='3-bit'"):
        ablation.to_do(arms=["3-bit"])


def test_the_command_asks_for_the_same_runs(ablation: Ablation) -> None:
    words = shlex.split(ablation.command("1-bit, A8"))
    assert words[:5] == ["xtc-study", "run", "12_bits", "--profile", "smoke"]
    assert words[words.index("--seed") + 1] == "0"
    assert [words[place + 1] for place, word in enumerate(words) if word == "--axis"] == [
        "weights=32-bit,1-bit",
        "activations=A8",
    ]
    assert words[-2:] == ["--arm", "1-bit, A8"]


def test_workers_begin_with_different_teachers() -> None:
    runs = Ablation("12_bits", seeds=[0, 1], axes=CUT["axes"]).planned
    turns = in_turns([run.recipe for run in runs])
    assert [(recipe.seed, recipe.weight_bits) for recipe in turns] == [(0, 32), (1, 32), (0, 1), (1, 1)]
