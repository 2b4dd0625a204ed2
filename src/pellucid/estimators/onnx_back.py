"""The end of an exported graph: the networks' answers to what ``predict`` and ``predict_proba`` return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.estimators.onnx_pieces import ROWS, Pieces
from pellucid.training.calibration_maps import FLOOR, LogAffine
from pellucid.training.calibrators import Identity, Temperature

if TYPE_CHECKING:
    import onnx

    from pellucid.estimators.base import TabularEstimator

__all__ = ["Back", "labels"]


class Back(Pieces):
    """Nodes, constants and outputs after the networks.

    Parameters
    ----------
    prefix : of all names that are made here.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.outputs: list[onnx.ValueInfoProto] = []

    def mean(self, answers: Sequence[str]) -> str:
        """Return the mean of the networks' answers (N + 1, O), without the row that :class:`Front` put last."""
        total = self.node("Sum", answers)
        mean = self.node("Div", [total, self.constant(np.float64(len(answers)))])
        return self.node("Slice", [mean, self.constant(np.array([0])), self.constant(np.array([-1]))])

    def build(self, estimator: TabularEstimator, answers: str) -> list[str]:
        """Make the outputs ``prediction`` and, for classes, ``probabilities``; returns their names, which no column has."""
        taken = set(estimator.engine_.encoder.columns)
        names = [_apart(n, taken) for n in ("prediction", "probabilities")]
        if estimator.target_.task == "regression":
            self._values(names[0], answers, len(estimator.target_.names), estimator.target_.flat)
            return names[:1]
        self._classes(names[0], names[1], answers, estimator.certainty_.calibrator, estimator.classes_)
        return names

    def _values(self, name: str, answers: str, n_outputs: int, flat: bool) -> None:
        from onnx import TensorProto, helper

        if flat:
            self.node("Squeeze", [answers, self.constant(np.array([1]))], output=name)
        else:
            self.node("Identity", [answers], output=name)
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, [ROWS] if flat else [ROWS, n_outputs]))

    def _classes(self, name: str, probabilities: str, answers: str, calibrator: Any, classes: Any) -> None:
        from onnx import TensorProto, helper

        if isinstance(calibrator, Identity):
            self.node("Identity", [answers], output=probabilities)
        else:
            logs = self.node("Log", [self.node("Max", [answers, self.constant(np.float64(FLOOR))])])
            self.node("Softmax", [self._mapped(logs, calibrator)], output=probabilities, axis=1)
        kind, values = labels(classes)
        held = helper.make_tensor(self._name(), kind, [len(values)], values)
        self.constants.append(held)
        best = self.node("ArgMax", [probabilities], axis=1, keepdims=0)
        self.node("Gather", [held.name, best], output=name, axis=0)
        self.outputs.append(helper.make_tensor_value_info(name, kind, [ROWS]))
        self.outputs.append(helper.make_tensor_value_info(probabilities, TensorProto.DOUBLE, [ROWS, len(values)]))

    def _mapped(self, logs: str, calibrator: Any) -> str:
        """Return the logits of the calibrated probabilities."""
        if isinstance(calibrator, Temperature):
            return self.node("Div", [logs, self.constant(np.float64(calibrator.temperature))])
        if not isinstance(calibrator, LogAffine):
            raise RequestError(
                "isotonic calibration cannot be exported", expected="calibration='auto', 'temperature', 'platt', 'beta', 'vector' or None",
                do="fit again with another calibration",
            )  # fmt: skip
        product = self.node("MatMul", [logs, self.constant(np.ascontiguousarray(calibrator.weight.T))])
        return self.node("Add", [product, self.constant(calibrator.bias)])


def _apart(name: str, taken: set[str]) -> str:
    """Return the name of an output that no column has."""
    while name in taken:
        name += "_"
    return name


def labels(classes: Any) -> tuple[int, list[Any]]:
    """Return (type, values) of the classes: booleans, whole numbers and fractions as such, all else as text."""
    from onnx import TensorProto

    plain = np.asarray(classes).tolist()
    for kind, held in ((bool, TensorProto.BOOL), (int, TensorProto.INT64), (float, TensorProto.DOUBLE)):
        if all(type(c) is kind for c in plain):
            return held, plain
    return TensorProto.STRING, [str(c).encode() for c in plain]
