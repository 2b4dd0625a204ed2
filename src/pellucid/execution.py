"""Where work runs, and with how many threads.

One small interface, ``map(function, chunks)``: in this process, or in several. Thread counts are set inside a context and
restored, because two torch processes with all threads each slow each other tenfold.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

from pellucid.errors import RequestError

__all__ = ["Executor", "InProcess", "Processes", "default_threads", "executor", "limit_threads"]

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
