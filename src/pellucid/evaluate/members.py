"""Stability between members: would another network, as good as this one, have given the same reasons?

Members of an ensemble learned the same rows from other starting weights. Where their reasons differ, the reasons are an accident of
training, even where the predictions agree.

Source: Fisher, Rudin and Dominici 2019, "All Models are Wrong, but Many are Useful", JMLR 20(177).
"""

from __future__ import annotations

import numpy as np

from pellucid import registry
from pellucid.evaluate.case import Case, NotTestable, cube
from pellucid.evaluate.figures import ALIKE, agreement, mean_figure, top_kept
from pellucid.protocols import DifferentiablePredictor, MemberPredictor
from pellucid.results import Trial

__all__ = ["run"]

NAME = "members"
MOST = 5


def run(case: Case) -> Trial:
    """Return the trial. Cost: explanations of at most 30 rows under up to 5 members."""
    case.needs_columns(3)
    model = case.predictor
    if not isinstance(model, MemberPredictor) or model.n_members < 2:
        raise NotTestable("the model is a single one, without members to compare")
    if "gradients" in _needs(case) and not isinstance(model.member(0), DifferentiablePredictor):
        raise NotTestable("a single member cannot be asked for gradients; an explanation by 'shapley' can be tried")
    chosen = np.unique(np.linspace(0, model.n_members - 1, MOST).astype(int))
    rows = case.pick(len(chosen) + 1, 30, coarse=True)
    case.vouch()
    original = cube(case.explain(model, rows, coarse=True))
    others = case.several(lambda k: cube(case.explain(model.member(int(chosen[k])), rows, coarse=True)), len(chosen), 2)
    order = mean_figure(agreement(original, others, signed=True))
    if np.isnan(order.value):
        raise NotTestable("the explanation gives every column the same value")
    kept = float(top_kept(original, others).mean())
    if order.low <= ALIKE <= order.value:
        raise NotTestable(f"the agreement of the members is {order}, on both sides of the limit {ALIKE}; a larger budget= would decide")
    passed = order.low > ALIKE
    figures = f"at {order} ({ALIKE} is the limit), and {100 * kept:.0f} % of the rows keep their largest reason"
    words = (
        f"The members of the model, trained apart, order the columns like the whole {figures}: the reasons are not an accident of training."
        if passed
        else f"The members of the model order the columns like the whole only {figures}: another training run could give other reasons. "
        "Trust the average over many rows more than the reasons of one row."
    )
    return case.verdict(NAME, order, ALIKE, passed, words, top_kept=kept, members=len(others), rows=len(rows))


def _needs(case: Case) -> tuple[str, ...]:
    """Return what the explained method needs of a model; nothing where it is not one of the registered methods."""
    known = {e.name: e for e in registry.entries("explain")}
    return known[case.explanation.record.method].needs if case.explanation.record.method in known else ()
