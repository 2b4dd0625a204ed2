"""EL2N: how wrong is a model about a row early in training, on average over seeds?

Paul, Ganguli, Dziugaite 2021, "Deep learning on a data diet", arXiv:2107.07075.
"""

from __future__ import annotations

import numpy as np

from pellucid.audit.training_rows import Runs, hardest, probabilities, runs_of
from pellucid.audit.view import FloatArray, View
from pellucid.results import Finding

__all__ = ["find", "scores"]


def scores(runs: Runs) -> FloatArray:
    """Return the norm of (probabilities - label) of each row (N,) at a fifth of training, the mean over seeds; 0 to the root of 2.

    Numbers: the absolute miss over the standard deviation of all misses. Cost: N model rows per seed.
    """
    out = []
    for k in range(len(runs.seeds)):
        early = runs.early(k)
        if runs.is_classes:
            p = probabilities(early, runs.table)
            out.append(np.linalg.norm(p - np.eye(p.shape[1])[runs.target], axis=1))
        else:
            miss = np.asarray(early.raw(runs.table)) - runs.target.reshape(len(runs.table), -1)
            out.append(np.abs(miss / np.maximum(miss.std(0), 1e-300)).mean(1))
    return np.asarray(np.mean(out, axis=0))


def find(view: View) -> list[Finding]:
    """Return the rows with the largest scores; nothing without a refit."""
    runs = runs_of(view)
    return [] if runs is None else hardest(view, runs, scores(runs), "el2n", "their error early in training (EL2N)")
