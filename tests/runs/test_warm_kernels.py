from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from patience import HANG_SECONDS, wait_for

from xtc_study.runs.cards import VARIABLE
from xtc_study.runs.execute import run_notebook
from xtc_study.runs.warm_kernels import COLD, imported, kernel_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux alone")

IMPORTS = "import fractions\nfrom xml.dom import minidom\n"


def write(path: Path, *cells: str) -> Path:
    parameters = new_code_cell("number = 0", metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[parameters, *map(new_code_cell, cells)], metadata=kernel), path)
    return path


def printed(notebook: Path, **parameters: Any) -> str:
    said = io.StringIO()
    run_notebook(notebook, notebook.with_name("out.ipynb"), parameters, threads=1, log=said)
    return said.getvalue()


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COLD, raising=False)


def test_what_a_notebook_imports_is_imported_already(tmp_path: Path) -> None:
    seen = "import sys\nprint('fractions' in sys.modules, 'xml.dom.minidom' in sys.modules, 'smtpd' in sys.modules)\n"
    assert imported(write(tmp_path / "a.ipynb", IMPORTS, seen)) == ["fractions", "xml.dom", "sys"]
    trains = imported(write(tmp_path / "c.ipynb", "from xtc_study.training.pipeline import Pipeline"))
    assert trains[0] == "xtc_study.training.pipeline" and "transformers.trainer" in trains
    assert printed(write(tmp_path / "b.ipynb", seen, IMPORTS)).split()[:1] == ["True"]


def test_every_kernel_is_a_process_of_its_own_that_nothing_has_used(tmp_path: Path) -> None:
    cell = IMPORTS + "import os\nprint(os.getpid(), getattr(fractions, 'mark', None), number, os.getcwd())\n"
    notebook = write(tmp_path / "a.ipynb", cell, "fractions.mark = 'used'")
    first, second = printed(notebook, number=1).split(), printed(notebook, number=2).split()
    assert first[0] != second[0]
    assert first[1:] == ["None", "1", str(tmp_path)] and second[1:] == ["None", "2", str(tmp_path)]


def test_an_error_of_a_cell_and_its_output_come_as_ever(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", IMPORTS, "print('before')\nraise ValueError('no')")
    with pytest.raises(Exception, match="no"):
        printed(notebook)
    assert "before" in (tmp_path / "out.ipynb").read_text()


def test_a_kernel_that_dies_is_noticed(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(Exception, match=r"[Dd]ied"):
        printed(notebook)


def test_a_cell_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "import time\ntime.sleep(1000)")
    with pytest.raises(Exception, match=r"[Tt]imed? ?out"):
        run_notebook(notebook, tmp_path / "out.ipynb", {}, 1, timeout=1.0)


def test_server_and_kernels_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "open('begun', 'w').close()\nimport time\ntime.sleep(1000)")
    program = (
        "import sys; from pathlib import Path\n"
        "from xtc_study.runs.execute import run_notebook\n"
        "run_notebook(Path(sys.argv[1]), Path(sys.argv[1]).with_name('out.ipynb'), {})"
    )
    worker = subprocess.Popen([sys.executable, "-c", program, str(notebook)])
    wait_for((tmp_path / "begun").exists)
    family = psutil.Process(worker.pid).children(recursive=True)
    assert len(family) == 3, "the server, the process that Jupyter started, and the kernel, which the server forked"
    sockets = {Path(word).parent for process in family for word in process.cmdline() if word.endswith("/kernels")}
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    gone, alive = psutil.wait_procs(family, timeout=HANG_SECONDS)
    assert not alive and len(gone) == 3
    assert len(sockets) == 1 and not any(folder.exists() for folder in sockets)


@pytest.mark.parametrize("how", ["asked for", "died"])
def test_without_a_server_a_kernel_imports_by_itself(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = write(tmp_path / "a.ipynb", "import sys\nprint('cold')")
    if how == "asked for":
        monkeypatch.setenv(COLD, "1")
    else:
        environment = {"OMP_NUM_THREADS": "3"}
        server = kernel_server(imported(notebook), environment)
        assert server is not None
        server.process.kill()
        server.process.wait()
        assert kernel_server(imported(notebook), environment) is None
    assert printed(notebook) == "cold\n"


def test_a_server_of_one_card_serves_no_run_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card of a worker's environment and that of a run's own variables both belong to the server."""
    cell = "import os\nprint(os.environ.get('CUDA_VISIBLE_DEVICES'), os.getppid())"
    notebook = write(tmp_path / "a.ipynb", cell)

    def printed_on(card: str | None) -> list[str]:
        said = io.StringIO()
        run_notebook(notebook, tmp_path / "out.ipynb", {}, 1, log=said, variables={VARIABLE: card} if card else {})
        return said.getvalue().split()

    monkeypatch.delenv(VARIABLE, raising=False)
    (free, server), (zero, of_zero), (one, of_one), (again, of_again) = map(printed_on, (None, "0", "1", "0"))
    assert (free, zero, one, again) == ("None", "0", "1", "0")
    assert len({server, of_zero, of_one}) == 3 and of_again == of_zero
    monkeypatch.setenv(VARIABLE, "1")
    assert printed_on(None) == ["1", of_one], "the same card by the environment"
    assert printed_on("0") == ["0", of_zero]
