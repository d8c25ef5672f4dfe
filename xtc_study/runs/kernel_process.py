"""The process that Jupyter starts, interrupts and kills where a forked kernel (``kernel_server.py``) does the work.

``python -S -E kernel_process.py SOCKET ARGUMENT...`` asks the server for a kernel with these arguments and its own
folder, environment and standard streams; it ends when the kernel ends, and the kernel ends when it does. It imports
nothing but the standard library, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM)


def main(path: str, arguments: list[str]) -> None:
    """Stands for the kernel until it ends, or until our parent does."""
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        asked = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: connection.send(bytes([number])))
        while os.getppid() == parent:
            ready, _, _ = select.select([connection], [], [], 1.0)
            if ready and not connection.recv(1):
                return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
