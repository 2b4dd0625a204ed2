"""What a look at a table is: a map of its rows, a scatter of its columns, the rows that stand for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Map", "Representatives", "Scatter"]

Placer = Any
"""Anything with ``words`` and ``__call__(new) -> DataFrame``; kept beside the fields, for a map is plain data without it."""


@dataclass(frozen=True)
class Map(Result):
    """Rows on a plane, with figures of how far the plane is to be believed.

    Attributes
    ----------
    coordinates : (N, 2) places. index : (N,) labels of the rows.
    method, record : registry name, how it was made. what : of what it is a map, in words.
    figures : one line per figure of quality: figure, value, error (standard), noise (the same figure of a map of column-shuffled rows),
        noise_error, words.
    losses : the method's own closing figures, name -> value: ``stress``, ``divergence``, ``explained variance``.
    trace : (S,) the loss after each step, where the method takes steps.
    axes : what the two axes are; empty where they mean nothing by themselves. loadings : what each column weighs on them, or None.
    kept : (N,) share of its nearest rows that each row keeps on the map; None where there are too many rows to compare all with all.
    second : (N, 2) a second map turned onto the first, or None. second_words : how it was made. disparity : 0 is the same map, 1 nothing
        in common; NaN where there is no second map.
    other : (N, 2) the map at another perplexity turned onto the first, or None. other_words, other_disparity : as above.
    noise : (N, 2) the map of column-shuffled rows, or None.
    data : the cells of the rows, target included. target : its name, or None.
    answers : predicted and doubt of each row where a model was asked, or None. doubt is 1 - the probability of the answer, or for numbers
        the spread of the members.
    caution : what not to read into this kind of map; empty where nothing special holds.
    placing : how :meth:`place` puts new rows.
    """

    coordinates: FloatArray
    index: npt.NDArray[Any]
    method: str
    what: str
    record: RunRecord
    figures: pd.DataFrame
    data: pd.DataFrame
    target: str | None = None
    answers: pd.DataFrame | None = None
    losses: Mapping[str, float] | None = None
    trace: FloatArray | None = None
    axes: tuple[str, ...] = ("", "")
    loadings: pd.DataFrame | None = None
    kept: FloatArray | None = None
    second: FloatArray | None = None
    second_words: str = ""
    disparity: float = np.nan
    other: FloatArray | None = None
    other_words: str = ""
    other_disparity: float = np.nan
    noise: FloatArray | None = None
    caution: str = ""
    placing: str = ""
    placer: InitVar[Placer] = None

    def __post_init__(self, placer: Placer) -> None:
        n = len(self.index)
        wrong = {k: len(v) for k in ("coordinates", "second", "other", "noise", "kept", "data", "answers")
                 if (v := getattr(self, k)) is not None and len(v) != n}  # fmt: skip
        if wrong or self.coordinates.shape != (n, 2):
            raise RequestError("the parts of a map do not fit together", expected=f"{n} places", got=str(wrong or self.coordinates.shape))
        object.__setattr__(self, "_placer", placer)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the reader should know before believing the map."""
        return (*((self.caution,) if self.caution else ()), *self.record.caveats)

    @property
    def seed(self) -> int | None:
        """Seed of the map."""
        return self.record.seed

    @property
    def settings(self) -> Mapping[str, Any]:
        """The options in use, defaults included."""
        return self.record.settings

    def figure(self, name: str) -> float:
        """Return one figure of quality, or one of the method's own closing figures, by its name."""
        found = self.figures.loc[self.figures["figure"] == name, "value"]
        if len(found):
            return float(found.iloc[0])
        if name in (self.losses or {}):
            return float((self.losses or {})[name])
        known = [*self.figures["figure"], *(self.losses or {})]
        raise RequestError(f"there is no figure {name!r} of this map", expected=f"one of {', '.join(known)}")

    def place(self, new: Any) -> pd.DataFrame:
        """Return where new rows come to lie: x, y, familiarity, by the labels of the rows; the map itself stays.

        ``familiarity`` is the percentile of a row's nearness to the map among the map's own rows: near 0 is like nothing on the map, and
        the place of such a row says nothing.

        Parameters
        ----------
        new : rows with the columns of the map (a Table or a frame).

        Raises
        ------
        RequestError : the map was read from a file, which keeps no way to place rows.
        """
        placer = self._placer  # type: ignore[attr-defined]
        if placer is None:
            raise RequestError("this map keeps no way to place rows", do="make the map again and place rows in the same session")
        made: pd.DataFrame = placer(new)
        return made

    def words(self) -> tuple[str, ...]:
        """Return the map's figures in sentences, cautions first."""
        each: Any = self.figures.itertuples()
        lines = [f"{r.figure}: {r.value:.3f} ± {1.96 * r.error:.3f} (column-shuffled rows: {r.noise:.3f})" for r in each]
        own = [f"{k}: {v:.4g}" for k, v in (self.losses or {}).items()]
        more = [f"{self.second_words}: disparity {self.disparity:.3f}"] if self.second is not None else []
        more += [f"{self.other_words}: disparity {self.other_disparity:.3f}"] if self.other is not None else []
        return (*self.caveats, *lines, *own, *more)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: row, x, y, kept; predicted and doubt where a model was asked."""
        frame = pd.DataFrame({"row": self.index, "x": self.coordinates[:, 0], "y": self.coordinates[:, 1]})
        if self.kept is not None:
            frame["kept"] = self.kept
        return frame if self.answers is None else pd.concat([frame, self.answers.reset_index(drop=True)], axis=1)


@dataclass(frozen=True)
class Scatter(Result):
    """Up to five columns of a table, one channel each: x, y, colour, size, shape.

    Attributes
    ----------
    data : (N, channels) cells of the rows that are drawn; rows without x or y are left out.
    channels : channel -> column. types : column -> its type. units : column -> its unit, where it has one.
    n_rows : rows of the table. missing : column -> its missing cells in the table. n_left_out : rows without x or y. index : (N,) labels.
    """

    data: pd.DataFrame
    channels: Mapping[str, str]
    types: Mapping[str, str]
    units: Mapping[str, str]
    n_rows: int
    missing: Mapping[str, int]
    n_left_out: int
    index: npt.NDArray[Any]
    method: str
    record: RunRecord

    def __len__(self) -> int:
        return len(self.data)

    def to_frame(self) -> pd.DataFrame:
        """Return the cells that are drawn, by row."""
        return self.data


@dataclass(frozen=True)
class Representatives(Result):
    """Rows, or text cells, that stand for the others.

    Attributes
    ----------
    data : (K,) the chosen rows as the user wrote them, the most central first. index : (K,) their labels.
    centrality : (K,) share of a random walk over the graph of likenesses that is spent at the row, times the number of rows: 1 is average.
    stands_for : (K,) rows that are more like this one than like any other chosen one. likeness : (K,) their mean likeness to it.
    all_index, all_centrality : (N,) labels and centrality of all rows that were compared.
    coverage : mean over rows of the likeness to the nearest chosen row. chance : the same of as many rows chosen at random, with its
        range in 95 of 100 choices, (mean, low, high).
    what : rows, or the column whose cells were compared.
    """

    data: pd.DataFrame
    index: npt.NDArray[Any]
    centrality: FloatArray
    stands_for: npt.NDArray[np.int64]
    likeness: FloatArray
    all_index: npt.NDArray[Any]
    all_centrality: FloatArray
    coverage: float
    chance: tuple[float, float, float]
    what: str
    method: str
    record: RunRecord

    def __len__(self) -> int:
        return len(self.index)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per chosen row: row, centrality, stands_for, likeness, then its cells."""
        head = pd.DataFrame({"row": self.index, "centrality": self.centrality, "stands_for": self.stands_for, "likeness": self.likeness})
        cells = self.data.reset_index(drop=True)
        return pd.concat([head, cells.rename(columns={c: f"{c}_cell" for c in cells.columns if c in head})], axis=1)
