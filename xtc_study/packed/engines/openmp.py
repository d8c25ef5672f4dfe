"""Find torch's own OpenMP library, whose threads compiled loops can share."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import torch


@cache
def openmp() -> ctypes.CDLL | None:
    """Return the libgomp that torch ships and has loaded; None if it ships another OpenMP library or none."""
    libraries = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    if len(libraries) != 1:
        return None
    library = ctypes.CDLL(str(libraries[0]))
    library.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    library.GOMP_parallel.restype = None
    return library
