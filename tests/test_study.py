from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fabricate import make_done_run, write_json

from xtc_study.places import Compute, Places
from xtc_study.recipe import Recipe
from xtc_study.runs.carry_out import RunFilter
from xtc_study.studies import StudyError
from xtc_study.study import Study

CUT: dict[str, Any] = {"seeds": [0], "axes": {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study("12_bits", places=Places(tmp_path), **CUT)


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
    ],
)
def test_what_cannot_be_planned_is_named_before_anything_is_written(
    chosen: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        Study("12_bits", places=Places(tmp_path / "results"), **chosen)
    assert not (tmp_path / "results").exists()


def test_what_chosen_points_leave_is_said_in_words() -> None:
    said = {
        None: "6 arms, compared with 32-bit, A32; 3 of 3 claims can be judged.",
        "1-bit": "2 arms, compared with 1-bit, A32 (not with 32-bit, A32, which was not chosen); "
        "1 of 3 claims can be judged.",
        "2-bit": "2 arms, compared with 2-bit, A32 (not with 32-bit, A32, which was not chosen); "
        "no claim can be judged: each is about an arm that was not chosen.",
    }
    for bits, sentence in said.items():
        assert Study("12_bits", axes={"weights": [bits]} if bits else None).in_words() == sentence


def test_an_interrupted_run_is_carried_out_again_but_has_not_failed(study: Study) -> None:
    for run in study.planned[:-1]:
        make_done_run(study.places.runs, run)
    interrupted = study.planned[-1]
    write_json(study.places.runs / interrupted.run_id / "claim.json", {"token": "t"})  # and no process holds its lock
    assert [run.run_id for run in study.to_do()] == [interrupted.run_id]
    assert study.to_do(RunFilter(only_failed=True)) == []


def test_a_task_or_seed_named_twice_counts_once() -> None:
    assert len(Study("12_bits", tasks=["cola", "cola"], seeds=[1, 1], axes=CUT["axes"]).planned) == 2


def test_what_is_done_is_not_to_do_unless_forced(study: Study) -> None:
    full, one_bit = study.planned
    make_done_run(study.places.runs, full)
    assert study.to_do() == [one_bit]
    assert study.to_do(RunFilter(force=True)) == [full, one_bit]
    assert study.to_do(RunFilter(force=True, limit=1)) == [full]
    assert study.to_do(RunFilter(force=True, arms=["1-bit, A8"])) == [one_bit]
    assert study.to_do(RunFilter(only_failed=True)) == []
    with pytest.raises(StudyError, match="arm='3-bit'"):
        study.to_do(RunFilter(arms=["3-bit"]))


def test_the_command_asks_for_the_same_runs(study: Study) -> None:
    words = shlex.split(study.command("1-bit, A8"))
    assert words[:5] == ["xtc-study", "run", "12_bits", "--profile", "smoke"]
    assert words[words.index("--seed") + 1] == "0"
    assert [words[place + 1] for place, word in enumerate(words) if word == "--axis"] == [
        "weights=32-bit,1-bit",
        "activations=A8",
    ]
    assert words[-2:] == ["--arm", "1-bit, A8"]


def test_the_command_holds_all_that_was_chosen_and_no_place_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("a\tb\n")
    places = Places(tmp_path / "results", tmp_path, tmp_path, tmp_path / "table.tsv")
    chosen = {"overrides": {"layers": (0, 2), "ffn": None}, **CUT}
    command = Study("12_bits", "smoke", places, Compute("cpu", "fp32"), **chosen).command()
    assert str(tmp_path) not in command
    assert "--set 'layers=[0, 2]' --set ffn=null" in command
    assert command.endswith(
        "--data-dir GLUE_FOLDER --models-dir MODELS_FOLDER --synonyms SYNONYMS_FILE --results RESULTS_FOLDER "
        "--device cpu --precision fp32"
    )
    assert "--results" not in Study("12_bits", **CUT).command()


def test_a_model_s_folder_is_found_from_elsewhere_and_shown_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bert", "start", "teacher"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    axes = {"start": ["teacher", "./start", "teacher's layers"], "weights": ["1-bit"]}
    chosen = Study(
        "17_start", "mini", Places(tmp_path), tasks=["cola"], seeds=[0], overrides={"model": "bert"}, axes=axes
    )
    assert [run.recipe.start for run in chosen.planned] == ["teacher", str(tmp_path / "start"), "teacher"]
    assert {run.recipe.model for run in chosen.planned} == {str(tmp_path / "bert")}
    assert [run.arm for run in chosen.planned][1] == "./start, 1-bit" and str(tmp_path) not in chosen.command()


def test_power_is_from_what_is_usual_until_two_seeds_are_done(tmp_path: Path) -> None:
    study = Study("12_bits", places=Places(tmp_path), **{**CUT, "seeds": [0, 1]})
    assert "assuming that seeds differ by 2 points" in study.power()
    for run in study.planned:
        make_done_run(study.places.runs, run, 0.9 if run.recipe.weight_bits == 32 else 0.7)
    assert "measured on the 4 runs that are done, whose seeds differ by" in study.power()
    assert "one seed cannot decide a claim" in Study("12_bits", places=Places(tmp_path / "none"), **CUT).power()


def test_run_carries_out_everything_and_outcomes_only_what_is_iterated(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out = []

    def carry_out(recipes: list[Recipe], *words: object, **options: object) -> Iterator[dict[str, Any]]:
        for recipe in recipes:
            carried_out.append(recipe.run_id)
            yield {"run_id": recipe.run_id, "state": "done", "seconds": 1.0, "error": None}

    monkeypatch.setattr("xtc_study.runs.carry_out.carry_out", carry_out)
    planned = [run.run_id for run in study.planned]
    outcomes = study.outcomes()
    assert carried_out == [] and next(outcomes)["run_id"] == planned[0] and carried_out == planned[:1]
    carried_out.clear()
    done = study.run()
    assert carried_out == planned and [one["run_id"] for one in done.outcomes] == planned
    assert str(done) == "2 runs carried out, 0 failed."


def test_a_bar_is_shown_only_where_there_is_something_to_do(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xtc_study.runs.carry_out.carry_out", lambda recipes, *words, **options: iter([]))
    study.run()
    assert "0/2" in capsys.readouterr().err
    for run in study.planned:
        make_done_run(study.places.runs, run)
    study.run()
    assert capsys.readouterr().err == ""
