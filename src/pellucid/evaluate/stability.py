"""Stability under reseeding: explained again with other random numbers, do the reasons stay?

Source: Slack, Hilgard, Singh and Lakkaraju 2021, "Reliable Post hoc Explanations", arXiv:2008.05030; Alvarez-Melis and Jaakkola 2018,
arXiv:1806.08049.
"""

from __future__ import annotations

import numpy as np

from pellucid.evaluate.case import Case, NotTestable, cube
from pellucid.evaluate.figures import Figure, agreement, mean_figure, top_kept
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Trial

__all__ = ["run"]

NAME = "stability"
REPEATS, LEAST_REPEATS = 3, 2
LIMIT = 0.8


def run(case: Case) -> Trial:
    """Return the trial. Cost: three explanations of at most 50 rows, as the user would ask for them, with other seeds."""
    case.needs_columns(2)
    rows = case.pick(case.times(REPEATS, LEAST_REPEATS))

    def again(k: int) -> FloatArray:
        return cube(case.explain(case.predictor, rows, seed=integer(case.seed, "reseed", k) % 2**31, background=case.given))

    others = case.several(again, REPEATS, LEAST_REPEATS)
    own = case.own(rows) if not case.whole else cube(case.explain(case.predictor, rows, background=case.given))
    moved = float(np.abs(others - own).max())
    largest = float(np.abs(own).max())
    if moved <= 1e-9 * largest:
        words = "The method draws nothing at random: explained again with other seeds, every value is the same."
        return case.verdict(NAME, Figure(1.0, 1.0, 1.0), LIMIT, True, words, top_kept=1.0, moved=moved, rows=len(rows))
    order = mean_figure(agreement(own, others, signed=True))
    if np.isnan(order.value):
        raise NotTestable("the explanation gives every column the same value")
    kept = float(top_kept(own, others).mean())
    if order.low <= LIMIT <= order.value:
        raise NotTestable(
            f"the agreement under other random numbers is {order}, on both sides of the limit {LIMIT}; a larger budget= would decide"
        )
    passed = order.low > LIMIT
    figures = (
        f"the order of the columns agrees at {order} ({LIMIT} is the limit), and the largest reason stays the same in "
        f"{100 * kept:.0f} % of the rows"
    )
    itself = mean_figure(agreement(others[0], others[1:], signed=True))
    return case.verdict(
        NAME, order, LIMIT, passed, _words(passed, figures, order, itself), top_kept=kept, moved=moved, rows=len(rows), repeats=len(others),
        itself=itself.value,
    )  # fmt: skip


def _words(passed: bool, figures: str, order: Figure, itself: Figure) -> str:
    lead = f"Explained again with other random numbers, {figures}"
    if passed:
        return f"{lead}: the reasons do not hang on chance."
    if itself.low > LIMIT and order.high < itself.low:
        return (
            f"{lead}; the new answers agree with one another at {itself.value:.2f}. It is not chance: these are not the values that the "
            "method gives for these rows and this model. Explain again, and do not read these."
        )
    return f"{lead}: the reasons change by chance. Give the method a larger budget= before reading single rows."
