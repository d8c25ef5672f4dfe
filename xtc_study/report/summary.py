"""What the index shows of all studies together: key figures, the claims, and score against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xtc_study.analysis.baselines import Baseline
from xtc_study.analysis.collect import TABLE
from xtc_study.analysis.ledger import ledger_of
from xtc_study.analysis.pareto import ParetoPoint, comparable
from xtc_study.recipe_xtc import FULL_PRECISION
from xtc_study.report.figures.claims import LOOKS, claims_at_a_glance
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.report.pareto import pareto_drawing, pareto_table
from xtc_study.report.scope import scope_together
from xtc_study.report.study import STATES, StudyPage
from xtc_study.report.tables import PageTable, score_text, size_word

KEPT = 0.97
"""Share of its teacher's score that a file worth naming keeps: what the paper's 50 times smaller model keeps."""


@dataclass(frozen=True)
class Card:
    value: str
    label: str
    note: str = ""


def cards(studies: Sequence[StudyPage]) -> list[Card]:
    """The key figures: best packed file under a limit of bytes, its loss against its teacher, claims answered, hours.

    The limit is the round number above the smallest packed file that keeps ``KEPT`` of its teacher's score; above
    the one with the best score where none does. Files of full precision count only where no other is there.
    """
    every = comparable([point for study in studies for point in study.points])
    packed = [point for point in every if point.weight_bits < FULL_PRECISION]
    points = packed or every

    found = []
    if points:
        # The limit comes from files worth naming, the best file from all below it.
        good = [point for point in points if point.score >= KEPT * point.teacher]
        good = good or [max(points, key=lambda point: point.score)]
        limit = round_limit(min(point.size_bytes for point in good))
        best = max((point for point in points if point.size_bytes <= limit), key=lambda point: point.score)
        words = f"{best.arm} of \N{LEFT DOUBLE QUOTATION MARK}{best.study}\N{RIGHT DOUBLE QUOTATION MARK}"
        found.append(
            Card(
                f"{score_text(best.score)} points",
                f"best {'packed ' if packed else ''}file under {size_word(limit)}",
                f"{words}, on disk {size_word(best.size_bytes)}",
            )
        )
        if not math.isnan(best.teacher):
            found.append(_teacher_card(best))

    verdicts = [answer.verdict for study in studies for answer in study.answers]
    others = _counted(verdicts, ("contradicted", "undecided", "not run"))
    found.append(Card(f"{verdicts.count('supported')} of {len(verdicts)}", "claims supported", others))
    found.append(Card(*hours(studies)))
    return found


def _teacher_card(best: ParetoPoint) -> Card:
    """What the best file lost against its teacher, or gained."""
    loss = 100 * (best.teacher - best.score)
    share = best.score / best.teacher if best.teacher else float("nan")
    return Card(
        f"{abs(loss):.1f} points",
        f"that model's {'loss against' if loss >= 0 else 'gain over'} its teacher",
        f"It keeps {share:.1%} of the fp32 teachers' {score_text(best.teacher)} points.",
    )


def _counted(verdicts: Sequence[str], named: Sequence[str]) -> str:
    """``2 contradicted, 1 undecided``: those of the named verdicts that there are."""
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in named if verdict in verdicts)


def description(studies: Sequence[StudyPage]) -> str:
    """The index in a sentence or two, for search engines and previews: studies, tasks, and how its claims stand."""
    scope = scope_together([study.scope for study in studies])
    on = f" on {scope.short}" if scope.tasks else ""
    of = f" of {', '.join(scope.models)}" if scope.models else ""
    verdicts = [answer.verdict for study in studies for answer in study.answers]
    counts = _counted(verdicts, (*LOOKS, "not run"))
    number = f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"
    return f"What extreme compression{of} costs{on}: {number}, {len(verdicts)} claim{'s' * (len(verdicts) != 1)}" + (
        f" ({counts})." if counts else "."
    )


def round_limit(smallest: float) -> float:
    """The first of 1, 2 and 5 times a power of ten that ``smallest`` does not exceed: 70,200 gives 100,000."""
    power = 10.0 ** math.floor(math.log10(smallest)) if smallest > 0 else 1.0
    return next(step * power for step in (1, 2, 5, 10) if smallest <= step * power)


def hours(studies: Sequence[StudyPage]) -> tuple[str, str, str]:
    """Wall-clock hours of all done runs and trials, each counted once, by device: value, label, note."""
    runs = {run_id: spent for study in studies for run_id, spent in study.seconds.items()}
    trials = {run_id: spent for study in studies for run_id, spent in study.trial_seconds.items()}
    by_device: dict[str, float] = {}
    for device, seconds in [*runs.values(), *trials.values()]:
        if not math.isnan(seconds):
            by_device[device or "unknown device"] = by_device.get(device or "unknown device", 0.0) + seconds

    total = sum(by_device.values()) / 3600
    names = {"cuda": "GPU-hours", "cpu": "hours on a CPU"}
    note = ", ".join(
        f"{seconds / 3600:,.2f} {names.get(device, f'hours on {device}')}" for device, seconds in by_device.items()
    )
    label = "GPU-hours of compute" if set(by_device) == {"cuda"} else "hours of compute"
    counted = f"{len(runs)} runs" + (f" and {len(trials)} trials" if trials else "")
    return f"{total:,.2f}", label, f"{note}; {counted}, each counted once" if by_device else "nothing is done yet"


def runs_by_state(studies: Sequence[StudyPage]) -> dict[str, int]:
    """Runs by state over all studies; a run that two studies share is counted in both."""
    return {state: sum(study.states.get(state, 0) for study in studies) for state in STATES}


def sharing(studies: Sequence[StudyPage]) -> str:
    """What ``runs_by_state`` counts twice, in a sentence; empty where no done run is shared."""
    done, counted = len({run_id for study in studies for run_id in study.seconds}), runs_by_state(studies)["done"]
    if done in (0, counted):
        return ""
    return f"A run that several studies share counts in each: {done:,} done runs are counted {counted:,} times."


def pareto_figure(studies: Sequence[StudyPage]) -> tuple[Drawing, PageTable] | None:
    """The figure of score against cost and the table behind it; None if no arm is done."""
    every = [point for study in studies for point in study.points]
    table = pareto_table(every)
    return (pareto_drawing(every, baselines_of(studies)), table) if table else None


def baselines_of(studies: Sequence[StudyPage]) -> list[Baseline]:
    """The baselines of the studies whose arms the figure compares, each once; no static table that is an arm there."""
    every = [point for study in studies for point in study.points]
    shown = {point.comparable for point in comparable(every)}
    tables = any(point.layers.startswith(TABLE) for point in comparable(every))
    found: dict[tuple[str, str], Baseline] = {}
    for study in studies:
        if any(point.comparable in shown for point in study.points):
            for one in study.baselines:
                found.setdefault((one.kind, one.name), one)
    return [one for one in found.values() if not (tables and one.kind == "static table")]


def claims_figure(studies: Sequence[StudyPage]) -> Drawing:
    """The figure of every claim whose arms could be compared; in words if there is none."""
    ledger = ledger_of({study.name: study.answers for study in studies})
    compared = ledger[ledger["seeds"] > 0]
    counts = ", ".join(f"{(compared['verdict'] == verdict).sum()} {verdict}" for verdict in LOOKS)
    finding = f"Claims whose arms could be compared: {counts}."
    others = len(ledger) - len(compared)
    if others:
        finding += f" {others} could not yet and {'is' if others == 1 else 'are'} not drawn."
    return drawing(
        claims_at_a_glance(compared),
        "claims",
        "Every claim, its difference and its margin",
        f"Difference of each claim in points with its interval and margin. {finding}",
        f"{finding} Mark: mean difference of arm and reference. Line: 95 % interval, over examples and seeds. "
        "The number before a claim is its study's.",
    )
