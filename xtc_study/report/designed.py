"""What the page of a designed study adds: its arms as a matrix, what they cannot tell apart, and the effects."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from xtc_study.analysis.claims import p_text
from xtc_study.analysis.factor_effects import DesignEffects, Effect, in_names
from xtc_study.analysis.stats import points, seen
from xtc_study.fractional import Fraction, fraction_of
from xtc_study.report.figures.effects import effects_in_order
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.report.tables import MISSING, NO_TABLE, PageTable
from xtc_study.studies import StudySpec

NO_DESIGN = "This study has no design: its arms are every combination of its axes, or are listed one by one."
HOW = (
    "An effect is the mean over the arms with the second label minus the mean over those with the first, so every run "
    "counts in every effect."
)
"""What an effect is."""
COUNTED = (
    "The interval counts both sources of chance. By seeds: the standard error that ordinary least squares gives, with "
    "a block for each seed of a task and a term for every effect these arms can estimate; Student's t. By examples: "
    "the standard error of a paired bootstrap over dev rows."
)


def design_part(spec: StudySpec) -> PageTable:
    """The arms of a designed study, one row each, and the label of every axis that is not its first.

    Args:
        spec: the study at its profile.
    """
    if spec.design is None:
        return PageTable(pd.DataFrame(), NO_DESIGN)
    fraction = fraction_of(spec.axes, spec.design)
    heads = {name: f"{letter}: {name}" for letter, name in fraction.axes.items()}
    rows = []
    for arm in spec.arms:
        on = {head: arm.factors[name] for name, head in heads.items()}
        lowest = {head: next(iter(spec.axes[name])) for name, head in heads.items()}
        rows.append({"Arm": arm.name, "Code": arm.code} | {h: MISSING if on[h] == lowest[h] else on[h] for h in on})
    first = ", ".join(f"{name} {next(iter(axis))}" for name, axis in spec.axes.items())
    generators = ", ".join(f"{letter} = {word}" for letter, word in fraction.generators.items())
    caption = (
        f"{len(spec.arms)} of the {2 ** len(spec.axes):,} combinations of {len(spec.axes)} axes, resolution "
        f"{_roman(fraction.resolution)}, generators {generators}. Any two labels of two axes stand together equally "
        f"often. A dash is the axis's first label: {first}."
    )
    return PageTable(pd.DataFrame(rows), caption, words=("Code", *heads.values()))


def aliases_part(spec: StudySpec) -> PageTable:
    """What the arms of a designed study cannot tell apart, among main effects and interactions of two factors.

    Args:
        spec: the study at its profile.
    """
    if spec.design is None:
        return PageTable(pd.DataFrame(), NO_DESIGN)
    fraction = fraction_of(spec.axes, spec.design)
    rows = [
        {"Letters": contrast.code, "Cannot be told apart": _aliased(fraction, contrast.factor, contrast.pairs)}
        for contrast in fraction.contrasts
        if len(contrast.pairs) + bool(contrast.factor) > 1
    ]
    words = ("Letters", "Cannot be told apart")
    return PageTable(pd.DataFrame(rows, columns=list(words)), _aliases_caption(fraction, bool(rows)), words=words)


def effects_part(effects: DesignEffects | None, spec: StudySpec, missing: str) -> PageTable:
    """The effect of each factor over all tasks and on each, the highest first.

    Args:
        effects: of the study, if there are any.
        spec: the study at its profile.
        missing: why there are none.
    """
    if effects is None:
        return PageTable(pd.DataFrame(), missing) if missing else NO_TABLE
    rows = []
    for effect in _sorted(effects.main):
        name = effects.fraction.axes[effect.contrast.factor]
        low, high = spec.axes[name]
        rows.append(
            {"Factor": name, "Letter": effect.contrast.factor, "From": low, "To": high}
            | _numbers(effect, "P of no effect, Holm over factors")
        )
    first = effects.main[0].overall
    caption = (
        f"{HOW} In points, {_tasks_words(effects)}, {first.n_seeds} seed{'s' if first.n_seeds > 1 else ''}, "
        f"{first.n_examples:,} dev examples. {COUNTED} Intervals are not adjusted for the number of factors."
    )
    return PageTable(pd.DataFrame(rows), caption, words=("Factor", "Letter", "From", "To"))


def interactions_part(effects: DesignEffects | None, missing: str) -> PageTable:
    """The interactions of two factors, in groups that the arms cannot tell apart.

    Args:
        effects: of the study, if there are any.
        missing: why there are none.
    """
    if effects is None:
        return PageTable(pd.DataFrame(), missing) if missing else NO_TABLE
    rows = [
        {"Letters": effect.contrast.code, "Interactions": in_names(effect.contrast, effects.fraction)}
        | _numbers(effect, "P of no effect, Holm over groups")
        for effect in _sorted(effects.interactions)
    ]
    caption = (
        "Half of how much one factor's effect grows when the other is switched on as well, summed over the pairs of a "
        "row, which these arms cannot tell apart. A row near zero may also hide two that cancel. In points."
    )
    return PageTable(pd.DataFrame(rows), caption, words=("Letters", "Interactions"))


def effects_figure(effects: DesignEffects | None, missing: str) -> Drawing:
    """The effect of each factor with its interval, the highest first."""
    found = {effects.fraction.axes[one.contrast.factor]: one for one in effects.main} if effects else {}
    return _drawn(found, missing, "effects", "The effect of each factor", f"{HOW} {_marks(effects)}")


def interactions_figure(effects: DesignEffects | None, missing: str) -> Drawing:
    """The groups of interactions, named by letters, with their intervals."""
    found = {one.contrast.code: one for one in effects.interactions} if effects else {}
    how = f"Letters are those of the table of arms; a row is the sum of what it names. {_marks(effects)}"
    return _drawn(found, missing, "interactions", "Interactions of two factors", how)


def _drawn(found: dict[str, Effect], missing: str, name: str, title: str, how: str) -> Drawing:
    each = "; ".join(
        f"{label} {points(one.overall.mean)} ({points(one.overall.low)} to {points(one.overall.high)})"
        for label, one in sorted(found.items(), key=lambda item: -item[1].overall.mean)
    )
    figure = effects_in_order(found, missing or "There is no effect to draw.", title=title)
    return drawing(figure, name, title, f"{title}, in points, with 95 % intervals: {each}.", how)


def _marks(effects: DesignEffects | None) -> str:
    several = effects is not None and len(effects.main[0].by_task) > 1
    return "Dot: mean over tasks. Line: 95 % interval." + (" Small marks: each task." if several else "")


def _numbers(effect: Effect, p_column: str) -> dict[str, str]:
    """The cells of an effect: over all tasks, where its error comes from, and on each task."""
    found = effect.overall
    cells = {
        "Effect": points(found.mean),
        "95 % interval": _interval(found.low, found.high),
        p_column: p_text(effect.p_adjusted),
        "Error by seeds": MISSING if pd.isna(found.seed_error) else f"{100 * found.seed_error:.2f}",
        "Error by examples": f"{100 * found.example_error:.2f}",
        "Detectable in 80 % of cases": seen(found) if found.seeds_counted else MISSING,
    }
    if len(effect.by_task) > 1:
        for task, one in effect.by_task.items():
            cells[task] = f"{points(one.mean)} ({_interval(one.low, one.high)})"
    return cells


def _interval(low: float, high: float) -> str:
    return f"{points(low)} to {points(high)}"


def _sorted(effects: Sequence[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda effect: -effect.overall.mean)


def _tasks_words(effects: DesignEffects) -> str:
    tasks = list(effects.main[0].by_task)
    return f"mean of {', '.join(tasks)}" if len(tasks) > 1 else tasks[0]


def _aliased(fraction: Fraction, factor: str, pairs: Sequence[str]) -> str:
    names = [" \N{MULTIPLICATION SIGN} ".join(fraction.axes[letter] for letter in pair) for pair in pairs]
    return "; ".join([fraction.axes[factor], *names] if factor else names)


def _aliases_caption(fraction: Fraction, some: bool) -> str:
    words = ", ".join(fraction.words[:6]) + (", ..." if len(fraction.words) > 6 else "")
    clear = {
        3: "Main effects are mixed with interactions of two factors, which are taken to be small.",
        4: "Main effects are free of interactions of two factors, but not of three; interactions of two share rows.",
    }.get(fraction.resolution, "Main effects and interactions of two factors are free of each other.")
    products = f"Products of letters that are constant over the arms: {words}."
    return f"{clear} {products}" + ("" if some else " Nothing here is mixed.")


def _roman(number: int) -> str:
    return {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII"}.get(number, str(number))
