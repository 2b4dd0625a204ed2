"""Single-row curves: how does the answer to each row change when one of its cells is set to other values?"""

from __future__ import annotations

from pellucid.explain import asked
from pellucid.explain.grid import along, curve
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.results import Curve

__all__ = ["explain"]


def explain(question: Question) -> Curve:
    """Return ``lines`` (n, G, O) per column, one per row, and their mean (the partial dependence) with 95 % intervals over rows.

    Goldstein et al. 2015, doi:10.1080/10618600.2014.907095. With ``centred`` every line starts at 0 at the column's first place, which
    shows interactions as a fan. ``record.settings["row_labels"]`` names the rows drawn. Cost: n (1 + sum of places) model rows.
    """
    made = along(question, asked.whole(question, "rows", 1, 10**6))
    lines = made.lines
    if asked.flag(question, "centred"):
        lines = {c: a - a[:, :1] for c, a in lines.items()}
    n = len(made.rows)
    values = {c: a.mean(0) for c, a in lines.items()}
    error = {c: error_of_mean(a) for c, a in lines.items()}
    labels = question.table.index[made.rows].tolist()
    return curve(question, made.found, values, error, {"rows_used": n, "row_labels": labels}, made.caveats, lines)
