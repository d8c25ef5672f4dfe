"""Fixtures for the tests of pages: a fabricated report, a study with runs in several states, and a browser."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fabricate_report
import pytest
from fabricate import make_done_run, plan_runs, write_json
from fabricate_report import EVIL

from xtc_study.report.pages.markdown_pdf import FormatError, find_browser
from xtc_study.studies import PlannedRun

NO_BROWSER = (
    "NO CHROMIUM: THE REPORT'S PAGES ARE NOT TESTED IN A BROWSER. Install chromium (apt-get install chromium)."
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with every state a run can be in."""
    return fabricate_report.build(tmp_path_factory.mktemp("site")).parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    try:
        path = find_browser()
        from playwright.sync_api import sync_playwright
    except (FormatError, ImportError) as missing:
        warnings.warn(f"{NO_BROWSER} ({missing})", stacklevel=1)
        pytest.skip(NO_BROWSER)
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=as_root)
        yield chromium
        chromium.close()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def planned(runs: Path) -> list[PlannedRun]:
    """Two arms done with four seeds; of two more runs one failed with an evil message and one is missing."""
    done = plan_runs({"32-bit": 32, "1-bit": 1}, seeds=4)
    for run in done:
        make_done_run(runs, run, 0.95 if run.arm == "32-bit" else 0.75)
    others = plan_runs({"2-bit": 2}, ("toy-pairs",), seeds=2)
    write_json(runs / others[0].run_id / "error.json", {"type": "ValueError", "message": EVIL, "cell": 3})
    return done + others
