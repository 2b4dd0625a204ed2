"""Agreement between methods: would another way of asking why have named the same columns?

The rows are explained by other methods that suit the model, and the orders are compared: rank agreement, tau-b, shared top columns,
rank-biased overlap, equal signs. Rules are compared by their columns with the columns of largest contribution.

Source: Krishna et al. 2022, "The Disagreement Problem", arXiv:2202.01602; rules against importance: Lopardo and Garreau 2022,
arXiv:2207.01420.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.errors import PellucidError
from pellucid.evaluate.case import Case, NotTestable, cube
from pellucid.evaluate.figures import ALIKE, Figure, agreement, bootstrap_mean, mean_figure
from pellucid.evaluate.orders import kendall, rank_biased_overlap, sign_agreement, top_jaccard
from pellucid.protocols import DifferentiablePredictor, FloatArray
from pellucid.random import stream
from pellucid.results import Explanation, Importance, Rules, Trial
from pellucid.table import Table

__all__ = ["compare", "rule_overlap", "run"]

NAME = "agreement"
OTHERS = ("shapley", "occlusion", "integrated_gradients")
"""Asked in this order while there is time: first those that ask the model the same kind of question, of any model."""
ROWS = 20
TOPS = (3, 5)


def run(case: Case) -> Trial:
    """Return the trial. Cost: explanations of at most 20 rows by up to three other methods, at a precision of 5 %."""
    if isinstance(case.explanation, Rules):
        return _rules(case)
    case.needs_contributions()
    case.needs_columns(3)
    rows = case.some(10 * ROWS if case.whole else ROWS)
    others = _others(case, rows, sized=case.unsigned)
    own = np.abs(case.own(rows)) if case.unsigned else case.own(rows)
    size = {name: mean_figure(agreement(own, values[None], signed=False)) for name, values in others.items()}
    known = {name: f for name, f in size.items() if not np.isnan(f.value)}
    if not known:
        raise NotTestable(f"{_constant(own)} gives every column the same value")
    # the methods answer different questions: to be in line with one of them is enough, to be in line with none is not
    best = max(known, key=lambda name: known[name].value)
    figure = known[best]
    if figure.low <= ALIKE <= figure.high:
        raise NotTestable(f"the best agreement with another method is {figure}, on both sides of the limit {ALIKE}")
    tables = {name: compare(own, values) for name, values in others.items()}
    signed = figure if case.unsigned else mean_figure(agreement(own, others[best][None], signed=True))
    turned = figure.low > ALIKE and signed.high < ALIKE  # the same columns, said to push the other way
    passed = figure.low > ALIKE and not turned
    words = _turned(best, figure, signed) if turned else _words(passed, best, known, tables, "" if case.whole else "Row by row, ")
    shown = signed if turned else figure
    # a method that was not reached may be nearer than those that were: it can turn a failure, and no pass
    decided = None if passed else not case.cut
    return case.verdict(NAME, shown, ALIKE, passed, words, clear=decided, measures=tables, rows=len(rows), best=best, signed=signed.value)


def _constant(own: FloatArray) -> str:
    return "the explanation on trial" if np.ptp(np.abs(own), axis=1).max() == 0 else "every other method that could be asked"


def _turned(best: str, figure: Figure, signed: Figure) -> str:
    return (
        f"The method nearest to this one, {best}, orders the columns by size like it ({figure.value:.2f}), but not by direction ({signed}; "
        f"1 = the same, {ALIKE} is the limit): what this explanation says speaks for the answer speaks against it there. "
        "Do not read its signs."
    )


def compare(a: FloatArray, b: FloatArray) -> Mapping[str, float]:
    """Return every measure of agreement of two explanations (N, P, O), averaged over rows and outputs.

    Examples
    --------
    >>> a = np.array([[[3.0], [-2.0], [1.0], [0.5]]])
    >>> {name: round(v, 6) for name, v in compare(a, a).items()} == dict.fromkeys(compare(a, a), 1.0)
    True
    """
    x, y = np.moveaxis(a, 1, -1), np.moveaxis(b, 1, -1)
    out = {"rank": agreement(a, b[None], signed=False), "signed rank": agreement(a, b[None], signed=True)}
    out |= {"tau": kendall(np.abs(x), np.abs(y)), "rank-biased overlap": rank_biased_overlap(x, y)}
    for k in TOPS:
        if k < x.shape[-1]:
            out |= {f"top {k}": top_jaccard(x, y, k), f"signs in top {k}": sign_agreement(x, y, k)}
    return {name: float(np.nanmean(v)) if not np.isnan(v).all() else float("nan") for name, v in out.items()}


def _others(case: Case, rows: Any, *, sized: bool) -> dict[str, FloatArray]:
    """Return the values (n, P, O) of other methods; of their sizes, averaged over the rows where the answer speaks of a whole table."""
    from pellucid.explain import explain

    out: dict[str, FloatArray] = {}
    table = case.table.take(rows)
    for name in OTHERS:
        suits = name in registry.names("explain") and (
            "gradients" not in _needs(name) or isinstance(case.predictor, DifferentiablePredictor)
        )
        if name == case.explanation.record.method or not suits:
            continue
        if out and case.left() <= 0:
            case.reduced(len(out), len(out) + 1, "methods")
            continue
        try:
            made = explain(case.predictor, _native(case, table), method=name, random_state=case.seed, precision=0.05, **_settings(case))
        except PellucidError:
            continue  # a method that does not suit this model says so; the others are compared
        values = np.abs(made.cube()) if sized else made.cube()
        values = values.mean(0)[None].mean(2, keepdims=True) if case.whole else values
        if values.shape[1:] == case.values.shape[1:]:
            out[name] = values
    if not out:
        raise NotTestable("no other method can explain this model")
    return out


def _needs(name: str) -> tuple[str, ...]:
    return registry.get("explain", name).needs


def _native(case: Case, table: Table) -> Any:
    return case.predictor.native(table) if hasattr(case.predictor, "native") else table


def _settings(case: Case) -> dict[str, Any]:
    chosen = {k: case.settings[k] for k in ("output", "versus", "groups") if case.settings.get(k) is not None}
    return chosen | ({"background": _native(case, case.background)} if case.background is not None else {})


def rule_overlap(rules: Rules, values: Explanation | Importance) -> FloatArray:
    """Return per rule the shared part of its columns and of as many columns of largest contribution (of its row where it has one).

    On a model that is one conjunction, both name its columns: 1.
    """
    parts = np.abs(cube(values)).mean(2)
    place = {c: j for j, c in enumerate(values.columns)}
    labels = {label: i for i, label in enumerate(values.data.index)} if isinstance(values, Explanation) else {}
    out = []
    for rule in rules.rules:
        named = {place[c] for c in rule.columns if c in place}
        if not named:
            continue  # the rule "always" names nothing
        line = parts[labels[rule.row]] if rule.row in labels else parts.mean(0)
        top = set(np.argsort(-line, kind="stable")[: len(named)].tolist())
        out.append(len(top & named) / len(top | named))
    return np.asarray(out, np.float64)


def _rules(case: Case) -> Trial:
    from pellucid.explain import explain

    made: Any = case.explanation
    reasons = explain(
        case.predictor, _native(case, case.table), method="shapley", random_state=case.seed, precision=0.05, **_settings(case)
    )  # fmt: skip
    shared = rule_overlap(made, reasons)
    if not len(shared):
        raise NotTestable("the rules name no columns")
    figure = bootstrap_mean(shared, stream(case.seed, "bootstrap"))
    chance = _by_chance(made, len(reasons.columns))
    passed = figure.low > chance
    lead = (
        f"The columns of a rule and as many columns of largest contribution share {100 * figure.value:.0f} % on average; "
        "columns drawn at random "
        f"would share {100 * chance:.0f} %"
    )
    words = (
        f"{lead}: both name the same columns." if passed else f"{lead}: rules and contributions tell different stories about this model."
    )
    return case.verdict(NAME, figure, chance, passed, words, rules=len(shared), below_half=int((shared < 0.5).sum()))


def _by_chance(rules: Rules, columns: int) -> float:
    """Return the expected overlap of each rule's columns with as many drawn at random, averaged over rules."""
    from scipy.stats import hypergeom

    out = []
    for k in (len(set(r.columns)) for r in rules.rules if r.columns):
        shared = np.arange(k + 1)
        out.append(float((hypergeom.pmf(shared, columns, k, k) * shared / (2 * k - shared)).sum()))
    return float(np.mean(out))


def _words(passed: bool, best: str, size: Mapping[str, Figure], tables: Mapping[str, Mapping[str, float]], where: str) -> str:
    each = ", ".join(f"{name} {figure.value:.2f}" for name, figure in size.items())
    other = "other methods" if where else "Other methods"
    lead = f"{where}{other} order the columns like this one at: {each} (1 = the same order, {ALIKE} is the limit for the nearest of them)"
    if passed:
        top = tables[best].get(f"top {TOPS[0]}")
        more = "" if top is None or np.isnan(top) else f"; with {best} it shares {100 * top:.0f} % of the three largest"
        return f"{lead}{more}: another way of asking gives much the same reasons."
    return f"{lead}: {_none(size)}. Do not rely on this explanation alone."


def _none(asked: Collection[str]) -> str:
    """Say that those asked do not agree; of methods that were not asked nothing is known."""
    return "none of them names these columns" if len(asked) > 1 else f"{next(iter(asked))}, the one that was asked, names others"
