"""The provenance of a study's numbers: devices, precision, code, packages, dates and hours."""

from __future__ import annotations

import json

import pandas as pd


def provenance_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return every distinct device, precision, model, seed, date, version and package of the runs, by heading.

    Args:
        frame: rows of ``analysis.collect.collect``.
    """
    if frame.empty:
        return {}
    runs = frame.drop_duplicates("run_id")
    packages: dict[str, set[str]] = {}
    for text in runs["versions"].unique():
        for package, version in json.loads(text).items():
            packages.setdefault(package, set()).add(str(version))
    return {
        "Device": _distinct(runs["device"]),
        "Precision": _distinct(runs["precision"]),
        "Model": _distinct(runs["model"]),
        "Seeds": _distinct(runs["seed"].sort_values().astype(str)),
        "Runs started": " to ".join(dict.fromkeys((runs["started"].min()[:10], runs["started"].max()[:10]))),
        "Compute": f"{runs['duration_s'].sum() / 3600:.2f} h over {len(runs)} runs",
        "Method": f"version {_distinct(runs['method_version'].sort_values().astype(str))}",
        "Code": _distinct(runs["commit"]),
        "Packages": ", ".join(f"{name} {' and '.join(sorted(packages[name]))}" for name in sorted(packages)),
    }


def _distinct(values: pd.Series) -> str:
    return ", ".join(dict.fromkeys(text for text in values.dropna() if text)) or "not recorded"
