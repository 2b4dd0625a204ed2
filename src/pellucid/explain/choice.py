"""What selectors of columns learn from: rows as flat numbers with an owner each, and the answers they are to predict.

Letters: N rows, C columns, P players, F flat width, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.encode.codebook import Codebook
from pellucid.errors import ArgumentError, RequestError
from pellucid.protocols import FittedExplainer, FloatArray
from pellucid.table import Schema, Table, apply_schema, read_table

if TYPE_CHECKING:
    import torch

__all__ = ["Goal", "LabelPredictor", "Reader", "goal_of", "own_predictor"]

CHUNK = 16_384
DIGITS = 6


class Reader:
    """Rows to flat numbers (N, F): ordered columns as one normal score and a mark of missing cells, others as one mark per level.

    Attributes
    ----------
    book : the columns. owner : (F,) the column of each number.
    """

    def __init__(self, book: Codebook) -> None:
        self.book = book
        self._ordered = [bool(np.any(c.slot_z != 0)) for c in book.columns]
        widths = [2 if ordered else len(c.slot_z) for ordered, c in zip(self._ordered, book.columns)]
        self.owner = np.repeat(np.arange(len(widths)), widths)

    def read(self, table: Table) -> npt.NDArray[np.float32]:
        """Return the flat rows (N, F)."""
        return np.concatenate([self._chunk(table.take(slice(s, s + CHUNK))) for s in range(0, len(table), CHUNK)])

    def _chunk(self, table: Table) -> npt.NDArray[np.float32]:
        coded, parts = self.book.read(table), []
        for j, codes in enumerate(self.book.columns):
            lo, hi, share = coded.lo[:, j], coded.hi[:, j], coded.share[:, j]
            if self._ordered[j]:
                parts.append(np.column_stack([(1 - share) * codes.slot_z[lo] + share * codes.slot_z[hi], lo == 0]))
            else:
                parts.append(lo[:, None] == np.arange(len(codes.slot_z)))
        return np.concatenate(parts, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Goal:
    """The answers to be predicted.

    Attributes
    ----------
    target : (N, O) probabilities of classes, or numbers in standard deviations. classes : which of the two. prior : (O,) their mean.
    centre, spread : (O,) mean and standard deviation of numbers in the model's unit.
    """

    target: torch.Tensor
    classes: bool
    prior: torch.Tensor
    centre: FloatArray = field(default_factory=lambda: np.zeros(1))
    spread: FloatArray = field(default_factory=lambda: np.ones(1))

    @property
    def width(self) -> int:
        """O."""
        return self.target.shape[1]

    def loss(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the nats (N,) that outputs cost: cross entropy, or for numbers that of a normal law half a standard deviation wide."""
        if self.classes:
            return -(target * raw.log_softmax(-1)).sum(-1)
        return 2 * (raw - target).square().mean(-1)

    def prior_loss(self, target: torch.Tensor) -> torch.Tensor:
        """Return what the mean answer alone costs (N,)."""
        return self.loss(self.prior.clamp(min=1e-6).log() if self.classes else self.prior, target)

    def told(self, raw: torch.Tensor) -> torch.Tensor:
        """Return how much outputs say beyond the mean answer (N,), in nats: 0 where they repeat it."""
        if self.classes:
            log = raw.log_softmax(-1)
            return (log.exp() * (log - self.prior.clamp(min=1e-6).log())).sum(-1)
        return 2 * (raw - self.prior).square().mean(-1)

    def joined(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the nats (N,) of the mean over S draws of the probability (S, N, O): the mean is taken inside the logarithm."""
        import torch

        draws = float(np.log(len(raw)))
        if self.classes:
            return -(target * (raw.log_softmax(-1).logsumexp(0) - draws)).sum(-1)
        return draws - torch.logsumexp(-2 * (raw - target).square().mean(-1), 0)


def goal_of(predictor: Any, table: Table) -> Goal:
    """Return a model's answers to rows as a goal, or the labels where there is no model."""
    if isinstance(predictor, LabelPredictor):
        return _goal(predictor.labels, bool(predictor.classes))
    raw = np.concatenate([np.asarray(predictor.raw(table.take(slice(s, s + CHUNK))), float) for s in range(0, len(table), CHUNK)])
    return goal_from(predictor, raw)


def goal_from(predictor: Any, raw: FloatArray, like: Goal | None = None) -> Goal:
    """Return a model's raw answers (N, O) as a goal; numbers in the standard deviations of another goal where one is given."""
    if predictor.task == "classification" and predictor.scale in ("log-odds", "probability"):
        p = 1 / (1 + np.exp(-np.clip(raw, -40, 40))) if predictor.scale == "log-odds" else np.clip(raw, 0, 1)
        return _goal(np.column_stack([1 - p, p]) if p.shape[1] == 1 else p / np.maximum(p.sum(1, keepdims=True), 1e-12), True)
    least = 1e-9 * max(float(np.abs(raw).max()), 1e-300)
    scale = (raw.mean(0), np.maximum(raw.std(0), least)) if like is None else (like.centre, like.spread)
    return _goal((raw - scale[0]) / scale[1], False, *scale)


def _goal(target: FloatArray, classes: bool, *scale: FloatArray) -> Goal:
    import torch

    held = torch.as_tensor(np.round(target, DIGITS), dtype=torch.float32)  # rounding of the model's sums must not reach what is learned
    return Goal(held, classes, held.mean(0), *scale)


class LabelPredictor:
    """Where there is no model: the labels of a table, and the network that was fitted to them as a predictor.

    Attributes
    ----------
    labels : (N, O) one mark per class, or numbers in standard deviations; empty where it was read from a fitted explainer.
    """

    def __init__(self, state: Mapping[str, Any], labels: FloatArray, net: Any = None, reader: Reader | None = None) -> None:
        self.state, self.labels, self._net, self._reader = state, labels, net, reader
        self.columns, self.outputs = tuple(state["columns"]), tuple(state["outputs"])
        self.classes, self.task, self.scale = tuple(state["classes"]), str(state["task"]), str(state["scale"])
        self._schema = Schema.from_dict(state["schema"])

    @classmethod
    def of(cls, X: Any, y: Any) -> LabelPredictor:
        """Return the labels ``y`` of ``X``, or those in the target column of a table.

        Raises
        ------
        RequestError : no labels, missing ones, or all alike.
        """
        table = X if isinstance(X, Table) else read_table(X)
        if y is None and table.target is not None:
            y = table.frame[table.target].to_numpy()
        if y is None:
            raise RequestError("without a model there must be labels", do="pass y=, or a Table with a target")
        y = np.asarray(y)
        if y.ndim != 1 or len(y) != len(table):
            raise ArgumentError("y does not fit the rows", expected=f"{len(table)} labels", got=f"shape {y.shape}")
        numbers = y.dtype.kind in "f" or (y.dtype.kind in "iu" and len(np.unique(y)) > 20)
        if (np.isnan(y) if y.dtype.kind == "f" else np.array([v is None or v != v for v in y])).any():
            raise RequestError("some labels are missing", do="leave these rows out")
        classes = [] if numbers else [v.item() if isinstance(v, np.generic) else v for v in np.unique(y)]
        if (np.ptp(y) == 0) if numbers else len(classes) < 2:
            raise RequestError("all labels are alike, so no column can be needed", got=str(y[0]))
        columns = table.features
        outputs = ["target"] if numbers else [str(c) for c in (classes[1:] if len(classes) == 2 else classes)]
        state = {
            "columns": list(columns), "classes": classes, "outputs": outputs, "task": "regression" if numbers else "classification",
            "scale": "target" if numbers else "probability", "schema": table.schema.select(columns).to_dict(),
            "centre": float(y.mean()) if numbers else 0.0, "spread": float(y.std()) if numbers else 1.0,
        }  # fmt: skip
        labels = ((y - state["centre"]) / state["spread"])[:, None] if numbers else (y[:, None] == np.array(classes, y.dtype)).astype(float)
        return cls(state, np.asarray(labels, np.float64))

    def background(self) -> Table | None:
        """Return None: labels keep no rows."""
        return None

    def read(self, X: Any) -> Table:
        """Return ``X`` under the columns and types it was fitted on."""
        return apply_schema(X, self._schema).select(self.columns)

    def raw(self, table: Table) -> FloatArray:
        """Return the network's probabilities (N, O), of the second of two classes, or its values (N, 1) in the target's unit."""
        import torch

        if self._net is None or self._reader is None:
            raise RequestError("the network of the labels is not fitted yet")
        with torch.inference_mode():
            out = self._net(torch.as_tensor(self._reader.read(table)).double())
            if not self.classes:
                return np.asarray(out.numpy() * self.state["spread"] + self.state["centre"])
            p = np.asarray(out.softmax(-1).numpy())
        return p[:, 1:] if len(self.classes) == 2 else p


def own_predictor(fitted: Any) -> LabelPredictor:
    """Return the predictor that a fitted explainer of labels holds."""
    if not isinstance(fitted, FittedExplainer) or not fitted.state.get("labels"):
        raise RequestError(
            "there is no model to explain", expected="a model, or options={'explainer': ...} fitted with model=None",
            do="call pellucid.fit_explainer(None, table, method='lex') first",
        )  # fmt: skip
    reader = Reader(Codebook.from_state(fitted.state["codes"]))
    net = network(fitted.arrays, "full")
    return LabelPredictor(fitted.state["labels"], np.zeros((0, 1)), net, reader)


def network(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> torch.nn.Sequential:
    """Return a stored network in double precision; its sizes are those of its weights."""
    import torch

    from pellucid.nn.selector import perceptron

    weights = {k.removeprefix(f"{name}."): torch.from_numpy(np.array(v)) for k, v in arrays.items() if k.startswith(f"{name}.")}
    order = sorted((int(k.split(".")[0]), w.shape) for k, w in weights.items() if k.endswith("weight"))
    net = perceptron([order[0][1][1], *(shape[0] for _, shape in order)])
    net.load_state_dict(weights)
    return net.double().eval()
