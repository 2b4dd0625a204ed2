"""Networks trained against small changes of their numbers: are their gradients better reasons, and what do they cost?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

import pellucid as pld
from pellucid import TabularClassifier


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight numbers, four of which decide: one bends, and one counts only beside another."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 8))
    score = 2 * np.tanh(2 * X[:, 0]) + 1.5 * X[:, 1] * (X[:, 2] > 0) + X[:, 3]
    return X, rng.random(n) < 1 / (1 + np.exp(-1.5 * score))


@pytest.mark.long
def test_gradients_of_an_adversarially_trained_network_pass_the_deletion_test_better() -> None:
    (X, y), (new, truth) = rows(600, 0), rows(1500, 1)
    gain, loss = [], []
    for seed in (0, 1):
        figures = []
        for given in (None, {"adversarial": None}):
            model = TabularClassifier(backbone="mlp", regularizers=given, random_state=seed, verbose=0, threads=1).fit(X, y)
            reasons = pld.explain(model, new[:40], method="gradient", random_state=0)
            (trial,) = pld.trial(reasons, model, new[:40], names=["deletion"], random_state=0)
            figures.append((trial.figure, log_loss(truth, model.predict_proba(new))))
        gain.append(figures[1][0] - figures[0][0])
        loss.append(figures[1][1] - figures[0][1])
    assert np.mean(gain) > 0, f"the deletion figures changed by {gain}"
    assert np.mean(loss) < 0.01, f"the log loss rose by {loss}"
