"""Columns that stand for a sensitive one: leaving the sensitive column out hides nothing from a model that reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.groups import groups_of, watched_columns
from pellucid.audit.scores import apart_of, auc_error, bins_of, design, fit_out_of_fold, folds_of, out_of_fold, score
from pellucid.audit.view import ALPHA, FloatArray, IntArray, View, listed, more
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.table import ColumnType
from pellucid.table.hints import is_key_name

__all__ = ["find"]

ROWS = 10_000
TELLS, STRONG = 0.65, 0.80
FEWEST = 30
FEW = 2000
MOST_GROUPS = 12


def find(view: View) -> list[Finding]:
    """Return, for each watched column, the columns that tell it: area under the curve of groups predicted from one column out of fold.

    Several groups: each against the rest, weighted by its rows. Groups of fewer than 30 rows are left out. Cost: one pass per column, and
    one fit of small boosted trees per watched column on at most 10,000 rows.
    """
    return [f for name in watched_columns(view) for f in _of(view, name)]


def _of(view: View, name: str) -> Iterator[Finding]:
    from scipy.stats import norm

    codes, groups = groups_of(view, name)
    rows = view.sample[codes[view.sample] >= 0]
    rows = rows if len(rows) <= ROWS else np.sort(stream(view.seed, "audit", "proxies").choice(rows, ROWS, replace=False))
    count = np.bincount(codes[rows], minlength=len(groups))
    large = np.flatnonzero(count >= FEWEST)
    few = [f"'{groups[i]}' ({count[i]})" for i in np.flatnonzero((count > 0) & (count < FEWEST))]
    rows = rows[np.isin(codes[rows], large)]
    others = tuple(n for n in view.features if n not in (name, view.table.target) and view.kind(n) is not ColumnType.TEXT)
    others = tuple(n for n in others if not is_key_name(n))  # that a person's number tells the person says nothing of people
    if not 2 <= len(large) <= MOST_GROUPS or not others:
        return
    group = np.searchsorted(large, codes[rows])
    truth = (group[:, None] == np.arange(len(large))).astype(float)
    fold = folds_of(view, rows, others)
    alone = {n: score(truth, out_of_fold(bins_of(view, n, rows), fold, truth), True) for n in others}
    once = apart_of(view, rows)
    most, n = int(once * truth.sum(0).max()), int(once * len(rows))
    limit = max(TELLS, 0.5 + float(norm.isf(ALPHA / len(others))) * auc_error(0.5, n - most, most))
    told = sorted((n for n in others if alone[n] > limit), key=lambda n: -alone[n])
    if not told:
        return
    together = _together(view, others, rows, group, fold, truth)
    each = ", ".join(f"'{n}' (AUC {alone[n]:.2f})" for n in told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")
    unread = [n for n in view.features if view.kind(n) is ColumnType.TEXT and n != name]
    words = f"'{name}' can be told from {each}; all {len(others)} other columns {'that are no text ' if unread else ''}together tell it "
    words += f"with AUC {together:.2f} (0.5 is chance)" + (f"; what {listed(unread)} would tell was not read" if unread else "")
    if together < alone[told[0]] - 2 * auc_error(together, n - most, most):
        distinct = len(np.unique(view.row_codes(others)[rows]))
        words += (
            f": less than '{told[0]}' alone, which is no contradiction: trees of all columns learned from few cases, "
            f"{distinct:,} distinct of {len(rows):,} rows, and a table of one column's cells needs fewer"
        )
    words += f"; groups left out, having fewer than {FEWEST} rows: {', '.join(few[:6])}{more(few, 6)}" if few else ""
    remedy = f"leaving '{name}' out does not make a model blind to it: judge the answers by group, and ask what these columns are there for"
    severity = "medium" if max(alone[told[0]], together) > STRONG else "low"
    figures = {"alone": {n: alone[n] for n in told}, "together": together}
    yield view.finding("proxies", severity, (name, *told), words, remedy, figures=figures, sampled=True)


def _together(view: View, names: tuple[str, ...], rows: IntArray, group: IntArray, fold: IntArray, truth: FloatArray) -> float:
    matrix, is_level = design(view, names, rows)
    # two halves are enough of many rows; of few, or of copies of few, a half may hold one group alone, and all other folds are needed
    halves = len(rows) > FEW and len(np.unique(view.row_codes(names)[rows])) > FEW
    return score(truth, fit_out_of_fold(matrix, is_level, group, fold % 2 if halves else fold, view.seed, iterations=40), True)
