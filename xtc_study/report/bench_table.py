"""A table that a benchmark has written, shown in a notebook."""

from __future__ import annotations

from dataclasses import dataclass

from xtc_study.places import project_folder


@dataclass(frozen=True, repr=False)
class BenchTable:
    """The Markdown table ``results/bench/<name>.md``; a sentence where the benchmark has not been run."""

    name: str
    """Of the table, and of the program ``benchmarks/<name>.py`` that writes it."""
    without: str = ""
    """Rows that begin with this are left out; empty: none."""

    def _repr_markdown_(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        path = project_folder() / "results" / "bench" / f"{self.name}.md"
        if not path.is_file():
            return f"Not measured here: benchmarks/{self.name}.py writes this table."
        lines = path.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if not self.without or not line.startswith(self.without))
