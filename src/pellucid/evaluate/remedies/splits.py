"""Split as the rows will be met: by group, by time or by blocks. How much of the score was knowing the neighbours?"""

from __future__ import annotations

import numpy as np

from pellucid.audit.across import moments
from pellucid.audit.view import View
from pellucid.evaluate.effect import FOLDS, Ground, Remedy
from pellucid.random import stream
from pellucid.table import Role

__all__ = ["remedy"]


def remedy(ground: Ground) -> Remedy:
    """Return the remedy: folds by the finding's group or moment, or by blocks of rows, against folds at random."""
    finding, view, n = ground.finding, View(ground.table, seed=ground.seed), len(ground.table)
    if finding.kind == "across: groups":
        codes = view.codes(finding.columns[0])
        codes = np.where(codes >= 0, codes, codes.max() + 1 + np.arange(n))  # rows without a group are groups of their own
        groups = np.unique(codes, return_inverse=True)[1].reshape(-1)
        fold = stream(ground.seed, "folds", "groups").integers(0, FOLDS, int(groups.max()) + 1)[groups]
        words = f"keeping each '{finding.columns[0]}' in one part"
        found = "part of the score was knowing the same group already"
    else:
        order = finding.columns[0] if finding.kind == "across: time" else ground.table.schema.role(Role.ORDER)
        place = np.arange(n) if order is None else np.argsort(np.argsort(moments(view, order), kind="stable"), kind="stable")
        fold = place * FOLDS // n
        words = f"splitting by blocks {'of rows' if order is None else f'of {order!r}'}"
        found = "part of the score was knowing the neighbours"
    return Remedy(
        words, found, "no fall is shown, so that a split at random did not flatter this model", False, folds=np.asarray(fold, np.int64)
    )
