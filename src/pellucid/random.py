"""Named random streams: one seed per call, one independent stream per purpose.

Splitting by name (and not by order of use) means that adding a consumer never changes the numbers another one draws.
"""

from __future__ import annotations

import hashlib
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError

__all__ = ["as_seed", "integer", "mix", "stream"]

Seed = int | np.random.RandomState | np.random.Generator | None


def as_seed(random_state: Any) -> int:
    """Return a non-negative integer seed below 2**63 from what scikit-learn users pass as ``random_state``.

    ``None`` draws one from the operating system; it is recorded, so that the run can be replayed all the same.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])
    if isinstance(random_state, Integral):
        return int(random_state) % 2**63
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**31 - 1))
    raise ArgumentError("random_state cannot be used", expected="None, an integer or a numpy generator", got=type(random_state).__name__)


def integer(seed: int, *names: object) -> int:
    """Return the 63-bit integer seed of the stream called ``names`` under ``seed`` (for torch and scikit-learn).

    Examples
    --------
    >>> integer(0, "weights") == integer(0, "weights"), integer(0, "weights") == integer(0, "batches")
    (True, False)
    """
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def stream(seed: int, *names: object) -> np.random.Generator:
    """Return the numpy generator of the stream called ``names`` under ``seed``."""
    return np.random.default_rng(integer(seed, *names))


def mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return ``x`` with its bits well spread: draws that depend on counters of contents instead of the order of use.

    The finaliser of splitmix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
