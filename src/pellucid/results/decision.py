"""Answers for stated costs of mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Decision"]


@dataclass(frozen=True)
class Decision(Result):
    """Which class to answer where mistakes cost different amounts, and what that costs on rows that were not learned from.

    Attributes
    ----------
    classes : the O labels. costs : (O, O), what answer ``a`` costs where ``t`` is true, ``costs[t, a]``.
    threshold : of two classes, the probability of ``classes[1]`` above which it is answered; None for more.
    from_rows : whether the threshold was chosen on the held-out rows; else the costs alone decide.
    cost, interval : mean cost a row of this rule, and its 95 % interval; NaN where no row was held out.
    usual : mean cost of answering the most probable class. always : (O,) of answering one class to all.
    saving, saving_interval : what the rule saves against the most probable class, paired over rows.
    n_rows : held-out rows behind these figures. words : the same in plain words.
    """

    classes: tuple[Any, ...]
    costs: FloatArray
    threshold: float | None
    from_rows: bool
    cost: float
    interval: tuple[float, float]
    usual: float
    always: tuple[float, ...]
    saving: float
    saving_interval: tuple[float, float]
    n_rows: int
    words: str
    record: RunRecord

    def answers(self, probabilities: FloatArray) -> npt.NDArray[np.int64]:
        """Return the class number (N,) to answer for calibrated probabilities (N, O)."""
        if self.threshold is not None:
            return np.asarray(probabilities[:, 1] > self.threshold, np.int64)
        return np.asarray((probabilities @ self.costs).argmin(1), np.int64)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per rule with its mean cost a row, cheapest first."""
        rules = [("this rule", self.cost), ("most probable class", self.usual)]
        rules += [(f"always {c}", cost) for c, cost in zip(self.classes, self.always)]
        return pd.DataFrame(rules, columns=["rule", "cost"]).sort_values("cost", kind="stable", ignore_index=True)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], classes: Sequence[Any]) -> Decision:
        """Return the decision that :meth:`to_dict` described, with the model's own labels."""
        number: dict[str, Any] = {k: float("nan") if saved[k] is None else float(saved[k]) for k in ("cost", "usual", "saving")}
        several: dict[str, Any] = {
            k: tuple(float("nan") if v is None else float(v) for v in saved[k]) for k in ("interval", "always", "saving_interval")
        }
        record = RunRecord(**{**saved["record"], "caveats": tuple(saved["record"]["caveats"])})
        kept: dict[str, Any] = {k: saved[k] for k in ("threshold", "from_rows", "n_rows", "words")}
        return cls(tuple(classes), np.asarray(saved["costs"], np.float64), record=record, **kept, **number, **several)
