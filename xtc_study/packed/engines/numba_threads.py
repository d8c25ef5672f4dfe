"""The loops of ``numba_kernels``, with their rows divided among torch's own OpenMP threads.

Why not numba's own ``prange`` or a thread pool: between two products torch's threads keep spinning for milliseconds
while they wait for work, and threads of another pool would compete with them for the cores. Measured on 12 layers of
BERT-base, one text of 128 tokens, two threads: 51 ms this way, 58 to 69 ms with a pool of Python threads, 95 ms with
one thread for the loops (benchmarks/README.md).

So torch's threads get the work through GOMP_parallel, to which compilers translate ``#pragma omp parallel``. It takes
a function and one address; a job is therefore an array of addresses, which ``pointer`` converts back to arrays. Import
this module only if ``openmp()`` finds the library.

numba's cache depends only on the age of this file and does not notice a changed kernel: touch this file after changing
one.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from xtc_study.packed.engines import numba_kernels as kernels
from xtc_study.packed.engines.openmp import openmp

library: Any = openmp()
for name in ("omp_get_thread_num", "omp_get_num_threads"):
    llvm.add_symbol(f"xtc_{name}", ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
thread_number = types.ExternalFunction("xtc_omp_get_thread_num", types.int32())
number_of_threads = types.ExternalFunction("xtc_omp_get_num_threads", types.int32())


def run(loop: Any, threads: int, *values: Any) -> None:
    """Call a loop of this file in each thread.

    Args:
        loop: one of the functions below.
        threads: number of threads.
        values: contiguous arrays, passed by address, and integers.
    """
    job = np.array([value if isinstance(value, int) else value.ctypes.data for value in values], np.int64)
    library.GOMP_parallel(loop.address, job.ctypes.data, threads, 0)


@intrinsic
def pointer(typing, address):  # type: ignore[no-untyped-def]
    """Convert an integer to the address that it holds."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


@njit
def part(count):  # type: ignore[no-untyped-def]
    """Return this thread's share of ``count`` rows: the first, and one past the last."""
    thread, threads = np.int64(thread_number()), np.int64(number_of_threads())
    return count * thread // threads, count * (thread + 1) // threads


@cfunc("void(voidptr)", cache=True)
def quantize_rows(job):  # type: ignore[no-untyped-def]
    """job: x; levels, limit and epsilon; q, scales; M, K."""
    j = carray(job, 6, np.int64)
    start, stop = part(j[4])
    x = carray(pointer(j[0]), (j[4], j[5]), np.float32)
    constants = carray(pointer(j[1]), 3, np.float32)
    q = carray(pointer(j[2]), (j[4], j[5]), np.int8)
    scales = carray(pointer(j[3]), j[4], np.float32)
    kernels.quantize_rows(x[start:stop], constants[0], constants[1], constants[2], q[start:stop], scales[start:stop])


@cfunc("void(voidptr)", cache=True)
def scale_sums(job):  # type: ignore[no-untyped-def]
    """job: sums, weight_scale, scales, bias, y; M, N."""
    j = carray(job, 7, np.int64)
    start, stop = part(j[5])
    sums = carray(pointer(j[0]), (j[5], j[6]), np.int32)
    weight_scale = carray(pointer(j[1]), j[6], np.float32)
    scales = carray(pointer(j[2]), j[5], np.float32)
    bias = carray(pointer(j[3]), j[6], np.float32)
    y = carray(pointer(j[4]), (j[5], j[6]), np.float32)
    kernels.scale_sums(sums[start:stop], weight_scale, scales[start:stop], bias, y[start:stop])


@cfunc("void(voidptr)", cache=True)
def spread_one_bit(job):  # type: ignore[no-untyped-def]
    """job: codes, wide; bytes."""
    j = carray(job, 3, np.int64)
    start, stop = part(j[2])
    codes, wide = carray(pointer(j[0]), j[2], np.uint8), carray(pointer(j[1]), j[2], np.uint64)
    kernels.spread_one_bit(codes[start:stop], wide[start:stop])


@cfunc("void(voidptr)", cache=True)
def spread_two_bits(job):  # type: ignore[no-untyped-def]
    """job: codes, wide; bytes."""
    j = carray(job, 3, np.int64)
    start, stop = part(j[2])
    codes, wide = carray(pointer(j[0]), j[2], np.uint8), carray(pointer(j[1]), j[2], np.uint32)
    kernels.spread_two_bits(codes[start:stop], wide[start:stop])


@cfunc("void(voidptr)", cache=True)
def spread_odd(job):  # type: ignore[no-untyped-def]
    """job: codes, wide; bytes."""
    j = carray(job, 3, np.int64)
    start, stop = part(j[2])
    codes, wide = carray(pointer(j[0]), j[2], np.uint8), carray(pointer(j[1]), j[2], np.uint32)
    kernels.spread_odd(codes[start:stop], wide[start:stop])
