"""Build the native engine with the machine's own compiler (``xtc-study build-engine``), and find the built library.

Loading a model never compiles anything. The user's cache folder, which several machines may share, has one library for
each combination of source, compiler flags and processor; after a change of any of these the engine counts as not
built.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from xtc_study.atomic import replacing
from xtc_study.hardware import cpu_abilities

SOURCE = Path(__file__).with_name("native.cpp")
FLAGS = ("-std=c++17", "-O3", "-fopenmp", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC")
"""-ffp-contract=off: rounding a product and a sum only once would change logits."""
NATIVE = "native"
FIX = "xtc-study build-engine"


def compiler() -> str | None:
    """Return the C++ compiler: CXX if set, else g++ or c++; None if there is none."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")


def library_path(march: str = NATIVE) -> Path:
    """Return the path of the library for this source and processor, built or not.

    Args:
        march: the processor to compile for, as the compiler names it; ``native`` is this machine's.
    """
    parts = [SOURCE.read_text(), *FLAGS, march, cpu_abilities() if march == NATIVE else platform.machine()]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return _cache_folder() / f"native-{key}.so"


def is_built() -> bool:
    """Return whether the library for this machine exists."""
    return library_path().is_file()


def build(march: str = NATIVE) -> Path:
    """Compile the library unless it exists, and return its path.

    Args:
        march: as for ``library_path``.

    Raises:
        ValueError: there is no compiler, or it cannot compile the engine.
    """
    path = library_path(march)
    if path.is_file():
        return path
    program = compiler()
    if program is None:
        raise ValueError("no C++ compiler: install g++ (apt install g++), or use engine='numba'")

    # Written to a temporary name and renamed, so that no other process loads half a library.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path, several_writers=True) as partial:
        command = [program, *FLAGS, f"-march={march}", "-shared", str(SOURCE), "-o", str(partial)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise ValueError(
                f"the C++ compiler {program} does not start ({error}); set CXX to another compiler"
            ) from None
        if done.returncode:
            reason = "\n".join(done.stderr.splitlines()[-5:])
            raise ValueError(f"{program} cannot compile the engine; set CXX to g++ 9 or newer\n{reason}")
    return path


@cache
def open_library(path: Path) -> ctypes.CDLL:
    """Open the library and declare the types of its functions.

    Import torch first, so that both share one OpenMP and its threads.

    Raises:
        ValueError: the file is not a library for this machine.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ValueError(f"{path}: does not load ({error}); remove it and run {FIX}") from None
    library.xtc_instructions.restype = ctypes.c_char_p
    pointer, long, real, integer = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
    library.xtc_linear.restype = None
    library.xtc_linear.argtypes = [
        *(integer, integer, integer, pointer, long, long, pointer, long),
        *(pointer, integer, pointer, real, real, real, pointer, integer),
    ]
    return library


def instructions(path: Path) -> str:
    """Return the instructions that a built library uses: avx512-vnni, avx2 or plain."""
    name: bytes = open_library(path).xtc_instructions()
    return name.decode()


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xtc-study"
