"""Numbers of a found change moved back towards the person's own, as far as the wanted answer stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.act.case import Case
from pellucid.protocols import FloatArray

__all__ = ["moved_back"]

Ints = npt.NDArray[np.int64]
HALVINGS = 12


def moved_back(case: Case, person: Ints, rows: FloatArray) -> FloatArray:
    """Return the rows (n, C) with each changed number as near to the person's own as the answer allows, the farthest moves first."""
    changes = case.changes
    own, out = changes.own[person], rows.copy()
    gap = changes.distances(own, rows)
    number = np.array([changes.is_number(j) and bool(changes.movable[j]) for j in range(rows.shape[1])])
    gap[:, ~number] = 0.0
    gap[np.isnan(own)] = 0.0
    for _ in range(int((gap > 0).sum(1).max(initial=0))):
        column = gap.argmax(1)
        moving = np.flatnonzero(gap.max(1) > 0)
        if not case.affords(HALVINGS * len(moving)):
            break
        _halve(case, person, out, own, moving, column[moving])
        gap[moving, column[moving]] = 0.0
    return out


def _halve(case: Case, person: Ints, out: FloatArray, own: FloatArray, at: Ints, column: Ints) -> None:
    """Move the cells (at, column) of ``out`` back by bisection, in place: the far end always reaches the goal."""
    near, far = np.zeros(len(at)), np.ones(len(at))
    end, start = out[at, column].copy(), own[at, column]
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        trial = out[at].copy()
        trial[np.arange(len(at)), column] = _place(case, person[at], column, start, start + middle * (end - start), end)
        full = case.changes.linked(person[at], trial)
        good = case.wanted.met(case.answers(person[at], full)) & case.changes.keeps(person[at], full)
        good &= case.changes.may(person[at], full).all(1)
        far, near = np.where(good, middle, far), np.where(good, near, middle)
    out[at, column] = _place(case, person[at], column, start, start + far * (end - start), end)


def _place(case: Case, person: Ints, column: Ints, own: FloatArray, values: FloatArray, end: FloatArray) -> FloatArray:
    """Return values where cells can stand: whole steps, known days, or a few digits, never short of ``values`` nor beyond ``end``."""
    out, changes = values.copy(), case.changes
    for j in np.unique(column).tolist():
        mine = np.flatnonzero(column == j)
        v, o, e, up = values[mine], own[mine], end[mine], end[mine] > own[mine]
        step = changes.rules[j].step or (1.0 if changes.whole[j] else None)
        if j in changes.days:
            known = changes.days[j]
            at = np.where(up, np.searchsorted(known, v), np.searchsorted(known, v, "right") - 1)
            v = known[np.clip(at, 0, len(known) - 1)]
        else:
            grid = step or 10.0 ** np.floor(np.log10(changes.scale[j] / 100))
            origin = o if changes.rules[j].step else np.zeros(len(o))
            k = (v - origin) / grid
            v = origin + np.where(up, np.ceil(k - 1e-9), np.floor(k + 1e-9)) * grid
            v = v if step else np.round(v, int(max(0, -np.floor(np.log10(grid)))))
        out[mine] = np.where(up, np.minimum(v, e), np.maximum(v, e))
    return out
