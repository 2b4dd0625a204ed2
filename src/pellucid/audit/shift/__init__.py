"""Has the table changed? Column by column, as a whole, and what it cost the model. One file a kind of change; all read a ``Pair``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.results import Shift, Weights

__all__ = ["reweigh", "shift"]


def shift(
    old: Any,
    new: Any,
    *,
    model: Any = None,
    target: str | None = None,
    order: Sequence[str | Sequence[str]] | None = None,
    random_state: Any = 0,
) -> Shift:
    """Compare a new table with an old one: what changed, beyond chance and by how much, and which change cost the model how much.

    Parameters
    ----------
    old, new : tables, frames or files; the new one is read under the types of the old one. Columns of only one of them are named.
    model : a fitted model; with a target in both tables, the change of its loss is shared among the changes (``.cost``).
    target : name of the target; overrides the old table's own.
    order : for the cost: columns, or groups of columns, in an order in which the earlier ones may influence the later ones. By default the
        changed columns in the order of the table, then all others together. A change that works through other columns is put on itself
        where it stands before them.
    random_state : seed of samples, folds and permutations.

    Returns
    -------
    Shift, with ``.drift`` (a line per column), ``.joint``, ``.findings`` and ``.cost``.

    Raises
    ------
    ColumnError, EmptyTableError : the tables have no column in common, or one of them has fewer than 30 rows.

    Notes
    -----
    Numbers: Kolmogorov-Smirnov, Wasserstein distance over the old standard deviation. Categories: chi-square, total variation. A column has
    changed where the effect is above 0.1 and above 95 % of what chance shows, and its q-value (Benjamini-Hochberg) below 0.01: with many
    rows the test alone would find any trifle. Cost: a few fits of small boosted trees on at most 20,000 rows of each table.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> draw = np.random.default_rng(0)
    >>> old = pd.DataFrame({"age": draw.normal(40, 9, 400), "dose": draw.normal(5, 1, 400)})
    >>> new = pd.DataFrame({"age": draw.normal(50, 9, 400), "dose": draw.normal(5, 1, 400)})
    >>> shift(old, new).changed
    ('age',)
    """
    from pellucid.audit.shift.assemble import compare

    return compare(old, new, model=model, target=target, order=order, random_state=random_state)


def reweigh(old: Any, new: Any, *, method: str = "classifier", target: str | None = None, random_state: Any = 0) -> Weights:
    """Return weights under which the rows of the old table look like the new one: for ``fit(..., sample_weight=weights.values)``.

    Parameters
    ----------
    old, new : tables, frames or files.
    method : ``"classifier"``: the odds of a classifier that tells new rows from old ones, out of fold, clipped at probabilities of 0.02 and
        0.98. ``"hashed"``: the ratio of cell counts in a small hashed space, which reads texts and levels of any number, and takes
        columns as independent (importance resampling).
    target : a column left out; the old table's own by default. random_state : seed of folds.

    Returns
    -------
    Weights, of mean 1, with the effective sample size and how near the tables came.

    Raises
    ------
    RequestError : an unknown method, or tables that do not overlap: then no weights can help.

    Notes
    -----
    Shimodaira 2000, doi:10.1016/S0378-3758(00)00115-4; hashed: Xie, Santurkar, Ma, Liang 2023, arXiv:2302.03169. The weights are right
    where only the columns' distribution changed and not the target's relation to them. Cost: ten small fits on at most 20,000 rows of each
    table; hashed: one pass over the cells.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> draw = np.random.default_rng(0)
    >>> old, new = (pd.DataFrame({"age": draw.normal(m, 9, 2000)}) for m in (40, 45))
    >>> w = reweigh(old, new)
    >>> bool(abs(np.average(old["age"], weights=w.values) - new["age"].mean()) < 0.5)
    True
    """
    from pellucid.audit.shift.weights import weigh

    return weigh(old, new, method=method, target=target, random_state=random_state)
