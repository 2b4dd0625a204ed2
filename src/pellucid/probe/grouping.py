"""Which columns say the same? Association of columns of any types, a tree of columns, and groups to explain together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, RequestError, quote
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.table import ColumnType, Table, read_table

__all__ = ["Tree", "association", "column_tree", "leaves", "nodes", "player_tree", "propose_groups", "read_tree"]

Tree = Any  # a name, or a tuple of trees
MOST_ROWS = 4000
LEAST = 0.2
"""Association below which columns stand side by side in the tree: their order of merging would be chance."""


def association(table: Table, columns: Sequence[str] | None = None, seed: int = 0) -> FloatArray:
    """Return how strongly columns go together, (C, C), from 0 (not at all) to 1 (one tells the other), 1 on the diagonal.

    Numbers and dates: |Spearman| over the rows where both are known. Two level columns: Cramer's V without its bias (Bergsma 2013,
    doi:10.1016/j.jkss.2012.10.002). A number and levels: the correlation ratio of the number's ranks without its bias (Kelley 1935,
    doi:10.1073/pnas.21.9.554). Missing is a level of its own. At most 4,000 rows are read. Cost: C^2 N.

    Examples
    --------
    >>> table = read_table({"a": list(range(50)), "b": [3 * v for v in range(50)]})
    >>> association(table).round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    names = list(table.features if columns is None else columns)
    if len(table) > MOST_ROWS:
        table = table.take(np.sort(stream(seed, "association").choice(len(table), MOST_ROWS, replace=False)))
    is_number = [table.schema[c].type in (ColumnType.NUMBER, ColumnType.DATE) for c in names]
    numbers = [j for j, here in enumerate(is_number) if here]
    levels = [j for j, here in enumerate(is_number) if not here]
    out = np.eye(len(names))
    ranks, known = _ranks(table, [names[j] for j in numbers])
    out[np.ix_(numbers, numbers)] = _spearman(ranks, known)
    codes = {j: np.unique(table.levels(names[j])[0], return_inverse=True)[1] for j in levels}
    for k, i in enumerate(levels):
        for j in levels[k + 1 :]:
            out[i, j] = out[j, i] = _cramer(codes[i], codes[j])
        for c, j in enumerate(numbers):
            here = known[:, c]
            out[i, j] = out[j, i] = _ratio(codes[i][here], ranks[here, c])
    np.fill_diagonal(out, 1.0)
    return out


def _ranks(table: Table, names: Sequence[str]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (ranks among the known cells, 0 where missing, (N, C); which cells are known)."""
    from scipy.stats import rankdata

    values = np.full((len(table), len(names)), np.nan)
    for j, name in enumerate(names):
        values[:, j] = table.numbers(name) if table.schema[name].type is ColumnType.NUMBER else table.seconds(name)
    known = ~np.isnan(values)
    ranks = rankdata(values, axis=0, nan_policy="omit") if values.size else values
    return np.where(known, np.asarray(ranks), 0.0), known


def _spearman(ranks: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return |correlations| of ranks over the rows where both are known, (C, C); 0 where one is constant or too little is known."""
    if not ranks.shape[1]:
        return np.zeros((0, 0))
    here = known.astype(float)
    size = here.T @ here
    count = np.maximum(size, 1)
    mean, square = ranks.T @ here / count, (ranks**2).T @ here / count  # of each column over the rows where the other is known
    variance = np.maximum(square - mean**2, 0)
    covariance = ranks.T @ ranks / count - mean * mean.T
    scale = np.sqrt(variance * variance.T)
    usable = (scale > 1e-9 * np.maximum(square, 1e-300)) & (size > 2)
    return np.asarray(np.clip(np.where(usable, np.abs(covariance) / np.where(usable, scale, 1.0), 0.0), 0.0, 1.0))


def _cramer(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    """Return Cramer's V of two columns of codes, its bias removed."""
    n = len(a)
    rows, columns = np.bincount(a), np.bincount(b)
    r, k = len(rows), len(columns)
    if min(r, k) < 2 or n < 2:
        return 0.0
    pair, count = np.unique(a.astype(np.int64) * k + b, return_counts=True)
    phi = (count**2 / (rows[pair // k] * columns[pair % k])).sum() - 1
    corrected = max(0.0, phi - (r - 1) * (k - 1) / (n - 1))
    fewer = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(corrected / fewer))) if fewer > 1e-9 else 0.0


def _ratio(codes: npt.NDArray[np.int64], ranks: FloatArray) -> float:
    """Return the correlation ratio of ranks by levels, its bias removed."""
    n = len(ranks)
    total = float(np.square(ranks - ranks.mean()).sum()) if n else 0.0
    size = np.bincount(codes)
    k = int((size > 0).sum())
    if total <= 0 or k < 2 or n <= k:
        return 0.0
    mean = np.bincount(codes, ranks) / np.maximum(size, 1)
    share = (size * np.square(mean - ranks.mean())).sum() / total
    return float(np.sqrt(np.clip(1 - (1 - share) * (n - 1) / (n - k), 0.0, 1.0)))


# ---------------------------------------------------------------- trees


def column_tree(strength: FloatArray, names: Sequence[str], least: float = LEAST) -> Tree:
    """Return the tree of columns by average linkage of 1 - association: nested tuples of names.

    Columns or branches with a mean association below ``least`` stand side by side at the root.

    Examples
    --------
    >>> column_tree(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1.0]]), ("a", "b", "c"))
    (('a', 'b'), 'c')
    """
    found = _clusters(strength, names, least)
    return found[0] if len(found) == 1 and isinstance(found[0], tuple) else tuple(found)


def _clusters(strength: FloatArray, names: Sequence[str], least: float) -> list[Tree]:
    """Return the trees that average linkage grows until no two of them reach a mean association of ``least``, in the order of ``names``."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    if len(names) < 2:
        return list(names)
    distance = 1 - (strength + strength.T) / 2
    np.fill_diagonal(distance, 0.0)
    trees: dict[int, tuple[int, Tree]] = {j: (j, name) for j, name in enumerate(names)}  # number -> (first column, tree)
    for step, (a, b, far, _) in enumerate(linkage(squareform(np.maximum(distance, 0), checks=False), "average")):
        if far > 1 - least + 1e-9:  # average linkage never comes closer again
            break
        one, two = sorted((trees.pop(int(a)), trees.pop(int(b))), key=lambda t: t[0])
        trees[len(names) + step] = (one[0], (one[1], two[1]))
    return [tree for _, tree in sorted(trees.values(), key=lambda t: t[0])]


def player_tree(table: Table, players: Players, columns: Sequence[str], given: Any = None, seed: int = 0) -> Tree:
    """Return the tree of players that was given, or the one that their columns' mean association proposes."""
    if given is not None:
        return read_tree(given, players.names)
    member = np.zeros((len(players), len(columns)))
    member[players.of_column, np.arange(len(columns))] = 1.0
    member /= member.sum(1, keepdims=True)
    return column_tree(member @ association(table, columns, seed) @ member.T, players.names)


def read_tree(given: Any, names: Sequence[str]) -> Tree:
    """Return nested lists of player names as nested tuples; players that are not named stand at the root."""
    tree = _frozen(given)
    named = leaves(tree)
    unknown = [n for n in named if n not in names]
    double = [n for k, n in enumerate(named) if n in named[:k]]
    if unknown or double:
        raise RequestError(
            "the tree of columns cannot be used",
            expected=f"each of {quote(names, 12)} at most once",
            got=f"unknown: {quote(unknown)}" if unknown else f"twice: {quote(double)}",
        )
    rest = tuple(n for n in names if n not in named)
    return (tree, *rest) if isinstance(tree, str) else (*tree, *rest)


def _frozen(given: Any) -> Tree:
    if isinstance(given, str):
        return given
    if not isinstance(given, list | tuple):
        raise ArgumentError("the tree of columns cannot be used", expected="nested lists of names", got=type(given).__name__)
    return tuple(_frozen(g) for g in given if not (isinstance(g, list | tuple) and not g))


def leaves(tree: Tree) -> list[str]:
    """Return the names in a tree, in its order."""
    return [tree] if isinstance(tree, str) else [name for branch in tree for name in leaves(branch)]


def nodes(tree: Tree) -> Iterator[Tree]:
    """Yield the tree and all its branches, leaves included, parents first; a branch of one child is its child."""
    if not isinstance(tree, str) and len(tree) == 1:
        yield from nodes(tree[0])
        return
    yield tree
    if not isinstance(tree, str):
        for branch in tree:
            yield from nodes(branch)


# ---------------------------------------------------------------- groups


def propose_groups(table: Any, threshold: float = 0.7) -> Mapping[str, tuple[str, ...]]:
    """Return groups of columns that say much the same, for ``groups=`` of the explanations: name -> columns.

    Parameters
    ----------
    table : a Table, or anything that ``pellucid.read_table`` reads.
    threshold : least mean association within a group; 1 groups only copies.

    Columns that stand alone are left out. Where two columns say the same, a contribution is divided between them in a way that no data can
    settle; together they have one that can. Cost: see :func:`pellucid.probe.grouping.association`.

    Examples
    --------
    >>> propose_groups({"cm": [1.0, 2.0, 3.0, 5.0], "inch": [0.4, 0.8, 1.2, 2.0], "sex": ["F", "M", "M", "F"]})
    {'cm + inch': ('cm', 'inch')}
    """
    if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise RequestError("the threshold cannot be used", expected="a number above 0 and at most 1", got=repr(threshold))
    table = table if isinstance(table, Table) else read_table(table)
    names = table.features
    if len(names) < 2:
        return {}
    found = _clusters(association(table, names), names, float(threshold))
    out: dict[str, tuple[str, ...]] = {}
    for members in (leaves(tree) for tree in found if not isinstance(tree, str)):
        name = " + ".join(members) if len(members) <= 3 else f"{members[0]} + {len(members) - 1} more"
        while name in names or name in out:
            name += " "
        out[name] = tuple(members)
    return out
