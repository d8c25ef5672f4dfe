"""Records what a run was computed with: environment.json."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xtc_study.compress.method_version import METHOD_VERSION

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
MADE_BY = (
    *("compress", "packed", "training", "tasks", "deploy"),
    *("recipe.py", "chain.py", "share.py", "granularity.py", "model_source.py"),
)
"""The code that a run's numbers depend on; the recorded commit is the last one that changed it."""


CUDA_GRAPHS = "XTC_CUDA_GRAPHS"
"""Environment variable; 0 launches every kernel of a training step by itself (``training/graphed_step.py``)."""


def environment(device: str, precision: str, method: int = METHOD_VERSION) -> dict[str, Any]:
    """Return what a run was computed with: device, precision, Python, packages, processors and the method's version.

    The commit of the code is included as information only.

    Args:
        device: as resolved for this machine.
        precision: as resolved for this machine.
        method: the oldest version of the method that had a part in the run (see ``oldest_method``).
    """
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
        "method": method,
        "commit": code_commit(PACKAGE),
        **({"cuda_graphs": os.environ.get(CUDA_GRAPHS) != "0"} if device == "cuda" else {}),
    }


def oldest_method(steps: Path, addresses: Iterable[str]) -> int:
    """Return the oldest version of the method among trained steps and this code, which scores their result.

    Args:
        steps: the folder of all steps.
        addresses: of the steps of the run. A step without a version has version 1; a missing step is ignored.
    """
    versions = [METHOD_VERSION]
    for address in addresses:
        try:
            record = json.loads((steps / address / "step.json").read_text(encoding="utf-8"))
            versions.append(int(record.get("method", 1)))
        except (OSError, ValueError, TypeError, AttributeError):
            continue
    return min(versions)


def code_commit(package: Path) -> str | None:
    """Return the last commit that changed ``MADE_BY``, with '+' if files there changed since; None outside git."""
    git = ["git", "-C", str(package)]
    try:
        commit = _output_of([*git, "log", "-1", "--format=%H", "--", *MADE_BY])[:10]
        return commit + ("+" if commit and _output_of([*git, "status", "--porcelain", "--", *MADE_BY]) else "") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
