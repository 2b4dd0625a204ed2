"""What certainty needs after training: fitted state of the estimator, plain arrays saved with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray
from pellucid.training import calibrators
from pellucid.training.conformal import Conformal
from pellucid.training.coverage_law import design_effect
from pellucid.training.decisions import Held, thin
from pellucid.training.least_value import LeastValue
from pellucid.training.starts import Solves

__all__ = ["Certainty", "certify", "seconds_for"]

FOUND = {"auto": 0.7, "dirichlet": 0.7, "vector": 0.2}
"""Of the time for calibration, what finding the map may take: it is then fitted another six times, beside some twenty; or five, beside
one. Other maps that are asked for by name have so few numbers that they need no clock."""
EVALUATIONS, VECTOR = 1000, 1.5e-5


@dataclass(frozen=True)
class Certainty:
    """Calibration, guarantees and familiarity of one fitted model.

    Attributes
    ----------
    calibrator : acts on averaged member probabilities; None for numbers.
    conformals : one per target (one in all for classes); empty where no row was held out.
    by_folds : True where the fold models are part of the model, so that CV+ can be asked.
    familiarity : how like the training rows a row is; None where no rows are kept.
    held : calibrated probabilities of rows that were not learned from, with their classes; None for numbers and where there are none.
    lean : (O,) what probabilities are multiplied by before the most probable class is answered: the class weights that the network
        learned with, which calibration takes back out of the probabilities. None where there were none.
    least : the least value that numbers can have, below which no interval reaches; None where the training rows do not show one.
    untried : calibrations that the time limit left no time for.
    """

    calibrator: Any
    conformals: tuple[Conformal, ...]
    by_folds: bool = False
    familiarity: Any = None
    held: Held | None = None
    lean: FloatArray | None = None
    least: LeastValue | None = None
    untried: tuple[str, ...] = ()

    def chosen(self, probabilities: FloatArray) -> npt.NDArray[np.int64]:
        """Return the class number that is answered for each line of calibrated probabilities (N, O)."""
        return np.asarray((probabilities if self.lean is None else probabilities * self.lean).argmax(1))

    @property
    def conformal(self) -> Conformal | None:
        """The only conformal fit, or the first of several targets."""
        return self.conformals[0] if self.conformals else None

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text, numbers and arrays."""
        return {
            "calibrator": None if self.calibrator is None else self.calibrator.state(),
            "conformals": [c.state() for c in self.conformals],
            "by_folds": self.by_folds,
            "familiarity": None if self.familiarity is None else self.familiarity.state(),
            "held": None if self.held is None else dict(vars(self.held)),
            "lean": None if self.lean is None else self.lean.tolist(),
            "least": None if self.least is None else self.least.state(),
            "untried": list(self.untried),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Certainty:
        """Return the certainty that :meth:`state` described."""
        from pellucid.training.familiarity import Familiarity

        return cls(
            None if state["calibrator"] is None else calibrators.from_state(state["calibrator"]),
            tuple(Conformal.from_state(c) for c in state["conformals"]),
            bool(state["by_folds"]),
            None if state["familiarity"] is None else Familiarity.from_state(state["familiarity"]),
            None if state.get("held") is None else Held(**state["held"]),
            None if state.get("lean") is None else np.asarray(state["lean"], np.float64),
            None if state.get("least") is None else LeastValue.from_state(state["least"]),
            tuple(state.get("untried", ())),
        )


def _misses(truth: npt.NDArray[Any], output: FloatArray) -> FloatArray:
    """Return the scores of held-out rows, in their order."""
    return np.abs(truth - output) if output.ndim == 1 else 1 - output[np.arange(len(truth)), truth.astype(np.int64)]


def certify(
    answers: FloatArray,
    truth: npt.NDArray[Any],
    weights: FloatArray | None,
    *,
    task: str,
    method: str | None,
    folds: npt.NDArray[np.int64] | None,
    by_folds: bool,
    groups: Mapping[str, npt.NDArray[Any]],
    lean: FloatArray | None = None,
    only: tuple[str, ...] | None = None,
    together: npt.NDArray[Any] | None = None,
    seconds: float | None = None,
) -> Certainty:
    """Return the certainty fitted on answers to rows that the model never learned from.

    Parameters
    ----------
    answers : (n, O) averaged member probabilities or values, in the target's unit.
    truth : (n,) class numbers or (n, O) numbers.
    weights : (n,) or None, the weights of rows, without those of classes: probabilities mean shares of rows as they are. Conformal
        scores are unweighted, because their promise is about rows.
    folds : (n,) which fold model answered each row, or None where rows were held out.
    groups : by name of a category column, (n,) labels: coverage can then be asked in each group.
    lean : (O,) the class weights the network learned with, or None. only : what ``method="auto"`` may choose among, or None for all.
    together : (n,) the groups whose rows were held out together, or None; rows of one group may err alike.
    seconds : most that calibration may take, or None; what it had no time for is told in ``untried``.
    """
    if not len(truth):
        return Certainty(None if task == "regression" else calibrators.Identity(), (), by_folds, lean=None)

    def conformal(values: npt.NDArray[Any], output: FloatArray) -> Conformal:
        if folds is None:
            made = Conformal.fit_split(values, output, groups=groups)
            return made if together is None else replace(made, alike=design_effect(_misses(values, output), together))
        return Conformal.fit_folds(values, output, folds, groups=groups)

    if task == "regression":
        return Certainty(None, tuple(conformal(truth[:, j], answers[:, j]) for j in range(truth.shape[1])), by_folds)
    offset = None if lean is None else -np.log(lean)
    untried = list[str]()
    go_on = None if seconds is None or method not in FOUND else Solves(time.monotonic() + FOUND[method] * seconds)
    calibrator = calibrators.choose(answers, truth, weights, method=method, offset=offset, only=only, go_on=go_on, untried=untried)
    calibrated = calibrator.apply(answers)
    scored = calibrators.held_out(calibrator, answers, truth, weights, offset=offset)
    taken_back = lean is not None and not isinstance(calibrator, calibrators.Identity)
    return Certainty(
        calibrator, (conformal(truth, scored),), by_folds, held=thin(calibrated, truth, weights), lean=lean if taken_back else None,
        untried=tuple(untried),
    )  # fmt: skip


def seconds_for(n: int, classes: int, method: str | None) -> float:
    """Return about how long calibration takes that is chosen or fitted on n rows that are held out, in seconds.

    Only the freest maps take long enough to be thought of: the Dirichlet map some 1,000 evaluations, each of a product (n, O) by (O, O);
    vector scaling, asked for by name, six fits that read (n, O) numbers some hundred times.
    """
    if method == "vector":
        return VECTOR * n * classes
    if method not in ("auto", "dirichlet") or classes < 3:
        return 0.0
    if method == "auto" and n < calibrators.ROWS_A_CLASS["dirichlet"] * classes:
        return 0.0
    return EVALUATIONS * n * classes * (20e-9 + 0.15e-9 * classes)
