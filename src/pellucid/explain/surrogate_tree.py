"""A small tree on the few columns that matter, fitted to the model's answers and tried on rows it has not seen."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import EmptyTableError
from pellucid.explain import asked
from pellucid.explain.conditions import Condition, common_words, has_word, merged, outcomes, round_between
from pellucid.explain.decisions import Decisions, beta_interval
from pellucid.explain.grid import on_line
from pellucid.explain.question import Question
from pellucid.intervals import Z95, widening
from pellucid.probe.coalition import CoalitionEngine
from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.results import Rule, Rules
from pellucid.table import ColumnType, Table

__all__ = ["FAITHFUL", "Tree", "explain", "fidelity_of", "strongest"]

FAITHFUL = 0.8
"""Fidelity below which a tree does not speak for the model."""
SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
BLOCKS = 32
RANKING_ROWS = 200
LEAST = 20
CANDIDATES, WORDS = 200, 12  # words of a text column that are looked at, and that a tree may split by

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Rules:
    """Return the leaves of a tree that copies the model, as rules, with the fidelity of the copy on held-out rows.

    Craven and Shavlik 1996 (a tree as a copy of a network). Columns are picked first, so that it serves 50 to 20,000 of them: blocks of
    columns are shuffled and the block that moves the answers most is halved until ``columns`` single ones stand. 60 % of the rows grow
    trees of 2 to ``leaves`` leaves (depth at most ``depth``, at least 1 % of the rows in a leaf; a text is split by its words), 20 % choose
    the smallest within one standard error of the best, 20 % give the figures. Fidelity is the share of equal labels, or R^2 for numbers.
    Below 0.8, or where a constant answer copies as well, ``words`` refuses to speak of the rules as the model's.
    Cost: N + about (32 + 2 k log2(P / 32)) 200 model rows.
    """
    k, leaves = asked.whole(question, "columns", 1, 1000), asked.whole(question, "leaves", 2, 256)
    n, ranking = _rows(question, k)
    rows = asked.sample(question, n)
    table = question.table.select(question.view.columns).take(rows)
    players = strongest(question, table, k, ranking)
    answers = question.view.raw(table)
    names = tuple(c for c, p in zip(table.columns, question.players.of_column) if question.players.names[p] in players)
    order = stream(question.seed, "surrogate_tree").permutation(n)
    grow, choose, certify = np.split(order, [int(0.6 * n), int(0.8 * n)])
    decide = Decisions.of(question.view, answers[grow])
    copies = []
    for size in [s for s in SIZES if s < leaves] + [leaves]:
        tree = Tree(table, names, answers, decide, grow, size, asked.whole(question, "depth", 1, 30), question.seed)
        score, error = fidelity_of(decide, answers[choose], tree.predict(table.take(choose)))
        copies.append((tree, score, error))
    best = max(range(len(copies)), key=lambda i: copies[i][1])
    floor = copies[best][1] - copies[best][2]
    tree = next(t for t, score, _ in copies if score >= floor)
    return _answer(question, table.take(certify), answers[certify], tree, decide, players, copies)


def _rows(question: Question, k: int) -> tuple[int, int]:
    """Return (rows for the tree, rows for the ranking) within the budget."""
    steps = _steps(len(question.players), k)
    n = len(question.table)
    if n < LEAST:
        raise EmptyTableError("too few rows to fit a tree and to try it", expected=f"at least {LEAST} rows", got=str(n))
    ranking = min(n, RANKING_ROWS)
    budget = asked.rows_allowed(question)
    if budget is not None and n + ranking * (steps + 2) > budget:
        ranking = max(10, min(ranking, int(0.5 * budget / (steps + 2))))
        n = asked.affordable(question, n, 1, ranking * (steps + 2), LEAST)
    return n, ranking


def _steps(p: int, k: int) -> int:
    """Return the most shuffles of a ranking: all blocks, and halvings down to k single columns with as many detours."""
    return min(2 * p, BLOCKS + 4 * k * int(np.ceil(np.log2(max(2, p / BLOCKS)))))


def strongest(question: Question, table: Table, k: int, rows: int) -> tuple[str, ...]:
    """Return up to k players whose shuffling moves the answers most, strongest first.

    Blocks of players are shuffled together; the block that moves the answers most is halved, until k single players stand. Cost: at most
    (32 + 4 k log2(P / 32) + 2) ``rows`` model rows.
    """
    draw, p = stream(question.seed, "strongest"), len(question.players)
    at = np.sort(draw.choice(len(table), min(rows, len(table)), replace=False))
    part = table.take(at)
    engine = CoalitionEngine(question.view, part, part, question.players)
    spread = np.maximum(engine.full.std(0), 1e-12)
    order = draw.permutation(len(at))
    other = np.empty(len(at), np.int64)
    other[order] = np.roll(order, 1)  # one cycle: no row keeps its own cells

    def effect(block: Ints) -> float:
        z = np.ones(p, bool)
        z[block] = False
        moved = engine.evaluate(np.arange(len(at)), other, np.broadcast_to(z, (len(at), p)))
        return float(np.square((moved - engine.full) / spread).mean())

    heap: list[tuple[float, int, Ints]] = []
    chosen: list[str] = []
    for block in np.array_split(np.arange(p), min(p, BLOCKS)):
        heapq.heappush(heap, (-effect(block), int(block[0]), block))
    left = _steps(p, k) - min(p, BLOCKS)
    while heap and len(chosen) < k and heap[0][0] < -1e-20:
        _, _, block = heapq.heappop(heap)
        if len(block) == 1:
            chosen.append(question.players.names[int(block[0])])
            continue
        if left < 2:
            continue
        for half in np.array_split(block, 2):
            heapq.heappush(heap, (-effect(half), int(half[0]), half))
        left -= 2
        engine.forget()
    return tuple(chosen) or question.players.names[:1]


class Tree:
    """A tree on ranks of cells, read back as conditions in the user's units and names."""

    def __init__(
        self, table: Table, names: tuple[str, ...], answers: FloatArray, decide: Decisions, rows: Ints, leaves: int, depth: int, seed: int
    ) -> None:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        part, self.names = table.take(rows), names
        target = answers[rows] if decide.labels is None else np.eye(len(decide.labels))[decide.codes(answers[rows])]
        self.scales = [s for c in names for s in _scales(part, c, target)]
        x = np.column_stack([s.ranks(part) for s in self.scales])
        kind = DecisionTreeRegressor if decide.labels is None else DecisionTreeClassifier
        settings: dict[str, Any] = {"max_leaf_nodes": leaves, "max_depth": depth, "min_samples_leaf": max(1, len(rows) // 100)}
        goal = target / np.maximum(target.std(0), 1e-12) if decide.labels is None else target.argmax(1)
        model = kind(**settings, random_state=integer(seed, "tree") % 2**31).fit(x, goal)
        self.importance = np.bincount([names.index(s.name) for s in self.scales], model.feature_importances_, len(names))
        self.gone = [bool(table.missing(s.name).any()) for s in self.scales]
        place = model.apply(x)
        self.leaves = [(c, self._value(answers[rows][place == leaf], decide)) for leaf, c in self._paths(model.tree_)]

    @staticmethod
    def _value(answers: FloatArray, decide: Decisions) -> FloatArray:
        """Return what a leaf answers, (O,): the mean, or a typical answer of its most frequent label."""
        if decide.labels is None:
            return np.asarray(answers.mean(0))
        codes = decide.codes(answers)
        return np.asarray(answers[codes == np.bincount(codes).argmax()].mean(0))

    def _paths(self, tree: Any) -> list[tuple[int, tuple[Condition, ...]]]:
        """Return (leaf, merged conditions) from left to right."""
        out: list[tuple[int, tuple[Condition, ...]]] = []
        stack: list[tuple[int, list[Condition]]] = [(0, [])]
        while stack:
            node, path = stack.pop()
            if tree.children_left[node] < 0:
                out.append((node, merged(path)))
                continue
            j = int(tree.feature[node])
            to_left = bool(tree.missing_go_to_left[node])
            left, right = self.scales[j].split(float(tree.threshold[node]), to_left and self.gone[j], not to_left and self.gone[j])
            stack.append((int(tree.children_right[node]), [*path, right]))
            stack.append((int(tree.children_left[node]), [*path, left]))
        return out

    def predict(self, table: Table) -> FloatArray:
        """Return the copy's answers (N, O), by the conditions as they are stated."""
        out = np.zeros((len(table), len(self.leaves[0][1])))
        for conditions, value in self.leaves:
            out[outcomes(conditions, table)] = value
        return out


def _scales(table: Table, name: str, target: FloatArray) -> list[_Scale | _Word]:
    """Return what a tree may split a column by: its ranks, or the words of a text that go furthest with the answers."""
    words = common_words(table, name, CANDIDATES) if table.schema[name].type is ColumnType.TEXT else ()
    if not words:
        return [_Scale.of(table, name, target)]
    has = np.column_stack([has_word(table, name, word) for word in words]).astype(float)
    together = np.square((has - has.mean(0)).T @ (target - target.mean(0))).sum(1) / has.var(0)
    return [_Word(name, words[k]) for k in np.argsort(-together, kind="stable")[:WORDS]]


@dataclass(frozen=True)
class _Word:
    """Whether a text has a word."""

    name: str
    word: str

    def ranks(self, table: Table) -> FloatArray:
        """Return 0 (lacks it) or 1 (has it), NaN for missing cells, (N,)."""
        return np.where(table.missing(self.name), np.nan, has_word(table, self.name, self.word).astype(float))

    def split(self, threshold: float, left_missing: bool, right_missing: bool) -> tuple[Condition, Condition]:
        """Return the conditions of the left and the right branch."""
        if not threshold < 1:
            return Condition(self.name, "known"), Condition(self.name, "missing")
        only = (self.word,)
        return Condition(self.name, "lacks", 0.0, only, left_missing), Condition(self.name, "has", 0.0, only, right_missing)


@dataclass(frozen=True)
class _Scale:
    """The cells of a column as ranks: exact in the tree's 32 bits. Levels are ranked by what the model answers for them."""

    name: str
    values: FloatArray
    levels: tuple[str, ...]
    is_date: bool = False

    @classmethod
    def of(cls, table: Table, name: str, target: FloatArray) -> _Scale:
        line = on_line(table, name)
        if line is not None:
            return cls(name, np.unique(line[~np.isnan(line)]), (), table.schema[name].type is ColumnType.DATE)
        codes, texts = table.levels(name)
        if table.schema[name].type is ColumnType.ORDERED:
            rank = {t: k for k, t in enumerate(table.schema[name].levels)}
            return cls(name, np.zeros(0), tuple(sorted(texts, key=lambda t: rank.get(t, len(rank)))))
        mean = np.stack([target[codes == k].mean(0) for k in range(len(texts))]) if texts else np.zeros((0, target.shape[1]))
        centred = mean - mean.mean(0) if len(mean) else mean
        axis = np.linalg.svd(centred, full_matrices=False)[2][0] if len(mean) else np.zeros(target.shape[1])
        return cls(name, np.zeros(0), tuple(texts[k] for k in np.argsort(centred @ axis, kind="stable")))

    def ranks(self, table: Table) -> FloatArray:
        """Return the ranks (N,), NaN for missing cells."""
        line = on_line(table, self.name)
        if line is not None:
            return np.where(np.isnan(line), np.nan, np.searchsorted(self.values, line).astype(float))
        codes, texts = table.levels(self.name)
        rank = {t: float(k) for k, t in enumerate(self.levels)}
        return np.array([rank.get(t, np.nan) for t in texts] + [np.nan])[codes]

    def split(self, threshold: float, left_missing: bool, right_missing: bool) -> tuple[Condition, Condition]:
        """Return the conditions of the left and the right branch at a threshold between ranks."""
        size = len(self.levels) or len(self.values)
        if not threshold < size - 1:  # missing cells against all others
            return Condition(self.name, "known"), Condition(self.name, "missing")
        k = int(np.floor(threshold))
        if not self.levels:
            low, high = float(self.values[k]), float(self.values[k + 1])
            limit = low if self.is_date else round_between(low, high)  # a day that occurs, not a moment between two
            return Condition(self.name, "<=", limit, (), left_missing), Condition(self.name, ">", limit, (), right_missing)
        few, many = ("in", "not in") if k + 1 <= size / 2 else ("not in", "in")
        shown = self.levels[: k + 1] if few == "in" else self.levels[k + 1 :]
        return Condition(self.name, few, 0.0, shown, left_missing), Condition(self.name, many, 0.0, shown, right_missing)


def fidelity_of(decide: Decisions, truth: FloatArray, copy: FloatArray) -> tuple[float, float]:
    """Return (fidelity, standard error): share of equal labels, or R^2 over all outputs."""
    if decide.labels is not None:
        share = float(decide.equal(truth, copy).mean())
        return share, float(np.sqrt(share * (1 - share) / len(truth)))
    scale = np.maximum(truth.std(0), 1e-12)
    miss, total = (np.square(a / scale).mean(1) for a in (truth - copy, truth - truth.mean(0)))
    if total.mean() < 1e-12:
        return float(miss.mean() < 1e-12), 0.0
    r2 = 1 - miss.mean() / total.mean()
    return float(r2), float((miss - (1 - r2) * total).std() / total.mean() / np.sqrt(len(truth)))


def _answer(
    question: Question, table: Table, answers: FloatArray, tree: Tree, decide: Decisions, players: tuple[str, ...], copies: list[Any]
) -> Rules:
    """Return the rules with their figures on the held-out rows."""
    copy = tree.predict(table)
    fidelity, error = fidelity_of(decide, answers, copy)
    equal, n = decide.equal(answers, copy), len(table)
    half = Z95 * error * float(np.sqrt(widening(n - 1)))
    interval = beta_interval(equal.sum(), n) if decide.labels is not None else (fidelity - half, fidelity + half)
    rules = []
    for conditions, value in tree.leaves:
        held = outcomes(conditions, table)
        m = int(held.sum())
        rules.append(
            Rule(
                conditions=tuple(c.text(table) for c in conditions),
                columns=tuple(c.column for c in conditions),
                outcome=decide.words(value, question.view.outputs),
                precision=float(equal[held].mean()) if m else float("nan"),
                interval=beta_interval(equal[held].sum(), m) if m else (0.0, 1.0),
                coverage=m / n,
                value=float(value[0]) if decide.labels is None and len(value) == 1 else None,
            )
        )
    plain = float(np.bincount(decide.codes(answers)).max() / n) if decide.labels is not None else 0.0
    settings = {
        "held_out_rows": n,
        "leaves_chosen": len(tree.leaves),
        "columns_chosen": list(players),
        "fidelity_by_size": [{"leaves": len(t.leaves), "fidelity": score, "error": se} for t, score, se in copies],
        "constant_fidelity": plain,
        "speaks_for_the_model": fidelity >= FAITHFUL and (interval[0] > plain or plain == fidelity == 1.0),
    }
    what = "of the model's labels" if decide.labels is not None else "of the variance of the model's answers"
    head = f"a tree of {len(tree.leaves)} leaves copies {100 * fidelity:.0f} % {what} on {n} held-out rows"
    refusal = "too little to speak for the model: do not read its rules as the model's reasons"
    words = (
        head + (f"; a constant copies {100 * plain:.0f} %" if plain else "") + ("" if settings["speaks_for_the_model"] else f": {refusal}")
    )
    return Rules(
        rules=tuple(sorted(rules, key=lambda r: -r.coverage)),
        columns=tree.names,
        fidelity=fidelity,
        fidelity_interval=interval,
        scale=decide.counts + ("; fidelity is R^2" if decide.labels is None else ""),
        words=words,
        method=question.method,
        record=question.record(settings, () if settings["speaks_for_the_model"] else (refusal,)),
    )
