"""What each attention head is worth, and what kind of looking it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["HeadImportance"]


@dataclass(frozen=True)
class HeadImportance(Result):
    """Attention heads taken out one at a time, and the patterns in which they look.

    Attributes
    ----------
    values : (L, heads) rise of the loss when the head is taken out, layers of several networks one after the other; error : (L, heads)
        its standard error over rows.
    estimate : (L, heads) the same from one pass back, without taking anything out.
    agreement : rank correlation of ``estimate`` and ``values`` over the heads; NaN for fewer than three.
    tokens : the T tokens. looks : (L, heads, T) mean share of its attention that the head gives to each token.
    strength : (L, heads) effective number of tokens looked at, from 1 (one token) to T (all alike): exp of the entropy.
    pattern : (L, heads) which kind of looking, from 1. words : what was found. unit, method, record : the loss, how they were made.
    networks : how many networks the L layers are of; each has L / networks.
    """

    values: FloatArray
    error: FloatArray
    estimate: FloatArray
    agreement: float
    tokens: tuple[str, ...]
    looks: FloatArray
    strength: FloatArray
    pattern: npt.NDArray[np.int64]
    words: str
    unit: str
    method: str
    record: RunRecord
    networks: int = 1

    def __post_init__(self) -> None:
        shape = self.values.shape
        if self.networks < 1 or shape[0] % self.networks:
            expected = f"a number of networks that divides {shape[0]} layers"
            raise RequestError("the layers do not fit the networks", expected=expected, got=str(self.networks))
        if self.looks.shape != (*shape, len(self.tokens)) or any(
            a.shape != shape for a in (self.error, self.estimate, self.strength, self.pattern)
        ):
            expected = f"arrays {shape} and looks {(*shape, len(self.tokens))}"
            raise RequestError("the parts of the heads do not fit together", expected=expected, got=str(self.looks.shape))

    def patterns(self) -> pd.DataFrame:
        """Return one line per pattern: pattern, heads, looks_at (the tokens with the largest shares), strength, loss (their sum)."""
        lines = []
        for k in range(1, int(self.pattern.max()) + 1):
            mine = self.pattern == k
            mean = self.looks[mine].mean(0)
            top = [f"{self.tokens[j]} {100 * mean[j]:.0f} %" for j in np.argsort(-mean, kind="stable")[:3]]
            line = {"pattern": k, "heads": int(mine.sum()), "looks_at": ", ".join(top), "strength": float(self.strength[mine].mean())}
            lines.append({**line, "loss": float(self.values[mine].sum())})
        return pd.DataFrame(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per head, the most important first: layer, head, value, error, estimate, strength, pattern, looks_at.

        Where there are several networks, a column ``network`` comes first, and layers are counted in each.
        """
        layers, heads = self.values.shape
        layer, head = np.indices((layers, heads)).reshape(2, -1)
        names = np.asarray(self.tokens, object)[self.looks.argmax(2).reshape(-1)]
        each = {n: getattr(self, n).reshape(-1) for n in ("error", "estimate", "strength", "pattern")}
        depth = layers // self.networks
        whose = {"network": layer // depth} if self.networks > 1 else {}
        frame = pd.DataFrame({**whose, "layer": layer % depth, "head": head, "value": self.values.reshape(-1), **each, "looks_at": names})
        return frame.sort_values("value", ascending=False, kind="stable", ignore_index=True)
