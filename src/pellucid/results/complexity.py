"""How much computation the features of a network take, when they are learned, and how much they matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["FeatureComplexity"]


@dataclass(frozen=True)
class FeatureComplexity(Result):
    """Complexity, importance and time of learning of latent features.

    Attributes
    ----------
    features : names of the Q features: directions of the last layer, and functions of columns that were asked for.
    kinds : (Q,) ``"direction"`` or ``"feature"``. layers : names of the L layers, input side first.
    readable, error : (L, Q) R^2 of a linear model of the layer's state, by cross-validation, and its standard error over rows.
    complexity, complexity_error : (Q,) one less the mean of ``readable`` over layers, 0 where the first layer holds the feature already.
    importance : (Q,) share of the answers' variance that a linear model of the feature alone tells.
    share : (Q,) share of the last layer's variance along a direction; NaN for features that were asked for.
    steps : (T,) shares of the planned training, ascending; empty where the training was not watched.
    over_time : (T, Q) R^2 of a linear model of the last layer at each step. learned : (Q,) the first step from which on it stays
        above 0.9 of its last value, NaN where the feature is never held (below 0.1).
    words : what is to be seen. method, record : how they were made.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]
    layers: tuple[str, ...]
    readable: FloatArray
    error: FloatArray
    complexity: FloatArray
    complexity_error: FloatArray
    importance: FloatArray
    share: FloatArray
    steps: FloatArray
    over_time: FloatArray
    learned: FloatArray
    words: str
    method: str
    record: RunRecord

    def __post_init__(self) -> None:
        q, shape = len(self.features), (len(self.layers), len(self.features))
        if self.readable.shape != shape or self.complexity.shape != (q,) or self.over_time.shape != (len(self.steps), q):
            raise RequestError("the parts of the complexity do not fit together", expected=f"arrays {shape}", got=str(self.readable.shape))

    def order(self) -> npt.NDArray[np.int64]:
        """Return the features from the simplest on."""
        return np.argsort(self.complexity, kind="stable").astype(np.int64)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per feature, the simplest first: feature, kind, complexity, error, importance, share, learned."""
        frame = pd.DataFrame({"feature": self.features, "kind": self.kinds, "complexity": self.complexity, "error": self.complexity_error})
        frame = frame.assign(importance=self.importance, share=self.share, learned=self.learned)
        return frame.iloc[self.order()].reset_index(drop=True)
