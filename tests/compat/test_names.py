"""Commands, flags, notebook parameters and YAML keys must not disappear; new ones may be added."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from compat.today import CHANGEABLE, NOTEBOOKS, ClaimSpec, Description, Profile, StudySpec, app, fixture, specs

NAMES = fixture("names.json")


def test_there_are_eleven_commands() -> None:
    assert len(NAMES["commands"]) == 11


@pytest.mark.parametrize("name", NAMES["commands"])
def test_command_keeps_its_arguments_and_flags(name: str) -> None:
    there = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert name in there
    arguments, flags = [], {}
    for one in there[name].params:
        if one.param_type_name == "argument":
            arguments.append(one.name)
            continue
        for flag in (*one.opts, *one.secondary_opts):
            flags[flag] = [one.multiple, None if one.default is None else str(one.default)]
    then = NAMES["commands"][name]
    assert arguments[: len(then["arguments"])] == then["arguments"]
    expected = {flag: about for spelled, about in then["options"].items() for flag in spelled.split()}
    assert {flag: flags.get(flag) for flag in expected} == expected


@pytest.mark.parametrize("name", NAMES["parameters"])
def test_notebook_keeps_its_parameters(name: str) -> None:
    now, then = parameters(NOTEBOOKS / name), NAMES["parameters"][name]
    assert {key: now.get(key, "not there") for key in then} == then


def parameters(notebook: Path) -> dict[str, Any]:
    """Return name and default of each assignment in the cell tagged ``parameters``."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    (source,) = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    found = {}
    for node in ast.parse(source).body:
        assert isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


@pytest.mark.parametrize("kind", NAMES["yaml"])
def test_yaml_files_keep_their_keys(kind: str) -> None:
    study = specs("studies")["31_pruning"]  # its arms are written out
    arm = type(StudySpec(name="31_pruning", **study).arms[0])
    now = {
        "study": StudySpec.model_fields,
        "claim": ClaimSpec.model_fields,
        "arm": arm.model_fields,
        "study at a profile": CHANGEABLE,
        "profile": Profile.model_fields,
        "own data": Description.model_fields,
    }
    assert set(NAMES["yaml"][kind]) <= set(now[kind])
