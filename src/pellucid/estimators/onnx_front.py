"""The front of an exported graph: one input per column, as its cells are, to the arrays that the traced network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.encode.categories import MISSING, UNSEEN, LevelEncoder
from pellucid.encode.table_encoder import TableEncoder
from pellucid.estimators.onnx_pieces import ROWS, Pieces
from pellucid.export import N_BUCKETS, level_text
from pellucid.table import Column, ColumnType, Schema

if TYPE_CHECKING:
    import onnx

__all__ = ["Front", "level_codes", "missing_numbers"]

TINY = 1e-12


class Front(Pieces):
    """Nodes, constants and inputs of the columns.

    Parameters
    ----------
    encoder, schema : of the fitted model.
    prefix : of all names that are no column's.
    """

    def __init__(self, encoder: TableEncoder, schema: Schema, prefix: str) -> None:
        super().__init__(f"{prefix}front")
        self.encoder, self.schema = encoder, schema
        self.inputs: list[onnx.ValueInfoProto] = []

    def build(self, floats: Sequence[str], texts: Sequence[str], targets: Mapping[str, str]) -> None:
        """Make the arrays ``floats``, ``codes`` and ``texts`` under the names that ``targets`` gives them.

        Each has one row more than the columns, of missing cells, so that a table without rows has one too: runtimes cannot divide nothing
        into shapes.

        Parameters
        ----------
        floats, texts : the columns of these arrays, in order.
        """
        coded = [s.column for s in self.encoder.slots if s.kind == "code"]
        self.inputs = [self._input(c) for c in self.encoder.columns]
        for name, columns, make, empty in (
            ("floats", floats, self._float, np.full((1, len(floats)), np.nan)),
            ("codes", coded, self._code, np.full((1, len(coded)), MISSING)),
            ("texts", texts, self._text, np.zeros((1, len(texts), self.encoder.vector_width), np.float32)),
        ):
            if columns:
                axis = self.constant(np.array([1]))
                parts = [self.node("Unsqueeze", [make(c), axis]) for c in columns]
                every = self.node("Concat", parts, axis=1)
                self.node("Concat", [every, self.constant(empty)], axis=0, output=targets[name])

    # -- columns ---------------------------------------------------------------------------------------------------------------

    def _input(self, column: str) -> onnx.ValueInfoProto:
        from onnx import TensorProto, helper

        kind = self.encoder.types[column]
        if kind in (ColumnType.NUMBER, ColumnType.DATE):
            return helper.make_tensor_value_info(column, TensorProto.DOUBLE, [ROWS])
        if kind is not ColumnType.TEXT:
            return helper.make_tensor_value_info(column, TensorProto.STRING, [ROWS])
        if self.encoder.text is not None:
            return helper.make_tensor_value_info(column, TensorProto.FLOAT, [ROWS, self.encoder.text.width])
        return helper.make_tensor_value_info(column, TensorProto.INT64, [ROWS, f"ids of {column}"])

    def _float(self, column: str) -> str:
        """Return a number or date column, float64, with its declared codes for missing cells emptied."""
        at = column
        for value in missing_numbers(self.schema[column]):
            gone = self.node("Equal", [at, self.constant(np.float64(value))])
            at = self.node("Where", [gone, self.constant(np.float64(np.nan)), at])
        return at

    def _code(self, column: str) -> str:
        """Return the codes (N,) of a column's texts."""
        keys = level_codes(self.encoder.levels[column], self.schema[column])
        values: dict[str, Any] = {"keys_strings": list(keys), "values_int64s": list(keys.values()), "default_int64": UNSEEN}
        return self.node("LabelEncoder", [column], domain="ai.onnx.ml", **values)

    def _text(self, column: str) -> str:
        """Return the vectors (N, V) of a column's n-gram ids: signed counts, of one length; or of the user's encoder, scaled."""
        if self.encoder.text is not None:
            return self._padded(self.node("Div", [column, self.constant(np.float32(self.encoder.text.scale))]))
        of = self.constant
        width = of(np.int64(N_BUCKETS))
        known = self.node("GreaterOrEqual", [column, of(np.int64(0))])
        sign = self.node("Where", [self.node("Less", [column, width]), of(np.float32(1)), of(np.float32(-1))])
        count = self.node("Where", [known, sign, of(np.float32(0))])
        place = self.node("Where", [known, self.node("Mod", [column, width]), of(np.int64(0))])
        rows = self.node("Shape", [column], start=0, end=1)
        shape = self.node("Concat", [rows, of(np.array([N_BUCKETS]))], axis=0)
        zeros = self.node("Expand", [of(np.zeros((1, 1), np.float32)), shape])
        counts = self.node("ScatterElements", [zeros, place, count], axis=1, reduction="add")
        length = self.node("ReduceL2", [counts, of(np.array([1]))], keepdims=1)
        unit = self.node("Div", [counts, self.node("Max", [length, of(np.float32(TINY))])])
        return self._padded(self.node("Mul", [unit, of(np.sqrt(np.float32(N_BUCKETS)))]))

    def _padded(self, vectors: str) -> str:
        """Return vectors (N, V') with zeros up to the width of the widest slot."""
        own = N_BUCKETS if self.encoder.text is None else self.encoder.text.width
        if own == self.encoder.vector_width:
            return vectors
        return self.node("Pad", [vectors, self.constant(np.array([0, 0, 0, self.encoder.vector_width - own]))])


def missing_numbers(column: Column) -> list[float]:
    """Return the declared codes for missing cells of a number or date column that a number can be, dates in seconds."""
    found = []
    for text in column.missing:
        try:
            value = float(text)
        except ValueError:
            continue
        if np.isfinite(value) and level_text(value) == text:  # as the table compares them
            found.append(value / 1000 if column.date_format == "epoch_ms" else value)
    return found


def level_codes(encoder: LevelEncoder, column: Column) -> dict[str, int]:
    """Return the code of every text that has one: levels, empty cells and declared codes for missing cells; all others are unseen."""
    codes = {level: i for i, level in enumerate(encoder.levels, UNSEEN + 1)}
    return codes | dict.fromkeys(("", *column.missing), MISSING)
