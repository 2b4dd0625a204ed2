"""Which rows should be labelled next? Those the model knows least about, and not ten times the same. Letters: N rows, C columns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.results import NextRows, RunRecord
from pellucid.training.familiarity import RowSpace, squared_distances
from pellucid.uncertainty.answer import ask
from pellucid.uncertainty.truth import new_rows

__all__ = ["chosen", "spread_out"]

MOST = 5000
"""Rows of most doubt among which the choice is made."""


def chosen(model: Any, X: Any, n: int = 10) -> NextRows:
    """Return ``n`` rows of X in the order to label them.

    Each next row is the one with the most doubt times its distance to the nearest row chosen before, the distance counted up to that of
    two ordinary rows. Doubt is epistemic where the model has members (noise in the target cannot be labelled away), else the doubt
    that answers are ranked by. After the greedy core sets of Sener and Savarese 2018, arXiv:1708.00489. # NOTE[DIFF] distances are
    weighted by doubt, and taken between the cells themselves.

    Raises
    ------
    RequestError : ``n`` is not a whole number from 1 to the number of rows.

    Notes
    -----
    Cost: one pass of the model over N rows, and n x min(N, 5,000) x C differences.

    Examples
    --------
    >>> import numpy as np, pellucid
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> model = pellucid.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(X, X[:, 0] + rng.normal(size=300))
    >>> len(set(pellucid.uncertainty.next_rows(model, rng.normal(size=(50, 2)), 5).positions))
    5
    """
    started = time.perf_counter()
    table = new_rows(model, X)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= len(table):
        raise RequestError("the number of rows to label cannot be used", expected=f"a whole number from 1 to {len(table)}", got=repr(n))
    answer = ask(model, X, level=0.9, groups=None, familiarity=None)
    epistemic = answer.epistemic is not None
    value = answer.epistemic if epistemic else answer.doubt
    if value is None:
        raise RequestError("the doubt of these rows is not known", do="fit a model with members, such as 'tabm'")
    doubt = np.asarray(value, np.float64)
    doubt = doubt if doubt.ndim == 1 else doubt.sum(1)
    candidates = np.argsort(-doubt, kind="stable")[: max(MOST, n)]
    part = table.take(candidates).select(model.predictor().columns)
    space = RowSpace.fit(part)
    picked, apart = spread_out(doubt[candidates], space.encode(part), space.n_numbers, int(n))
    at = candidates[picked]
    unit = "nats" if model.predictor().task == "classification" and epistemic else "chance of being wrong"
    if model.predictor().task != "classification":
        unit = f"({model.target_.unit or 'target'})^2" if epistemic else str(model.target_.unit or "target")
    caveats = () if epistemic else ("lack of knowledge is not told apart: the doubt also holds noise that labels cannot remove",)
    record = RunRecord("next_rows", {"n": int(n)}, None, table.fingerprint(), time.perf_counter() - started, len(table), caveats)
    kind = "epistemic" if epistemic else "total"
    return NextRows(at.astype(np.int64), table.index[at], doubt[at], apart, kind, unit, table.frame.iloc[at], record)


def spread_out(doubt: FloatArray, rows: FloatArray, n_numbers: int, n: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return (positions (n,), distance to the nearest chosen before (n,)) by greedy choice among rows (N, C) of a row space.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.1], [3.0], [1.0]])
    >>> spread_out(np.array([4.0, 3.9, 1.0, 0.5]), rows, 1, 2)[0].tolist()
    [0, 2]
    """
    usual = float(max(rows.shape[1], 1))  # two random rows differ by about 1 in each column
    near, taken = np.full(len(rows), np.inf), np.zeros(n, np.int64)
    apart = np.full(n, np.inf)
    weight = doubt - min(float(doubt.min()), 0.0)
    for i in range(n):
        worth = weight * np.minimum(near / usual, 1.0)
        worth[taken[:i]] = -1.0
        taken[i] = int(worth.argmax())
        apart[i] = near[taken[i]]
        near = np.minimum(near, squared_distances(rows[taken[i] : taken[i] + 1], rows, n_numbers)[0].sum(1))
    return taken, apart
