"""Judge the mini study of two seeds by the current rule of ``analysis.stats``, from the stored results of its runs.

    python benchmarks/reissue.py [--output results/mini/verdicts.md]

The 86 runs of results/mini/results.csv were judged by a bootstrap over seeds and examples, which errs too often with
two seeds (results/bench/verdicts.md). Their predictions were not stored, so examples cannot be drawn again. What is
left:

- every score (results.csv), which gives the seeds' part exactly: the mean difference, W and its degrees of freedom
- the intervals that the previous rule printed (results/mini/intervals_before.csv). Their variance is that of the
  examples plus that of two seeds drawn with replacement, (d1 - d2)^2 / 8 per task, which is known. The remainder is
  the examples' part, up to the rounding of the printed ends.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from xtc_study.analysis.claims import answers
from xtc_study.analysis.stats import Difference, points, seen
from xtc_study.studies import load_study, study_at

MINI = Path(__file__).parents[1] / "results" / "mini"
TASKS = {"mini": ("cola", "stsb"), "mini-cola": ("cola",), "mini-mrpc": ("mrpc",)}
EXAMPLES = {"cola": 1043, "stsb": 1500, "mrpc": 408}
DRAWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=None, help="also write the tables to this file")
    chosen = parser.parse_args()
    scores = pd.read_csv(MINI / "results.csv").query("is_primary")
    before = pd.read_csv(MINI / "intervals_before.csv")
    lines = ["# The mini study of two seeds, judged again", ""]
    lines += ["By `benchmarks/reissue.py`, whose docstring explains how. In points, with 95 % intervals.", ""]
    for report, tasks in TASKS.items():
        lines += [f"## {', '.join(tasks)}", ""]
        lines += [
            "| study | arm | reference | difference | before | now | detectable |",
            "|---|---|---|---|---|---|---|",
        ]
        judged_again: dict[str, dict[str, dict[str, Difference]]] = {}
        for row in before[before["report"] == report].itertuples(index=False):
            difference = judged(scores, tasks, row.study, row.arm, row.reference, (row.low, row.high))
            judged_again.setdefault(row.study, {}).setdefault(row.reference, {})[row.arm] = difference
            lines.append(
                f"| {row.study} | {row.arm} | {row.reference} | {points(difference.mean)} "
                f"| {points(row.low / 100)} to {points(row.high / 100)} | {in_words(difference)} |"
            )
        lines += ["", *verdict_lines(judged_again), ""]
    text = "\n".join(lines)
    print(text)
    if chosen.output:
        chosen.output.write_text(text)


def judged(
    scores: pd.DataFrame,
    tasks: tuple[str, ...],
    study: str,
    arm: str,
    reference: str,
    printed: tuple[float, float],
) -> Difference:
    """Return the difference by the current rule.

    Args:
        scores: the rows of results.csv with the primary metric.
        tasks: the tasks of the report.
        study: the study's name.
        arm: the arm's name.
        reference: the arm it is compared with.
        printed: the ends of the interval by the previous rule, in points.
    """
    # The seeds' part, exactly.
    of_study = scores[scores["study"] == study]
    means, variance, squares, by_two_seeds = [], 0.0, 0.0, 0.0
    for task in tasks:
        arm_scores, reference_scores = (
            of_study[(of_study["arm"] == name) & (of_study["task"] == task)].sort_values("seed")["value"].to_numpy()
            for name in (arm, reference)
        )
        if arm_scores.shape != (2,) or reference_scores.shape != (2,):
            raise ValueError(
                f"{study}, {task}: {arm} has {len(arm_scores)} seeds and {reference} {len(reference_scores)}; "
                "expected two of each"
            )
        means.append((arm_scores - reference_scores).mean())
        part = float(arm_scores.var(ddof=1) + reference_scores.var(ddof=1)) / 2 / len(tasks) ** 2
        variance += part
        squares += part**2 / 2
        by_two_seeds += float(np.diff(arm_scores - reference_scores)[0]) ** 2 / 8 / len(tasks) ** 2

    # The examples' part: what the printed interval has beyond two seeds drawn with replacement.
    whole = ((printed[1] - printed[0]) / 100 / (2 * ndtri(0.975))) ** 2
    examples = np.sqrt(max(whole - by_two_seeds, 0.0))

    # Both parts together, as quantiles in two random orders.
    quantiles = (np.arange(DRAWS) + 0.5) / DRAWS
    one, other = (np.random.default_rng(seed).permutation(quantiles) for seed in (0, 1))
    drawn = np.mean(means) + examples * ndtri(one) + np.sqrt(variance) * stdtrit(variance**2 / squares, other)
    low, high = np.percentile(drawn, [2.5, 97.5])
    n = sum(EXAMPLES[task] for task in tasks)
    return Difference(
        float(np.mean(means)), low, high, 2, n, DRAWS, 0, drawn, float(examples), float(np.sqrt(variance))
    )


def in_words(difference: Difference) -> str:
    return f"{points(difference.low)} to {points(difference.high)} | {seen(difference)}"


def verdict_lines(by_study: dict[str, dict[str, dict[str, Difference]]]) -> list[str]:
    """Return one line per claim that could be judged."""
    lines = []
    for study, comparisons in by_study.items():
        spec = study_at(load_study(study), "mini")
        references = {claim.reference for claim in spec.claims}
        for answer in answers(spec.claims, {reference: comparisons.get(reference, {}) for reference in references}):
            if answer.difference is not None:
                lines.append(f"- {study}: **{answer.label}**: {answer.claim.sentence} {answer.reasons}")
    return lines


if __name__ == "__main__":
    main()
