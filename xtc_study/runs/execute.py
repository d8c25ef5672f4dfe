"""Carries out one run: takes its lease, executes the template notebook with papermill, records how it ended."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from xtc_study.recipe import Recipe
from xtc_study.runs.card_slots import card_of_this_thread
from xtc_study.runs.cards import VARIABLE
from xtc_study.runs.lease import LeaseError, held
from xtc_study.runs.parameters import checked_parameters
from xtc_study.runs.store import RunFolder, now
from xtc_study.runs.warm_kernels import imported, kernel_server

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
QUIET = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Switches progress bars off: in an executed notebook each becomes hundreds of saved lines."""
MEMORY = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Makes torch on Linux ask for huge pages. Without them a tenth of a step goes into the word table's gradient."""


def execute_run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one run. Safe to call in any process; its one argument is plain data.

    Args:
        job: ``recipe`` (its fields), ``results`` (folder), ``notebook`` (path of run.ipynb), ``parameters`` (data_dir,
            models_dir, synonyms, task_files, device, precision), ``threads`` (of torch in the kernel, or None),
            ``timeout`` (seconds a cell may take, or None), ``dead`` (the lease of a dead process on another machine,
            as the runner saw it; see ``lease.lapsed``), ``redo`` (whether a done run is carried out again),
            ``choose_card`` (whether this thread chooses among the machine's cards; see ``card_slots``).

    Returns:
        ``run_id``, ``state`` (done, failed, or skipped: done before, or held by another process), ``seconds`` and
        ``error``.
    """
    recipe = Recipe.of(**job["recipe"])
    results, notebook = Path(job["results"]), Path(job["notebook"])
    run = RunFolder(results / "runs", recipe)
    started, clock = now(), time.monotonic()
    try:
        if job.get("redo"):
            run.reopen()
        token = run.acquire(dead=job.get("dead", ""))
    except OSError as failure:  # a full disk or a read-only folder: the failure cannot be recorded
        return {"run_id": recipe.run_id, "state": "failed", "seconds": 0.0, "error": describe(failure)}

    if token is None:
        return {"run_id": recipe.run_id, "state": "skipped", "seconds": 0.0, "error": None}

    parameters = {
        **recipe.model_dump(mode="json"),
        **job.get("parameters", {}),
        "results_dir": str(results),
        "claim": token,
    }

    # A worker of this machine has its card already; one of another executor's may have a choice.
    variables = {}
    if job.get("choose_card") and (card := card_of_this_thread(str(parameters.get("device", "auto")))) is not None:
        variables[VARIABLE] = card

    # The notebook writes the results; its failure is the run's.
    error = None
    try:
        with (run.path / "log.txt").open("w", encoding="utf-8") as log:
            copy = run.path / "notebook.ipynb"
            run_notebook(notebook, copy, parameters, job.get("threads"), job.get("timeout"), log, variables)
        if not (run.path / "metrics.json").is_file():
            error = {
                "type": "RuntimeError",
                "message": "the notebook ended without writing metrics.json",
                "cell": None,
            }
    except Exception as failure:
        error = describe(failure)
    except BaseException:  # Ctrl-C in the caller's own executor: the process may live on, its lease must not
        if (lease := held(run.path)) is not None:
            lease.release()
        raise

    # The status comes last, since it alone makes the run done.
    seconds = time.monotonic() - clock
    try:
        run.finish("failed" if error else "done", started, seconds, error)
    except OSError as failure:
        error = error or describe(failure)
    except LeaseError:  # another machine took the run over and records its end
        return {"run_id": recipe.run_id, "state": "skipped", "seconds": seconds, "error": None}
    return {"run_id": recipe.run_id, "state": "failed" if error else "done", "seconds": seconds, "error": error}


def run_notebook(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    threads: int | None = None,
    timeout: float | None = None,
    log: TextIO | None = None,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Execute a notebook into ``output`` with checked parameters; its kernel starts in the notebook's own folder.

    Args:
        notebook: the template.
        output: the executed copy.
        parameters: by name.
        threads: of torch in the kernel; None: as set by the environment.
        timeout: seconds a cell may take.
        log: receives what the cells print, while they print it.
        variables: of the kernel's environment, beside those of this process.

    Raises:
        ParameterError: unknown parameters.
        Exception: what papermill raises when a cell fails.
    """
    values = checked_parameters(notebook, parameters)
    environment = {**QUIET, **MEMORY, **({"OMP_NUM_THREADS": str(threads)} if threads else {}), **(variables or {})}
    server = kernel_server(
        imported(notebook), environment
    )  # before our own imports, so that its imports run in parallel

    import papermill
    from jupyter_client.manager import AsyncKernelManager
    from traitlets.config import Config

    class Manager(AsyncKernelManager):
        """Gives the environment to the kernel alone: other threads of this process may carry out other runs."""

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            command: list[str] = super().format_kernel_cmd(extra_arguments)
            if server is None or "ipykernel_launcher" not in command:
                return command
            return server.command(command[command.index("ipykernel_launcher") + 1 :])

        def start_kernel(self, *words: Any, **options: Any) -> Any:
            # A kernel whose worker was stopped would print a warning into the terminal.
            quiet = [*options.pop("extra_arguments", []), "--log-level=ERROR"]
            return super().start_kernel(*words, env={**os.environ, **environment}, extra_arguments=quiet, **options)

    with ExitStack() as stack:
        # A polite shutdown interrupts the kernel first, which prints an error into the terminal.
        client: dict[str, Any] = {"NotebookClient": {"shutdown_kernel": "immediate"}}
        if os.name == "posix":
            # Unix sockets instead of TCP ports, for which workers would race. Their default path is relative to the
            # current folder and the same for every kernel, so each kernel gets a folder of its own.
            sockets = stack.enter_context(TemporaryDirectory(prefix="xtc-"))
            client["KernelManager"] = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        papermill.execute_notebook(
            str(notebook).replace("{", "{{").replace("}", "}}"),
            str(output).replace("{", "{{").replace("}", "}}"),
            parameters=values,
            kernel_name="python3",
            progress_bar=False,
            resources={"metadata": {"path": str(notebook.parent)}},
            config=Config(client),
            kernel_manager_class=Manager,
            execution_timeout=timeout,
            stdout_file=log,
            stderr_file=log,
        )


def describe(failure: BaseException) -> dict[str, Any]:
    """Return the content of error.json: type, message, the cell it came from, the last lines of its traceback."""
    cell = getattr(failure, "exec_count", None)
    traceback = ANSI.sub("", "\n".join(getattr(failure, "traceback", None) or [])).splitlines()
    return {
        "type": str(getattr(failure, "ename", type(failure).__name__)),
        "message": ANSI.sub("", str(getattr(failure, "evalue", failure))),
        "cell": cell,
        "traceback": traceback[-40:],
    }
