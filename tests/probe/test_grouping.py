"""Association of columns of any types, trees and proposed groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.probe.grouping import association, column_tree, nodes, propose_groups, read_tree
from pellucid.testing.predictors import made_frame, made_table


def test_numbers_by_spearman_over_known_cells():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 3)) @ draw.normal(size=(3, 3))
    x[:, 1] = np.exp(x[:, 1])
    whole = association(made_table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}))
    np.testing.assert_allclose(whole, np.abs(spearmanr(x).statistic), atol=1e-12)
    gone = draw.random(x.shape) < 0.2
    x[gone] = np.nan
    made = association(made_table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}))
    both = ~gone[:, 0] & ~gone[:, 1]
    # ranks are taken once per column, not anew for every pair: close to, not equal to, the pair's own
    assert made[0, 1] == pytest.approx(abs(spearmanr(x[both, 0], x[both, 1]).statistic), abs=0.03)


def test_levels_and_numbers_by_what_they_tell_without_bias():
    draw = np.random.default_rng(0)
    level = draw.integers(0, 6, 400)
    frame = {
        "level": np.array(list("abcdef"))[level],
        "renamed": np.array(list("uvwxyz"))[level],
        "merged": np.array(list("ppqqrr"))[level],
        "number": level % 3 + 0.01 * draw.normal(size=400),
        "noise": draw.normal(size=400),
        "many": np.array([f"word {k}" for k in draw.integers(0, 60, 400)]),
    }
    made = pd.DataFrame(association(made_table(frame)), list(frame), list(frame))
    assert made.loc["level", "renamed"] == pytest.approx(1.0, abs=0.01)
    assert made.loc["level", "merged"] == pytest.approx(1.0, abs=0.02)
    assert made.loc["level", "number"] > 0.9
    assert made.loc["number", "many"] < 0.25  # sixty levels of four hundred rows would "explain" a seventh of any number
    assert made.loc["level", "many"] < 0.25
    assert made.loc["noise", "level"] < 0.25
    assert np.array_equal(made, made.T)


def test_constant_missing_and_short_columns_have_no_association():
    table = made_table({"a": [1.0, 1.0, 1.0, 1.0], "b": [1.0, 2.0, 3.0, 4.0], "c": [np.nan] * 4, "d": ["u"] * 4})
    np.testing.assert_array_equal(association(table), np.eye(4))
    assert association(table.take(slice(0, 1))).tolist() == np.eye(4).tolist()


def test_the_tree_does_not_depend_on_the_order_of_columns():
    draw = np.random.default_rng(2)
    base = draw.normal(size=(200, 2))
    frame = {f"x{j}": base[:, j % 2] + (0.1 + 0.1 * j) * draw.normal(size=200) for j in range(6)}
    sets = lambda t: {frozenset(map(str, np.ravel(list(_leaves(n))))) for n in nodes(t)}  # noqa: E731
    one = column_tree(association(made_table(frame)), tuple(frame))
    other = dict(reversed(frame.items()))
    assert sets(one) == sets(column_tree(association(made_table(other)), tuple(other)))
    assert frozenset(("x0", "x2", "x4")) in sets(one)


def _leaves(tree):
    return [tree] if isinstance(tree, str) else [n for b in tree for n in _leaves(b)]


def test_unrelated_columns_stand_side_by_side():
    table = made_table(made_frame(500, 5, ()))
    assert column_tree(association(table), table.columns) == table.columns


def test_trees_are_read_and_completed():
    assert read_tree([["a", "b"]], ("a", "b", "c")) == (("a", "b"), "c")
    assert read_tree([["a", ["b"]], []], ("a", "b")) == (("a", ("b",)),)
    assert read_tree("a", ("a", "b")) == ("a", "b")
    assert list(nodes((("a", "b"), ("c",)))) == [(("a", "b"), ("c",)), ("a", "b"), "a", "b", "c"]


def test_groups_are_proposed_and_can_be_used():
    draw = np.random.default_rng(1)
    x = draw.normal(size=300)
    frame = pd.DataFrame({"cm": x, "inch": x / 2.54, "feet": x / 30.5, "kg": draw.normal(size=300), "y": draw.normal(size=300)})
    table = pld.read_table(frame, target="y")
    groups = pld.propose_groups(table)
    assert groups == {"cm + inch + feet": ("cm", "inch", "feet")}
    inputs = table.drop(["y"]).frame
    made = pld.explain(lambda f: f["cm"] * f["kg"], inputs[:4], background=inputs[100:110], groups=groups)
    assert made.columns == ("cm + inch + feet", "kg")
    assert propose_groups(frame.drop(columns=["inch", "feet"])) == {}
    assert propose_groups(frame[["cm", "inch"]]) == {"cm + inch": ("cm", "inch")}
    with pytest.raises(RequestError, match="threshold"):
        propose_groups(table, threshold=0)
