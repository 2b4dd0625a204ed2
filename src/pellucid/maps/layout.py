"""What a mapping method gives back: places of the rows, and how new rows are put among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["Layout", "NearestRows", "Put", "standard"]


class Put(Protocol):
    """Puts new rows on an old map."""

    @property
    def words(self) -> str:
        """How rows are put, in words."""
        ...

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2) of rows with points (M, F)."""
        ...


@dataclass(frozen=True)
class Layout:
    """A map as its method made it.

    Attributes
    ----------
    coordinates : (N, 2). put : puts new rows.
    axes : what the two axes are, empty where they have no meaning of their own.
    loadings : one line per slot: column, part, x, y; None where the map is not linear.
    trace : the loss after each step; None where there are no steps. losses : closing figures of the method's own, name -> value.
    settings : what was chosen. caveats : what the reader should know. random : True where another seed gives another map.
    """

    coordinates: FloatArray
    put: Put
    axes: tuple[str, str] = ("", "")
    loadings: pd.DataFrame | None = None
    trace: FloatArray | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    random: bool = False


@dataclass(frozen=True)
class NearestRows:
    """New rows go to the middle of the places of the rows of the map that lie nearest to them.

    Attributes
    ----------
    points : (N, F) of the map's rows. coordinates : (N, 2). k : rows that decide.
    """

    points: FloatArray
    coordinates: FloatArray
    k: int = 5
    words: str = "put at the median of the places of their 5 nearest rows: the method itself places no new rows"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        from pellucid.maps.neighbours import nearest

        rows, _ = nearest(points, self.points, min(self.k, len(self.points)))
        return np.asarray(np.median(self.coordinates[rows], axis=1))


def standard(coordinates: FloatArray) -> FloatArray:
    """Return places around 0 with each axis' sign fixed: the place farthest from 0 along it is positive."""
    centred = coordinates - coordinates.mean(0)
    far = np.abs(centred).argmax(0)
    sign = np.sign(centred[far, [0, 1]])
    return np.asarray(centred * np.where(sign == 0, 1.0, sign))
