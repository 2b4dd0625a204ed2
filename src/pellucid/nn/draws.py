"""Random numbers of a training step, a stream for each thread.

The parts of a batch are learned side by side by threads (``training/run.py``); each fixes its own stream, so that no thread's draws depend
on when another one ran.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

__all__ = ["MaskSet", "draw_normal", "draw_uniform", "dropout_mask", "seed_draws", "seed_step", "shared_mask", "shares_masks", "sharing"]

_POOL = 1 << 21
_pools: dict[tuple[float, torch.device, torch.dtype], torch.Tensor] = {}


class _Streams(threading.local):
    """What one thread draws from: places in the pools of masks, and uniform numbers."""

    def __init__(self) -> None:
        self.places = random.Random(0)
        self.uniform = torch.Generator()
        self.shared: MaskSet | None = None


_streams = _Streams()


def seed_draws(seed: int) -> None:
    """Fix what the following calls of this module's functions draw in this thread."""
    _streams.places.seed(seed)
    _streams.uniform.manual_seed(seed)


def seed_step(seed: int, device: torch.device) -> None:
    """Give a training step its own random numbers, torch's and this module's, so that a resumed fit needs no generator state."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    seed_draws(seed)


def draw_uniform(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return numbers from [0, 1). Devices other than the processor draw from their own generator."""
    if device.type != "cpu" or torch.compiler.is_compiling():
        return torch.rand(tuple(shape), device=device)
    return torch.rand(tuple(shape), generator=_streams.uniform)


def draw_normal(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Return standard normal numbers of the kind and place of ``like``."""
    if like.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.randn(tuple(shape), device=like.device, dtype=like.dtype)
    return torch.randn(tuple(shape), generator=_streams.uniform, dtype=like.dtype)


class MaskSet:
    """One draw of all dropout masks of a network, the same for every row: with it the network is one function of a row.

    Parameters
    ----------
    seed : of the draw; equal seeds give equal masks, whatever the batch.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.site, self._kept = seed, 0, dict[tuple[int, tuple[int, ...], float], torch.Tensor]()

    def next(self, shape: Sequence[int], p: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """Return the mask of the next place that drops out, (1, ...)."""
        key = (self.site, tuple(shape[1:]), p)
        self.site += 1
        if key not in self._kept:
            draw = np.random.default_rng((self.seed, key[0])).random((1, *key[1]), np.float32)
            with torch.inference_mode(False):  # numpy's: a stack of networks then shares the mask
                self._kept[key] = torch.from_numpy(np.where(draw < p, np.float32(0), np.float32(1 / (1 - p))))
        return self._kept[key].to(device, dtype)


@contextlib.contextmanager
def sharing(masks: MaskSet) -> Iterator[None]:
    """Let this thread's dropout use these masks, in evaluation too, while all else stays as in evaluation."""
    held = _streams.shared
    fresh = MaskSet(masks.seed)
    fresh._kept = masks._kept  # the place counts from 0 in every thread, what was drawn is drawn once
    _streams.shared = fresh
    try:
        yield
    finally:
        _streams.shared = held


def shares_masks() -> bool:
    """Tell whether this thread is within :func:`sharing`."""
    return _streams.shared is not None


def shared_mask(shape: Sequence[int], p: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor | None:
    """Return the mask for all rows of :func:`sharing`, (1, ...), or None outside of it."""
    return None if _streams.shared is None else _streams.shared.next(shape, p, device, dtype)


def dropout_mask(shape: Sequence[int], p: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor of 0, a share ``p`` of it, and 1 / (1 - p). It is a view: never write into it.

    # NOTE[DIFF] The mask is cut at a random place from a fixed pool of two million random entries or more. Drawing fresh bits costs a
    # processor more than the layer's matrix product; a cut costs one multiplication.
    """
    if torch.compiler.is_compiling():
        return nn.functional.dropout(torch.ones(shape, device=device, dtype=dtype), p)
    n = math.prod(shape)
    reach = _POOL if 2 * n <= _POOL else _POOL * (-(-n // _POOL) + 1)  # by n alone: what was asked for before must not move the place
    pool = _pools.get((p, device, dtype))
    if pool is None or len(pool) < reach:  # a longer pool begins as the shorter one
        draw = np.random.default_rng(0).random(reach, np.float32)
        with torch.inference_mode(False):  # kept for training, whoever draws first
            pool = torch.from_numpy(np.where(draw < p, np.float32(0), np.float32(1 / (1 - p)))).to(device, dtype)
        _pools[p, device, dtype] = pool
    start = 16 * _streams.places.randrange((reach - n) // 16 + 1)  # multiples of 16 entries keep vector loads aligned
    return pool[start : start + n].view(tuple(shape))
