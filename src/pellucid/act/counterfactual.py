"""Counterfactuals: the smallest joint changes, within the rules, after which the model gives the wanted answer.

Every candidate is a mix of the person's row and a donor: an accepted training row brought within the rules, or the row made of the best
single cells. A set of columns is grown greedily until the answer is the wanted one and cut down again; numbers then move back towards the
person's own as far as the answer stays. What is listed has been asked of the model again, as a whole row, and keeps every rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.act.case import Case
from pellucid.act.changes import differ
from pellucid.act.polish import moved_back
from pellucid.act.search import ACCEPTED, Donors, accepted_rows, donors_of, reached_sets
from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Actions

__all__ = ["act", "no_changes", "no_options"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
POLISHED = 6  # candidates of one person whose numbers are moved back
NEIGHBOURS = 5


def no_options() -> pd.DataFrame:
    """Return an empty table of options."""
    return pd.DataFrame(
        {c: [] for c in ("row", "option", "prediction", "margin", "changes", "distance", "plausible", "valid", "what")}
    )  # fmt: skip


def no_changes() -> pd.DataFrame:
    """Return an empty table of changed cells."""
    return pd.DataFrame({c: [] for c in ("row", "option", "column", "before", "after")})


def act(case: Case) -> Actions:
    """Return up to ``options`` joint changes per row that reach the goal.

    Wachter, Mittelstadt, Russell 2017, arXiv:1711.00399; diversity in the sense of Mothilal, Sharma, Tan 2020, arXiv:1905.07697.
    Cost: per person, ``donors`` + 1 searches of at most C (C + 1) / 2 mixes, most of which are shared.

    # NOTE[DIFF] diversity is by sets of columns, none of which holds another, not by a determinant of distances: options differ in what
    must be done, and each can be read alone.
    """
    n = len(case.table)
    _check(case)
    everyone = np.arange(n)
    case.need(2 * n + min(len(case.kept), ACCEPTED))
    reached = case.wanted.met(case.answers(everyone, case.changes.own))
    persons = np.flatnonzero(~reached)
    accepted = accepted_rows(case)
    donors, best = donors_of(case, persons, accepted)
    found = (
        reached_sets(case, donors) if len(donors.person) else (np.zeros(0, np.int64), np.zeros((0, case.changes.own.shape[1]), bool), False)
    )
    options, changes, has = _listed(case, donors, *found[:2])
    why = [_why(case, i, accepted, best, found[2]) for i in persons.tolist() if i not in has]
    unreached = pd.DataFrame({"row": case.table.index[[i for i in persons if i not in has]], "why": why})
    columns = np.flatnonzero(case.changes.movable)
    blank = np.full((n, len(columns)), np.nan)
    return Actions(
        index=case.table.index, columns=tuple(case.changes.columns[j] for j in columns), responsiveness=blank,
        interval=np.repeat(blank[..., None], 2, 2), reached=reached, fixed=np.zeros(n, bool), options=options, changes=changes,
        want=case.wanted.words, rules=case.changes.words(), method=case.method, unreached=unreached,
        record=case.record(
            {"share_reached": float(len(has) / len(persons)) if len(persons) else None, "accepted_rows": len(accepted)},
            ("options are what the search found; a smaller change may exist",),
        ),
    )  # fmt: skip


def _check(case: Case) -> None:
    for name in ("options", "donors"):
        if int(case.options[name]) < 1:
            raise RequestError(f"{name} cannot be used", expected="at least 1", got=str(case.options[name]))


def _listed(case: Case, donors: Donors, pairs: Ints, z: BoolArray) -> tuple[pd.DataFrame, pd.DataFrame, set[int]]:
    """Return options, changed cells and the persons who have any: polished, tried again as whole rows, diverse, cheapest first."""
    changes = case.changes
    person = donors.person[pairs]
    rows = np.where(z, donors.codes[pairs], changes.own[person])
    cheap = _cheapest(person, changes.distances(changes.own[person], rows).sum(1), POLISHED)
    person, rows = person[cheap], rows[cheap]
    rows = changes.linked(person, moved_back(case, person, rows))
    raw = case.answers(person, rows)
    good = case.wanted.met(raw) & changes.may(person, rows).all(1) & changes.keeps(person, rows)
    person, rows, raw = person[good], rows[good], raw[good]
    kept = _diverse(person, differ(changes.own[person], rows), changes.distances(changes.own[person], rows).sum(1), case)
    return (*_frames(case, person[kept], rows[kept], raw[kept]), set(person[kept].tolist()))


def _cheapest(person: Ints, cost: FloatArray, most: int) -> Ints:
    """Return the places of the ``most`` cheapest of each person."""
    order = np.lexsort((cost, person))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(person[order])) + 1]) if len(order) else np.zeros(0, int)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order)))) if len(order) else np.zeros(0, int)
    return np.asarray(order[place < most])


def _diverse(person: Ints, sets: BoolArray, cost: FloatArray, case: Case) -> Ints:
    """Return the places of the options to list: the cheapest first, each with a set of columns that holds no listed one and is in none."""
    most, kept = int(case.options["options"]), []
    order = np.lexsort((cost, person))
    for block in np.split(order, np.flatnonzero(np.diff(person[order])) + 1) if len(order) else []:
        mine: list[int] = []
        for i in block.tolist():
            nested = any((sets[i] <= sets[k]).all() or (sets[k] <= sets[i]).all() for k in mine)
            if not nested and len(mine) < most:
                mine.append(i)
        kept += mine
    return np.array(kept, np.int64)


def _frames(case: Case, person: Ints, rows: FloatArray, raw: FloatArray) -> tuple[pd.DataFrame, pd.DataFrame]:
    if not len(person):
        return no_options(), no_changes()
    changes = case.changes
    own = changes.own[person]
    changed = differ(own, rows)
    number = np.arange(len(person)) - np.searchsorted(person, person) + 1
    index = case.table.index[person]
    plausible = _plausible(case, rows)
    cells = [
        (index[i], int(number[i]), changes.columns[j], changes.say(j, own[i, j]), changes.say(j, rows[i, j]))
        for i, j in zip(*np.nonzero(changed))
    ]
    what = ["; ".join(_step(changes, j, own[i, j], rows[i, j]) for j in np.flatnonzero(changed[i]).tolist()) for i in range(len(person))]
    options = pd.DataFrame(
        {
            "row": index, "option": number, "prediction": _predictions(case, raw), "margin": case.wanted.margin(raw),
            "changes": changed.sum(1), "distance": changes.distances(own, rows).sum(1), "plausible": plausible,
            "valid": np.ones(len(person), bool), "what": what,
        }
    )  # fmt: skip
    return options, pd.DataFrame(cells, columns=["row", "option", "column", "before", "after"], dtype=object)


def _step(changes: Any, j: int, before: float, after: float) -> str:
    unit = changes.schema[changes.columns[j]].unit
    return f"{changes.columns[j]}: {changes.say(j, before)} to {changes.say(j, after)}" + (f" {unit}" if unit else "")


def _predictions(case: Case, raw: FloatArray) -> npt.NDArray[Any]:
    """Return the model's answers as users read them: class labels, or the number asked for."""
    if not case.view.classes:
        return np.asarray(raw[:, case.wanted.output])
    level = 0.5 if case.view.scale == "probability" else 0.0
    place = raw.argmax(1) if raw.shape[1] > 1 else (raw[:, 0] > level).astype(int)
    return np.asarray(np.asarray(case.view.classes, object)[place])


def _plausible(case: Case, rows: FloatArray) -> FloatArray:
    """Return (n,): the share of training rows that lie as far from their five nearest as a changed row does from its own."""
    changes = case.changes
    kept = changes.known[np.sort(stream(case.seed, "plausible").permutation(len(changes.known))[:ACCEPTED])]
    usual = np.sort(_apart(changes, kept, kept, own=True))
    return np.asarray(1.0 - np.searchsorted(usual, _apart(changes, rows, kept) - 1e-12) / max(len(usual), 1))


def _apart(changes: Any, rows: FloatArray, kept: FloatArray, own: bool = False) -> FloatArray:
    """Return (n,) mean distances to the nearest kept rows; ``own``: a row is not its own neighbour."""
    out = np.empty(len(rows))
    for s in range(0, len(rows), 128):
        distance = changes.distances(rows[s : s + 128, None], kept[None]).sum(-1)
        if own:
            distance[np.arange(len(distance)), s + np.arange(len(distance))] = np.inf
        k = min(NEIGHBOURS, max(1, len(kept) - own))
        out[s : s + 128] = np.sort(distance, axis=1)[:, :k].mean(1)
    return out


def _why(case: Case, i: int, accepted: FloatArray, best: FloatArray, short: bool) -> str:
    """Return why a row has no option."""
    if short:
        return "none found: the budget ran out before the search ended"
    if not case.changes.movable.any():
        return "none found: the rules let no column change"
    words = "none found: " + ("" if len(accepted) else "no training row has the wanted answer; ")
    if case.wanted.enough(best[i : i + 1])[0]:
        return words + "the changes that reach the answer break a joint rule"
    return words + f"with the best allowed cell in every column the answer is still {-best[i]:.3g} {case.view.scale} short of it"
