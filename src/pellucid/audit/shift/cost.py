"""Why did the score change? The change of the mean loss shared among the distributions that changed, by Shapley values.

Zhang, Singh, Ghassemi, Joshi 2023, "Why did the model fail?", arXiv:2210.10769. Letters: n old rows, m new rows, P players, B resamples.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.audit.shift.drift import measure
from pellucid.audit.shift.pair import Pair
from pellucid.audit.shift.ratio import CLIP, ratio
from pellucid.audit.view import BoolArray, FloatArray, amount
from pellucid.errors import ColumnError, RequestError, quote
from pellucid.random import stream
from pellucid.results import CostOfShift, Finding, RunRecord

__all__ = ["cost", "find", "losses", "shapley_of", "shared"]

MOST = 8
DRAWS = 100
MUCH = 0.1
"""Rows that only one table has are spoken of where their loss is more than this share of the change."""
APART = 10.0
"""Rows this many times as frequent in one table as in the other are like hardly any of the other: few would have to speak for many."""
OTHERS = "all other columns"
CAUTION = "the old rows must be rows that the model has not learned from: else its usual error on new rows counts as a change"


class NoCost(Exception):
    """The cost cannot be told: the reason, in words. A signal within this package, never seen by users."""


def shapley_of(values: FloatArray) -> FloatArray:
    """Return the Shapley values (P, ...) of a game given as the value of each set (2^P, ...), sets as bits. Cost: P 2^P.

    Examples
    --------
    >>> shapley_of(np.array([2.0, 6.0, 0.5, 1.5])).tolist()
    [2.5, -3.0]
    """
    from math import factorial

    p = len(values).bit_length() - 1
    sets = np.arange(2**p)
    size = np.array([bin(s).count("1") for s in sets])
    weight = np.array([factorial(s) * factorial(p - s - 1) / factorial(p) if s < p else 0.0 for s in size])
    out = []
    for j in range(p):
        without = sets[(sets >> j) & 1 == 0]
        out.append(np.tensordot(weight[without], values[without + 2**j] - values[without], 1))
    return np.asarray(out)


def shared(loss_old: FloatArray, loss_new: FloatArray, log_old: FloatArray, log_new: FloatArray) -> tuple[FloatArray, float]:
    """Return (value of each set (2^(K + 1),), smallest effective sample size) of K mechanisms of the columns and the relation of the
    target.

    ``log_old`` (K, n), ``log_new`` (K, m): log ratio of each mechanism's density in the new table over the old one, at the rows. The
    relation is the last player. A set's value is the mean loss where only its members have changed.

    # NOTE[DIFF] the paper weighs old rows for every set and needs the ratio of the relation's densities. Sets with the relation are
    here the new rows, weighted back by the mechanisms that are not in the set: the relation need not be modelled, and the values of no
    change and of all changes are the two observed means, so that the shares add up to the observed change.
    """
    old, new = _weights(log_old, log_new)
    values = (old @ loss_old + new @ loss_new) / (old.sum(1) + new.sum(1))
    size = (old.sum(1) + new.sum(1)) ** 2 / ((old**2).sum(1) + (new**2).sum(1))
    return values, float(size.min())


def _weights(log_old: FloatArray, log_new: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weights of the old rows (2^(K + 1), n) and of the new ones (2^(K + 1), m) for the value of each set.

    Rows that one table has and the other lacks cannot be weighed into place. Nobody sees what the relation was there in the other table,
    so it counts as unchanged: for sets without the relation the new rows speak for themselves where the old table has hardly any, and for
    sets with it the old rows where the new one has hardly any (Cai, Namkoong, Yadlowsky 2023, arXiv:2303.02011, likewise tell what happens
    on rows that both have from the rest).
    """
    (k, n), m = log_old.shape, log_new.shape[1]
    member = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
    to_old, to_new = _exp(member @ log_old) / n, _exp(-(1 - member) @ log_new) / m
    lacking, lacked = _alone(log_old, log_new)
    old = np.concatenate([np.where(lacking[0], 0.0, to_old), np.where(lacked[0], to_old, 0.0)])
    new = np.concatenate([np.where(lacking[1], to_new, 0.0), np.where(lacked[1], 0.0, to_new)])
    old[0], new[0], old[-1], new[-1] = 1 / n, 0.0, 0.0, 1 / m  # no change, and all changes: what was observed
    return old, new


def _alone(log_old: FloatArray, log_new: FloatArray) -> tuple[tuple[BoolArray, BoolArray], tuple[BoolArray, BoolArray]]:
    """Return which (old, new) rows are such as the old table hardly has, and which are such as the new one hardly has."""
    n, m = log_old.shape[1], log_new.shape[1]
    reach = 0.9 * (1 - CLIP) / CLIP  # of ratios that are held at a limit
    most, least = np.log(min(APART, reach * n / m)), -np.log(min(APART, reach * m / n))
    whole = log_old.sum(0), log_new.sum(0)
    return (whole[0] > most, whole[1] > most), (whole[0] < least, whole[1] < least)


def _exp(logs: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.clip(logs, -8, 8)))


def losses(model: Any, pair: Pair) -> tuple[FloatArray, FloatArray, str, str]:
    """Return (loss of the old rows in use, of the new ones, name, unit): log loss of classes in nats, squared error of numbers."""
    from pellucid.table.cells import level_text

    goal = str(pair.target)
    found = []
    for view, rows in ((pair.old, pair.rows[0]), (pair.new, pair.rows[1])):
        table = view.table.take(rows)
        known = getattr(model, "feature_names_in_", None)
        wanted = [n for n in (pair.old.table.features if known is None else map(str, known)) if n != goal]
        if any(n not in table.columns for n in wanted):
            raise NoCost(f"the new table lacks columns that the model reads: {quote([n for n in wanted if n not in table.columns])}")
        inputs = table.select(wanted)
        asked: Any = inputs if hasattr(model, "predictor") else inputs.native()
        if hasattr(model, "predict_proba"):
            p, texts = np.asarray(model.predict_proba(asked), float), table.texts(goal)
            place = {level_text(c): k for k, c in enumerate(model.classes_)}
            at = np.array([place.get(t, -1) for t in texts])
            own = np.where(at >= 0, p[np.arange(len(p)), np.maximum(at, 0)], np.where([t is None for t in texts], np.nan, 0.0))
            found.append(-np.log(np.clip(own, 1e-6, 1)))
        elif hasattr(model, "predict"):
            found.append((np.asarray(model.predict(asked), float).reshape(-1) - table.numbers(goal)) ** 2)
        else:
            raise RequestError("the model cannot be asked", expected="predict or predict_proba", got=type(model).__name__)
    unit = pair.old.table.schema[goal].unit
    if hasattr(model, "predict_proba"):
        return found[0], found[1], "log loss", "nats"
    return found[0], found[1], "squared error", f"{unit}²" if unit else "squared units"


def _groups(pair: Pair) -> list[tuple[str, tuple[str, ...]]]:
    """Return (name, columns) of the mechanisms in order."""
    usable = pair.usable
    if pair.order is None:
        frame = measure(pair)
        changed = frame[frame["changed"] & frame["column"].isin(usable)]
        first = set(changed.assign(excess=changed["effect"]).nlargest(MOST, "excess")["column"])
        groups = [(n, (n,)) for n in usable if n in first]
    else:
        groups = []
        for part in pair.order:
            names = (part,) if isinstance(part, str) else tuple(part)
            unknown = [n for n in names if n not in usable]
            if unknown:
                raise ColumnError("the order names columns that cannot be compared", expected=quote(usable, 12), got=quote(unknown))
            groups.append((" + ".join(names), names))
        if len(groups) > MOST:
            raise RequestError(
                "the order has too many parts", expected=f"at most {MOST}", got=str(len(groups)), do="join columns to groups"
            )
    rest = tuple(n for n in usable if n not in {c for _, names in groups for c in names})
    return groups + ([(OTHERS if groups else "the columns", rest)] if rest else [])


def cost(pair: Pair) -> CostOfShift:
    """Return how the change of the loss is shared. Cost: 2 times 5 small fits per mechanism, and B n 2^P multiplications."""
    if pair.model is None or pair.target is None:
        raise NoCost("the cost of the changes is told where a model is given and both tables have its target")
    started = time.perf_counter()
    one, two, name, unit = losses(pair.model, pair)
    here = np.isfinite(one), np.isfinite(two)
    if min(h.sum() for h in here) < 100:
        raise NoCost("fewer than 100 rows of a table have a target")
    groups, logs, clipped = _groups(pair), [], 0.0
    known: tuple[str, ...] = ()
    last = np.zeros(len(one)), np.zeros(len(two))
    for _, names in groups:
        known = (*known, *names)
        made = ratio(pair, known)
        if not made.overlaps:
            raise NoCost(
                f"the tables hardly overlap in {quote(known, 4)} (AUC {made.auc:.3f}): what a change cost cannot be told from them"
            )
        now = np.log(made.old), np.log(made.new)
        if not _tells_more(now, last):  # nothing shows that it has changed: its ratio would be noise, and noise would cost something
            now = last
        logs.append((now[0] - last[0], now[1] - last[1]))
        last, clipped = now, max(clipped, made.clipped)
    log_old, log_new = np.array([a[here[0]] for a, _ in logs]), np.array([b[here[1]] for _, b in logs])
    one, two = one[here[0]], two[here[1]]
    values, effective = shared(one, two, log_old, log_new)
    if effective < 20:
        raise NoCost(f"reweighted, the tables say as much as {effective:.0f} rows: what a change cost cannot be told from them")
    shares = shapley_of(values)
    players = (*(n for n, _ in groups), f"the relation of {pair.target} to the columns")
    error = _errors(one, two, log_old, log_new, stream(pair.seed, "cost"))
    before, after = float(one.mean()), float(two.mean())
    beyond = abs(after - before) > 2 * float(np.sqrt(one.var() / len(one) + two.var() / len(two)))
    words = _words(players, shares, error, before, after, name, unit, beyond)
    words += _lacking(one, two, _alone(log_old, log_new)) if beyond else ""
    settings = {"order": [list(names) for _, names in groups], "loss": name}
    record = RunRecord("cost of shift", settings, pair.seed, pair.new.fingerprint, time.perf_counter() - started, caveats=(CAUTION,))
    return CostOfShift(players, shares, error, before, after, name, unit, effective, clipped, words, record)


def _tells_more(now: tuple[FloatArray, FloatArray], last: tuple[FloatArray, FloatArray]) -> bool:
    """Return whether ratios tell the tables apart better than those of fewer columns: in log loss out of fold, by two standard errors."""
    n, m = len(now[0]), len(now[1])

    def losses_of(logs: tuple[FloatArray, FloatArray]) -> FloatArray:
        shifted = [x + np.log(m / n) for x in logs]
        return np.concatenate([np.logaddexp(0, shifted[0]), np.logaddexp(0, -shifted[1])])

    saved = losses_of(last) - losses_of(now)
    return bool(saved.mean() > 2 * saved.std() / np.sqrt(n + m))


def _errors(one: FloatArray, two: FloatArray, log_old: FloatArray, log_new: FloatArray, draw: np.random.Generator) -> FloatArray:
    drawn, known = np.zeros((DRAWS, 2 ** (len(log_old) + 1))), np.zeros((DRAWS, 2 ** (len(log_old) + 1)))
    for loss, w in zip((one, two), _weights(log_old, log_new)):
        count = draw.multinomial(len(loss), np.full(len(loss), 1 / len(loss)), size=DRAWS).astype(float)
        drawn += count @ (w * loss).T
        known += count @ w.T
    return np.asarray(shapley_of((drawn / known).T).std(1, ddof=1))


def _words(
    players: Sequence[str], shares: FloatArray, error: FloatArray, before: float, after: float, name: str, unit: str, beyond: bool
) -> str:
    """Return the shares in words; ``beyond`` says whether the whole change is more than other rows would bring."""
    whole = after - before
    text = f"the mean {name} went from {amount(round(before, 4))} to {amount(round(after, 4), unit)}"
    text += "" if beyond else ", no more than other rows of the same kind would bring"
    order = np.argsort(-np.abs(shares))
    told = [k for k in order if abs(shares[k]) > 2 * error[k] and error[k] > 0][:4]
    if not told:
        return f"{text}; no change is shown to have a part in it beyond its error"
    each = ", ".join(f"{players[k]} {shares[k]:+.3g} (± {1.96 * error[k]:.2g})" for k in told)
    main, part = told[0], shares[told[0]] / whole if whole and beyond else 0.0
    most = f"{100 * part:.0f} %" if part < 0.995 else "all" if part <= 1.1 else "more than all"
    clear = beyond and shares[main] / whole - error[main] / abs(whole) > 0.5  # more than all others together, by its error
    return f"{text}: {each}" + (f"; {most} of the change is {players[main]}" if clear else "")


def _lacking(one: FloatArray, two: FloatArray, alone: tuple[tuple[BoolArray, BoolArray], tuple[BoolArray, BoolArray]]) -> str:
    """Return what has to be said of rows that one table hardly has, where they carry much of the change; else nothing."""
    (_, new), (old, _) = alone
    told = []
    for rows, loss, which, other in ((new, two, "new", "old"), (old, one, "old", "new")):
        if loss[rows].sum() / len(loss) > MUCH * abs(two.mean() - one.mean()):
            carried = f"{100 * rows.mean():.2g} % of the {which} rows, with {100 * loss[rows].sum() / loss.sum():.0f} % of their loss"
            told.append(f"{carried}, are like hardly any {other} row")
    if not told:
        return ""
    return f"; {' and '.join(told)}: there a change of the relation cannot be told from one of the columns, and is counted as theirs"


def find(pair: Pair) -> list[Finding]:
    """Return a finding where the loss rose and a change has a part in it."""
    try:
        made = pair.kept["cost"] if "cost" in pair.kept else pair.kept.setdefault("cost", cost(pair))
    except NoCost as reason:
        pair.kept["no cost"] = str(reason)
        return []
    worst = int(made.shares.argmax())
    if made.after <= made.before or made.shares[worst] < 3 * made.error[worst] or made.shares[worst] < 0.05 * made.before:
        return []
    columns = [n for n in made.players[worst].split(" + ") if n in pair.names]
    remedy = (
        "learn again with new rows"
        if worst == len(made.players) - 1
        else "learn with weights (pld.reweigh), or repair the source of the change"
    )
    figures = dict(zip(made.players, made.shares.tolist()))
    goal = () if columns else (str(pair.target),)
    return [pair.new.finding("shift: cost", "high", (*columns, *goal), made.words, remedy, figures=figures)]
