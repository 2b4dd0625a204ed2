"""What can still be read in each layer of a network, and how much of it the layer is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["LayerProbes"]


@dataclass(frozen=True)
class LayerProbes(Result):
    """Linear probes of every layer, beside the share of the layer's variance and the effect on the answer.

    Attributes
    ----------
    layers : names of the L layers, input side first. quantities : the Q things read: the target, columns, withheld columns, features.
    kinds : (Q,) ``"target"``, ``"column"``, ``"withheld"`` or ``"feature"``.
    readable : (L, Q) R^2 of a linear model of the layer's state, by cross-validation; for levels that of their marks together.
    error : (L, Q) its standard error over rows. null : (L, Q) the same with the quantity shuffled.
    accuracy : (L, Q) for levels the share of rows whose level is told, else NaN. plain : (Q,) share of the most frequent level.
    variance : (L, Q) share of the variance of the layer's state that lies between values of the quantity.
    effect : (Q,) share of the answer's variance that goes when the quantity's columns are taken from other rows; NaN where it has none.
    effect_error : (Q,) standard error. words : what is to be seen, in plain words. method, record : how they were made.
    """

    layers: tuple[str, ...]
    quantities: tuple[str, ...]
    kinds: tuple[str, ...]
    readable: FloatArray
    error: FloatArray
    null: FloatArray
    accuracy: FloatArray
    plain: FloatArray
    variance: FloatArray
    effect: FloatArray
    effect_error: FloatArray
    words: str
    method: str
    record: RunRecord

    def __post_init__(self) -> None:
        shape = (len(self.layers), len(self.quantities))
        if any(a.shape != shape for a in (self.readable, self.error, self.null, self.accuracy, self.variance)):
            raise RequestError("the parts of the probes do not fit together", expected=f"arrays {shape}", got=str(self.readable.shape))

    def bias(self) -> pd.DataFrame:
        """Return one line per column and feature: what it does to the answer beside its share of the last layer.

        ``effect``, ``error``, ``variance`` (of the last layer) and ``ratio``: variance by effect, 1 where the layer is made of what the
        answer is made of, on average over the lines; NaN where the effect is below a tenth of the largest or cannot be told from 0.
        """
        at = [q for q, kind in enumerate(self.kinds) if kind in ("column", "feature")]
        effect, error, share = self.effect[at], self.effect_error[at], self.variance[-1, at]
        known = (effect > 2 * error) & (effect >= 0.1 * np.nanmax(effect, initial=0.0))
        usual = share[known].sum() / effect[known].sum() if known.any() and share[known].sum() > 0 else np.nan
        ratio = np.where(known, share / np.where(known, effect, 1.0) / usual, np.nan)
        names = [self.quantities[q] for q in at]
        return pd.DataFrame({"quantity": names, "effect": effect, "error": error, "variance": share, "ratio": ratio})

    def to_frame(self) -> pd.DataFrame:
        """Return one line per layer and quantity: layer, quantity, kind, readable, error, null, accuracy, plain, variance, effect."""
        layers, q = self.readable.shape
        each = {n: getattr(self, n).reshape(-1) for n in ("readable", "error", "null", "accuracy", "variance")}
        frame = pd.DataFrame(
            {"layer": np.repeat(self.layers, q), "quantity": np.tile(self.quantities, layers), "kind": np.tile(self.kinds, layers)}
        )
        return frame.assign(**each, plain=np.tile(self.plain, layers), effect=np.tile(self.effect, layers))
