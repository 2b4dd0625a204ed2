"""Near copies, order, splits, proxies and shortcuts: their statistics, and where they must stay silent."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pellucid.audit import across, near_duplicates, proxies, shortcuts
from pellucid.audit.neighbours import nearest
from pellucid.audit.order_dependence import gap_test
from pellucid.audit.view import View
from pellucid.table import read_table
from pellucid.testing.shortcuts import bias, planted


def test_neighbours_are_those_of_all_distances():
    points = np.random.default_rng(0).normal(size=(60, 3))
    points[10] = points[20]  # a copy is a neighbour, a point its own is not
    distance, at = nearest(points, 3)
    every = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(60, np.inf))
    np.testing.assert_allclose(distance, np.sort(every, 1)[:, :3], atol=1e-9)
    assert at[10, 0] == 20
    assert not (at == np.arange(60)[:, None]).any()


def test_order_is_tested_at_its_level():
    """Of 200 tables of independent rows, about 5 % lie beyond the 5 % point."""
    draw, z = np.random.default_rng(1), []
    for seed in range(200):
        z.append(gap_test(nearest(draw.normal(size=(120, 2)), 5)[1], seed, 60)[2])
    assert abs(np.mean(np.array(z) < -1.645) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 200)


def test_near_copies_name_the_columns_that_differ(clean):
    t = clean(600, 0)
    again = t.iloc[:60].assign(pressure=lambda f: f["pressure"] + 0.01)
    view = View(
        read_table(pd.concat([t, again], ignore_index=True), target="ill"), {"train": np.arange(600), "certify": np.arange(600, 660)}
    )
    found = {f.kind: f for f in near_duplicates.find(view)}
    assert found["near duplicates"].columns == ("pressure",)
    assert len(found["near duplicates"].rows) == 120
    assert found["near duplicates: across splits"].severity == "high"


def test_groups_and_times_on_both_sides(clean):
    t = clean(300, 0).assign(patient=[f"P{k // 3:04d}" for k in range(300)], day=np.arange(300))
    table = read_table(t, target="ill").with_roles(group="patient", order="day")
    odd = {"train": np.arange(1, 300, 2), "certify": np.arange(0, 300, 2)}
    kinds = {f.kind: f for f in across.find(View(table, odd))}
    assert len(kinds["across: groups"].rows) == 150
    assert "knows" not in kinds["across: time"].evidence
    late = {"train": np.arange(210), "certify": np.arange(210, 300)}
    assert across.find(View(table, late)) == []


@pytest.mark.parametrize("n", [90, 120, 200])
def test_all_columns_together_tell_no_less_than_the_best_or_the_words_say_why(n):
    """Three copies of one coarse number: few distinct rows, so a half of them may hold one group alone."""
    draw = np.random.default_rng(0)
    sex = draw.integers(0, 2, n)
    told = np.round(3 * (2 * sex + 0.6 * draw.normal(size=n)))
    t = pd.DataFrame({"sex": np.where(sex, "m", "f"), "a": told, "b": told * 2, "c": told + 1})
    [found] = proxies.find(View(read_table(t).with_roles(sensitive=["sex"])))
    best, together = max(found.figures["alone"].values()), found.figures["together"]
    assert together > best - 2 * proxies.auc_error(best, n // 2, n // 2)
    assert "no contradiction" not in found.evidence


def test_a_joint_figure_below_the_best_is_explained(monkeypatch):
    monkeypatch.setattr(proxies, "_together", lambda *_: 0.5)
    draw = np.random.default_rng(0)
    sex = draw.integers(0, 2, 1000)
    t = pd.DataFrame({"sex": np.where(sex, "m", "f"), "height": 160 + 15 * sex + 5 * draw.normal(size=1000)})
    [found] = proxies.find(View(read_table(t).with_roles(sensitive=["sex"])))
    assert "less than 'height' alone, which is no contradiction" in found.evidence


def test_proxies_of_a_sensitive_column(clean):
    t = clean(800, 0)
    t["hair"] = np.where(np.random.default_rng(0).random(800) < 0.8, t["sex"].map({"F": "long", "M": "short"}), "long")
    [found] = proxies.find(View(read_table(t, target="ill").with_roles(sensitive=["sex"])))
    assert found.columns == ("sex", "hair")
    assert 0.7 < found.figures["alone"]["hair"] < 0.95


def test_texts_that_were_not_read_for_proxies_are_named(clean):
    t = clean(800, 0)
    t["hair"] = np.where(np.random.default_rng(0).random(800) < 0.8, t["sex"].map({"F": "long", "M": "short"}), "long")
    t["name"] = [f"{'Mrs' if s == 'F' else 'Mr'} of the house number {k} in the town" for k, s in enumerate(t["sex"])]
    [found] = proxies.find(View(read_table(t, target="ill").with_types(name="text").with_roles(sensitive=["sex"])))
    assert "other columns that are no text together" in found.evidence
    assert found.evidence.endswith("what 'name' would tell was not read")


def test_known_proxies_of_german_credit(real):
    found = {f.columns[0]: f for f in proxies.find(View(real("german_credit.csv", "risk")))}
    assert all(f.figures["together"] > 0.6 for f in found.values())


def test_shares_of_reliance_add_up_and_follow_the_weights():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(4000, 2))
    changed = np.stack([x[draw.permutation(4000), 0] + 2 * x[:, 1], x[:, 0] + 2 * x[draw.permutation(4000), 1]])
    found = shortcuts.shares(x[:, 0] + 2 * x[:, 1], changed)
    np.testing.assert_allclose(found, [0.2, 0.8], atol=0.03)


@pytest.mark.parametrize("availability", [1.0, 8.0])
def test_a_linear_model_is_nearly_unbiased_and_a_network_leans_on_what_is_easily_read(availability):
    """Published: the longer the direction of a feature in the inputs, the more a network of one hidden layer relies on it, at equal
    knowledge.

    Here after eight passes over the rows, long before it has converged; the linear model has.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    linear, network = [], []
    for seed in range(2):
        made = planted(1000, core=0.9, shortcut=0.8, availability=availability, seed=seed)
        one = LogisticRegression(C=1e4, max_iter=2000).fit(made.x, made.y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged is meant
            two = MLPClassifier((100,), max_iter=8, random_state=seed).fit(made.x, made.y)
        linear.append(bias(lambda x, m=one: m.predict(x) == 1, made))
        network.append(bias(lambda x, m=two: m.predict(x) == 1, made))
    assert abs(np.mean(linear)) < 0.05
    assert np.mean(network) > 0.2 if availability > 1 else abs(np.mean(network)) < 0.15


def test_to_know_a_person_again_is_no_knowledge_of_people():
    draw = np.random.default_rng(0)
    each = np.repeat(np.arange(60), 6)
    frame = pd.DataFrame(
        {"id": each, "age": draw.integers(18, 80, 60)[each], "sex": draw.choice(["F", "M"], 60)[each], "x": draw.normal(size=360)}
    )
    assert not proxies.find(View(read_table(frame)))  # each person's age names the person, and so the sex, in the other five rows
    told = frame.assign(height=(165 + 12 * (frame["sex"] == "M") + draw.normal(0, 6, 60)[each]).round())
    assert proxies.find(View(read_table(told)))[0].columns[:2] == ("sex", "height")


def test_two_things_of_two_names_are_no_copies():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(80, 4)), columns=list("abcd"))
    copies = pd.concat([frame, frame[:12] + 1e-4 * draw.normal(size=(12, 4))], ignore_index=True)
    assert [f.severity for f in near_duplicates.find(View(read_table(copies)))] == ["medium"]
    assert [f.severity for f in near_duplicates.find(View(read_table(copies[:82])))] == ["low"]  # a pair or two are no grave matter
    names = [f"the {i}th flake of oat and {'honey' if i % 2 else 'corn'}" for i in range(92)]
    assert not near_duplicates.find(View(read_table(copies.assign(name=names))))
    counts = pd.DataFrame({"age": draw.integers(1, 200, 81), "number": draw.integers(2, 10, 81), "start": draw.integers(1, 19, 81)})
    assert not near_duplicates.find(View(read_table(counts)))
