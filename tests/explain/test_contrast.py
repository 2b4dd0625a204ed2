"""Why A rather than B: values of a contrast are differences, for every method that plays games."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def three():
    """A network of three classes, rows and background."""
    frame = made_frame(60, 4, (3,))
    labels = np.array(["a", "b", "c"])[(frame.x1 > 0).astype(int) + (frame.x2 * frame.x3 > 0)]
    table = made_table(frame)
    return fit_network(table, labels, steps=40), table.take(slice(0, 4)), table.take(slice(40, 52))


@pytest.mark.parametrize(
    "method",
    [
        "shapley", "shapley_exact", "banzhaf", "owen", "occlusion", "inclusion", "interactions", "joint_shapley", "occlusion_multi",
        "ls_tree",
    ],
)  # fmt: skip
def test_values_of_a_contrast_are_the_difference(three, method):
    model, rows, background = three
    ask = lambda **view: explain(model, rows, background=background, method=method, random_state=0, **view)  # noqa: E731
    cells = lambda made: made.values if hasattr(made, "base_values") and made.values.ndim == 2 else made.by_set[..., 0]  # noqa: E731
    one, other, between = ask(output="a"), ask(output="b"), ask(output="a", versus="b")
    assert getattr(between, "error", None) is None
    np.testing.assert_allclose(cells(between), cells(one) - cells(other), atol=1e-9)
    np.testing.assert_allclose(cells(ask(output="b", versus="a")), -cells(between), atol=1e-9)
    assert between.outputs == ("a versus b",)
    if getattr(between, "gap", None) is not None:
        np.testing.assert_allclose(between.gap, 0, atol=1e-9)


@pytest.mark.parametrize("method", ["shapley_permutation", "shapley_kernel", "shapley_sampling", "shapley_stratified", "rise"])
def test_sampled_contrasts_are_the_difference_too(three, method):
    """With one budget all three ask the same coalitions, and every estimate is linear in the answers."""
    model, rows, background = three
    ask = lambda **view: explain(model, rows, background=background, method=method, random_state=0, budget=9000, **view)  # noqa: E731
    one, other, between = ask(output="a"), ask(output="b"), ask(output="a", versus="b")
    slack = 4.5 * np.sqrt(one.error**2 + other.error**2 + between.error**2)
    assert (np.abs(between.values - (one.values - other.values)) <= slack + 1e-9).all()
    exact = explain(model, rows, background=background, output="a", versus="b", method="banzhaf" if method == "rise" else "shapley_exact")
    assert (np.abs(between.values - exact.values) <= 4.5 * between.error + 1e-9).all()


GAMES = (
    "shapley", "shapley_sampling", "shapley_stratified", "banzhaf", "interactions", "joint_shapley", "owen", "occlusion_multi",
    "ls_tree", "rise",
)  # fmt: skip


@pytest.mark.parametrize("method", GAMES)
def test_a_single_column_and_rows_like_their_background(method):
    """One player gets the whole difference; where nothing differs, everybody gets exactly nothing."""
    frame = made_frame(20, 1, ())
    table = made_table(frame)
    model = FunctionPredictor(lambda m: m[:, 0] ** 2, table)
    made = explain(model, table.take(slice(0, 3)), background=table.take([7]), method=method, random_state=0)
    values = made.by_set[:, -1, 0] if hasattr(made, "by_set") else made.values[:, 0]
    np.testing.assert_allclose(values, frame.x1[:3] ** 2 - frame.x1[7] ** 2, atol=1e-9)
    wide = made_table(made_frame(10, 3, (2,)))
    same = explain(
        FunctionPredictor(lambda m: m.prod(1), wide), wide.take([4, 4]), background=wide.take([4]), method=method, random_state=0
    )
    assert (np.asarray(same.by_set if hasattr(same, "by_set") else same.values) == 0).all()


@pytest.mark.parametrize("method", GAMES)
def test_every_output_is_explained_at_once_as_alone(three, method):
    model, rows, background = three
    ask = lambda **view: explain(model, rows, background=background, method=method, random_state=0, budget=30_000, **view)  # noqa: E731
    whole, one = ask(), ask(output="b")
    cells = lambda made: made.by_set if hasattr(made, "by_set") else made.cube()  # noqa: E731
    slack = 0.0 if getattr(one, "error", None) is None else 6.4 * np.max(one.error)
    np.testing.assert_allclose(cells(whole)[..., 1], cells(one)[..., 0], atol=1e-9 + slack)
