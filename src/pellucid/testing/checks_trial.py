"""Common checks of trials: an honest explanation passes or is not testable, the trial's saboteur fails, and the verdict can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pellucid.evaluate import trial
from pellucid.random import stream
from pellucid.registry import Entry
from pellucid.results import Trial
from pellucid.testing import oracles, planted, saboteurs
from pellucid.testing.checks import Check
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, TinyNetwork, fit_network, made_frame, made_table, matrix

__all__ = ["CHECKS", "GROUNDS", "WRONG", "linear_refit", "subject"]

WRONG: Mapping[str, Callable[..., Any]] = {
    "completeness": saboteurs.leaves_a_gap,
    "deletion": saboteurs.ranks_backwards,
    "stability": saboteurs.unstable,
    "weight_randomisation": saboteurs.ignores_the_model,
    "error_cover": saboteurs.states_tiny_errors,
    "label_randomisation": saboteurs.ignores_the_model,
    "sufficiency": saboteurs.ranks_backwards,
    "infidelity": saboteurs.ranks_backwards,
    "max_sensitivity": saboteurs.jumps,
    "agreement": saboteurs.random_values,
    "planted": saboteurs.hides_the_largest,
    "bam": saboteurs.ignores_the_model,
    "bam_relative": saboteurs.ignores_the_model,
    "cross_masking": saboteurs.ignores_the_model,
    "masked": saboteurs.hides_the_largest,
    "diffroar": saboteurs.hides_the_largest,
    "roar": saboteurs.hides_the_largest,
    "recursive_roar": saboteurs.hides_the_largest,
}
"""The explanation each trial must fail; the trials in ``GROUNDS`` without a line here must fail a model or a table instead."""

RIGHT: Mapping[str, Callable[..., Any]] = {"error_cover": saboteurs.sampled}


def subject(entry: Entry) -> Callable[..., Trial]:
    """Return what runs the trial alone: ``(explainer, predictor, table, **options) -> Trial``."""

    def run(explainer: Any, predictor: Any, table: Any, **options: Any) -> Trial:
        made = explainer(predictor, table)
        return trial(made, predictor, table, names=[entry.name], explain_again=explainer, **options)[0]

    run.__name__ = entry.name
    return run


Ground = tuple[Any, Any, Any, Any]
"""(model, rows, labels, refit) for one trial."""


def linear_refit(table: Any = None, target: Any = None, **_: Any) -> LinearPredictor:
    """Return least squares on the rows: a model that is trained in no time."""
    cells = matrix(table, table.columns)
    weights = np.linalg.lstsq(np.column_stack([cells, np.ones(len(cells))]), np.asarray(target, float), rcond=None)[0]
    return LinearPredictor(weights[:-1].tolist(), table, intercept=float(weights[-1]))


def _linear(weights: tuple[float, ...] = (3.0, -2.0, 1.0, 0.0, 0.0), n: int = 300) -> Ground:
    table = made_table(made_frame(n, len(weights), (), 5))
    y = matrix(table, table.columns) @ np.asarray(weights) + 0.3 * stream(5, "noise").standard_normal(n)
    return linear_refit(table, y), table, y, linear_refit


def _with_suppressor() -> Ground:
    """The second column holds nothing but the noise of the first: the best model subtracts it."""
    made = planted.suppressor(300, seed=2)
    return LinearPredictor(made.facts["weights"], made.features), made.features, made.target, None


def _learner() -> Ground:
    """A network that is trained on whatever it is given until it has learned it."""
    table = made_table(made_frame(450, 5, (), 6))
    y = matrix(table, table.columns) @ np.array([2.0, 1.0, 0.0, 0.0, 0.0])

    def refit(table: Any = None, target: Any = None, seed: int | None = None, **_: Any) -> TinyNetwork:
        return fit_network(table, target, steps=250, seed=seed or 0)

    return refit(table, y), table, y, refit


def _network() -> Ground:
    net, table, y = _fitted()
    return net, table, y, _refit


def _network_of_many() -> Ground:
    """The small network and rows enough to tell that a share lies below 5 %."""
    net, table, y = _fitted(120)
    return net, table, y, _refit


def _copies() -> Ground:
    """Four columns that are one: a composed row is like no row of the table."""
    draw = stream(0, "copies")
    x = draw.standard_normal(300)
    table = made_table({f"x{j + 1}": x + 0.01 * draw.standard_normal(300) for j in range(4)})
    return FunctionPredictor(lambda m: m.sum(1), table), table.take(slice(0, 60)), None, None


class _KnowsMissing(LinearPredictor):
    """Least squares that reads a missing cell as the column's mean, 0, and says that it learned so."""

    learned_missing = True


def _hidden() -> Ground:
    model, table, y, _ = _linear()
    return _KnowsMissing(model.weights.tolist(), table, intercept=model.intercept), table.take(slice(0, 200)), y[:200], None


def _staircase() -> Ground:
    table = made_table(made_frame(200, 4, (), 2))
    return FunctionPredictor(lambda m: np.sign(np.sin(200 * m[:, 0])), table), table.take(slice(0, 60)), None, None


def _asleep() -> Ground:
    table = made_table(made_frame(200, 4, (), 3))
    return FunctionPredictor(lambda m: (m[:, 0] > 2.0).astype(float), table), table, None, None


GROUNDS: Mapping[str, tuple[Callable[[], Ground], Callable[[], Ground]]] = {
    "suppressor": (_linear, _with_suppressor),
    "removal_in_distribution": (_network, _copies),
    "oversensitivity": (_network_of_many, _staircase),
    "overstability": (_network_of_many, _asleep),
    "planted": (_learner, _learner),
    "masked": (_hidden, _hidden),
    **dict.fromkeys(("bam", "bam_relative", "cross_masking", "diffroar", "roar", "recursive_roar"), (_linear, _linear)),
}
"""What a trial is given where the small network is not what it tries: when it must pass, and when it must fail."""


def _fitted(rows: int = 30) -> tuple[TinyNetwork, Any, Any]:
    made = oracles.planted("additive", n=300, columns=5, noise=0.1)
    f = made.features
    goal = 2 * f.numbers("x1") + np.abs(f.numbers("x2")) - f.numbers("x3") * f.numbers("x4")
    return fit_network(f, goal, steps=120), f.take(slice(0, rows)), goal[:rows]


def _refit(table: Any = None, target: Any = None, seed: int | None = None, **_: Any) -> TinyNetwork:
    return fit_network(table, target, steps=40, seed=seed or 0)


def check_an_honest_explanation_passes(run: Callable[..., Trial]) -> None:
    """Exact values of a fitted model pass."""
    model, table, y, refit = GROUNDS.get(_name(run), (_network, _network))[0]()
    result = run(RIGHT.get(_name(run), saboteurs.honest), model, table, y=y, refit=refit)
    assert result.verdict == "pass", f"an honest explanation did not pass: {result.words}"


def check_a_wrong_answer_fails(run: Callable[..., Trial]) -> None:
    """The deliberately wrong explanation (or model, or table: ``GROUNDS``) fails."""
    model, table, y, refit = GROUNDS.get(_name(run), (_network, _network))[1]()
    if _name(run) == "members":
        model = TinyNetwork(table, n_members=5)  # its members learned nothing
    result = run(WRONG.get(_name(run), saboteurs.honest), model, table, y=y, refit=refit)
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
