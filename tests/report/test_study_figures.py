"""Captions and alt texts describe what a figure shows."""

from __future__ import annotations

from pathlib import Path

from fabricate import TASKS, claim, make_done_run, plan_runs, split_in_two

from xtc_study.analysis.collect import collect
from xtc_study.analysis.stats import Difference
from xtc_study.report.study_figures import differences_finding, differences_words, figures_of


def difference(mean: float) -> Difference:
    return Difference(mean, mean - 0.01, mean + 0.01, n_seeds=3, n_examples=100, resamples=9, rng_seed=0)


def test_captions_and_alt_texts_describe_only_what_is_drawn(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "2-bit": 2, "1-bit": 1}, seeds=2)
    for run in planned:
        split_in_two(make_done_run(tmp_path, run))
    claims = [claim("lower", "1-bit", "2-bit", 0.02)]  # not against the reference, so not in the figure
    differences = {"2-bit": difference(-0.01), "1-bit": difference(-0.03)}
    figures = figures_of(collect(tmp_path, planned), [], "32-bit", claims, differences)
    assert list(figures) == ["differences", "seeds"]
    drawn, seeds = figures["differences"], figures["seeds"]
    minus = "\N{MINUS SIGN}"
    assert f"2-bit {minus}1.00 ({minus}2.00 to +0.00); 1-bit {minus}3.00 ({minus}4.00 to {minus}2.00)." in drawn.alt
    assert drawn.caption.startswith(f"From 1-bit, {minus}3.00 points, to 2-bit, {minus}1.00.")
    assert "1-bit minus 2-bit" not in drawn.alt + drawn.caption + seeds.alt
    panels = ", ".join(f"{task} (accuracy), {task} other (accuracy)" for task in TASKS)
    assert panels in seeds.alt and "minus" not in seeds.alt


def test_the_finding_of_a_single_difference() -> None:
    assert differences_finding({"1-bit": difference(0.02)}) == "1-bit: +2.00 points."
    assert differences_words({"1-bit": difference(0.02)}) == "1-bit +2.00 (+1.00 to +3.00)."
