"""How far the classes stand apart in each layer of a network: the mean silhouette of held-out rows, layer by layer.

Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7: -1 to 1; 0 where classes lie through each other. Letters: N rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.maps.ask import Layer, of_model
from pellucid.maps.space import Space
from pellucid.random import stream
from pellucid.table import Table

__all__ = ["silhouettes"]


def silhouettes(model: Any, X: Table, *, rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Return one line for the cells and one for each layer, input side first: layer, silhouette, error (standard, over rows), rows.

    Parameters
    ----------
    model : a fitted network for classes. X : held-out rows with their target; at most ``rows`` of them are drawn.

    Raises
    ------
    RequestError : no hidden layers, or fewer than two known classes among the rows.

    Notes
    -----
    A layer of more than 100 units is read by its 50 first principal components. Cost: N^2 F per layer.
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
    for layer in (None, *predictor.hidden_layers()):
        points = Space(table)(table) if layer is None else Layer(predictor, layer).fit(table, seed)
        each = silhouette_samples(points, label)
        error = float(each.std(ddof=1) / np.sqrt(len(each)))
        out.append({"layer": "(cells)" if layer is None else layer, "silhouette": float(each.mean()), "error": error, "rows": len(each)})
    return pd.DataFrame(out)
