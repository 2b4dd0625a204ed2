"""Reason codes beside recourse: the columns an explanation names first, and the columns whose change would help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid import registry
from pellucid.act import responsiveness
from pellucid.act.case import Case
from pellucid.errors import ArgumentError, RequestError
from pellucid.random import stream
from pellucid.results import Actions, Explanation

__all__ = ["act", "compare"]

BACKGROUND = 100


def act(case: Case) -> Actions:
    """Return responsiveness with ``reasons``: per row without the wanted answer, the reasons named first and what responds.

    Cheon, Wernerfelt, Friedler, Ustun 2024, arXiv:2410.22598. The explanation is the one given, or made by the method ``explain`` of the
    output that the goal speaks of. ``record.settings["without_recourse"]`` is the share of rows of which no named reason is responsive.
    """
    top = int(case.options["top"])
    if top < 1:
        raise RequestError("top cannot be used", expected="at least 1", got=str(top))
    actions = responsiveness.act(case)
    explanation = case.options["explanation"]
    if explanation is None:
        explanation = _explained(case)
    reasons = compare(explanation, actions, top, _towards(case, explanation))
    share = float(reasons["without_recourse"].mean()) if len(reasons) else None
    error = None if share is None else float(np.sqrt(share * (1 - share) / len(reasons)))
    settings = {"without_recourse": share, "without_recourse_error": error, "explanation": explanation.method}
    return replace(actions, method=case.method, reasons=reasons, record=case.record(settings, actions.record.caveats))


def _towards(case: Case, explanation: Any) -> Any:
    """Return 1 where a larger output brings the goal nearer, -1 where a smaller one does."""
    high = case.wanted.high
    return 1.0 if high is None else np.where(np.asarray(explanation.predictions) > high, -1.0, 1.0)


def _explained(case: Case) -> Any:
    """Return the explanation of the output that the goal speaks of; called by name, as estimators do: explainers are on this floor."""
    inner, rows = case.view.inner, case.table
    kept = case.kept.take(np.sort(stream(case.seed, "background").permutation(len(case.kept))[:BACKGROUND]))
    foreign = getattr(inner, "foreign", False)
    made = registry.public("explain", "explain")(
        inner,
        inner.native(rows) if foreign else rows,  # type: ignore[attr-defined]
        method=str(case.options["explain"]),
        output=case.view.outputs[case.wanted.output] if len(case.view.outputs) > 1 else None,
        background=inner.native(kept) if foreign else kept,  # type: ignore[attr-defined]
        random_state=case.seed,
        budget=case.left(),
    )
    case.view.n_calls += made.record.n_calls
    return replace(made, data=rows.frame)


def compare(explanation: Any, actions: Actions, top: int = 4, sign: Any = 1.0) -> pd.DataFrame:
    """Return one line per row without the wanted answer: its reasons, what responds, and whether no reason responds.

    Parameters
    ----------
    explanation : contributions (N, P) of one output, in which the players are single columns.
    actions : responsiveness of the same rows.
    top : how many columns are named.
    sign : 1 where a larger output brings the goal nearer, -1 where a smaller one does, for all or (N,): reasons speak against the goal.

    Returns
    -------
    row, reasons, responsive (each as text, first to last), n_responsive (of the reasons), without_recourse.
    """
    if not isinstance(explanation, Explanation) or np.ndim(explanation.values) != 2:
        raise ArgumentError(
            "this is no explanation of one output", expected="an Explanation with values (N, P)", got=type(explanation).__name__
        )
    if len(explanation) != len(actions) or not np.array_equal(np.asarray(explanation.data.index), actions.index):
        raise RequestError(
            "explanation and actions speak of different rows", expected=f"{len(actions)} rows", got=f"{len(explanation)} rows"
        )
    rows = np.flatnonzero(~actions.reached)
    against = (np.asarray(explanation.values) * np.reshape(sign, (-1, 1)))[rows]
    order = np.argsort(against, axis=1, kind="stable")[:, :top]
    names = np.asarray(explanation.columns, object)
    share = np.nan_to_num(actions.responsiveness[rows])
    of_player = np.zeros((len(rows), len(names)))
    for p, column in enumerate(actions.columns):
        of_player[:, names == column] = share[:, p : p + 1]
    helps = np.take_along_axis(of_player, order, 1) * (np.take_along_axis(against, order, 1) < 0)
    best = np.argsort(-share, axis=1, kind="stable")[:, :top]
    columns = np.asarray(actions.columns, object)
    named = [[names[j] for j in order[i] if against[i, j] < 0] for i in range(len(rows))]
    responds = [[columns[j] for j in best[i] if share[i, j] > 0] for i in range(len(rows))]
    return pd.DataFrame(
        {
            "row": actions.index[rows],
            "reasons": [", ".join(map(str, n)) for n in named],
            "responsive": [", ".join(map(str, n)) for n in responds],
            "n_responsive": (helps > 0).sum(1),
            "without_recourse": ~(helps > 0).any(1),
        }
    )
