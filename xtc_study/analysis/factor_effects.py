"""Effects of the factors of a designed study: estimates, 95 % intervals and p-values, all from one model.

The model of the scores of a task is

    score of an arm with a seed = block of the seed + sum over contrasts of (+-1/2 effect) + error

It has a term for every contrast that the arms can estimate (``fractional.Contrast``), so that its error is nothing
but what seeds do to one arm and not to another; a block takes away what a seed does to all arms, through its teacher
above all. Each task has effects and a variance of its own. Over several tasks an effect is the mean over them, which
are taken as fixed. The intervals follow the rule of ``analysis.stats``: a bootstrap over dev examples, the same draw
for every arm and seed, and to each draw one of Student's t for the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xtc_study.analysis.compare import one_split, runs_by_seed
from xtc_study.analysis.stats import Difference, drawn_weights, holm, p_no_difference, span_of, with_interval
from xtc_study.analysis.weighted import Array, weighted_scores
from xtc_study.fractional import Contrast, Fraction, fraction_of
from xtc_study.runs.records import RunFileError
from xtc_study.studies import StudySpec


@dataclass(frozen=True, eq=False)
class DesignSample:
    """What every arm of a design predicts with the same seeds, on one split of one task."""

    task: str
    """Splits of one task come from the same models."""
    metric: str
    labels: Array
    """(examples,): class ids, or targets for regression."""
    predictions: Array
    """(seeds, arms, examples)."""


@dataclass(frozen=True)
class Effect:
    """What one contrast is worth: the mean over the arms with a plus sign minus that over the others."""

    contrast: Contrast
    overall: Difference
    """The mean over the tasks."""
    by_task: Mapping[str, Difference]
    p_adjusted: float
    """Two-sided, of "there is no effect", adjusted by Holm over the effects of its kind."""


@dataclass(frozen=True)
class DesignEffects:
    """All effects of a study that can be read: those of factors and those of interactions of two."""

    fraction: Fraction
    main: tuple[Effect, ...]
    """In the order of the axes."""
    interactions: tuple[Effect, ...]
    """Groups of interactions that the arms cannot tell apart. In a fraction of resolution III most stand with a main
    effect and not here."""

    def by_factor(self) -> dict[str, Difference]:
        """Return by axis its effect over all tasks, as claims need it."""
        return {self.fraction.axes[effect.contrast.factor]: effect.overall for effect in self.main}


def effects_of(runs_folder: Path, frame: pd.DataFrame, spec: StudySpec) -> DesignEffects:
    """Return the effects of a study that has a design and of which nothing is ``missing``.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect`` of the study.
        spec: the study at its profile.

    Raises:
        ValueError: the study has no design, or an arm has two runs of one task and seed.
        RunFileError: as ``design_samples``.
    """
    if spec.design is None:
        raise ValueError(f"study {spec.name}: has no design, so it has no effects of factors")
    fraction = fraction_of(spec.axes, spec.design)
    found = estimated(design_samples(runs_folder, frame, spec.arm_names), fraction.contrasts)
    main = [effect for effect in found if effect.contrast.factor]
    pairs = [effect for effect in found if effect.contrast.pairs and not effect.contrast.factor]
    return DesignEffects(fraction, _adjusted(main), _adjusted(pairs))


def missing(frame: pd.DataFrame, spec: StudySpec, tasks: Sequence[str] = ()) -> str:
    """Say what is missing before effects can be estimated, if anything is: without an arm the others are not balanced.

    Args:
        frame: rows of ``analysis.collect.collect`` of the study.
        spec: the study at its profile.
        tasks: those of the planned runs; without them, those of the rows.
    """
    primary = frame[frame["is_primary"]]
    need = f"Effects need a seed that all {len(spec.arms)} arms have done on every task"
    if primary.empty:
        return f"{need}; no run is done yet."
    if undone := [task for task in dict.fromkeys(tasks) if task not in set(primary["task"])]:
        return f"{need}; no run on {undone[0]} is done yet."
    for task, rows in primary.groupby("task", sort=False):
        done = rows.groupby("seed")["arm"].agg(set)
        if not (done.map(len) == len(spec.arms)).any():
            left = min((set(spec.arm_names) - arms for arms in done), key=len)
            names = [arm.name for arm in spec.arms if arm.name in left]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            return f"{need}. On {task} is still missing: {'; '.join(names[:3])}{more}."
    return ""


def effect_rows(effects: DesignEffects) -> pd.DataFrame:
    """Return every effect over all tasks and on each, one row each.

    Columns: code (letters), factors (names of axes), tasks (``all``, or one); effect, low, high, seed_error and
    example_error in points; p (two-sided) and p_adjusted (Holm over the effects of its kind; NaN on one task); seeds;
    examples.
    """
    rows = []
    for effect in (*effects.main, *effects.interactions):
        for tasks, found in {"all": effect.overall, **effect.by_task}.items():
            rows.append(
                {
                    "code": effect.contrast.code,
                    "factors": in_names(effect.contrast, effects.fraction),
                    "tasks": tasks,
                    "effect": 100 * found.mean,
                    "low": 100 * found.low,
                    "high": 100 * found.high,
                    "seed_error": 100 * found.seed_error,
                    "example_error": 100 * found.example_error,
                    "p": p_no_difference(found),
                    "p_adjusted": effect.p_adjusted if tasks == "all" else float("nan"),
                    "seeds": found.n_seeds,
                    "examples": found.n_examples,
                }
            )
    return pd.DataFrame(rows)


def in_names(contrast: Contrast, fraction: Fraction) -> str:
    """Return a contrast by the names of its axes: ``rate``, or ``rate x bits + depth x start`` with a times sign."""
    pairs = [" \N{MULTIPLICATION SIGN} ".join(fraction.axes[letter] for letter in pair) for pair in contrast.pairs]
    return fraction.axes[contrast.factor] if contrast.factor else " + ".join(pairs)


def design_samples(runs_folder: Path, frame: pd.DataFrame, arms: Sequence[str]) -> list[DesignSample]:
    """Return one sample per task and split, with the seeds that every arm has done.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect`` of one study, in which the arms share a seed on every task.
        arms: names, in the order of the contrasts' signs.

    Raises:
        RunFileError: a predictions file cannot be used, or two runs of a task disagree on its examples or labels.
        ValueError: an arm has two runs of one task and seed.
    """
    samples = []
    primary = frame[frame["is_primary"]]
    for key, rows in primary.groupby(["task", "split", "metric"], sort=False):
        task, split, metric = map(str, key)
        runs = [runs_by_seed(rows, arm) for arm in arms]
        seeds = sorted(set.intersection(*map(set, runs)))
        files = [[one_split(runs_folder, of_arm[seed], split) for of_arm in runs] for seed in seeds]
        first = files[0][0][["idx", "label"]]
        for arm, file in [pair for of_seed in files for pair in zip(arms, of_seed, strict=True)]:
            if not file[["idx", "label"]].equals(first):
                raise RunFileError(
                    f"{task}, {split}: the runs of {arm!r} and {arms[0]!r} were not evaluated on the same examples"
                )
        predicted = np.stack([[file["prediction"].to_numpy(np.float64) for file in of_seed] for of_seed in files])
        samples.append(DesignSample(task, metric, first["label"].to_numpy(np.float64), predicted))
    return samples


def estimated(
    samples: Sequence[DesignSample], contrasts: Sequence[Contrast], *, resamples: int = 2000, rng_seed: int = 0
) -> list[Effect]:
    """Return the effect of each contrast over all tasks and on each; p-values are not adjusted yet.

    Args:
        samples: one per task and split, with the arms in one order.
        contrasts: all of a design, so that the model's error is that of seeds alone.
        resamples: number of bootstrap resamples.
        rng_seed: seed of the random generator.
    """
    rng = np.random.default_rng(rng_seed)
    signs = np.array([contrast.signs for contrast in contrasts], dtype=np.float64)
    scores, drawn = zip(*(_effects_drawn(sample, signs, resamples, rng) for sample in samples), strict=True)

    tasks = list(dict.fromkeys(sample.task for sample in samples))
    places = {task: [place for place, sample in enumerate(samples) if sample.task == task] for task in tasks}
    everything = _differences(samples, scores, drawn, signs, rng_seed)
    alone = {
        task: _differences(
            *([samples[place] for place in of], [scores[place] for place in of], [drawn[place] for place in of]),
            signs,
            rng_seed,
        )
        for task, of in places.items()
    }
    return [
        Effect(contrast, everything[place], {task: alone[task][place] for task in tasks}, float("nan"))
        for place, contrast in enumerate(contrasts)
    ]


def fitted_effects(scores: Array, signs: Array) -> tuple[Array, Array, float]:
    """Fit the model to the scores of one task by ordinary least squares.

    Args:
        scores: (seeds, arms).
        signs: (contrasts, arms), 1 or -1.

    Returns:
        The effects and the variance of each due to seeds, (contrasts,) both, and its degrees of freedom,
        (seeds - 1)(arms - 1). With one seed the variance is NaN: nothing is left to measure it by.
    """
    from statsmodels.regression.linear_model import OLS  # slow to import, and only designed studies need it

    seeds, arms = scores.shape
    blocks = np.kron(np.eye(seeds), np.ones((arms, 1)))
    fitted = OLS(scores.ravel(), np.hstack([blocks, np.tile(signs.T / 2, (seeds, 1))])).fit()
    effects = np.asarray(fitted.params, dtype=np.float64)[seeds:]
    if seeds < 2:
        return effects, np.full(len(signs), np.nan), float("nan")
    return effects, np.asarray(fitted.bse, dtype=np.float64)[seeds:] ** 2, float(fitted.df_resid)


def _differences(
    samples: Sequence[DesignSample], scores: Sequence[Array], drawn: Sequence[Array], signs: Array, rng_seed: int
) -> list[Difference]:
    """Return each effect as the mean over these samples, with its interval.

    Args:
        samples: of one task or several.
        scores: by sample, (seeds, arms).
        drawn: by sample, (resamples, contrasts).
        signs: (contrasts, arms).
        rng_seed: seed of the random generator.
    """
    # Splits of a task vary together, so they are one set of scores; each is this task's part of the mean.
    parts: dict[str, Array] = {}
    for sample, of_sample in zip(samples, scores, strict=True):
        parts[sample.task] = parts.get(sample.task, 0.0) + of_sample / len(samples)
    fits = [fitted_effects(part, signs) for part in parts.values()]

    # Variances add over tasks; Satterthwaite (1946) gives the degrees of freedom of the sum.
    means = np.sum([effects for effects, _, _ in fits], axis=0)
    variances = np.sum([variance for _, variance, _ in fits], axis=0)
    squares = np.sum([variance**2 / freedom for _, variance, freedom in fits], axis=0)
    freedoms = np.divide(variances**2, squares, out=np.full(len(signs), np.inf), where=squares > 0)
    by_examples = np.mean(drawn, axis=0)
    return [
        with_interval(
            float(mean),
            by_examples[:, place],
            (float(variances[place]), float(freedoms[place])),
            span=span_of([sample.metric for sample in samples]),
            n_seeds=min(len(sample.predictions) for sample in samples),
            n_examples=sum(len(sample.labels) for sample in samples),
            rng_seed=rng_seed,
        )
        for place, mean in enumerate(means)
    ]


def _effects_drawn(
    sample: DesignSample, signs: Array, resamples: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return the scores on all examples, (seeds, arms), and the effects on drawn ones, (resamples, contrasts)."""
    seeds, arms, examples = sample.predictions.shape
    predictions = sample.predictions.reshape(seeds * arms, examples)
    whole = weighted_scores(sample.metric, np.ones((1, examples)), sample.labels, predictions)
    effects = []
    for weights in drawn_weights(examples, resamples, rng):
        drawn = weighted_scores(sample.metric, weights, sample.labels, predictions)
        effects.append(drawn.reshape(-1, seeds, arms).mean(axis=1) @ signs.T * (2 / arms))
    return whole.reshape(seeds, arms), np.concatenate(effects)


def _adjusted(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    adjusted = holm([p_no_difference(effect.overall) for effect in effects])
    return tuple(
        Effect(effect.contrast, effect.overall, effect.by_task, float(p))
        for effect, p in zip(effects, adjusted, strict=True)
    )
