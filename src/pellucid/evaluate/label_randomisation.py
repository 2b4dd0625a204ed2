"""The bogus model: the same kind of model fitted on shuffled labels must be explained differently.

Source: Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292.

# NOTE[DIFF] the paper trains until the shuffled labels are memorised; here five bogus models share 10,000 rows, take at most 150 steps
each, and stop where their held-out score stops rising. They have learned nothing that is true, which is what the test needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.evaluate.case import ROUGH, Case, NotTestable, cube
from pellucid.evaluate.figures import ALIKE, Figure, agreement, judge, mean_figure
from pellucid.random import integer, stream
from pellucid.results import Trial

__all__ = ["run"]

NAME = "label_randomisation"
MODELS, ROWS, MOST_ROWS = 5, 30, 10_000
STEPS = 150
"""Most steps of a bogus network: with batches of 256 rows some twenty passes over 2,000 rows."""


def run(case: Case) -> Trial:
    """Return the trial. Cost: five fits on 10,000 rows together, of at most 150 steps each; six explanations of at most 30 rows.

    However much time there is, the work is the same; where it does not reach, nothing is judged.
    """
    case.needs_columns(3)
    if case.refit is None:
        raise NotTestable("this test fits models on shuffled labels: give refit= (True while the training rows are in memory)")
    rows = case.all_of(MODELS + 1, ROWS)
    case.vouch()
    fit, n = _bogus(case)
    original = cube(case.explain(case.predictor, rows, coarse=True))
    started = time.perf_counter()
    others = case.several(lambda k: cube(case.explain(_same_scale(fit(k), case), rows, coarse=True, to=ROUGH)), MODELS, MODELS)
    sizes, signed = (mean_figure(agreement(original, others, signed=s)) for s in (False, True))
    if np.isnan(sizes.value):
        raise NotTestable("one of the models gives every column the same value")
    answer = judge(sizes, signed)
    if answer == "open":
        raise NotTestable(f"the agreement with models fitted on shuffled labels is {sizes}, on both sides of the limit {ALIKE}")
    passed = answer == "changed"
    return case.verdict(
        NAME, sizes, ALIKE, passed, _words(passed, sizes, signed, n), signed=signed.value, signed_interval=[signed.low, signed.high],
        rows=len(rows), bogus_models=len(others), bogus_rows=n, bogus_seconds=time.perf_counter() - started,
    )  # fmt: skip


def _words(passed: bool, sizes: Figure, signed: Figure, n: int) -> str:
    lead = (
        f"Models fitted on shuffled labels ({n} rows each) know nothing; their explanations agree with this one at {sizes} "
        "(1 = the same order of columns"
    )
    if passed and sizes.high < ALIKE:
        return f"{lead}, {ALIKE} is the limit): the explanation depends on what the labels taught."
    if passed:
        return (
            f"{lead}), because unusual cells stay large under any model, but the directions do not agree ({signed.value:.2f}): "
            "the explanation depends on what the labels taught."
        )
    return (
        f"{lead}, {ALIKE} is the limit): much the same explanation comes out where there is nothing to explain. "
        "Do not read these values as reasons."
    )


def _bogus(case: Case) -> tuple[Callable[[int], Any], int]:
    """Return (what fits the k-th bogus model, number of its training rows)."""
    draw = stream(case.seed, "labels")
    own = getattr(case.refit, "target", None)
    if own is None:
        if case.y is None:
            raise NotTestable("the labels are not known; give y=")
        y = np.asarray(case.y)
        return lambda k: case.refit(table=case.table, target=y[draw.permutation(len(y))], seed=integer(case.seed, "bogus", k) % 2**31), len(
            y
        )
    n = min(len(own), max(MOST_ROWS // MODELS, 1))

    def fit(k: int) -> Any:
        rows = np.sort(draw.choice(len(own), n, replace=False))
        shuffled = np.asarray(own)[rows][draw.permutation(n)]
        return case.trained(max_steps=STEPS, rows=rows, target=shuffled, seed=integer(case.seed, "bogus", k) % 2**31)

    return fit, n


def _same_scale(model: Any, case: Case) -> Any:
    """Return the refitted model, where it answers on the scale that was explained."""
    if getattr(model, "scale", None) == case.predictor.scale:
        return model
    raise NotTestable(
        f"refitted models answer on the scale {getattr(model, 'scale', None)!r}, and the explanation is on {case.predictor.scale!r}"
    )
