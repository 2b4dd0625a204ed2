"""Where work runs, and with how many threads.

One small interface, ``map(function, chunks)``: in this process, or in several. Thread counts are set inside a context and
restored, because two torch processes with all threads each slow each other tenfold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

from pellucid.errors import RequestError

__all__ = ["Executor", "InProcess", "Processes", "default_threads", "executor", "keep_memory", "limit_threads"]

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Runs one function over many chunks and yields the results in order."""

    def map(self, function: Callable[[T], R], chunks: Iterable[T]) -> Iterator[R]: ...


class InProcess:
    """Run every chunk here, one after the other, lazily."""

    def map(self, function: Callable[[T], R], chunks: Iterable[T]) -> Iterator[R]:
        return map(function, chunks)


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


_TRIM, _MAP = -1, -3  # names of glibc's mallopt: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_KEEP = 1 << 30
_USUAL = 32 << 20  # where glibc's own adjustment ends up after freeing large blocks


@contextlib.contextmanager
def keep_memory() -> Iterator[bool]:
    """Let the C library keep freed memory inside the block; yields whether it does.

    Training frees and asks for the same large tensors in every step. glibc hands large blocks back to the system at once, which must then
    clear every page anew: on a plain processor that can take a third of a step. Other C libraries are left as they are. Afterwards unused
    memory is handed back.
    """
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    set_option = getattr(library, "mallopt", None)
    kept = set_option is not None and all(set_option(option, _KEEP) for option in (_TRIM, _MAP))
    try:
        yield kept
    finally:
        if set_option is not None:
            set_option(_MAP, _USUAL)
            set_option(_TRIM, 2 * _USUAL)
            library.malloc_trim(0)  # type: ignore[union-attr]
