"""Names that others rely on: commands and flags, notebook parameters, columns, keys of YAML files, fields on disk."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any


def make_names(package: Path, out: Path) -> None:
    """Write ``names.json``. Expects ``results/`` and ``work/`` in ``out``, as ``make_results`` leaves them.

    Args:
        package: the folder of ``xtc_study`` in its checkout, beside ``notebooks``.
    """
    write_names(out / "names.json", found_names(package, out) | {"files": files(out)})


def add_names(package: Path, out: Path) -> None:
    """Add the names of a later commit to ``names.json``. Expects its ``results.parquet`` in ``out``/work.

    Raises:
        ValueError: a name has disappeared or changed its meaning.
    """
    before = json.loads((out / "names.json").read_text())
    now = found_names(package, out) | {"files": before["files"]}
    for command, then in before["commands"].items():
        then |= {"options": now["commands"][command]["options"] | then["options"]}
    for notebook, defaults in before["parameters"].items():
        before["parameters"][notebook] = now["parameters"][notebook] | defaults
    for kind, keys in before["yaml"].items():
        if set(keys) <= set(now["yaml"][kind]):
            before["yaml"][kind] = now["yaml"][kind]
    if [column for column in now["columns"] if column in before["columns"]] == list(before["columns"]):
        before["columns"] = now["columns"] | before["columns"]
    wrong = [part for part in before if before[part] != now[part]]
    if wrong:
        raise ValueError(f"names have disappeared or changed their meaning: {', '.join(wrong)}")
    write_names(out / "names.json", now)


def found_names(package: Path, out: Path) -> dict[str, Any]:
    """Collect all names except the fields on disk."""
    from xtc_study.tasks.description import Description

    from xtc_study.arms import Arm
    from xtc_study.profiles import Profile
    from xtc_study.studies import CHANGEABLE, ClaimSpec, Study

    notebooks = sorted((package.parent / "notebooks").glob("*.ipynb"))
    return {
        "commands": commands(),
        "parameters": {path.name: parameters(path) for path in notebooks},
        "columns": columns(out / "work" / "results.parquet"),
        "yaml": {
            "study": [key for key in Study.model_fields if key != "name"],
            "claim": list(ClaimSpec.model_fields),
            "arm": list(Arm.model_fields),
            "study at a profile": sorted(CHANGEABLE),
            "profile": [key for key in Profile.model_fields if key != "name"],
            "own data": list(Description.model_fields),
        },
    }


def write_names(path: Path, names: dict[str, Any]) -> None:
    """Write one name per line, so that changing a name changes one line."""
    parts = [f"{json.dumps(part)}: {{\n{_lines(content)}\n}}" for part, content in names.items()]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _lines(content: dict[str, Any]) -> str:
    return ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())


def commands() -> dict[str, Any]:
    """Return for each command its arguments in order, and its options: spellings to [repeats, default]."""
    import typer

    from xtc_study.cli import app

    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        arguments = [one.name for one in command.params if one.param_type_name == "argument"]
        options = {}
        for one in command.params:
            if one.param_type_name == "option":
                default = None if one.default is None else str(one.default)
                options[" ".join([*one.opts, *one.secondary_opts])] = [one.multiple, default]
        found[name] = {"arguments": arguments, "options": options}
    return found


def parameters(notebook: Path) -> dict[str, Any]:
    """Return name and default of each assignment in the cell tagged ``parameters``; empty without such a cell."""
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            body = ast.parse("".join(cell["source"])).body
            return {
                node.targets[0].id: ast.literal_eval(node.value)
                for node in body
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
    return {}


def columns(table: Path) -> dict[str, str]:
    """Return the columns of results.parquet, in order, and their Arrow types."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(table)
    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}


def files(out: Path) -> dict[str, list[str]]:
    """Return the fields or columns of each file of a run and a step, and the file names in their folders."""
    import pandas as pd

    run, step = (
        sorted((out / "results" / "runs").iterdir())[0],
        sorted((out / "work" / "steps").glob("quantise-*[0-9a-f]"))[0],
    )
    model = out / "work" / "runs" / run.name / "model"
    found = {path.name: sorted(json.loads(path.read_text())) for path in sorted(run.glob("*.json"))}
    found["recipe"] = sorted(json.loads((run / "params.json").read_text())["recipe"])
    found["rows of metrics.json"] = sorted(json.loads((run / "metrics.json").read_text())["rows"][0])
    found["predictions.parquet"] = list(pd.read_parquet(run / "predictions.parquet").columns)
    found["curve.csv"] = list(pd.read_csv(run / "curve.csv").columns)
    found["model"] = sorted(path.name for path in model.iterdir())
    found["model/config.json"] = sorted(json.loads((model / "config.json").read_text())["quantization_config"])
    found["step"] = sorted(path.name for path in step.iterdir())
    found["step.json"] = sorted(json.loads((step / "step.json").read_text()))
    return found
