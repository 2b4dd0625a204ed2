"""Put the parts of certainty together: one pass over the rows, one Prediction."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, RequestError, quote
from pellucid.protocols import FloatArray, MemberPredictor
from pellucid.results import Prediction, RunRecord
from pellucid.table import Table, apply_schema
from pellucid.training.conformal import conformal_rank
from pellucid.training.groupings import labels_of
from pellucid.uncertainty.certainty import Certainty
from pellucid.uncertainty.conformal import class_sets, intervals, is_unbounded, promises, residual_variance
from pellucid.uncertainty.familiarity import STRICT, familiar, refusals
from pellucid.uncertainty.sources import asked_members, chosen, doubts, told

__all__ = ["ask"]

RAW = "aleatoric and epistemic doubt come from the members before calibration: use them to rank rows"
ONE = "the model has one member, so lack of knowledge (epistemic) cannot be told"


def ask(model: Any, X: Any, *, level: float, groups: str | None, source: str | None = None, samples: bool = False) -> Prediction:
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
    whole = apply_schema(X, model.schema_)
    table = whole.select(predictor.columns)
    labels = _labels(certainty, whole, groups)
    members, own = asked_members(predictor, table)
    given = (
        asked_members(model.predictor(), table)[0] if source not in (None, "members") else members
    )  # what is promised is the model's own
    make = _classes if predictor.task == "classification" else _numbers
    parts = make(predictor, certainty, given, level, groups, labels) | doubts(predictor.task, members, own, residual_variance(certainty))
    percent, odd = familiar(certainty.familiarity, table) if certainty.familiarity is not None else (None, None)
    refused, reason = refusals(
        len(table), level, parts.pop("sets", None), parts.pop("nothing", None), is_unbounded(certainty, level), percent, odd
    )
    caveats = [*promises(certainty, level, groups), RAW, *([ONE] if members.shape[1] < 2 and own is None else []), *told(members)]
    if percent is None:
        caveats.append("no training rows were kept, so familiarity is unknown")
    settings = {
        "level": level, "groups": groups, "members": int(members.shape[1]), "by_folds": certainty.by_folds, "source": source or "members",
    }  # fmt: skip
    record = RunRecord("uncertainty", settings, None, table.fingerprint(), time.perf_counter() - started, len(table), tuple(caveats))
    return Prediction(
        level=level, record=record, familiarity=percent, odd_column=odd, refused=refused, reason=reason, index=table.index,
        samples=members if samples else None, **parts,
    )  # fmt: skip


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
    predictor: MemberPredictor, certainty: Certainty, members: FloatArray, level: float, group: str | None, labels: npt.NDArray[Any] | None
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
        sets = class_sets(certainty, members, calibrated, level, group, labels)
        patterns, which = np.unique(sets, axis=0, return_inverse=True)
        tuples = [tuple(names[p].tolist()) for p in patterns]
        out |= {"set": tuple(tuples[i] for i in which.reshape(-1)), "sets": sets}
        out["nothing"] = ~class_sets(certainty, members, calibrated, max(level, STRICT)).any(axis=1)
    return out


def _numbers(
    predictor: MemberPredictor, certainty: Certainty, members: FloatArray, level: float, group: str | None, labels: npt.NDArray[Any] | None
) -> dict[str, Any]:
    out: dict[str, Any] = {"point": members.mean(axis=1)}
    if certainty.conformals:
        out["low"], out["high"] = intervals(certainty, members, level, group, labels)
    flat = members.shape[2] == 1
    return {k: v[:, 0] if flat and v is not None else v for k, v in out.items()}
