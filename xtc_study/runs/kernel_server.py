"""Fork server for notebook kernels: one process imports what notebooks need, and forks once per kernel.

``python -m xtc_study.runs.kernel_server SOCKET MODULE...`` imports the modules and then forks once for each
connection. ``kernel_process.py`` makes the connections: Jupyter starts that process in place of
``ipykernel_launcher``, so papermill, interrupts and the end of a kernel work as before. Each kernel is a process of
its own, whose memory nothing else has used. Only on Linux: forking a process that has imported torch is not safe on
macOS.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

KERNEL = ("ipykernel.kernelapp", "ipykernel.ipkernel")
"""What every kernel imports."""


def serve(path: str, modules: Sequence[str]) -> None:
    """Fork a kernel for each connection to ``path`` until standard input ends, as it does when our parent dies.

    The socket's folder goes then too.

    The socket is there from the first moment: a kernel that is asked for before the imports are over waits for them.
    A module that cannot be imported is left to the kernel, whose notebook shows the error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the runner; kernels end with their workers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for kernels here, so the system reaps them
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        for name in (*KERNEL, *modules):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()  # a collection in a kernel would otherwise write to, and so copy, every shared page
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
                shutil.rmtree(os.path.dirname(path), ignore_errors=True)
                return
            if listener in ready:
                connection, _ = listener.accept()
                with connection:
                    if os.fork() == 0:
                        listener.close()
                        _become_kernel(connection)


def _become_kernel(connection: socket.socket) -> None:
    """Turns this process into the kernel that the connection asks for; never returns."""
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    asked: dict[str, Any] = json.loads(message)
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # The connection must outlive this frame: its end is what tells ``kernel_process`` that the kernel ended.
    threading.Thread(target=_obey, args=(connection,), daemon=True).start()
    sys.path[:0] = [""]  # as ``python -m`` has it
    # ipykernel ends a kernel when its parent does. It read who that is from the environment when it was imported.
    sys.argv = ["ipykernel_launcher", *asked["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"]
    from ipykernel import kernelapp

    try:
        kernelapp.launch_new_instance()
    finally:
        os._exit(0)  # not through the server's own frames


def _obey(connection: socket.socket) -> None:
    """Passes on each signal that arrives as a byte, and ends the kernel when its ``kernel_process`` is gone."""
    while number := connection.recv(1):
        os.kill(os.getpid(), number[0])
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
