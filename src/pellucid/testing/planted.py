"""Tables whose law is known row by row: which columns count in each row, in closed form.

Three kinds. Syn1 to Syn6 (:func:`pellucid.testing.oracles.syn`). A library of laws of numbers and levels, each with the columns it reads in
each row, and with a corrupted region in which it says something else (after FIND). And tables with a single property: a suppressor, a
signal block that moves from row to row.

Source: Chen et al. 2018, arXiv:1802.07814; Schwettmann et al. 2023, "FIND", arXiv:2309.03886; Wilming et al. 2023, arXiv:2306.01464; Shah
et al. 2021, arXiv:2102.12781. Letters: N rows, C columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.evaluate.planted import average_precision, true_and_false
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation
from pellucid.table import Table
from pellucid.testing.oracles import Planted, syn
from pellucid.testing.planted_laws import COLUMNS, LAWS, LEVELS, Cells, Law, places
from pellucid.testing.predictors import FunctionPredictor, made_table, matrix

__all__ = [
    "COLUMNS", "LAWS", "Law", "best_score", "block", "made", "misses_a_region", "predictor", "recovery", "region", "suppressor", "syn"
]  # fmt: skip

BoolArray = npt.NDArray[np.bool_]
EDGE = 0.8
"""The corrupted region is where x4 lies above this: about a fifth of the rows."""


def _cells(m: FloatArray) -> Cells:
    return {name: m[:, j] for j, name in enumerate(COLUMNS)}


def region(cells: Cells) -> BoolArray:
    """Return the rows (N,) in the corrupted region."""
    return np.asarray(cells["x4"] > EDGE)


def _value(law: Law, cells: Cells, corrupted: bool) -> FloatArray:
    value = np.asarray(law.function(cells), np.float64)
    return np.where(region(cells), -value + 2 * cells["x5"], value) if corrupted else value


def _used(law: Law, cells: Cells, corrupted: bool) -> BoolArray:
    used = law.used(cells)
    if corrupted:
        used[:, places(("x4",))] = True
        used[np.ix_(region(cells), places(("x5",)))] = True
    return used


def made(law: str, n: int = 1000, seed: int = 0, *, noise: float | None = 0.3, corrupted: bool = False) -> Planted:
    """Return a table under a law of the library.

    Parameters
    ----------
    law : a name in ``LAWS``.
    noise : standard deviation of the noise as a share of that of the signal; None makes classes ``"0"`` and ``"1"``, whose log-odds are the
        signal, centred and three standard deviations wide.
    corrupted : whether the law turns over and reads x5 instead where x4 > 0.8. x4 then counts everywhere.

    Examples
    --------
    >>> made("x1 or x2", n=4).used.sum(1).tolist()
    [2, 2, 2, 2]
    """
    draw = stream(seed, "library", law)
    frame: dict[str, Any] = {f"x{j}": draw.standard_normal(n) for j in range(1, 6)}
    frame["p1"] = np.exp(0.5 * draw.standard_normal(n))
    codes = {name: draw.integers(0, len(texts), n) for name, texts in LEVELS.items()}
    cells: Cells = {**frame, **{name: c.astype(float) for name, c in codes.items()}}
    chosen = LAWS[law]
    signal, used = _value(chosen, cells, corrupted), _used(chosen, cells, corrupted)
    frame |= {name: np.array(list(LEVELS[name]), object)[c] for name, c in codes.items()}
    spread = float(signal.std()) or 1.0
    facts = {"law": law, "family": chosen.family, "words": chosen.words, "corrupted": region(cells) if corrupted else np.zeros(n, bool)}
    if noise is None:
        signal = 3 * (signal - signal.mean()) / spread
        y: Any = np.where(draw.random(n) < 1 / (1 + np.exp(-signal)), "1", "0").astype(object)
    else:
        y = signal + noise * spread * draw.standard_normal(n)
    return Planted(made_table(frame | {"y": y}, target="y"), y, signal, used, (noise or 0.0) * spread, facts)


def predictor(law: str, background: Table, *, corrupted: bool = False) -> FunctionPredictor:
    """Return the law itself as a model: what is found or missed is then the method's doing alone."""
    return FunctionPredictor(lambda m: _value(LAWS[law], _cells(m), corrupted), background, columns=COLUMNS)


def best_score(table: Planted) -> float:
    """Return the score of the law itself on the table's rows: the area under the curve for classes, the share of variance for numbers."""
    if table.noise == 0 and np.asarray(table.target).dtype.kind not in "f":
        from pellucid.evaluate.scores import roc_auc

        return float(roc_auc(np.asarray(table.target) == "1", table.signal)[0])
    y = np.asarray(table.target, np.float64)
    return float(1 - ((y - table.signal) ** 2).mean() / y.var())


def recovery(
    explain: Callable[[Any, Table, Table], Explanation], laws: Iterable[str] = tuple(LAWS), *, rows: int = 40, corrupted: bool = False
) -> pd.DataFrame:
    """Return how well a method names the columns that count, one line per law: law, family, tpr, fdr, precision (area), chance.

    Parameters
    ----------
    explain : ``(predictor, rows, background) -> Explanation``.
    rows : explained rows per law; the background has 60. Cost: one explanation per law.
    """
    lines = []
    for name in laws:
        table = made(name, rows + 60, corrupted=corrupted)
        background, shown = table.features.take(slice(0, 60)), table.features.take(slice(60, None))
        answer = explain(predictor(name, background, corrupted=corrupted), shown, background)
        sizes, used = np.abs(answer.cube()).mean(2), table.used[60:]
        tpr, fdr = true_and_false(sizes, used)
        precision = float(np.nanmean(average_precision(sizes, used)))
        lines.append(
            {"law": name, "family": LAWS[name].family, "tpr": tpr, "fdr": fdr, "precision": precision, "chance": float(used.mean())}
        )
    return pd.DataFrame(lines)


def misses_a_region(law: str, describe: Callable[[Table], FloatArray], *, n: int = 2000, seed: int = 0) -> Mapping[str, float | bool]:
    """Return whether a description of a corrupted law leaves out the region where it is another one.

    Parameters
    ----------
    describe : rows -> the values (N,) they should have by the description (a rule, a curve, a surrogate, a formula).

    Returns
    -------
    ``inside``, ``outside``: mean square errors in the region and elsewhere, as shares of the law's variance. ``missed``: inside more than a
    quarter of the variance is left, and more than three times as much as outside.

    Examples
    --------
    >>> misses_a_region("line", lambda t: 2 * t.numbers("x1"))["missed"]
    True
    """
    table = made(law, n, seed, noise=0.0, corrupted=True)
    error = (np.asarray(describe(table.features), np.float64).reshape(-1) - table.signal) ** 2 / table.signal.var()
    there = table.facts["corrupted"]
    inside, outside = float(error[there].mean()), float(error[~there].mean())
    return {"inside": inside, "outside": outside, "missed": inside > 0.25 and inside > 3 * outside}


def suppressor(n: int = 1000, seed: int = 0, *, spread: tuple[float, float] = (0.8, 0.8), correlation: float = 0.8) -> Planted:
    """Return two columns of which the second holds nothing but the noise of the first: x1 = z + e1, x2 = e2, z = +-1, (e1, e2) correlated.

    ``facts["weights"]`` is the Bayes direction a (1, -c s1 / s2) with a = (1 + (c s1 / s2)^2)^-1/2: it uses x2, which is independent of z.
    ``facts["pattern"]`` is the covariance of the columns with the answer, proportional to (1, 0). ``signal`` is the true log-odds of z = 1.
    """
    (s1, s2), c = spread, correlation
    draw = stream(seed, "suppressor")
    z = np.where(draw.random(n) < 0.5, 1.0, -1.0)
    noise = draw.multivariate_normal([0.0, 0.0], [[s1**2, c * s1 * s2], [c * s1 * s2, s2**2]], n)
    x = noise + np.column_stack([z, np.zeros(n)])
    size = (1 + (c * s1 / s2) ** 2) ** -0.5
    weights = size * np.array([1.0, -c * s1 / s2])
    pattern = np.array([size * (s1**2 + 1 - c**2 * s1**2), 0.0])
    y = np.where(z > 0, "1", "0").astype(object)
    signal = 2 * (x[:, 0] - c * s1 / s2 * x[:, 1]) / (s1**2 * (1 - c**2))
    table = made_table({"x1": x[:, 0], "x2": x[:, 1], "y": y}, target="y")
    facts = {"weights": weights, "pattern": pattern, "z": z, "spread": spread, "correlation": c}
    return Planted(table, y, signal, np.tile([True, True], (n, 1)), facts=facts)


def block(n: int = 1000, seed: int = 0, width: int = 3) -> Planted:
    """Return a table of two blocks of columns: in each row one block holds the signal and the other one nothing (BlockMNIST for tables).

    Every cell of the signal block is the class (+1 or -1) with noise; those of the null block are noise of half that size around 0.
    ``used`` marks the signal block of each row: an explanation that names the null block there is wrong.
    """
    draw = stream(seed, "block")
    z, first = np.where(draw.random(n) < 0.5, 1.0, -1.0), draw.random(n) < 0.5
    used = np.repeat(np.column_stack([first, ~first]), width, axis=1)
    x = np.where(used, z[:, None], 0.0) + np.where(used, 0.5, 0.25) * draw.standard_normal((n, 2 * width))
    y = np.where(z > 0, "1", "0").astype(object)
    cells: dict[str, Any] = {f"x{j + 1}": x[:, j] for j in range(2 * width)}
    table = made_table(cells | {"y": y}, target="y")
    return Planted(table, y, 8 * (matrix(table, list(cells)) * used).sum(1), used)
