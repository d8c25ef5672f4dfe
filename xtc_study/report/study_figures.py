"""The figures of a study's page, each with a caption and a description made of what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from xtc_study.analysis.factors import Factor, factors, with_scores
from xtc_study.analysis.stats import Difference, points
from xtc_study.arms import Arm
from xtc_study.report.figures.differences import differences_by_arm
from xtc_study.report.figures.factors import MAX_LINES, one_at_a_time
from xtc_study.report.figures.seeds import seeds_by_arm, seeds_finding
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.studies import ClaimSpec, StudySpec
from xtc_study.tasks.metric_names import in_words


class StudyFigures(Mapping[str, Drawing]):
    """``differences``, ``seeds`` and ``factors`` of one study, each drawn when it is first asked for.

    Iterating gives those that show something, as the report needs them. Asking for one of the others by name gives a
    figure that says what is missing, as a notebook needs it.

    Args:
        frame: rows of ``analysis.collect.collect`` of the study.
        spec: its arms, reference and claims.
        differences: gives, by arm, its difference to the reference.
        chance: gives, by task and split, the score of guessing.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        spec: StudySpec,
        differences: Callable[[], Mapping[str, Difference]],
        chance: Callable[[], Mapping[tuple[str, str], float]] = dict,
    ) -> None:
        self._draw = {
            "differences": lambda: differences_figure(differences(), spec.reference, spec.claims),
            "seeds": lambda: seeds_figure(frame, spec.reference, chance()),
            "factors": lambda: factors_figure(frame, spec.arms),
        }
        self._shows = {
            "differences": lambda: bool(differences()),
            "seeds": lambda: not frame.empty,
            # Of one factor alone the figure of seeds shows as much.
            "factors": lambda: len(factors(spec.arms)) > 1 and bool(with_scores(factors(spec.arms), frame, MAX_LINES)),
        }
        self._drawn: dict[str, Drawing] = {}

    def __getitem__(self, name: str) -> Drawing:
        if name not in self._drawn:
            self._drawn[name] = self._draw[name]()
        return self._drawn[name]

    def __contains__(self, name: object) -> bool:
        return name in self._shows and self._shows[str(name)]()

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._shows if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def differences_figure(found: Mapping[str, Difference], reference: str, claims: Sequence[ClaimSpec]) -> Drawing:
    """Each arm minus the reference, with the margins that were claimed.

    Args:
        found: by arm its difference to the reference.
        reference: the arm that others are compared with.
        claims: those whose margins are drawn.
    """
    title = f"Each arm minus {reference}"
    return drawing(
        differences_by_arm(found, reference, claims, title=title),
        "differences",
        "The differences",
        f"{title}, in points, with 95 % intervals. {differences_words(found)}",
        f"{differences_finding(found)} Dot: mean over tasks and seeds. Line: 95 % interval.",
    )


def seeds_figure(
    frame: pd.DataFrame, reference: str, chance: Mapping[tuple[str, str], float] | None = None
) -> Drawing:
    """Every seed of every arm, one panel a task.

    Args:
        frame: rows of ``analysis.collect.collect`` of one study.
        reference: the arm drawn first.
        chance: by task and split, the score of guessing.
    """
    finding = seeds_finding(frame)
    return drawing(
        seeds_by_arm(frame, reference, title="Every seed, task by task", chance=chance),
        "seeds",
        "Every seed, task by task",
        f"Score of each seed by arm, one panel a task: {_panels(frame)}. {finding}".strip(),
        f"{finding} Each mark is one seed; the bar beside it is the mean of its arm.".strip(),
    )


def factors_figure(frame: pd.DataFrame, arms: Sequence[Arm]) -> Drawing:
    """Lines that join arms which differ in one factor alone, one panel a factor.

    Args:
        frame: rows of ``analysis.collect.collect`` of one study.
        arms: with their factors, where it is a grid.
    """
    every = factors(arms)
    varied = with_scores(every, frame, MAX_LINES)
    left_out = f" At most {MAX_LINES} lines a panel." if any(len(f.lines) == MAX_LINES for f in varied) else ""
    return drawing(
        one_at_a_time(frame, varied or every, title="One factor at a time"),
        "factors",
        "One factor at a time",
        f"Score by level of each factor while the others stay as they are: {levels_words(varied)}.",
        f"Arms on one line differ in nothing but what that panel's factor sets ({fields_words(varied)}). Small "
        "marks are seeds, large ones their mean; score is the mean over tasks, in points; a line is "
        f"broken where a level has no score.{left_out}",
    )


def differences_words(found: Mapping[str, Difference]) -> str:
    """Every difference that the figure shows: ``1-bit −3.11 (−5.33 to −1.28); 2-bit ...``."""  # noqa: RUF002
    each = [f"{arm} {points(d.mean)} ({points(d.low)} to {points(d.high)})" for arm, d in found.items()]
    return "; ".join(each) + "."


def differences_finding(found: Mapping[str, Difference]) -> str:
    """The ends of what the figure shows, in a sentence."""
    if not found:
        return ""
    low, high = (pick(found, key=lambda arm: found[arm].mean) for pick in (min, max))
    if low == high:
        return f"{low}: {points(found[low].mean)} points."
    return f"From {low}, {points(found[low].mean)} points, to {high}, {points(found[high].mean)}."


def levels_words(varied: Sequence[Factor]) -> str:
    return "; ".join(f"{factor.name} ({', '.join(factor.levels)})" for factor in varied)


def fields_words(varied: Sequence[Factor]) -> str:
    """``depth: layers; weights: weight_bits``: a level may set several fields, so that more than one thing changes."""
    return "; ".join(f"{factor.name}: {', '.join(factor.fields)}" for factor in varied)


def _panels(frame: pd.DataFrame) -> str:
    panels = frame.loc[frame["is_primary"], ["task", "split", "metric"]].drop_duplicates().to_numpy().tolist()
    return ", ".join(
        f"{task} ({in_words(metric)})" if split == "dev" else f"{task} {split} ({in_words(metric)})"
        for task, split, metric in panels
    )
