"""Right answers in closed form: games, functions of two columns, planted tables.

Sources: the restaurant game (a lecture's worked example, all indices checked with shapiq 1.4.1); Syn1-Syn6 in the form of the released
code of INVASE (Yoon, Jordon, van der Schaar, ICLR 2019), which is the form behind the published figures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from pellucid.protocols import FloatArray, Predictor
from pellucid.random import stream
from pellucid.table import Table
from pellucid.testing.predictors import FunctionPredictor, made_table, matrix

__all__ = [
    "RESTAURANT", "RESTAURANT_INDICES", "SYN_AUC", "Planted", "brute_shapley", "game_shapley", "planted", "product_pair", "redrawn",
    "restaurant", "syn",
]  # fmt: skip

RESTAURANT: Mapping[str, float] = MappingProxyType({"": 0, "A": 400, "B": 560, "C": 720, "AB": 740, "AC": 780, "BC": 980, "ABC": 1000})
"""The restaurant game: what each group of guests would pay."""

RESTAURANT_INDICES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "Shapley": {"A": 180, "B": 360, "C": 460},
        "Banzhaf": {"A": 165, "B": 345, "C": 445},
        "SII": {"A": 180, "B": 360, "C": 460, "AB": -130, "AC": -250, "BC": -210},
        "k-SII": {"A": 370, "B": 530, "C": 690, "AB": -130, "AC": -250, "BC": -210},
        "FSII": {"A": 370, "B": 530, "C": 690, "AB": -130, "AC": -250, "BC": -210},
        "STII": {"A": 400, "B": 560, "C": 720, "AB": -160, "AC": -280, "BC": -240},
        "FBII": {"": 22.5, "A": 355, "B": 515, "C": 675, "AB": -130, "AC": -250, "BC": -210},
        "joint Shapley 2": {"A": 770 / 9, "B": 1690 / 9, "C": 2130 / 9, "AB": 1250 / 9, "AC": 1390 / 9, "BC": 1770 / 9},
        "joint Shapley 3": {
            "A": 220 / 3,
            "B": 3380 / 21,
            "C": 1420 / 7,
            "AB": 2500 / 21,
            "AC": 2780 / 21,
            "BC": 1180 / 7,
            "ABC": 1000 / 7,
        },
        "Moebius": {"A": 400, "B": 560, "C": 720, "AB": -220, "AC": -340, "BC": -300, "ABC": 180},
    }
)
"""Every index of the restaurant game; orders of interaction up to 2 where the index has an order."""


def redrawn(model: Predictor, rows: Table, background: Table, *, share: float = 0.3, sizes: bool = True) -> FloatArray:
    """Return (N, P) how much farther one output moves in rounds that draw a column anew than in rounds that leave it, of all rounds.

    Parameters
    ----------
    share : chance of each column to be drawn from a background row; a round that draws none draws one column, each as likely.
    sizes : False keeps the direction of the moves, which is not what is asked: the double of a check.

    Notes
    -----
    Cost: 2^P N B model rows.
    """
    names = model.columns
    n, b, p = len(rows), len(background), len(names)
    z = (np.arange(2**p)[:, None] >> np.arange(p)) & 1 == 1  # which columns stay
    many = (~z).sum(1)
    chance = np.where(many == 0, 0.0, share**many * (1 - share) ** (p - many)) + np.where(many == 1, (1 - share) ** p / p, 0.0)
    row, stays, other = (a.ravel() for a in np.meshgrid(np.arange(n), np.arange(2**p), np.arange(b), indexing="ij"))
    cells = {c: np.where(z[stays, j], rows.frame[c].to_numpy()[row], background.frame[c].to_numpy()[other]) for j, c in enumerate(names)}
    moves = model.raw(rows.take(row).with_cells(cells))[:, 0].reshape(n, 2**p, b) - model.raw(rows)[:, :1, None]
    moves = (np.abs(moves) if sizes else moves).mean(2) * chance
    drawn, left = ((moves @ side) / (chance @ side) for side in ((~z).astype(float), z.astype(float)))
    return np.asarray(drawn - left)


def game_shapley(value: Callable[[frozenset[int]], FloatArray | float], players: int) -> FloatArray:
    """Return the Shapley values (P, ...) of a game by its definition. Cost 2^P calls of ``value``.

    Examples
    --------
    >>> [round(float(v)) for v in game_shapley(lambda s: RESTAURANT["".join("ABC"[j] for j in sorted(s))], 3)]
    [180, 360, 460]
    """
    every = [frozenset(s) for r in range(players + 1) for s in itertools.combinations(range(players), r)]
    table = {s: np.asarray(value(s), float) for s in every}
    share = [math.factorial(s) * math.factorial(players - s - 1) / math.factorial(players) for s in range(players)]
    out = []
    for j in range(players):
        total = np.zeros_like(table[frozenset()])
        for s, v in table.items():
            if j not in s:
                total = total + share[len(s)] * (table[s | {j}] - v)
        out.append(total)
    return np.stack(out)


def brute_shapley(predictor: Predictor, rows: Table, background: Table, columns: tuple[str, ...] | None = None) -> FloatArray:
    """Return Shapley values (N, P, O) with absent columns averaged over the background rows, by definition.

    Cost: N 2^P B model rows, all plain frames: slow and beyond doubt. For P <= 10 and a few rows.
    """
    players = columns or predictor.columns
    n, b = len(rows), len(background)

    def value(present: frozenset[int]) -> FloatArray:
        cells = {}
        for j, name in enumerate(players):
            own = np.repeat(rows.frame[name].to_numpy(object), b)
            other = np.tile(background.frame[name].to_numpy(object), n)
            cells[name] = own if j in present else other
        mixed = pd.DataFrame(cells).astype(rows.frame[list(players)].dtypes.to_dict())
        table = rows.select(players).take(np.zeros(n * b, int)).with_cells({c: mixed[c].to_numpy() for c in players})
        return np.asarray(np.asarray(predictor.raw(table)).reshape(n, b, -1).mean(1))

    return np.asarray(game_shapley(value, len(players)).transpose(1, 0, 2))


def restaurant() -> tuple[FunctionPredictor, Table, Table]:
    """Return (predictor, row, background): the game as a model of three 0/1 columns; the row is everybody, the background nobody."""
    background = made_table({"A": [0.0], "B": [0.0], "C": [0.0]})
    row = made_table({"A": [1.0], "B": [1.0], "C": [1.0]})

    def pay(x: FloatArray) -> FloatArray:
        return np.array([RESTAURANT["".join(name for name, here in zip("ABC", guests) if here > 0.5)] for guests in x], float)

    return FunctionPredictor(pay, background), row, background


def product_pair(seed: int = 0, n: int = 20) -> tuple[FunctionPredictor, Table, Table, FloatArray]:
    """Return (predictor, rows, one background row, values (N, 2)) for f = x1 x2: phi_1 = (x1 - b1)(x2 + b2) / 2."""
    draw = stream(seed, "product")
    rows, base = made_table({"x1": draw.normal(size=n), "x2": draw.normal(size=n)}), made_table({"x1": [0.7], "x2": [-0.4]})
    x, b = matrix(rows, ("x1", "x2")), matrix(base, ("x1", "x2"))[0]
    values = np.column_stack([(x[:, 0] - b[0]) * (x[:, 1] + b[1]), (x[:, 1] - b[1]) * (x[:, 0] + b[0])]) / 2
    return FunctionPredictor(lambda m: m[:, 0] * m[:, 1], base), rows, base, values


@dataclass(frozen=True)
class Planted:
    """A table whose law is known.

    Attributes
    ----------
    table : the columns with the target in column ``"y"`` (its role is set).
    target : (N,) labels (text) or numbers.
    signal : (N,) true log-odds of label ``"1"``, or true mean.
    used : (N, C) bool, the columns the law reads in each row.
    noise : standard deviation of the noise; 0 for classes.
    """

    table: Table
    target: Any
    signal: FloatArray
    used: np.ndarray
    noise: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> Table:
        """The inputs alone."""
        return self.table.drop(["y"])


def _planted(x: FloatArray, signal: FloatArray, used: np.ndarray, draw: np.random.Generator, noise: float | None) -> Planted:
    cells: dict[str, Any] = {f"x{j + 1}": x[:, j] for j in range(x.shape[1])}
    if noise is None:
        y: Any = np.where(draw.random(len(x)) < 1 / (1 + np.exp(-signal)), "1", "0").astype(object)
    else:
        y = signal + noise * draw.standard_normal(len(x))
    return Planted(made_table(cells | {"y": y}, target="y"), y, signal, used, noise or 0.0)


SYN_AUC: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "code": (0.699, 0.899, 0.906, 0.821, 0.823, 0.903),
        "l2x": (0.699, 0.899, 0.997, 0.822, 0.912, 0.967),
        "docstring": (0.699, 0.900, 0.992, 0.821, 0.902, 0.960),
    }
)
"""The best possible AUC on Syn1 to Syn6 (400,000 rows, error .001), for each variant of the third law; see :func:`syn`."""


def syn(number: int, n: int = 2000, seed: int = 0, columns: int = 11, variant: str = "code") -> Planted:
    """Return Syn``number`` (1 to 6): standard normal columns, label ``"1"`` with log-odds ``-g``.

    The third law differs between sources: ``"code"`` (-10 sin 0.2 x7, the released code of INVASE and the published figures), ``"l2x"``
    (-100 sin 0.2 x7, the code of L2X) and ``"docstring"`` (-10 sin 2 x7 + 2 |x8|, the words beside the code of INVASE).
    NOTE[DIFF]: drawn from our own random stream, not from numpy's legacy generator as the released code: same law, other rows.
    """
    draw = stream(seed, "syn", number)
    x = draw.standard_normal((n, columns))
    one = x[:, 0] * x[:, 1]
    two = (x[:, 2:6] ** 2).sum(1) - 4
    wave, bend = {
        "code": (-10 * np.sin(0.2 * x[:, 6]), 1), "l2x": (-100 * np.sin(0.2 * x[:, 6]), 1), "docstring": (-10 * np.sin(2 * x[:, 6]), 2),
    }[variant]  # fmt: skip
    three = wave + bend * np.abs(x[:, 7]) + x[:, 8] + np.exp(-x[:, 9]) - 2.4
    laws = [(one, (0, 1)), (two, (2, 3, 4, 5)), (three, (6, 7, 8, 9))]
    a, b = {1: (0, 0), 2: (1, 1), 3: (2, 2), 4: (0, 1), 5: (0, 2), 6: (1, 2)}[number]
    left = x[:, 10] < 0
    used = np.zeros(x.shape, bool)
    for branch, rows in ((a, left), (b, ~left)):
        used[np.ix_(np.flatnonzero(rows), np.array(laws[branch][1]))] = True
    used[:, 10] = number > 3
    return _planted(x, -np.where(left, laws[a][0], laws[b][0]), used, draw, None)


def planted(law: str, n: int = 1000, columns: int = 6, seed: int = 0, noise: float | None = 0.3) -> Planted:
    """Return a table with a planted law in columns x1 (and x2); the other columns are noise.

    Parameters
    ----------
    law : ``"linear"`` (2 x1 - x2), ``"additive"`` (sin 2 x1 + |x2|), ``"step"`` (2 where x1 > 0.3), ``"xor"`` (2 where the
        signs of x1 and x2 differ, else -2), ``"nothing"`` (no column matters), ``"noisy"`` (x1, with noise that grows with |x2|).
    noise : standard deviation of the noise; None makes classes ``"0"``, ``"1"`` with the law (times 3) as log-odds.
    """
    draw = stream(seed, "planted", law)
    x = draw.standard_normal((n, columns))
    laws: dict[str, tuple[Any, tuple[int, ...]]] = {
        "linear": (2 * x[:, 0] - x[:, 1], (0, 1)),
        "additive": (np.sin(2 * x[:, 0]) + np.abs(x[:, 1]), (0, 1)),
        "step": (2.0 * (x[:, 0] > 0.3), (0,)),
        "xor": (np.where(x[:, 0] * x[:, 1] < 0, 2.0, -2.0), (0, 1)),
        "nothing": (np.zeros(n), ()),
        "noisy": (x[:, 0], (0,)),
    }
    signal, reads = laws[law]
    used = np.zeros(x.shape, bool)
    used[:, list(reads)] = True
    if noise is None:
        return _planted(x, 3 * signal, used, draw, None)
    if law == "noisy":
        y = signal + noise * (0.2 + np.abs(x[:, 1])) * draw.standard_normal(n)
        cells = {f"x{j + 1}": x[:, j] for j in range(columns)} | {"y": y}
        return Planted(made_table(cells, target="y"), y, signal, used, noise, {"sd": noise * (0.2 + np.abs(x[:, 1]))})
    return _planted(x, signal, used, draw, noise)
