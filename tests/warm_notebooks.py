"""A Jupyter kernel for tests of notebooks: forked from one process that has imported what all of them need."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from xtc_study.runs.warm_kernels import imported, kernel_server

KERNEL = "xtc-warm"


def install_warm_kernel(folder: Path, notebooks: Path) -> str:
    """Write the kernel's specification below ``folder``, a folder for ``JUPYTER_PATH``; its name is ``KERNEL``.

    Where kernels cannot be forked it is an ordinary one.
    """
    modules = dict.fromkeys(name for path in sorted(notebooks.glob("*.ipynb")) for name in imported(path))
    server = kernel_server(tuple(modules), {})
    arguments = ["-f", "{connection_file}"]
    command = server.command(arguments) if server else [sys.executable, "-m", "ipykernel_launcher", *arguments]
    specification = {"argv": command, "display_name": KERNEL, "language": "python"}
    path = folder / "kernels" / KERNEL / "kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(specification))
    return KERNEL
