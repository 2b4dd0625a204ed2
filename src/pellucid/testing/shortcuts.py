"""Planted shortcuts: two features that tell a class, one better, one easier to read. Which does a model rely on?

Hermann, Mobahi, Fel, Mozer 2023, arXiv:2310.16228. Letters: N rows, D inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["Planted", "bias", "planted"]

GRID = 41
REACH = 3.0


@dataclass(frozen=True)
class Planted:
    """A table with a core feature and a shortcut.

    Attributes
    ----------
    x : (N, D) inputs: core times ``directions[0]`` plus shortcut times ``directions[1]``. y : (N,) classes 0 and 1.
    latent : (N, 2) core and shortcut. directions : (2, D), the second one longer by ``availability``.
    means : (2,) class means of the latents are plus and minus these, with standard deviation 1.
    """

    x: FloatArray
    y: npt.NDArray[np.int64]
    latent: FloatArray
    directions: FloatArray
    means: FloatArray


def planted(
    n: int = 1000, *, core: float = 0.9, shortcut: float = 0.7, availability: float = 1.0, width: int = 50, seed: int = 0
) -> Planted:
    """Return the table: each feature alone tells the class with a chance of ``core`` and ``shortcut``.

    ``availability`` : how many times longer the shortcut's direction in the inputs is; what it tells stays the same.
    """
    from scipy.stats import norm

    draw = stream(seed, "shortcut")
    means = norm.ppf([core, shortcut])
    y = draw.integers(0, 2, n)
    latent = (2 * y[:, None] - 1) * means + draw.standard_normal((n, 2))
    frame = np.linalg.qr(draw.standard_normal((width, 2)))[0].T
    directions = frame * np.array([1.0, availability])[:, None]
    return Planted(latent @ directions, y, latent, directions, np.asarray(means))


def _reliance(decides: Callable[[FloatArray], npt.NDArray[np.bool_]], of: Planted) -> float:
    """Return the share of a grid of latents where the decision goes with the shortcut's sign, minus that where it goes with the core's."""
    side = np.linspace(-REACH, REACH, GRID)
    grid = np.array(np.meshgrid(side, side)).reshape(2, -1).T
    grid = grid[(grid != 0).all(1)]
    said = decides(grid @ of.directions)
    return float((said == (grid[:, 1] > 0)).mean() - (said == (grid[:, 0] > 0)).mean())


def bias(decides: Callable[[FloatArray], npt.NDArray[np.bool_]], of: Planted) -> float:
    """Return how much more a model relies on the shortcut than the best classifier does; 0 is unbiased.

    The best one is linear in the latents with weights ``means`` (normal classes of one spread). ``decides`` : inputs (M, D) -> (M,),
    class 1.
    """
    back = np.linalg.pinv(of.directions)

    def best(x: FloatArray) -> npt.NDArray[np.bool_]:
        return np.asarray((x @ back) @ of.means > 0)

    return _reliance(decides, of) - _reliance(best, of)
