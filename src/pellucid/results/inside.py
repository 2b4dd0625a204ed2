"""What the inside of a network shows: where its attention looks, and what its units answer to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.intervals import error_of_mean
from pellucid.results.base import FloatArray, Result, RunRecord
from pellucid.results.owed import Tried
from pellucid.results.verdicts import Trial

__all__ = ["ANSWER", "AttentionMaps", "UnitMaps"]

ANSWER = "(answer)"
"""The token that a network answers from, where it has one."""


@dataclass(frozen=True)
class AttentionMaps(Tried, Result):
    """Which token looks at which, by layer and head.

    Attributes
    ----------
    values : (N, L, heads, T, T) share of its attention that the token of a line gives to the token of a column of the map.
    tokens : the T tokens: the columns, led by ``"(answer)"`` where the network has a token for its answer.
    index : (N,) labels of the rows. scale, method, record : unit, how they were made.
    trials : verdicts on this map. What is shown of it says those that it owes, or that they were not tested.
    """

    values: FloatArray
    tokens: tuple[str, ...]
    scale: str
    method: str
    record: RunRecord
    index: npt.NDArray[Any]
    trials: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 5 or self.values.shape[3:] != (len(self.tokens),) * 2 or len(self.values) != len(self.index):
            expected = f"values of shape ({len(self.index)}, L, heads, {len(self.tokens)}, {len(self.tokens)})"
            raise RequestError("the parts of the attention maps do not fit together", expected=expected, got=str(self.values.shape))

    def __len__(self) -> int:
        return len(self.index)

    def mean(self, layer: int | None = None, head: int | None = None, row: int | None = None) -> FloatArray:
        """Return one map (T, T): the mean over rows, layers and heads of which none is named."""
        part = self.values
        for axis, name, wanted in ((0, "row", row), (1, "layer", layer), (2, "head", head)):
            if wanted is not None:
                if not 0 <= wanted < part.shape[axis]:
                    raise RequestError(f"there is no {name} {wanted!r}", expected=f"0 to {part.shape[axis] - 1}")
                part = part.take([wanted], axis)
        return np.asarray(part.mean((0, 1, 2)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The C columns among the tokens."""
        return self.tokens[1:] if self.tokens[0] == ANSWER else self.tokens

    def by_column(self) -> FloatArray:
        """Return how much each column is looked at (N, C), mean over layers and heads: by the answer's token, or by all on average."""
        one = self.values.mean((1, 2))
        return np.asarray(one[:, 0, 1:] if len(self.columns) < len(self.tokens) else one.mean(1))

    def to_frame(self) -> pd.DataFrame:
        """Return one line per layer, head and pair of tokens: layer, head, from, to, value (mean over rows), error."""
        layers, heads, t = self.values.shape[1:4]
        layer, head, looks, seen = np.indices((layers, heads, t, t)).reshape(4, -1)
        names = np.asarray(self.tokens, object)
        error = error_of_mean(self.values)
        return pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "from": names[looks],
                "to": names[seen],
                "value": self.values.mean(0).reshape(-1),
                "error": error.reshape(-1),
            }
        )


@dataclass(frozen=True)
class UnitMaps(Result):
    """What single units of a hidden layer answer to two columns, all other cells held.

    Attributes
    ----------
    columns : the two columns. x, y : (G1,), (G2,) places along them, as the user would write the cells; None = missing.
    units : names of the U units, those that vary most first.
    values : (U, G2, G1) activation of each unit. outputs : names of the O outputs. answers : (O, G2, G1) the model's answer on ``scale``.
    weights : (U,) correlation of each unit with the first output over the rows asked; NaN where it does not vary.
    index : (N,) labels of the rows asked. activation : (N, U) the units' activations in them.
    held : label of the row whose other cells are held; None where there are no others.
    points : (N, 2) cells of the two columns in the rows asked.
    """

    columns: tuple[str, str]
    x: npt.NDArray[np.object_]
    y: npt.NDArray[np.object_]
    units: tuple[str, ...]
    values: FloatArray
    outputs: tuple[str, ...]
    answers: FloatArray
    weights: FloatArray
    index: npt.NDArray[Any]
    activation: FloatArray
    points: pd.DataFrame
    scale: str
    method: str
    record: RunRecord
    held: Any = None

    def __post_init__(self) -> None:
        shape = (len(self.units), len(self.y), len(self.x))
        if self.values.shape != shape or self.activation.shape != (len(self.index), len(self.units)):
            raise RequestError(
                "the parts of the unit maps do not fit together", expected=f"values of shape {shape}", got=str(self.values.shape)
            )

    def __len__(self) -> int:
        return len(self.units)

    def strongest(self, row: int, k: int = 3) -> list[int]:
        """Return places of the k units that stand out most in the row at a position, against their spread over the rows."""
        spread = self.activation.std(0)
        away = np.abs(self.activation[row] - self.activation.mean(0)) / np.where(spread > 0, spread, np.inf)
        return [int(u) for u in np.argsort(-away, kind="stable")[:k]]

    def rows_like(self, unit: int, row: int, k: int = 5) -> list[int]:
        """Return positions of the k other rows in which a unit is as active as in the row at a position, the nearest first."""
        apart = np.abs(self.activation[:, unit] - self.activation[row, unit])
        return [int(i) for i in np.argsort(apart, kind="stable") if i != row][:k]

    def to_frame(self) -> pd.DataFrame:
        """Return one line per unit and place: unit, the two columns' cells, activation."""
        u, g2, g1 = self.values.shape
        first, second = (c if c not in ("unit", "activation") else f"{c}_cell" for c in self.columns)
        return pd.DataFrame(
            {
                "unit": np.repeat(np.asarray(self.units, object), g2 * g1),
                first: np.tile(self.x, u * g2),
                second: np.tile(np.repeat(self.y, g1), u),
                "activation": self.values.reshape(-1),
            }
        )
