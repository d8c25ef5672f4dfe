from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fabricate import claim
from fabricate_report import BAD, BIG, ONE
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.analysis.claims import Answer
from xtc_study.analysis.stats import Difference
from xtc_study.report.study import StudyPage
from xtc_study.report.summary import cards, claims_figure, hours, pareto_figure, round_limit, runs_by_state

CLAIM = claim("lower", "1-bit", "32-bit", 0.01, "One.")
SPENT = {"x": ("cuda", 3600.0), "y": ("cpu", 1800.0), "z": ("cpu", math.nan)}


def study(name: str = "bits", **changed: object) -> StudyPage:
    answers = [Answer(CLAIM, "supported", ""), Answer(CLAIM, "undecided", "")]
    page = StudyPage(
        name, "Bits", "q", answers, {"done": 3, "missing": 1}, "run", points=[ONE, BIG, BAD], seconds=SPENT
    )
    return replace(page, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("smallest", "limit"), [(70_200, 100_000), (1e6, 1e6), (1_000_001, 2e6), (13.4e6, 20e6), (0, 1)]
)
def test_the_limit_is_the_next_round_number(smallest: float, limit: float) -> None:
    assert round_limit(smallest) == limit


@given(st.floats(1, 1e12))
def test_something_is_always_under_the_limit(size: float) -> None:
    assert size <= round_limit(size) <= 2.5001 * size


def test_the_best_under_the_limit_its_loss_the_claims_and_the_hours() -> None:
    best, loss, claims, compute = cards([study(), study("again")])
    assert (best.value, best.label) == ("94.0 points", "best packed file under 500 kB") and "8-bit" in best.note
    assert loss.value == "1.0 points" and "98.9%" in loss.note
    assert claims.value == "2 of 4" and claims.note == "2 undecided"
    assert compute.value == "1.50" and "1.00 GPU-hours, 0.50 hours on a CPU" in compute.note
    assert hours([study()])[2].endswith("3 runs, each counted once")
    assert runs_by_state([study(), study("again")]) == {
        "done": 6,
        "running": 0,
        "failed": 0,
        "corrupt": 0,
        "missing": 2,
    }


def test_a_model_better_than_its_teacher_gains() -> None:
    _, change, *_ = cards([study(points=[replace(ONE, score=ONE.teacher + 0.007)])])
    assert (change.value, change.label) == ("0.7 points", "that model's gain over its teacher")


def test_where_no_file_keeps_enough_the_smallest_sets_the_limit() -> None:
    best, loss, *_ = cards([study(points=[ONE, BAD])])
    assert (best.value, best.label, loss.value) == ("90.0 points", "best packed file under 100 kB", "5.0 points")


def test_a_file_of_full_precision_is_shown_only_where_no_other_is() -> None:
    full = replace(BIG, arm="32-bit", weight_bits=32, score=0.949, runs=frozenset({"f"}))
    best, *_ = cards([study(points=[ONE, BAD, full])])
    assert (best.value, best.label) == ("90.0 points", "best packed file under 100 kB")
    best, *_ = cards([study(points=[full])])
    assert (best.value, best.label) == ("94.9 points", "best file under 500 kB")


def test_where_none_keeps_enough_the_best_packed_file_is_shown_not_the_smallest() -> None:
    better = replace(BIG, score=0.91)
    best, *_ = cards([study(points=[ONE, BAD, better])])
    assert (best.value, best.label) == ("91.0 points", "best packed file under 500 kB")


def test_only_a_gpu_gives_gpu_hours() -> None:
    assert hours([study(seconds={"x": ("cuda", 3600.0)})])[:2] == ("1.00", "GPU-hours of compute")


def test_the_figure_of_claims_counts_those_that_were_run() -> None:
    found = Difference(-0.01, -0.02, 0.0, n_seeds=3, n_examples=100, resamples=9, rng_seed=0)
    answers = [Answer(CLAIM, "undecided", "", found), Answer(CLAIM, "not run", "")]
    figure = claims_figure([study(answers=answers)])
    assert figure.name == "claims" and not figure.missing
    finding = "Claims whose arms could be compared: 0 supported, 0 contradicted, 1 undecided. 1 could not yet"
    assert figure.caption.startswith(finding)
    assert cards([study(answers=answers)])[2].note == "1 undecided, 1 not run"
    assert "its two arms must share a finished seed" in claims_figure([study()]).missing
    assert "seeds)" not in figure.file
    answers[0] = replace(answers[0], difference=replace(found, n_seeds=2))
    marked = claims_figure([study(answers=answers)])
    assert "One. (2 seeds)" in marked.file


def test_nothing_done_leaves_no_score_and_no_pareto_front() -> None:
    empty = study(points=[], seconds={})
    assert [card.label for card in cards([empty])] == ["claims supported", "hours of compute"]
    assert pareto_figure([empty]) is None


def test_the_caption_has_what_is_on_it_and_what_was_left_out() -> None:
    elsewhere = replace(ONE, comparable=("tiny", "b dev"), runs=frozenset({"w"}))
    found = pareto_figure([study(points=[ONE, BIG, BAD, elsewhere])])
    assert found is not None
    picture, table = found
    assert picture.caption.startswith(
        "2 of 3 arms are on the Pareto front by bytes, from 1-bit (70 kB, 90.0 points) to 8-bit"
    )
    assert (
        "Left out because they cannot be compared: 1 on other tasks" in picture.caption
        and picture.inline.count('class="mark"') == 3
    )
    assert list(table.text["On the Pareto front"]) == ["yes", "yes", "no"] and "Milliseconds" not in table.text
    assert "trained" not in picture.caption
    longer = pareto_figure([study(points=[replace(ONE, epochs=(3.0,)), replace(BIG, epochs=(9.0,))])])
    assert longer is not None and "students took 3, 9 epochs" in longer[0].caption


def test_of_arms_that_tie_the_caption_names_the_one_that_the_figure_names() -> None:
    tied = replace(BIG, arm="8-bit, again", runs=frozenset({"t"}))
    found = pareto_figure([study(points=[ONE, BIG, tied])])
    assert found is not None and ">8-bit</text>" in found[0].inline and ">8-bit, again<" not in found[0].inline
    assert (
        "3 of 3 arms are on the Pareto front by bytes, from 1-bit (70 kB, 90.0 points) to 8-bit (250 kB"
        in found[0].caption
    )
    alone = pareto_figure([study(points=[BIG, tied])])
    assert alone is not None and "from 8-bit (250 kB, 94.0 points). None" in alone[0].caption
