"""One made-up report for all tests of pages, and a browser to open it in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fabricate_report
import pytest

from xtc_study.report.formats import FormatError, find_browser

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
