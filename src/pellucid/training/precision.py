"""Which arithmetic a fit uses: chosen by measuring, once per machine and shape class, and kept.

bfloat16 products are several times faster than float32 ones on processors with matrix units and many times slower on others,
compiling pays only on long fits, and small networks, like busy machines, are slower with several threads than with one; so none of
these is guessed. Into how many shards a batch is cut does follow from sizes alone, for it changes which numbers are drawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from pellucid.errors import RequestError
from pellucid.execution import default_threads
from pellucid.files import whole

__all__ = ["Arithmetic", "cache_folder", "choose_arithmetic", "matrix_gain", "shape_class", "shard_count"]

LONG = 2e10  # multiply-adds of a fit, above which measuring pays: some seconds on one core
COMPILE_SECONDS = 600.0  # expected length of a fit above which compiling is tried: compiling itself takes about a minute
GAIN = 1.15  # a change must be this much faster, so that noise does not decide
FORM = 3  # of the networks' arithmetic: raised where their steps become faster or slower, so that older choices are made anew
SHARD_WORK = 1e9  # multiply-adds of a step, forward, that each shard must have: below it threads wait for each other's turn to call
SHARD_ROWS = 64  # rows that each must have
RACE, MOST_RUNS = 0.3, 30  # seconds of a race of trial steps beyond its first three, and its most runs
QUIET = 0.8  # share of the threads' time the processor must grant: below it others hold the cores, and threads wait for each other


@dataclass(frozen=True)
class Arithmetic:
    """The choice for one fit.

    Attributes
    ----------
    precision : ``"fp32"`` or ``"bf16"`` (matrix products only; weights, norms, losses and encoders stay float32).
    compiled : whether the network is compiled.
    threads : of torch; with shards, how many of them are learned side by side, with one torch thread each.
    shards : parts into which the rows of a batch are cut.
    why : what decided.
    """

    precision: str = "fp32"
    compiled: bool = False
    threads: int = 1
    shards: int = 1
    why: str = "short fit"

    @property
    def of_torch(self) -> int:
        """How many threads torch itself uses: shards have one each."""
        return self.threads if self.shards == 1 else 1


def cache_folder() -> Path:
    """Return the user's cache folder: ``PELLUCID_CACHE``, or the platform's own place."""
    if given := os.environ.get("PELLUCID_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "pellucid"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pellucid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid"


def shape_class(device: torch.device, *sizes: int) -> str:
    """Return the key under which a choice is kept: machine, cores, torch, device, and sizes rounded to powers of two."""
    classes = "-".join(str(max(int(n), 1).bit_length()) for n in sizes)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{name} | torch {torch.__version__} | {device.type} | {default_threads()} cores | form {FORM} | {classes}"


def _processor() -> str:
    with contextlib.suppress(OSError):  # only Linux has the file; the platform's own name is the answer elsewhere
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def shard_count(threads: int, rows: int, work: float) -> int:
    """Return into how many shards batches of ``rows`` are cut, ``work`` multiply-adds a step; by sizes and the threads that may be used.

    Examples
    --------
    >>> shard_count(2, 256, 3e9), shard_count(2, 256, 1e8), shard_count(16, 256, 1e11)
    (2, 1, 4)
    """
    return max(1, min(threads, rows // SHARD_ROWS, int(work // SHARD_WORK)))


def matrix_gain(device: torch.device, n: int = 512) -> float:
    """Return how many times faster a bfloat16 product of n x n matrices is than a float32 one. Cost: some milliseconds."""
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(n, n, device=device, dtype=dtype)
        seconds.append(_raced([lambda a=a: a @ a], device)[0])  # type: ignore[misc]
    return seconds[0] / seconds[1]


def _raced(functions: Sequence[Callable[[], object]], device: torch.device) -> list[float]:
    """Return each function's shortest of at least 3 runs, and of as many as ``RACE`` seconds hold, after one that warms up.

    They take turns, so that noise meets all of them.
    """
    best, runs, ends = [float("inf")] * len(functions), 0, 0.0
    while runs < 4 or (runs < MOST_RUNS and time.perf_counter() < ends):
        for j, function in enumerate(functions):
            started = time.perf_counter()
            function()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best[j] = float("inf") if runs == 0 else min(best[j], time.perf_counter() - started)
        runs += 1
        ends = ends or time.perf_counter() + RACE
    return best


def choose_arithmetic(
    precision: str, compile: bool | str, threads: int | str, *, work: float, steps: int, device: torch.device, key: str,
    step: Callable[[Arithmetic], object], shards: Callable[[int], int] = lambda threads: 1,
) -> Arithmetic:  # fmt: skip
    """Return the arithmetic of a fit.

    Parameters
    ----------
    precision, compile, threads : what was asked for; ``"auto"`` is decided here.
    work : multiply-adds of the whole fit.
    steps : planned steps.
    device : where it runs.
    key : of the shape class.
    step : takes one trial step (on copies) with an arithmetic, its threads among it.
    shards : threads that may be used -> shards of a batch.
    """
    most = min(torch.get_num_threads(), default_threads()) if threads == "auto" else int(threads)
    fixed = Arithmetic(
        "bf16" if precision == "bf16" else "fp32", compile is True, most, 1 if compile is True else shards(most), "asked for"
    )
    if "auto" in (precision, compile, threads):
        return _short(fixed, threads, device) if work < LONG else _long(fixed, precision, compile, threads, steps, device, key, step)
    return fixed


def _short(start: Arithmetic, threads: int | str, device: torch.device) -> Arithmetic:
    """Return the arithmetic of a fit too short to measure for: one thread, for several would only wait for each other."""
    return replace(start, threads=1 if threads == "auto" and device.type == "cpu" and start.shards == 1 else start.threads, why="short fit")


def _long(
    start: Arithmetic, precision: str, compile: bool | str, threads: int | str, steps: int, device: torch.device, key: str,
    step: Callable[[Arithmetic], object],
) -> Arithmetic:  # fmt: skip
    """Return the kept choice of the shape class, or measure and keep it; on a busy machine use one thread and keep nothing."""
    busy = threads == "auto" and device.type == "cpu" and start.threads > 1 and _busy(lambda: step(start), start.threads)
    if busy:
        start = replace(start, threads=1)
    kept, name = _kept(), f"{key} | {precision} | {compile} | {threads} | {start.shards}"
    if name in kept and set(kept[name]) == set(asdict(start)):
        choice = Arithmetic(**kept[name])  # type: ignore[arg-type]
    else:
        alone = threads == "auto" and not busy and start.shards == 1
        choice = _measured(start, precision == "auto", compile == "auto" and start.shards == 1, alone, steps, device, step)
        if not busy:
            _keep(name, asdict(choice))
    return replace(choice, threads=1, why=f"{choice.why}; one thread, for the machine is busy") if busy else choice


def _busy(step: Callable[[], object], threads: int) -> bool:
    """Return whether other work holds the cores: threads that wait for each other spin, so a free machine grants time to all.

    Of three steps the one with the most time granted counts: other work takes from all of them, a moment's noise does not.
    """
    step()
    shares = []
    for _ in range(3):
        wall, granted = time.perf_counter(), time.process_time()
        step()
        shares.append((time.process_time() - granted) / (time.perf_counter() - wall))
    return max(shares) < QUIET * threads


def _measured(
    start: Arithmetic, free_precision: bool, free_compile: bool, free_threads: bool, steps: int, device: torch.device,
    step: Callable[[Arithmetic], object],
) -> Arithmetic:  # fmt: skip
    """Try what is free, one after the other, and keep what is clearly faster."""
    best, words, seconds = start, list[str](), 0.0
    if free_threads and start.threads > 1 and device.type == "cpu":
        one = replace(start, threads=1)
        seconds, alone = _raced([lambda: step(start), lambda: step(one)], device)
        words.append(f"steps with {start.threads} threads run at {alone / seconds:.2g} times the speed of one")
        if alone < GAIN * seconds:
            best, seconds = one, alone
    if free_precision:
        gain = matrix_gain(device)
        words.append(f"bf16 products run at {gain:.2g} times the speed of fp32")
        if gain > GAIN:
            other = replace(best, precision="bf16")
            held = best
            seconds, theirs = _raced([lambda: step(held), lambda: step(other)], device)
            words.append(f"steps at {seconds / theirs:.2g} times")
            if seconds > GAIN * theirs:
                best, seconds = other, theirs
    if free_compile and (seconds or _raced([lambda: step(best)], device)[0]) * steps > COMPILE_SECONDS:
        other = replace(best, compiled=True)
        try:
            seconds, theirs = _raced([lambda: step(best), lambda: step(other)], device)
        except Exception as error:  # whatever a compiler throws, the plain network still works
            words.append(f"compiling failed ({type(error).__name__})")
        else:
            words.append(f"compiled steps run at {seconds / theirs:.2g} times the speed")
            best = other if seconds > GAIN * theirs else best
    return replace(best, why="; ".join(words) or "nothing to choose")


def _kept() -> dict[str, dict[str, object]]:
    try:
        found = json.loads((cache_folder() / "arithmetic.json").read_text())
    except (OSError, ValueError):  # absent, unreadable or cut short: measure again
        return {}
    return found if isinstance(found, dict) else {}


def _keep(name: str, choice: dict[str, object]) -> None:
    """Add one choice to those kept, as they are now: other processes may have kept theirs while this one measured."""
    folder = cache_folder()
    with contextlib.suppress(OSError, RequestError):  # a read-only home only costs the next fit a few seconds
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / "arithmetic.json") as place:
            place.write_text(json.dumps({**_kept(), name: choice}, indent=1))
