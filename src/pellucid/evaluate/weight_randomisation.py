"""Cascading weight randomisation: an explanation must change when the model forgets what it learned.

The trained layers are replaced by fresh ones, from the output side down, and the rows are explained again after each step. An explanation
that stays the same speaks of the table or of the architecture, not of the model.

Source: Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pellucid.evaluate.case import ROUGH, Case, NotTestable, cube
from pellucid.evaluate.figures import ALIKE, Figure, agreement, judge, mean_figure
from pellucid.protocols import DifferentiablePredictor, FloatArray
from pellucid.random import integer
from pellucid.results import AttentionMaps, Trial

__all__ = ["run"]

NAME = "weight_randomisation"
SEEDS, LEAST_SEEDS, MOST_SEEDS, STEPS = 10, 5, 40, 4
"""Many seeds on few rows: two random networks can agree by chance, and more rows of the same two do not tell."""
UNRELATED = 0.25
"""Agreement of the directions below which they are those of two unrelated models. Where the order of the sizes does not decide, directions
must be as far apart as that: what is merely less alike than the limit may be a method that half remembers the row."""


def run(case: Case) -> Trial:
    """Return the trial. Cost: 11 explanations of at most 20 rows, up to 3 for the curve, up to 30 where the answer is close."""
    case.needs_columns(3)
    model = case.predictor
    if not isinstance(model, DifferentiablePredictor):
        raise NotTestable("the model has no weights that can be replaced (only networks have)")
    layers = model.layers()
    rows = case.pick(case.times(SEEDS, LEAST_SEEDS) + 2, 20, coarse=True)
    case.vouch()
    original = cube(case.explain(model, rows, coarse=True))

    def after(n_layers: int, repeat: int) -> FloatArray:
        other = model.randomised(layers[:n_layers], integer(case.seed, "weights", repeat) % 2**31)
        return cube(case.explain(other, rows, coarse=True, to=ROUGH))

    full = list(case.several(lambda k: after(len(layers), k), SEEDS, LEAST_SEEDS))
    curve = _curve(original, after, layers, case)
    while True:
        sizes, signed = (mean_figure(agreement(original, np.stack(full), signed=s)) for s in (False, True))
        answer = _answer(sizes, signed)
        if answer != "open" or case.left() <= 0 or len(full) >= MOST_SEEDS:
            break
        full += [after(len(layers), len(full) + k) for k in range(5)]
    if np.isnan(sizes.value):
        raise NotTestable("the explanation gives every column the same value")
    if answer == "open":
        raise NotTestable(
            f"the agreement of the order of the columns with random weights is {sizes}, the limit is {ALIKE}, and that of the directions "
            f"{signed}, where unrelated models stay below {UNRELATED}: too near to tell, with {original.shape[1]} columns; wider networks, "
            "more columns or a larger budget= would decide"
        )
    curve.append((layers[-1], sizes.value, signed.value))
    changed = answer == "changed"
    return case.verdict(
        NAME,
        sizes,
        ALIKE,
        changed,
        _words(changed, sizes.high < ALIKE, str(sizes), signed.value, case),
        curve=[list(step) for step in curve],
        signed=signed.value,
        signed_interval=[signed.low, signed.high],
        rows=len(rows),
        repeats=len(full),
    )


def _answer(sizes: Figure, signed: Figure) -> str:
    """Return "changed", "alike" or "open"; open too where neither the order nor the directions are clear of the limit."""
    answer = judge(sizes, signed)
    return "open" if answer == "changed" and sizes.high >= ALIKE and signed.high >= UNRELATED else answer


def _curve(
    original: FloatArray, after: Callable[[int, int], FloatArray], layers: Sequence[str], case: Case
) -> list[tuple[str, float, float]]:
    """Return (last layer replaced, agreement of sizes, of directions) for some cuts of the cascade, as the time allows."""
    curve = [("none", 1.0, 1.0)]
    for cut in sorted({int(c) for c in np.linspace(1, len(layers), STEPS)} - {len(layers)}):
        if case.left() <= 0:
            break
        one = after(cut, 0)[None]
        size, direction = (mean_figure(agreement(original, one, signed=s)).value for s in (False, True))
        curve.append((layers[cut - 1], size, direction))
    return curve


def _words(passed: bool, order: bool, figure: str, signed: float, case: Case) -> str:
    what = "pairs of tokens" if isinstance(case.explanation, AttentionMaps) else "columns"
    lead = f"With random weights in place of the trained ones, the order of the {what} agrees with the original at {figure} (1 = the same"
    if passed and order:
        return f"{lead}, {ALIKE} is the limit): the explanation hangs on the trained weights. Whether it is right, this test does not ask."
    if passed:
        return (
            f"{lead}), because unusual cells stay large under any model, but the directions do not ({signed:.2f}): "
            "the explanation hangs on the trained weights. Read its directions rather than the order of its sizes."
        )
    return (
        f"{lead}, {ALIKE} is the limit): a model that learned nothing would be explained in much the same way. "
        "Do not read these values as reasons."
    )
