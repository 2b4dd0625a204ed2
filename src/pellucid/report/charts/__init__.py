"""The only thing that draws: results in, plotly figures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pellucid.errors import ArgumentError, RequestError, did_you_mean, quote
from pellucid.report.charts import (
    certainty,
    changes,
    clusters,
    curves,
    data,
    features,
    global_,
    inside,
    lists,
    local,
    maps,
    promises,
    text,
    together,
    trials,
)  # fmt: skip
from pellucid.report.charts.certainty import reliability_chart
from pellucid.report.charts.style import fold_title, told_trials
from pellucid.report.facts import Calibration, MissingPattern
from pellucid.results import (
    Actions,
    AttentionMaps,
    Clusters,
    CostOfShift,
    Coverage,
    Curve,
    Decision,
    Explanation,
    FactorGeometry,
    FeatureComplexity,
    FeatureSets,
    Fills,
    Finding,
    FoundRows,
    GroupTable,
    HeadImportance,
    Heads,
    Importance,
    Importances,
    Inquiry,
    Interactions,
    LayerProbes,
    LayerRelevance,
    Leaderboard,
    LearningCurve,
    Map,
    Neighbours,
    NextRows,
    Parting,
    Prediction,
    Repairs,
    Representatives,
    Resemblance,
    RiskCoverage,
    Rules,
    Scatter,
    Selection,
    Shift,
    Trial,
    UnitMaps,
    Watch,
    Words,
)
from pellucid.results.owed import owed_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["chart", "kinds", "reliability_chart"]


@dataclass(frozen=True)
class _Ask:
    """What a figure is asked to show."""

    row: int | None = None
    column: str | None = None
    output: int | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    pairs: Interactions | None = None

    @property
    def first(self) -> int:
        """The row, the first where none is named."""
        return self.row or 0

    @property
    def of(self) -> int:
        """The output, the first where none is named."""
        return self.output or 0


Draw = Callable[[Any, _Ask], Any]


def _dependence(result: Explanation, ask: _Ask) -> go.Figure:
    column = ask.column or result.mean_abs().top(1)[0]
    return local.dependence(result, column, ask.of, ask.units.get(column, ""), pairs=ask.pairs)


def _plain(draw: Callable[[Any], go.Figure]) -> Draw:
    return lambda result, ask: draw(result)


_KINDS: dict[type, dict[str, Draw]] = {
    Explanation: {
        "importance": _plain(global_.importance),
        "beeswarm": lambda result, ask: local.beeswarm(result, ask.of),
        "waterfall": lambda result, ask: local.waterfall(result, ask.first, ask.of, units=dict(ask.units)),
        "dependence": _dependence,
        "errors": lambda result, ask: local.errors(result, ask.first, ask.of),
    },
    Importance: {"importance": _plain(global_.importance), "seats": _plain(global_.seats)},
    Importances: {"importances": _plain(global_.side_by_side), "agreement": _plain(global_.rank_agreement)},
    Interactions: {
        "pairs": lambda result, ask: together.pairs(result, ask.row, ask.of),
        "matrix": lambda result, ask: together.matrix(result, ask.row, ask.of),
        "swarm": _plain(together.swarm),
        "halo": lambda result, ask: together.halo(result, ask.column),
    },
    Curve: {"curves": lambda result, ask: curves.curves(result, ask.column, ask.output, dict(ask.units))},
    Rules: {"rules": lambda result, ask: lists.rules(result, ask.row)},
    Words: {"words": lambda result, ask: text.words(result, ask.first, ask.column, ask.of)},
    HeadImportance: {"head_importance": _plain(inside.head_importance)},
    Heads: {"heads": lambda result, ask: inside.heads(result, ask.of)},
    AttentionMaps: {"attention": lambda result, ask: inside.attention(result, ask.row)},
    Clusters: {"rows": _plain(clusters.rows), "reasons": _plain(clusters.reasons), "wrong": _plain(clusters.wrong)},
    FactorGeometry: {"geometry": _plain(features.geometry), "overlap": _plain(features.overlap)},
    FeatureComplexity: {"complexity": _plain(features.complexity), "over_time": _plain(features.over_time)},
    LayerProbes: {"layers": _plain(inside.layers), "bias": _plain(inside.bias)},
    LayerRelevance: {"relevance": _plain(inside.relevance)},
    UnitMaps: {"units": lambda result, ask: inside.units(result, ask.row)},
    Neighbours: {"neighbours": lambda result, ask: lists.neighbours(result, ask.first)},
    Resemblance: {"resemblance": lambda result, ask: lists.resemblance(result, ask.first)},
    Actions: {
        "responsiveness": lambda result, ask: lists.actions(result, ask.row),
        "options": lambda result, ask: lists.options(result, ask.row),
    },
    Decision: {"costs": _plain(lists.decision)},
    Inquiry: {"asked": _plain(lists.asked)},
    FoundRows: {"found": _plain(lists.found)},
    Selection: {"selection": lambda result, ask: lists.selection(result, ask.row)},
    Leaderboard: {"leaderboard": _plain(global_.leaderboard), "power_readability": _plain(global_.power_readability)},
    Prediction: {
        "probabilities": _plain(certainty.probabilities),
        "interval": _plain(certainty.intervals),
        "doubt": _plain(certainty.doubt),
        "familiarity": _plain(certainty.familiarity),
        "row": lambda result, ask: certainty.one_row(result, ask.first),
        "samples": lambda result, ask: certainty.samples(result, ask.first, ask.output),
    },
    Map: {
        "points": lambda result, ask: maps.points(result, ask.column, dict(ask.units)),
        "predicted": _plain(maps.predicted),
        "doubt": _plain(maps.doubt),
        "kept": _plain(maps.kept),
        "quality": _plain(maps.quality),
        "second": lambda result, ask: maps.beside(result, "second", ask.column),
        "perplexity": lambda result, ask: maps.beside(result, "perplexity", ask.column),
        "noise": lambda result, ask: maps.beside(result, "noise", ask.column),
        "loadings": _plain(maps.loadings),
        "loss": _plain(maps.loss),
    },
    Scatter: {"scatter": _plain(maps.scatter)},
    Representatives: {"representatives": _plain(maps.representatives)},
    Coverage: {"coverage": _plain(promises.coverage)},
    RiskCoverage: {"selective": _plain(promises.selective)},
    Watch: {"watch": _plain(promises.watch)},
    NextRows: {"next_rows": _plain(promises.next_rows)},
    Trial: {"badge": _plain(trials.badge_chart), "curve": _plain(trials.curve)},
    Shift: {"drift": _plain(changes.drift), "cost": _plain(changes.cost)},
    CostOfShift: {"cost": _plain(changes.cost)},
    GroupTable: {"rates": _plain(changes.rates)},
    LearningCurve: {"learning": _plain(changes.learning)},
    Repairs: {"repairs": _plain(changes.repairs)},
    FeatureSets: {"leaderboard": lambda result, ask: global_.leaderboard(result.board)},
    Fills: {"fills": _plain(changes.fills)},
    Parting: {"parting": _plain(changes.parting)},
    Calibration: {"reliability": _plain(reliability_chart)},
    MissingPattern: {"missing": _plain(data.missing_pattern)},
}


def kinds(result: Any) -> tuple[str, ...]:
    """Return the kinds of figure that :func:`chart` draws of this result, the usual one first."""
    if isinstance(result, Sequence) and not isinstance(result, str) and result:
        several = {Finding: "findings", Trial: "trials"}
        return tuple(name for cls, name in several.items() if all(isinstance(r, cls) for r in result))
    return next((tuple(table) for cls, table in _KINDS.items() if isinstance(result, cls)), ())


def chart(
    result: Any,
    kind: str | None = None,
    row: int | None = None,
    column: str | None = None,
    *,
    output: Any = None,
    units: Mapping[str, str] | None = None,
    interactions: Interactions | None = None,
    trials: Sequence[Trial] = (),
) -> go.Figure:
    """Return a figure of a result. Text from data is escaped; colours are told apart by colour-blind readers and never speak alone.

    Parameters
    ----------
    result : any result of this package, a list of Findings or Trials, a Calibration or MissingPattern.
    kind : what to draw; None chooses: a waterfall where ``row`` is given, a curve where a trial kept one, intervals for numbers, the swarm
        where interactions have a range over models.

        ============= =====================================================================================
        result        kinds
        ============= =====================================================================================
        Explanation   ``"importance"``, ``"beeswarm"``, ``"waterfall"``, ``"dependence"``, ``"errors"``
        Importance    ``"importance"``, ``"seats"``
        Importances   ``"importances"``, ``"agreement"``
        Interactions  ``"pairs"``, ``"matrix"``; over nearly equal models ``"swarm"``, ``"halo"``
        Curve         ``"curves"``
        Rules         ``"rules"``
        Words         ``"words"``
        Heads         ``"heads"``; HeadImportance ``"head_importance"``
        AttentionMaps ``"attention"``, layer and head chosen from a list
        UnitMaps      ``"units"``
        LayerProbes   ``"layers"``, ``"bias"``; LayerRelevance ``"relevance"``
        FactorGeometry ``"geometry"``, ``"overlap"``; FeatureComplexity ``"complexity"``, and where training was watched ``"over_time"``
        Clusters      ``"rows"``, ``"reasons"``; where labels are known ``"wrong"``
        Neighbours    ``"neighbours"``; Resemblance ``"resemblance"``
        Actions       ``"responsiveness"``, ``"options"``
        Decision      ``"costs"``
        Inquiry       ``"asked"``
        FoundRows     ``"found"``
        Selection     ``"selection"``
        Map           ``"points"``, ``"predicted"``, ``"doubt"``, ``"kept"``, ``"quality"``, ``"second"``,
                      ``"perplexity"``, ``"noise"``, ``"loadings"``, ``"loss"``
        Scatter       ``"scatter"``; Representatives ``"representatives"``
        Prediction    ``"probabilities"``, ``"interval"``, ``"doubt"``, ``"familiarity"``, ``"row"``, ``"samples"``
        Coverage      ``"coverage"``
        RiskCoverage  ``"selective"``
        Watch         ``"watch"``
        NextRows      ``"next_rows"``
        Trial         ``"badge"``, ``"curve"``
        Leaderboard   ``"leaderboard"``, ``"power_readability"``
        Shift         ``"drift"``, ``"cost"``; CostOfShift ``"cost"``
        GroupTable    ``"rates"``
        LearningCurve ``"learning"``
        Repairs       ``"repairs"``; Fills ``"fills"``
        FeatureSets   ``"leaderboard"``
        Parting       ``"parting"``
        ============= =====================================================================================
    row : position of the row, for figures of one row.
    column : column of a dependence figure or a curve, or that colours a map, text column of words, pair ``"a x b"`` of a halo; None
        takes the one that matters most.
    output : name or position of the output drawn; None takes the first, for curves all.
    units : unit of each column that has one.
    interactions : of the same rows; the dependence figure is then coloured by the strongest.
    trials : verdicts on this answer, told under the title. Attention is never drawn without those of ``weight_randomisation`` and
        ``roar``: what was not given is "not tested".

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
    kind = kind or _usual(result, row, column) or known[0]
    if kind not in known:
        raise RequestError(f"unknown kind of figure {kind!r} for {type(result).__name__}", expected=f"one of {', '.join(known)}")
    if kind in ("findings", "trials"):
        return data.findings(result) if kind == "findings" else trials_overview(result)
    table = next(t for cls, t in _KINDS.items() if isinstance(result, cls))
    figure = table[kind](result, _Ask(row, column, _output(result, output), units or {}, interactions))
    trials = trials or getattr(result, "trials", ())  # a map of attention carries its own
    return told_trials(fold_title(figure), trials, owed_of(result, trials))


trials_overview = trials.overview  # ``chart`` has an argument of the module's name


def _output(result: Any, wanted: Any) -> int | None:
    """Return the position of an output by name or position."""
    if wanted is None:
        return None
    names = [str(n) for n in getattr(result, "outputs", ())]
    if str(wanted) in names:
        return names.index(str(wanted))
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
        return wanted
    raise RequestError(
        f"there is no output {wanted!r} in this result",
        expected=f"one of {quote(names, 12)}" if names else "no output=",
        do=did_you_mean(wanted, names),
    )


def _usual(result: Any, row: int | None, column: str | None) -> str | None:
    if isinstance(result, Explanation):
        return "waterfall" if row is not None or len(result) == 1 else "dependence" if column is not None else None
    if isinstance(result, Prediction):
        return "interval" if result.probabilities is None else "row" if row is not None else None
    if isinstance(result, Trial) and trials.has_curve(result):
        return "curve"
    if isinstance(result, Importance) and result.scale == "seats":
        return "seats"
    if isinstance(result, Actions) and not len(result.columns):
        return "options"
    return "swarm" if isinstance(result, Interactions) and result.swarm is not None else None
