"""An answer with its doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Prediction"]


@dataclass(frozen=True)
class Prediction(Result):
    """An answer with its doubt.

    Attributes
    ----------
    point : (N,) predicted labels or numbers ((N, O) for several targets).
    probabilities : (N, O) calibrated class probabilities; None for numbers.
    set : N tuples of the labels in the conformal set at ``level``; None for numbers.
    low, high : (N,) ends of the conformal interval at ``level``, at 0 the lowest where no training row has a target below 0 and some come
        near it (``point`` stays what the model answers); None for classes.
    level : promised coverage.
    aleatoric, epistemic : (N,) noise in the target, and lack of knowledge; None where unknown. Classes: nats; numbers: variance in
        squared units.
    familiarity : (N,) percentile among held-out training rows, 0 = like nothing seen; None where unknown.
    odd_column : N names of the least familiar column, or None.
    refused, reason : (N,) whether an answer should be withheld, and N texts why (empty where not).
    classes : labels behind the columns of ``probabilities``.
    doubt : (N,) one figure to rank rows by: the chance that the label is wrong, or the size of the error to expect, in the target's unit;
        None where unknown.
    guarantee : what is promised of sets or intervals, and for whom it is not, in words.
    broken_rule : N texts that name the rules between columns which the row breaks though the training rows keep them, with its cells (empty
        where it keeps them all); None where no rules are kept.
    samples : (N, K, O) the members' own answers before calibration, where they were asked for.
    """

    point: npt.NDArray[Any]
    level: float
    record: RunRecord
    probabilities: FloatArray | None = None
    set: tuple[tuple[Any, ...], ...] | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None
    aleatoric: FloatArray | None = None
    epistemic: FloatArray | None = None
    familiarity: FloatArray | None = None
    odd_column: tuple[str | None, ...] | None = None
    refused: npt.NDArray[np.bool_] | None = None
    reason: tuple[str, ...] | None = None
    classes: tuple[Any, ...] = ()
    index: npt.NDArray[Any] | None = None
    doubt: FloatArray | None = None
    guarantee: tuple[str, ...] = ()
    samples: FloatArray | None = None
    broken_rule: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.point)

    def _about(self) -> str:
        promise = "sets of labels" if self.set is not None else "intervals" if self.low is not None else "no interval"
        held = "" if self.refused is None else f", {int(np.sum(self.refused)):,} withheld"
        return f"{len(self):,} rows, {promise} at {100 * self.level:g} %{held}"

    def _told(self) -> tuple[str, ...]:
        return self.guarantee

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: prediction, ``p_<class>``, low, high, set, aleatoric, epistemic, doubt, familiarity, refused, reason."""
        out: dict[str, Any] = {}
        if self.point.ndim == 1:
            out["prediction"] = self.point
        else:
            out |= {f"prediction_{j}": self.point[:, j] for j in range(self.point.shape[1])}
        if self.probabilities is not None:
            out |= {f"p_{c}": self.probabilities[:, j] for j, c in enumerate(self.classes)}
        if self.set is not None:
            out["set"] = [" | ".join(map(str, s)) for s in self.set]
        for name in ("low", "high", "aleatoric", "epistemic", "doubt", "familiarity", "odd_column", "broken_rule", "refused", "reason"):
            value = getattr(self, name)
            if value is not None and np.ndim(value) == 2:
                out |= {f"{name}_{j}": value[:, j] for j in range(value.shape[1])}
            elif value is not None:
                out[name] = list(value)
        return pd.DataFrame(out, index=self.index)
