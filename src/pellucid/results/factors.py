"""How the columns lie in a network's layers: does each add the same part in every row, and are the parts at right angles?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["FactorGeometry"]


@dataclass(frozen=True)
class FactorGeometry(Result):
    """Linearity and orthogonality of each column's factor, layer by layer.

    Attributes
    ----------
    layers : names of the L layers, input side first. columns : the C columns.
    linearity, linearity_error : (L, C) share of what a column does to the layer that is the same in every row, 1 where its cells add a
        fixed vector each; standard error over rows. NaN where the layer does not read the column.
    orthogonality, orthogonality_error : (L, C) one less the mean squared cosine between the column's vectors and those of the others,
        weighted by their size.
    size : (L, C) share of the layer's movement that the column makes; each line adds up to 1.
    overlap : (C, C) mean squared cosine of two columns' vectors in the last layer; NaN on the diagonal.
    words : what is to be seen, in plain words. method, record : how they were made. answers : outputs of the model; 0: not known.
    """

    layers: tuple[str, ...]
    columns: tuple[str, ...]
    linearity: FloatArray
    linearity_error: FloatArray
    orthogonality: FloatArray
    orthogonality_error: FloatArray
    size: FloatArray
    overlap: FloatArray
    words: str
    method: str
    record: RunRecord
    answers: int = 0

    def __post_init__(self) -> None:
        shape, several = (len(self.layers), len(self.columns)), ("linearity", "linearity_error", "orthogonality", "orthogonality_error")
        if any(getattr(self, n).shape != shape for n in (*several, "size")):
            raise RequestError("the parts of the geometry do not fit together", expected=f"arrays {shape}", got=str(self.linearity.shape))

    @property
    def score(self) -> FloatArray:
        """(L,) what unseen combinations need of the layer, columns weighted by their size: linearity, 1 where every column adds its part.

        Times orthogonality where the model gives several answers, which may each follow another column. One answer is a sum along one
        direction, on which a network lays its columns the more, the better it learned the sum: right angles then tell nothing good.
        """
        each = self.linearity * (1.0 if self.answers == 1 else self.orthogonality)
        weight = np.where(np.isfinite(each), self.size, 0.0)
        return np.asarray((weight * np.nan_to_num(each)).sum(1) / np.maximum(weight.sum(1), 1e-300))

    def to_frame(self) -> pd.DataFrame:
        """Return one line per layer and column: layer, column, linearity, orthogonality, their errors, size."""
        layers, c = self.size.shape
        names = ("linearity", "linearity_error", "orthogonality", "orthogonality_error", "size")
        frame = pd.DataFrame({"layer": np.repeat(self.layers, c), "column": np.tile(self.columns, layers)})
        return frame.assign(**{n: getattr(self, n).reshape(-1) for n in names})
