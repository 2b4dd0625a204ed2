"""Recursive replacement: random parts of a row are drawn anew, round after round, until the columns named first hold the answer alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.decisions import Decisions
from pellucid.explain.question import Question
from pellucid.explain.sampling import mean_of_sums
from pellucid.probe.coalition import CoalitionEngine
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation

__all__ = ["explain"]

Ints = npt.NDArray[np.int64]
FIRST, BATCH = 128, 32
"""Rounds before the first look at whether the columns named first hold the answer, and between two looks: after a few dozen rounds the
order is still one of chance."""
LOOKS = 4
"""Draws of the other columns at each look."""


def explain(question: Question) -> Explanation:
    """Return by how much farther the answer moves in rounds that draw a column anew than in rounds that leave it, with standard errors.

    Zhao, Shan 2024, arXiv:2402.00794 (ReAGent). Each round draws a random ``share`` of the columns anew: with ``fill="row_model"`` from
    the row model, given those that stay, so that what goes together stays together; else from background rows. After 128 rounds, and
    every 32 from there, the ``hold`` share of columns named first is kept alone and the others are drawn four times: a row is done when
    its answer holds in all four. Classes hold while they stay the same, numbers within half a standard deviation of the background's
    answers.

    Options: ``rounds`` at most, ``share``, ``hold``. Values have no sign: they say how much a column counts.

    # NOTE[DIFF] the source adds up the logit of the change of a probability, positive where a word was replaced, and ends with a softmax
    that any number of further rounds would drive to one word. Here the mean sizes of the moves are compared, in the unit of the answer:
    that has a limit, a standard error, and serves numbers too.

    Cost: at most rounds (1 + 4 / 32) model rows per row.
    """
    if question.fill == "conditional":
        raise RequestError(
            "'reagent' draws cells whatever the others hold, or from a row model", got="fill='conditional'",
            do="use fill='row_model', or leave fill out",
        )  # fmt: skip
    share, hold = asked.number(question, "share", 0, 1), asked.number(question, "hold", 0, 1)
    n, p = len(question.table), len(question.players)
    fixed = n + len(question.background)
    rounds = asked.affordable(question, asked.whole(question, "rounds", BATCH, 100_000), n * (1 + LOOKS / BATCH), fixed, BATCH)
    engine = question.engine()
    decide = Decisions.of(question.view, engine.empty)
    tally, open_rows, done = _Tally(n, p, engine.n_outputs), np.arange(n), 0
    draw = stream(question.seed, "reagent")
    keep = max(1, min(p - 1, round(hold * p)))
    while len(open_rows) and done < rounds and not (done and asked.late(question)):
        size = min(BATCH if done else FIRST, rounds - done)
        tally.add(open_rows, *_moves(engine, open_rows, size, share, draw))
        done += size
        values, _ = tally.means(open_rows)
        held = _hold(engine, decide, open_rows, values, keep, draw)
        open_rows = open_rows[~held]
        engine.forget()
    values, error = tally.means(np.arange(n))
    caveats = [f"in {len(open_rows)} of {n} rows the {keep} columns named first did not hold the answer alone"] if len(open_rows) else []
    if not engine.drawn:
        caveats.append("cells were drawn from other rows, whatever the rest of the row was; fill='row_model' draws them given the rest")
    return question.answer(
        values, engine.empty.mean(0), engine.full, error=error, complete=False, says="sizes",
        settings={"rounds": done, "kept_alone": keep, "held": n - len(open_rows)}, caveats=caveats,
    )  # fmt: skip


class _Tally:
    """Sums of moves over rounds that drew a column anew (1) and those that left it (0): (N, P, 2, O)."""

    def __init__(self, n: int, p: int, o: int) -> None:
        self.total, self.square, self.count = np.zeros((n, p, 2, o)), np.zeros((n, p, 2, o)), np.zeros((n, p, 2))

    def add(self, rows: Ints, z: npt.NDArray[np.bool_], moves: FloatArray) -> None:
        """Add rounds: which columns stayed (R, P), and how far the answers moved (n, R, O)."""
        side = np.stack([z, ~z], 2).astype(float)  # (R, P, 2)
        self.total[rows] += np.einsum("rps,nro->npso", side, moves, optimize=True)
        self.square[rows] += np.einsum("rps,nro->npso", side, np.square(moves), optimize=True)
        self.count[rows] += side.sum(0)

    def means(self, rows: Ints) -> tuple[FloatArray, FloatArray]:
        """Return the difference of the two means and its standard error (n, P, O)."""
        count = np.maximum(self.count[rows], 1)[..., None]
        mean, error = mean_of_sums(self.total[rows], self.square[rows], count)
        return mean[:, :, 1] - mean[:, :, 0], np.hypot(error[:, :, 0], error[:, :, 1])


def _moves(
    engine: CoalitionEngine, rows: Ints, rounds: int, share: float, draw: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Return which columns stay in each round (R, P), at least one replaced, and how far the answers move (n, R, O).

    All rows meet the same rounds, so that no row's values depend on the others.
    """
    n, p = len(rows), len(engine.players)
    z = draw.random((rounds, p)) >= share
    spared = draw.integers(0, p, rounds)
    z[z.all(1), spared[z.all(1)]] = False
    back = draw.integers(0, len(engine.empty), rounds)
    made = engine.evaluate(np.repeat(rows, rounds), np.tile(back, n), np.tile(z, (n, 1))).reshape(n, rounds, -1)
    return z, np.abs(made - engine.full[rows, None])


def _hold(
    engine: CoalitionEngine, decide: Decisions, rows: Ints, values: FloatArray, keep: int, draw: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return whether the ``keep`` columns named first, all others drawn anew, leave the answer as it is in every look, (n,)."""
    n, p = len(rows), len(engine.players)
    order = np.argsort(-values.mean(2), axis=1, kind="stable")
    z = np.zeros((n, p), bool)
    np.put_along_axis(z, order[:, :keep], True, 1)
    back = np.tile(draw.integers(0, len(engine.empty), LOOKS), n)
    made = engine.evaluate(np.repeat(rows, LOOKS), back, np.repeat(z, LOOKS, 0))
    return np.asarray(decide.equal(made, np.repeat(engine.full[rows], LOOKS, 0)).reshape(n, LOOKS).all(axis=1))
