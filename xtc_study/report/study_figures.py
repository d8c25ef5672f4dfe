"""The figures of a study's page, each with a caption and an alt text computed from what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from xtc_study.analysis.factor_effects import DesignEffects
from xtc_study.analysis.factors import Factor, factors, with_scores
from xtc_study.analysis.stats import Difference, points
from xtc_study.arms import Arm
from xtc_study.report.designed import NO_DESIGN, effects_figure, interactions_figure
from xtc_study.report.figures.differences import differences_by_arm
from xtc_study.report.figures.factors import MAX_LINES, one_at_a_time
from xtc_study.report.figures.seeds import seeds_by_arm, seeds_finding
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.studies import ClaimSpec, StudySpec
from xtc_study.tasks.metric_names import in_words


class StudyFigures(Mapping[str, Drawing]):
    """``differences``, ``effects``, ``interactions``, ``seeds`` and ``factors`` of one study, each drawn when it is
    first asked for.

    Iterating gives those that show something, as the report needs them. Asking for one of the others by name gives a
    figure that says what is missing, as a notebook needs it.

    Args:
        frame: rows of ``analysis.collect.collect`` of the study.
        spec: its arms, reference and claims.
        differences: gives, by arm, its difference to the reference.
        chance: gives, by task and split, the score of guessing.
        effects: gives the effects of factors, if there are any, and else why.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        spec: StudySpec,
        differences: Callable[[], Mapping[str, Difference]],
        chance: Callable[[], Mapping[tuple[str, str], float]] = dict,
        effects: Callable[[], tuple[DesignEffects | None, str]] = lambda: (None, NO_DESIGN),
    ) -> None:
        self._draw = {
            "effects": lambda: effects_figure(*effects()),
            "interactions": lambda: interactions_figure(*effects()),
            "differences": lambda: differences_figure(differences(), spec.reference, spec.claims),
            "seeds": lambda: seeds_figure(frame, spec.reference, chance(), codes_of(spec)),
            "factors": lambda: factors_figure(frame, spec.arms),
        }
        self._shows = {
            "effects": lambda: effects()[0] is not None,
            "interactions": lambda: (found := effects()[0]) is not None and bool(found.interactions),
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
        "Differences",
        f"{title}, in points, with 95 % intervals. {differences_words(found)}",
        f"{differences_finding(found)} Dot: mean over tasks and seeds. Line: 95 % interval.",
    )


def codes_of(spec: StudySpec) -> dict[str, str]:
    """Return by arm the letters that stand for it in a study with a design; the reference keeps its name."""
    return {arm.name: arm.code for arm in spec.arms if arm.code and arm.name != spec.reference}


def seeds_figure(
    frame: pd.DataFrame,
    reference: str,
    chance: Mapping[tuple[str, str], float] | None = None,
    short: Mapping[str, str] | None = None,
) -> Drawing:
    """Every seed of every arm, one panel a task.

    Args:
        frame: rows of ``analysis.collect.collect`` of one study.
        reference: the arm drawn first.
        chance: by task and split, the score of guessing.
        short: by arm, what stands for its name, if it is long.
    """
    finding = seeds_finding(frame)
    letters = " Letters stand for the factors that an arm has high." if short else ""
    return drawing(
        seeds_by_arm(frame, reference, title="Every seed, task by task", chance=chance, short=short),
        "seeds",
        "Every seed, task by task",
        f"Score of each seed by arm, one panel per task: {_panels(frame)}. {finding}".strip(),
        f"{finding} Each mark is one seed; the bar beside it is the mean of its arm.{letters}".strip(),
    )


def factors_figure(frame: pd.DataFrame, arms: Sequence[Arm]) -> Drawing:
    """Lines that join arms which differ in one factor alone, one panel a factor.

    Args:
        frame: rows of ``analysis.collect.collect`` of one study.
        arms: with their factors, where it is a grid.
    """
    every = factors(arms)
    varied = with_scores(every, frame, MAX_LINES)
    left_out = f" A panel shows at most {MAX_LINES} lines." if any(len(f.lines) == MAX_LINES for f in varied) else ""
    return drawing(
        one_at_a_time(frame, varied or every, title="One factor at a time"),
        "factors",
        "One factor at a time",
        f"Score by level of each factor while the other factors are fixed: {levels_words(varied)}.",
        f"Arms on one line differ only in what that panel's factor sets ({fields_words(varied)}). Small marks: "
        "seeds. Large marks: their mean. The score is the mean over tasks, in points. A line is broken where a "
        f"level has no score.{left_out}",
    )


def differences_words(differences: Mapping[str, Difference]) -> str:
    """Return every difference in words: ``1-bit −3.11 (−5.33 to −1.28); 2-bit ...``."""  # noqa: RUF002
    each = [f"{arm} {points(d.mean)} ({points(d.low)} to {points(d.high)})" for arm, d in differences.items()]
    return "; ".join(each) + "."


def differences_finding(differences: Mapping[str, Difference]) -> str:
    """Return the lowest and the highest difference as a sentence."""
    if not differences:
        return ""
    low, high = (pick(differences, key=lambda arm: differences[arm].mean) for pick in (min, max))
    if low == high:
        return f"{low}: {points(differences[low].mean)} points."
    return f"From {low}, {points(differences[low].mean)} points, to {high}, {points(differences[high].mean)}."


def levels_words(varied: Sequence[Factor]) -> str:
    """Return the levels of each factor in words: ``depth (6 layers, 3 layers); weights (8-bit, 1-bit)``."""
    return "; ".join(f"{factor.name} ({', '.join(factor.levels)})" for factor in varied)


def fields_words(varied: Sequence[Factor]) -> str:
    """Return the recipe fields that each factor sets, one or several: ``depth: layers; weights: weight_bits``."""
    return "; ".join(f"{factor.name}: {', '.join(factor.fields)}" for factor in varied)


def _panels(frame: pd.DataFrame) -> str:
    panels = frame.loc[frame["is_primary"], ["task", "split", "metric"]].drop_duplicates().to_numpy().tolist()
    return ", ".join(
        f"{task} ({in_words(metric)})" if split == "dev" else f"{task} {split} ({in_words(metric)})"
        for task, split, metric in panels
    )
