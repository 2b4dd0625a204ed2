"""Models that are nearly as good as a given one: the same model with the spread of single columns made larger or smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.execution import to_numpy
from pellucid.nn.coupling import CouplingsOf
from pellucid.probe.view import View
from pellucid.protocols import DifferentiablePredictor, FloatArray, Predictor
from pellucid.table import ColumnType, Table

if TYPE_CHECKING:
    import torch

__all__ = ["ScaledCells", "ScaledNetwork", "scaler"]


class _Face:
    """What a scaled model shares with the one behind it."""

    def __init__(self, inner: Predictor, factors: FloatArray) -> None:
        self.inner, self.factors = inner, factors
        self.columns, self.outputs, self.classes, self.task, self.scale = (
            inner.columns, inner.outputs, inner.classes, inner.task, inner.scale,
        )  # fmt: skip
        self.foreign = bool(getattr(inner, "foreign", False))

    def background(self) -> Table | None:
        """Return the rows the model kept at fit."""
        return self.inner.background()


class ScaledCells(_Face):
    """A black box whose number columns are spread by factors (C,) around their means before it reads them; whole numbers stay whole."""

    def __init__(self, inner: Predictor, factors: FloatArray, centres: FloatArray) -> None:
        super().__init__(inner, factors)
        self.centres = centres

    def raw(self, table: Table) -> FloatArray:
        """Return the outputs (N, O)."""
        cells: dict[str, Any] = {}
        for name, m, c in zip(self.columns, self.factors, self.centres):
            if m == 1.0 or np.isnan(c):
                continue
            old = table.frame[name].to_numpy()
            new = c + m * (old - c)
            cells[name] = _whole(new, old.dtype) if old.dtype.kind in "iu" else new.astype(old.dtype)
        return self.inner.raw(table.with_cells(cells) if cells else table)


def _whole(values: FloatArray, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return whole numbers of a type, the nearest that it holds: a byte beyond 255 would begin again at 0."""
    info = np.iinfo(dtype)
    high = np.nextafter(2.0**63, 0) if info.bits == 64 else info.max  # floats cannot say the largest of 64 bits
    return np.rint(values).clip(info.min, high).astype(dtype)


class ScaledNetwork(CouplingsOf, _Face):
    """A network whose embedded cells are spread by factors (C,) around each column's mean embedding (C, D): categories too."""

    def __init__(self, inner: DifferentiablePredictor, factors: FloatArray, table: Table, tokens: torch.Tensor) -> None:
        super().__init__(inner, factors)
        self.network, self.additive, self._known, self.centres = inner, inner.additive, (table, tokens), tokens.mean(0)

    def tokens(self, table: Table) -> torch.Tensor:
        """Return the embedded cells (N, C, D), spread; those of the table that told the centres are not made again."""
        known, tokens = self._known
        tokens = tokens if table is known else self.network.tokens(table)
        m = tokens.new_tensor(self.factors)[:, None]
        return self.centres + m * (tokens - self.centres)

    def from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O)."""
        return self.network.from_tokens(tokens)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the part of each column (N, C, W)."""
        return self.network.parts(tokens)

    @property
    def _behind(self) -> DifferentiablePredictor:
        return self.network

    def from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O) from parts."""
        return self.network.from_parts(parts)

    def raw(self, table: Table) -> FloatArray:
        """Return the outputs (N, O)."""
        import torch

        with torch.inference_mode():
            return to_numpy(self.network.from_tokens(self.tokens(table)))

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers."""
        return self.network.layers()

    def randomised(self, layers: Sequence[str], seed: int) -> ScaledNetwork:
        """Return a copy with fresh weights in the named layers."""
        fresh, table = self.network.randomised(layers, seed), self._known[0]
        return ScaledNetwork(fresh, self.factors, table, fresh.tokens(table))


def scaler(view: View, table: Table) -> tuple[Any, tuple[str, ...]]:
    """Return (factors (C,) -> predictor, columns that can be scaled): embeddings of our networks, numbers of any other model."""
    if view.differentiable:
        import torch

        with torch.inference_mode():
            tokens = view.tokens(table)
        return (lambda factors: ScaledNetwork(view.network, factors, table, tokens)), tuple(view.columns)
    plain = [table.schema[c].type is ColumnType.NUMBER and _is_plain(table, c) for c in view.columns]
    centres = np.array([np.nanmean(table.numbers(c)) if ok else np.nan for c, ok in zip(view.columns, plain)])
    return (lambda factors: ScaledCells(view.inner, factors, centres)), tuple(c for c, ok in zip(view.columns, plain) if ok)


def _is_plain(table: Table, name: str) -> bool:
    """Return whether the cells are numbers that can be computed with as they stand."""
    dtype = table.frame[name].dtype
    return isinstance(dtype, np.dtype) and dtype.kind in "iuf" and not table.schema[name].missing and not table.missing(name).all()
