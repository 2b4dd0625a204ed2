"""Clauses: a short list of if-then rules on binned cells that covers the model's answers, learned by a Tsetlin machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.errors import EmptyTableError
from pellucid.explain import asked
from pellucid.explain.conditions import Condition, common_words, merged, thresholds
from pellucid.explain.decisions import Decisions, beta_interval, number_text
from pellucid.explain.grid import on_line
from pellucid.explain.question import Question
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Rule, Rules
from pellucid.table import ColumnType, Table

__all__ = ["Machine", "explain"]

LEAST = 20
STATES = 100
"""States on either side of "left out" and "kept"."""
SURE = 3.5
"""Standard errors by which the rows that a term keeps out must be worse than those the rule covers: many terms are tried."""
LEVELS = 12
"""Most frequent levels of a column that become terms of their own."""

BoolArray = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Rules:
    """Return rules for each of the model's answers, with precision and coverage on held-out rows.

    Granmo 2018, arXiv:1804.01508. Numbers and dates are cut at ``bins`` - 1 quantiles; every cut and every level is a Boolean term, and
    its negation is one too. A Tsetlin machine per answer learns conjunctions of terms from 70 % of the rows. Its positive clauses are
    polished (terms are dropped, or changed for others of their column) and chosen one by one, both by hits less misses at a price that
    makes a rule of just ``precision`` worth nothing; a term stays where the rows it keeps out are surely worse. Rows under no rule get
    the most frequent answer of such rows, the last rule. For numbers the answers are "above" and "at most" the median. ``fidelity`` is
    the share of the other 30 % of the rows for which the most certain rule that holds gives the model's answer. Cost: N model rows.

    # NOTE[DIFF] feedback is added up over batches of rows and drawn as binomials, which has the same mean as row by row and is faster.
    """
    n = len(question.table)
    if n < LEAST:
        raise EmptyTableError("too few rows to learn rules and to try them", expected=f"at least {LEAST} rows", got=str(n))
    n = asked.affordable(question, min(n, asked.whole(question, "rows", LEAST, 10**7)), 1, 0, LEAST)
    table = question.table.select(question.view.columns).take(asked.sample(question, n))
    codes, names = _labels(question, table)
    order = stream(question.seed, "clauses").permutation(n)
    learn, test = np.split(order, [int(0.7 * n)])
    terms = _terms(table.take(learn), asked.whole(question, "bins", 2, 64))
    held = np.stack([t.holds(table) for t in terms], 1) if terms else np.zeros((n, 0), bool)
    chosen: list[_Clause] = []
    answers = np.unique(codes[learn])
    for k in answers if len(answers) > 1 else answers[:0]:  # one answer for all rows needs no rule
        wanted = codes[learn] == k
        found = _candidates(question, terms, held[learn], wanted, int(k))
        chosen += _cover(
            found, held[learn], wanted, int(k), asked.number(question, "precision", 0, 1), asked.whole(question, "rules", 1, 1000)
        )
    chosen.sort(key=lambda c: -c.bound)
    return _answer(question, table, terms, held, codes, names, learn, test, chosen)


def _labels(question: Question, table: Table) -> tuple[Ints, tuple[str, ...]]:
    """Return (codes (N,), names) of the model's answers; numbers become two halves."""
    answers = question.view.raw(table)
    decide = Decisions.of(question.view, answers)
    if decide.labels is not None:
        return decide.codes(answers), decide.labels
    first = answers[:, 0]
    middle = float(np.median(first))
    shown = number_text(middle)
    tag = "" if len(question.view.outputs) == 1 else f"{question.view.outputs[0]} "
    return (first > middle).astype(np.int64), (f"{tag}at most {shown}", f"{tag}above {shown}")


def _terms(table: Table, bins: int) -> list[Condition]:
    """Return the Boolean terms, each followed by its negation."""
    out: list[Condition] = []
    for name in table.columns:
        gone = table.missing(name)
        if on_line(table, name) is not None:
            for cut in thresholds(table, name, bins - 1):
                out += [Condition(name, "<=", float(cut)), Condition(name, ">", float(cut))]
        elif table.schema[name].type is ColumnType.TEXT:
            for word in common_words(table, name, LEVELS):
                out += [Condition(name, "has", 0.0, (word,)), Condition(name, "lacks", 0.0, (word,))]
        else:
            codes, texts = table.levels(name)
            shown = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(texts)), kind="stable")[:LEVELS]
            if len(texts) > 1:
                for c in shown:
                    out += [Condition(name, "in", 0.0, (texts[c],)), Condition(name, "not in", 0.0, (texts[c],))]
        if gone.any() and not gone.all():
            out += [Condition(name, "missing"), Condition(name, "known")]
    return out


class Machine:
    """A Tsetlin machine of M clauses over L literals for one answer; half of the clauses speak for it, half against.

    Parameters
    ----------
    literals : (N, L) which literals hold. wanted : (N,) which rows have the answer.
    clauses, threshold, specificity : M, T and s of the paper. draw : random numbers.

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.random.default_rng(0).random((400, 3)) < 0.5
    >>> literals = np.concatenate([bits, ~bits], 1)
    >>> machine = Machine(literals, bits[:, 0] & bits[:, 1], 10, 8, 4.0, np.random.default_rng(1)).learn(20)
    >>> machine.positive()[:, [0, 1, 3, 4]].all(0).tolist()  # the first two bits are asked for in every clause, never denied
    [True, True, False, False]
    """

    def __init__(self, literals: BoolArray, wanted: BoolArray, clauses: int, threshold: int, specificity: float, draw: np.random.Generator):
        self.x, self.y, self.t, self.s, self.draw = literals.astype(np.float32), wanted, threshold, specificity, draw
        self.state = draw.integers(-1, 1, (clauses, literals.shape[1]))  # at the border; 0 and above is kept
        self.sign = np.where(np.arange(clauses) % 2 == 0, 1, -1)

    def fires(self, x: npt.NDArray[np.float32]) -> BoolArray:
        """Return which clauses hold in which rows, (n, M); an empty clause always does."""
        broken: BoolArray = (1 - x) @ (self.state >= 0).T.astype(np.float32) > 0.5
        return ~broken

    def learn(self, epochs: int, batch: int = 32) -> Machine:
        """Go through the rows ``epochs`` times."""
        for _ in range(epochs):
            order = self.draw.permutation(len(self.x))
            for s in range(0, len(order), batch):
                self._step(self.x[order[s : s + batch]], self.y[order[s : s + batch]])
        return self

    def _step(self, x: npt.NDArray[np.float32], y: BoolArray) -> None:
        fires = self.fires(x)
        votes = np.clip(fires @ self.sign, -self.t, self.t)
        chance = np.where(y, self.t - votes, self.t + votes) / (2 * self.t)
        picked = self.draw.random(fires.shape) < chance[:, None]
        first = picked & ((self.sign > 0) == y[:, None])  # strengthens clauses that speak for the row's answer
        second = picked & ~first  # makes clauses that speak against it more particular
        hit = (first & fires).T.astype(np.float32)
        met, failed = hit @ x, hit @ (1 - x)
        idle = (first & ~fires).sum(0)[:, None]
        up = self.draw.binomial(met.astype(np.int64), (self.s - 1) / self.s)
        down = self.draw.binomial((failed + idle).astype(np.int64), 1 / self.s)
        against = (second & fires).T.astype(np.float32) @ (1 - x)
        self.state = np.clip(self.state + up - down + np.where(self.state < 0, against, 0).astype(np.int64), -STATES, STATES - 1)

    def positive(self) -> BoolArray:
        """Return the literals of the clauses that speak for the answer, (M / 2, L)."""
        return np.asarray(self.state[self.sign > 0] >= 0)


@dataclass(frozen=True)
class _Clause:
    """A conjunction of literals for an answer, and the lower bound of its precision on the learning rows."""

    literals: tuple[int, ...]
    label: int
    bound: float


def _bound(hits: FloatArray, n: FloatArray, z: float = 1.96) -> FloatArray:
    """Return the lower end of Wilson's interval of a share; -1 where nothing is covered."""
    m = np.maximum(n, 1)
    share = hits / m
    spread = z * np.sqrt(share * (1 - share) / m + z**2 / (4 * m**2))
    return np.where(n > 0, (share + z**2 / (2 * m) - spread) / (1 + z**2 / m), -1.0)


def _candidates(question: Question, terms: list[Condition], held: BoolArray, wanted: BoolArray, label: int) -> list[_Clause]:
    """Return the polished clauses that a machine found for one answer."""
    clauses, threshold = asked.whole(question, "clauses", 2, 10_000), asked.whole(question, "threshold", 1, 10_000)
    machine = Machine(
        held, wanted, clauses, threshold, asked.number(question, "specificity", 1, 1000), stream(question.seed, "clauses", label)
    ).learn(asked.whole(question, "epochs", 1, 10_000))
    column = np.unique([t.column for t in terms], return_inverse=True)[1] if terms else np.zeros(0, np.int64)
    price = _price(asked.number(question, "precision", 0, 1))
    out: dict[tuple[int, ...], _Clause] = {}
    for row in np.unique(machine.positive(), axis=0):
        rough = _climb([int(v) for v in np.flatnonzero(row)], held, wanted, column, price)
        literals = tuple(sorted(set(_climb(_plain(rough, held, wanted), held, wanted, column, price))))
        if literals:
            mask = held[:, list(literals)].all(1)
            bound = _bound(np.array([(mask & wanted).sum()], float), np.array([mask.sum()], float))
            out[literals] = _Clause(literals, label, float(bound[0]))
    return list(out.values())


def _price(precision: float) -> float:
    """Return how many hits one miss costs, so that a rule of just the wanted precision is worth nothing."""
    return precision / (1 - precision)


def _climb(literals: list[int], held: BoolArray, wanted: BoolArray, column: Ints, price: float) -> list[int]:
    """Drop a literal, or change it for another of its column, as long as hits less priced misses grow."""
    worth = np.where(wanted, 1.0, -price)
    current = float(worth[held[:, literals].all(1)].sum()) if literals else -np.inf
    for _ in range(4 * len(literals)):
        broken = (~held[:, literals]).sum(1)
        best, move = current + 1e-9, None
        for k, old in enumerate(literals):
            rest = np.flatnonzero(broken - ~held[:, old] == 0)  # rows covered by the other literals
            same = np.flatnonzero(column == column[old])
            gains = np.append(worth[rest] @ held[np.ix_(rest, same)], worth[rest].sum() if len(literals) > 1 else -np.inf)
            at = int(gains.argmax())
            if gains[at] > best:
                best, move = float(gains[at]), (k, int(same[at]) if at < len(same) else None)
        if move is None:
            break
        current = best
        literals = [v for i, v in enumerate(literals) if i != move[0]] + ([move[1]] if move[1] is not None else [])
    return literals


def _plain(literals: list[int], held: BoolArray, wanted: BoolArray) -> list[int]:
    """Drop literals as long as the rows one of them keeps out are not surely worse than the rows the clause covers."""
    while len(literals) > 1:
        broken = (~held[:, literals]).sum(1)
        right = wanted[broken == 0].mean() if (broken == 0).any() else 0.0
        out = [wanted[(broken == 1) & ~held[:, v]] for v in literals]
        spread = max(float(right * (1 - right)), 1e-12)
        sure = [(right - rows.mean()) / np.sqrt(spread / len(rows)) if len(rows) else -np.inf for rows in out]
        worst = int(np.argmin(sure))
        if sure[worst] >= SURE:
            break
        literals = literals[:worst] + literals[worst + 1 :]
    return literals


def _cover(found: list[_Clause], held: BoolArray, wanted: BoolArray, label: int, precision: float, most: int) -> list[_Clause]:
    """Choose clauses one by one by what they newly cover: hits less misses, weighed so that the wanted precision is worth nothing."""
    masks = np.stack([held[:, list(c.literals)].all(1) for c in found]) if found else np.zeros((0, len(held)), bool)
    open_rows = np.ones(len(held), bool)
    chosen: list[_Clause] = []
    price = _price(precision)
    while len(chosen) < min(most, len(found)):
        gain = (masks & open_rows & wanted).sum(1) - price * (masks & open_rows & ~wanted).sum(1)
        best = int(gain.argmax())
        if gain[best] <= max(1.0, 0.01 * wanted.sum()):
            break
        chosen.append(found[best])
        open_rows &= ~masks[best]
    return chosen


def _answer(
    question: Question, table: Table, terms: list[Condition], held: BoolArray, codes: Ints, names: tuple[str, ...], learn: Ints, test: Ints,
    chosen: list[_Clause],
) -> Rules:  # fmt: skip
    """Return the rules with their figures on the held-out rows, the most certain one first."""
    masks = np.stack([held[:, list(c.literals)].all(1) for c in chosen], 1) if chosen else np.zeros((len(table), 0), bool)
    free: BoolArray = np.asarray(~masks.any(1))
    rest = codes[learn][free[learn]] if free[learn].any() else codes[learn]
    default = int(np.bincount(rest).argmax())
    said = np.full(len(table), default)
    for c, mask in zip(reversed(chosen), masks.T[::-1]):
        said[mask] = c.label
    rules = []
    for c, mask in zip(chosen, masks.T):
        conditions = merged([terms[k] for k in c.literals])
        texts = tuple(t.text(table) for t in conditions)
        rules.append(_rule(texts, tuple(t.column for t in conditions), names[c.label], codes[test] == c.label, mask[test]))
    rules.append(_rule((), (), names[default], codes[test] == default, free[test]))
    equal = said[test] == codes[test]
    plain = float(np.bincount(codes[test]).max() / len(test))
    words = (
        f"{len(chosen)} rules and a last one for all other rows give the model's answer for {100 * equal.mean():.0f} % of {len(test)} "
        f"held-out rows; a constant does for {100 * plain:.0f} %"
    )
    settings = {"held_out_rows": len(test), "terms": len(terms), "constant_fidelity": plain, "last_rule": names[default]}
    caveats = [] if equal.mean() > plain else ["the rules copy the model no better than a constant: do not read them as its reasons"]
    return Rules(
        rules=tuple(rules),
        columns=tuple(table.columns),
        fidelity=float(equal.mean()),
        fidelity_interval=beta_interval(equal.sum(), len(test)),
        scale="share of rows with the same answer",
        words=words,
        method=question.method,
        record=question.record(settings, caveats),
    )


def _rule(texts: tuple[str, ...], columns: tuple[str, ...], outcome: str, right: BoolArray, mask: BoolArray) -> Rule:
    """Return a rule with precision, its exact interval and coverage on the held-out rows; the last rule's coverage is that of the rest."""
    m, hits = int(mask.sum()), int((right & mask).sum())
    interval = beta_interval(hits, m) if m else (0.0, 1.0)
    return Rule(texts, columns, outcome, hits / m if m else float("nan"), interval, m / max(1, len(mask)))
