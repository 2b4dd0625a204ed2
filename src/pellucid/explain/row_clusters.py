"""Rows grouped by what decided them: a graph of rows whose reasons are alike, cut into communities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid import registry
from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.explain import asked
from pellucid.explain.conditions import outcomes
from pellucid.explain.decisions import Decisions, beta_interval
from pellucid.explain.question import Question
from pellucid.explain.row_graph import communities, edges, graph_of, largest_first, modularity, places, profiles
from pellucid.explain.surrogate_tree import Tree
from pellucid.intervals import error_of_mean
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Clusters, Explanation
from pellucid.table import Table
from pellucid.table.cells import level_text

__all__ = ["explain"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
LEAST = 20
NULLS = 19
"""Shuffled tables: the real one is the best of twenty by chance once in twenty."""
PRECISION = 0.1
WORST = 0.1
"""Share of rows whose errors count as wrong where the answer is a number."""


def explain(question: Question) -> Clusters:
    """Return the rows grouped by what decided them, each cluster with its columns, a rule on its cells, and its share of wrong rows.

    What decides a row is the share of each column in its reasons (``by="occlusion"``: what would move the answer if it were unknown; any
    other method that explains rows, or ``reasons``, an Explanation of these rows). Two rows are as alike as their shares overlap, sum_j
    sqrt(p_j q_j) (Bhattacharyya 1943); with ``direction=True`` only where the columns push the same way. Each row is joined to its
    ``neighbours`` most alike, and the graph is cut by its leading eigenvectors (Ng, Jordan and Weiss 2001; Damle, Minden and Ying 2018,
    doi:10.1093/imaiai/iay008). The number of ``clusters`` is the smallest whose modularity (Newman and Girvan 2004,
    doi:10.1103/PhysRevE.69.026113) lies above that of 19 graphs whose reasons were shuffled column by column. Where no cut stands out from
    its mean over these graphs more than any cut of theirs does, the rows are one cluster: any cloud of rows can be cut.

    Wrong are rows of another class than answered; for numbers the tenth with the largest errors. ``p_value`` is the chance that so many of
    the wrong rows, dealt out at random, fall into the cluster, times the number of clusters.

    # NOTE[DIFF] modularity alone cuts unstructured rows into many parts; here it is judged against shuffled reasons.

    Cost: that of the method, on at most ``rows`` rows; 20 eigenvectors of an (N, N) matrix.
    """
    at = asked.sample(question, _affordable(question))
    table, made = question.table.take(at), _reasons(question, at)
    answers = np.asarray(question.view.inner.raw(table), np.float64)
    question.view.n_calls += len(table)
    reasons = _one_output(question, made, answers)
    direction, k = asked.flag(question, "direction"), min(asked.whole(question, "neighbours", 2, 500), len(at) - 1)
    cut, found, null = _found(question, reasons, direction, k)
    labels = largest_first(cut)
    share = profiles(reasons, False) ** 2
    means = np.stack([share[labels == g].mean(0) for g in range(1, labels.max() + 1)])
    error = np.stack([error_of_mean(share[labels == g]) for g in range(1, labels.max() + 1)])
    wrong, what = _wrong(question, at, answers)
    summary = _summary(question, table, labels, means, made.columns, wrong)
    points = profiles(reasons, direction)
    return Clusters(
        index=np.asarray(made.data.index), labels=labels, columns=made.columns, shares=means, error=error, summary=summary,
        modularity=found, null=null, places=places(points), edges=edges(points, min(k, 3)), words=_words(summary, found, null, what),
        scale=f"share of the absolute values by {made.method}", method=question.method, record=_record(question, made), wrong=wrong,
        wrong_words=what,
    )  # fmt: skip


# ---------------------------------------------------------------- reasons


def _affordable(question: Question) -> int:
    """Return how many rows to use: the option, or what the budget pays for; too few are an error."""
    most = min(len(question.table), asked.whole(question, "rows", LEAST, 5000))
    if most < LEAST:
        raise EmptyTableError("too few rows to be grouped", expected=f"at least {LEAST} rows", got=str(most))
    cost = 1 + len(question.players) * len(question.background)
    known = question.options["reasons"] is not None or question.options["by"] != "occlusion"  # other methods keep the budget themselves
    return most if known else asked.affordable(question, most, cost, len(question.background), LEAST)


def _reasons(question: Question, at: Ints) -> Explanation:
    """Return the reasons of the rows: those given, or by the method named."""
    given = question.options["reasons"]
    if given is not None:
        if not isinstance(given, Explanation) or len(given) != len(question.table):
            expected = f"an Explanation of these {len(question.table)} rows"
            got = f"{type(given).__name__}" + (f" of {len(given)} rows" if isinstance(given, Explanation) else "")
            raise ArgumentError("the option 'reasons' cannot be used", expected=expected, got=got)
        return given[at]
    entry = registry.get("explain", str(question.options["by"]))
    if entry.gives != "Explanation" or {"explainer", "whole table"} & set(entry.needs):
        raise RequestError(f"{entry.name!r} does not give reasons of rows", do="use by='occlusion' or by='shapley', or pass reasons=")
    part = replace(
        question, method=entry.name, table=question.table.take(at), options=dict(entry.options), precision=question.precision or PRECISION
    )
    made: Explanation = registry.resolve(entry)(part)
    return made


def _one_output(question: Question, made: Explanation, answers: FloatArray) -> FloatArray:
    """Return the reasons (N, P): of each row's own class, or of several numbers their root mean square over outputs."""
    cube = made.cube()
    if cube.shape[2] == 1:
        return cube[:, :, 0]
    if question.view.classes and cube.shape[2] == answers.shape[1]:
        return np.asarray(cube[np.arange(len(cube)), :, answers.argmax(1)])
    if question.options["direction"]:
        raise RequestError("several numbers have several directions", do="name one with output=")
    scale = np.maximum(np.abs(cube).mean((0, 1)), 1e-300)
    return np.asarray(np.sqrt(np.square(cube / scale).mean(2)))


# ---------------------------------------------------------------- the number of clusters


def _found(question: Question, reasons: FloatArray, direction: bool, k: int) -> tuple[Ints, float, FloatArray]:
    """Return (labels from 0, modularity, that of the shuffled graphs cut into as many parts)."""
    wanted = question.options["clusters"]
    most = asked.whole(question, "clusters", 1, len(reasons) // 5) if wanted is not None else min(8, len(reasons) // 10)
    whole: Ints = np.zeros(len(reasons), np.int64)
    if most < 2:
        return whole, 0.0, np.zeros(NULLS)
    draw = stream(question.seed, "row_clusters")
    shuffled = [draw.permuted(reasons, axis=0) for _ in range(NULLS)]
    score = np.zeros((NULLS + 1, most - 1))
    cuts: list[Ints] = []
    for s, some in enumerate((reasons, *shuffled)):
        weights = graph_of(profiles(some, direction), k)
        made = communities(weights, most)
        cuts = cuts or made
        score[s] = [modularity(weights, cut) for cut in made]
    excess = score - score.mean(0)
    best = most - 2
    if wanted is None:
        beyond = score[0] > score[1:].max(0)
        best = int(beyond.argmax()) if beyond.any() else int(excess[0].argmax())
        if not excess[0].max() > excess[1:].max():
            return whole, 0.0, score[1:, best]
    return cuts[best], float(score[0, best]), score[1:, best]


# ---------------------------------------------------------------- what is said of them


def _wrong(question: Question, at: Ints, answers: FloatArray) -> tuple[BoolArray | None, str]:
    """Return (which rows are wrong, what counts as wrong); None where labels are not known."""
    view, y = question.view, question.y
    if y is None:
        return None, ""
    labels = np.asarray(y)
    if len(labels) != len(question.table):
        raise RequestError("X and y have different lengths", expected=f"{len(question.table)} labels", got=str(len(labels)))
    labels = labels[at]
    if view.classes:
        names = [level_text(c) for c in view.classes]
        limit = 0.5 if view.scale == "probability" else 0.0
        codes = answers.argmax(1) if answers.shape[1] > 1 else (answers[:, 0] > limit).astype(np.int64)
        return np.array([names[c] != level_text(v) for c, v in zip(codes, labels.tolist())]), "rows of another class than answered"
    miss = np.abs(labels.astype(float).reshape(len(at), -1) - answers).sum(1)
    return miss >= np.quantile(miss, 1 - WORST), "the tenth of the rows with the largest errors"


def _summary(
    question: Question, table: Table, labels: Ints, shares: FloatArray, columns: tuple[str, ...], wrong: BoolArray | None
) -> pd.DataFrame:
    """Return one line per cluster."""
    lines: list[dict[str, Any]] = []
    told = _rules(question, table, labels)
    for g, mean in enumerate(shares, 1):
        mine = labels == g
        top = [j for j in np.argsort(-mean, kind="stable")[:3] if mean[j] >= 0.05]
        line: dict[str, Any] = {"cluster": g, "rows": int(mine.sum()), "share": float(mine.mean())}
        line["decided_by"] = ", ".join(f"{columns[j]} {100 * mean[j]:.0f} %" for j in top)
        lines.append({**line, **told[g - 1], **({} if wrong is None else _blame(mine, wrong, len(shares)))})
    return pd.DataFrame(lines)


def _rules(question: Question, table: Table, labels: Ints) -> list[Mapping[str, Any]]:
    """Return per cluster a rule on the cells with its precision and the share of the cluster it covers, on held-out rows."""
    groups = int(labels.max())
    if groups < 2:
        return [{"rule": "all rows", "precision": 1.0, "covers": 1.0}]
    cells = table.select(question.view.columns)
    one_hot = np.eye(groups)[labels - 1]
    order = stream(question.seed, "row_clusters", "rules").permutation(len(table))
    grow, held = np.split(order, [int(0.6 * len(table))])
    decide = Decisions(tuple(map(str, range(1, groups + 1))), 0.5, np.zeros(groups))
    tree = Tree(cells, tuple(cells.columns), one_hot, decide, grow, 2 * groups, 4, question.seed)
    rest, truth = cells.take(held), labels[held]
    out: list[Mapping[str, Any]] = []
    for g in range(1, groups + 1):
        mine = truth == g
        tried = [(c, outcomes(c, rest)) for c, value in tree.leaves if int(value.argmax()) == g - 1]
        if not tried or not mine.any():
            out.append({"rule": "no rule found", "precision": np.nan, "covers": np.nan})
            continue
        best, inside = max(tried, key=lambda t: int((t[1] & mine).sum()))
        precision = float(mine[inside].mean()) if inside.any() else np.nan
        text = " and ".join(c.text(table) for c in best) or "all rows"
        out.append({"rule": text, "precision": precision, "covers": float(inside[mine].mean())})
    return out


def _blame(mine: BoolArray, wrong: BoolArray, groups: int) -> dict[str, Any]:
    """Return how many of a cluster's rows are wrong, with interval, the rate of all rows, and the chance of as many at random."""
    from scipy.stats import hypergeom

    hits, size = int((mine & wrong).sum()), int(mine.sum())
    low, high = beta_interval(hits, size)
    chance = float(hypergeom.sf(hits - 1, len(mine), int(wrong.sum()), size)) * groups
    return {
        "wrong": hits, "rate": hits / size, "low": low, "high": high, "null": float(wrong.mean()), "p_value": min(1.0, chance),
    }  # fmt: skip


def _words(summary: pd.DataFrame, found: float, null: FloatArray, what: str) -> str:
    """Return what was found in one or two sentences."""
    if len(summary) < 2:
        return "the rows form no clusters: their reasons hang together no more than reasons shuffled column by column"
    head = f"{len(summary)} clusters; modularity {found:.2f}, of shuffled reasons {null.min():.2f} to {null.max():.2f}"
    if found <= null.max():
        head += ": no more than shuffled reasons have, so do not read these as kinds of rows"
    if "p_value" not in summary:
        return head
    worst: Mapping[Any, Any] = summary.to_dict("records")[int(summary["p_value"].to_numpy().argmin())]
    if worst["p_value"] > 0.05:
        return f"{head}; the wrong rows ({what}) lie in no cluster more than by chance"
    whose = f"cluster {worst['cluster']}, which holds {100 * worst['share']:.0f} % of the rows"
    return f"{head}; {worst['wrong']} of {int(summary['wrong'].sum())} wrong rows ({what}) lie in {whose}"


def _record(question: Question, made: Explanation) -> Any:
    """Return the record; reasons that were given are named, not kept."""
    options = {**question.options, "reasons": None if question.options["reasons"] is None else f"{made.method} of {made.record.data}"}
    return question.record({"options": options, "reasons_by": made.method}, made.record.caveats)
