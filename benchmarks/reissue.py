"""Judges the mini study of two seeds by the rule of ``analysis.stats``, from what was kept of its runs.

    python benchmarks/reissue.py [--output results/mini/verdicts.md]

The 86 runs of results/mini/results.csv were judged by a bootstrap over seeds and examples, which errs too often with
two seeds (results/bench/verdicts.md). Their predictions were not kept, so examples cannot be drawn again. Kept are:

- every score (results.csv), which gives the part of the seeds exactly: the mean difference, W and its degrees of
  freedom;
- the intervals that the rule before printed (results/mini/intervals_before.csv). Their variance is that of the
  examples plus that of two seeds drawn with replacement, (d1 - d2)^2 / 8 a task, which is known. What is left over is
  the example part, to the rounding of the printed ends.
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
    parser.add_argument("--output", type=Path, default=None, help="also write the tables there")
    chosen = parser.parse_args()
    scores = pd.read_csv(MINI / "results.csv").query("is_primary")
    before = pd.read_csv(MINI / "intervals_before.csv")
    lines = ["# The mini study of two seeds, judged again", ""]
    lines += ["`python benchmarks/reissue.py`, whose first lines say how. Points; 95 % intervals.", ""]
    for report, tasks in TASKS.items():
        lines += [f"## {', '.join(tasks)}", ""]
        lines += [
            "| study | arm | reference | difference | before | now | could have seen |",
            "|---|---|---|---|---|---|---|",
        ]
        found: dict[str, dict[str, dict[str, Difference]]] = {}
        for row in before[before["report"] == report].itertuples(index=False):
            difference = judged(scores, tasks, row.study, row.arm, row.reference, (row.low, row.high))
            found.setdefault(row.study, {}).setdefault(row.reference, {})[row.arm] = difference
            lines.append(
                f"| {row.study} | {row.arm} | {row.reference} | {points(difference.mean)} "
                f"| {points(row.low / 100)} to {points(row.high / 100)} | {in_words(difference)} |"
            )
        lines += ["", *verdict_lines(found), ""]
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
    """The difference by the rule now. ``printed``: the ends of the interval before, in points."""
    of_study = scores[scores["study"] == study]
    means, variance, squares, by_two_seeds = [], 0.0, 0.0, 0.0
    for task in tasks:
        ours, theirs = (
            of_study[(of_study["arm"] == name) & (of_study["task"] == task)].sort_values("seed")["value"].to_numpy()
            for name in (arm, reference)
        )
        if ours.shape != (2,) or theirs.shape != (2,):
            raise ValueError(
                f"{study}, {task}: {arm} has {ours.shape}, {reference} {theirs.shape}, expected two seeds"
            )
        means.append((ours - theirs).mean())
        part = float(ours.var(ddof=1) + theirs.var(ddof=1)) / 2 / len(tasks) ** 2
        variance += part
        squares += part**2 / 2
        by_two_seeds += float(np.diff(ours - theirs)[0]) ** 2 / 8 / len(tasks) ** 2
    whole = ((printed[1] - printed[0]) / 100 / (2 * ndtri(0.975))) ** 2
    examples = np.sqrt(max(whole - by_two_seeds, 0.0))
    places = (np.arange(DRAWS) + 0.5) / DRAWS
    one, other = (np.random.default_rng(seed).permutation(places) for seed in (0, 1))
    drawn = np.mean(means) + examples * ndtri(one) + np.sqrt(variance) * stdtrit(variance**2 / squares, other)
    low, high = np.percentile(drawn, [2.5, 97.5])
    n = sum(EXAMPLES[task] for task in tasks)
    return Difference(
        float(np.mean(means)), low, high, 2, n, DRAWS, 0, drawn, float(examples), float(np.sqrt(variance))
    )


def in_words(difference: Difference) -> str:
    return f"{points(difference.low)} to {points(difference.high)} | {seen(difference)}"


def verdict_lines(found: dict[str, dict[str, dict[str, Difference]]]) -> list[str]:
    """A line a claim that could be judged."""
    lines = []
    for study, comparisons in found.items():
        spec = study_at(load_study(study), "mini")
        references = {claim.reference for claim in spec.claims}
        for answer in answers(spec.claims, {reference: comparisons.get(reference, {}) for reference in references}):
            if answer.difference is not None:
                lines.append(f"- {study}: **{answer.label}**: {answer.claim.sentence} {answer.reasons}")
    return lines


if __name__ == "__main__":
    main()
