"""The workers of a Dask scheduler as an executor, for ``xtc-study run --scheduler``."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Give the workers of a Dask scheduler as an executor. Needs the extra ``cluster``.

    Args:
        address: of the scheduler, tcp://host:port.

    Raises:
        ValueError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ValueError(
            "--scheduler needs Dask; install it from the source folder: pip install -e '.[cluster]'"
        ) from None
    try:
        url = urlsplit(address if "://" in address else f"tcp://{address}")
        is_address = bool(url.hostname and url.port)
    except ValueError:  # the port is not a number
        is_address = False
    if not is_address:
        raise ValueError(f"--scheduler {address}: expected the address of a Dask scheduler such as tcp://host:8786")
    try:
        # Dask's client would wait twice as long in vain, and print an error of its own.
        if url.scheme in ("tcp", "tls"):
            socket.create_connection((str(url.hostname), url.port), timeout=20).close()
        client = Client(address, timeout=20, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with client:
        # Not pure: Dask must call the function again for the same run, not return its cached outcome.
        yield client.get_executor(pure=False)
