"""What is said of a figure is what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import TASKS, claim, make_done_run, plan_runs, split_in_two

from xtc_study.analysis.collect import collect
from xtc_study.analysis.stats import Difference
from xtc_study.arms import Arm
from xtc_study.report.study_figures import StudyFigures, differences_finding, differences_words
from xtc_study.studies import ClaimSpec, StudySpec


def found(mean: float) -> Difference:
    return Difference(mean, mean - 0.01, mean + 0.01, n_seeds=3, n_examples=100, resamples=9, rng_seed=0)


def spec(claims: list[ClaimSpec], arms: list[Arm] | None = None) -> StudySpec:
    return StudySpec(
        name="bits", title="t", question="q", notebook="n", reference="32-bit", claims=claims, arms=arms or []
    )


def test_captions_tell_what_is_drawn_and_nothing_else(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "2-bit": 2, "1-bit": 1}, seeds=2)
    for run in planned:
        split_in_two(make_done_run(tmp_path, run))
    claims = [claim("lower", "1-bit", "2-bit", 0.02)]  # not against the reference, so not in the figure
    differences = {"2-bit": found(-0.01), "1-bit": found(-0.03)}
    figures = StudyFigures(collect(tmp_path, planned), spec(claims), lambda: differences)
    assert list(figures) == ["differences", "seeds"]
    drawn, seeds = figures["differences"], figures["seeds"]
    minus = "\N{MINUS SIGN}"
    assert f"2-bit {minus}1.00 ({minus}2.00 to +0.00); 1-bit {minus}3.00 ({minus}4.00 to {minus}2.00)." in drawn.alt
    assert drawn.caption.startswith(f"From 1-bit, {minus}3.00 points, to 2-bit, {minus}1.00.")
    assert "1-bit minus 2-bit" not in drawn.alt + drawn.caption + seeds.alt
    panels = ", ".join(f"{task} (accuracy), {task} other (accuracy)" for task in TASKS)
    assert panels in seeds.alt and "minus" not in seeds.alt


def test_one_difference_is_both_ends() -> None:
    assert differences_finding({"1-bit": found(0.02)}) == "1-bit: +2.00 points."
    assert differences_words({"1-bit": found(0.02)}) == "1-bit +2.00 (+1.00 to +3.00)."


def test_a_figure_is_drawn_when_it_is_asked_for_and_once(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1}, seeds=2)
    for run in planned:
        make_done_run(tmp_path, run)
    asked = []

    def differences() -> dict[str, Difference]:
        asked.append(1)
        return {"1-bit": found(-0.03)}

    figures = StudyFigures(collect(tmp_path, planned), spec([claim("lower", "1-bit", "32-bit")]), differences)
    assert figures["seeds"] is figures["seeds"] and not asked, "the seeds need no difference"
    assert figures["differences"] is figures["differences"] and len(asked) == 1


def test_a_figure_that_has_nothing_to_show_is_not_listed_and_says_what_is_missing(tmp_path: Path) -> None:
    nothing = StudyFigures(
        collect(tmp_path, plan_runs({"32-bit": 32})), spec([claim("lower", "1-bit", "32-bit")]), dict
    )
    assert list(nothing) == [] and len(nothing) == 0 and "seeds" not in nothing
    assert "A difference needs a seed that 32-bit and another arm have done" in nothing["differences"].alt
    assert "No run of this study is done yet" in nothing["seeds"].alt and nothing["seeds"].caption == ""
    assert "there is no line to draw" in nothing["factors"].alt
    with pytest.raises(KeyError):
        nothing["sizes"]
