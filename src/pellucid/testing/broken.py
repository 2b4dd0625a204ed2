"""Rules between columns planted into any table, kept by its first rows and broken by known later ones.

A model keeps the rules of the rows it learned from; this tells whether it names the new rows that break one, and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.random import stream

__all__ = ["HOW", "RULES", "Broken", "plant"]

RULES = ("sum", "ratio", "order", "decides")
HOW = {"sum": ("slip", "swap"), "ratio": ("slip", "swap"), "order": ("swap",), "decides": ("swap",)}
"""A decimal point one place off, or what would stand in another row."""
SHARE = 0.05
NEW = 0.3


@dataclass(frozen=True)
class Broken:
    """Rows to learn from, new rows, and which of the new ones (positions) break the planted rule in column ``column``."""

    known: pd.DataFrame
    new: pd.DataFrame
    rows: npt.NDArray[np.int64]
    column: str


def plant(frame: pd.DataFrame, rule: str, how: str, seed: int = 0) -> Broken:
    """Return the table with one more rule, 30 % of its rows as new ones, of which 5 % break it.

    Parameters
    ----------
    frame : has two number columns of more than ten values. rule : of ``RULES``. how : of ``HOW[rule]``. seed : of all draws.
    """
    draw = stream(seed, "broken", rule, how)
    frame = frame.sample(frac=1, random_state=int(draw.integers(2**31))).reset_index(drop=True)
    made, column = _with_rule(frame, rule, draw)
    cut = round((1 - NEW) * len(made))
    known, new = made.iloc[:cut].reset_index(drop=True), made.iloc[cut:].reset_index(drop=True)
    rows = np.sort(draw.choice(len(new), max(10, round(SHARE * len(new))), replace=False))
    cells = new[column].to_numpy(copy=True)
    other = _others(new, rule, column, draw)
    cells[rows] = (10 * cells if how == "slip" else other)[rows]
    changed = rows[(cells != new[column].to_numpy())[rows]]
    return Broken(known, new.assign(**{column: cells}), changed, column)


def _numbers(frame: pd.DataFrame) -> list[str]:
    """Return number columns of more than ten values, the richest first."""
    names = [str(c) for c in frame.select_dtypes("number") if frame[c].nunique() > 10]
    return sorted(names, key=lambda c: -frame[c].nunique())


def _groups(frame: pd.DataFrame, draw: np.random.Generator) -> pd.Series:
    return pd.Series(draw.choice(["north", "east", "south", "west", "middle"], len(frame), p=[0.3, 0.25, 0.2, 0.15, 0.1]))


def _with_rule(frame: pd.DataFrame, rule: str, draw: np.random.Generator) -> tuple[pd.DataFrame, str]:
    one, two = _numbers(frame)[:2]
    size = float(frame[one].std())
    if rule == "sum":
        spread = size / float(frame[two].std())
        return frame.assign(made=(2 * frame[one] - round(spread, 2 - int(np.floor(np.log10(spread)))) * frame[two] + 3).round(3)), "made"
    if rule == "ratio":
        zone = _groups(frame, draw)
        rate = zone.map({"north": 0.05, "east": 0.08, "south": 0.11, "west": 0.19, "middle": 0.22})
        amount = (draw.gamma(3, 400, len(frame))).round(2)
        return frame.assign(zone=zone, amount=amount, fee=(amount * rate).round(2)), "fee"
    if rule == "order":
        first = draw.integers(0, 900, len(frame))
        return frame.assign(opened=first, closed=first + 1 + draw.gamma(2, 30, len(frame)).astype(int)), "opened"
    town = pd.Series(draw.choice([f"town {k}" for k in range(12)], len(frame)))
    county = town.map({f"town {k}": f"county {'ABCDE'[k % 5]}" for k in range(12)})
    return frame.assign(town=town, county=county), "county"


def _others(new: pd.DataFrame, rule: str, column: str, draw: np.random.Generator) -> npt.NDArray[Any]:
    """Return what stands in other rows, moved off where it could be right by chance."""
    cells = new[column].to_numpy()
    if rule == "order":
        return new["closed"].to_numpy() + draw.integers(5, 200, len(new))
    if rule == "decides":
        names = sorted(set(cells))
        place = np.array([names.index(c) for c in cells])
        return np.array(names, object)[(place + draw.integers(1, len(names), len(new))) % len(names)]
    return np.asarray(draw.permutation(cells) + round(float(cells.std()) / 3, 2))
