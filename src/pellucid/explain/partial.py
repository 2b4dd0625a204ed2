"""Answers from part of a row's games: the guesses of all games, put right by those that were played.

A guess of every game's values costs next to nothing where a network shows its slopes. The mean of all guesses plus the mean amount by which
the games played differ from theirs is an unbiased estimate (a control variate), and its error is that of the differences alone. The games
whose guesses are most doubtful are all played; the others are a simple random sample, in an order of their own for each row.

Letters: R rows, B games a row (one per background row), G = R B games, row by row; P players, O outputs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.explain.games import Games
from pellucid.intervals import widening
from pellucid.probe.hashing import name_hashes, uniforms
from pellucid.protocols import FloatArray

__all__ = ["UNKNOWN", "Guess", "Known", "Part", "Share", "guess_of"]

FIRST = 8
"""Games of a row that are played before its error is judged."""
SURE = 4
"""One game in so many of those played is taken for its doubt, not by chance."""
MUCH = 0.6
"""Share of a row's games from which on some are played twice: what is left of the error is then that of the passes, not of the games."""
AGAIN = 8
"""One game in so many of those played is then played twice."""
LEAST_AGAIN = 4
CERTAIN = 3
"""Rounds in which games are found that are drawn for certain."""
SHARED = 3
"""Trials of a number of games by what those of the last one cost, before the number is looked for by halves."""
NEARLY = 0.8
"""Share of a row's games from which on all of them are played."""
TINY = 1e-300
SMALL = 1e-200  # hashes of 64 bits can be divided by it
_TURN, _TWICE = name_hashes(("turn",)), name_hashes(("twice",))

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Guess:
    """What the values of games will be about.

    Attributes
    ----------
    values : (G, P, O), 0 for inactive players; each game's sum to v(all) - v(none), except in ``open`` games.
    doubt : (G, P, O), in proportion to how far off they may be.
    open : (G,), games whose guesses say nothing: they are always played.
    """

    values: FloatArray
    doubt: FloatArray
    open: BoolArray


def guess_of(games: Games, at_row: FloatArray, at_back: FloatArray) -> Guess:
    """Return guesses from what each player would add if the network were a plane, by its slopes at both ends (G, P, O), written over.

    The mean of the two, with what is missing of v(all) - v(none) given to the players whose slopes differ most.
    """
    away = ~np.broadcast_to(games.active[:, :, None], at_row.shape)
    for end in (at_row, at_back):
        np.copyto(end, 0.0, where=away)
    values = (at_row + at_back) / 2
    doubt = np.abs(np.subtract(at_row, at_back, out=at_row), out=at_row)
    doubt /= 2
    doubt += np.divide(np.abs(values, out=at_back), 1024, out=at_back)  # rounding, where the network is a plane
    left, total = games.end - games.start - values.sum(1), doubt.sum(1)
    told = np.isfinite(values).all((1, 2)) & (total > 0).all(1)
    np.divide(left, total, out=left, where=told[:, None])
    values += left[:, None] * doubt
    if not told.all():
        wild = np.flatnonzero(~told)
        each = np.abs(games.end - games.start)[wild] / np.maximum(games.sizes[wild], 1)[:, None]
        values[wild], doubt[wild] = 0.0, each[:, None] * games.active[wild, :, None]
    return Guess(values, doubt, ~told & games.active.any(1))


@dataclass(frozen=True)
class Share:
    """How a variance stands to the square it is expected from, before the row itself has told.

    Attributes
    ----------
    of_square : (P, O) or (1, 1), by column.
    games : number of a row's own games that count as much as what is known here; 0 where nothing is.
    passes : number of estimates of a column's own that count as much as the share of its row.
    """

    of_square: FloatArray
    games: float
    passes: float

    def of_rows(self, seen: FloatArray, expected: FloatArray, number: FloatArray) -> FloatArray:
        """Return the shares (R, P, O) of rows where ``number`` (R, 1, 1) games showed variances ``seen`` for squares ``expected``."""
        told = (self.of_square * expected).sum(1, keepdims=True)
        own = seen.sum(1, keepdims=True) / np.maximum(told, TINY)
        number = np.where(told > 0, number, 0.0)
        return np.asarray(self.of_square * (number * own + self.games) / np.maximum(number + self.games, TINY))

    def mixed(self, seen: FloatArray, expected: FloatArray, number: FloatArray) -> FloatArray:
        """Return variances (R, P, O): those seen in ``number`` estimates of each column, drawn towards the expected ones."""
        prior = self.passes / (number + self.passes)
        return np.asarray((1 - prior) * seen + prior * expected)


@dataclass(frozen=True)
class Known:
    """What games between background rows tell of all others, and what it cost in model rows.

    Attributes
    ----------
    passes : variance of a pass beside the square of half the difference of its two orders. Columns differ in it, for pairs of columns make
        orders differ and cancel, and only larger sets make passes spread.
    guesses : square of how far guesses are off beside their doubt's.
    """

    passes: Share
    guesses: Share
    cost: float = 0.0


_NOTHING = Share(np.ones((1, 1)), 0.0, 4.0)
UNKNOWN = Known(_NOTHING, _NOTHING)


class Part:
    """Which games of each row are played, and what they say about the row.

    Attributes
    ----------
    size : B. rows : (R,) rows of which not all games have been played.
    """

    def __init__(self, games: Games, guess: Guess, weight: FloatArray, seed: int, n_rows: int, known: Known = UNKNOWN) -> None:
        self._known = known
        self.size, self.rows = len(weight) // n_rows, np.zeros(n_rows, bool)
        self._guess, self._weight, self._n = guess, weight, n_rows
        self._total = self._by_row(guess.values * weight[:, None, None])
        self._squared = np.square(guess.doubt * weight[:, None, None])
        doubt = np.where(guess.open, np.inf, self._squared.sum((1, 2)))
        self._by_doubt = _ranks(-doubt.reshape(n_rows, -1))
        self._order = np.argsort(uniforms(seed, games.counters, _TURN, 0).reshape(n_rows, -1), axis=1, kind="stable")
        self._size = np.sqrt(self._squared.sum((1, 2))).reshape(n_rows, -1)
        # order sampling (Rosen 1997, doi:10.1016/S0378-3758(96)00186-3): the k smallest of u / size are a draw of k in proportion to size,
        # and k + 1 hold the same k
        lots = (uniforms(seed, games.counters, _TWICE, 0).reshape(n_rows, -1) + 1.0) / np.maximum(self._size, SMALL)
        self._lots = np.argsort(lots, axis=1, kind="stable")
        self._twice = np.zeros((n_rows, self.size), bool)
        self._sure, self._taken = np.zeros((n_rows, self.size), bool), np.zeros(n_rows, bool)
        self._found: tuple[int, tuple[FloatArray, FloatArray]] | None = None

    def _by_row(self, values: FloatArray) -> FloatArray:
        return np.asarray(values.reshape(self._n, self.size, *values.shape[1:]).sum(1))

    def quarter(self, quarters: int) -> Ints:
        """Return which quarter of its row each game (G,) is in, most doubtful games first."""
        return (self._by_doubt * quarters // self.size).ravel()

    def first(self, known: BoolArray, rows: BoolArray) -> Ints:
        """Return how many games of each of some ``rows`` (R,) are played before anything is judged."""
        self._taken = rows
        return np.where(rows, self._open(known) + FIRST, 0)

    def _open(self, known: BoolArray) -> Ints:
        return np.asarray((self._guess.open & ~known).reshape(self._n, -1).sum(1), np.int64)

    def chosen(self, aim: Ints, known: BoolArray) -> BoolArray:
        """Return which games (G,) are played where so many of each row (R,) are: the most doubtful, and as many others as are left."""
        sure = self._sures(aim, known)
        free = np.take_along_axis(~(known.reshape(self._n, -1) | sure), self._order, 1)
        left = np.maximum(aim - sure.sum(1), np.minimum(aim, 2))
        out = np.empty_like(free)
        np.put_along_axis(out, self._order, free & (np.cumsum(free, 1) <= left[:, None]), 1)
        return (out | sure).ravel()

    def _sures(self, aim: Ints, known: BoolArray) -> BoolArray:
        """Return which games (R, B) are taken for their doubt; those whose guesses say nothing come first."""
        told = np.where(aim > 0, self._open(known), 0)
        return np.asarray((self._by_doubt < (told + np.maximum(aim - told, 0) // SURE)[:, None]) & ~known.reshape(self._n, -1))

    def play(self, aim: Ints, known: BoolArray, n: FloatArray, cost: FloatArray, budget: FloatArray) -> tuple[Ints, Ints]:
        """Return the games to be played next so that ``aim`` (R,) are, or as many as the budget (R,) of model rows allows.

        And those to be played once more: passes that differ within a game tell what of the error is left when all games have been played.
        """
        played = ((n > 0) & ~known).reshape(self._n, -1).sum(1)
        fits, most, aim = np.zeros_like(aim), aim, aim.copy()  # 0 always fits
        for trial in itertools.count():
            new = self.chosen(aim, known) & (n == 0)
            again = self._again(aim, known, n, new)
            dear = (np.where(new, cost, 0.0) + np.where(again, cost, 0.0)).reshape(self._n, -1).sum(1)
            paid = dear <= budget
            fits, most = np.where(paid, aim, fits), np.where(paid, most, np.where(aim - 1 > played, aim - 1, fits))
            if (fits >= most).all():
                break
            least = np.maximum(fits, played) + 1
            alike = played + ((aim - played) * budget / np.maximum(dear, 1)).astype(np.int64)  # right where games cost alike
            aim = np.where(fits >= most, fits, np.clip(alike if trial < SHARED else (least + most) // 2, least, most))
        if (aim != fits).any():
            aim = fits
            new = self.chosen(aim, known) & (n == 0)
            again = self._again(aim, known, n, new)
        self._sure = np.where((aim > 0)[:, None], self._sures(aim, known), self._sure)
        self._twice |= again.reshape(self._n, -1)
        self.rows = ((n == 0) & ~new).reshape(self._n, -1).any(1) & self._taken
        return np.flatnonzero(new), np.flatnonzero(again)

    def _again(self, aim: Ints, known: BoolArray, n: FloatArray, new: BoolArray) -> BoolArray:
        """Return which games (G,) get a second pass: some of those that are played, drawn in proportion to their doubt.

        The most doubtful alone would gain most by it, but passes spread less in them, beside what the two orders of a pass differ by, than
        in the others, which the errors of all games are told by.
        """
        wanted = np.where(aim >= MUCH * self.size, np.maximum(-(-aim // AGAIN), LEAST_AGAIN), 0)
        if not wanted.any():
            return np.zeros_like(new)
        played = np.take_along_axis((((n > 0) | new) & ~known).reshape(self._n, -1), self._lots, 1)
        out = np.empty_like(played)
        np.put_along_axis(out, self._lots, played & (np.cumsum(played, 1) <= wanted[:, None]), 1)
        return np.asarray(out.ravel() & (n < 2))

    def stands_for(self, played: BoolArray) -> FloatArray:
        """Return how many of the games played (G,) each game drawn to be played twice stands for, itself among them; 0 for the others."""
        played = played.reshape(self._n, -1)
        drawn = self._twice & played
        size, left, certain = np.where(played, self._size, 0.0), drawn.sum(1, keepdims=True), np.zeros_like(played)
        for _ in range(CERTAIN):  # the largest are drawn for certain, and the others share what is left of the draw
            rest = np.where(certain, 0.0, size)
            chance = (left - certain.sum(1, keepdims=True)) * rest / np.maximum(rest.sum(1, keepdims=True), TINY)
            certain |= chance >= 1
        chance = np.where(certain, 1.0, chance)
        return np.asarray(np.where(drawn, 1 / np.clip(chance, 1 / self.size, 1.0), 0.0).ravel())

    def next(self, values: FloatArray, variance: FloatArray, precision: float) -> Ints:
        """Return how many games of each row (R,) should be played: as many as the error so far asks for, 0 where nothing is to be done."""
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.square(np.sqrt(variance.mean(1)) / (precision * np.abs(values).mean(1)))
        times = np.nan_to_num(times, posinf=np.inf).max(1)
        aim = np.ceil(self._played * np.clip(1.05 * times, 1.25, 4)).astype(np.int64)
        aim = np.where(aim >= NEARLY * self.size, self.size, aim)
        return np.where(self.rows & (times > 1), aim, 0)

    def estimate(
        self, known: BoolArray, n: FloatArray, total: FloatArray, square: FloatArray, half: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return (values, variances), each (R, P, O), from the games that have been played and the guesses of all.

        A column that differs in few of the games drawn has shown little of its error: what it showed is drawn towards what the slopes let
        expect, by a share that all columns of the row have in common; by the same share the error of the games taken for their doubt is
        told. Where games have been played twice, the error of the passes is told apart from that of the choice of games, and the latter
        falls as fewer games are left (``half`` holds the sums of squares of half the difference of each pass's two orders).
        """
        if self._found is not None and self._found[0] == int(n.sum()):
            return self._found[1]
        played = np.flatnonzero(n > 0)
        owner = played // self.size
        off = (total[played] / n[played, None, None] - self._guess.values[played]) * self._weight[played, None, None]
        free = ~(known | self._sure.ravel())
        drawn = free[played]
        left = np.maximum(self._by_row(free.astype(float)), 0)[:, None, None]
        count = np.maximum(np.bincount(owner, drawn, self._n), 1)[:, None, None]
        self._played = np.bincount(owner, ~known[played], self._n)
        mine, of = off[drawn], owner[drawn]
        mean = self._sums(mine, of) / count
        values = self._total + self._sums(off[~drawn], owner[~drawn]) + left * mean
        spread = np.maximum(self._sums(mine**2, of) / count - mean**2, 0) * count / np.maximum(count - 1, 1)
        doubt = self._squared[played[drawn]]
        share = self._known.guesses.of_rows(spread * count, self._sums(doubt, of), count)
        expected = self._by_row(self._squared * free[:, None, None]) / np.maximum(left, 1)
        mixed = self._known.guesses.mixed(spread, share * expected, self._sums((doubt > 0).astype(float), of))
        sure = share * self._by_row(self._squared * (self._sure.ravel() & ~known)[:, None, None])
        chosen, passes, twice = mixed, np.zeros_like(mixed), np.zeros((self._n, 1, 1))
        if self._known.passes.games or (n[played] > 1).any():
            noise, twice = self._noise(played, known, n, total, square, half)
            told = twice > 0
            by_pass = np.where(told, self._sums(noise[drawn], of) / count, 0.0)
            sure = np.where(told, self._sums(noise[~drawn], owner[~drawn]), sure)
            chosen = np.where(told, np.maximum(mixed - by_pass, 0) * (1 - count / np.maximum(left, 1)), mixed)
            passes = by_pass
        one, other = chosen * left**2 / count, passes * left**2 / count + sure
        # Satterthwaite's degrees of freedom of the two together; those of the passes: one for each game played twice
        freedom = (one + other) ** 2 / np.maximum(
            one**2 / np.maximum(count - 1, 1) + other**2 / np.where(twice > 0, twice, np.maximum(count - 1, 1)), TINY
        )
        found = values, np.asarray((one + other) * widening(np.maximum(freedom, 1.0)))
        self._found = int(n.sum()), found
        return found

    def _noise(
        self, played: Ints, known: BoolArray, n: FloatArray, total: FloatArray, square: FloatArray, half: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the variances (m, P, O) that passes leave in the games played, and how many games (R, 1, 1) of each row tell of it."""
        stands = self.stands_for((n > 0) & ~known)[played]
        often, weight = n[played, None, None], self._weight[played, None, None] ** 2
        owner, twice = played // self.size, stands > 0
        doubt = half[played] / often * weight
        seen = np.maximum(square[played] - total[played] ** 2 / often, 0) / np.maximum(often - 1, 1) * weight
        lots = stands[twice, None, None]
        number = np.bincount(owner[twice], minlength=self._n)[:, None, None].astype(float)
        expected = self._sums(doubt[twice] * lots, owner[twice])
        share = self._known.passes.of_rows(self._sums(seen[twice] * lots, owner[twice]), expected, number)
        told = (number * (expected.sum(1, keepdims=True) > 0)).max(2, keepdims=True) + self._known.passes.games
        return doubt / often * share[owner] * ~known[played, None, None], told

    def _sums(self, values: FloatArray, owner: Ints) -> FloatArray:
        """Return sums (R, P, O) of values (m, P, O) by owner; equal owners stand side by side, and some may have none."""
        out = np.zeros((self._n, *values.shape[1:]))
        if len(owner):
            starts = np.flatnonzero(np.diff(owner, prepend=-1))
            out[owner[starts]] = np.add.reduceat(values, starts, axis=0)
        return out


def _ranks(values: FloatArray) -> Ints:
    """Return the place of each value in its row, (R, B)."""
    order = np.argsort(values, axis=1, kind="stable")
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.broadcast_to(np.arange(values.shape[1]), order.shape), 1)
    return np.asarray(out, np.int64)
