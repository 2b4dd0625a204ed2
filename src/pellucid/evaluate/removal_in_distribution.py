"""Removal in distribution: are rows from which columns were removed still rows this model can judge?

Every method that removes columns asks the model about composed rows. Where those lie apart from the rows the model knows, its answers there
are an accident of training, and the removal trials cannot be trusted without retraining. Each composed row's distance to its nearest known
rows, in the model's own first layer where it is a network, is ranked among the distances of untouched rows: in distribution, one row in
twenty is stranger than 95 % of them.

Source: Madsen, Reddy and Chandar 2024, "Faithfulness Measurable Masked Language Models", arXiv:2310.07819 (p-values of masked inputs from
the distribution of the model's own representation); distances after Sun, Ming, Zhu and Li 2022, arXiv:2204.06507.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure
from pellucid.execution import to_numpy
from pellucid.explain.decisions import beta_interval
from pellucid.probe.masker import Drawer, Neighbours, Players, missing_row, typical_row
from pellucid.protocols import DifferentiablePredictor, FloatArray, RowModel
from pellucid.random import stream
from pellucid.results import Trial
from pellucid.table import ColumnType, Table

__all__ = ["compose", "run", "strangeness"]

NAME = "removal_in_distribution"
STRANGE, LIMIT = 0.05, 0.15
"""Share of composed rows that are stranger than 95 % of the untouched ones: in distribution, and at most."""
DRAWS = 2000
NEAREST = 5
UNSEEN = 0.25
"""Standard deviation given to what is the same in all known rows."""
LEAST, MOST = 20, 400


def run(case: Case) -> Trial:
    """Return the trial. Cost: no model answers; one pass through the first layer for N + B rows."""
    kept = case.given if case.given is not None else case.predictor.background()
    if kept is None:
        raise NotTestable("the model kept no rows to compare with; give background=")
    case.needs_columns(2)
    table, kept = case.table.select(case.predictor.columns), kept.select(case.predictor.columns)
    half = np.array_split(stream(case.seed, "halves").permutation(len(kept))[: 2 * MOST], 2)
    if min(len(table), *map(len, half)) < LEAST:
        raise NotTestable(f"at least {LEAST} rows and {2 * LEAST} rows to compare with are needed")
    known, untouched = (kept.take(np.sort(h)) for h in half)
    draw = stream(case.seed, "composed")
    rows = table.take(np.sort(draw.permutation(len(table))[:MOST]))
    fill, model = str(case.settings.get("fill", "marginal")), getattr(case.predictor, "row_model", None)
    if fill == "row_model" and model is None:
        raise NotTestable("absent cells were drawn by a row model that this test is not given; call model.fit_row_model() first")
    composed = compose(rows, untouched, fill, draw, model)
    if fill == "missing" and getattr(case.predictor, "learned_missing", False):
        # rows with hidden cells are among those that it has learned from
        known, untouched = _both(known, compose(known, known, fill, draw)), compose(untouched, untouched, fill, draw)
    space = _Space(case, known)
    usual, own, strange = (strangeness(space(t), space(known)) for t in (untouched, rows, composed))
    share, before, above = _shares(usual, own, strange, stream(case.seed, "bootstrap"))
    limit = LIMIT + max(0.0, before - STRANGE)  # rows that were strange before any removal are not the fill's fault
    passed = above.high <= 0
    if not passed and above.low <= 0:
        raise NotTestable(f"{_lead(share, before, fill)}; {100 * limit:.0f} % are let pass, and {len(rows)} rows do not tell")
    return case.verdict(
        NAME, share, limit, passed, _words(passed, share, before, fill), untouched=before, fill=fill, rows=len(rows),
        space="the model's first layer" if isinstance(case.predictor, DifferentiablePredictor) else "the cells",
        unit="share of the rows with columns removed",
    )  # fmt: skip


def _both(one: Table, other: Table) -> Table:
    """Return the rows of both tables, of the same columns."""
    return Table(pd.concat([one.frame, other.frame], ignore_index=True), one.schema, one.library)


def compose(rows: Table, donors: Table, fill: str, draw: np.random.Generator, model: RowModel | None = None) -> Table:
    """Return each row with a random set of its columns (at least one, not all) filled in as ``fill`` says; ``"row_model"`` by ``model``."""
    n, c = len(rows), len(rows.columns)
    size = draw.integers(1, c, (n, 1)) if c > 1 else np.ones((n, 1), int)
    removed = draw.random((n, c)).argsort(1).argsort(1) < size
    if fill == "row_model" and model is not None:
        return Drawer(model, rows.columns, int(draw.integers(2**31))).fill(rows, ~removed, np.arange(n))
    if fill in ("baseline", "missing"):
        donors, at = (typical_row if fill == "baseline" else missing_row)(donors), np.zeros(n, np.int64)
    elif fill == "conditional":
        weights = Neighbours(rows, donors, Players.of(rows.columns)).weights(np.arange(n), ~removed)
        at = (np.cumsum(weights, 1) < draw.random((n, 1))).sum(1).clip(0, len(donors) - 1)
    else:
        at = draw.integers(0, len(donors), n)
    cells = {}
    for j, name in enumerate(rows.columns):
        pool = pd.concat([rows.frame[name], donors.frame[name]], ignore_index=True)
        cells[name] = pool.array.take(np.where(removed[:, j], n + at, np.arange(n)))
    return rows.with_cells(cells)


def strangeness(points: FloatArray, known: FloatArray) -> FloatArray:
    """Return the mean distance (N,) of each point (N, W) to its five nearest known points.

    Examples
    --------
    >>> strangeness(np.array([[0.0], [9.0]]), np.arange(6.0)[:, None]).tolist()
    [2.0, 6.0]
    """
    square = (points**2).sum(1)[:, None] + (known**2).sum(1)[None, :] - 2 * points @ known.T
    distance = np.sqrt(np.maximum(square, 0.0))
    k = min(NEAREST, distance.shape[1])
    return np.asarray(np.sort(np.partition(distance, k - 1, axis=1)[:, :k], axis=1).mean(1))


class _Space:
    """Where distances are taken: what a network's first layer reads or adds up, else standardised cells; unit variance per axis."""

    def __init__(self, case: Case, known: Table) -> None:
        self._model = case.predictor if isinstance(case.predictor, DifferentiablePredictor) else None
        self._known = known
        raw = self._raw(known)
        self._centre, self._spread = raw.mean(0), raw.std(0)
        if self._model is None:
            # what no known row has, such as the mark of a missing cell, is far from all of them
            self._spread[self._spread == 0] = UNSEEN

    def __call__(self, table: Table) -> FloatArray:
        keep = self._spread > 1e-9 * max(float(self._spread.max()), 1e-300)
        return np.asarray((self._raw(table) - self._centre)[:, keep] / self._spread[keep])

    def _raw(self, table: Table) -> FloatArray:
        if self._model is not None:
            from pellucid.nn.coupling import with_pairs

            tokens = self._model.tokens(table)
            if not self._model.additive:
                return to_numpy(tokens.flatten(1))
            # where later stages read the sum, they cannot tell rows apart that have the same sum
            return to_numpy(with_pairs(self._model, tokens, self._model.parts(tokens).sum(1)))
        return np.concatenate([self._cells(table, name) for name in table.columns], axis=1)

    def _cells(self, table: Table, name: str) -> FloatArray:
        if table.schema[name].type in (ColumnType.NUMBER, ColumnType.DATE):
            read = Table.numbers if table.schema[name].type is ColumnType.NUMBER else Table.seconds
            values, known = read(table, name), read(self._known, name)
            centre = np.nanmean(known) if (~np.isnan(known)).any() else 0.0
            return np.column_stack([np.where(np.isnan(values), centre, values), np.isnan(values)]).astype(np.float64)
        texts: npt.NDArray[np.object_] = table.texts(name)
        levels = list(self._known.levels(name)[1])[:50]
        return np.stack([texts == t for t in levels], axis=1).astype(np.float64) if levels else np.zeros((len(table), 1))


def _shares(usual: FloatArray, own: FloatArray, strange: FloatArray, draw: np.random.Generator) -> tuple[Figure, float, Figure]:
    """Return (share of composed rows beyond 95 % of untouched ones, the same before, how far the first is above what is let pass).

    Parameters
    ----------
    usual, own, strange : strangeness (N',), (N,), (N,) of untouched rows, and of the rows on trial before and after the removal.

    Notes
    -----
    The interval resamples the untouched rows too: where they are few, the border that they set is as much a matter of chance as the share
    beyond it. It is at least that of a share of so many rows (Clopper and Pearson), which is not nothing where none was strange.
    """
    n = len(strange)
    beyond, before = (float((_rank(usual, v) <= STRANGE).mean()) for v in (strange, own))
    shares, limits = np.empty(DRAWS), np.empty(DRAWS)
    for k in range(DRAWS):
        border, at = usual[draw.integers(0, len(usual), len(usual))], draw.integers(0, n, n)
        shares[k], was = ((_rank(border, v[at]) <= STRANGE).mean() for v in (strange, own))
        limits[k] = LIMIT + max(0.0, was - STRANGE)
    low, high = np.quantile(shares, [0.025, 0.975])
    least, most = beta_interval(round(beyond * n), n)
    share = Figure(beyond, min(float(low), least), max(float(high), most))
    limit = LIMIT + max(0.0, before - STRANGE)
    under, over = np.quantile(shares - limits, [0.025, 0.975])
    return share, before, Figure(beyond - limit, min(float(under), least - limit), max(float(over), most - limit))


def _rank(usual: FloatArray, points: FloatArray) -> FloatArray:
    """Return the p-value (N,) of each point: the share of untouched rows at least as strange, itself counted."""
    return np.asarray((1 + len(usual) - np.searchsorted(np.sort(usual), points, side="left")) / (1 + len(usual)))


def _lead(share: Figure, before: float, fill: str) -> str:
    return (
        f"{100 * share.value:.0f} % of the rows with columns removed (fill {fill!r}; 95 % interval {100 * share.low:.0f} to "
        f"{100 * share.high:.0f} %) lie further from the known rows than 95 % of untouched rows do; "
        f"{100 * STRANGE:.0f} % would by chance, and {100 * before:.0f} % of these rows did before"
    )


def _words(passed: bool, share: Figure, before: float, fill: str) -> str:
    lead = _lead(share, before, fill)
    if passed:
        return f"{lead}: the model is asked about rows of the kind it knows."
    return f"{lead}: removal makes rows the model has never seen. Trust trials that retrain, or explain with fill='conditional'."
