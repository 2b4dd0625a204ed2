"""Training once more, watched: predictors at steps of training under several seeds, which the scores of training rows read.

Letters: N training rows, O classes, S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.audit.view import FloatArray, IntArray, View
from pellucid.errors import RequestError
from pellucid.random import integer
from pellucid.results import Finding
from pellucid.table import Table

__all__ = ["CHECKPOINTS", "SEEDS", "Runs", "hardest", "probabilities", "runs_of", "watched"]

SEEDS = 2
CHECKPOINTS = 10
TOP = 0.02


@dataclass(frozen=True)
class Runs:
    """Training runs of one kind of model.

    Attributes
    ----------
    table : the N training rows. target : (N,) class numbers, or (N, O) numbers.
    seeds : S tuples of predictors, early ones first; the k-th of ``CHECKPOINTS`` stands at k / 10 of the planned steps.
    """

    table: Table
    target: npt.NDArray[Any]
    seeds: tuple[tuple[Any, ...], ...]

    @property
    def is_classes(self) -> bool:
        """True for classes."""
        return bool(self.seeds[0][0].classes)

    def early(self, seed: int, share: float = 0.2) -> Any:
        """Return the predictor of one seed at a share of the planned steps."""
        at = max(0, round(share * CHECKPOINTS) - 1)
        return self.seeds[seed][min(at, len(self.seeds[seed]) - 1)]


def watched(refit: Any, seed: int = 0, seeds: int = SEEDS) -> Runs:
    """Return the runs. Cost: ``seeds`` fits. ``refit`` must know its rows (``table``, ``target``), as that of an estimator does."""
    if getattr(refit, "table", None) is None or getattr(refit, "target", None) is None:
        raise RequestError("scores of training rows need a refit that knows its rows", do="pass model.refitter() of a fitted network")
    made = []
    for k in range(seeds):
        whole = refit(seed=integer(seed, "watched", k) % 2**31, checkpoints=CHECKPOINTS)
        if not getattr(whole, "checkpoints", ()):
            raise RequestError("the refit kept no checkpoints", expected="a network that trains for some steps")
        made.append(tuple(whole.checkpoints))
    return Runs(refit.table, np.asarray(refit.target), tuple(made))


def runs_of(view: View) -> Runs | None:
    """Return the runs of a view's refit, made once; None where there is none that learns step by step."""
    if view.refit is None:
        return None
    if "runs" not in view.kept:
        try:
            view.kept["runs"] = watched(view.refit, view.seed)
        except RequestError:
            view.kept["runs"] = None  # a model that is not trained by steps has no such scores
    made: Runs | None = view.kept["runs"]
    return made


def probabilities(predictor: Any, table: Table) -> FloatArray:
    """Return a predictor's class probabilities (N, O)."""
    raw = np.asarray(predictor.raw(table), np.float64)
    p = raw if predictor.scale == "probability" else 1 / (1 + np.exp(-np.clip(raw, -500, 500)))
    return np.column_stack([1 - p[:, 0], p[:, 0]]) if p.shape[1] == 1 else p


def hardest(
    view: View, runs: Runs, scores: FloatArray, kind: str, what: str, others: Sequence[tuple[str, FloatArray]] = ()
) -> list[Finding]:
    """Return one finding that names the hardest rows: the upper 2 %."""
    from scipy.stats import spearmanr

    n = len(scores)
    places = _places(view, runs)
    target = view.target
    if places is None or target is None or n < 100:
        return []
    top = np.argsort(-scores, kind="stable")[: max(5, round(TOP * n))]
    agree = [f"; rank correlation with {name} {float(spearmanr(scores, other).statistic):.2f}" for name, other in others]
    words = f"the {len(top):,} rows that are hardest by {what} reach {scores[top].min():.3g} to {scores[top].max():.3g}, "
    words += "where half of all rows "
    words += f"stay below {np.median(scores):.3g}" + "".join(agree)
    remedy = (
        "look at them: wrong labels and odd rows gather here, and so do rare but right ones; try what leaving them out changes (pld.trial)"
    )
    figures = {"scores": scores[top].round(5).tolist(), "median": float(np.median(scores)), "measure": kind}
    return [view.finding(f"training rows: {kind}", "low", (target.name,), words, remedy, rows=places[top], figures=figures)]


def _places(view: View, runs: Runs) -> IntArray | None:
    """Return where the training rows stand in the audited table, or None where that cannot be told."""
    if len(runs.table) == len(view):
        return np.arange(len(view))
    own, theirs = view.table.index, runs.table.index
    if len(np.unique(own)) < len(own) or not np.isin(theirs, own).all():
        return None
    order = np.argsort(own)
    return np.asarray(order[np.searchsorted(own[order], theirs)], np.int64)
