"""``bayes="stochastic_bn"``: a sample of networks in the place of one, through fit, answers, doubt and files."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor, load
from pellucid.errors import RequestError

QUICK = {"verbose": 0, "threads": 1, "random_state": 0}


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, rng.random(n) < 1 / (1 + np.exp(-2 * X[:, 0] * X[:, 1] - X[:, 2]))


def test_folds_times_samples_answer_and_come_back_from_disk(tmp_path) -> None:
    X, y = rows(300)
    model = TabularClassifier(backbone="resnet", bayes={"stochastic_bn": {"samples": 3}}, max_steps=60, **QUICK).fit(X, y)
    engine = model.engine_
    assert (engine.n_folds, engine.n_samples, engine.n_members) == (5, 3, 15)
    assert model.record_["training"]["samples"] == 3
    members = engine.members(model._table(X[:20]))
    within = members.reshape(20, 5, 3, 2)
    assert (within.std(2)[..., 1] > 0).all(), "samples of one network differ"
    assert within.std(2).mean() < within.std(1).mean(), "and are closer to each other than the networks of other folds"
    assert model.parts(X[:20])["hidden"].shape[:2] == (20, 15)
    answer = pld.uncertainty(model, X[:20])
    assert (answer.epistemic > 0).all()
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.bayes == {"stochastic_bn": {"samples": 3}}
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    same = TabularClassifier(backbone="resnet", bayes={"stochastic_bn": {"samples": 3}}, max_steps=60, **QUICK).fit(X, y)
    assert np.array_equal(same.predict_proba(X), model.predict_proba(X)), "the same seed draws the same batches"
    values = pld.explain(model, X[:5], method="gradient")
    assert np.isfinite(values.values).all()


def test_the_log_loss_is_no_worse_than_that_of_the_running_record() -> None:
    (X, y), (new, truth) = rows(3000), rows(4000, 1)
    quick = {**QUICK, "backbone": "resnet", "backbone_options": {"width": 48}, "max_steps": 150, "device": "cpu"}
    plain, drawn = (TabularClassifier(bayes=bayes, **quick).fit(X, y) for bayes in (False, "stochastic_bn"))
    assert (plain.engine_.n_members, drawn.engine_.n_members) == (1, 16)
    loss = [log_loss(truth, m.predict_proba(new)) for m in (plain, drawn)]
    assert loss[1] < loss[0] + 0.002
    answer = pld.uncertainty(drawn, new)
    assert (answer.epistemic > 0).mean() > 0.99
    assert pld.uncertainty(plain, new).epistemic is None, "one network cannot disagree"


def test_refusals() -> None:
    X, y = rows(80)
    with pytest.raises(RequestError, match="this network has none"):
        TabularClassifier(backbone="mlp", bayes="stochastic_bn", **QUICK).fit(X, y)
    with pytest.raises(RequestError, match="for networks"):
        TabularClassifier(backbone="linear", bayes="stochastic_bn", **QUICK).fit(X, y)
    for bayes in (True, "dropout", {"stochastic_bn": {"samples": 1}}, {"stochastic_bn": {"draws": 3}}, {}):
        with pytest.raises(RequestError, match="bayes"):
            TabularRegressor(backbone="resnet", bayes=bayes, **QUICK).fit(X, X[:, 0])
