"""Rows unlike any that the model was trained on: its answers to them are guesses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.view import ALPHA, View, share
from pellucid.results import Finding
from pellucid.training.familiarity import Familiarity, odd_columns

__all__ = ["familiarity_of", "find"]

BELOW = 1.0  # percentile


def familiarity_of(predictor: object) -> Familiarity | None:
    """Return the fitted familiarity of a model of this package, or None."""
    for name in ("certainty_", "certainty"):
        found = getattr(getattr(predictor, name, None), "familiarity", None)
        if isinstance(found, Familiarity):
            return found
    return None


def find(view: View) -> list[Finding]:
    """Return rows stranger than 99 of 100 held-out training rows, where they are more than chance would give."""
    fitted = familiarity_of(view.predictor)
    if fitted is None or not len(view) or not set(fitted.columns) <= set(view.table.columns):
        return []
    return list(_strange(view, fitted))


def _strange(view: View, fitted: Familiarity) -> Iterator[Finding]:
    from scipy.stats import binom

    percent, excess = fitted.score(view.table)
    rows = np.flatnonzero(percent < BELOW)
    # the reference rows are a sample too: allow for their own spread around 1 %
    usual = BELOW / 100 + 3 * np.sqrt(BELOW / 100 / (len(fitted.reference) + 1))
    if not len(rows) or binom.sf(len(rows) - 1, len(view), min(usual, 1.0)) > ALPHA:
        return
    odd = np.array(odd_columns(excess[rows], fitted.columns))
    names, count = np.unique(odd, return_counts=True)
    order = np.argsort(-count, kind="stable")[:4]
    where = ", ".join(f"'{names[i]}' ({count[i]:,})" for i in order)
    words = f"{share(len(rows), len(view))} are stranger than 99 of 100 held-out training rows (1 % would be usual), most often by {where}"
    remedy = "check these cells (unit, code, misspelling); where they are right, do not rely on the model for such rows"
    severity = "high" if len(rows) > 0.2 * len(view) else "medium"
    figures = {"rows": len(rows), "share": len(rows) / len(view), "columns": {str(names[i]): int(count[i]) for i in order}}
    yield view.finding("unfamiliar rows", severity, [str(names[i]) for i in order], words, remedy, rows=rows, figures=figures)
