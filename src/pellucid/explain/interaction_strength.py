"""Friedman's H: which share of what two columns do together is not the sum of what each does alone?"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.probe.budget import too_small
from pellucid.probe.coalition import CoalitionEngine
from pellucid.protocols import FloatArray
from pellucid.results import Interactions

__all__ = ["explain"]

LEAST = 10
"""Fewest rows that make an answer."""

BoolArray = npt.NDArray[np.bool_]


def explain(question: Question) -> Interactions:
    """Return H^2 of pairs of players, (1, S, O), with jackknife standard errors over rows and background rows.

    Friedman and Popescu 2008, doi:10.1214/07-AOAS148: partial dependences F are taken at the rows' own cells, all centred,
    H^2 = sum_i (F_jk - F_j - F_k)^2 / sum_i F_jk^2. With the option ``unit="answer"`` the root mean square of the numerator is given, in
    the answer's unit: it does not blow up where a pair does little (Inglis, Parnell and Hurley 2022, doi:10.1080/10618600.2021.2007935).
    Pairs are those of the ``most`` players that interact most with anything; ``record.settings["with_any_other"]`` holds that total H^2
    of every player. Cost: (S + 2 P) n b model rows for S pairs, n and b at most ``rows``.
    """
    answer = asked.one_of(question, "unit", ("share", "answer")) == "answer"
    names, p = question.players.names, len(question.players)
    chosen = asked.columns(question, names)
    most = min(asked.whole(question, "most", 2, 1000), p) if chosen is None else len(chosen)
    n_pairs = most * (most - 1) // 2
    size = _size(question, n_pairs + 2 * p)
    parts = _Parts(question, size)
    total = parts.totals()
    shown = np.argsort(-total[1], kind="stable")[:most] if chosen is None else np.array([names.index(c) for c in chosen])
    pairs = [(int(j), int(k)) for j, k in itertools.combinations(sorted(shown), 2)]
    value, error = np.zeros((len(pairs), parts.o)), np.zeros((len(pairs), parts.o))
    for s, (j, k) in enumerate(pairs):
        value[s], error[s] = parts.pair(j, k, answer)
    settings = {
        "rows_used": parts.n,
        "background_used": parts.b,
        "with_any_other": dict(zip(names, total[0].tolist())),
    }
    caveats = [
        "cells are combined whatever the other columns hold; strongly correlated columns can show interactions that real rows do not"
    ]
    if n_pairs < p * (p - 1) // 2:
        caveats.append(
            f"{n_pairs} of {p * (p - 1) // 2} pairs: those of the {most} columns " + ("chosen" if chosen else "that interact most")
        )
    return Interactions(
        sets=tuple((names[j], names[k]) for j, k in pairs),
        by_set=value[None],
        columns=names,
        outputs=question.view.outputs,
        scale=question.view.scale if answer else "share of the pair's variance",
        index="H" if answer else "H2",
        method=question.method,
        record=question.record(settings, caveats),
        error=error[None],
    )


def _size(question: Question, sets: int) -> int:
    """Return how many rows and background rows the budget pays for."""
    wanted = asked.whole(question, "rows", LEAST, 10**5)
    budget = asked.rows_allowed(question)
    cost = lambda m: sets * min(m, len(question.table)) * min(m, len(question.background)) + 2 * m  # noqa: E731
    if budget is None or cost(wanted) <= budget:
        return wanted
    if cost(LEAST) > budget:
        raise too_small("", cost(LEAST), budget, "choose fewer columns with columns=")
    return max(m for m in range(LEAST, wanted) if cost(m) <= budget)


class _Parts:
    """Partial dependences at the rows, kept per background row so that both can be left out in turn."""

    def __init__(self, question: Question, size: int) -> None:
        back = question.background
        keep = np.unique(np.linspace(0, len(back) - 1, min(size, len(back))).astype(int))
        rows = asked.sample(question, size)
        self.engine = CoalitionEngine(question.view, question.table.take(rows), back.take(keep), question.players)
        self.n, self.b, self.o, self.p = len(rows), len(keep), self.engine.n_outputs, len(question.players)
        self._alone: dict[int, FloatArray] = {}

    def _known(self, players: list[int]) -> FloatArray:
        """Return the answers (n, b, O) with some players taken from the rows and the others from each background row."""
        z = np.zeros(self.p, bool)
        z[players] = True
        row, back = np.repeat(np.arange(self.n), self.b), np.tile(np.arange(self.b), self.n)
        out = self.engine.evaluate(row, back, np.broadcast_to(z, (len(row), self.p))).reshape(self.n, self.b, -1)
        self.engine.forget()
        return out

    def alone(self, j: int) -> FloatArray:
        if j not in self._alone:
            self._alone[j] = self._known([j])
        return self._alone[j]

    def totals(self) -> tuple[FloatArray, FloatArray]:
        """Return (total H^2 of each player with all others, its numerator), (P,) each, outputs added up."""
        share, size = np.zeros(self.p), np.zeros(self.p)
        full = self.engine.full - self.engine.full.mean(0)
        for j in range(self.p):
            rest = self._known([k for k in range(self.p) if k != j]).mean(1)
            apart = self.alone(j).mean(1) + rest
            top, bottom = np.square(full - (apart - apart.mean(0))).sum(), np.square(full).sum()
            size[j], share[j] = top / self.n, top / bottom if bottom > 0 else 0.0
        return share, size

    def pair(self, j: int, k: int, answer: bool) -> tuple[FloatArray, FloatArray]:
        """Return (value (O,), standard error (O,)) of a pair."""
        both, extra = self._known([j, k]), self.alone(j) + self.alone(k)
        n, b = self.n, self.b
        value = _h(both.mean(1), extra.mean(1), answer)
        m_both, m_extra = both.mean(1), extra.mean(1)
        less_rows = np.stack([_h(np.delete(m_both, i, 0), np.delete(m_extra, i, 0), answer) for i in range(n)])
        less_back = value[None]
        if b > 1:
            without = [[(a.sum(1) - a[:, q]) / (b - 1) for a in (both, extra)] for q in range(b)]
            less_back = np.stack([_h(one, two, answer) for one, two in without])
        variance = np.zeros(self.o)
        for left_out in (less_rows, less_back):
            m = len(left_out)
            variance += (m - 1) / m * np.square(left_out - left_out.mean(0)).sum(0)
        return value, np.sqrt(variance)


def _h(both: FloatArray, apart: FloatArray, answer: bool) -> FloatArray:
    """Return H^2 (O,), or the root mean square of its numerator, from dependences (n, O)."""
    both = both - both.mean(0)
    top = np.square(both - (apart - apart.mean(0))).sum(0)
    if answer:
        return np.asarray(np.sqrt(top / len(both)))
    bottom = np.square(both).sum(0)
    return np.where(bottom > 1e-20 * max(1.0, float(bottom.max())), top / np.maximum(bottom, 1e-300), 0.0)
