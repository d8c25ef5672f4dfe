"""What a run was computed with: environment.json."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
RECORDED_PACKAGES = (
    "xtc-study",
    "torch",
    "transformers",
    "datasets",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "papermill",
)
MADE_BY = ("compress", "training", "tasks", "deploy", "recipe.py")
"""What a run's numbers come from. A change elsewhere, of a report say, makes no other run."""


def environment(device: str, precision: str) -> dict[str, Any]:
    """What the run was computed with: device, precision, Python, packages, processor, the code's commit."""
    packages = {}
    for name in RECORDED_PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "device": device,
        "precision": precision,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": packages,
        "commit": code_commit(PACKAGE),
    }


def code_commit(package: Path) -> str | None:
    """The last commit that changed ``MADE_BY``, with '+' if files there were changed since; None outside git."""
    git = ["git", "-C", str(package)]
    try:
        commit = _said([*git, "log", "-1", "--format=%H", "--", *MADE_BY])[:10]
        return commit + ("+" if commit and _said([*git, "status", "--porcelain", "--", *MADE_BY]) else "") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
