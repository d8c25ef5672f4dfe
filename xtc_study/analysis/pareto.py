"""Score against cost: the arms of all studies as points, those that can be compared, and the Pareto front."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from xtc_study.analysis.collect import shape_words


@dataclass(frozen=True)
class ParetoPoint:
    """One arm of one study. Scores in the metric's scale."""

    study: str
    arm: str
    href: str
    """The study's page."""
    score: float
    low: float
    """Of the lowest seed."""
    high: float
    """Of the highest seed."""
    size_bytes: float
    latency_ms: float
    """NaN where it was not measured."""
    latency_of: str
    """What it was measured with, empty where it was not. Only times of the same can be compared."""
    teacher: float
    """The teachers' mean score."""
    weight_bits: int
    layers: str
    comparable: tuple[str, ...]
    """The encoder, tasks and splits that the score is of. Only equal ones can be compared."""
    runs: frozenset[str]
    """Run ids; two arms with the same runs are one point."""
    epochs: tuple[float, ...] = ()
    """How long its students were trained, every distinct number (``report.scope.student_epochs``)."""


def pareto_points(
    frame: pd.DataFrame, arms: pd.DataFrame, epochs: Mapping[str, float], *, study: str, href: str
) -> list[ParetoPoint]:
    """The arms of one study as points of score against cost.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        arms: ``analysis.score_tables.arm_table`` of the frame.
        epochs: by run id, how long its student was trained.
        study: the study's title.
        href: the address of its page.
    """
    primary = frame[frame["is_primary"]]
    tasks = sorted(" ".join(pair) for pair in set(zip(primary["task"], primary["split"], strict=True)))

    points = []
    for arm in arms.to_dict("records"):
        rows = primary[primary["arm"] == arm["arm"]]
        # Runs of one arm may have been timed in several ways, which have no common mean: the usual one counts.
        timed = rows["latency_of"].dropna().mode()
        latency_of = str(timed.iloc[0]) if len(timed) else ""
        points.append(
            ParetoPoint(
                study=study,
                arm=str(arm["arm"]),
                href=href,
                score=float(arm["score"]),
                low=float(arm["score_low"]),
                high=float(arm["score_high"]),
                size_bytes=float(arm["size_bytes"]),
                latency_ms=float(rows.loc[rows["latency_of"] == latency_of, "latency_ms"].mean()),
                latency_of=latency_of,
                teacher=float(arm["teacher"]),
                weight_bits=int(rows["weight_bits"].iloc[0]),
                layers=shape_words(rows.iloc[0]),
                comparable=(str(rows["model"].iloc[0]), *tasks),
                runs=frozenset(rows["run_id"]),
                epochs=tuple(sorted({epochs[run_id] for run_id in rows["run_id"]})),
            )
        )
    return points


def comparable(points: Sequence[ParetoPoint]) -> list[ParetoPoint]:
    """The largest set of points that can be compared, each once; studies on other tasks are left out.

    Of times, those measured with what most of these points were are kept.
    """
    groups: dict[tuple[str, ...], dict[frozenset[str], ParetoPoint]] = {}
    for point in points:
        if not np.isnan(point.score):
            groups.setdefault(point.comparable, {}).setdefault(point.runs, point)
    largest = list(max(groups.values(), key=len).values()) if groups else []
    timed = Counter(point.latency_of for point in largest if point.latency_of)
    usual = timed.most_common(1)[0][0] if timed else ""
    return [p if p.latency_of == usual else replace(p, latency_ms=math.nan, latency_of="") for p in largest]


def undominated(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Whether each is on the Pareto front: no other costs at most as much and scores at least as high, being better in
    one. NaN: dominated.
    """
    pairs = list(zip(costs, scores, strict=True))
    return [
        not np.isnan(cost)
        and not any(
            other_cost <= cost and other >= score and (other_cost < cost or other > score)
            for other_cost, other in pairs
        )
        for cost, score in pairs
    ]
