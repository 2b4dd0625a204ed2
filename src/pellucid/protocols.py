"""What an answer may use of a predictor, and nothing more.

Everything above the estimators (``probe``, ``explain``, ``uncertainty``, ``audit``, ``evaluate``) sees a fitted model only through
these protocols, so that a boosted tree or any callable on a frame can be asked the same questions.

Letters: N rows, C columns, D token width, W width of one column's part, O outputs, K members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from pellucid.table import Table
    from pellucid.trees import Sum

__all__ = [
    "BuiltInImportance",
    "DifferentiablePredictor",
    "FittedExplainer",
    "FloatArray",
    "HiddenPredictor",
    "MemberPredictor",
    "PartsPredictor",
    "Predictor",
    "Refit",
    "RowModel",
    "TreePredictor",
]

FloatArray = npt.NDArray[np.float64]


@runtime_checkable
class Predictor(Protocol):
    """Any fitted model, as the answers see it.

    Attributes
    ----------
    columns : the C input columns, in training order.
    outputs : names of the O outputs an explanation speaks of. Binary classes: one output, ``classes[1]``; numbers: the target(s).
    classes : class labels as the user wrote them; empty for numbers.
    task : ``"classification"`` or ``"regression"``.
    scale : unit of ``raw``: ``"log-odds"``, ``"probability"``, or the target's unit (``"units of price"`` where none
        was given, ``"target"`` of several).
    """

    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    classes: tuple[Any, ...]
    task: str
    scale: str

    def raw(self, table: Table) -> FloatArray:
        """Return the outputs of shape (N, O) on ``scale``. Rows are independent of each other."""
        ...

    def background(self) -> Table | None:
        """Return the training rows kept at fit, or None where there are none."""
        ...


@runtime_checkable
class DifferentiablePredictor(Predictor, Protocol):
    """A network whose first stage acts column by column, and whose later stages can be entered from there.

    Two entrances: ``tokens`` (the embedded cell of each source column, whatever its encoding; gradients flow from here) and ``parts``
    (one vector per source column at the furthest point up to which columns do not mix, which the coalition engine caches).

    Attributes
    ----------
    additive : True where later stages read only the sum of the parts over columns.

    Notes
    -----
    A network whose answer jumps may say so in an attribute ``jumps``: words on where, and on what its slopes are. Every method that reads
    slopes then tells them as a caveat.

    An additive network may have pairs of columns whose terms no part holds. It says so in an attribute ``couplings``, a tuple of tensors:
    the numbers of the P' coupled columns, the places among these of each pair's left column and of its right one (P,), and the entries of
    the sum (Q,) that the terms are added to; None where it has none. ``bases(tokens) -> (N, P', V)`` is what terms read of those columns,
    and ``coupled(left, right) -> (N, P, Q)`` the terms where left columns have the bases ``left`` and right ones ``right``. What
    ``from_parts`` reads of such a network is the sum with these terms. Where ``coupled_sum(bases) -> (N, Q)`` is offered it is asked for
    the sum of all terms of whole rows.
    """

    additive: bool

    def tokens(self, table: Table) -> torch.Tensor:
        """Return the embedded cells (N, C, D), detached."""
        ...

    def from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O) on ``scale``, differentiable in ``tokens``. ``from_tokens(tokens(t)) == raw(t)`` to rounding."""
        ...

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the part of each source column, (N, C, W)."""
        ...

    def from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O) on ``scale`` from parts (N, C, W), or from their sum over columns (N, W) where ``additive``."""
        ...

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers, output side first (the order of cascading randomisation)."""
        ...

    def randomised(self, layers: Sequence[str], seed: int) -> DifferentiablePredictor:
        """Return a copy whose named layers hold fresh initial weights."""
        ...


@runtime_checkable
class HiddenPredictor(Predictor, Protocol):
    """A predictor that shows what its layers make of a row."""

    def hidden_layers(self) -> tuple[str, ...]:
        """Return the names of the layers, input side first; the last one, ``"last"``, is what the output layer reads."""
        ...

    def hidden(self, table: Table, layer: str | None = None) -> FloatArray:
        """Return the state of one layer (N, H), of the last one where none is named."""
        ...


@runtime_checkable
class BuiltInImportance(Predictor, Protocol):
    """A predictor whose model may say by itself how important its columns are."""

    def built_in(self, table: Table) -> tuple[str, FloatArray] | None:
        """Return (what the numbers are, one per column (C,)), read off the model for these rows; None where it has none."""
        ...


@runtime_checkable
class MemberPredictor(Predictor, Protocol):
    """A predictor made of K members whose spread is its doubt."""

    n_members: int

    def member(self, k: int) -> Predictor:
        """Return member ``k`` alone, uncalibrated, on the same scale."""
        ...

    def members_raw(self, table: Table) -> FloatArray:
        """Return the members' own answers (N, K, O'): class probabilities (O' = number of classes) or values in the target's unit."""
        ...


@dataclass(frozen=True, repr=False)
class FittedExplainer:
    """A network fitted beforehand to explain one model: plain JSON types and arrays, as estimators keep and save it.

    Attributes
    ----------
    method : registry name of the method that reads it.
    state, arrays : settings and measured errors; weights.
    """

    method: str
    state: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    def __repr__(self) -> str:
        """Return the method, how many columns it knows, and the figures of its fit."""
        facts = {k: v for k, v in self.state.get("facts", {}).items() if isinstance(v, int | float | str)}
        told = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items())
        return f"FittedExplainer({self.method!r}, {len(self.state.get('columns', ()))} columns; {told})"


@runtime_checkable
class PartsPredictor(Predictor, Protocol):
    """A network that shows what is inside of it."""

    def named_parts(self, table: Table) -> Mapping[str, npt.NDArray[Any]]:
        """Return what the network shows of a row by name, rows first: attention, masks, the terms of a listed sum.

        Of a network that is several (folds, samples) every array is the mean over them. ``contributions`` (N, C, O), ``pairs`` (N, P, O;
        of the columns ``pair_columns`` (N, P, 2)) and ``bias`` (N, O), where they are shown, are the terms of the network's sum on
        ``scale``. ``attention`` is (N, L, heads, T, T), T the columns, or an answer token and the columns; ``attending`` (N, C) says which
        of them take part.
        """
        ...


@runtime_checkable
class TreePredictor(Predictor, Protocol):
    """A predictor whose answer may be a sum of decision trees, or made of one, which then can be found without asking it."""

    def trees(self) -> Sum | None:
        """Return the trees whose answers to :meth:`cells` are ``raw``'s, (N, O) on ``scale``; None where there are none."""
        ...

    def cells(self, table: Table) -> FloatArray:
        """Return the cells (N, F) that the trees look at, each made of one column or of several."""
        ...


class Refit(Protocol):
    """Train the same kind of model again on changed data; what refits (label randomisation, retraining tests) takes one.

    With ``checkpoints`` the predictor has an attribute of that name: predictors of the same network earlier in its training, in order, at
    evenly spread steps (fewer where training ended early).
    """

    def __call__(
        self,
        table: Table | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        target: npt.NDArray[Any] | None = None,
        columns: Sequence[str] | None = None,
        weights: FloatArray | None = None,
        seed: int | None = None,
        checkpoints: int = 0,
    ) -> Predictor: ...


@runtime_checkable
class RowModel(Protocol):
    """What is this row, or this cell, like given the rest?

    Attributes
    ----------
    columns_ : the C columns it knows.
    """

    columns_: tuple[str, ...]

    def sample(self, table: Table, known: npt.NDArray[np.bool_], n: int, seed: Any) -> Sequence[Table]:
        """Return ``n`` tables with the cells that are not ``known`` (N, C) drawn given those that are; ``seed`` may be one per row."""
        ...

    def score(self, table: Table) -> Mapping[str, FloatArray]:
        """Return ``"cell"`` (N, C) and ``"row"`` (N,): how odd each is, high for odd."""
        ...
