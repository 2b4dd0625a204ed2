"""Anchors: the shortest rule about a row under which the model keeps its answer, with its precision measured on fresh draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.conditions import Condition, common_words, merged, thresholds
from pellucid.explain.decisions import Decisions, beta_interval
from pellucid.explain.grid import on_line
from pellucid.explain.question import Question
from pellucid.probe.coalition import CoalitionEngine
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Rule, Rules
from pellucid.table import ColumnType, Table

__all__ = ["explain", "kl_bounds"]

SPLIT = 100
"""Rows kept from which on the final precision is measured on rows that the search has not seen."""
WORDS = 50
"""Words of a text column that can stand in a rule."""
SLACK = 0.1
"""How far apart the bounds of the candidates on either side of the beam may stay."""
FEWEST = 200
"""Fewest model rows per explained row that make an answer."""

BoolArray = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Rules:
    """Return one rule per row: conditions on its cells under which the model answers the same with the asked precision.

    Ribeiro, Singh and Guestrin 2018, doi:10.1609/aaai.v32i1.11491. Rules grow by one condition at a time; a beam of the most precise is
    kept, and KL-LUCB bounds (Kaufmann and Kalyanakrishnan 2013) decide where to draw next, so that a rule is accepted once its precision
    is above ``precision`` (0.95) with probability 1 - ``delta``. Of the accepted rules of the shortest length the one that covers most
    rows is given. Conditions: a quartile the number lies above or below, the level, or "is missing". ``Rule.precision`` has an exact
    95 % interval from fresh draws, ``coverage`` is the share of kept rows under the rule; both from rows the search has not seen where at
    least 100 were kept. Numbers count as equal within half a standard deviation. Cost: up to ``most`` model rows per row.

    # NOTE[DIFF] the cells under the rule come jointly from a kept row that fulfils it, not from the explained row: the precision is that
    of the rule as it is stated. The other cells come jointly from another kept row.
    """
    search = _Search(question)
    rules, drawn, hits = [], 0, 0
    for k, arm in enumerate(search.run()):
        m, h = search.fresh_draws, search.fresh(arm)
        drawn, hits = drawn + m, hits + h
        conditions = merged(search.conditions_of(arm))
        rules.append(
            Rule(
                conditions=tuple(c.text(search.kept) for c in conditions),
                columns=tuple(c.column for c in conditions),
                outcome=search.decide.words(search.answers[k], question.view.outputs),
                precision=h / m,
                interval=beta_interval(h, m),
                coverage=float(search.mask(arm)[search.test].mean()),
                row=question.table.index[k],
            )
        )
    below = sum(r.precision < search.goal for r in rules)
    settings = {
        "kept_rows": len(search.kept),
        "fresh_rows": search.apart,
        "fresh_draws": search.fresh_draws,
        "tolerance": search.decide.tolerance.tolist() if search.decide.labels is None else None,
    }
    caveats = [f"{below} of {len(rules)} rules stay below the asked precision"] if below else []
    if not search.apart:
        caveats.append("few rows are kept: precision is measured on fresh draws from the rows that the search used")
    fidelity = hits / drawn
    words = (
        f"under its rule a row keeps the model's answer in {100 * fidelity:.0f} % of fresh draws; {below} of {len(rules)} rules fall short"
    )
    return Rules(
        rules=tuple(rules),
        columns=tuple(question.view.columns),
        fidelity=fidelity,
        fidelity_interval=beta_interval(hits, drawn),
        scale=search.decide.counts,
        words=words,
        method=question.method,
        record=question.record(settings, caveats),
    )


@dataclass
class _Arm:
    """A candidate rule of one row: its conditions (numbers of the catalogue), draws and hits so far."""

    row: int
    conditions: tuple[int, ...]
    donors: Ints
    coverage: float
    n: int = 0
    hits: int = 0


@dataclass
class _Progress:
    """Where the search for one row stands."""

    beam: list[_Arm]
    spent: int = 0
    best: _Arm | None = None
    found: list[_Arm] = field(default_factory=list)
    seen: list[_Arm] = field(default_factory=list)


class _Search:
    """All rows are searched side by side, so that every round is one call of the model."""

    def __init__(self, question: Question) -> None:
        self.q = question
        self.goal = asked.number(question, "precision", 0.5, 1)
        self.delta, self.batch = asked.number(question, "delta", 0, 0.5), asked.whole(question, "batch", 1, 10_000)
        self.width, self.longest = asked.whole(question, "beam", 1, 100), asked.whole(question, "longest", 1, 20)
        names = question.view.columns
        kept = question.kept.select(names)
        pool = stream(question.seed, "anchors", "pool").permutation(len(kept))[: asked.whole(question, "rows", 2, 10**6)]
        self.kept, table = kept.take(np.sort(pool)), question.table.select(names)
        n, b = len(table), len(self.kept)
        self._plan(n, b)
        both = pd.concat([self.kept.frame, table.frame], ignore_index=True)
        self.engine = CoalitionEngine(question.view, Table(both, self.kept.schema, self.kept.library), self.kept, question.players)
        self.answers = self.engine.full[b:]
        self.decide = Decisions.of(question.view, self.engine.full[:b])
        self.apart = b >= SPLIT
        order = stream(question.seed, "anchors", "split").permutation(b)
        self.learn, self.test = (order[: b // 2], order[b // 2 :]) if self.apart else (order, order)
        self.draw, self.fresh_draw = stream(question.seed, "anchors"), stream(question.seed, "anchors", "fresh")
        self._catalogue(table)

    def _plan(self, n: int, b: int) -> None:
        """Share the budget among the rows."""
        budget = asked.rows_allowed(self.q)
        most = asked.whole(self.q, "most", FEWEST, 10**8)
        if budget is not None:
            room = (budget - n - 2 * b) // n
            if room < FEWEST:
                raise RequestError(
                    "the budget is too small for a rule around each row",
                    expected=f"at least {FEWEST * n + n + 2 * b} model rows",
                    got=str(budget),
                )
            most = min(most, room)
        self.fresh_draws = max(50, min(1000, most // 4))
        self.cap = most - self.fresh_draws

    def _catalogue(self, table: Table) -> None:
        """List every condition that some row fulfils: who fulfils it among the kept rows, and which conditions each row has."""
        self.conditions: list[Condition] = []
        self.player: list[int] = []
        for j, name in enumerate(self.kept.columns):
            made = _conditions(self.kept, name, table)
            self.conditions += made
            self.player += [int(self.q.players.of_column[j])] * len(made)
        self.held = np.array([c.holds(self.kept) for c in self.conditions]).reshape(len(self.conditions), len(self.kept))
        self.of_row = np.array([c.holds(table) for c in self.conditions]).reshape(len(self.conditions), len(table))

    def conditions_of(self, arm: _Arm) -> list[Condition]:
        return [self.conditions[c] for c in arm.conditions]

    def mask(self, arm: _Arm) -> BoolArray:
        """Return which kept rows fulfil the rule."""
        return np.asarray(self.held[list(arm.conditions)].all(0))

    def arm(self, row: int, conditions: tuple[int, ...]) -> _Arm:
        held = np.asarray(self.held[list(conditions)].all(0))[self.learn]
        donors = self.learn[held]
        own = np.array([len(self.kept) + row])  # where no kept row fulfils the rule, the explained row itself lends its cells
        return _Arm(row, conditions, donors if len(donors) else own, float(held.mean()))

    def hits(self, arms: list[_Arm], sizes: list[int], rows: Ints, draw: np.random.Generator, test: bool = False) -> list[int]:
        """Return how often the model keeps its answer in so many draws under each rule."""
        donors, z = [], []
        for arm, size in zip(arms, sizes):
            pool = arm.donors
            if test:
                held = self.test[self.mask(arm)[self.test]]
                pool = held if len(held) else pool
            donors.append(pool[draw.integers(0, len(pool), size)])
            known = np.zeros(len(self.q.players), bool)
            known[[self.player[c] for c in arm.conditions]] = True
            z.append(np.broadcast_to(known, (size, len(known))))
        back = rows[draw.integers(0, len(rows), sum(sizes))]
        out = self.engine.evaluate(np.concatenate(donors), back, np.concatenate(z))
        goal = np.repeat(self.answers[[a.row for a in arms]], sizes, axis=0)
        same = self.decide.equal(out, goal)
        return [int(part.sum()) for part in np.split(same, np.cumsum(sizes)[:-1])]

    def sample(self, arms: list[_Arm], sizes: list[int], progress: list[_Progress]) -> None:
        """Draw for some candidates in one call of the model, no more than the share of their row."""
        planned = dict.fromkeys((a.row for a in arms), 0)
        todo: list[tuple[_Arm, int]] = []
        for arm, size in zip(arms, sizes):
            size = min(size, self.cap - progress[arm.row].spent - planned[arm.row])
            if size > 0:
                planned[arm.row] += size
                todo.append((arm, size))
        for s in range(0, len(todo), 512):
            part = [arm for arm, _ in todo[s : s + 512]]
            size_of = [size for _, size in todo[s : s + 512]]
            for arm, more, hit in zip(part, size_of, self.hits(part, size_of, self.learn, self.draw)):
                arm.n, arm.hits = arm.n + more, arm.hits + hit
                progress[arm.row].spent += more
        self.engine.forget()

    def fresh(self, arm: _Arm) -> int:
        """Return the hits of ``fresh_draws`` draws from rows the search has not seen."""
        return self.hits([arm], [self.fresh_draws], self.test, self.fresh_draw, test=True)[0]

    def run(self) -> list[_Arm]:
        """Return the rule of every row."""
        progress = [_Progress([self.arm(i, ())]) for i in range(len(self.answers))]
        for p in progress:
            p.seen = p.beam
        self._confirm(progress, 0)
        for length in range(1, self.longest + 1):
            for p in progress:
                p.seen = [] if p.found or p.spent >= self.cap else self._longer(p)
            todo = [p for p in progress if p.seen]
            if not todo:
                break
            self._first(todo, progress)
            self._lucb(todo, progress, length)
            self._confirm(todo, length, progress)
        return [max(p.found, key=lambda a: a.coverage) if p.found else p.best or p.beam[0] for p in progress]

    def _longer(self, p: _Progress) -> list[_Arm]:
        """Return the beam's rules with one condition more, those that change the set of rows covered."""
        made: dict[tuple[int, ...], _Arm] = {}
        for old in p.beam:
            held = self.held[list(old.conditions)].all(0)
            for c in np.flatnonzero(self.of_row[:, old.row]):
                key = tuple(sorted({*old.conditions, int(c)}))
                if len(key) > len(old.conditions) and key not in made and not self.held[c][held].all():
                    made[key] = self.arm(old.row, key)
        return list(made.values())

    def _first(self, todo: list[_Progress], progress: list[_Progress]) -> None:
        """Give every new candidate its first draws."""
        arms = [a for p in todo for a in p.seen]
        few = [max(4, min(20, self.cap // (3 * len(p.seen)))) for p in todo for _ in p.seen]
        self.sample(arms, few, progress)
        for p in todo:  # where columns are many and the share is small, the last candidates got no draw
            p.seen = [a for a in p.seen if a.n] or p.beam

    def _lucb(self, todo: list[_Progress], progress: list[_Progress], length: int) -> None:
        """Draw until the best ``beam`` candidates of each row stand apart from the others, or half of what is left is spent."""
        open_rows, t = list(todo), 1
        share = {id(p): (p.spent + self.cap) / 2 for p in todo}  # the other half is left for longer rules
        while open_rows:
            wanted: list[_Arm] = []
            still = []
            for p in open_rows:
                pair = self._critical(p, t)
                if pair is not None and p.spent < share[id(p)]:
                    wanted += pair
                    still.append(p)
            if wanted:
                self.sample(wanted, [self.batch] * len(wanted), progress)
            open_rows, t = still, t + 1
        for p in todo:
            p.beam = sorted(p.seen, key=lambda a: (-a.hits / a.n, -a.coverage))[: self.width]

    def _critical(self, p: _Progress, t: int) -> list[_Arm] | None:
        """Return the weakest of the best and the strongest of the rest, None where they stand apart."""
        if len(p.seen) <= self.width:
            return None
        n, hits = np.array([a.n for a in p.seen]), np.array([a.hits for a in p.seen])
        order = np.lexsort((-np.array([a.coverage for a in p.seen]), -hits / n))
        low, high = kl_bounds(hits / n, self._level(len(p.seen), t) / n)
        weak = order[: self.width][np.argmin(low[order[: self.width]])]
        strong = order[self.width :][np.argmax(high[order[self.width :]])]
        return None if high[strong] - low[weak] <= SLACK else [p.seen[weak], p.seen[strong]]

    def _level(self, arms: int, t: int) -> float:
        """Return the exploration rate of Kaufmann and Kalyanakrishnan at round t."""
        rate = np.log(405.5 * arms * t**1.1 / self.delta)
        return float(rate + np.log(rate))

    def _confirm(self, todo: list[_Progress], length: int, progress: list[_Progress] | None = None) -> None:
        """Draw for the beam until each of its rules is accepted or refused; keep what is accepted, and the best of the rest."""
        every = progress if progress is not None else todo
        if length == 0:
            self.sample([p.beam[0] for p in todo], [min(20, self.cap)] * len(todo), every)
        level = np.log(1 / (self.delta / (1 + (self.width - 1) * max(1, length))))
        open_arms = [a for p in todo for a in p.beam]
        while open_arms:
            n, share = np.array([a.n for a in open_arms]), np.array([a.hits / a.n for a in open_arms])
            low, high = kl_bounds(share, np.asarray(level / n))
            unsure = ((share >= self.goal) & (low < self.goal - SLACK / 2)) | ((share < self.goal) & (high >= self.goal))
            left = np.array([every[a.row].spent < self.cap for a in open_arms])
            open_arms = [a for a, more in zip(open_arms, unsure & left) if more]
            self.sample(open_arms, [self.batch] * len(open_arms), every)
        for p in todo:
            for a in p.beam:
                mean = a.hits / a.n
                lowest = kl_bounds(np.array([mean]), np.array([level / a.n]))[0][0]
                if mean >= self.goal and lowest >= self.goal - SLACK / 2:
                    p.found.append(a)
                if p.best is None or mean > p.best.hits / p.best.n:
                    p.best = a


def _conditions(kept: Table, name: str, rows: Table) -> list[Condition]:
    """Return the conditions that cells of a column can fulfil: quartiles of numbers and dates, the rows' levels, words, missing."""
    missing = [Condition(name, "missing")] if rows.missing(name).any() else []
    if on_line(kept, name) is not None:
        cuts = thresholds(kept, name, 3)
        return [Condition(name, kind, float(c)) for c in cuts for kind in ("<=", ">")] + missing
    if kept.schema[name].type is ColumnType.TEXT:
        return [Condition(name, "has", 0.0, (word,)) for word in common_words(kept, name, WORDS)] + missing
    codes, texts = rows.levels(name)
    present = [texts[c] for c in np.unique(codes[codes >= 0])]
    return [Condition(name, "in", 0.0, (t,)) for t in present] + missing


def kl_bounds(share: FloatArray, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (lower, upper) bounds q with KL(share, q) = level for Bernoulli shares, by bisection.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = kl_bounds(np.array([0.5]), np.array([0.02]))
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (0.4, 0.6)
    """
    bounds = []
    for end in (0.0, 1.0):
        inside, outside = share.copy(), np.full(share.shape, end)
        for _ in range(30):
            middle = (inside + outside) / 2
            within = _kl(share, middle) <= level
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        bounds.append(inside)
    return bounds[0], bounds[1]


def _kl(p: FloatArray, q: FloatArray) -> FloatArray:
    p, q = np.clip(p, 1e-12, 1 - 1e-12), np.clip(q, 1e-12, 1 - 1e-12)
    return np.asarray(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
