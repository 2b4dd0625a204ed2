"""Common checks of explainers: exactly the axioms a method declares, against closed forms, and what every method must keep.

A subject is an :class:`Explainer`: the method as trials and tests call it. Sampled values are compared within 4.5 of their stated standard
errors; values without a stated error must be exact.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import PellucidError, RequestError
from pellucid.evaluate.case import cube
from pellucid.evaluate.figures import agreement, judge, mean_figure
from pellucid.protocols import FloatArray
from pellucid.registry import Entry
from pellucid.results import Explanation, Importance
from pellucid.table import Table
from pellucid.testing import oracles
from pellucid.testing.checks import Check
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, TellingNetwork, TinyNetwork, made_frame, made_table

__all__ = ["CHECKS", "Explainer", "network_of", "subject"]

ERRORS = 4.5
"""Standard errors a sampled value may lie off: one value in 150,000 does so by chance."""


@dataclass(frozen=True)
class Explainer:
    """A method under check.

    Attributes
    ----------
    call : ``(predictor, table, *, background, random_state, budget, precision)`` to an Explanation or Importance; with ``y=`` where it
        needs labels.
    needs : as its registry line says.
    """

    call: Callable[..., Any]
    needs: tuple[str, ...] = ()

    def __call__(self, predictor: Any, table: Table, background: Table, seed: int = 0, budget: Any = None) -> Any:
        options: dict[str, Any] = {"y": predictor.raw(table)[:, 0]} if "labels" in self.needs else {}
        answer: Any = self.call(predictor, table, background=background, random_state=seed, budget=budget, precision=None, **options)
        return answer


def subject(entry: Entry) -> Explainer:
    """Return the registered method as the checks call it."""

    def call(predictor: Any, table: Table, **options: Any) -> Any:
        from pellucid.explain import explain

        if "explainer" in entry.needs:  # fitted to a copy: what the fit asks the model is not what the answer asks it
            from pellucid.explain.fitting import fit_explainer

            fitted = fit_explainer(
                copy.copy(predictor), options["background"], method=entry.name, background=options["background"],
                random_state=options["random_state"], steps=60,
            )  # fmt: skip
            options["options"] = {"explainer": fitted, **({"fallback": False} if "fallback" in entry.options else {})}
        return explain(predictor, table, method=entry.name, **options)

    return Explainer(call, entry.needs)


# ---------------------------------------------------------------- what is explained


def network_of(needs: tuple[str, ...]) -> type[TinyNetwork]:
    """Return the network that has what a method needs: one that shows its inside for methods that read it."""
    return TellingNetwork if "parts" in needs else TinyNetwork


def _network(
    columns: int = 5, seed: int = 0, levels: tuple[int, ...] = (3,), needs: tuple[str, ...] = ()
) -> tuple[TinyNetwork, Table, Table]:
    """Return (network, rows, background) with number columns and, by default, one category column."""
    table = made_table(made_frame(60, columns - len(levels), levels, seed))
    background, rows = table.take(slice(0, 20)), table.take(slice(40, 52))
    return network_of(needs)(background, seed=seed), rows, background


def _for(explainer: Explainer, columns: int = 5, seed: int = 0) -> tuple[TinyNetwork, Table, Table]:
    """Return a network the method can explain: without category columns where it reads numbers only."""
    return _network(columns, seed, () if "numbers" in explainer.needs else (3,), explainer.needs)


def _off(made: Explanation | Importance, truth: FloatArray, relative: float = 1e-6) -> FloatArray:
    """Return the distance of values (N, P, O) from the truth in units of what is allowed; above 1 is wrong."""
    values = cube(made)
    error = getattr(made, "error", None)
    allowed = np.full(values.shape, relative * max(float(np.abs(truth).max()), 1e-12))
    if error is not None:
        allowed = allowed + ERRORS * np.asarray(error, float).reshape(values.shape)
    return np.asarray(np.abs(values - truth.reshape(values.shape)) / allowed)


# ---------------------------------------------------------------- every method


def check_the_answer_fits_the_question(explainer: Explainer) -> None:
    """Shapes, names and finite values; the predictions are the model's own."""
    model, rows, background = _for(explainer)
    made = explainer(model, rows, background)
    values = cube(made)
    assert np.isfinite(values).all(), "some values are missing or infinite"
    assert tuple(made.columns) == model.columns, "the values are not named by the model's columns"
    if isinstance(made, Explanation):
        assert values.shape == (len(rows), 5, 1), f"{len(rows)} rows of 5 columns gave values of shape {values.shape}"
        off = np.abs(np.asarray(made.predictions).reshape(len(rows), -1) - model.raw(rows)).max()
        assert off < 1e-6, "the predictions in the explanation are not the model's"
        assert list(made.data.index) == list(rows.frame.index), "the cells in the explanation are of other rows"
    assert made.record.settings, "the settings are not recorded, so the answer cannot be replayed"


def check_the_same_seed_gives_the_same_values(explainer: Explainer) -> None:
    """Two calls with one seed agree to the last bit."""
    model, rows, background = _for(explainer)
    one, two = (cube(explainer(model, rows, background, seed=7)) for _ in range(2))
    assert np.array_equal(one, two), "two calls with the same seed gave different values"


def check_the_input_is_untouched(explainer: Explainer) -> None:
    """The caller's frames are the same afterwards."""
    model, rows, background = _for(explainer)
    rows, background = (made_table(copy.deepcopy(t.frame)) for t in (rows, background))
    before = [t.frame.copy(deep=True) for t in (rows, background)]
    explainer(model, rows, background)
    for frame, table in zip(before, (rows, background)):
        assert frame.equals(table.frame), "the method changed the caller's table"


def check_an_unused_column_gets_nothing(explainer: Explainer) -> None:
    """A column the model does not read has the value 0 in every row."""
    model, rows, background = _for(explainer)
    with_dummy = copy.copy(model)
    with_dummy.stages = copy.deepcopy(model.stages)
    with_dummy.stages.parts.data[1] = 0.0
    made = explainer(with_dummy, rows, background)
    values = cube(made)
    size = np.abs(values).max()
    assert size > 0, "every value is 0"
    error = getattr(made, "error", None)
    slack = 0.0 if error is None else ERRORS * np.asarray(error, float).reshape(values.shape)[:, 1]
    assert (np.abs(values[:, 1]) <= 1e-9 * size + slack).all(), "a column that the model does not read was credited"


def check_random_weights_change_it(explainer: Explainer) -> None:
    """Under fresh weights the order and the directions of the columns are others."""
    model, rows, background = _for(explainer, columns=6)
    rows = rows.take(slice(0, 6)) if "whole table" not in explainer.needs else rows
    original = cube(explainer(model, rows, background))
    others = np.stack([cube(explainer(model.randomised(model.layers(), s), rows, background)) for s in range(6)])
    sizes, signed = (mean_figure(agreement(original, others, signed=s)) for s in (False, True))
    assert judge(sizes, signed) != "alike", f"random weights leave the explanation as it was: agreement {sizes}"


def check_the_budget_is_respected(explainer: Explainer) -> None:
    """No more model rows are evaluated than allowed, and all of them are counted; a budget that is too small is refused."""
    table = made_table(made_frame(60, 8, ()))
    background, rows = table.take(slice(0, 10)), table.take(slice(40, 46))
    model = FunctionPredictor(lambda x: np.tanh(x).prod(1) + x[:, 0] * x[:, 1], background)
    for budget in (3000, 20_000):
        model.rows_asked = 0
        y_rows = len(rows) if "labels" in explainer.needs else 0  # the labels of the check itself
        try:
            made = explainer(model, rows, background, budget=budget)
        except PellucidError:
            continue
        used, counted = model.rows_asked - y_rows, made.record.n_calls
        assert used <= budget, f"{used} model rows were evaluated with a budget of {budget}"
        assert counted >= used, f"{used} model rows were evaluated and {counted} were counted"


def check_row_order_does_not_matter(explainer: Explainer) -> None:
    """Rows in another order get the same values, bit for bit of rounding."""
    model, rows, background = _for(explainer)
    order = np.random.default_rng(0).permutation(len(rows))
    one, two = cube(explainer(model, rows, background))[order], cube(explainer(model, rows.take(order), background))
    assert np.abs(one - two).max() <= 1e-9 * np.abs(one).max(), "the values depend on the order of the rows"


def check_column_order_does_not_matter(explainer: Explainer) -> None:
    """The same model with its columns in another order gives each column the same value."""
    model, rows, background = _for(explainer)
    order = [3, 0, 4, 2, 1]
    names = [model.columns[j] for j in order]
    other = model.reordered(order)
    first, second = explainer(model, rows, background), explainer(other, rows.select(names), background.select(names))
    truth = cube(first)[:, order]
    error = getattr(first, "error", None)
    slack = 0.0 if error is None else np.sqrt(2) * ERRORS * np.asarray(error, float).reshape(truth.shape[0], -1, 1)[:, order]
    off = np.abs(cube(second) - truth)
    assert (off <= slack + 1e-8 * np.abs(truth).max()).all(), "the values depend on the order of the columns"


# ---------------------------------------------------------------- declared axioms


def check_values_add_up(explainer: Explainer) -> None:
    """Base plus values is the model's answer, computed anew; to 1e-6 of the range, 1e-3 where gradients are integrated."""
    model, rows, background = _for(explainer)
    made = explainer(model, rows, background)
    assert isinstance(made, Explanation)
    answers = model.raw(rows)
    gap = answers - np.asarray(made.base_values).reshape(len(rows), -1) - cube(made).sum(1)
    limit = 1e-3 if "gradients" in explainer.needs else 1e-6
    span = np.ptp(np.concatenate([answers, model.raw(background)]))
    assert np.abs(gap).max() <= limit * span, f"base plus values misses the answer by {np.abs(gap).max() / span:.1e} of the range"
    assert made.gap is not None, "the gap is not stated"
    assert np.abs(np.asarray(made.gap).reshape(gap.shape) - gap).max() <= 1e-6 * span, "the stated gap is not the gap"


def check_scaling_the_model_scales_the_values(explainer: Explainer) -> None:
    """Three times the model, plus a constant, has three times the values."""
    model, rows, background = _for(explainer)
    tripled = copy.copy(model)
    tripled.stages = copy.deepcopy(model.stages)
    tripled.stages.output.data *= 3.0
    one, three = explainer(model, rows, background), explainer(tripled, rows, background)
    off = _off(three, 3 * cube(one))
    if (error := getattr(one, "error", None)) is not None:
        off = off / 2 if np.any(error) else off
    assert off.max() <= 1, "three times the model does not have three times the values"


def check_a_linear_model_gets_its_closed_form(explainer: Explainer) -> None:
    """Column j of a linear model gets its weight times the distance from the background's mean."""
    frame = made_frame(40, 4, ())
    background, rows = made_table(frame.iloc[:15]), made_table(frame.iloc[20:30])
    model = LinearPredictor([2.0, -1.0, 0.0, 0.5], background, intercept=3.0)
    off = _off(explainer(model, rows, background), model.truth(rows)[:, :, None])
    assert off.max() <= 1, f"values of a linear model are off its closed form by {off.max():.1f} times what is allowed"


def check_equal_columns_share(explainer: Explainer) -> None:
    """Two columns that play the same part, with the same cells, get the same value."""
    draw = np.random.default_rng(3)
    twin, other = draw.normal(size=30), draw.normal(size=30)
    table = made_table(pd.DataFrame({"a": twin, "b": twin, "c": other}))
    background, rows = table.take(slice(0, 10)), table.take(slice(15, 25))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + np.sin(x[:, 0]) + np.sin(x[:, 1]) + x[:, 2], background)
    made = explainer(model, rows, background)
    values = cube(made)
    error = getattr(made, "error", None)
    slack = 0.0 if error is None else 2 * ERRORS * np.asarray(error, float).max()
    assert np.abs(values[:, 0] - values[:, 1]).max() <= slack + 1e-6 * np.abs(values).max(), (
        "two columns in the same part got different values"
    )


def check_the_restaurant_game_is_shared_fairly(explainer: Explainer) -> None:
    """The guests A, B and C are charged 180, 360 and 460."""
    model, row, background = oracles.restaurant()
    off = _off(explainer(model, row, background), np.array([[[180.0], [360.0], [460.0]]]))
    assert off.max() <= 1, "the restaurant game is not shared as 180, 360, 460"


def check_it_equals_brute_force(explainer: Explainer) -> None:
    """Values of a network on numbers and categories equal those of the definition."""
    model, rows, background = _network()
    rows, background = rows.take(slice(0, 4)), background.take(slice(0, 6))
    off = _off(explainer(model, rows, background), oracles.brute_shapley(model, rows, background))
    assert off.max() <= 1, f"values are off the definition by {off.max():.1f} times what is allowed"


def check_stated_errors_cover(explainer: Explainer) -> None:
    """With a small budget, 95 % of the values lie within 1.96 stated errors of the exact ones; at least 88 % are asked for.

    Values of one row share their draws: 40 rows stand behind the share, so that an honest method falls below 88 % in under 2 % of draws.
    """
    table = made_table(made_frame(80, 8, ()))
    background, rows = table.take(slice(0, 8)), table.take(slice(40, 80))
    model = FunctionPredictor(lambda x: np.tanh(x[:, :4]).prod(1) * 8 + x[:, 4] * x[:, 5] * x[:, 6] + x[:, 7], background)
    from pellucid.testing.saboteurs import honest

    truth = cube(honest(model, rows, background=background))
    made = _smallest(explainer, model, rows, background)
    assert isinstance(made, Explanation)
    if made.error is None:
        assert _off(made, truth).max() <= 1, "no error is stated, and the values are not exact"
        return
    error = np.asarray(made.error, float).reshape(truth.shape)
    inside = np.abs(cube(made) - truth) <= 1.96 * error + 1e-9 * np.abs(truth).max()
    assert inside.mean() >= 0.88, f"{100 * inside.mean():.0f} % of the values lie within 1.96 stated errors of the truth"
    used = np.abs(cube(made) - truth)[error > 0].mean() / error[error > 0].mean()
    assert used > 0.2, "the stated errors are many times too large"


def _smallest(explainer: Explainer, model: Any, rows: Table, background: Table) -> Any:
    """Return the explanation with the smallest of some budgets that the method accepts."""
    for budget in (8_000, 16_000, 90_000):
        try:
            return explainer(model, rows, background, budget=budget)
        except RequestError:
            continue
    raise AssertionError("the method refuses a budget of 90,000 model rows for 40 rows of 8 columns")


def _per_row(entry: Entry) -> bool:
    return "whole table" not in entry.needs


def _black_box(entry: Entry) -> bool:
    return "gradients" not in entry.needs and "parts" not in entry.needs


def _claims(*axioms: str) -> Callable[[Entry], bool]:
    return lambda entry: set(axioms) <= set(entry.axioms) and _per_row(entry)


_SHAPLEY = _claims("completeness", "dummy", "symmetry", "linearity")  # these four together leave one method (Shapley 1953)

CHECKS: tuple[Check, ...] = (
    Check(check_the_answer_fits_the_question, lambda e: "numbers" not in e.needs),
    Check(check_the_same_seed_gives_the_same_values, lambda e: True),
    Check(check_the_input_is_untouched, lambda e: True),
    Check(check_random_weights_change_it, lambda e: True),
    Check(check_the_budget_is_respected, _black_box),
    Check(check_row_order_does_not_matter, _per_row),
    Check(check_column_order_does_not_matter, _per_row),
    Check(check_an_unused_column_gets_nothing, lambda e: "dummy" in e.axioms),
    Check(check_values_add_up, _claims("completeness")),
    Check(check_scaling_the_model_scales_the_values, _claims("linearity")),
    Check(check_a_linear_model_gets_its_closed_form, lambda e: _claims("linearity")(e) and _black_box(e)),
    Check(check_equal_columns_share, lambda e: _claims("symmetry")(e) and _black_box(e)),
    Check(check_the_restaurant_game_is_shared_fairly, _SHAPLEY),
    Check(check_it_equals_brute_force, _SHAPLEY),
    Check(check_stated_errors_cover, _SHAPLEY),
)
