"""GraNd: how far would a row alone move the weights early in training, on average over seeds?

Paul, Ganguli, Dziugaite 2021, arXiv:2107.07075.
"""

from __future__ import annotations

import numpy as np

from pellucid.audit import el2n
from pellucid.audit.training_rows import Runs, hardest, runs_of
from pellucid.audit.view import FloatArray, View
from pellucid.results import Finding

__all__ = ["find", "scores"]


def scores(runs: Runs) -> FloatArray:
    """Return the norm of the gradient of each row's loss in all weights (N,) at a tenth of training, the mean over seeds.

    # NOTE[DIFF] the paper scores at the first step. At initial weights the score says little beyond the length of the row (Kirsch 2023,
    arXiv:2303.14753), so that a tenth of training has gone by here. Cost: a backward pass per row, seed and network.
    """
    return np.asarray(np.mean([runs.early(k, 0.1).gradient_norms(runs.table, runs.target) for k in range(len(runs.seeds))], axis=0))


def find(view: View) -> list[Finding]:
    """Return the rows with the largest scores; nothing without a refit."""
    runs = runs_of(view)
    if runs is None:
        return []
    return hardest(view, runs, scores(runs), "grand", "the gradient of their loss early in training (GraNd)", [("EL2N", el2n.scores(runs))])
