"""Stop metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from pellucid.errors import ArgumentError, RequestError
from pellucid.training.metrics import metric

rng = np.random.default_rng(0)
CODES, P, W = rng.integers(0, 3, 60), rng.dirichlet(np.ones(3), 60), rng.uniform(0, 2, 60)
Y, A = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_loss", sk.log_loss(CODES, P, sample_weight=W)),
        ("accuracy", sk.accuracy_score(CODES, P.argmax(1), sample_weight=W)),
        ("roc_auc", sk.roc_auc_score(CODES, P, multi_class="ovr", sample_weight=W)),
    ],
)
def test_class_metrics(name: str, expected: float) -> None:
    m = metric(name, "classification", 3)
    assert m.shown(m(CODES, P, W)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rmse", sk.mean_squared_error(Y, A, sample_weight=W) ** 0.5),
        ("mae", sk.mean_absolute_error(Y, A, sample_weight=W)),
        ("r2", sk.r2_score(Y, A, sample_weight=W)),
    ],
)
def test_value_metrics(name: str, expected: float) -> None:
    m = metric(name, "regression", 2)
    assert m.shown(m(Y, A, W)) == pytest.approx(expected)


def test_defaults() -> None:
    assert metric(None, "classification").name == "log_loss"
    assert metric(None, "regression").name == "rmse"
    assert metric(None, "regression", 2).name == "r2"


def test_a_users_metric_grows_with_quality() -> None:
    m = metric(sk.r2_score, "regression", 1)
    assert m(Y[:, :1], A[:, :1], W) == pytest.approx(-sk.r2_score(Y[:, 0], A[:, 0]))
    assert m.name == "r2_score"


def test_what_cannot_be_scored_never_looks_best() -> None:
    one_class = np.zeros(5, int)
    assert metric("roc_auc", "classification", 2)(one_class, np.full((5, 2), 0.5), np.ones(5)) == float("inf")


def test_unknown_metrics_are_named() -> None:
    with pytest.raises(RequestError, match="unknown metric 'rmse' for classification"):
        metric("rmse", "classification")
    with pytest.raises(ArgumentError, match="metric cannot be used"):
        metric(3, "regression")
