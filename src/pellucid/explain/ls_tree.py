"""Least squares over a tree of columns: what each column is worth, and which branch is more than the sum of its parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.explain.occlusion_multi import tree_sets
from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames, afford
from pellucid.probe.grouping import player_tree
from pellucid.protocols import FloatArray
from pellucid.results import Interactions

__all__ = ["deleted_residual", "explain", "slopes"]


def explain(question: Question) -> Interactions:
    """Return the least-squares worth of every column, and for every branch how far it departs from the worth of its parts.

    Chen and Jordan 2019, arXiv:1902.04187. The answers with one branch known alone, v(branch), are fitted by a constant and one slope per
    column: the column's value (over the power set instead of a tree this is the Banzhaf value). A branch's value is v(branch) less what a
    fit to its own branches, without itself, foretells: 0 for an additive model, v(ab) - v(a) - v(b) + v() for two columns.
    ``options["tree"]``: nested lists of players; None takes the tree of correlated columns. The values are exact for the
    background in use; under the conditional fill their errors count what other background rows would change.
    Cost: at most 2 P B model rows per row.

    # NOTE[DIFF] The source takes the distance between the fits with and without the branch as an unsigned score; the left-out branch's own
    residual, which that distance is proportional to, keeps the sign and the unit of the answer.
    """
    tree = player_tree(question.kept, question.players, question.view.columns, question.options["tree"], question.seed)
    sets, members = tree_sets(tree, question.players.names)
    rows = RowGames(question)
    inner = ~members.all(1)
    afford(question, rows, int(inner.sum()) * rows.back_cost, "a fit over the tree")
    n, o = len(question.table), len(rows.nobody)
    v = np.empty((n, len(sets), o))
    v[:, ~inner] = rows.everybody[:, None]
    z = members[inner]
    v[:, inner] = rows.values(np.repeat(np.arange(n), len(z)), np.tile(z, (n, 1))).reshape(n, len(z), o)
    v -= rows.nobody
    single = members.sum(1) == 1
    out = np.empty_like(v)
    out[:, single] = np.einsum("ps,nso->npo", slopes(members), v)[:, members[single].argmax(1)]
    for k in np.flatnonzero(~single):
        below = np.flatnonzero(~(members & ~members[k]).any(1) & (np.arange(len(sets)) != k))
        out[:, k] = v[:, k] - np.einsum("s,nso->no", deleted_residual(members[below], members[k]), v[:, below])
    values, error = rows.told(out)
    return Interactions(
        sets=sets,
        by_set=values,
        error=error,
        columns=question.players.names,
        outputs=question.view.outputs,
        scale=question.view.scale,
        index="ls-tree",
        method=question.method,
        record=question.record(caveats=rows.about_errors),
        data=question.table.frame,
    )


def _fit(members: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (1 + P, S): what takes the worths of the sets S, above the worth of nobody, to constant and slopes."""
    x = np.column_stack([np.ones(len(members) + 1), np.concatenate([np.zeros((1, members.shape[1])), members])])
    return np.asarray(np.linalg.pinv(x)[:, 1:])  # the first line is nobody, whose worth is 0


def slopes(members: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (P, S) with the least-squares worth of the players being slopes @ (v - v of nobody).

    Examples
    --------
    >>> power_set = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)
    >>> (slopes(power_set) @ [400, 560, 740, 720, 780, 980, 1000]).round(6).tolist()  # the Banzhaf values of a game
    [165.0, 345.0, 445.0]
    """
    return _fit(members)[1:]


def deleted_residual(below: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (S,) with what the fit to the sets ``below`` foretells of ``whole`` being their product with the worths of ``below``."""
    fit = _fit(below)
    return np.asarray(fit[0] + whole.astype(float) @ fit[1:])
