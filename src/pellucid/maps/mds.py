"""Metric scaling: places whose distances are as near to the rows' distances as can be, by majorisation.

De Leeuw and Mair 2009, doi:10.18637/jss.v031.i03. The stress is the mean over pairs of the squared difference of the two distances.
Letters: N rows, M new rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.maps.ask import Ask
from pellucid.maps.classical_mds import AddPoint, scaled
from pellucid.maps.distances import between
from pellucid.maps.layout import Layout
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.table import Table

__all__ = ["FewestStress", "find", "majorised"]


@dataclass(frozen=True)
class FewestStress:
    """New rows where their own stress against the fixed rows of the map is least; started by Gower's formula.

    Attributes
    ----------
    first : the start. ask : the rows of the map. coordinates : (N, 2).
    """

    first: AddPoint
    ask: Ask
    coordinates: FloatArray
    words: str = "put where their own stress against the rows of the map, which stay, is least"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        wanted = between(self.ask, points, table)
        return self.place(wanted)

    def place(self, wanted: FloatArray, steps: int = 100) -> FloatArray:
        """Return the places (M, 2) of rows by their distances (M, N)."""
        y, x = self.first.place(wanted**2), self.coordinates
        for _ in range(steps):
            apart = y[:, None] - x[None]
            d = np.linalg.norm(apart, axis=2)
            pull = np.where(d > 1e-12, wanted / np.maximum(d, 1e-12), 0.0)
            moved: FloatArray = x.mean(0) + (pull[:, :, None] * apart).mean(1)
            if np.abs(moved - y).max(initial=0.0) < 1e-6:
                return moved
            y = moved
        return y


def majorised(distance: FloatArray, start: FloatArray, steps: int, tolerance: float) -> tuple[FloatArray, FloatArray]:
    """Return (places (N, 2), stress after each step): each step goes to the minimum of a parabola that lies above the stress.

    distance : (N, N). Stops when the stress falls by less than ``tolerance`` of itself. Cost: N^2 a step.
    """
    from scipy.spatial.distance import cdist

    n, y = len(distance), start
    pairs = max(n * (n - 1), 1)
    d = cdist(y, y)
    trace = [float(((distance - d) ** 2).sum() / pairs)]
    for _ in range(steps):
        ratio = np.where(d > 1e-12, distance / np.maximum(d, 1e-12), 0.0)
        y = (ratio.sum(1)[:, None] * y - ratio @ y) / n
        d = cdist(y, y)
        trace.append(float(((distance - d) ** 2).sum() / pairs))
        if trace[-2] - trace[-1] < tolerance * trace[-2]:
            break
    return y, np.array(trace)


def find(ask: Ask) -> Layout:
    """Return the places of least stress near the classical solution (or a random start, for the second map).

    Cost: N^2 memory, N^2 a step, at most ``steps`` steps; 1,500 rows by default.
    """
    distance = between(ask, ask.points, ask.table)
    coordinates, size, norms, _ = scaled(distance)
    first = AddPoint(ask, coordinates, size, norms)
    start = coordinates
    if ask.fresh:
        start = stream(ask.seed, "start").standard_normal(coordinates.shape) * max(float(coordinates.std()), 1e-12)
    places, trace = majorised(distance, start, int(ask.options["steps"]), float(ask.options["tolerance"]))
    whole = float((distance**2).sum() / max(len(distance) * (len(distance) - 1), 1))
    losses = {
        "stress": float(trace[-1]),
        "stress at the start": float(trace[0]),
        "stress-1": float(np.sqrt(trace[-1] / max(whole, 1e-300))),
    }
    settings = {"steps_taken": len(trace) - 1}
    return Layout(places, FewestStress(first, ask, places), trace=trace, losses=losses, random=True, settings=settings)
