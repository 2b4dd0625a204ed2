"""How the answers of a model, or decisions, fall out for groups of rows: rates with intervals, gaps with what chance would show.

Letters: G groups, N rows, B draws. Every rate is a count of successes among a count of rows, so that resampling within a group is a
binomial draw and dealing out successes among equal groups a hypergeometric one: no loop over rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.audit.groups import gap_null, groups_of
from pellucid.audit.view import FloatArray, IntArray, View
from pellucid.errors import ColumnError, EmptyTableError, RequestError, did_you_mean, quote
from pellucid.intervals import Z95, widening, wilson
from pellucid.random import as_seed, integer, stream
from pellucid.results import Gap, GroupTable, Rate, RunRecord
from pellucid.table import ColumnType, Table
from pellucid.table.cells import level_text

__all__ = ["FEWEST", "by_group", "counts_of", "group_codes", "made"]

BoolArray = npt.NDArray[np.bool_]
FEWEST = 30
DRAWS = 2000
MOST = 40
ALIKE = 0.05
"""Groups whose gap is at most this, by its interval, are called alike."""
OF = {"tpr": "who have it", "fnr": "who have it", "fpr": "who do not", "ppv": "marked"}
"""What the rows are called that a measure rests on, where it does not rest on all of a group's rows."""
POINTS = ("prevalence", "selection_rate", "tpr", "fpr", "fnr", "ppv", "accuracy", "coverage", "abstain_rate")
"""Measures that are shares."""
SAID = {
    "tpr": "found among those who have it", "fpr": "wrongly marked among those who do not", "ppv": "right among those marked",
    "fnr": "missed among those who have it", "selection_rate": "marked", "accuracy": "right", "prevalence": "have it",
    "coverage": "covered", "abstain_rate": "refused", "bias": "mean error", "mae": "mean absolute error", "width": "mean width",
    "rmse": "root mean squared error", "calibration_slope": "calibration slope", "calibration_intercept": "calibration intercept",
}  # fmt: skip


def by_group(
    answers: Any,
    table: Table,
    *,
    by: str,
    positive: Any = None,
    threshold: float = 0.5,
    level: float | None = None,
    seed: Any = 0,
) -> GroupTable:
    """Return how answers fall out for the groups of a column.

    Parameters
    ----------
    answers : a fitted model; or an array (N,) of decisions (booleans), of probabilities of the event, or of predicted numbers.
    table : the N rows, with a target.
    by : the column whose levels are the groups; numbers are cut at their quartiles.
    positive : the class that counts as the event; the second one by default. With more than two classes and no ``positive`` only the
        share of right answers is told, which takes a model.
    threshold : decisions are probabilities at or above this.
    level : a level of certainty; then coverage, refusals and widths per group are told, which takes a model of this package.
    seed : of the draws.

    Returns
    -------
    GroupTable: per group the rates of :class:`~pellucid.results.GroupTable` with 95 % intervals, and for each the gap between groups with
    an interval and what it would be by chance. Groups of fewer than 30 rows are named, and "cannot tell" is said of them. A rate may rest
    on fewer rows than the group has (those found, on the rows that have the event): where these are fewer than 30 the group is left out of
    that gap, which is said with their number, in ``words`` and in ``left_out`` of the gap.

    Raises
    ------
    RequestError, ColumnError : no target, an unknown column, answers that do not fit the rows.

    Notes
    -----
    Equal error rates and equal precision cannot both hold where prevalence differs: fpr = p / (1 - p) (1 - ppv) / ppv tpr in each group
    (Chouldechova 2017, doi:10.1089/big.2016.0047). Cost: one pass over the rows, and B = 2,000 draws of G counts per measure.

    Examples
    --------
    >>> import numpy as np
    >>> from pellucid.table import read_table
    >>> t = read_table({"sex": ["F", "M"] * 100, "ill": [0, 1, 1, 0] * 50}, target="ill", types={"ill": "category"})
    >>> found = by_group(np.array([True, False, True, True] * 50), t, by="sex")
    >>> [round(found.rates["fpr"][g].value, 2) for g in ("F", "M")]
    [1.0, 1.0]
    """
    started = time.perf_counter()
    if not isinstance(table, Table):
        raise RequestError("this is not a table with a target", got=type(table).__name__, do="wrap it: pld.read_table(frame, target=...)")
    if table.target is None:
        raise RequestError("groups are compared by how answers meet the target", do="pass target= when reading the table")
    if by not in table.columns:
        raise ColumnError(
            "there is no such column to group by", expected=quote(table.columns, 12), got=repr(by), do=did_you_mean(by, table.columns)
        )
    codes, names = group_codes(table, by)
    if len(names) > MOST:
        raise RequestError(f"'{by}' makes too many groups", expected=f"at most {MOST}", got=str(len(names)), do="join levels first")
    truth, event, known, classes = _truth(table, positive, answers)
    found = _answers(answers, table, classes, event)
    keep = known & (codes >= 0) & ~np.isnan(found.astype(float) if found.ndim == 1 else found[:, 0])
    if not keep.any():
        raise EmptyTableError("no row has a group, a target and an answer")
    sums: dict[str, Any] = {}
    if classes is None:
        sums = {"error": found[keep] - truth[keep]}
    else:
        decided = found if found.dtype == bool else None if event is None else found >= threshold
        scores = found if found.dtype != bool and event is not None else None
        happened = truth == (classes.index(event) if event is not None else -1)
        right = (decided == happened) if decided is not None else found.argmax(1) == truth
        sums = {"right": right[keep]} | ({} if decided is None else {"decided": decided[keep], "happened": happened[keep]})
        sums |= {} if scores is None else {"scores": scores[keep]}
    if level is not None:
        sums |= {k: v[keep] for k, v in _certainty(answers, table, level).items()}
    unit = table.schema[table.target].unit
    settings = {"by": by, "positive": event, "threshold": threshold, "level": level}
    record = RunRecord("by_group", settings, as_seed(seed), table.fingerprint(), 0.0)
    result = made(codes[keep], names, sums, by=by, event="" if event is None else str(event), unit=unit, seed=as_seed(seed), record=record)
    object.__setattr__(result.record, "duration", time.perf_counter() - started)
    return result


def group_codes(table: Table, by: str) -> tuple[IntArray, list[str]]:
    """Return (codes (N,), -1 where missing; names) of a column's groups."""
    return groups_of(View(table), by)


def _truth(table: Table, positive: Any, answers: Any) -> tuple[FloatArray, Any, BoolArray, list[str] | None]:
    """Return (class numbers or numbers (N,), the event or None, rows with a target, class names or None for numbers)."""
    goal = str(table.target)
    decisions = isinstance(answers, np.ndarray) and answers.dtype == bool
    task = getattr(answers, "task", None) or ("classification" if hasattr(answers, "predict_proba") or decisions else None)
    if table.schema[goal].type is ColumnType.NUMBER and task != "classification" and positive is None:
        values = table.numbers(goal)
        if len(np.unique(values[~np.isnan(values)])) > 2 or task == "regression":
            return values, None, ~np.isnan(values), None
    codes, texts = table.levels(goal)
    order = sorted(range(len(texts)), key=lambda k: texts[k])
    place = np.empty(len(texts), np.int64)
    place[order] = np.arange(len(texts))
    classes = [texts[k] for k in order]
    event = None if positive is None else level_text(positive)
    if event is None and len(classes) == 2:
        event = classes[1]
    if event is not None and event not in classes:
        raise RequestError(f"'{goal}' has no class {event!r}", expected=quote(classes, 12))
    if event is None and decisions:
        raise RequestError(f"'{goal}' has {len(classes)} classes", do="say which one was decided: positive=")
    return np.where(codes >= 0, place[np.maximum(codes, 0)], -1).astype(float), event, codes >= 0, classes


def _answers(answers: Any, table: Table, classes: list[str] | None, event: Any) -> npt.NDArray[Any]:
    """Return decisions or probabilities of the event (N,), numbers (N,), or all probabilities (N, O) where there is no one event."""
    if isinstance(answers, np.ndarray | list | tuple) or hasattr(answers, "to_numpy"):
        given = np.asarray(answers)
        if given.shape != (len(table),):
            raise RequestError("the answers do not fit the rows", expected=f"shape ({len(table)},)", got=str(given.shape))
        return given if given.dtype == bool else given.astype(np.float64)
    rows = table.select(table.features)
    asked: Any = rows if hasattr(answers, "predictor") else rows.native()
    if classes is None:
        return np.asarray(answers.predict(asked), np.float64).reshape(len(table), -1)[:, 0]
    if not hasattr(answers, "predict_proba"):
        raise RequestError("the model gives no probabilities", expected="predict_proba, or an array of answers", got=type(answers).__name__)
    given, out = np.asarray(answers.predict_proba(asked), np.float64), np.zeros((len(table), len(classes)))
    for k, c in enumerate(answers.classes_):
        if level_text(c) in classes:
            out[:, classes.index(level_text(c))] = given[:, k]
    return out if event is None else out[:, classes.index(event)]


def _certainty(answers: Any, table: Table, level: float) -> dict[str, FloatArray]:
    """Return (N,) each: whether the set or interval holds the truth, whether the answer is refused, how wide it is."""
    if not hasattr(answers, "uncertainty"):
        raise RequestError("coverage takes a model that states intervals or sets", do="leave level= out, or pass a model of this package")
    made = answers.uncertainty(table.select(table.features), level=level)
    goal = str(table.target)
    if made.set is not None:
        texts = table.texts(goal)
        inside = np.array([t in set(map(level_text, s)) for t, s in zip(texts, made.set)])
        width = np.array([len(s) for s in made.set], float)
    else:
        y = table.numbers(goal)
        inside, width = (y >= made.low) & (y <= made.high), np.asarray(made.high - made.low, float)
        if np.ptp(width) <= 1e-9 * np.abs(width).max(initial=0.0):
            width = np.full(len(width), width.mean())  # one width: what ends differ by is rounding
    refused = np.zeros(len(table), bool) if made.refused is None else made.refused
    return {"covered": inside, "refused": refused, "width": width}


def counts_of(codes: IntArray, size: int, sums: Mapping[str, Any]) -> dict[str, tuple[IntArray, IntArray]]:
    """Return by measure (successes (G,), rows it rests on (G,))."""

    def count(mask: BoolArray) -> IntArray:
        return np.bincount(codes[mask], minlength=size)

    n = np.bincount(codes, minlength=size)
    out: dict[str, tuple[IntArray, IntArray]] = {}
    if "decided" in sums:
        d, y = sums["decided"], sums["happened"]
        events, marked = count(y), count(d)
        hits, false = count(d & y), count(d & ~y)
        out = {
            "prevalence": (events, n), "selection_rate": (marked, n), "tpr": (hits, events), "fpr": (false, n - events),
            "fnr": (events - hits, events), "ppv": (hits, marked),
        }  # fmt: skip
    if "right" in sums:
        out["accuracy"] = (count(sums["right"]), n)
    if "covered" in sums:
        out |= {"coverage": (count(sums["covered"]), n), "abstain_rate": (count(sums["refused"]), n)}
    return out


def made(
    codes: IntArray, names: list[str], sums: Mapping[str, Any], *, by: str, event: str, unit: str, seed: int, record: RunRecord
) -> GroupTable:
    """Return the table of groups from group codes (N,) and what is known of each row."""
    n = np.bincount(codes, minlength=len(names))
    order = [int(g) for g in np.argsort(-n, kind="stable") if n[g] > 0]
    rates: dict[str, dict[str, Rate]] = {}
    gaps: dict[str, Gap] = {}
    for measure, (k, m) in counts_of(codes, len(names), sums).items():
        low, high = wilson(k, m)
        value = np.divide(k, m, out=np.full(len(k), np.nan), where=m > 0)
        rates[measure] = {
            names[g]: Rate(
                float(value[g]), *((float(low[g]), float(high[g])) if m[g] else (np.nan, np.nan)), int(m[g]), bool(m[g] >= FEWEST)
            )
            for g in order
        }
        if (gap := _share_gap(k, m, names, integer_seed(seed, measure))) is not None:
            gaps[measure] = gap
    if "tpr" in gaps and "fpr" in gaps:
        both = gaps["tpr"], gaps["fpr"]
        either = {**both[0].left_out, **{g: min(n, both[0].left_out.get(g, n)) for g, n in both[1].left_out.items()}}
        gaps["equalized_odds"] = replace(max(both, key=lambda g: g.value), left_out=either)
    for measure, values in _of_numbers(sums).items():
        rates[measure], one = _means(codes, names, order, values, measure, unit, seed)
        if one is not None:
            gaps[measure] = one
    if "scores" in sums:
        rates |= _calibration(codes, names, order, sums["scores"], sums["happened"])
    rows = {names[g]: int(n[g]) for g in order}
    return GroupTable(by, event, rows, rates, gaps, _words(by, event, rows, rates, gaps), record)


def integer_seed(seed: int, name: str) -> int:
    """Return the seed of one measure's draws."""
    return integer(seed, "groups", name) % 2**31


def _share_gap(k: IntArray, m: IntArray, names: list[str], seed: int) -> Gap | None:
    told = np.flatnonzero(m >= FEWEST)
    if len(told) < 2:
        return None
    left_out = {names[g]: int(m[g]) for g in np.flatnonzero(m < FEWEST)}
    k, m = k[told], m[told]
    value = k / m
    # a jeffreys draw of each group's rate, then a table of its size: an interval of width 0 at rates of 0 and 1 would be a lie
    draw = stream(seed, "within")
    drawn = draw.binomial(m, draw.beta(k + 0.5, m - k + 0.5, size=(DRAWS, len(m)))) / m
    spread = drawn.max(1) - drawn.min(1)
    values = np.zeros(int(m.sum()), np.int64)
    values[: int(k.sum())] = 1
    return _gap(value, m, spread, gap_null(m, values, seed, DRAWS), [names[g] for g in told], "points", left_out, shares=True)


def _evidence(value: FloatArray, sizes: IntArray) -> FloatArray:
    """Return the weighted spread of group figures (..., G): a small group far off counts for less than a large one."""
    centre = (value * sizes).sum(-1, keepdims=True) / sizes.sum()
    return np.asarray((sizes * (value - centre) ** 2).sum(-1))


def _gap(
    value: FloatArray, sizes: IntArray, spread: FloatArray, dealt: FloatArray, names: list[str], unit: str, left_out: dict[str, int],
    shares: bool = False,
) -> Gap:  # fmt: skip
    gap, null = float(np.ptp(value)), np.ptp(dealt, axis=1)
    # resampled gaps are biased upward like the gap itself: the interval is that of their spread around their own mean
    off = np.quantile(spread - spread.mean(), [0.025, 0.975])
    p = (1 + int((_evidence(dealt, sizes) >= _evidence(value, sizes) - 1e-12).sum())) / (1 + len(dealt))
    ends = max(gap - float(off[1]), 0.0), gap - float(off[0])
    return Gap(
        gap, *ends, float(null.mean()), float(np.quantile(null, 0.95)), p, names[int(value.argmax())], names[int(value.argmin())], unit,
        left_out, shares,
    )  # fmt: skip


def _of_numbers(sums: Mapping[str, Any]) -> dict[str, FloatArray]:
    out = {"width": sums["width"]} if "width" in sums else {}
    if "error" in sums:
        out |= {"bias": sums["error"], "mae": np.abs(sums["error"]), "rmse": sums["error"] ** 2}
    return out


def _means(
    codes: IntArray, names: list[str], order: list[int], values: FloatArray, measure: str, unit: str, seed: int
) -> tuple[dict[str, Rate], Gap | None]:
    """Return a mean per group (its root for ``rmse``) and the gap."""
    size = len(names)
    n = np.bincount(codes, minlength=size)
    mean = np.bincount(codes, weights=values, minlength=size) / np.maximum(n, 1)
    spread = np.bincount(codes, weights=(values - mean[codes]) ** 2, minlength=size) / np.maximum(n - 1, 1)
    half = Z95 * np.sqrt(spread / np.maximum(n, 1) * widening(n - 1))  # of one row: unknown
    shown = np.sqrt if measure == "rmse" else lambda v: v
    low = np.maximum(mean - half, 0) if measure == "rmse" else mean - half
    shares = [np.asarray(shown(v), np.float64) for v in (mean, low, mean + half)]
    rates = {names[g]: Rate(float(shares[0][g]), float(shares[1][g]), float(shares[2][g]), int(n[g]), bool(n[g] >= FEWEST)) for g in order}
    told = np.flatnonzero(n >= FEWEST)
    if len(told) < 2 or np.ptp(values) == 0:
        return rates, None
    draw = stream(integer_seed(seed, measure), "within")
    drawn = mean[told] + draw.normal(size=(DRAWS, len(told))) * np.sqrt(spread[told] / n[told])
    used = values[np.isin(codes, told)]
    null = gap_null(n[told], used, integer_seed(seed, measure), DRAWS)
    drawn, null = (np.asarray(shown(np.maximum(v, 0) if measure == "rmse" else v)) for v in (drawn, null))
    left_out = {names[g]: int(n[g]) for g in order if n[g] < FEWEST}
    return rates, _gap(np.asarray(shown(mean[told])), n[told], np.ptp(drawn, axis=1), null, [names[g] for g in told], unit, left_out)


def _calibration(
    codes: IntArray, names: list[str], order: list[int], scores: FloatArray, happened: BoolArray
) -> dict[str, dict[str, Rate]]:
    """Return slope and intercept of the log-odds of what happened on those that were claimed, per group (Cox 1958)."""
    slope, intercept = {}, {}
    x = np.log(np.clip(scores, 1e-6, 1 - 1e-6)) - np.log(np.clip(1 - scores, 1e-6, 1 - 1e-6))
    for g in order:
        mine = codes == g
        (a, b), (sa, sb) = logistic(x[mine], happened[mine])
        fewer = min(int(happened[mine].sum()), int((~happened[mine]).sum()))
        slope[names[g]] = Rate(b, b - Z95 * sb, b + Z95 * sb, fewer, fewer >= FEWEST)
        intercept[names[g]] = Rate(a, a - Z95 * sa, a + Z95 * sa, fewer, fewer >= FEWEST)
    return {"calibration_slope": slope, "calibration_intercept": intercept}


def logistic(x: FloatArray, y: BoolArray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (intercept, slope) of a logistic regression and their standard errors, by Newton's method; NaN where one side is empty."""
    nan = (float("nan"), float("nan"))
    if not y.any() or y.all() or np.ptp(x) == 0:
        return nan, nan
    design, theta = np.column_stack([np.ones(len(x)), x]), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -30, 30)))
        bend = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(bend, design.T @ (y - p))
        theta = theta + np.clip(step, -3, 3)
        if np.abs(step).max() < 1e-9:
            break
    error = np.sqrt(np.diag(np.linalg.inv(bend)))
    return (float(theta[0]), float(theta[1])), (float(error[0]), float(error[1]))


def _words(by: str, event: str, rows: Mapping[str, int], rates: Mapping[str, Mapping[str, Rate]], gaps: Mapping[str, Gap]) -> str:
    named = SAID | ({"width": "mean number of classes in the set"} if event else {})
    told = {m: g for m, g in gaps.items() if m in rates and m not in ("prevalence", "fnr")}
    said = [f"{named[m]}: {_gap_words(g, rates[m])}" for m, g in told.items() if g.beyond_chance]
    alike = [named[m] for m, g in told.items() if not g.beyond_chance and g.shares and g.high <= ALIKE]
    # what these rows do not part may still be far apart: few rows are no proof that groups are treated alike
    open_ = [f"{named[m]} ({_size_words(g)})" for m, g in told.items() if not g.beyond_chance and named[m] not in alike]
    small = [f"'{g}' ({n})" for g, n in rows.items() if n < FEWEST]
    of = f" ('{event}')" if event else ""
    none = "no difference beyond chance" if told else f"no two of them have {FEWEST} rows to be compared"
    alone = [named[m] for m, of in rates.items() if m in OF and m != "fnr" and m not in gaps and any(r.rows for r in of.values())]
    text = f"Groups of '{by}'{of}: " + ("; ".join(said) if said else none)
    text += f". At most {100 * ALIKE:.0f} points apart: {', '.join(alike)}" if alike else ""
    text += f". Not told apart by so many rows, which does not make them alike: {', '.join(open_)}" if open_ else ""
    text += f". Cannot tell (fewer than {FEWEST} rows): {', '.join(small)}" if small else ""
    parts = _left_out(rows, rates)
    text += f". Left out where a figure rests on fewer than {FEWEST} of their rows: {', '.join(parts)}" if parts and told else ""
    text += f". Not compared, as fewer than two groups are left: {', '.join(alone)}" if alone and len(rows) - len(small) > 1 else ""
    return text + "."


def _left_out(rows: Mapping[str, int], rates: Mapping[str, Mapping[str, Rate]]) -> list[str]:
    """Return in words the groups that have rows enough, but too few of those that one rate or another rests on."""
    out = []
    for g in (g for g, n in rows.items() if n >= FEWEST):
        few = {OF[m]: of[g].rows for m, of in rates.items() if m in OF and not of[g].told}
        out += [f"'{g}' ({', '.join(f'{n} {which}' for which, n in few.items())})"] if few else []
    return out


def _gap_words(gap: Gap, of: Mapping[str, Rate]) -> str:
    top, low = of[gap.highest], of[gap.lowest]
    also = [g for g in _ties(gap.lowest, of) if g != gap.highest]
    tied = f"; {' and '.join(repr(g) for g in also)} may be as low" if also else ""
    if gap.shares:
        ends = f"{100 * top.value:.1f} % of '{gap.highest}' and {100 * low.value:.1f} % of '{gap.lowest}'"
    else:
        unit = f" {gap.unit}" if gap.unit else ""
        ends = f"{top.value:.4g}{unit} for '{gap.highest}' and {low.value:.4g}{unit} for '{gap.lowest}'"
    return f"{ends} ({_size_words(gap)}{tied})"


def _size_words(gap: Gap) -> str:
    if gap.shares:
        return f"{100 * gap.value:.1f} points [{100 * gap.low:.1f}, {100 * gap.high:.1f}], by chance {100 * gap.by_chance:.1f}"
    return f"a gap of {gap.value:.3g}{' ' + gap.unit if gap.unit else ''} [{gap.low:.3g}, {gap.high:.3g}], by chance {gap.by_chance:.2g}"


def _ties(name: str, of: Mapping[str, Rate], most: int = 3) -> list[str]:
    """Return the other groups whose rates cannot be told from this one's: which of them is lowest is an accident of the rows."""
    here = of[name]
    error = {g: (r.high - r.low) / (2 * Z95) for g, r in of.items()}
    near = [g for g, r in of.items() if g != name and r.told and abs(r.value - here.value) < Z95 * float(np.hypot(error[g], error[name]))]
    return sorted(near, key=lambda g: of[g].value)[:most]
