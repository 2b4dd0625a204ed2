"""Stated errors cover the truth at their stated rate, for every method that states errors."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import registry
from pellucid.random import stream
from pellucid.testing.promises import PROMISES, Drawn, Promise, covered

ELSEWHERE = {
    "amortised": "tests/explain/test_amortised.py measures its errors on new rows",
    "conformity": "the plain standard error of a mean over draws, compared with counting by hand in tests/explain/test_conformity.py",
    "dhondt": "seats have no error",
    "head_pruning": "the plain standard error of a mean over rows",
    "importances": "each way brings its own interval, tried under its own name",
    "invase": "its chances are computed, not drawn",
    "layer_relevance": "the standard error of a ratio of means over rows; tests/explain/test_layer_relevance.py draws it anew",
    "lex": "draws its chances as l2x does",
    "resemblance": "the plain standard error of a mean over draws, and a beta interval",
    "row_clusters": "plain standard errors of means over rows, and a beta interval",
    "ls_tree": "exact but for the conditional fill, whose errors tests/explain/test_conditional_errors.py tries",
    "occlusion_multi": "exact but for the conditional fill, as ls_tree",
    "slope": "states no error",
}
ids = [p.name for p in PROMISES]


@pytest.mark.parametrize("promise", PROMISES, ids=ids)
def test_errors_cover_in_a_few_draws(promise: Promise) -> None:
    """Four draws: shares of one draw scatter by up to 0.2 (of a single pair: by 0.5), so that no honest one falls below 0.5."""
    assert covered(promise, 4).mean() >= 0.5


@pytest.mark.long
@pytest.mark.parametrize("promise", PROMISES, ids=ids)
def test_errors_cover_at_their_rate(promise: Promise) -> None:
    """200 rows (40 draws of 5) or 200 tables: 90 to 97 %, give or take two standard errors of the share; halved errors are caught."""
    whole = promise.draw(0).truth.size <= 8
    draws = 200 if whole else 40
    share = covered(promise, draws)
    slack = 2 * share.std(ddof=1) / np.sqrt(len(share))
    assert 0.9 - slack <= share.mean() <= 0.97 + slack, f"{promise.name}: {100 * share.mean():.1f} % are covered"
    assert share.mean() >= 0.88
    halved = covered(promise, draws, 0.5).mean()
    assert promise.wide or halved < 0.9, f"{promise.name}: errors half as large still cover {100 * halved:.1f} %"


def made(factor: float) -> Promise:
    def draw(seed: int) -> Drawn:
        noise = stream(seed, "noise").standard_normal(5)
        return Drawn.of(noise, np.full(5, factor), np.zeros(5))

    return Promise("made", "shapley", draw)


def test_halved_errors_are_caught() -> None:
    """The check on a promise that holds, and on its saboteurs: errors half as large, and a wrong value that is stated as exact."""
    assert 0.9 <= covered(made(1.0), 200).mean() <= 0.97
    assert covered(made(0.5), 200).mean() < 0.75
    assert covered(made(1.0), 200, 0.5).mean() < 0.75
    assert covered(made(2.0), 200).mean() > 0.99
    with pytest.raises(AssertionError, match="without an error"):
        covered(made(0.0), 1)


def test_no_method_that_states_errors_goes_unchecked() -> None:
    """Sources of ``explain`` methods that mention a stated error stand behind a promise, or a reason is given."""
    import inspect
    import sys

    promised = {p.method for p in PROMISES} | set(ELSEWHERE)
    exact = {"shapley_exact", "anchors", "clauses", "surrogate_tree", "ice"}
    for entry in registry.entries("explain"):
        source = inspect.getsource(sys.modules[registry.resolve(entry).__module__]).replace("from pellucid.intervals", "")
        states = "error=" in source or "interval" in source
        assert not states or entry.name in promised | exact, f"{entry.name} seems to state errors and no promise tries them"
