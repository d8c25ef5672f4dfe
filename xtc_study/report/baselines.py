"""Baselines beside the arms of a study: rows of its table and a sentence of its caption."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from xtc_study.analysis.baselines import Baseline
from xtc_study.report.tables import MISSING, PageTable, score_text, size_word

MARK = "Baseline: "
"""How the row of a baseline begins."""


def baseline_name(baseline: Baseline) -> str:
    """Return a baseline's kind and name: ``static table, 128 dimensions, 1 bit``."""
    return baseline.name if baseline.kind in ("majority", "teacher") else f"{baseline.kind}, {baseline.name}"


def with_baselines(table: PageTable, beside: Sequence[Baseline]) -> PageTable:
    """Return the table of arms with a marked row for each baseline below the arms.

    Args:
        table: what ``tables.arm_text`` and ``tables.arm_order`` gave.
        beside: the baselines; without any the table is returned as it is.
    """
    if not beside:
        return table
    shown = [
        dict.fromkeys(table.text.columns, MISSING)
        | {
            "Arm": f"{MARK}{baseline_name(one)}",
            "Score": score_text(one.score),
            "On disk": MISSING if pd.isna(one.size_bytes) else size_word(one.size_bytes),
        }
        for one in beside
    ]
    text = pd.concat([table.text, pd.DataFrame(shown)], ignore_index=True)
    order = table.order
    if order is not None:
        added = pd.DataFrame({"Score": [one.score for one in beside], "On disk": [one.size_bytes for one in beside]})
        order = pd.concat([order.astype(float), added], ignore_index=True)[list(order.columns)]
    by_note: dict[str, list[str]] = {}
    for one in beside:
        by_note.setdefault(one.note, []).append(one.name)
    notes = "; ".join(f"{', '.join(names)}: {note}" for note, names in by_note.items())
    caption = f"{table.caption} Baselines are no arms of the comparison and have no interval. {notes}."
    return PageTable(text, caption, order, table.ids, table.links, table.filters)
