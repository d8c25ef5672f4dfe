"""What a section of gpu_paths.py works with, and what it finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Findings:
    """What a section works with, and what it found, on disk at once: a section that is stopped keeps what it has."""

    def __init__(self, device: str, workdir: Path, output: Path) -> None:
        self.device, self.workdir, self.output = device, workdir, output
        self.details: dict[str, Any] = {}

    def note(self, **details: Any) -> None:
        """Keep details. ``said`` is the line for people."""
        self.details |= details
        (self.workdir / "details.json").write_text(json.dumps(self.details))

    def skip(self, why: str) -> None:
        """Say why the section does not apply here."""
        self.note(skipped=why)
