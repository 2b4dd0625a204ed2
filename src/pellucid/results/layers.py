"""What can still be read in each layer of a network, how much of it the layer is made of, and how the answer is shared out there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["LayerProbes", "LayerRelevance"]


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


@dataclass(frozen=True)
class LayerRelevance(Result):
    """The answer shared out at every layer, and the layers ranked by how much of that their own weights handle.

    Attributes
    ----------
    layers : names of the L layers, input side first: the tokens (what the columns have), the stages, ``"(answer)"``.
    outputs : names of the O outputs. index : (N,) labels of the rows.
    reaching : (L, N, O) relevance of a layer's results, summed over its units; of the last layer the answer.
    constants : (L, N, O) what the layer's biases and other constants keep. rest : (L, N, O) what is neither: operations without an exact
        rule. ``reaching`` of a layer is that of the one below with ``constants`` and ``rest`` of its own.
    gross : (L,) sizes of the relevance of a layer's units, summed over units, mean over rows and outputs: before signs cancel.
    values : (L,) share of the relevance, by size, that goes through the layer's own weights; NaN for a layer without weights.
    error : (L,) its standard error over rows. words : what was found.
    scale, method, record : unit of the answer, how they were made.
    """

    layers: tuple[str, ...]
    outputs: tuple[str, ...]
    index: npt.NDArray[Any]
    reaching: FloatArray
    constants: FloatArray
    rest: FloatArray
    gross: FloatArray
    values: FloatArray
    error: FloatArray
    words: str
    scale: str
    method: str
    record: RunRecord

    def __post_init__(self) -> None:
        shape, each = (len(self.layers), len(self.index), len(self.outputs)), (len(self.layers),)
        sums, lines = (self.reaching, self.constants, self.rest), (self.gross, self.values, self.error)
        if any(a.shape != shape for a in sums) or any(a.shape != each for a in lines):
            raise RequestError("the parts of the relevance do not fit together", expected=f"arrays {shape}", got=str(self.reaching.shape))

    def lost(self) -> FloatArray:
        """Return for each layer the largest ``rest`` of a row, as a share of the answer's mean size, (L,)."""
        return np.asarray(np.abs(self.rest).max((1, 2)) / max(float(np.abs(self.reaching[-1]).mean()), 1e-300))

    def to_frame(self) -> pd.DataFrame:
        """Return one line per layer, input side first: layer, rank, value, error, reaching, constants (means over rows), lost, gross.

        ``rank`` counts from 1, the layer whose weights handle most; NaN for layers without weights. Of several outputs each has a line,
        named in a column ``output``; only ``reaching`` and ``constants`` differ in them.
        """
        o = len(self.outputs)
        rank = pd.Series(self.values).rank(ascending=False, method="first").to_numpy()
        each = {"rank": rank, "value": self.values, "error": self.error, "lost": self.lost(), "gross": self.gross}
        frame = pd.DataFrame({"layer": self.layers, **each})
        frame = frame.loc[np.repeat(np.arange(len(frame)), o)].reset_index(drop=True)
        frame.insert(4, "reaching", self.reaching.mean(1).reshape(-1))
        frame.insert(5, "constants", self.constants.mean(1).reshape(-1))
        if o > 1:
            frame.insert(1, "output", np.tile(np.asarray(self.outputs, object), len(self.layers)))
        return frame
