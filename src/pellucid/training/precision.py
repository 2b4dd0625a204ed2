"""Which arithmetic a fit uses: chosen by measuring, once per machine and shape class, and kept.

bfloat16 products are several times faster than float32 ones on processors with matrix units and many times slower on others, and
compiling pays only on long fits; so neither is guessed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

__all__ = ["Arithmetic", "cache_folder", "choose_arithmetic", "matrix_gain", "shape_class"]

LONG = 3e11  # multiply-adds of a fit, above which measuring pays: some ten seconds on one core
COMPILE_SECONDS = 600.0  # expected length of a fit above which compiling is tried: compiling itself takes about a minute
GAIN = 1.15  # a change must be this much faster, so that noise does not decide


@dataclass(frozen=True)
class Arithmetic:
    """The choice for one fit.

    Attributes
    ----------
    precision : ``"fp32"`` or ``"bf16"`` (matrix products only; weights, norms, losses and encoders stay float32).
    compiled : whether the network is compiled.
    why : what decided.
    """

    precision: str = "fp32"
    compiled: bool = False
    why: str = "short fit"


def cache_folder() -> Path:
    """Return the user's cache folder: ``PELLUCID_CACHE``, or the platform's own place."""
    if given := os.environ.get("PELLUCID_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "pellucid"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pellucid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid"


def shape_class(device: torch.device, threads: int, *sizes: int) -> str:
    """Return the key under which a choice is kept: machine, torch, device, threads, and sizes rounded to powers of two."""
    classes = "-".join(str(max(int(n), 1).bit_length()) for n in sizes)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{name} | torch {torch.__version__} | {device.type} | {threads} threads | {classes}"


def _processor() -> str:
    with contextlib.suppress(OSError):  # only Linux has the file; the platform's own name is the answer elsewhere
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def matrix_gain(device: torch.device, n: int = 512) -> float:
    """Return how many times faster a bfloat16 product of n x n matrices is than a float32 one. Cost: some milliseconds."""
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(n, n, device=device, dtype=dtype)
        seconds.append(_fastest(lambda a=a: a @ a, device, 3))  # type: ignore[misc]
    return seconds[0] / seconds[1]


def _fastest(function: Callable[[], object], device: torch.device, times: int) -> float:
    """Return the shortest of some runs, after one that warms up."""
    best = float("inf")
    for i in range(times + 1):
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = best if i == 0 else min(best, time.perf_counter() - started)
    return best


def choose_arithmetic(
    precision: str, compile: bool | str, *, work: float, steps: int, device: torch.device, key: str, step: Callable[[Arithmetic], object]
) -> Arithmetic:
    """Return the arithmetic of a fit.

    Parameters
    ----------
    precision, compile : what was asked for; ``"auto"`` is decided here.
    work : multiply-adds of the whole fit.
    steps : planned steps.
    device : where it runs.
    key : of the shape class.
    step : takes one trial step (on copies) with an arithmetic.
    """
    fixed = Arithmetic("bf16" if precision == "bf16" else "fp32", compile is True, "asked for")
    if precision != "auto" and compile != "auto":
        return fixed
    if work < LONG:
        return Arithmetic(fixed.precision, compile is True, "short fit")
    kept = _kept()
    name = f"{key} | {precision} | {compile}"
    if name in kept:
        return Arithmetic(**kept[name])  # type: ignore[arg-type]
    choice = _measured(fixed, precision == "auto", compile == "auto", steps, device, step)
    _keep({**kept, name: asdict(choice)})
    return choice


def _measured(
    start: Arithmetic, free_precision: bool, free_compile: bool, steps: int, device: torch.device, step: Callable[[Arithmetic], object]
) -> Arithmetic:
    """Try what is free, one after the other, and keep what is clearly faster."""
    best, words = start, []
    seconds = _fastest(lambda: step(start), device, 3)
    if free_precision:
        gain = matrix_gain(device)
        words.append(f"bf16 products run at {gain:.2g} times the speed of fp32")
        if gain > GAIN:
            other = Arithmetic("bf16", start.compiled)
            theirs = _fastest(lambda: step(other), device, 3)
            words.append(f"steps at {seconds / theirs:.2g} times")
            if seconds > GAIN * theirs:
                best, seconds = other, theirs
    if free_compile and seconds * steps > COMPILE_SECONDS:
        other = Arithmetic(best.precision, True)
        try:
            theirs = _fastest(lambda: step(other), device, 3)
        except Exception as error:  # whatever a compiler throws, the plain network still works
            words.append(f"compiling failed ({type(error).__name__})")
        else:
            words.append(f"compiled steps run at {seconds / theirs:.2g} times the speed")
            best = other if seconds > GAIN * theirs else best
    return Arithmetic(best.precision, best.compiled, "; ".join(words) or "nothing to choose")


def _kept() -> dict[str, dict[str, object]]:
    try:
        found = json.loads((cache_folder() / "arithmetic.json").read_text())
    except (OSError, ValueError):  # absent, unreadable or cut short: measure again
        return {}
    return found if isinstance(found, dict) else {}


def _keep(choices: dict[str, dict[str, object]]) -> None:
    folder = cache_folder()
    with contextlib.suppress(OSError):  # a read-only home only costs the next fit a few seconds
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".arithmetic.json.{os.getpid()}"
        beside.write_text(json.dumps(choices, indent=1))
        os.replace(beside, folder / "arithmetic.json")
