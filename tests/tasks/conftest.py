"""The real GLUE folder, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def glue_dir() -> Path:
    """The folder XTC_GLUE_DIR names, in the GLUE download layout; tests that need it are skipped without it."""
    text = os.environ.get("XTC_GLUE_DIR", "")
    if not text:
        pytest.skip("XTC_GLUE_DIR is not set: give it a folder in the GLUE download layout to test the real files")
    if not Path(text).is_dir():
        pytest.skip(f"XTC_GLUE_DIR={text} is not a folder")
    return Path(text)
