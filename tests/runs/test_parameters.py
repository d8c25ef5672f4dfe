from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xtc_study.runs.parameters import ParameterError, check_injected, checked_parameters, read_parameters


def cell(source: Any, *tags: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {"tags": list(tags)} if tags else {}, "source": source}


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Writes a notebook of these cells, or of this text as its parameters cell."""

    def write(*cells: Any) -> Path:
        path = tmp_path / "run.ipynb"
        cells = tuple(cell(one, "parameters") if isinstance(one, str) else one for one in cells)
        path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return path

    return write


SOURCE = '''"""What to run."""
task = "toy-sentiment"  # a task = one of many
seed: int = 0
weight_decay = -0.5
layers: int | list[int] | None = None
kept = [1, 3]
places = {"a": (1, 2), "b": "x = y"}
clip = +2.5
text = "one"  "two"
flag = True
undecided: str
(more) = 1e-3
'''


def test_literals_of_every_kind(notebook: Callable[..., Path]) -> None:
    parameters = read_parameters(notebook("import os\n" + SOURCE))
    assert parameters == {
        "task": "toy-sentiment",
        "seed": 0,
        "weight_decay": -0.5,
        "layers": None,
        "kept": [1, 3],
        "places": {"a": (1, 2), "b": "x = y"},
        "clip": 2.5,
        "text": "onetwo",
        "flag": True,
        "more": 1e-3,
    }
    assert type(parameters["flag"]) is bool
    assert type(parameters["seed"]) is int


def test_a_cell_whose_source_is_a_list_of_lines(notebook: Callable[..., Path]) -> None:
    path = notebook(cell("x = 1"), cell(["a = 1\n", "b = 2"], "hide", "parameters"), cell("a = 3", "other"))
    assert read_parameters(path) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a = 1\nb = a + 1", "b"),
        ("path = Path('x')", "path"),
        ("a = f'{1}'", "a"),
        ("a = [x for x in (1, 2)]", "a"),
        ("a = {[]: 1}", "a"),
        ("a = -'x'", "a"),
        ("a: int = int('1')", "a"),
    ],
    ids=["a name", "a call", "an f-string", "a comprehension", "an unhashable key", "minus a text", "annotated"],
)
def test_a_default_that_is_no_literal(notebook: Callable[..., Path], source: str, name: str) -> None:
    with pytest.raises(ParameterError, match=f"parameter {name} must be a plain literal"):
        read_parameters(notebook(source))


@pytest.mark.parametrize(
    "source", ["a = 1\na += 1", "a = b = 1", "a, b = 1, 2"], ids=["augmented", "twice", "unpacked"]
)
def test_an_assignment_that_is_not_one_name_and_one_literal(notebook: Callable[..., Path], source: str) -> None:
    """Read as something else than Python does, or not at all, it would let a parameter pass by."""
    with pytest.raises(ParameterError, match=r"run\.ipynb"):
        read_parameters(notebook(source))


def test_a_cell_that_is_no_python(notebook: Callable[..., Path]) -> None:
    with pytest.raises(ParameterError, match=r"run\.ipynb"):
        read_parameters(notebook("a = = 1"))


def test_no_cell_or_two(notebook: Callable[..., Path]) -> None:
    with pytest.raises(ParameterError, match="expected one cell tagged 'parameters', found 0"):
        read_parameters(notebook(cell("a = 1"), cell("b = 2", "parameter")))
    with pytest.raises(ParameterError, match="found 2"):
        read_parameters(notebook("a = 1", "b = 2"))


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "3", '{"cells": 3}', '{"cells": [3]}'])
def test_a_file_that_is_no_notebook(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.ipynb"
    path.write_text(content)
    with pytest.raises(ParameterError, match=r"run\.ipynb: not a readable notebook"):
        read_parameters(path)


def test_a_notebook_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"none\.ipynb: not a readable notebook"):
        read_parameters(tmp_path / "none.ipynb")


def test_values_become_plain_json(notebook: Callable[..., Path]) -> None:
    path = notebook("a = 1\nb = None\nc = 'x'")
    assert checked_parameters(path, {"a": (1, 2), "b": {"k": (3,)}}) == {"a": [1, 2], "b": {"k": [3]}}
    assert checked_parameters(path, {}) == {}


def test_unknown_parameters_are_named_with_those_there_are(notebook: Callable[..., Path]) -> None:
    with pytest.raises(
        ParameterError,
        match=r"run\.ipynb: unknown parameter lr, seeds; the notebook has seed, task; did you mean 'seed'\?$",
    ):
        checked_parameters(notebook("seed = 1\ntask = 'x'"), {"lr": 1, "seeds": 2, "seed": 3})


PARAMETERS, MORE = "profile = 'smoke'\nseeds: list | None = None\n", "states = 3"


@pytest.mark.parametrize(
    "cells",
    [
        [],
        ["", PARAMETERS, MORE],
        ["", PARAMETERS, '# Parameters\nseeds = [1]\nprofile = "mini"\n', MORE],
        ["", PARAMETERS, "%time x y", "# Parameters\nseeds = [1]\n", MORE],
        ["", PARAMETERS, "# Parameters\nseed = [1]\n", MORE, "# Parameters\nseeds = [1]\n", MORE],
    ],
    ids=["no notebook", "none injected", "known", "a cell that is no Python", "put right by hand"],
)
def test_parameters_that_the_notebook_has_pass(cells: list[str]) -> None:
    check_injected({"In": cells} if cells else {})


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("seed = 0", "unknown parameter seed; the notebook has profile, seeds; did you mean 'seeds'?"),
        ('profle = "smoke"', "unknown parameter profle; the notebook has profile, seeds; did you mean 'profile'?"),
        ("x = 1", "unknown parameter x; the notebook has profile, seeds"),
        ("states = 1", "unknown parameter states; the notebook has profile, seeds"),
    ],
)
def test_a_mistyped_parameter_is_refused_with_what_was_meant(injected: str, message: str) -> None:
    """``states`` is a name of the cell that asks, not a parameter."""
    with pytest.raises(ParameterError) as said:
        check_injected({"In": ["", PARAMETERS, f"# Parameters\n{injected}\n", MORE]})
    assert str(said.value) == message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("x"), {1}, b"x", 1j], ids=str)
def test_values_json_cannot_hold(notebook: Callable[..., Path], value: Any) -> None:
    with pytest.raises(ParameterError, match="not a plain value"):
        checked_parameters(notebook("a = 1"), {"a": value})
