"""LIME on columns: a weighted straight-line model of the answers around a row, fitted several times to see how far it can be trusted."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames
from pellucid.intervals import widening
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.hashing import mix, name_hashes, uniforms
from pellucid.probe.masker import reference_rows
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Explanation

__all__ = ["explain"]

Ints = npt.NDArray[np.int64]
LOW_FIT = 0.5
"""Weighted R^2 below which a row's line is said to describe the model badly."""
LOST = 0.02
SHARE = 0.2
"""Most of a budget that may go to what single cells of the background do."""
TOP = 3
FEW = 10
"""Most players whose composed rows come again from fit to fit, so that the cache is kept."""
BLOCK = 2**20
"""Coalition cells held at a time."""


def explain(question: Question) -> Explanation:
    """Return the slopes of a weighted linear model on "takes the row's cell" bits, (N, P, O), with standard errors over reseeds.

    Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938; its instability: Zhang et al. 2019, arXiv:1904.12991. Each sample keeps every player
    with probability 1/2 and takes the others from a background row; its weight is sqrt(exp(-d^2 / w^2)), d^2 the number of cells
    replaced, w = ``kernel_width`` (0.75 sqrt(P) where None). ``samples`` are drawn for each of ``reseeds`` fits; values are the means of
    the fits and ``error`` their standard errors. ``record.settings`` holds per row: ``r2`` (weighted, of the mean over background
    rows), ``local_gap`` (prediction minus the line's own, (N, O)) and ``stability`` (mean Jaccard index of the three largest columns
    between fits).
    Cost: samples x reseeds model rows per row, and P B once. Under the conditional fill a coalition is answered by the mean over the rows
    most like this one: ``samples`` then buys fewer of them, and the errors also count what other background rows would change.

    # NOTE[DIFF] which background row was drawn moves an answer too. What each of its cells does to a typical row is taken out of the
    answers, by one slope beside those of the bits (a control variate): of a model that adds up over columns nothing of chance is left.

    # NOTE[DIFF] cells are kept or replaced whole, instead of being cut into quartile bins first, and the ridge is 0 by default:
    slopes on a model that adds up over columns are then the contributions themselves, and bins cannot change a sign.
    """
    games = RowGames(question)
    engine = games.engine
    fits = _Fits(games)
    n, p, o = len(question.table), len(question.players), len(games.nobody)
    slopes, start, miss = np.empty((fits.reseeds, n, p, o)), np.empty((fits.reseeds, n, o)), np.empty((fits.reseeds, n, 3))
    step = max(1, BLOCK // (fits.samples * (p + 4)))
    for s in range(0, n, step):
        rows = np.arange(s, min(n, s + step))
        for k in range(fits.reseeds):
            slopes[k, rows], start[k, rows], miss[k, rows] = fits.fit(rows, k)
            if p > FEW:
                engine.forget()
    o = engine.n_outputs
    variance = slopes[..., :o].var(0, ddof=1)
    variance = (variance + variance.mean(1, keepdims=True)) / 2  # bits are drawn alike, so columns of a row have like errors
    values, error = games.told(slopes.mean(0), variance / fits.reseeds * widening(2 * (fits.reseeds - 1)))
    base, slopes = start.mean(0)[:, :o], slopes[..., :o]
    fit = _fit(miss.mean(0))
    poor = int((fit < LOW_FIT).sum())
    caveats = [f"the line fits badly (weighted R^2 below {LOW_FIT}) around {poor} of {n} rows"] if poor else []
    caveats += games.about_errors
    settings = {
        "samples": fits.samples,
        "reseeds": fits.reseeds,
        "kernel_width": fits.width,
        "ridge": fits.ridge,
        "r2": fit.tolist(),
        "local_gap": (engine.full - base - values.sum(1)).tolist(),
        "stability": _stability(slopes).tolist(),
    }
    return question.answer(values, base, engine.full, error=error, complete=False, settings=settings, caveats=caveats)


class _Fits:
    """Draws coalitions from the contents of rows, and fits the lines of many rows at once."""

    def __init__(self, games: RowGames) -> None:
        question, engine = games.q, games.engine
        self.games, self.engine, p = games, engine, len(question.players)
        self.reseeds, asked_for = asked.whole(question, "reseeds", 2, 1000), asked.whole(question, "samples", 4, 10**6)
        self.ridge = 0.0 if question.options["ridge"] == 0 else asked.number(question, "ridge", 0, np.inf)
        own = question.options["kernel_width"] is None
        self.width = 0.75 * np.sqrt(p) if own else asked.number(question, "kernel_width", 0, np.inf)
        least = 2 * (p + 2)
        least += -least % 4
        each = 1.0 if games.neighbours is None else games.cost / 2  # model rows behind one sample; two samples share a coalition
        self.samples = max(least, int(asked_for / each) + -int(asked_for / each) % 4)
        n, fixed = len(question.table), len(question.table) + len(question.background)
        budget = asked.rows_allowed(question)
        if budget is not None:
            room = int((budget - fixed) / n / each)
            if room < 2 * least:
                raise RequestError(
                    "the budget is too small for a line around each row",
                    expected=f"at least {int(np.ceil(2 * least * each)) * n + n + fixed} model rows",
                    got=str(budget),
                )
            self.reseeds = min(self.reseeds, room // least)
            self.samples = min(self.samples, room // self.reseeds // 4 * 4)
        self.seed = integer(question.seed, "lime")
        self.players = name_hashes(question.players.names)
        self.alone = self._alone(question, None if budget is None else budget - fixed)
        self.back_order = np.argsort(engine.back_keys, kind="stable")  # the draws do not depend on the order of the background

    def _alone(self, question: Question, room: int | None) -> FloatArray | None:
        """Return what the cells of background rows do to a typical row (B, P, O), about their means; None where it costs too much."""
        b, p = len(question.background), len(question.players)
        cost = b * (p + 1) + 1
        most = self.samples * self.reseeds * len(question.table) / 2 if room is None else SHARE * room
        if self.engine.drawn or self.games.neighbours is not None or b == 1 or cost > most:
            return None
        typical, _ = reference_rows(question.background, "baseline", size=1, seed=question.seed, given=False)
        engine = CoalitionEngine(question.view, question.background, typical, question.players)
        row = np.repeat(np.arange(b), p)
        made = engine.evaluate(row, np.zeros(b * p, np.int64), np.tile(np.eye(p, dtype=bool), (b, 1))).reshape(b, p, -1)
        if room is not None:
            self.samples = min(self.samples, (room - cost) // len(question.table) // self.reseeds // 4 * 4)
        return np.asarray(made - made.mean(0))

    def fit(self, rows: Ints, reseed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (slopes (n, P, K O), intercepts (n, K O), misfit, spread and spread with background (n, 3)) of one fit per row."""
        n, k = len(rows), self.samples
        keys = mix(np.repeat(self.engine.row_keys[rows], k // 4) + np.tile(np.arange(k // 4, dtype=np.uint64), n))
        z = (uniforms(self.seed, keys, self.players, reseed) >> np.uint64(63) == 1).reshape(n, k // 4, -1)
        both = np.stack([z, ~z], 2)
        z = np.concatenate([both, both], 2).reshape(n * k, -1)  # pairs of opposites, each against two background rows
        back = self._backs(keys, n, reseed)
        if self.games.neighbours is None:
            y = self.engine.evaluate(np.repeat(rows, k), back, z).reshape(n, k, -1)
        else:  # against their mean: both answers are one
            means = self.games.values(np.repeat(rows, k // 2), both.reshape(n * k // 2, -1)).reshape(n, k // 4, 2, -1)
            y = np.concatenate([means, means], 2).reshape(n, k, -1)
        bits = z.reshape(n, k, -1).astype(float)
        weight = np.exp(-(~z).sum(1) / (2 * self.width**2)).reshape(n, k)
        weight /= weight.sum(1, keepdims=True)
        chance = None if self.alone is None else np.einsum("ncp,ncpo->nco", 1 - bits, self.alone[back].reshape(n, k, *self.alone.shape[1:]))
        return _lines(bits, y, weight, self.ridge / k, self.engine.n_outputs, chance)

    def _backs(self, keys: npt.NDArray[np.uint64], n: int, reseed: int) -> Ints:
        """Return the background rows: each is used equally often in a fit, and two different ones by each pair of opposites."""
        size = len(self.back_order)
        chance = uniforms(self.seed, keys, np.zeros(1, np.uint64), reseed + 1000)[:, 0].reshape(n, -1)
        turn = np.argsort(np.argsort(chance, axis=1, kind="stable"), axis=1)
        shift = (chance[:, :1] % np.uint64(size)).astype(np.int64)  # where the last round is not full, the rows in it differ
        step = 1 + (chance[:, -1:] % np.uint64(max(1, size - 1))).astype(np.int64)
        first = (turn + shift) % size
        return self.back_order[np.stack([first, first, (first + step) % size, (first + step) % size], 2)].reshape(-1)


def _lines(
    bits: FloatArray, y: FloatArray, weight: FloatArray, ridge: float, outputs: int, chance: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve the weighted least squares of n rows: bits (n, k, P), answers (n, k, O), weights (n, k) that add up to 1.

    The first ``outputs`` answers say how well the lines fit.
    ``chance`` (n, k, O), whose mean is 0 whatever the bits, takes part with a slope of its own that is not given back.
    """
    centre_z = np.einsum("nk,nkp->np", weight, bits)
    z = bits - centre_z[:, None]
    weighted = z * weight[:, :, None]
    normal = weighted.transpose(0, 2, 1) @ z + ridge * np.eye(z.shape[2])
    inverse = np.linalg.pinv(normal, hermitian=True)

    def centred(a: FloatArray) -> FloatArray:
        return np.asarray(a - np.einsum("nk,nko->no", weight, a)[:, None])

    def sloped(a: FloatArray) -> FloatArray:
        return np.asarray(inverse @ (weighted.transpose(0, 2, 1) @ a))

    if chance is not None:
        left = centred(chance)
        left = left - z @ sloped(left)
        own = np.einsum("nk,nko->no", weight, left * left)
        share = np.einsum("nk,nko,nko->no", weight, left, centred(y))
        y = y - chance * np.divide(share, own, out=np.zeros_like(own), where=own > 1e-24)[:, None]
    centre_y, r = np.einsum("nk,nko->no", weight, y), centred(y)
    slopes = sloped(r)
    left, about = (r - z @ slopes)[..., :outputs], r[..., :outputs]
    misfit = np.stack([_common(weight, left), _common(weight, about), np.einsum("nk,nko->n", weight, np.square(about))], 1)
    return slopes, centre_y - np.einsum("np,npo->no", centre_z, slopes), misfit


def _common(weight: FloatArray, r: FloatArray) -> FloatArray:
    """Return per row the weighted mean product of what the two answers to each coalition have in common.

    The square of one answer would count the background row it was drawn against as misfit; in the product of two that averages out.
    """
    n, k, o = r.shape
    by_coalition = r.reshape(n, k // 4, 2, 2, o)
    return np.asarray(np.einsum("nks,nkso->n", 2 * weight.reshape(n, k // 4, 2, 2)[:, :, 0], by_coalition[:, :, 0] * by_coalition[:, :, 1]))


def _fit(misfit: FloatArray) -> FloatArray:
    """Return R^2 (n,) from misfit, spread, and spread with background (n, 3); 1 where nothing varies.

    A spread that is lost in that of the background rows is not divided by: ``LOST`` of the latter stands in for it.
    """
    spread = np.maximum(misfit[:, 1], LOST * misfit[:, 2])
    return np.where(misfit[:, 2] > 1e-24, 1 - np.maximum(misfit[:, 0], 0) / np.maximum(spread, 1e-300), 1.0)


def _stability(slopes: FloatArray) -> FloatArray:
    """Return per row the mean Jaccard index of the largest columns over pairs of fits; slopes (R, N, P, O)."""
    size = np.abs(slopes).sum(3)
    k = min(TOP, size.shape[2])
    chosen = np.zeros(size.shape, bool)
    np.put_along_axis(chosen, np.argsort(-size, axis=2, kind="stable")[:, :, :k], True, axis=2)
    chosen &= size > 1e-9 * size.max()  # columns that do nothing are not ranked by their rounding errors
    pairs = itertools.combinations(range(len(chosen)), 2)
    both = [((chosen[a] & chosen[b]).sum(1), (chosen[a] | chosen[b]).sum(1)) for a, b in pairs]
    return np.asarray(np.mean([np.where(either > 0, common / np.maximum(either, 1), 1.0) for common, either in both], axis=0))
