"""Two controls by comparison: do the columns' names help, or would any words do? Are the columns chosen better than random ones?

Names: after the finding that descriptions help classifiers by their meaning only as far as they beat random words. Few columns: after
concise attributes, where random words did as well as thousands of generated ones, and a few well-chosen ones suffice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.estimators import TabularClassifier, TabularRegressor
from pellucid.evaluate.leaderboard import run, shared_rows
from pellucid.random import as_seed, integer, stream
from pellucid.results import Leaderboard

__all__ = ["few_columns", "names_control"]

CONTROLS = ("shuffled", "words", "random")
RANKED, BACKGROUND = 30, 16  # rows that are explained to rank the columns, and rows that fill in: an order needs no more


def names_control(table: Any, *, test: Any = None, target: str | None = None, random_state: Any = 0, **settings: Any) -> Leaderboard:
    """Compare a network that reads the columns' names with the same network given shuffled names, made-up words, and random vectors.

    Only what the names gain over the best control is a gain from their meaning: a vector that tells columns apart helps without it.

    Parameters
    ----------
    table, test, target : as for ``pellucid.compare``.
    settings : of the estimators, such as ``backbone="ft_transformer"`` or ``max_steps=``.

    Returns
    -------
    Leaderboard of ``names``, ``shuffled``, ``words``, ``random`` and ``none`` (no identity at all); differences are to ``names``.

    Notes
    -----
    Cost: five fits.
    """
    seed = as_seed(random_state)
    ground = shared_rows(table, test, target, seed)
    kind = TabularRegressor if ground.task == "regression" else TabularClassifier
    given = {"random_state": seed, "verbose": 0, **settings}
    own = dict(given.pop("embedding", None) or {})
    models = [(name, kind(embedding={**own, "identity": name}, **given)) for name in ("names", *CONTROLS)]
    models.append(("none", kind(embedding=own or None, **given)))
    board = run(ground.train, models, test=ground.test, random_state=seed, explain_rows=0)
    return replace(board, words=_of_names(board), record=replace(board.record, method="names_control"))


def _of_names(board: Leaderboard) -> str:
    best = min((r for r in board.rows if r["model"] in CONTROLS), key=lambda r: -r["difference"])
    gain, low, high = -best["difference"], -best["difference_high"], -best["difference_low"]
    unit, span = board.metric.replace("_", " "), f"95 % interval {low:+.2g} to {high:+.2g}"
    if low > 0:
        return f"The names' meaning helps: {unit} is better by {gain:.2g} ({span}) than with the best control, {best['model']}."
    return f"No gain from the names' meaning is shown: against the best control, {best['model']}, {unit} differs by {gain:+.2g} ({span})."


def few_columns(
    table: Any, sizes: Sequence[int] = (4, 8, 16, 32), *, order: Sequence[str] | None = None, draws: int = 3, test: Any = None,
    target: str | None = None, random_state: Any = 0, **settings: Any,
) -> Leaderboard:  # fmt: skip
    """Compare a model of all columns with models of the k best and of k random columns.

    Parameters
    ----------
    table, test, target : as for ``pellucid.compare``.
    sizes : each k; those that are not below the number of columns are left out.
    order : the columns, best first; None ranks them by the mean absolute Shapley value of the model of all columns on training rows.
    draws : how many sets of k random columns.
    settings : of the estimators.

    Returns
    -------
    Leaderboard of ``all``, ``4 chosen``, ``4 random (1)`` and so on; differences are to ``all``. ``record.settings["order"]`` holds the
    columns, best first.

    Raises
    ------
    RequestError : no k is below the number of columns, or ``order`` names others.

    Notes
    -----
    Cost: 1 + (1 + ``draws``) fits for each k, and one explanation.
    """
    started, seed = time.perf_counter(), as_seed(random_state)
    ground = shared_rows(table, test, target, seed)
    kind = TabularRegressor if ground.task == "regression" else TabularClassifier
    columns = list(ground.train.features)
    kept = [k for k in dict.fromkeys(sizes) if 0 < k < len(columns)]
    if not kept:
        raise RequestError("there are too few columns to choose from", expected=f"a size below {len(columns)}", got=str(list(sizes)))
    if order is not None and (len(set(order)) < max(kept) or not set(order) <= set(columns)):
        raise RequestError("the order names other columns", expected=f"at least {max(kept)} different columns of the table")
    every = kind(**{"random_state": seed, "verbose": 0, **settings}).fit(ground.train)
    ranked = _ranked(every, seed) if order is None else list(order)
    refit, models = every.refitter(), [("all", every)]
    for k in kept:
        models.append((f"{k} chosen", refit.estimator(columns=[c for c in columns if c in ranked[:k]])))
        for i in range(draws):
            drawn = set(stream(seed, "columns", k, i).permutation(columns)[:k].tolist())
            models.append((f"{k} random ({i + 1})", refit.estimator(columns=[c for c in columns if c in drawn])))
    board = run(ground.train, models, test=ground.test, random_state=seed, explain_rows=0)
    told = dict(board.record.settings) | {"order": ranked, "sizes": kept, "draws": draws}
    record = replace(board.record, method="few_columns", settings=told, duration=time.perf_counter() - started)
    return replace(board, words=_of_columns(board, kept), record=record)


def _ranked(model: Any, seed: int) -> list[str]:
    """Return the columns, those that move the answers most first, by the kept training rows."""
    from pellucid.explain import explain

    rows = model.reference_
    drawn = stream(seed, "ranked").permutation(len(rows))
    some, background = rows.take(np.sort(drawn[:RANKED])), rows.take(np.sort(drawn[-BACKGROUND:]))
    found = explain(
        model, some, method="shapley", background=background, precision=0.1, random_state=integer(seed, "ranked")
    ).mean_abs()  # fmt: skip
    return [found.columns[i] for i in np.argsort(-np.asarray(found.values), kind="stable")]


def _of_columns(board: Leaderboard, sizes: Sequence[int]) -> str:
    score = {r["model"]: r["score"] for r in board.rows}
    unit = board.metric.replace("_", " ")
    text = [f"All columns: {unit} {score['all']:.4g}."]
    for k in sizes:
        others = [v for name, v in score.items() if name.startswith(f"{k} random")]
        by_chance = f", {k} random ones {np.mean(others):.4g} ({min(others):.4g} to {max(others):.4g})" if others else ""
        text.append(f"The {k} chosen ones: {score[f'{k} chosen']:.4g}{by_chance}.")
    return " ".join(text)
