"""A predictor as one question sees it: the outputs asked for, and a count of the rows evaluated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.probe.half import halved
from pellucid.protocols import (
    BuiltInImportance,
    DifferentiablePredictor,
    FloatArray,
    HiddenPredictor,
    PartsPredictor,
    Predictor,
    TreePredictor,
)
from pellucid.table import Table

if TYPE_CHECKING:
    import torch

    from pellucid.trees import Sum

__all__ = ["View"]


class View:
    """A predictor whose outputs are an affine map of another's: one class, one target, or the contrast of two.

    Parameters
    ----------
    predictor : the predictor asked.
    output : class label, output name or index; None keeps all outputs.
    versus : second class or output: the answer is the difference ``output - versus`` on the predictor's scale.

    Notes
    -----
    Counts every row it evaluates in ``n_calls``, those by which a model from elsewhere told its outputs included. ``differentiable``
    says whether tokens can be entered; ``jumps`` where the answer jumps, in words.
    ``until``: when it refuses further rows, by the clock of ``time.perf_counter``. ``most``: after how many rows it refuses further ones.
    ``distrusted``: how many model rows it took to find that its trees are another model; None while nothing tells so.
    """

    def __init__(self, predictor: Predictor, output: Any = None, versus: Any = None) -> None:
        self.inner = predictor
        self.columns, self.classes, self.task, self.scale = predictor.columns, predictor.classes, predictor.task, predictor.scale
        self.differentiable = isinstance(predictor, DifferentiablePredictor)
        self.additive, self.jumps = bool(getattr(predictor, "additive", False)), str(getattr(predictor, "jumps", ""))
        self.concurrent = self.differentiable and bool(getattr(predictor, "concurrent", False))
        self.n_calls, self._lock = int(getattr(predictor, "probed", 0)), threading.Lock()
        self.until, self.most = float("inf"), float("inf")
        self.distrusted: int | None = None
        self.outputs, self._weights, self._shift = self._select(output, versus)
        self._as_is = output is None and versus is None  # all outputs as the predictor gives them

    def _select(self, output: Any, versus: Any) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        size = len(self.inner.outputs)
        if output is None and versus is None:
            return tuple(map(str, self.inner.outputs)), np.eye(size), np.zeros(size)
        if output is None:
            raise RequestError("versus= needs output=", do="name both classes: output='a', versus='b'")
        name, weights, shift = self._one(output)
        if versus is not None:
            other, minus, back = self._one(versus)
            if np.array_equal(weights, minus):
                raise RequestError("an output is not compared with itself", got=f"output={output!r}, versus={versus!r}")
            name, weights, shift = f"{name} versus {other}", weights - minus, shift - back
        return (name,), weights[:, None], np.array([shift])

    def _one(self, wanted: Any) -> tuple[str, FloatArray, float]:
        """Return (name, weights over the inner outputs, shift) of one output."""
        names, classes = list(map(str, self.inner.outputs)), list(map(str, self.classes))
        eye = np.eye(len(names))
        if str(wanted) in names and not (isinstance(wanted, int) and not isinstance(wanted, bool) and wanted not in self.classes):
            return str(wanted), eye[names.index(str(wanted))], 0.0
        if str(wanted) in classes and len(classes) == 2 and len(names) == 1:  # the other class of a binary model
            return str(wanted), -eye[0], 1.0 if self.scale == "probability" else 0.0
        if isinstance(wanted, int | np.integer) and 0 <= wanted < max(len(names), len(classes)):
            return self._one((classes if len(classes) > len(names) else names)[int(wanted)])
        known = list(dict.fromkeys(names + classes))
        raise RequestError(
            f"there is no output {wanted!r}",
            expected=f"one of {quote(known, 12)}",
            do=did_you_mean(wanted, known),
        )

    def in_time(self) -> None:
        """Refuse to go on where the seconds are over."""
        if time.perf_counter() > self.until:
            raise RequestError(
                "the time budget was spent before there was an answer",
                got=f"{self.n_calls} model rows in that time",
                do="raise budget=, explain fewer rows at a time, or pass fewer rows as background=",
            )

    def _count(self, rows: int) -> None:
        if rows > 0:
            self.in_time()
        if self.n_calls + rows > self.most:
            raise too_small("", self.n_calls + rows, int(self.most), FEWER_ROWS)
        with self._lock:  # the engine asks from several threads
            self.n_calls += rows

    def uncount(self, rows: int) -> None:
        """Take back rows that were evaluated for the shape of a product alone."""
        self._count(-rows)

    def raw(self, table: Table) -> FloatArray:
        """Return the chosen outputs (N, O)."""
        self._count(len(table))
        return np.asarray(self.inner.raw(table), np.float64) @ self._weights + self._shift

    def combine(self, values: FloatArray, *, shift: bool = False, errors: bool = False) -> FloatArray:
        """Return values (..., O) of the chosen outputs from those of all outputs of the predictor.

        Parameters
        ----------
        shift : the values are answers, not differences of answers. errors : they are standard errors. Those of a contrast add up:
            how its two parts err together is not known, and where they err against each other nothing less than the sum is enough.
        """
        weights = np.abs(self._weights) if errors else self._weights
        return np.asarray(values @ weights + (self._shift if shift else 0.0), np.float64)

    def background(self) -> Table | None:
        """Return the rows the predictor kept at fit."""
        return self.inner.background()

    def hidden_layers(self) -> tuple[str, ...]:
        """Return the names of the layers whose states can be read, input side first; empty where there are none."""
        return self.inner.hidden_layers() if isinstance(self.inner, HiddenPredictor) else ()

    def hidden(self, table: Table, layer: str) -> FloatArray:
        """Return the state of one layer (N, H)."""
        if not isinstance(self.inner, HiddenPredictor):
            raise RequestError("this method reads hidden layers, and the model has none", expected="a network of this package")
        self._count(len(table))
        return np.asarray(self.inner.hidden(table, layer), np.float64)

    def telling_stages(self) -> Callable[[Callable[[str], None]], AbstractContextManager[None]] | None:
        """Return the context in which the network tells which of its stages has ended; None where it does not."""
        return getattr(self.inner, "telling_stages", None)

    def read(self, X: Any) -> Table:
        """Return ``X`` as the predictor's table."""
        from pellucid.probe.foreign import read

        return read(self.inner, X)

    @property
    def network(self) -> DifferentiablePredictor:
        """The predictor as a network; an error where it is none."""
        if not self.differentiable:
            raise RequestError(
                "this method needs gradients, and the model has none", expected="a network of this package", do="use method='shapley'"
            )
        return self.inner  # type: ignore[return-value]

    def tokens(self, table: Table) -> torch.Tensor:
        """Return the embedded cells (N, C, D)."""
        return self.network.tokens(table)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the parts of the columns (N, C, W)."""
        return self.network.parts(tokens)

    @property
    def linear_parts(self) -> bool:
        """Whether parts are linear in tokens."""
        return self.additive and bool(getattr(self.network, "linear_parts", False))

    def _apply(self, raw: torch.Tensor) -> torch.Tensor:
        if self._as_is:
            return raw
        weights, shift = (raw.new_tensor(a) for a in (self._weights, self._shift))
        return raw @ weights + shift

    def from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the chosen outputs (N, O), differentiable in the tokens."""
        self._count(len(tokens))
        return self._apply(self.network.from_tokens(tokens))

    def from_parts(self, parts: torch.Tensor, half: bool = False) -> torch.Tensor:
        """Return the chosen outputs (N, O) from parts (N, C, W) or, where additive, from sums (N, W) with the terms of pairs in them.

        ``half``: the network's products are made in half precision; parts come in it.
        """
        self._count(len(parts))
        if not half:
            return self._apply(self.network.from_parts(parts))
        with halved(parts.device):
            answers = self.network.from_parts(parts)
        return self._apply(answers.float())

    def named_parts(self, table: Table) -> Mapping[str, npt.NDArray[Any]]:
        """Return what the network shows of its inside; an error where it shows nothing."""
        if not isinstance(self.inner, PartsPredictor):
            raise RequestError(
                "this method reads what is inside of a network, and the model shows nothing", expected="a network of this package",
                do="use method='shapley'",
            )  # fmt: skip
        self._count(len(table))
        return self.inner.named_parts(table)

    def built_in(self, table: Table) -> tuple[str, FloatArray] | None:
        """Return (what the numbers are, the model's own importance of each column (C,)); None where it has none.

        A network is asked these rows for the terms of its sum; other models state numbers that they hold, and no row is asked.
        """
        if not isinstance(self.inner, BuiltInImportance):
            return None
        if isinstance(self.inner, PartsPredictor):
            self._count(len(table))
        return self.inner.built_in(table)

    def trees(self) -> Sum | None:
        """Return the trees whose answers to :meth:`cells` are the chosen outputs (N, O); None where the model has none, or another sum."""
        found = self.inner.trees() if isinstance(self.inner, TreePredictor) and self.distrusted is None else None
        return None if found is None else found.weighted(self._weights, self._shift)

    def cells(self, table: Table) -> FloatArray:
        """Return the cells (N, F) that the trees look at; no row is asked."""
        assert isinstance(self.inner, TreePredictor)
        return self.inner.cells(table)

    def linear(self, terms: FloatArray, shift: bool = False) -> FloatArray:
        """Return terms of a sum (..., all outputs) as terms of the chosen outputs (..., O); ``shift`` for the one that holds constants."""
        return np.asarray(terms @ self._weights + (self._shift if shift else 0.0))

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers."""
        return self.network.layers()

    def randomised(self, layers: Sequence[str], seed: int) -> DifferentiablePredictor:
        """Return the inner predictor with fresh weights in the named layers."""
        return self.network.randomised(layers, seed)
