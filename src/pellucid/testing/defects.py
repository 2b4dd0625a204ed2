"""Known defects planted into clean tables, so that what claims to find them can be judged: which rows, how many of them, how many others.

Every maker takes a clean frame and a seed and returns a :class:`Planted`, which remembers the rows and what stood there before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.random import stream

__all__ = ["DEFECTS", "Planted", "Score", "judge"]

Ints = npt.NDArray[np.int64]
SHARE = 0.01
FEWEST = 5
"""So many rows are hit at least: a table of 300 rows says nothing about 1 % of it."""


@dataclass(frozen=True)
class Planted:
    """A table with one defect.

    Attributes
    ----------
    defect : its name. frame : the cells with the defect. rows : positions of the rows that were hit; all of them for whole columns.
    column : the column that was hit; empty where whole rows were.
    old : the cells that stood there before, one per row. plan : the parts the rows were split into, where the defect is about them.
    """

    defect: str
    frame: pd.DataFrame
    rows: Ints
    column: str = ""
    old: tuple[Any, ...] = ()
    plan: Mapping[str, Ints] | None = None


@dataclass(frozen=True)
class Score:
    """How many of the planted rows were named, and how many of the named ones were planted."""

    precision: float
    recall: float
    n_planted: int
    n_named: int


def judge(planted: Planted, named: Sequence[int] | Ints) -> Score:
    """Return precision and recall of the named rows; a precision without a named row is NaN.

    Examples
    --------
    >>> judge(Planted("unit slip", pd.DataFrame({"x": [1, 2, 3]}), np.array([0, 2])), [0, 1])
    Score(precision=0.5, recall=0.5, n_planted=2, n_named=2)
    """
    mine = np.unique(np.asarray(named, np.int64))
    hit = len(np.intersect1d(mine, planted.rows))
    return Score(hit / len(mine) if len(mine) else float("nan"), hit / max(len(planted.rows), 1), len(planted.rows), len(mine))


def _some(frame: pd.DataFrame, seed: int, name: str, share: float, among: Any = None) -> Ints:
    rows = np.arange(len(frame)) if among is None else np.flatnonzero(np.asarray(among))
    count = min(max(FEWEST, round(share * len(frame))), len(rows))
    return np.sort(stream(seed, "defects", name, "rows").choice(rows, count, replace=False)).astype(np.int64)


def leak(frame: pd.DataFrame, target: str, seed: int = 0) -> Planted:
    """Add a column ``follow_up`` that knows the target: a number of its own for every class, or the target itself, blurred by 2 %."""
    draw, y = stream(seed, "defects", "leak"), frame[target]
    values = np.asarray(y.to_numpy() if pd.api.types.is_numeric_dtype(y) else pd.factorize(y, sort=True)[0] * 10.0, np.float64)
    blurred = values + draw.normal(0, 0.02 * max(float(np.nanstd(values)), 1e-12), len(frame))
    return Planted("leak column", frame.assign(follow_up=blurred.round(4)), np.arange(len(frame)), "follow_up")


def flipped_labels(frame: pd.DataFrame, target: str, seed: int = 0, share: float = SHARE) -> Planted:
    """Give some rows a wrong class, drawn from the others."""
    rows, draw = _some(frame, seed, "labels", share), stream(seed, "defects", "labels")
    classes = sorted(frame[target].dropna().unique())
    cells = frame[target].astype(object).to_numpy(copy=True)
    old = tuple(cells[rows])
    for r in rows:
        others = [c for c in classes if c != cells[r]]
        cells[r] = others[int(draw.integers(len(others)))]
    return Planted("flipped labels", frame.assign(**{target: pd.Series(cells, index=frame.index)}), rows, target, old)


def unit_slip(frame: pd.DataFrame, column: str, seed: int = 0, factor: float = 1000.0, share: float = SHARE) -> Planted:
    """Write some cells of a number column in another unit: ``factor`` times as large."""
    rows = _some(frame, seed, f"unit {column}", share, frame[column].notna())
    return _rewritten("unit slip", frame, column, rows, lambda cells: cells * factor)


def decimals(frame: pd.DataFrame, column: str, seed: int = 0, share: float = SHARE) -> Planted:
    """Move the decimal point of some cells by one place, to the left or to the right."""
    rows = _some(frame, seed, f"decimals {column}", share, frame[column].notna() & (frame[column] != 0))
    by = stream(seed, "defects", "decimals").choice([0.1, 10.0], len(rows))
    return _rewritten("mistyped decimals", frame, column, rows, lambda cells: [float(f"{v:.12g}") for v in cells * by])


def zeros(frame: pd.DataFrame, column: str, seed: int = 0, share: float = SHARE) -> Planted:
    """Write 0 into some cells of a column of sizes."""
    rows = _some(frame, seed, f"zeros {column}", share, frame[column].notna() & (frame[column] != 0))
    return _rewritten("zero for a size", frame, column, rows, np.zeros_like)


def strayed(frame: pd.DataFrame, column: str, seed: int = 0, share: float = SHARE) -> Planted:
    """Make some cells of a column of sizes three to eight times as large or as small: mistyped, but by no power of ten."""
    rows = _some(frame, seed, f"strayed {column}", share, frame[column].notna() & (frame[column] != 0))
    draw = stream(seed, "defects", "strayed")
    factor = draw.uniform(3, 8, len(rows)) ** draw.choice([-1, 1], len(rows))
    return _rewritten("strayed cell", frame, column, rows, lambda cells: [float(f"{v:.4g}") for v in cells * factor])


def _rewritten(kind: str, frame: pd.DataFrame, column: str, rows: npt.NDArray[np.int64], change: Callable[[Any], Any]) -> Planted:
    """Return the frame with ``change`` made to some cells of a number column."""
    values = frame[column].to_numpy(np.float64, copy=True)
    old = tuple(values[rows])
    values[rows] = change(values[rows])
    return Planted(kind, frame.assign(**{column: values}), rows, column, old)


def slip(word: str, draw: np.random.Generator) -> str:
    """Return a word with one slip of typing: a letter doubled, left out, changed, or swapped with its neighbour."""
    letters = [i for i in range(1, len(word)) if word[i].isalpha()]
    made = word
    while made == word:
        i, kind = int(draw.choice(letters)), int(draw.integers(4))
        if kind == 0:
            made = word[:i] + word[i] + word[i:]
        elif kind == 1:
            made = word[:i] + word[i + 1 :]
        elif kind == 2:
            made = word[:i] + chr(ord("a") + int(draw.integers(26))) + word[i + 1 :]
        else:
            made = word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]
    return made


def misspelt(frame: pd.DataFrame, column: str, seed: int = 0, share: float = SHARE) -> Planted:
    """Misspell some cells of a category column, each in its own way, none as another level is spelt."""
    levels = set(frame[column].dropna().astype(str))
    long_enough = frame[column].notna() & (frame[column].astype(str).str.len() >= 4)
    rows, draw = _some(frame, seed, f"spelling {column}", share, long_enough), stream(seed, "defects", "spelling")
    cells = frame[column].astype(object).to_numpy(copy=True)
    old = tuple(cells[rows])
    for r in rows:
        made = str(cells[r])
        while made in levels:
            made = slip(str(cells[r]), draw)
        cells[r] = made
    return Planted("misspelt category", frame.assign(**{column: pd.Series(cells, index=frame.index)}), rows, column, old)


def across_the_split(frame: pd.DataFrame, seed: int = 0, held: float = 0.2, share: float = 0.05) -> Planted:
    """Split the rows, and put copies of some training rows among the held-out ones; the rows named are those copies."""
    draw, n = stream(seed, "defects", "copies"), len(frame)
    mixed = draw.permutation(n)
    train, test = np.sort(mixed[int(held * n) :]), np.sort(mixed[: int(held * n)])
    again = np.sort(draw.choice(train, max(FEWEST, int(share * len(test))), replace=False))
    both = pd.concat([frame, frame.iloc[again]], ignore_index=True)
    rows = np.arange(n, len(both))
    return Planted("copies across the split", both, rows, plan={"train": train, "certify": np.concatenate([test, rows])})


@dataclass(frozen=True)
class Defect:
    """One maker and what it needs of a table.

    Attributes
    ----------
    plant : the maker. needs : ``"target"``, ``"number"``, ``"decimal"``, ``"size"``, ``"word"`` or empty: the kind of column it is given.
    options : of the maker.
    """

    plant: Callable[..., Planted]
    needs: str
    options: Mapping[str, Any] = field(default_factory=dict)


DEFECTS: Mapping[str, Defect] = {
    "leak column": Defect(leak, "target"),
    "flipped labels": Defect(flipped_labels, "target"),
    "unit slip": Defect(unit_slip, "number"),
    "copies across the split": Defect(across_the_split, ""),
    "misspelt category": Defect(misspelt, "word"),
    "mistyped decimals": Defect(decimals, "decimal"),
    "zero for a size": Defect(zeros, "size"),
    "strayed cell": Defect(strayed, "size"),
}
"""All defects by name."""
