"""``threshold`` and ``decide``: which rows they look at, what is kept and saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pellucid as pld
from pellucid import TabularClassifier
from pellucid.errors import RequestError
from pellucid.estimators.decision import costs_of, read_costs
from pellucid.testing.mixed import FEATURES, mixed

COST = {("yes", "no"): 5, ("no", "yes"): 1}


def test_the_decision_is_told_with_its_cost_and_leaves_predict_alone(long_classifier):
    table = mixed(400, 7)
    before = long_classifier.predict(table[FEATURES])
    found = long_classifier.threshold(cost=COST)
    assert np.array_equal(long_classifier.predict(table[FEATURES]), before)
    assert found.n_rows == len(long_classifier.plan_.certify)
    assert found.costs.tolist() == [[0, 1], [5, 0]]
    p = long_classifier.predict_proba(table[FEATURES])
    assert np.array_equal(long_classifier.decide(table[FEATURES]) == "yes", p[:, 1] > found.threshold)
    assert found.interval[0] <= found.cost <= found.interval[1]
    assert found.saving == pytest.approx(found.usual - found.cost)
    assert f"{found.n_rows} held-out rows" in found.words
    assert set(found.to_frame()["rule"]) == {"this rule", "most probable class", "always no", "always yes"}


def test_the_figures_are_those_of_the_certify_rows(long_classifier):
    table = mixed(2300, 1).iloc[long_classifier.plan_.certify]
    found = long_classifier.threshold(cost=COST)
    p, yes = long_classifier.predict_proba(table[FEATURES])[:, 1], table["label"].to_numpy() == "yes"
    usual = np.where(yes, 5.0 * (p <= 0.5), 1.0 * (p > 0.5))
    assert found.usual == pytest.approx(usual.mean())
    assert found.always == pytest.approx((5 * yes.mean(), 1 - yes.mean()))
    if not found.from_rows:
        assert found.cost == pytest.approx(np.where(yes, 5.0 * (p <= 1 / 6), 1.0 * (p > 1 / 6)).mean())


def test_only_held_out_rows_decide(long_classifier):
    """Other held-out answers change the threshold; nothing else that the model knows of rows is asked."""
    found = long_classifier.threshold(cost=COST)
    model = TabularClassifier()
    held = long_classifier.certainty_.held
    for name in ("classes_", "record_", "engine_"):
        setattr(model, name, getattr(long_classifier, name))
    model.certainty_ = replace(long_classifier.certainty_, held=held)
    assert model.threshold(cost=COST).to_dict()["threshold"] == found.threshold
    # the same rows with claims that are far too low: the threshold follows them
    odds = (held.probabilities[:, 1] / held.probabilities[:, 0]) / 50
    low = np.column_stack([1 / (1 + odds), odds / (1 + odds)])
    model.certainty_ = replace(long_classifier.certainty_, held=replace(held, probabilities=low))
    moved = model.threshold(cost=COST)
    assert moved.from_rows
    assert moved.threshold < found.threshold / 2


def test_small_tables_answer_for_all_rows_out_of_fold(classifier):
    found = classifier.threshold(cost=COST)
    assert found.n_rows == 300


def test_several_classes_are_answered_by_least_expected_cost():
    table = mixed(300)
    model = TabularClassifier(verbose=0, threads=1, random_state=0, max_steps=20).fit(table[FEATURES], table["three"])
    found = model.threshold(cost={(2, 0): 10.0})
    assert found.threshold is None
    assert found.costs.tolist() == [[0, 1, 1], [1, 0, 1], [10, 1, 0]]
    p = model.predict_proba(table[FEATURES])
    assert np.array_equal(model.decide(table[FEATURES]), (p @ found.costs).argmin(1))
    assert np.array_equal(model.decide(table[FEATURES], cost=1 - np.eye(3)), model.predict(table[FEATURES]))


def test_a_saved_model_decides_alike(long_classifier, tmp_path):
    found = long_classifier.threshold(cost=COST)
    long_classifier.save(tmp_path / "m")
    again = pld.load(tmp_path / "m")
    assert again.decision_.to_dict() == found.to_dict()
    table = mixed(50, 3)[FEATURES]
    assert np.array_equal(again.decide(table), long_classifier.decide(table))
    # the held-out answers are saved too
    assert again.threshold(cost={("no", "yes"): 3}).cost == long_classifier.threshold(cost={("no", "yes"): 3}).cost


def test_what_is_asked_wrongly_is_named(classifier):
    with pytest.raises(RequestError, match="names no pair of classes"):
        classifier.threshold(cost={("yes", "maybe"): 2})
    with pytest.raises(RequestError, match="cannot be read"):
        read_costs("yes/no:5", ["no", "yes"])
    fresh = TabularClassifier()
    fresh.engine_, fresh.classes_ = classifier.engine_, classifier.classes_
    with pytest.raises(RequestError, match="no costs are known"):
        fresh.decide(mixed(5)[FEATURES])


def test_costs_in_text_name_classes_with_slashes():
    assert read_costs("a/b/c=2,c/a/b=1", ["a/b", "c"]) == {("a/b", "c"): 2.0, ("c", "a/b"): 1.0}


def test_fractions_and_text_name_the_same_classes():
    assert costs_of({("1", "0"): 5}, [0.0, 1.0]).tolist() == [[0.0, 1.0], [5.0, 0.0]]
    assert costs_of(read_costs("1/0=5", [0.0, 1.0]), [0.0, 1.0]).tolist() == [[0.0, 1.0], [5.0, 0.0]]
