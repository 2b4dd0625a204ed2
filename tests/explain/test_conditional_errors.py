"""Under the conditional fill every method states what other background rows would change, and none answers with another fill's values."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import registry
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, made_table

TREE = [["x0", "x1"], ["x2", "x3"]]
BACKGROUNDS, ROWS, SIZE = 16, 6, 50
METHODS = {
    "occlusion": {},
    "inclusion": {},
    "owen": {"tree": TREE},
    "occlusion_multi": {"tree": TREE},
    "ls_tree": {"tree": TREE},
    "interactions": {"index": "sii"},
    "joint_shapley": {},
    "rise": {"masks": 60},
    "lime": {"reseeds": 3, "samples": 200},
    "shapley_sampling": {},
    "shapley_kernel": {},
    "sage": {},
}
OFTEN = ("occlusion", "interactions", "lime", "rise")


@pytest.fixture(scope="module")
def ground():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2000, 4)) @ np.linalg.cholesky(0.4 + 0.6 * np.eye(4)).T
    table = made_table({f"x{j}": x[:, j] for j in range(4)})
    model = FunctionPredictor(lambda m: m[:, 0] + m[:, 1] * m[:, 2] + 0.5 * m[:, 3], table)
    backgrounds = [table.take(draw.choice(np.arange(ROWS, 2000), SIZE, False)) for _ in range(BACKGROUNDS)]
    return model, table.take(slice(0, ROWS)), backgrounds


def told(method, ground, background, seed, fill="conditional"):
    model, rows, _ = ground
    how = {"y": np.zeros(ROWS), "precision": 0.3} if method == "sage" else {"precision": 0.2}
    made = explain(model, rows, background=background, method=method, fill=fill, random_state=seed, options=METHODS[method] or None, **how)
    if method == "sage":
        return made.values, np.diff(made.interval, axis=1)[:, 0] / 2 / 1.96, made
    return getattr(made, "by_set", getattr(made, "values", None)), made.error, made


@pytest.mark.parametrize("method", [m if m in OFTEN else pytest.param(m, marks=pytest.mark.long) for m in METHODS if m != "sage"])
def test_errors_tell_what_other_background_rows_would_change(method, ground):
    """16 backgrounds: the spread that is stated is the spread that is seen, some more rather than less."""
    many = [told(method, ground, b, 0) for b in ground[2]]
    values, errors = (np.stack([np.asarray(m[k]) for m in many]) for k in (0, 1))
    moved = values.std(0, ddof=1) > 1e-9
    times = np.sqrt(np.square(errors)[:, moved].mean() / values.var(0, ddof=1)[moved].mean())
    assert 0.8 < times < 1.45
    inside = np.abs(values - values.mean(0)) <= 1.96 * errors
    assert inside[:, moved].mean() >= 0.87
    assert any("what other background rows would change" in c for c in many[0][2].record.caveats)


def test_intervals_of_sage_count_background_rows_too(ground):
    plain, more = (told("sage", ground, ground[2][0], 0, fill) for fill in ("marginal", "conditional"))
    assert any("other background rows" in c for c in more[2].record.caveats)
    assert not any("would change" in c for c in plain[2].record.caveats)
    assert (more[1] > 0).all()


def test_lime_follows_the_conditional_fill():
    """A copy stands in for the column that the model reads: the slopes of both are half of what they add when known together."""
    x = np.random.default_rng(1).normal(size=300)
    table = made_table({"x": x, "copy": x, "other": np.random.default_rng(2).normal(size=300)})
    model = FunctionPredictor(lambda m: m[:, 0] + m[:, 2], table)
    rows = table.take(np.argsort(x)[-4:])
    marginal, conditional = (
        explain(model, rows, background=table, method="lime", fill=f, random_state=0) for f in ("marginal", "conditional")
    )
    assert (np.abs(marginal.values[:, 1]) < 0.05).all()
    np.testing.assert_allclose(conditional.values[:, 0], conditional.values[:, 1], rtol=0.4)
    assert (conditional.values[:, 1] > 0.4).all()
    settings = conditional.record.settings
    assert conditional.n_calls < 1.5 * len(rows) * 5000  # samples x reseeds model rows a row, as they were asked for
    assert settings["samples"] < 500


@pytest.mark.parametrize("method", ["permutation_importance", "sobol", "interaction_strength", "reagent"])
def test_methods_that_fill_nothing_in_given_the_rest_refuse_to_seem_so(method, ground):
    model, rows, backgrounds = ground
    with pytest.raises(RequestError, match="conditional"):
        explain(model, rows, background=backgrounds[0], method=method, fill="conditional", y=np.zeros(ROWS))


def test_every_method_either_follows_the_fill_or_refuses_it(ground):
    """A method whose values are the marginal ones under the name of the other fill would be believed to know how columns go together."""
    model, rows, backgrounds = ground
    rows = rows.take(slice(0, 2))
    for entry in registry.entries("explain"):
        if not {"black box", "background"} <= set(entry.needs) or {"training rows", "explainer"} & set(entry.needs):
            continue
        if entry.name in ("row_clusters", "importances", "anchors", "dhondt"):  # need more rows, or are made of the others' values
            continue
        how: dict = {"y": np.zeros(2)} if "labels" in entry.needs else {}
        how |= {"background": backgrounds[0], "method": entry.name, "random_state": 0, "precision": 0.5}
        try:
            made, other = (explain(model, rows, fill=fill, **how) for fill in ("conditional", "marginal"))
        except RequestError as error:
            assert "conditional" in str(error), entry.name  # noqa: PT017
            continue
        one, two = (np.asarray(getattr(m, "by_set", getattr(m, "values", None))) for m in (made, other))
        assert not np.allclose(one, two), entry.name
