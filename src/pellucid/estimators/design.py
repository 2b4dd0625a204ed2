"""The matrix that the simple peers read: z-scored numbers and one-hot levels, or raw numbers and codes for trees.

Each matrix column remembers its source column, so coefficients and splits are told in the user's columns and units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.encode.categories import UNSEEN
from pellucid.encode.table_encoder import TableEncoder
from pellucid.table import Table

__all__ = ["Design"]

FloatArray = npt.NDArray[np.float64]
Numbers = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
MOST_LEVELS = 250  # per column: scikit-learn's histogram trees allow 255 codes


@dataclass(frozen=True)
class Design:
    """How encoded slots become matrix columns.

    Attributes
    ----------
    form : ``"one-hot"`` (linear model, neighbours) or ``"codes"`` (trees).
    mean, scale : (Sn,) of the number slots, in original units.
    low, high : (Sn,) range of training; the linear model and the neighbours read numbers beyond it as its ends.
    kept : per code slot the codes that keep a column or code of their own; the others share one.
    names : name of each matrix column.
    categorical : which matrix columns hold codes.
    """

    form: str
    mean: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray
    kept: tuple[npt.NDArray[np.int64], ...]
    names: tuple[str, ...]
    categorical: npt.NDArray[np.bool_]

    @classmethod
    def fit(cls, encoder: TableEncoder, table: Table, form: str, weights: FloatArray | None = None) -> Design:
        """Learn means, spreads and the frequent levels from training rows."""
        raw = encoder.raw_numbers(table)
        w = np.ones(len(raw)) if weights is None else weights
        known = ~np.isnan(raw)
        total = np.maximum((known * w[:, None]).sum(0), 1e-12)
        mean = (np.where(known, raw, 0) * w[:, None]).sum(0) / total
        variance = (np.where(known, raw - mean, 0) ** 2 * w[:, None]).sum(0) / total
        codes = encoder.codes(table)
        kept = []
        for j, size in enumerate(encoder.cardinalities):
            counts = np.bincount(codes[:, j], weights=w, minlength=size)
            counts[UNSEEN] = 0
            order = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
            kept.append(np.sort(order[counts[order] > 0]))
        scale = np.sqrt(np.where(variance > 0, variance, 1.0))
        low, high = np.where(known, raw, np.inf).min(0, initial=np.inf), np.where(known, raw, -np.inf).max(0, initial=-np.inf)
        low, high = np.where(np.isfinite(low), low, mean), np.where(np.isfinite(high), high, mean)
        return cls._named(encoder, form, (mean, scale, low, high), tuple(kept))

    @classmethod
    def _named(cls, encoder: TableEncoder, form: str, numbers_of: Numbers, kept: tuple[npt.NDArray[np.int64], ...]) -> Design:
        numbers = [s for s in encoder.slots if s.kind == "number"]
        coded = [s for s in encoder.slots if s.kind == "code"]
        vectors = [f"{s.column} [{s.transform} {v}]" for s in encoder.slots if s.kind == "vector" for v in range(encoder.vector_width)]
        label = [s.column if s.transform == "scaled" else f"{s.column} [{s.transform}]" for s in numbers]
        if form == "codes":
            names = [*label, *(s.column for s in coded), *vectors]
        else:
            levels = [f"{s.column} = {encoder.code_text(s, int(c))}" for s, k in zip(coded, kept) for c in k]
            names = [*label, *(f"{n} is missing" for n in label), *levels, *vectors]
        flags = np.zeros(len(names), bool)
        if form == "codes":
            flags[len(label) : len(label) + len(coded)] = True
        return cls(form, *numbers_of, kept, tuple(names), flags)

    def matrix(self, encoder: TableEncoder, table: Table) -> FloatArray:
        """Return the matrix of a table, (N, F) float64; NaN only in form ``"codes"``."""
        raw = encoder.raw_numbers(table)
        codes = encoder.codes(table)
        slots = encoder.vectors(table)
        vectors = slots.reshape(len(raw), slots.shape[1] * slots.shape[2]).astype(np.float64)
        if self.form == "codes":
            mapped = [self._position(codes[:, j], k) for j, k in enumerate(self.kept)]
            return np.column_stack([raw, *mapped, vectors])
        hot = [(codes[:, j, None] == k[None]).astype(np.float64) for j, k in enumerate(self.kept)]
        z = (np.clip(raw, self.low, self.high) - self.mean) / self.scale
        return np.column_stack([np.nan_to_num(z), np.isnan(raw), *hot, vectors])

    def sources(self, encoder: TableEncoder) -> tuple[str, ...]:
        """Return the source column of each matrix column."""
        by_kind = {kind: [s.column for s in encoder.slots if s.kind == kind] for kind in ("number", "code", "vector")}
        vectors = [c for c in by_kind["vector"] for _ in range(encoder.vector_width)]
        if self.form == "codes":
            return (*by_kind["number"], *by_kind["code"], *vectors)
        levels = [c for c, kept in zip(by_kind["code"], self.kept) for _ in kept]
        return (*by_kind["number"], *by_kind["number"], *levels, *vectors)

    @staticmethod
    def _position(codes: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]) -> FloatArray:
        """Return the place of each code among the kept ones; all others share the place after the last."""
        if not len(kept):
            return np.zeros(len(codes))
        at = np.minimum(np.searchsorted(kept, codes), len(kept) - 1)
        return np.where(kept[at] == codes, at, len(kept)).astype(np.float64)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs, as plain JSON types."""
        numbers = {k: getattr(self, k).tolist() for k in ("mean", "scale", "low", "high")}
        return {"form": self.form, **numbers, "kept": [k.tolist() for k in self.kept]}

    @classmethod
    def from_state(cls, encoder: TableEncoder, state: Mapping[str, Any]) -> Design:
        """Return the design that :meth:`state` described."""
        kept = tuple(np.asarray(k, np.int64) for k in state["kept"])
        mean, scale, low, high = (np.asarray(state[k], float) for k in ("mean", "scale", "low", "high"))
        return cls._named(encoder, state["form"], (mean, scale, low, high), kept)
