"""Global importance in several ways side by side: Shapley values, permutation, the model's own, a tree's; and outside data scored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid import registry
from pellucid.errors import ArgumentError, TargetError
from pellucid.explain import asked
from pellucid.explain.decisions import Decisions
from pellucid.explain.question import Question
from pellucid.explain.surrogate_tree import Tree, fidelity_of
from pellucid.intervals import Z95, error_of_mean
from pellucid.probe.grouping import propose_groups
from pellucid.probe.masker import Players
from pellucid.probe.truth import known_truth, row_losses
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation, Importance, Importances
from pellucid.table import Table, read_table

__all__ = ["explain", "rank_correlation"]

PRECISION = 0.1
DRAWS = 2000
LEAST_TREE = 50
NAN = float("nan")


@dataclass(frozen=True)
class _Way:
    """One importance: values (P,), interval (P, 2), unit."""

    name: str
    values: FloatArray
    interval: FloatArray
    unit: str


def explain(question: Question) -> Importances:
    """Return several importances of the same columns, their rank correlations, and the model's score here and on data from outside.

    The ways: mean absolute Shapley values; the rise of the loss when a column is shuffled; the model's own importances where it has some
    (terms of a listed sum or of a linear model, impurity or gain of trees); the impurity decrease of a tree that copies the model. No way
    is the right one: where they disagree the columns are correlated, act together, or are used but of no use. So columns whose mean
    association is at least ``group`` are first made one (None: no groups), unless ``groups=`` were given.

    ``outside``: new data with the target, as a file, a Table, a frame, or a pair (X, y): it is scored beside these rows, and the shuffling
    is done there too. Scores are losses (log loss or squared error) and the share of a constant answer's loss that the model takes away.

    Sources: Lundberg and Lee 2017, arXiv:1705.07874; Breiman 2001, doi:10.1023/A:1010933404324; Craven and Shavlik 1996.
    Cost: Shapley values of at most ``rows`` rows, 5 (P + 1) N model rows, twice with ``outside``.
    """
    groups = _groups(question)
    players = Players.of(question.view.columns, groups)
    part = replace(question, players=players, options={})
    ways = [_shapley(part, asked.whole(question, "rows", 10, 100_000)), _permuted(part, "permutation")]
    scores = [_score(question, "these rows", question.table, question.y)]
    caveats: list[str] = []
    for way in (_own(part, caveats), _tree(part, caveats)):
        if way is not None:
            ways.append(way)
    outside = _outside(question)
    if outside is not None:
        table, y = outside
        ways.append(_permuted(replace(part, table=table, y=y), "permutation, outside"))
        scores.append(_score(question, "outside", table, y))
    values = np.stack([w.values for w in ways], 1)
    correlation = rank_correlation(values)
    chance = _chance(len(players), question.seed)
    table_of_scores = pd.concat(scores, ignore_index=True)
    record = question.record(
        {"groups": groups, "scale": question.view.scale, "options": {**question.options, "outside": _named(question.options["outside"])}},
        caveats,
    )
    return Importances(
        columns=players.names, measures=tuple(w.name for w in ways), values=values, interval=np.stack([w.interval for w in ways], 1),
        units=tuple(w.unit for w in ways), correlation=correlation, chance=chance, groups=groups, scores=table_of_scores,
        words=_words(ways, correlation, chance, table_of_scores), method=question.method, record=record,
    )  # fmt: skip


# ---------------------------------------------------------------- what is compared


def _groups(question: Question) -> Mapping[str, tuple[str, ...]]:
    """Return the groups given, or columns that say much the same."""
    given = question.settings["groups"]
    if given:
        return {name: (members,) if isinstance(members, str) else tuple(members) for name, members in given.items()}
    if question.options["group"] is None:
        return {}
    cells = question.table.select(question.view.columns)
    return propose_groups(cells, asked.number(question, "group", 0, 1 + 1e-9))


def _shapley(question: Question, rows: int) -> _Way:
    """Return mean absolute Shapley values of at most ``rows`` rows."""
    at = asked.sample(question, rows)
    part = replace(question, table=question.table.take(at), precision=question.precision or PRECISION)
    made: Explanation = registry.resolve(registry.get("explain", "shapley"))(part)
    mean = made.mean_abs()
    return _Way("shapley", mean.values, mean.interval, f"mean |value|, {mean.scale}")


def _permuted(question: Question, name: str) -> _Way:
    made: Importance = registry.resolve(registry.get("explain", "permutation_importance"))(question)
    return _Way(name, made.values, made.interval, f"rise of the {made.scale}")


def _own(question: Question, caveats: list[str]) -> _Way | None:
    """Return the model's own importances; what they are not known for is said in the caveats."""
    players, made = question.players, question.view.built_in(question.table)
    if made is None:
        caveats.append("the model has no importances of its own")
        return None
    name, values = made
    summed = np.bincount(players.of_column, values, minlength=len(players)).astype(np.float64)
    return _Way("built-in", summed, np.full((len(summed), 2), NAN), name)


def _tree(question: Question, caveats: list[str]) -> _Way | None:
    """Return the impurity decrease of a tree grown on the model's answers, with its fidelity on a third of the rows."""
    view, players = question.view, question.players
    table = question.table.select(view.columns).take(asked.sample(question, 5000, "tree"))
    if len(table) < LEAST_TREE:
        caveats.append(f"a tree that copies the model needs at least {LEAST_TREE} rows")
        return None
    answers = view.raw(table)
    order = stream(question.seed, "importances", "tree").permutation(len(table))
    grow, held = np.split(order, [2 * len(table) // 3])
    decide = Decisions(None, 0.0, np.zeros(answers.shape[1]))
    tree = Tree(table, tuple(table.columns), answers, decide, grow, 64, 12, question.seed)
    fidelity = fidelity_of(decide, answers[held], tree.predict(table.take(held)))[0]
    at = {c: j for j, c in enumerate(view.columns)}
    place = [int(players.of_column[at[c]]) for c in tree.names]
    summed = np.bincount(place, tree.importance, minlength=len(players)).astype(np.float64)
    caveats.append(f"the tree copies {100 * max(fidelity, 0.0):.0f} % of the variance of the answers on held-out rows")
    return _Way("tree copy", summed, np.full((len(summed), 2), NAN), "share of the impurity decrease")


# ---------------------------------------------------------------- scores


def _outside(question: Question) -> tuple[Table, npt.NDArray[Any]] | None:
    """Return the outside rows as the model reads them, and their labels."""
    given: Any = question.options["outside"]
    if given is None:
        return None
    y = None
    if isinstance(given, tuple | list) and len(given) == 2 and not isinstance(given[0], str):
        given, y = given
    if isinstance(given, str | os.PathLike):
        given = read_table(given)
    if not isinstance(given, Table) and not hasattr(given, "columns") and not isinstance(given, np.ndarray):
        raise ArgumentError(
            "the option 'outside' cannot be used", expected="a file, a Table, a frame, or a pair (X, y)", got=type(given).__name__
        )
    if y is None:
        y = _labels_of(question, given)
    table = question.view.read(given)
    if len(table) != len(y):
        raise TargetError("the outside data and their labels have different lengths", expected=f"{len(table)} labels", got=str(len(y)))
    return table, np.asarray(y)


def _labels_of(question: Question, data: Any) -> npt.NDArray[Any]:
    """Return the target's cells of outside data that hold them."""
    frame = data.frame if isinstance(data, Table) else data
    names = (data.target,) if isinstance(data, Table) and data.target else tuple(getattr(question.view.inner, "names", ()))
    if len(names) != 1 or names[0] not in list(getattr(frame, "columns", ())):
        raise TargetError(
            "the outside data hold no target to be scored by", expected=f"a column {names[0]!r}" if len(names) == 1 else "labels",
            do="name the target in the file as in training, or pass a pair (X, y)",
        )  # fmt: skip
    return np.asarray(frame[names[0]])


def _score(question: Question, which: str, table: Table, y: Any) -> pd.DataFrame:
    """Return the loss and the share of a constant answer's loss that is taken away, with 95 % intervals over rows."""
    loss, unit = row_losses(question.view, y, len(table))
    each = loss(question.view.raw(table))
    constant = _constant(known_truth(question.view, y, len(table)), question.view.task == "classification")
    mean, null = float(each.mean()), float(constant.mean())
    error = float(error_of_mean(each))
    skill = 1 - mean / null if null > 0 else NAN
    spread = float(error_of_mean(each - (1 - skill) * constant)) / null if null > 0 else NAN
    lines = [(unit, mean, error, null), ("share of a constant answer's loss taken away", skill, spread, 0.0)]
    return pd.DataFrame(
        [
            {"rows": which, "n": len(each), "metric": m, "value": v, "low": v - Z95 * e, "high": v + Z95 * e, "null": z}
            for m, v, e, z in lines
        ]
    )  # fmt: skip


def _constant(truth: npt.NDArray[Any], classes: bool) -> FloatArray:
    """Return each row's loss under the best answer that is the same for all rows, (N,)."""
    if not classes:
        return np.asarray(np.square(truth - truth.mean(0)).sum(1))
    _, place, count = np.unique(truth, return_inverse=True, return_counts=True)
    return np.asarray(-np.log(count[place] / len(truth)))


# ---------------------------------------------------------------- agreement


def rank_correlation(values: FloatArray) -> FloatArray:
    """Return Spearman's correlations (M, M) of the columns of values (P, M), ties averaged; NaN where one is constant.

    Examples
    --------
    >>> rank_correlation(np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 5.0]])).round(2).tolist()
    [[1.0, -0.5], [-0.5, 1.0]]
    """
    ranks = pd.DataFrame(values).rank()
    out = ranks.corr(method="pearson").to_numpy(copy=True)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


def _chance(p: int, seed: int) -> float:
    """Return the 95 % point of Spearman's correlation of two unrelated orders of p columns; NaN for fewer than three."""
    if p < 3:
        return NAN
    draws = stream(seed, "importances", "chance").permuted(np.tile(np.arange(p), (DRAWS, 1)), axis=1)
    away = np.square(draws - np.arange(p)).sum(1)
    return float(np.quantile(1 - 6 * away / (p * (p * p - 1)), 0.95))


def _words(ways: list[_Way], correlation: FloatArray, chance: float, scores: pd.DataFrame) -> str:
    """Return what is to be seen, in two sentences."""
    first, second = np.triu_indices(len(ways), 1)
    pairs = [(float(correlation[i, j]), ways[i].name, ways[j].name) for i, j in zip(first, second) if np.isfinite(correlation[i, j])]
    out = "too few columns to compare orders"
    if pairs:
        low, one, two = min(pairs)
        out = f"the orders agree from {low:.2f} ({one} and {two}) to {max(pairs)[0]:.2f}"
        out += f"; unrelated orders of as many columns stay below {chance:.2f} in 95 of 100 cases" if np.isfinite(chance) else ""
    skill = scores[scores["metric"].str.startswith("share")].to_dict("records")
    if len(skill) == 2:
        here, there = skill
        away, error = here["value"] - there["value"], np.hypot(here["high"] - here["value"], there["high"] - there["value"])
        verdict = "no worse than chance explains" if away <= error else "worse than here beyond chance"
        out += (
            f". Outside the model takes away {100 * there['value']:.0f} % of a constant answer's loss, here {100 * here['value']:.0f} %: "
        )
        out += f"{verdict} (difference {100 * away:.0f} ± {100 * error:.0f})"
    return out


def _named(outside: Any) -> Any:
    """Return what the record keeps of the outside data."""
    return None if outside is None else str(outside) if isinstance(outside, str | os.PathLike) else type(outside).__name__
