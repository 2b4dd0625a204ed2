"""Partial dependence: what does the model answer on average when one column is set to each of its values?"""

from __future__ import annotations

from pellucid.explain import asked
from pellucid.explain.grid import along, curve
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.results import Curve

__all__ = ["explain"]


def explain(question: Question) -> Curve:
    """Return one curve per column: the mean answer over rows with the column set to each place, with 95 % intervals over rows.

    Friedman 2001, doi:10.1214/aos/1013203451. Places are quantiles of numbers and dates between 1 and 99 %, the observed levels, and the
    missing cell; ``share`` says how many rows stand behind each. Cells are set whatever the other columns hold, so where columns go
    together some composed rows never occur: then read ``ale``. Cost: n (1 + sum of places) model rows, n = ``rows`` at most.
    """
    made = along(question, asked.whole(question, "rows", 2, 10**7))
    n = len(made.rows)
    values = {c: lines.mean(0) for c, lines in made.lines.items()}
    error = {c: error_of_mean(lines) for c, lines in made.lines.items()}
    caveats = (*made.caveats, "cells are set whatever the other columns hold; where columns go together, compare with ale")
    return curve(question, made.found, values, error, {"rows_used": n}, caveats)
