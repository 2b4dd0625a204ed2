"""Keep copies in one part: how much of the score was memory?"""

from __future__ import annotations

import numpy as np

from pellucid.audit.neighbours import coordinates, nearest
from pellucid.audit.view import View
from pellucid.evaluate.case import NotTestable
from pellucid.evaluate.effect import FOLDS, Ground, Remedy
from pellucid.random import stream

__all__ = ["remedy"]


def remedy(ground: Ground) -> Remedy:
    """Return the remedy: folds in which copies, or near copies, stay together, against folds at random. Memory is proven where the score
    falls.

    Contradicting labels are judged by learning without the rows concerned.
    """
    finding = ground.finding
    if not len(finding.rows):
        raise NotTestable("the finding names no rows")
    if "contradicting" in finding.kind:
        rows = finding.rows
        words = f"learning without {len(rows):,} rows that contradict each other"
        return Remedy(words, "they taught the model wrong", "no gain is shown, so that they may stay", True, without=rows)
    groups = _near(ground) if finding.kind.startswith("near") else View(ground.table, seed=ground.seed).row_codes(ground.features)
    fold = stream(ground.seed, "folds", "copies").integers(0, FOLDS, int(groups.max()) + 1)[groups]
    kind = "near copies" if finding.kind.startswith("near") else "copies"
    none = "no fall is shown, so that copies did not flatter this model"
    return Remedy(f"keeping {kind} in one part", "part of the score was memory of copies", none, False, folds=np.asarray(fold, np.int64))


def _near(ground: Ground) -> np.ndarray:
    """Return group numbers (N,): rows of the finding that lie next to each other share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    view, rows = View(ground.table, seed=ground.seed), ground.finding.rows
    at = nearest(coordinates(view, ground.features, rows), 1)[1][:, 0]
    n = len(ground.table)
    graph = coo_array((np.ones(len(rows)), (rows, rows[at])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
