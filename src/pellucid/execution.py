"""Where work runs, and with how many threads.

One small interface, ``map(function, chunks)``: in this process, in threads of it, or in several processes. Thread counts are set inside a
context and restored, because two torch processes with all threads each slow each other tenfold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError

if TYPE_CHECKING:
    import torch

__all__ = [
    "Executor", "InProcess", "Processes", "Threads", "default_threads", "executor", "few_threads", "keep_memory", "limit_threads",
    "to_numpy",
]  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Runs one function over many chunks and yields the results in order."""

    def map(self, function: Callable[[T], R], chunks: Iterable[T]) -> Iterator[R]: ...


class InProcess:
    """Run every chunk here, one after the other, lazily."""

    def map(self, function: Callable[[T], R], chunks: Iterable[T]) -> Iterator[R]:
        return map(function, chunks)


class Threads:
    """Run chunks side by side in ``n`` threads of this process, of which the caller's is one; each computes with one torch thread.

    Where the chunks are large, this is faster than one chunk after the other with ``n`` torch threads: those share every single operation,
    and wait for each other after each. The caller sets torch's threads to one for the time being (:func:`limit_threads`).
    """

    def __init__(self, n: int) -> None:
        if n < 2:
            raise RequestError("the number of threads is too small", expected="at least 2", got=str(n))
        self._pool = ThreadPoolExecutor(n - 1, initializer=_one_thread)  # they end when this object is collected
        self.n = n

    def map(self, function: Callable[[T], R], chunks: Iterable[T]) -> Iterator[R]:
        given = list(chunks)
        results: list[Any] = [None] * len(given)
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for i in range(len(given)):
            todo.put(i)

        def work() -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    i = todo.get_nowait()
                    results[i] = function(given[i])

        others = [self._pool.submit(work) for _ in range(min(self.n, len(given)) - 1)]
        try:
            work()
        finally:
            for other in others:
                other.result()
        return iter(results)


class Processes:
    """Run chunks in ``n`` worker processes of one thread each. The function and the chunks must pickle."""

    def __init__(self, n: int) -> None:
        if n < 1:
            raise RequestError("the number of processes is too small", expected="at least 1", got=str(n))
        self.n = n

    def map(self, function: Callable[[T], R], chunks: Iterable[T]) -> Iterator[R]:
        import multiprocessing

        # spawn, not fork: a forked child inherits the locks of torch's thread pools and can hang
        with ProcessPoolExecutor(self.n, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
            yield from pool.map(function, chunks)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def executor(workers: int = 1) -> Executor:
    """Return where to run: this process for 1, else that many processes."""
    return InProcess() if workers == 1 else Processes(workers)


def default_threads() -> int:
    """Return the number of cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@contextlib.contextmanager
def limit_threads(threads: Any = "auto") -> Iterator[int]:
    """Set torch's thread count inside the block and restore it afterwards; yields the count in use.

    ``"auto"`` keeps torch's own setting, but never more than the cores this process may use.
    """
    import torch

    before = torch.get_num_threads()
    wanted = min(before, default_threads()) if threads == "auto" else int(threads)
    if wanted < 1:
        raise RequestError("threads is too small", expected="at least 1 or 'auto'", got=repr(threads))
    torch.set_num_threads(wanted)
    try:
        yield wanted
    finally:
        torch.set_num_threads(before)


SMALL = 2**18  # cells of a matrix below which sharing a loop between cores gains nothing


@contextlib.contextmanager
def few_threads(cells: int, of: str = "openmp") -> Iterator[None]:
    """Keep the compiled loops of other libraries (OpenMP, or ``of="blas"``) on one core inside the block where a matrix has few ``cells``.

    Trees on a small table run thousands of loops of some microseconds. Their threads wait for each other by spinning: where anything else
    runs on the machine, two cores take several times as long as one.
    """
    if cells > SMALL:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api=of):
        yield


_TRIM, _PAD, _MAP = -1, -2, -3  # names of glibc's mallopt: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD
_KEEP = {_TRIM: 1 << 30, _PAD: 1 << 28, _MAP: 1 << 30}  # the padding keeps the heaps of threads, which are handed back when empty
_USUAL = {_TRIM: 64 << 20, _PAD: 128 << 10, _MAP: 32 << 20}  # where glibc's own adjustment ends up after freeing large blocks


def _library() -> ctypes.CDLL | None:
    """Return the C library where it is one that takes options."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return library if hasattr(library, "mallopt") else None


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    """Return a tensor's values as float64 in main memory; moved first, because some accelerators have no float64."""
    return np.asarray(tensor.detach().cpu().double().numpy())


@contextlib.contextmanager
def keep_memory() -> Iterator[bool]:
    """Let the C library keep freed memory inside the block; yields whether it does.

    Training frees and asks for the same large tensors in every step. glibc hands large blocks back to the system at once, which must then
    clear every page anew: on a plain processor that can take a third of a step. Other C libraries are left as they are. Afterwards unused
    memory is handed back.
    """
    library = _library()
    kept = library is not None and all(library.mallopt(option, value) for option, value in _KEEP.items())
    try:
        yield kept
    finally:
        if library is not None:
            for option, value in _USUAL.items():
                library.mallopt(option, value)
            library.malloc_trim(0)
