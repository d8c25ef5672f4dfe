from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from fabricate import make_done_run, plan_runs
from fabricate_report import BAD, BIG, ONE
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.analysis.collect import collect
from xtc_study.analysis.pareto import comparable, pareto_points, undominated
from xtc_study.analysis.score_tables import arm_table


def test_undominated_by_hand() -> None:
    assert undominated([1, 2, 3, 2, math.nan], [0.5, 0.9, 0.8, 0.9, 1.0]) == [True, True, False, True, False]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1))
def test_every_dominated_point_is_dominated_by_a_point_of_the_pareto_front(pairs: list[tuple[int, int]]) -> None:
    on = undominated([cost for cost, _ in pairs], [score for _, score in pairs])
    pareto_front = [pair for pair, kept in zip(pairs, on, strict=True) if kept]
    assert pareto_front
    for pair, kept in zip(pairs, on, strict=True):
        beaten = any(c <= pair[0] and s >= pair[1] and (c, s) != pair for c, s in pareto_front)
        assert beaten != kept


def test_comparable_keeps_points_of_the_same_tasks_and_merges_shared_runs() -> None:
    other = replace(ONE, comparable=("tiny", "b dev"), runs=frozenset({"w"}))
    again = replace(ONE, study="Layers")
    unfinished = replace(ONE, score=math.nan, runs=frozenset({"v"}))
    assert comparable([other, ONE, BIG, again, unfinished]) == [ONE, BIG]
    assert comparable([]) == []


def test_comparable_keeps_only_times_of_one_setting() -> None:
    here = [replace(p, latency_ms=2.0, latency_of="1x128, here") for p in (ONE, BIG)]
    there = replace(BAD, latency_ms=1.0, latency_of="1x128, there")
    found = comparable([there, *here])
    assert [(p.arm, p.latency_of) for p in found] == [("bad", ""), ("1-bit", "1x128, here"), ("8-bit", "1x128, here")]
    assert math.isnan(found[0].latency_ms) and found[1].latency_ms == 2.0


def test_the_point_of_an_arm_has_its_time_encoder_tasks_and_epochs(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1})
    for run in planned:
        make_done_run(tmp_path, run, latency_ms=2.0 + run.recipe.seed if run.arm == "1-bit" else None)
    frame = collect(tmp_path, planned)
    table = arm_table(frame, "32-bit")
    epochs = {run.run_id: 3.0 + run.recipe.seed for run in planned}
    whole, small = pareto_points(frame, table, epochs, study="Bits", href="study-bits.html")
    assert (whole.arm, whole.study, whole.href) == ("32-bit", "Bits", "study-bits.html")
    assert math.isnan(whole.latency_ms) and whole.latency_of == ""
    assert small.latency_ms == pytest.approx(3.0) and small.latency_of.endswith("numba engine, a CPU")
    assert [small.low, small.score, small.high] == table.loc[1, ["score_low", "score", "score_high"]].tolist()
    assert small.comparable == (planned[0].recipe.model, "toy-pairs dev", "toy-sentiment dev")
    assert small.epochs == (3.0, 4.0, 5.0) and small.weight_bits == 1
    assert small.runs == {run.run_id for run in planned if run.arm == "1-bit"}
