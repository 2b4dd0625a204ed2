"""Seeing a table: maps of its rows and of a network's layers, scatters, rows that stand for the others; one file a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.results import Map, Representatives, Scatter

__all__ = ["map"]


def map(
    subject: Any,
    *,
    method: str = "pca",
    X: Any = None,
    layer: str | None = None,
    columns: Sequence[str] | str | None = None,
    row_model: Any = None,
    random_state: Any = 0,
    options: Mapping[str, Any] | None = None,
) -> Map | Scatter | Representatives:
    """Put the rows of a table, or what a network's layer makes of them, on a plane; with figures of how far to believe it.

    Parameters
    ----------
    subject : a table (Table, frame or path), a fitted model (then with ``X``), or a fitted row model (with ``X``).
    method : a name from ``pellucid.methods("map")``: maps ``pca``, ``classical_mds``, ``mds``, ``sne``, ``tsne``, ``umap``,
        ``autoencoder2d``; ``scatter`` of up to five columns; ``representatives``, the rows that stand for the others.
    X : rows for the model, with their target where it is known. Best rows that the model has not learned from.
    layer : a layer of the network, ``"last"`` for what its output layer reads; None maps the cells, beside the model's answers.
    columns : the columns whose cells are mapped; by default all that a model would read, without the target.
    row_model : a fitted :class:`pellucid.RowModel`, for ``autoencoder2d``.
    options : settings of the method's own, such as ``{"rows": 2000}``; ``pellucid.methods("map")`` lists them with their defaults.

    Returns
    -------
    Map, or Scatter or Representatives for the methods of these names.

    Raises
    ------
    RequestError : an unknown method, layer or option, or rows that are missing. ColumnError : no usable column.
    EmptyTableError : fewer than 8 rows.

    Notes
    -----
    Rows of mixed cells are compared as :class:`pellucid.maps.space.Space` says. Beside every map stand the same figures of a map of
    column-shuffled rows, in which there is nothing to see, and a second map.

    Examples
    --------
    >>> import numpy as np, pandas as pd, pellucid.maps
    >>> draw = np.random.default_rng(0)
    >>> group = np.repeat([0, 1, 2], 40)
    >>> frame = pd.DataFrame({c: 8 * (group == k) + draw.normal(size=120) for k, c in enumerate("abc")})
    >>> seen = pellucid.maps.map(frame)
    >>> seen.figure("trustworthiness") > 0.9, seen.place(frame.head(2)).shape
    (True, (2, 3))
    """
    from pellucid import registry
    from pellucid.maps.ask import ask
    from pellucid.maps.make import make

    entry = registry.get("map", method)
    find = registry.resolve(entry)
    request = ask(
        subject, entry, X=X, layer=layer, columns=columns, row_model=row_model, random_state=random_state, options=options
    )  # fmt: skip
    made: Map | Scatter | Representatives = make(request, find) if entry.gives == "Map" else find(request)
    return made
