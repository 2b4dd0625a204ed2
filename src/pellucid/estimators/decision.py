"""``model.threshold``: the cheapest answers for stated costs of mistakes, and what they cost on rows that were not learned from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, quote
from pellucid.export import level_text
from pellucid.protocols import FloatArray
from pellucid.results import Decision, RunRecord
from pellucid.training import decisions
from pellucid.training.decisions import Held

if TYPE_CHECKING:
    from pellucid.estimators.classifier import TabularClassifier

__all__ = ["costs_of", "find", "read_costs"]

WEIGHTED = "class_weight= was given, so the probabilities are those of weighted classes; the costs are counted on rows as they are"
UNTESTED = "no row was held out, so what the rule costs is not known"
FEW = "fewer than 20 held-out rows, so no threshold was tried on them"


def costs_of(given: Any, classes: Sequence[Any]) -> FloatArray:
    """Return the costs (O, O), ``costs[truth, answer]``, of a mapping ``{(truth, answer): cost}`` or of such a matrix.

    Mistakes that a mapping does not name cost 1, right answers nothing. Labels may be given as text.

    Examples
    --------
    >>> costs_of({("yes", "no"): 5}, ["no", "yes"]).tolist()
    [[0.0, 1.0], [5.0, 0.0]]
    """
    if not isinstance(given, Mapping):
        return decisions.check_costs(given, len(classes))
    at = {level_text(c): i for i, c in enumerate(classes)} | {c: i for i, c in enumerate(classes)}
    costs: npt.NDArray[Any] = (1.0 - np.eye(len(classes))).astype(object)
    for pair, cost in given.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or any(c not in at for c in pair):
            raise RequestError(
                "this cost names no pair of classes", expected=f"(true class, answered class) of {quote(classes, 12)}", got=repr(pair)
            )
        costs[at[pair[0]], at[pair[1]]] = cost
    return decisions.check_costs(costs, len(classes))


def read_costs(text: str, classes: Sequence[Any]) -> dict[tuple[str, str], float]:
    """Return the costs that a text such as ``"yes/no=5,no/yes=1"`` states: a yes that is answered as no costs 5.

    Examples
    --------
    >>> read_costs("yes/no=5, no/yes=1", ["no", "yes"])
    {('yes', 'no'): 5.0, ('no', 'yes'): 1.0}
    """
    names = [level_text(c) for c in classes]
    pairs = {f"{truth}/{answer}": (truth, answer) for truth in names for answer in names}
    found = {}
    for part in text.split(","):
        pair, _, cost = part.rpartition("=")
        try:
            found[pairs[pair.strip()]] = float(cost)
        except (KeyError, ValueError) as error:
            raise RequestError(
                "this cost cannot be read", expected=f"TRUE/ANSWERED=COST with classes {quote(names, 12)}", got=repr(part)
            ) from error
    return found


def find(model: TabularClassifier, cost: Any) -> Decision:
    """Return the decision for these costs; see :meth:`TabularClassifier.threshold`."""
    started = time.perf_counter()
    classes = [c.item() if isinstance(c, np.generic) else c for c in model.classes_]
    costs = costs_of(cost, classes)
    held, seed = model.certainty_.held, int(model.record_["seed"])
    held = held if held is not None else Held(np.zeros((0, len(classes))), np.zeros(0, np.int64), np.zeros(0))
    if len(classes) == 2:
        threshold, from_rows, spent, saved, error = decisions.choose_threshold(held, costs, seed)
    else:
        threshold, from_rows, saved, error = None, False, 0.0, 0.0
        spent = decisions.cost_of(decisions.least_cost(held.probabilities, costs), held.truth, costs)
    figures = _figures(held, costs, spent, seed)
    caveats = [WEIGHTED] if model.class_weight is not None and model.certainty_.lean is None else []
    caveats += [UNTESTED] if not len(held) else [FEW] if len(held) < 2 * decisions.FOLDS else []
    settings = {"threshold_saved": saved, "threshold_saved_error": error, "folds": decisions.FOLDS}
    record = RunRecord("threshold", settings, seed, str(model.record_["data"]), time.perf_counter() - started, 0, tuple(caveats))
    words = _words(classes, costs, threshold, from_rows, figures, len(held))
    return Decision(
        classes=tuple(classes),
        costs=costs,
        threshold=threshold,
        from_rows=from_rows,
        n_rows=len(held),
        words=words,
        record=record,
        **figures,
    )


def _figures(held: Held, costs: FloatArray, spent: FloatArray, seed: int) -> dict[str, Any]:
    """Return what the rule, the most probable class and each class alone cost a row, with intervals from one bootstrap."""
    unknown = float("nan")
    if not len(held):
        empty = {"cost": unknown, "interval": (unknown, unknown), "usual": unknown, "always": (unknown,) * len(costs)}
        return empty | {"saving": unknown, "saving_interval": (unknown, unknown)}
    usual = decisions.cost_of(held.probabilities.argmax(1), held.truth, costs)
    rows = np.column_stack([spent, usual - spent, usual, costs[held.truth]])
    means, intervals = decisions.bootstrap(rows, held.weights, seed)
    pair = [tuple(map(float, i)) for i in intervals]
    return {
        "cost": float(means[0]), "interval": pair[0], "saving": float(means[1]), "saving_interval": pair[1], "usual": float(means[2]),
        "always": tuple(map(float, means[3:])),
    }  # fmt: skip


def _words(classes: Sequence[Any], costs: FloatArray, threshold: float | None, from_rows: bool, figures: Mapping[str, Any], n: int) -> str:
    """Return the decision in plain words."""
    if threshold is None:
        rule = "The class of least expected cost is answered."
    else:
        why = "the cheapest on held-out rows" if from_rows else "as the costs alone say"
        rule = f"{classes[1]} is answered where its probability is above {threshold:.3g}, {why}."
    if not n:
        return f"{rule} No row was held out, so what that costs is not known."
    low, high = figures["interval"]
    cheapest = int(np.argmin(figures["always"]))
    less, more = figures["saving_interval"]
    return (
        f"{rule} On {n} held-out rows it costs {figures['cost']:.3g} a row (95 %: {low:.3g} to {high:.3g}); the most probable class costs "
        f"{figures['usual']:.3g}, always {classes[cheapest]} {figures['always'][cheapest]:.3g}. Saved against the most probable class: "
        f"{figures['saving']:.3g} a row ({less:.3g} to {more:.3g})."
    )
