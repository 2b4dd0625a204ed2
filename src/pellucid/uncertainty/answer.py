"""Put the parts of certainty together: one pass over the rows, one Prediction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, RequestError, quote
from pellucid.protocols import FloatArray, MemberPredictor
from pellucid.results import Prediction, RunRecord
from pellucid.table import Table
from pellucid.training.conformal import conformal_rank
from pellucid.training.groupings import labels_of
from pellucid.training.least_value import LeastValue
from pellucid.training.rules import broken_rules
from pellucid.uncertainty.adaptive import penalised_sets
from pellucid.uncertainty.adaptive import sets as adaptive_sets
from pellucid.uncertainty.certainty import Certainty
from pellucid.uncertainty.conformal import class_sets, empty_sets, intervals, is_unbounded, noise_variance, promises
from pellucid.uncertainty.familiarity import KEPT, STRICT, alarm_words, familiar, refusals, strange
from pellucid.uncertainty.normalised import intervals as normalised_intervals
from pellucid.uncertainty.quantile import intervals as quantile_intervals
from pellucid.uncertainty.risk import refused_by_doubt
from pellucid.uncertainty.scores import Asked, choose, conformals_of, local_answers, noise_of_rows
from pellucid.uncertainty.shift import stated_shift
from pellucid.uncertainty.sources import asked_members, chosen, common, doubts, told
from pellucid.uncertainty.truth import new_rows

__all__ = ["ask", "widths"]

RAW = "aleatoric and epistemic doubt come from the members before calibration: use them to rank rows"
ONE = (
    "aleatoric doubt comes from the network before calibration: use it to rank rows",
    "the model has one member, so lack of knowledge (epistemic) cannot be told",
)
LATEST = "the rows have an order, and the latest ones were held out: this holds as long as new rows are like those, and not as they drift"
OVERLAP = "how far these members spread on known rows is not known, so aleatoric doubt holds that as well: the two add up to too much"


def ask(
    model: Any,
    X: Any,
    *,
    level: float,
    groups: str | None,
    score: str = "auto",
    shift: Mapping[str, Mapping[Any, float]] | None = None,
    familiarity: str | None = "neighbours",
    refuse_above: float | None = None,
    max_risk: float | None = None,
    tolerance: float | None = None,
    source: str | None = None,
    samples: bool = False,
) -> Prediction:
    """Return the answer of :func:`pellucid.uncertainty.uncertainty`."""
    started = time.perf_counter()
    conformal_rank(1, level)  # a level outside (0, 1) is named before the work
    if not hasattr(model, "predictor"):
        raise RequestError(
            "this model keeps nothing about its certainty",
            expected="a fitted TabularClassifier or TabularRegressor",
            got=type(model).__name__,
        )
    predictor: MemberPredictor = model.predictor() if source is None else model.predictor(source=source)
    certainty: Certainty = model.certainty_
    held = model.promises() if hasattr(model, "promises") and certainty.conformals else None
    score = choose(score, predictor.task, certainty, held, shift is not None)
    whole = new_rows(model, X)
    table = whole.select(predictor.columns)
    group, shares = stated_shift(groups, shift)
    asked = Asked(level, score, group, _labels(certainty, whole, group), shares)
    members, said = asked_members(predictor, table)
    own = _own_answers(model, predictor, source, table, members)
    make = _classes if predictor.task == "classification" else _numbers
    parts = make(predictor, certainty, held, table, own, asked)
    spread = model.spread(source) if predictor.task == "regression" and hasattr(model, "spread") else getattr(held, "spread", None)
    size = _size(predictor.task, certainty, held, table, own)
    parts |= doubts(predictor.task, members, said, noise_of_rows(noise_variance(certainty, spread), size, held))
    alike, shared = common(predictor, certainty.by_folds)
    if alike and not (predictor.task == "classification" and said is not None):  # a law over classes has doubt of its own
        parts["epistemic"] = None
    parts["doubt"] = _doubt(predictor.task, certainty, size, parts)
    percent, odd, alarms = _familiar(model, predictor, certainty, familiarity, table)
    doubtful, rule = refused_by_doubt(held, parts["doubt"], predictor.task, refuse_above, max_risk, tolerance, _unit(model))
    broken, strict = _broken(model, table)
    sets, nothing, cut = (parts.pop(name, None) for name in ("sets", "nothing", "cut"))
    unbounded = is_unbounded(certainty, level)
    refused, reason = refusals(len(table), level, sets, nothing, unbounded, percent, odd, doubtful, strict)
    guarantee = _promised(model, certainty, held, asked, parts, sets, cut)
    caveats = [*guarantee, *rule, *_of_members(predictor, members, parts, alike, shared), *alarms]
    if predictor.task == "regression" and spread is None and said is None and parts["aleatoric"] is not None and members.shape[1] > 1:
        caveats.append(OVERLAP)
    settings: dict[str, Any] = {
        "level": level,
        "groups": groups,
        "members": int(members.shape[1]),
        "by_folds": certainty.by_folds,
        "score": score,
        "source": source or "members",
    }
    settings |= {"shift": shift, "familiarity": familiarity, "refuse_above": refuse_above, "max_risk": max_risk, "tolerance": tolerance}
    record = RunRecord("uncertainty", settings, None, table.fingerprint(), time.perf_counter() - started, len(table), tuple(caveats))
    return Prediction(
        level=level, record=record, familiarity=percent, odd_column=odd, refused=refused, reason=reason, index=table.index,
        broken_rule=broken,
        guarantee=(*guarantee, *rule), samples=members if samples else None, **parts,
    )  # fmt: skip


def _own_answers(model: Any, predictor: Any, source: str | None, table: Table, members: FloatArray) -> FloatArray:
    """Return what is answered and promised, (N, K, O): the model's own members, whatever the doubt is asked of."""
    mine = predictor if source in (None, "members") else model.predictor()
    return members if mine is predictor and not getattr(mine, "drawn", False) else np.asarray(mine.members_raw(table), np.float64)


def _broken(model: Any, table: Table) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return by row the rules that it breaks, and of these the ones so strict that the answer is refused; None where there are no rules."""
    rules = model.rules() if hasattr(model, "rules") else ()
    return broken_rules(rules, table, KEPT) if rules else (None, None)


def _promised(model: Any, certainty: Certainty, held: Any, asked: Asked, parts: Mapping[str, Any], sets: Any, cut: Any) -> list[str]:
    """Return what is promised of the sets or intervals, and where the promise ends, in words."""
    fits = conformals_of(certainty, held, asked.score) if certainty.conformals else ()
    told = promises(certainty, asked.level, asked.group, fits, asked.shares, asked.labels, parts.get("classes", ()))
    told += empty_sets(sets, asked.level)
    if cut is not None and cut.any() and (least := _least(certainty)) is not None:
        told.append(least.words(cut, parts["point"]))
    ordered = getattr(getattr(model, "plan_", None), "rule", "") == "ordered"
    return told + ([LATEST] if certainty.conformals and ordered else [])


def _of_members(predictor: Any, members: FloatArray, parts: Mapping[str, Any], alike: bool, shared: Iterable[str]) -> list[str]:
    """Return what to know of the two kinds of doubt, in words."""
    if parts["epistemic"] is None:
        return [ONE[0], *(shared if alike else ONE[1:])]
    return [RAW, *told(members), *shared, *(f"epistemic doubt: {why}" for why in getattr(predictor, "untold", ()))]


def widths(model: Any, predictor: MemberPredictor, table: Table, level: float) -> FloatArray:
    """Return how wide the intervals of rows are, (N,), summed over targets; for classes how many labels are in their sets."""
    certainty, held = model.certainty_, model.promises()
    score = choose("auto", predictor.task, certainty, held)
    members = np.asarray(predictor.members_raw(table), np.float64)
    make = _classes if predictor.task == "classification" else _numbers
    parts = make(predictor, certainty, held, table, members, Asked(level, score))
    if predictor.task == "classification":
        return np.asarray(parts["sets"].sum(1), np.float64)
    wide = np.asarray(parts["high"] - parts["low"], np.float64)
    return wide if wide.ndim == 1 else np.asarray(wide.sum(1))


def _familiar(
    model: Any, predictor: Any, certainty: Certainty, method: str | None, table: Table
) -> tuple[FloatArray | None, tuple[str | None, ...] | None, list[str]]:
    """Return (percentile, odd columns, what to say of them)."""
    if method is None:
        return None, None, []
    if method != "neighbours":
        found = strange(model, predictor, method, table)
        return *found, [alarm_words(len(model.promises().strangeness[method].reference))]
    if certainty.familiarity is None:
        return None, None, ["no training rows were kept, so familiarity is unknown"]
    if not certainty.familiarity.columns:
        return None, None, ["all columns are texts, which distances leave out: see fit_familiarity('text_surprise')"]
    found = familiar(certainty.familiarity, table)
    return *found, [alarm_words(len(certainty.familiarity.reference))]


def _labels(certainty: Certainty, table: Table, groups: str | None) -> npt.NDArray[Any] | None:
    if groups is None:
        return None
    if not isinstance(groups, str):
        raise ArgumentError("groups cannot be used", expected="the name of one column", got=type(groups).__name__)
    kept = certainty.conformals[0].groups if certainty.conformals else {}
    if groups not in kept:
        raise RequestError(
            f"coverage in each group of {groups!r} cannot be promised: the groups of the held-out rows were not kept",
            expected=f"one of {quote(kept, 12)}" if kept else "a category column with few levels in training",
        )
    if groups not in table.columns:
        raise RequestError(f"the rows have no column {groups!r}, whose groups were asked for")
    return labels_of(*table.levels(groups))


def _classes(
    predictor: MemberPredictor, certainty: Certainty, held: Any, table: Table, members: FloatArray, asked: Asked
) -> dict[str, Any]:
    averaged = members.mean(axis=1)
    calibrated = averaged if certainty.calibrator is None else certainty.calibrator.apply(averaged)
    names = np.empty(len(predictor.classes), object)
    names[:] = predictor.classes
    out: dict[str, Any] = {
        "point": np.asarray(names[chosen(certainty, calibrated)].tolist()) if len(members) else names[:0],
        "probabilities": calibrated,
        "classes": tuple(predictor.classes),
    }
    if certainty.conformals:
        if asked.score == "lac":
            sets = class_sets(certainty, members, calibrated, asked.level, **asked.parts)
        else:
            adaptive = adaptive_sets if asked.score == "aps" else penalised_sets
            sets = adaptive(certainty, held, table, members, calibrated, asked)
        patterns, which = np.unique(sets, axis=0, return_inverse=True)
        tuples = [tuple(names[p].tolist()) for p in patterns]
        out |= {"set": tuple(tuples[i] for i in which.reshape(-1)), "sets": sets}
        out["nothing"] = ~class_sets(certainty, members, calibrated, max(asked.level, STRICT)).any(axis=1)
    return out


def _numbers(
    predictor: MemberPredictor, certainty: Certainty, held: Any, table: Table, members: FloatArray, asked: Asked
) -> dict[str, Any]:
    out: dict[str, Any] = {"point": members.mean(axis=1)}
    if certainty.conformals:
        if asked.score == "absolute":
            out["low"], out["high"] = intervals(certainty, members, asked.level, **asked.parts)
        else:
            ends = normalised_intervals if asked.score == "normalised" else quantile_intervals
            out["low"], out["high"] = ends(certainty, held, table, members, asked)
    flat, cut = members.shape[2] == 1, None
    if (least := _least(certainty)) is not None and certainty.conformals:
        out["low"], out["high"], cut = least.cut(out["low"], out["high"])
    return {k: v[:, 0] if flat else v for k, v in out.items()} | {"cut": cut}


def _size(task: str, certainty: Certainty, held: Any, table: Table, members: FloatArray) -> FloatArray | None:
    """Return the size of the error to expect in each row, (N,), as a forest tells it; None for classes, several numbers, and unknown."""
    if task == "classification" or members.shape[2] != 1 or held is None or held.local is None:
        return None
    _, sizes = local_answers(certainty, held, table, members, held.conformals["normalised"][0], 0)
    return sizes[0] if sizes.ndim == 2 else np.asarray(sizes[0].mean(axis=1))


def _least(certainty: Certainty) -> LeastValue | None:
    """Return the least values of the targets; None where no end is known, as of models from before it was kept."""
    return getattr(certainty, "least", None)


def _unit(model: Any) -> str:
    """Return the unit of the target, empty where it is not known."""
    return str(getattr(getattr(model, "target_", None), "unit", "") or "")


def _doubt(task: str, certainty: Certainty, size: FloatArray | None, parts: Mapping[str, Any]) -> FloatArray | None:
    """Return the figure that ranks rows, (N,): the chance of being wrong, or the size of the error to expect; None for several numbers.

    The size is what the forest tells, else that of both kinds of doubt together.
    """
    if task == "classification":
        p = parts["probabilities"]
        return np.asarray(1 - p[np.arange(len(p)), chosen(certainty, p)])
    if size is not None or parts["point"].ndim != 1:
        return size
    variances = [v for v in (parts["aleatoric"], parts["epistemic"]) if v is not None]
    return np.sqrt(np.sum(variances, axis=0)) if variances else None
