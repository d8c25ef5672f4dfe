"""The notebooks run from top to bottom under nbval: run.ipynb and one study train; the others read made-up runs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import pytest
from fabricate import make_done_run
from warm_notebooks import KERNEL, install_warm_kernel

from xtc_study.places import Places
from xtc_study.studies import load_study, study_names
from xtc_study.study import Study
from xtc_study.suite import all_studies

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all notebooks, so that they share their teachers too."""
    return tmp_path_factory.mktemp("results") / "smoke"


@pytest.fixture(scope="module", autouse=True)
def warm_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels that have imported torch and the rest: a notebook takes seconds instead of ten."""
    folder = tmp_path_factory.mktemp("jupyter")
    install_warm_kernel(folder, NOTEBOOKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield


def nbval(*paths: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-kernel-name", KERNEL]
    command += ["-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *map(str, paths)], cwd=NOTEBOOKS, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-6000:]


def test_run_notebook(results: Path, tmp_path: Path) -> None:
    nbval(prepared("run.ipynb", tmp_path, results_dir=str(results), teacher_epochs=1, epochs=1))
    (run,) = (results / "runs").iterdir()
    written = {file.name for file in run.iterdir()}
    assert written >= {"params.json", "metrics.json", "predictions.parquet", "curve.csv", "status.json"}


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("run.ipynb", "weight_bit", "weight_bits"),
        ("12_bits.ipynb", "profle", "profile"),
        ("12_bits.ipynb", "seed", "seeds"),
    ],
)
def test_papermill_with_a_mistyped_parameter_is_refused_before_anything_runs(
    name: str, typed: str, meant: str, tmp_path: Path
) -> None:
    chosen = {"results_dir": str(tmp_path / "results"), typed: 2}
    with pytest.raises(
        papermill.PapermillExecutionError, match=f"unknown parameter {typed}; .*did you mean '{meant}'"
    ):
        papermill.execute_notebook(
            str(NOTEBOOKS / name), str(tmp_path / name), chosen, kernel_name=KERNEL, progress_bar=False
        )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_the_first_cell_after_the_parameters_checks_them(name: str) -> None:
    codes = [cell for cell in cells_of(name) if cell["cell_type"] == "code"]
    places = [i for i, cell in enumerate(codes) if "parameters" in cell["metadata"].get("tags", ())]
    following = codes[places[0] + 1]["source"]
    assert len(places) == 1 and re.search(
        r"check_injected\(globals\(\)\)|Study\.from_names\(\"\w+\", globals\(\)\)", following
    )


def prepared(name: str, folder: Path, **chosen: Any) -> Path:
    """The notebook with other parameters, not executed yet."""
    path = folder / name
    papermill.execute_notebook(str(NOTEBOOKS / name), str(path), chosen, prepare_only=True, progress_bar=False)
    return path


def test_the_quickstart(results: Path, tmp_path: Path) -> None:
    short = {"teacher_epochs": 0.2, "epochs": 0.1}
    executed = papermill.execute_notebook(
        str(NOTEBOOKS / "01_quickstart.ipynb"),
        str(tmp_path / "01_quickstart.ipynb"),
        {"results_dir": str(results), **short},
        kernel_name=KERNEL,
        progress_bar=False,
    )
    said = json.dumps([cell.get("outputs", []) for cell in executed["cells"]])
    assert re.search(r"teacher [\d,]+ bytes, student [\d,]+ bytes: \d+\.\d times smaller", said)
    assert "training for 0.2 epochs" in said
    assert "Writing model shards" not in said and "Map:" not in said, "bars that look like progress of the training"
    (folder,) = (results / "quickstart").iterdir()
    assert {"model.safetensors", "README.md"} <= {path.name for path in folder.iterdir()}


def test_your_model_and_data(tmp_path: Path) -> None:
    nbval(
        prepared(
            "03_your_model_and_data.ipynb", tmp_path, work_dir=str(tmp_path), rows=80, teacher_epochs=0.5, epochs=0.5
        )
    )
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_an_ablation_from_nothing_to_its_verdict(results: Path, tmp_path: Path) -> None:
    """Four arms of one seed, trained for a moment."""
    axes = {"weights": ["32-bit", "1-bit"], "activations": ["A32", "A8"]}
    fields = {"teacher_epochs": 0.5, "epochs": 0.25}
    path = prepared("12_bits.ipynb", tmp_path, results_dir=str(results), seeds=[0], axes=axes, fields=fields)
    nbval(path)
    study = Study("12_bits", places=Places(results), seeds=[0], axes=axes, overrides=fields)
    assert (study.states()["state"] == "done").all()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run of every study at the smoke scale, made up."""
    folder = tmp_path_factory.mktemp("made up") / "smoke"
    for study in all_studies("smoke", places=Places(folder)):
        for run in study.planned:
            if not (study.places.runs / run.run_id).exists():
                make_done_run(study.places.runs, run, 0.7 if run.recipe.weight_bits == 1 else 0.85)
    return folder


def cells_of(name: str) -> list[dict[str, Any]]:
    """The cells of a notebook, each with its source as one text."""
    cells = json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_calls_the_library_and_links_to_what_is_there(path: Path) -> None:
    cells = cells_of(path.name)
    assert 15 <= len(cells) <= 35
    for cell in cells:
        if cell["cell_type"] == "code":
            functions = [node for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.FunctionDef)]
            assert all(node.end_lineno - node.lineno < 10 for node in functions if node.end_lineno)
            continue
        for target, anchor in re.findall(r"\]\((\w+\.ipynb)(?:#([\w-]+))?\)", cell["source"]):
            text = "\n".join(other["source"] for other in cells_of(target))
            assert not anchor or f"## {anchor.replace('-', ' ')}\n" in text, (target, anchor)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_relative_links_lead_to_files_below_the_folder_that_jupyterlab_opens(path: Path) -> None:
    """JupyterLab shows nothing above its root, so a link to ../README.md needs the repository as its root."""
    root = lab_root()
    for cell in cells_of(path.name):
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)", cell["source"]):
                if "://" not in target:
                    linked = (NOTEBOOKS / target).resolve()
                    assert linked.exists() and linked.is_relative_to(root), target


def lab_root() -> Path:
    """The folder that `make lab` makes JupyterLab's root."""
    (command,) = re.findall(
        r"^\t\$\(BIN\)/jupyter lab (.*)$", (NOTEBOOKS.parent / "Makefile").read_text(), re.MULTILINE
    )
    chosen = re.search(r"--ServerApp\.root_dir=(\S+)", command)
    opened = re.search(r"--LabApp\.default_url=/lab/tree/(\S+)", command)
    root = (NOTEBOOKS.parent / (chosen[1] if chosen else command.split()[-1])).resolve()
    assert opened and (root / opened[1]).is_file(), "the way in is opened"
    return root


@pytest.mark.parametrize("study", study_names())
def test_examples_beside_the_parameters_work(study: str) -> None:
    """What a comment offers for axes leaves the reference and a claim; what it offers for fields can be set."""
    cells = cells_of(load_study(study).notebook)
    assert "(00_index.ipynb#Glossary)" in cells[0]["source"]
    (parameters,) = [cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    offered = re.findall(r"^(axes|fields) = None  # (.*)$", parameters, re.MULTILINE)
    assert [name for name, _ in offered] == ["axes", "fields"]
    for name, comment in offered:
        for example in re.findall(r"\{.*?\}", comment):
            given: dict[str, Any] = {{"axes": "axes", "fields": "overrides"}[name]: ast.literal_eval(example)}
            chosen = Study(study, **given)
            assert chosen.spec.claims, example
            assert chosen.spec.reference == Study(study).spec.reference, example


MOST_IMPORTS, MOST_CODE = 6, 51
"""Of an ablation's notebook: import statements beside that of ``Study``, and lines of code that are not blank."""


@pytest.mark.parametrize("study", study_names())
def test_the_notebook_of_an_ablation_shows_the_parts_of_a_page_and_builds_little_itself(study: str) -> None:
    cells = cells_of(load_study(study).notebook)
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    lines = [line for source in code for line in source.splitlines() if line.strip()]
    nodes = [node for source in code for node in ast.walk(ast.parse(source))]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(imports) - 1 <= MOST_IMPORTS and len(lines) <= MOST_CODE
    parts = ["study.run(workers)", "page = study.page()\npage.verdicts", "page.arms", 'page.figures["differences"]']
    assert [code.index(part) for part in parts] == sorted(code.index(part) for part in parts), "the answer comes first"
    assert 'page.figures["seeds"]' in code and "page.tasks" in code
    prose = sum(cell["cell_type"] == "markdown" for cell in cells) / len(cells)
    assert 0.4 <= prose <= 0.55
    references = cells[-1]["source"]
    assert references.startswith("## References\n") and "https://arxiv.org/abs/" in references


READERS = [
    "00_index.ipynb",
    *(load_study(name).notebook for name in study_names()),
    "21_equal_bytes.ipynb",
    "90_summary.ipynb",
]


@pytest.mark.parametrize("names", [READERS[part::4] for part in range(4)], ids=lambda names: "+".join(map(str, names)))
def test_notebooks_whose_runs_are_done_train_nothing(names: list[str], made_up: Path, tmp_path: Path) -> None:
    """Several at once: starting pytest takes as long as a notebook."""
    before = {path.name for path in (made_up / "runs").iterdir()}
    nbval(*(prepared(name, tmp_path, results_dir=str(made_up)) for name in names))
    assert {path.name for path in (made_up / "runs").iterdir()} == before
    assert not list((made_up / "steps").glob("teacher-*")), "14 makes its variants, and nothing is trained"


@pytest.mark.parametrize("name", ["02_how_quantisers_work.ipynb", "20_size_and_speed.ipynb"])
def test_a_notebook_that_needs_no_runs(name: str, tmp_path: Path) -> None:
    if not name.startswith("20"):
        nbval(NOTEBOOKS / name)
        return
    pytest.importorskip("onnxruntime", reason="pip install -e '.[export]'")
    nbval(prepared(name, tmp_path, layers=1))  # exporting four takes several times as long
