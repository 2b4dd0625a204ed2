"""The only thing that draws: results in, plotly figures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pellucid.errors import ArgumentError, RequestError
from pellucid.report.charts import certainty, data, global_, local, trials
from pellucid.report.charts.certainty import reliability_chart
from pellucid.report.facts import Calibration, MissingPattern
from pellucid.results import Explanation, Finding, Importance, Leaderboard, Prediction, Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["chart", "kinds", "reliability_chart"]


def _most_important(result: Explanation) -> str:
    return result.mean_abs().top(1)[0]


def _waterfall(result: Explanation, row: int | None, column: str | None) -> go.Figure:
    return local.waterfall(result, row or 0)


def _dependence(result: Explanation, row: int | None, column: str | None) -> go.Figure:
    return local.dependence(result, column or _most_important(result))


def _plain(draw: Callable[[Any], go.Figure]) -> Callable[[Any, int | None, str | None], go.Figure]:
    return lambda result, row, column: draw(result)


_KINDS: dict[type, dict[str, Callable[[Any, int | None, str | None], Any]]] = {
    Explanation: {
        "importance": _plain(global_.importance),
        "beeswarm": _plain(local.beeswarm),
        "waterfall": _waterfall,
        "dependence": _dependence,
    },
    Importance: {"importance": _plain(global_.importance)},
    Leaderboard: {"leaderboard": _plain(global_.leaderboard), "power_readability": _plain(global_.power_readability)},
    Prediction: {
        "probabilities": _plain(certainty.probabilities),
        "interval": _plain(certainty.intervals),
        "doubt": _plain(certainty.doubt),
        "familiarity": _plain(certainty.familiarity),
        "row": lambda result, row, column: certainty.one_row(result, row or 0),
    },
    Trial: {"badge": _plain(trials.badge_chart), "curve": _plain(trials.curve)},
    Calibration: {"reliability": _plain(reliability_chart)},
    MissingPattern: {"missing": _plain(data.missing_pattern)},
}


def kinds(result: Any) -> tuple[str, ...]:
    """Return the kinds of figure that :func:`chart` draws of this result, the usual one first."""
    if isinstance(result, Sequence) and not isinstance(result, str) and result:
        several = {Finding: "findings", Trial: "trials"}
        return tuple(name for cls, name in several.items() if all(isinstance(r, cls) for r in result))
    return next((tuple(table) for cls, table in _KINDS.items() if isinstance(result, cls)), ())


def chart(result: Any, kind: str | None = None, row: int | None = None, column: str | None = None) -> go.Figure:
    """Return a figure of a result. Text from data is escaped; colours are told apart by colour-blind readers and never speak alone.

    Parameters
    ----------
    result : an Explanation, Importance, Prediction, Trial, Leaderboard, list of Findings or Trials, Calibration or MissingPattern.
    kind : what to draw; None chooses: a waterfall where ``row`` is given, a curve where a trial kept one, intervals for numbers.
        Explanation: ``"importance"``, ``"beeswarm"``, ``"waterfall"``, ``"dependence"``. Prediction: ``"probabilities"``, ``"interval"``,
        ``"doubt"``, ``"familiarity"``, ``"row"``. Trial: ``"badge"``, ``"curve"``. Leaderboard: ``"leaderboard"``, ``"power_readability"``.
    row : position of the row, for figures of one row.
    column : column of a dependence figure; None takes the most important one.

    Raises
    ------
    ArgumentError
        If nothing can be drawn of this kind of object.
    RequestError
        If the kind is unknown, or the result lacks what the figure needs.

    Examples
    --------
    >>> import numpy as np
    >>> from pellucid.results import Importance, RunRecord
    >>> ends = np.array([[1.5, 2.5], [0.5, 1.5]])
    >>> bars = Importance(np.array([2.0, 1.0]), ends, ("age", "sex"), "log-odds", "shapley", RunRecord("shapley"))
    >>> chart(bars).layout.title.text
    'Importance of each column, with 95 % intervals'
    """
    known = kinds(result)
    if not known:
        got = "an empty list" if isinstance(result, Sequence) and not result else type(result).__name__
        raise ArgumentError(
            "nothing can be drawn of this", expected="a result such as an Explanation, Prediction, Trial or Leaderboard", got=got
        )
    kind = kind or _usual(result, row) or known[0]
    if kind not in known:
        raise RequestError(f"unknown kind of figure {kind!r} for {type(result).__name__}", expected=f"one of {', '.join(known)}")
    if kind in ("findings", "trials"):
        return data.findings(result) if kind == "findings" else trials.overview(result)
    table = next(t for cls, t in _KINDS.items() if isinstance(result, cls))
    return table[kind](result, row, column)


def _usual(result: Any, row: int | None) -> str | None:
    if isinstance(result, Explanation) and (row is not None or len(result) == 1):
        return "waterfall"
    if isinstance(result, Prediction):
        return "interval" if result.probabilities is None else "row" if row is not None else None
    if isinstance(result, Trial) and trials.has_curve(result):
        return "curve"
    return None
