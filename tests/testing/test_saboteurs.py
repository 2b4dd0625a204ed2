"""Every common check is seen to go red: on a double that has the very fault the check is there for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pellucid.testing import (
    checks_audit,
    checks_backbone,
    checks_doubt,
    checks_embedding,
    checks_encoder,
    checks_explainer,
    checks_fill,
    checks_map,
    checks_methods,
    checks_promise,
    checks_regularizer,
    checks_remedy,
    checks_scale,
    checks_select,
    checks_shift,
    checks_trial,
    checks_uncertainty,
    saboteurs,
    saboteurs_doubt,
    saboteurs_effect,
    saboteurs_fill,
    saboteurs_networks,
)
from pellucid.testing import saboteurs_models as wrong
from pellucid.testing.checks_backbone import Backbone
from pellucid.testing.checks_embedding import Encoder
from pellucid.testing.checks_explainer import Explainer
from pellucid.testing.checks_regularizer import Regularized
from pellucid.testing.saboteurs_promise import PROMISES


def _misnames(predictor: Any, X: Any, **options: Any) -> Any:
    made = saboteurs.honest(predictor, X, **options)
    return replace(made, columns=made.columns[::-1])


def _restless_seed(predictor: Any, X: Any, **options: Any) -> Any:
    _restless_seed.calls += 1
    return saboteurs.unstable(predictor, X, **options | {"random_state": _restless_seed.calls})


_restless_seed.calls = 0


def _adds_a_constant(predictor: Any, X: Any, **options: Any) -> Any:
    made = saboteurs.honest(predictor, X, **options)
    return replace(made, values=made.values + 0.1)


def _favours_the_first(predictor: Any, X: Any, **options: Any) -> Any:
    """Shares the gains by arrival from left to right: complete, and unfair."""
    return saboteurs.depends_on_column_order(predictor, X, **options)


EXPLAINERS: dict[str, Callable[..., Any]] = {
    "the_answer_fits_the_question": _misnames,
    "the_same_seed_gives_the_same_values": _restless_seed,
    "the_input_is_untouched": saboteurs.changes_its_input,
    "random_weights_change_it": saboteurs.ignores_the_model,
    "the_budget_is_respected": saboteurs.overspends,
    "row_order_does_not_matter": saboteurs.depends_on_row_order,
    "column_order_does_not_matter": saboteurs.depends_on_column_order,
    "an_unused_column_gets_nothing": _adds_a_constant,
    "values_add_up": saboteurs.leaves_a_gap,
    "scaling_the_model_scales_the_values": _adds_a_constant,
    "a_linear_model_gets_its_closed_form": saboteurs.credits_a_dummy,
    "equal_columns_share": _favours_the_first,
    "the_restaurant_game_is_shared_fairly": _favours_the_first,
    "it_equals_brute_force": _favours_the_first,
    "stated_errors_cover": saboteurs.states_tiny_errors,
}
UNCERTAINTIES = {
    "intervals_cover": wrong.forgets_the_one,
    "intervals_nest": wrong.forgets_the_one,
    "sets_cover": wrong.ForgetsTheOne(),
    "it_takes_back_what_was_claimed_too_much": wrong.overconfident,
    "it_leaves_calibrated_probabilities_alone": wrong.restless,
    "equal_members_have_no_epistemic_doubt": wrong.doubts_agreeing_members,
    "strange_rows_are_unfamiliar": wrong.finds_everything_familiar,
    "sampled_networks_spread_like_their_batches": saboteurs_networks.spreads_by_itself,
}
AUDITS = {
    "it_is_silent_on_a_clean_table": wrong.cries_wolf,
    "it_finds_its_planted_fault": wrong.stays_silent,
    "findings_can_be_acted_on": wrong.cries_wolf,
}


def _named(function: Any, name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__ = name
    return call


class _Forgetful:
    """An encoder whose state leaves out what it learned of the numbers."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def transform(self, rows: Any) -> Any:
        out = self._inner.transform(rows)
        return replace(out, numbers=out.numbers * getattr(self, "scale", 1.0))

    def state(self) -> Any:
        return self._inner

    @classmethod
    def from_state(cls, state: Any) -> Any:
        other = cls(state)
        other.scale = 0.5
        return other


ENCODERS = {
    "rows_are_encoded_alone": wrong.leaky_encoder,
    "columns_do_not_leak_into_each_other": wrong.leaky_encoder,
    "what_is_missing_or_unseen_is_told": wrong.leaky_encoder,
    "state_makes_the_round_trip": lambda table, target: _Forgetful(checks_encoder.table_encoder(table, target)),
}


def _regularizers() -> list[dict[str, Regularized]]:
    """Return the doubles of each check in turn; a check with fewer of them gets its first one again."""
    every = saboteurs_networks.REGULARIZERS
    most = max(map(len, every.values()))
    return [{k: Regularized(v[i] if i < len(v) else v[0]) for k, v in every.items()} for i in range(most)]


def _cases() -> list[Any]:
    rooms: list[tuple[Any, dict[str, Any]]] = [
        (checks_explainer, {k: Explainer(v) for k, v in EXPLAINERS.items()}),
        (checks_backbone, {k: Backbone(v) for k, v in wrong.BACKBONES.items()} | {"it_learns_nothing_from_noise": _Peeks()}),
        (checks_uncertainty, UNCERTAINTIES),
        (checks_promise, PROMISES),
        (checks_doubt, saboteurs_doubt.DOUBTS),
        (checks_audit, {k: _named(v, "leakage") for k, v in AUDITS.items()}),
        (checks_trial, {k: _named(v, "completeness") for k, v in wrong.EXPLAINERS_OF_TRIALS.items()}),
        (checks_select, {k: checks_select.Selector(v, False) for k, v in checks_select.DOUBLES.items()}),
        (checks_map, {k: checks_map.Mapper(v) for k, v in checks_map.DOUBLES.items()}),
        (checks_shift, {k: _named(v, "drift") for k, v in saboteurs_effect.SHIFTS.items()}),
        (checks_remedy, {k: _named(v, "leakage") for k, v in saboteurs_effect.REMEDIES.items()}),
        (checks_encoder, ENCODERS),
        (checks_fill, saboteurs_fill.FILLS),
        (checks_scale, saboteurs_fill.SCALES),
        (checks_embedding, {k: Encoder(v, "number") for k, v in saboteurs_networks.ENCODERS.items()}),
        *((checks_regularizer, doubles) for doubles in _regularizers()),
        *((checks_methods, {k: Explainer(v[i % len(v)]) for k, v in checks_methods.DOUBLES.items()}) for i in range(3)),
    ]
    out = []
    for room, doubles in rooms:
        for check in room.CHECKS:
            assert check.name in doubles, f"{room.__name__}: the check {check.name} has no saboteur"
            marks = [pytest.mark.long] if check.long and check.name != "it_learns_nothing_from_noise" and room is not checks_map else []
            out.append(pytest.param(check.function, doubles[check.name], id=f"{room.__name__.rsplit('_')[-1]}-{check.name}", marks=marks))
    return out


class _Peeks:
    """A model that has seen the test rows' labels: the table is made from a seed that it knows."""

    def fitted(self, made: Any, rows: Any, task: str, **options: Any) -> Any:
        by_cell = dict(zip(made.features.numbers("x1").tolist(), (made.target == "1").tolist()))

        def predict_proba(table: Any) -> np.ndarray:
            p = np.array([by_cell[v] for v in table.numbers("x1").tolist()], float)
            return np.column_stack([1 - p, p])

        return SimpleNamespace(predict_proba=predict_proba)


@pytest.mark.parametrize(("check", "double"), _cases())
def test_the_check_goes_red_on_its_saboteur(check, double):
    with pytest.raises(AssertionError) as red:
        check(double)
    assert len(str(red.value).splitlines()[0]) > 15, "a red check says in a sentence what is wrong"


def test_a_trial_in_jargon_is_caught():
    with pytest.raises(AssertionError, match="Spearman"):
        checks_trial.check_the_verdict_can_be_read(wrong.jargon)


@pytest.mark.parametrize("check", [c for c in checks_explainer.CHECKS if "budget" not in c.name], ids=lambda c: c.name)
def test_the_honest_explainer_stays_green(check):
    def exact(predictor: Any, X: Any, **options: Any) -> Any:
        return replace(saboteurs.honest(predictor, X, **options), error=None)

    check.function(Explainer(exact))


@pytest.mark.parametrize("check", [c for c in checks_backbone.CHECKS if not c.long], ids=lambda c: c.name)
def test_the_plain_backbone_stays_green(check):
    check.function(Backbone(wrong._Plain))


@pytest.mark.parametrize("check", checks_embedding.CHECKS, ids=lambda c: c.name)
def test_the_plain_encoder_stays_green(check):
    check.function(Encoder(saboteurs_networks.PlainEncoder, "number"))


@pytest.mark.parametrize("check", checks_regularizer.CHECKS, ids=lambda c: c.name)
def test_the_plain_regularizer_stays_green(check):
    check.function(Regularized(saboteurs_networks.ShrinksTokens))


ROOMS = [
    checks_explainer, checks_backbone, checks_uncertainty, checks_audit, checks_trial, checks_encoder, checks_embedding, checks_regularizer,
    checks_select, checks_map, checks_fill, checks_scale, checks_promise, checks_doubt,
    checks_shift, checks_remedy, checks_methods,
]  # fmt: skip


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__.rsplit("_")[-1])
def test_every_public_check_is_in_the_list_and_is_a_sentence(room):
    public = {n for n, f in inspect.getmembers(room, inspect.isfunction) if n.startswith("check_") and f.__module__ == room.__name__}
    assert public == {f"check_{c.name}" for c in room.CHECKS}
    for check in room.CHECKS:
        assert inspect.getdoc(check.function), f"{check.name} does not say what it checks"
