"""pyproject.toml, environment.yml and constraints.txt tell one story."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import yaml

from xtc_study import __version__

ROOT = Path(__file__).parents[1]
NOT_ON_CONDA = ("playwright", "axe-playwright-python")
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "types-PyYAML": "types-pyyaml"}


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_environment_yml_asks_for_the_same_ranges_as_pyproject() -> None:
    project = pyproject()["project"]
    wanted, by_pip = {f"python{project['requires-python']}", "pip"}, set()
    for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
        name, bound = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", requirement).groups()
        (by_pip if name in NOT_ON_CONDA else wanted).add(CONDA_NAMES.get(name, name) + bound)
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert {entry for entry in listed if isinstance(entry, str)} == wanted
    assert {entry for entry in listed[-1]["pip"] if not entry.startswith("-")} == by_pip


def test_constraints_pin_versions_inside_the_ranges() -> None:
    from packaging.requirements import Requirement

    project = pyproject()["project"]
    ranges = {}
    for text in project["dependencies"] + project["optional-dependencies"]["test"]:
        requirement = Requirement(text)
        ranges[requirement.name] = requirement.specifier
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert len(pins) > 10
    for pin in pins:
        name, version = pin.split("==")
        assert version in ranges.get(name, version), pin


def test_versions_agree() -> None:
    assert pyproject()["project"]["version"] == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_notebooks_are_committed_without_outputs_and_say_their_parameters() -> None:
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert len(paths) >= 2
    for path in paths:
        notebook = json.loads(path.read_text())
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in code), path
        assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1, path
        assert notebook["metadata"]["kernelspec"]["name"] == "python3", path


def test_every_yaml_and_toml_file_parses() -> None:
    paths = [ROOT / "CITATION.cff", *ROOT.glob("*.yml"), *ROOT.glob(".*.yaml")]
    paths += [*(ROOT / ".github").rglob("*.yml"), *(ROOT / "xtc_study").rglob("*.yml")]
    assert {".pre-commit-config.yaml", "test.yml", "smoke.yml", "environment.yml"} <= {path.name for path in paths}
    for path in paths:
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path


def test_the_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_study_names_a_notebook_that_exists() -> None:
    from xtc_study.studies import load_study, study_names

    for name in study_names():
        assert (ROOT / "notebooks" / load_study(name).notebook).is_file(), name


def test_the_run_notebook_is_by_default_a_run_of_the_smoke_profile() -> None:
    from xtc_study.profiles import load_profile
    from xtc_study.recipe import Recipe
    from xtc_study.runs.parameters import read_parameters
    from xtc_study.studies import load_study, plan

    names = read_parameters(ROOT / "notebooks" / "run.ipynb")
    assert set(Recipe.model_fields) <= set(names), "a recipe field without a parameter cannot be set in the notebook"
    planned = plan(load_study("12_bits"), load_profile("smoke"), seeds=[0])
    assert Recipe.from_names(names).run_id in {run.run_id for run in planned if run.arm == "1-bit, A8"}


def test_nothing_says_to_install_from_an_index_what_is_on_none() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "xtc_study").rglob("*.py")]
    wrong = [str(page) for page in pages if re.search(r"pip install '?xtc-study", page.read_text(encoding="utf-8"))]
    assert not wrong
    extras = pyproject()["project"]["optional-dependencies"]
    advised = {name for page in pages for name in re.findall(r"-e '\.\[(\w+)\]'", page.read_text(encoding="utf-8"))}
    assert advised and advised <= set(extras)
