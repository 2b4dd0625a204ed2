"""A last row that is no row like the others: the totals or the means of the columns above it, as spreadsheets write them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.view import View, amount, listed
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["totals"]

WORDS = {
    "total", "totals", "sum", "sums", "all", "overall", "gesamt", "summe", "insgesamt", "totaal", "somme", "totale", "suma", "average",
    "mean", "avg",
}  # fmt: skip
LEAST = 10


def totals(view: View) -> Iterator[Finding]:
    """Tell where the last row holds the sums, or the means, of columns of numbers: of two, or of one where a cell says so."""
    last = len(view) - 1
    if last < LEAST:
        return
    sums, means = [], []
    for name in view.table.columns:
        if view.kind(name) is not ColumnType.NUMBER:
            continue
        x = view.numbers(name)
        own, above = float(x[last]), x[:last][~np.isnan(x[:last])]
        if np.isnan(own) or np.count_nonzero(above) < LEAST:
            continue
        # a sum of rounded cells is theirs to the rounding of one more cell; sizes that all sum up to 0 tell nothing
        if np.isclose(own, above.sum(), rtol=1e-6, atol=1e-9) and abs(own) > np.abs(above).max():
            sums.append(name)
        # a mean that other rows hold too is a cell like theirs: of a balanced design, or filled in
        elif np.ptp(above) > 0 and np.isclose(own, above.mean(), rtol=1e-4, atol=0.0) and not (above == own).any():
            means.append(name)
    said = _says(view, last)
    for found, what in ((sums, "sum"), (means, "mean")):
        if len(found) >= (1 if said else 2):
            shown = f"{listed(found)} {'is' if len(found) == 1 else 'are'} the {what} of all rows above"
            words = f"the last row ({last:,}{f', {said!r}' if said else ''}) is no row like the others: {shown}"
            words += f" ({amount(float(view.numbers(found[0])[last]))} in '{found[0]}')"
            remedy = "leave this row out of the file: a model would take it for a case"
            yield view.finding("values: totals", "high", found, words, remedy, rows=np.array([last]), figures={"what": what})


def _says(view: View, row: int) -> str:
    """Return the cell of a row that calls it a total, or an empty text."""
    cells = (str(view.table.frame[n].iloc[row]) for n in view.table.columns if view.kind(n) is not ColumnType.NUMBER)
    return next((c for c in cells if c.strip(" :.").casefold().split(" ")[-1] in WORDS or c.casefold().split(" ")[0] in WORDS), "")
