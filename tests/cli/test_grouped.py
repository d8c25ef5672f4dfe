from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from xtc_study.cli.grouped import grouped

Names = Annotated[list[str], typer.Argument(help="Names.")]


@dataclass
class Group:
    names: Names
    size: Annotated[int, typer.Option("--size", min=1, help="Its size.")] = 3


@dataclass
class Twin:
    size: int = 1


def test_a_group_is_options_outside_and_a_dataclass_inside() -> None:
    seen: list[object] = []

    def show(group: Group, loud: bool = False) -> None:
        """Show a group."""
        seen.append((group, loud))

    app = typer.Typer()
    app.command()(grouped(show))
    assert CliRunner().invoke(app, ["a", "b", "--size", "5", "--loud"]).exit_code == 0
    assert CliRunner().invoke(app, ["a"]).exit_code == 0
    assert seen == [(Group(["a", "b"], 5), True), (Group(["a"], 3), False)]
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Show a group." in shown and "Its size." in shown
    assert CliRunner().invoke(app, ["a", "--size", "0"]).exit_code == 2, "what typer checks is still checked"
    assert CliRunner().invoke(app, []).exit_code == 2, "the names are required"


def test_two_options_of_one_name_are_refused() -> None:
    def show(group: Group, twin: Twin) -> None: ...

    with pytest.raises(TypeError, match="show: options share a name among names, size, size"):
        grouped(show)
