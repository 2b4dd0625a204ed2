"""Common checks of trials: an honest explanation passes or is not testable, the trial's saboteur fails, and the verdict can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pellucid.evaluate import trial
from pellucid.registry import Entry
from pellucid.results import Trial
from pellucid.testing import oracles, saboteurs
from pellucid.testing.checks import Check
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, fit_network

__all__ = ["CHECKS", "WRONG", "subject"]

WRONG: Mapping[str, Callable[..., Any]] = {
    "completeness": saboteurs.leaves_a_gap,
    "deletion": saboteurs.ranks_backwards,
    "stability": saboteurs.unstable,
    "weight_randomisation": saboteurs.ignores_the_model,
    "error_cover": saboteurs.states_tiny_errors,
    "label_randomisation": saboteurs.ignores_the_model,
}
"""The explanation each trial must fail; ``members`` must fail a model instead."""

RIGHT: Mapping[str, Callable[..., Any]] = {"error_cover": saboteurs.sampled}


def subject(entry: Entry) -> Callable[..., Trial]:
    """Return what runs the trial alone: ``(explainer, predictor, table, **options) -> Trial``."""

    def run(explainer: Any, predictor: Any, table: Any, **options: Any) -> Trial:
        made = explainer(predictor, table)
        return trial(made, predictor, table, names=[entry.name], explain_again=explainer, **options)[0]

    run.__name__ = entry.name
    return run


def _fitted() -> tuple[TinyNetwork, Any, Any]:
    made = oracles.planted("additive", n=300, columns=5, noise=0.1)
    f = made.features
    goal = 2 * f.numbers("x1") + np.abs(f.numbers("x2")) - f.numbers("x3") * f.numbers("x4")
    return fit_network(f, goal, steps=120), f.take(slice(0, 30)), goal[:30]


def _refit(table: Any = None, target: Any = None, seed: int | None = None, **_: Any) -> TinyNetwork:
    return fit_network(table, target, steps=40, seed=seed or 0)


def check_an_honest_explanation_passes(run: Callable[..., Trial]) -> None:
    """Exact values of a fitted network pass."""
    net, table, y = _fitted()
    result = run(RIGHT.get(_name(run), saboteurs.honest), net, table, y=y, refit=_refit)
    assert result.verdict == "pass", f"an honest explanation did not pass: {result.words}"


def check_a_wrong_answer_fails(run: Callable[..., Trial]) -> None:
    """The deliberately wrong explanation (for ``members``: a model whose members learned nothing) fails."""
    net, table, y = _fitted()
    wrong = WRONG.get(_name(run))
    model = net if wrong is not None else TinyNetwork(table, n_members=5)
    result = run(wrong or saboteurs.honest, model, table, y=y, refit=_refit)
    assert result.verdict == "fail", f"a wrong answer did not fail: {result.words}"


def check_the_verdict_can_be_read(run: Callable[..., Trial]) -> None:
    """Words end as a sentence and hold no jargon; the figure lies in its interval; what is not testable says why."""
    net, table, y = _fitted()
    black_box = FunctionPredictor(lambda x: x[:, 0], table)
    for model in (net, black_box):
        result = run(saboteurs.honest, model, table, y=y)
        assert result.words.endswith("."), "the words are no sentence"
        jargon = [w for w in ("nan", "Spearman", "AUC", "phi", "cube") if w in result.words]
        assert not jargon, f"the words hold {jargon}: {result.words}"
        if result.verdict == "not testable":
            assert result.words.startswith("Not tested:"), "what is not testable does not say why"
            assert np.isnan(result.figure), "what is not testable has a figure"
        else:
            assert result.interval[0] <= result.figure <= result.interval[1], "the figure lies outside its interval"
            assert np.isfinite(result.null), "there is no null to read the figure against"


def _name(run: Any) -> str:
    return str(getattr(run, "__name__", ""))


CHECKS: tuple[Check, ...] = (
    Check(check_an_honest_explanation_passes, lambda e: True),
    Check(check_a_wrong_answer_fails, lambda e: True),
    Check(check_the_verdict_can_be_read, lambda e: True),
)
