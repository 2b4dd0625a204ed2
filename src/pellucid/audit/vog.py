"""Variance of gradients: does what the answer reads of a row keep changing while the network learns?

Agarwal, D'souza, Hooker 2022, "Estimating example difficulty using variance of gradients", arXiv:2008.11600.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.audit import el2n
from pellucid.audit.training_rows import Runs, hardest, runs_of
from pellucid.audit.view import FloatArray, View
from pellucid.results import Finding

__all__ = ["find", "scores", "variance_of_gradients"]

CHUNK = 4096


def variance_of_gradients(gradients: FloatArray, classes: Any = None) -> FloatArray:
    """Return the scores (N,) of gradients (T, N, ...) at T checkpoints: the standard deviation over checkpoints, the mean over places.

    With ``classes`` (N,) they are standardised within each class.

    Examples
    --------
    >>> variance_of_gradients(np.array([[[1.0, 0.0], [2.0, 2.0]], [[1.0, 2.0], [2.0, 2.0]]])).tolist()
    [0.5, 0.0]
    """
    raw = gradients.std(0).reshape(gradients.shape[1], -1).mean(1)
    if classes is None:
        return np.asarray(raw)
    out = np.zeros(len(raw))
    for c in np.unique(classes):
        mine = classes == c
        out[mine] = (raw[mine] - raw[mine].mean()) / max(float(raw[mine].std()), 1e-12)
    return out


def scores(runs: Runs) -> FloatArray:
    """Return the scores (N,), the mean over seeds, standardised within classes.

    # NOTE[DIFF] gradients are taken in the embedded cells, as cells of a table need not be numbers; of the output of the row's own class.
    Cost: a forward and a backward pass per row, checkpoint and seed.
    """
    classes = runs.target if runs.is_classes else None
    return np.asarray(
        np.mean([variance_of_gradients(np.stack([_gradients(p, runs) for p in seed]), classes) for seed in runs.seeds], axis=0)
    )


def _gradients(predictor: Any, runs: Runs) -> FloatArray:
    """Return the gradient of the output of each row's class in its tokens, (N, C, D)."""
    out = []
    for start in range(0, len(runs.table), CHUNK):
        at = slice(start, start + CHUNK)
        tokens = predictor.tokens(runs.table.take(at)).detach().requires_grad_()
        answers = predictor.from_tokens(tokens)
        if runs.is_classes and answers.shape[1] > 1:
            own = answers[np.arange(len(answers)), runs.target[at]]
        else:
            own = answers.sum(1)  # the second of two classes: the first one's gradient has the same size
        own.sum().backward()
        out.append(tokens.grad.double().numpy())
    return np.concatenate(out)


def find(view: View) -> list[Finding]:
    """Return the rows with the largest scores; nothing without a refit."""
    runs = runs_of(view)
    if runs is None:
        return []
    return hardest(view, runs, scores(runs), "vog", "how their gradients change in training (VoG)", [("EL2N", el2n.scores(runs))])
