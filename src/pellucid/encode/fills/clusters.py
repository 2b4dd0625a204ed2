"""Fill from the cluster a row belongs to: the cluster's median for numbers, its most frequent level for levels.

k-means on scaled numbers and indicators of levels, the gaps filled again with the centre of their cluster after every round (k-POD: Chi,
Chi, Baraniuk 2016, doi:10.1080/00031305.2015.1086685).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from pellucid.encode.fills.base import Columns, Fill, FloatArray, Ints, Rows, typical
from pellucid.encode.fills.indicators import indicators, scaled
from pellucid.encode.fills.neighbours import centre
from pellucid.random import integer

__all__ = ["Cluster"]

ROUNDS = 5
FIT_ROWS = 20_000


class Cluster(Fill):
    """The median or most frequent level of the nearest of k clusters; a row without a known cell gets that of all rows.

    Cost: 5 rounds of k-means on at most 20,000 rows.
    """

    options = {"k": 8}  # noqa: RUF012

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        from sklearn.cluster import KMeans

        mean, scale = centre(values, columns)
        some = values[:: max(1, len(values) // FIT_ROWS)]
        x, known = indicators(scaled(some, mean, scale), columns)
        k = max(1, min(int(self.set["k"]), len(np.unique(x, axis=0))))
        random = {"random_state": integer(seed, "fill", "clusters") % 2**31}
        gaps = (~known).sum(1)
        # gaps stand at the mean at first: among all rows, those that lack the same cell would be a cluster of their own for good
        fewest = x[gaps <= np.median(gaps)]
        fewest = fewest if len(np.unique(fewest, axis=0)) >= k else x
        centres = KMeans(k, n_init=4, **random).fit(fewest).cluster_centers_
        for _ in range(ROUNDS - 1):
            filled = np.where(known, x, centres[_closest(x, known, centres)])
            centres = KMeans(k, init=centres, n_init=1, **random).fit(filled).cluster_centers_
        self.learned = {"mean": mean, "scale": scale, "centres": centres, "typical": typical(values, columns, targets)}
        label = self._nearest(values, columns)
        within = [typical(values[label == c], columns, targets) if (label == c).any() else self.learned["typical"] for c in range(k)]
        empty = np.array([[np.isnan(values[label == c][:, j]).all() for j in targets] for c in range(k)])
        self.learned["within"] = np.where(empty, self.learned["typical"], np.array(within))
        return self

    def _nearest(self, values: FloatArray, columns: Columns) -> Ints:
        """Return (N,) the cluster of each row by its known cells, -1 where it has none."""
        mean, scale, centres = (np.asarray(self.learned[k]) for k in ("mean", "scale", "centres"))
        x, known = indicators(scaled(values, mean, scale), columns)
        return np.where(known.any(axis=1), _closest(x, known, centres.reshape(-1, x.shape[1])), -1).astype(np.int64)

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        within = np.asarray(self.learned["within"]).reshape(-1, len(targets))
        label = self._nearest(values, columns)
        return np.where(label[:, None] >= 0, within[label], np.asarray(self.learned["typical"]))


def _closest(x: FloatArray, known: npt.NDArray[np.bool_], centres: FloatArray) -> Ints:
    """Return (N,) the centre that each row lies nearest to in its known cells."""
    far = (x**2).sum(1, keepdims=True) - 2 * x @ centres.T + known @ (centres**2).T
    return np.asarray(np.round(far, 9).argmin(1), np.int64)
