"""Score against cost: turn arms of all studies into points, keep the comparable ones, find the Pareto front."""

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
    """Address of the study's page."""
    score: float
    low: float
    """Score of the lowest seed."""
    high: float
    """Score of the highest seed."""
    size_bytes: float
    latency_ms: float
    """NaN if it was not measured."""
    latency_of: str
    """The setting it was measured in; empty if it was not. Only times of one setting can be compared."""
    teacher: float
    """The teachers' mean score."""
    weight_bits: int
    layers: str
    comparable: tuple[str, ...]
    """The encoder, tasks and splits of the score. Only points with equal values can be compared."""
    runs: frozenset[str]
    """Run ids; two arms with the same runs are one point."""
    epochs: tuple[float, ...] = ()
    """Every distinct number of epochs that its students were trained (``report.scope.student_epochs``)."""


def pareto_points(
    frame: pd.DataFrame, arms: pd.DataFrame, epochs: Mapping[str, float], *, study: str, href: str
) -> list[ParetoPoint]:
    """Return the arms of one study as points of score against cost.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        arms: ``analysis.score_tables.arm_table`` of the frame.
        epochs: by run id, for how many epochs its student was trained.
        study: the study's title.
        href: the address of its page.
    """
    primary = frame[frame["is_primary"]]
    tasks = sorted(" ".join(pair) for pair in set(zip(primary["task"], primary["split"], strict=True)))

    points = []
    for arm in arms.to_dict("records"):
        rows = primary[primary["arm"] == arm["arm"]]
        # Runs of one arm may have been timed in several settings, whose mean is meaningless: the commonest counts.
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
    """Return the largest set of points that can be compared, each once.

    Points on other encoders or tasks are left out. Only times measured in the commonest setting are kept.
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
    """Return whether each point is on the Pareto front.

    A point is dominated if another costs no more and scores no less, and is strictly better in one of the two. A NaN
    cost counts as dominated.
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
