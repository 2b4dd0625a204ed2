"""Do two columns act together in every model that is nearly as good as this one? Interaction scores over a Rashomon set."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ArgumentError, RequestError
from pellucid.explain import asked
from pellucid.explain.near_equal import scaler
from pellucid.explain.permutation_importance import shuffling_error
from pellucid.explain.question import Question
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.foreign import as_predictor
from pellucid.probe.truth import row_losses
from pellucid.probe.view import View
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import integer, stream
from pellucid.results import Interactions

__all__ = ["explain"]

GRID = (np.arange(1, 9) / 8) ** 2
"""Distances of the factors that are tried from 1, as shares of the way to the farthest."""
FARTHEST = 2.0
"""Largest factor less 1; downwards a column is scaled to 0 at most, which leaves its mean."""
FLOOR = 0.01
"""Where a model has next to no loss, its tolerance is that share of the loss of a constant."""
LEAST = 20

Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]


def explain(question: Question) -> Interactions:
    """Return the feature interaction score of pairs, (1, S, 1), and its range over nearly equal models.

    Li et al. 2023, arXiv:2305.10181; Fisher, Rudin and Dominici 2019, arXiv:1801.01489. With phi_I the rise of the loss when the columns
    I are shuffled by one permutation, FIS_ij = phi_ij - phi_i - phi_j: 0 where the model adds up, and the columns are independent. The
    set holds every model found with loss <= (1 + ``epsilon``) times this model's: for pairs, the model with the spread of both columns'
    embeddings (numbers, for models from elsewhere) made larger or smaller until shares of the tolerance are spent; and ``models`` that
    are given, or ``refits`` models that ``refit(seed=...)`` trains. ``low`` and ``high`` are the ends of the models' own 95 % intervals
    over rows; ``swarm`` has one line per pair and model. Pairs are those of the ``most`` columns with the largest phi.
    Cost: about (20 k + 2 k (k - 1) steps (2 + 3 shuffles)) n model rows, k columns, n rows.

    # NOTE[DIFF] the published code shuffles the columns of a set one after the other from fresh copies, so that only the last stays
    shuffled; here they move together. A category is scaled through its embedding, not through its code.
    """
    cloud = _Cloud(question)
    pairs = cloud.pairs()
    lines: list[dict[str, Any]] = []
    names = question.players.names
    for i, j in pairs:
        for label, factors, view in cloud.models(i, j):
            made = cloud.score(view, [(i, j)], label == "the model")
            if made is None and label == "scaled":
                factors, view = cloud.nearer((i, j), factors)
                made = cloud.score(view, [(i, j)])
            if made is None:
                continue
            loss, ((fis, error),) = made
            lines.append(
                {"columns": f"{names[i]} x {names[j]}", "first": names[i], "second": names[j], "model": label,
                 "factor_first": factors[0], "factor_second": factors[1], "loss": loss, "fis": fis, "error": error}
            )  # fmt: skip
    swarm = pd.DataFrame(lines)
    return _answer(question, cloud, pairs, swarm)


def _answer(question: Question, cloud: _Cloud, pairs: list[Pair], swarm: pd.DataFrame) -> Interactions:
    """Return the result: the model's own scores, and the range over the set."""
    names = question.players.names
    own = swarm[swarm["model"] == "the model"]
    by_pair = swarm.groupby("columns", sort=False)
    low = np.array([(g["fis"] - 1.96 * g["error"]).min() for _, g in by_pair])
    high = np.array([(g["fis"] + 1.96 * g["error"]).max() for _, g in by_pair])
    settings = {
        "epsilon": cloud.epsilon,
        "loss": cloud.unit,
        "loss_of_the_model": cloud.start,
        "loss_allowed": cloud.allowed,
        "rows_used": len(cloud.rows),
        "models_per_pair": {str(k): len(g) for k, g in by_pair},
        "given_models_refused": cloud.refused,
        "rise_of_single_columns": dict(zip(names, cloud.rise.tolist())),
    }
    caveats = ["use rows that were held out from training", "columns that go together give a score other than 0 to models that add up"]
    if cloud.fixed:
        caveats.append(f"these columns cannot be scaled and stay as they are: {', '.join(cloud.fixed[:8])}")
    if cloud.refused:
        caveats.append(f"{cloud.refused} of the models given lose more than allowed and are left out")
    return Interactions(
        sets=tuple((names[i], names[j]) for i, j in pairs),
        by_set=own["fis"].to_numpy(float)[None, :, None],
        columns=names,
        outputs=("loss",),
        scale=cloud.unit,
        index="fis",
        method=question.method,
        record=question.record(settings, caveats),
        error=own["error"].to_numpy(float)[None, :, None],
        low=low[None, :, None],
        high=high[None, :, None],
        swarm=swarm,
    )


def _partners(order: npt.NDArray[np.int64], shuffles: int) -> npt.NDArray[np.int64]:
    """Return the row whose cells each row takes in each shuffle, (shuffles, N): never its own."""
    n = len(order)
    others = np.empty((shuffles, n), np.int64)
    for r in range(shuffles):
        others[r, order] = np.roll(order, 1 + r * max(1, n // (shuffles + 1)) % (n - 1))
    return others


class _Cloud:
    """The set of nearly equal models, found column by column, and their scores."""

    def __init__(self, question: Question) -> None:
        self.q = question
        loss, self.unit = row_losses(question.view, question.y, len(question.table))
        self.epsilon = asked.number(question, "epsilon", 0, 1000)
        self.shuffles, self.steps = asked.whole(question, "shuffles", 1, 1000), asked.whole(question, "steps", 1, 100)
        chosen = asked.columns(question, question.players.names)
        p = len(question.players)
        if p < 2 or (chosen is not None and len(chosen) < 2):
            raise RequestError("an interaction needs two columns", expected="at least two", got=str(p if chosen is None else len(chosen)))
        self.k = len(chosen) if chosen is not None else min(p, asked.whole(question, "most", 2, 1000))
        self.given = _given(question)
        n = self._rows(p)
        self.rows = asked.sample(question, n)
        self.table = question.table.select(question.view.columns).take(self.rows)
        self.loss: Callable[[FloatArray], FloatArray] = lambda out: loss(out, self.rows)
        self.others = _partners(stream(question.seed, "rashomon").permutation(n), self.shuffles)
        self._scaled, free = scaler(question.view, self.table)
        self.free = [all(c in free for c in self._columns_of(j)) for j in range(p)]
        self.fixed = [name for name, ok in zip(question.players.names, self.free) if not ok]
        self._factors: dict[tuple[int, int, int], float] = {}
        self._start(chosen)

    def _columns_of(self, player: int) -> list[str]:
        return [c for c, at in zip(self.q.view.columns, self.q.players.of_column) if at == player]

    def _rows(self, p: int) -> int:
        """Return how many rows the budget pays for."""
        each = 2 + 3 * self.shuffles
        pairs = self.k * (self.k - 1) // 2
        cost = 2 + p * self.shuffles + 2 * len(GRID) * self.k + pairs * (4 * self.steps + 1 + len(self.given)) * each
        n = min(len(self.q.table), asked.whole(self.q, "rows", LEAST, 10**6))
        return asked.affordable(self.q, n, cost, 0, LEAST)

    def _start(self, chosen: tuple[str, ...] | None) -> None:
        """Take the model's own loss and the rise of it when single columns are shuffled."""
        engine = self._engine(self.q.view)
        before = self.loss(engine.full)
        self.start = float(before.mean())
        constant = float(self.loss(np.broadcast_to(engine.full.mean(0), engine.full.shape)).mean())
        self.allowed = self.start + self.epsilon * max(self.start, FLOOR * constant)
        p = len(self.q.players)
        self.rise = np.array([(self._shuffled(engine, [j]) - before).mean() for j in range(p)])
        names = self.q.players.names
        picked = np.argsort(-self.rise, kind="stable")[: self.k] if chosen is None else np.array([names.index(c) for c in chosen])
        self.picked = sorted(int(j) for j in picked)
        self.refused = 0
        kept = []
        for label, view in self.given:
            if float(self.loss(self._raw(view)).mean()) <= self.allowed:
                kept.append((label, view))
            else:
                self.refused += 1
        self.given = kept

    def pairs(self) -> list[Pair]:
        return list(itertools.combinations(self.picked, 2))

    def _engine(self, view: View) -> CoalitionEngine:
        return CoalitionEngine(view, self.table, self.table, self.q.players)

    def _raw(self, view: View) -> FloatArray:
        before = view.n_calls
        out = view.raw(self.table)
        self._count(view, before)
        return out

    def _count(self, view: View, before: int) -> None:
        """Count the rows that other views evaluated."""
        if view is not self.q.view:
            self.q.view.n_calls += view.n_calls - before

    def _shuffled(self, engine: CoalitionEngine, players: list[int]) -> FloatArray:
        """Return the loss (R, n) with some players' cells from other rows, moved together, by shuffle."""
        n, z = len(self.rows), np.ones(len(self.q.players), bool)
        z[players] = False
        z_all = np.broadcast_to(z, (n, len(z)))
        return np.stack([self.loss(engine.evaluate(np.arange(n), other, z_all)) for other in self.others])

    def _view(self, factors: FloatArray) -> View:
        settings = self.q.settings
        return View(self._scaled(factors), settings["output"], settings["versus"])

    def _of(self, changes: dict[int, float]) -> View:
        factors = np.ones(len(self.q.view.columns))
        for player, m in changes.items():
            factors[self.q.players.of_column == player] = m
        return self._view(factors)

    def factor(self, player: int, direction: int, step: int) -> float:
        """Return the factor of one column at which ``step`` of ``steps`` shares of the tolerance are spent, towards one side."""
        if (player, direction, step) not in self._factors:
            tried = 1 + direction * GRID * (FARTHEST if direction > 0 else 1.0)
            losses = np.array([float(self.loss(self._raw(self._of({player: m}))).mean()) for m in tried])
            ends, seen = np.append(1.0, tried), np.append(self.start, losses)
            for s in range(1, self.steps + 1):
                self._factors[player, direction, s] = _reach(ends, seen, self.start + (self.allowed - self.start) * s / self.steps)
        return self._factors[player, direction, step]

    def models(self, i: int, j: int) -> list[tuple[str, tuple[float, float], View]]:
        """Return (label, factors of the two columns, model) of a pair: the model itself, its scaled kin, and the models given."""
        out: list[tuple[str, tuple[float, float], View]] = [("the model", (1.0, 1.0), self.q.view)]
        found: set[tuple[float, float]] = {(1.0, 1.0)}
        for a in range(self.steps + 1):
            for up_i, up_j in itertools.product((1, -1), repeat=2):
                m = tuple(
                    self.factor(player, up, step) if step and self.free[player] else 1.0
                    for player, up, step in ((i, up_i, a), (j, up_j, self.steps - a))
                )
                if m not in found:
                    found.add((m[0], m[1]))
                    out.append(("scaled", (m[0], m[1]), self._of({i: m[0], j: m[1]})))
        return out + [(label, (np.nan, np.nan), view) for label, view in self.given]

    def nearer(self, pair: Pair, factors: tuple[float, float]) -> tuple[tuple[float, float], View]:
        """Return a model on the way from this one to one that loses too much, as far as the tolerance lets it.

        Two columns scaled together can lose more than each alone: without this the set has no edge where they do. Losses are nearly
        quadratic in the way, so that the second or third guess is within.
        """
        share = 1.0
        for _ in range(4):
            moved = (1 + share * (factors[0] - 1), 1 + share * (factors[1] - 1))
            view = self._of(dict(zip(pair, moved)))
            over = (float(self.loss(self._raw(view)).mean()) - self.start) / max(self.allowed - self.start, 1e-300)
            if over <= 1:
                break
            share *= 0.98 / np.sqrt(over)
        return moved, view

    def score(self, view: View, pairs: Sequence[Pair], sure: bool = False) -> tuple[float, list[tuple[float, float]]] | None:
        """Return (loss, [(score, standard error)]) of a model, None where it loses more than allowed."""
        before = view.n_calls
        engine = self._engine(view)
        own = self.loss(engine.full)
        made = None
        if sure or own.mean() <= self.allowed * (1 + 1e-9) + 1e-15:
            scores = []
            for i, j in pairs:
                each = self._shuffled(engine, [i, j]) - self._shuffled(engine, [i]) - self._shuffled(engine, [j]) + own  # (R, n)
                lent = np.take_along_axis(each, np.argsort(self.others, axis=1), 1).mean(0)  # by the row that lent the cells
                error = shuffling_error(each.mean(0), lent, np.square(each).mean(), len(each))
                scores.append((float(each.mean()), float(error)))
            made = float(own.mean()), scores
        self._count(view, before)
        return made


def _reach(ends: FloatArray, losses: FloatArray, target: float) -> float:
    """Return the farthest factor reached from the first one before the loss exceeds ``target``, by straight lines between those tried."""
    over = np.flatnonzero(losses > target)
    if len(over) == 0:
        return float(ends[-1])
    b = int(over[0])
    if b == 0:
        return float(ends[0])
    share = (target - losses[b - 1]) / (losses[b] - losses[b - 1])
    return float(ends[b - 1] + share * (ends[b] - ends[b - 1]))


def _given(question: Question) -> list[tuple[str, View]]:
    """Return the models that were given or are trained now, as views with the question's outputs."""
    models, refit, count = question.options["models"], question.options["refit"], asked.whole(question, "refits", 0, 10_000)
    if not isinstance(models, Sequence) or isinstance(models, str):
        raise ArgumentError("models cannot be used", expected="a list of fitted models", got=type(models).__name__)
    found: list[Any] = list(models)
    if count and refit is None:
        raise RequestError("refits need something that trains", do="pass options={'refit': model.refitter(), 'refits': 8}")
    train = getattr(refit, "estimator", refit)  # a refitter of ours hands out estimators, which answer on any scale
    found += [train(seed=integer(question.seed, "refit", r) % 2**31) for r in range(count)]
    out = []
    for r, model in enumerate(found):
        predictor: Predictor = as_predictor(
            model, question.table.frame, question.background.frame, scale=None if isinstance(model, Predictor) else _scale(question)
        )
        view = View(predictor, question.settings["output"], question.settings["versus"])
        if view.outputs != question.view.outputs or view.scale != question.view.scale:
            raise RequestError(
                "a model that was given answers something else",
                expected=f"outputs {question.view.outputs} on the scale {question.view.scale!r}",
                got=f"{view.outputs} on {view.scale!r}",
            )
        out.append((f"model {r + 1}", view))
    return out


def _scale(question: Question) -> str | None:
    return question.view.scale if question.view.task == "classification" else None
