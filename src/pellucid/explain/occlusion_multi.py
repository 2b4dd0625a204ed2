"""Occlusion at every scale: single columns, branches of columns that go together, all columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames, afford
from pellucid.probe.grouping import Tree, leaves, nodes, player_tree
from pellucid.results import Interactions

__all__ = ["explain", "tree_sets"]


def explain(question: Question) -> Interactions:
    """Return v(N) - v(N without the branch) for every branch of the column tree, leaves and root included.

    ``options["tree"]``: nested lists of players; None takes the tree of correlated columns. Where two columns say the same, each alone can
    be spared and both look idle; the branch that holds them shows what they are worth. Zeiler and Fergus 2014, arXiv:1311.2901; at several
    scales after Zintgraf, Cohen, Adel and Welling 2017, arXiv:1702.04595. The values are exact for the background in use;
    under the conditional fill their errors count what other background rows would change. Cost: at most 2 P B model rows per row.
    """
    tree = player_tree(question.kept, question.players, question.view.columns, question.options["tree"], question.seed)
    sets, members = tree_sets(tree, question.players.names)
    rows = RowGames(question)
    inner = ~members.all(1)
    afford(question, rows, int(inner.sum()) * rows.back_cost, "occlusion at every scale")
    n, out = len(question.table), np.empty((len(question.table), len(sets), len(rows.nobody)))
    out[:, ~inner] = (rows.everybody - rows.nobody)[:, None]
    z = ~members[inner]
    without = rows.values(np.repeat(np.arange(n), len(z)), np.tile(z, (n, 1)))
    out[:, inner] = rows.everybody[:, None] - without.reshape(n, len(z), out.shape[2])
    values, error = rows.told(out)
    return Interactions(
        sets=sets,
        by_set=values,
        error=error,
        columns=question.players.names,
        outputs=question.view.outputs,
        scale=question.view.scale,
        index="occlusion",
        method=question.method,
        record=question.record(caveats=rows.about_errors),
        data=question.table.frame,
    )


def tree_sets(tree: Tree, names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], ...], npt.NDArray[np.bool_]]:
    """Return (the columns of every branch, small ones first; who belongs to each (S, P))."""
    found = dict.fromkeys(tuple(sorted(leaves(node), key=names.index)) for node in nodes(tree))
    sets = tuple(sorted(found, key=lambda s: (len(s), [names.index(c) for c in s])))
    return sets, np.array([[name in s for name in names] for s in sets], bool)
