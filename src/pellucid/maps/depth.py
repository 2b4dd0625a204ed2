"""How far the classes stand apart in each layer of a network, from the cells to the outputs: the mean silhouette of held-out rows.

Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7: -1 to 1; 0 where classes lie through each other. Letters: N rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.intervals import error_of_mean
from pellucid.maps.ask import Layer, of_model
from pellucid.maps.space import Space
from pellucid.protocols import FloatArray, MemberPredictor
from pellucid.random import stream
from pellucid.table import Table

__all__ = ["silhouettes"]

CELLS, OUTPUTS = "(cells)", "(outputs)"
ADDITIVE = "additive"
SURE = 1e-6


def silhouettes(model: Any, X: Table, *, rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Return one line for the cells, one for each layer, input side first, and one for the outputs.

    Columns: layer, silhouette, error (standard, over rows), rows, beside: True for the additive half of a network of two halves, which is
    no deeper than the layers it is listed with.

    Parameters
    ----------
    model : a fitted network for classes. X : held-out rows with their target; at most ``rows`` of them are drawn.

    Raises
    ------
    RequestError : no hidden layers, or fewer than two known classes among the rows.

    Notes
    -----
    A layer of more than 100 units is read by its 50 first principal components. A hidden state is wider than what is read of it: directions
    that the head ignores count as much here as those that it follows, so that the last hidden layer may fall behind the one before. The
    outputs are what is left of it, one log-odds per member and class. Cost: N^2 F per layer.
    """
    from sklearn.metrics import silhouette_samples

    predictor, table, data, target = of_model(model, X)
    if not hasattr(predictor, "hidden_layers") or not len(predictor.classes):
        raise RequestError("silhouettes are of the layers of a network for classes", got=type(model).__name__)
    known = np.flatnonzero(data[target].notna()) if target is not None else np.zeros(0, np.int64)
    kept = np.sort(known[stream(seed, "silhouettes").permutation(len(known))[:rows]])
    label = data[target].astype(str).to_numpy()[kept] if target is not None else np.zeros(0)
    if len(np.unique(label)) < 2:
        raise RequestError("the rows are of fewer than two known classes", do="pass X with its target")
    table, out = table.take(kept), []
    for layer in (CELLS, *predictor.hidden_layers(), OUTPUTS):
        points = _points(predictor, table, layer, seed)
        each = silhouette_samples(points, label)
        error = float(error_of_mean(each))
        beside = layer == ADDITIVE and len(predictor.hidden_layers()) > 1
        out.append({"layer": layer, "silhouette": float(each.mean()), "error": error, "rows": len(each), "beside": beside})
    return pd.DataFrame(out)


def _points(predictor: Any, table: Table, layer: str, seed: int) -> FloatArray:
    """Return what a layer makes of the rows (N, F)."""
    if layer == CELLS:
        return Space(table)(table)
    if layer != OUTPUTS:
        return Layer(predictor, layer).fit(table, seed)
    answers = predictor.members_raw(table) if isinstance(predictor, MemberPredictor) else np.asarray(predictor.raw(table))
    answers = np.asarray(answers, np.float64).reshape(len(table), -1)
    if predictor.scale != "probability" and not isinstance(predictor, MemberPredictor):
        return answers
    p = np.clip(answers, SURE, 1 - SURE)
    return np.asarray(np.log(p / (1 - p)))
