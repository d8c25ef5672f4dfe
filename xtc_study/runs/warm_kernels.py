"""The kernel server of this process: started once, asked by every run that this process carries out."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

from xtc_study.runs.cards import VARIABLE

PROCESS = Path(__file__).with_name("kernel_process.py")
LATER = {
    "xtc_study.training.pipeline": (
        "sklearn.metrics",
        "transformers.models.bert.modeling_bert",
        "transformers.models.auto.modeling_auto",
        "transformers.trainer",
    ),
}
"""What a module imports inside its functions."""
NO_CUDA_YET = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""A library that asks for a GPU while it is imported then asks NVML: a process in which CUDA has begun cannot fork
kernels that use it. Kernels do not get this variable."""
COLD = "XTC_COLD_KERNELS"
"""Environment variable: set to anything, every kernel does its own imports, as on systems other than Linux."""


@dataclass(frozen=True)
class KernelServer:
    """A running server."""

    process: subprocess.Popen[bytes]
    socket: Path

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def command(self, arguments: list[str]) -> list[str]:
        """Return the command that starts a kernel, in place of ``ipykernel_launcher`` with the same arguments."""
        return [sys.executable, "-S", "-E", str(PROCESS), str(self.socket), *arguments]


def kernel_server(modules: Sequence[str], environment: Mapping[str, str]) -> KernelServer | None:
    """Return the server whose kernels have these modules imported; the first call starts it.

    Args:
        modules: to import, by name.
        environment: variables, beside those of this process.

    Returns:
        None where kernels cannot be forked (not Linux, ``XTC_COLD_KERNELS``), or where the server has died.
    """
    if sys.platform != "linux" or os.environ.get(COLD):
        return None
    # A server belongs to its card too, so that what its modules learn of the card holds for every kernel.
    card = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    with _LOCK:  # threads of one process may carry out runs at once
        server = _started(tuple(modules), tuple(sorted({**card, **environment}.items())))
    return server if server.is_alive() else None


def end_kernel_servers() -> None:
    """End the servers that this process has started; their kernels end with them."""
    while _SERVERS:
        process = _SERVERS.pop().process
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    _started.cache_clear()


_SERVERS: list[KernelServer] = []
_LOCK = Lock()


@cache
def _started(modules: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> KernelServer:
    path = Path(mkdtemp(prefix="xtc-")) / "kernels"  # short: the path of a socket has at most 107 characters
    process = subprocess.Popen(
        [sys.executable, "-m", "xtc_study.runs.kernel_server", str(path), *modules],
        stdin=subprocess.PIPE,  # closed when this process ends, however it ends; the server then removes the folder
        env={**os.environ, **dict(environment), **NO_CUDA_YET},
        start_new_session=True,
    )
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)
    server = KernelServer(process, path)
    _SERVERS.append(server)
    return server


def imported(notebook: Path) -> list[str]:
    """Return the modules that a notebook's code cells import, in their order, and then those of ``LATER``."""
    names: dict[str, None] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import):
                names.update(dict.fromkeys(alias.name for alias in node.names))
            elif isinstance(node, ast.ImportFrom) and node.module:
                names[node.module] = None
    later = [module for name in names for module in LATER.get(name, ())]
    return [*names, *later]
