"""The search for joint changes: donors, and the sets of columns in which a person takes a donor's cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.act.case import Case
from pellucid.act.changes import differ
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["ACCEPTED", "Donors", "accepted_rows", "donors_of", "reached_sets"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ACCEPTED = 500  # training rows looked at
CELLS = 16  # values of one column tried for the row of best single cells


@dataclass(frozen=True)
class Donors:
    """The donor rows of all persons: (G,) whose they are, and their codes (G, C), within the rules of the single columns."""

    person: Ints
    codes: FloatArray


class Search:
    """Answers to mixes of persons and donors."""

    def __init__(self, case: Case, donors: Donors) -> None:
        self.case, self.donors = case, donors
        self.own = case.changes.own[donors.person]
        self.engine: CoalitionEngine | None = None
        if not case.changes.links:  # a mix of cells is a coalition as long as no column follows others
            table = case.changes.cells(donors.person, donors.codes)
            self.engine = CoalitionEngine(case.view, case.table, table, Players.of(case.view.columns))

    def mixed(self, pair: Ints, z: BoolArray) -> FloatArray:
        """Return the mixed rows (n, C): the donor's cells where ``z`` (n, C), then what follows from them."""
        codes = np.where(z, self.donors.codes[pair], self.own[pair])
        return self.case.changes.linked(self.donors.person[pair], codes)

    def margin(self, pair: Ints, z: BoolArray) -> tuple[FloatArray, BoolArray]:
        """Return the margins (n,) of mixes, and whether they keep the joint rules and reach the goal."""
        case, person = self.case, self.donors.person[pair]
        codes = self.mixed(pair, z) if case.changes.links or case.changes.conditions else None
        if self.engine is not None:
            raw = self.engine.evaluate(person, pair, ~z)
        else:
            assert codes is not None
            raw = case.answers(person, codes)
        margin = case.wanted.margin(raw)
        met = case.wanted.enough(margin)
        return margin, met if codes is None else met & case.changes.keeps(person, codes)


def accepted_rows(case: Case) -> FloatArray:
    """Return the codes (M, C) of training rows that the model answers as wanted, at most ``ACCEPTED`` looked at."""
    kept = case.changes.known
    few = np.sort(stream(case.seed, "accepted").permutation(len(kept))[:ACCEPTED])
    return kept[few][case.wanted.met(case.view.raw(case.kept.take(few)))]


def donors_of(case: Case, persons: Ints, accepted: FloatArray) -> tuple[Donors, FloatArray]:
    """Return the donors of the persons, and the best margin (N,) that the row of best single cells has."""
    changes, most = case.changes, int(case.options["donors"])
    who, codes = [], []
    best, margin = _best_cells(case, persons)
    who.append(persons)
    codes.append(best)
    for s in range(0, len(persons) if len(accepted) else 0, 256):
        block = persons[s : s + 256]
        distance = changes.distances(changes.own[block][:, None], accepted[None]).sum(-1)
        near = np.argsort(distance, axis=1, kind="stable")[:, :most]
        person = np.repeat(block, near.shape[1])
        who.append(person)
        codes.append(changes.toward(person, accepted[near.reshape(-1)]))
    person, donor = np.concatenate(who), np.concatenate(codes)
    moves = differ(changes.own[person], donor).any(1)
    every = np.full(len(case.table), -np.inf)
    every[persons] = margin
    return Donors(person[moves], donor[moves]), every


def _best_cells(case: Case, persons: Ints) -> tuple[FloatArray, FloatArray]:
    """Return the rows (n, C) whose every cell is the one that alone brings the answer nearest to the goal, and their margins (n,)."""
    changes = case.changes
    out = changes.own[persons].copy()
    base = case.wanted.margin(case.answers(persons, out))
    for j in np.flatnonzero(changes.movable).tolist():
        values, counts = _few(*changes.candidates(persons, j, CELLS, case.seed)[:2])
        if not case.affords(int(counts.sum())):
            break
        row, at = np.nonzero(counts)
        codes = changes.own[persons[row]]
        codes[:, j] = values[row, at]
        margin = np.full(values.shape, -np.inf)
        margin[row, at] = case.wanted.margin(case.answers(persons[row], changes.linked(persons[row], codes)))
        top = margin.argmax(1) if values.shape[1] else np.zeros(len(persons), int)
        if values.shape[1]:
            better = margin.max(1) > base
            out[:, j] = np.where(better, values[np.arange(len(persons)), top], out[:, j])
    return out, case.wanted.margin(case.answers(persons, changes.linked(persons, out)))


def _few(values: FloatArray, counts: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Return ``CELLS`` of the values that count in each row, evenly spread, the ends among them."""
    if values.shape[1] <= CELLS:
        return values, counts
    order = np.argsort(np.where(counts, values, np.inf), axis=1, kind="stable")
    size = counts.sum(1)
    place = np.round(np.linspace(0, 1, CELLS)[None] * np.maximum(size - 1, 0)[:, None]).astype(int)
    at = np.take_along_axis(order, place, 1)
    return np.take_along_axis(values, at, 1), np.repeat((size > 0)[:, None], CELLS, 1)


def reached_sets(case: Case, donors: Donors) -> tuple[Ints, BoolArray, bool]:
    """Return the pairs that reach the goal, their sets of columns (n, C), and whether the budget ended the search."""
    if not len(donors.person):
        return np.zeros(0, np.int64), np.zeros((0, case.changes.own.shape[1]), bool), False
    search = Search(case, donors)
    pairs = np.arange(len(donors.person))
    usable = differ(search.own, donors.codes)
    z, done, short = np.zeros_like(usable), np.zeros(len(pairs), bool), False
    for _ in range(usable.shape[1]):
        pair, column = np.nonzero(usable & ~z & ~done[:, None])
        if not len(pair):
            break
        if not case.affords(len(pair)):
            short = True
            break
        trial = z[pair].copy()
        trial[np.arange(len(pair)), column] = True
        margin, met = search.margin(pair, trial)
        grown = _first_best(pair, np.where(met, np.inf, margin), margin)
        z[pair[grown], column[grown]] = True
        done[pair[grown]] = met[grown]
    pairs = np.flatnonzero(done)
    return pairs, _cut(case, search, pairs, z[pairs]), short


def _first_best(group: Ints, first: FloatArray, then: FloatArray) -> Ints:
    """Return the place of the largest (``first``, ``then``) of each group."""
    order = np.lexsort((-then, -first, group))
    return np.asarray(order[np.concatenate([[True], np.diff(group[order]) != 0])])


def _cut(case: Case, search: Search, pairs: Ints, z: BoolArray) -> BoolArray:
    """Return the sets (n, C) without the columns that are not needed, the farthest moves given up first."""
    z, gap = z.copy(), case.changes.distances(search.own[pairs], search.donors.codes[pairs])
    open_ = z.sum(1) > 1
    while open_.any():
        at, column = np.nonzero(z & open_[:, None])
        if not case.affords(len(at)):
            break
        trial = z[at].copy()
        trial[np.arange(len(at)), column] = False
        _, met = search.margin(pairs[at], trial)
        open_[:] = False
        if met.any():
            at, column = at[met], column[met]
            gone = _first_best(at, gap[at, column], np.zeros(len(at)))
            z[at[gone], column[gone]] = False
            open_[at[gone]] = z[at[gone]].sum(1) > 1
    return z
