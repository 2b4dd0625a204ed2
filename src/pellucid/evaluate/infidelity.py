"""Infidelity: do the contributions of the columns that are removed say how far the answer moves?

INF = E over sets R of columns of (sum of the contributions in R - (f(x) - f(x without R)))^2, as a share of E (f(x) - f(x without R))^2:
0 for an exact account of an additive model, 1 for an explanation that says nothing.

Source: Yeh, Hsieh, Suggala, Inouye and Ravikumar 2019, arXiv:1901.09392, with their square removal.

# NOTE[DIFF] a column is removed to background rows, the same that explain, not to one baseline; and only contributions that promise to add
up are taken at their word: others are first scaled by the factor that suits them best, as the paper proposes.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.evaluate.case import LEAST_ROWS, Case, NotTestable
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.game import Game
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation, Trial

__all__ = ["infidelity", "optimal_scale", "run"]

NAME = "infidelity"
SETS, ROWS = 64, 40
NEAR = 0.5
"""Where a passing account lies at most, from the best one by single columns (0) to its own contributions dealt to other columns (1)."""


def infidelity(values: FloatArray, removed: npt.NDArray[np.bool_], moved: FloatArray) -> FloatArray:
    """Return the mean squared difference per row (N,).

    Parameters
    ----------
    values : (N, P) contributions. removed : (N, S, P) columns that were removed. moved : (N, S) answer minus answer without them.

    Examples
    --------
    >>> infidelity(np.array([[2.0, 1.0]]), np.array([[[True, False], [True, True]]]), np.array([[2.0, 4.0]])).tolist()
    [0.5]
    """
    return np.asarray(((np.einsum("nsp,np->ns", removed, values) - moved) ** 2).mean(1))


def optimal_scale(values: FloatArray, removed: npt.NDArray[np.bool_], moved: FloatArray) -> float:
    """Return the factor on all values that makes the mean infidelity smallest."""
    said = np.einsum("nsp,np->ns", removed, values)
    size = float((said**2).mean())
    return float((said * moved).mean()) / size if size > 0 else 1.0


def run(case: Case) -> Trial:
    """Return the trial. Cost: 64 B model rows for each of at most 40 rows, B = 32 background rows; none is explained again."""
    case.needs_columns(2)
    case.needs_rows()
    if case.unsigned:
        raise NotTestable("the values are sizes without a direction, so they do not say how far the answer moves")
    rows = case.some(ROWS)
    game = Game(case, rows)
    values = case.own(rows)[game.rows, :, game.output]
    removed = _sets(len(rows), values.shape[1], stream(case.seed, "sets"))
    without = _answers(case, game, ~removed)
    n = case.reduced(len(without), len(rows), "rows")
    rows, values, removed = rows[:n], values[:n], removed[:n]
    moved = game.full[:n, None] - without
    promised = _adds_up(case.explanation)
    scale = 1.0 if promised else optimal_scale(values, removed, moved)
    size = float((moved**2).mean())
    if not size > 0:
        raise NotTestable("removing columns does not move the answer")
    per_row = infidelity(scale * values, removed, moved) / size
    draw = stream(case.seed, "shuffle")
    dealt = np.stack([draw.permuted(values, axis=1) for _ in range(5)])
    chance = np.mean([infidelity(scale * v, removed, moved) for v in dealt], axis=0) / size
    share = bootstrap_mean(per_row, stream(case.seed, "bootstrap"))
    gain = bootstrap_mean(chance - per_row, stream(case.seed, "bootstrap"))
    best = _best(removed, moved) / size
    # a method that promises amounts is judged by how near it comes to the best account there is, between that and dealing by chance
    near = bootstrap_mean(per_row - best - NEAR * (chance - best), stream(case.seed, "bootstrap"))
    passed = share.high < 1 and gain.low > 0 and near.high < 0
    clear = passed or share.low > 1 or gain.high < 0 or near.low > 0
    return case.verdict(
        NAME, share, 1.0, passed, _words(passed, share, float(chance.mean()), float(best.mean()), promised), clear=clear,
        shuffled=float(chance.mean()), gain=list(gain), best=float(best.mean()), scale=scale, rows=len(rows), sets=SETS,
        infidelity=float(share.value * size), unit="share of the mean square of the moves",
    )  # fmt: skip


def _answers(case: Case, game: Game, present: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the answers (n, S) of as many rows as can be asked in the time left, as the first ones show: these at the least."""
    started = time.perf_counter()
    first = game.answers(present[:LEAST_ROWS])
    each = (time.perf_counter() - started) / len(first)
    more = present[len(first) : len(first) + max(0, int(case.left() / each))]
    return np.concatenate([first, game.answers(more, len(first))]) if len(more) else first


def _sets(n: int, p: int, draw: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return (n, S, P) columns to remove: every size from 1 to P as often, each set of a size as likely."""
    size = draw.integers(1, p + 1, (n, SETS, 1))
    return np.asarray(np.argsort(draw.random((n, SETS, p)), axis=2).argsort(axis=2) < size)


def _best(removed: npt.NDArray[np.bool_], moved: FloatArray) -> FloatArray:
    """Return the least mean squared difference per row (N,) that any contributions have: what is left is columns acting together."""
    sets = removed.astype(np.float64)
    values = np.einsum("nps,ns->np", np.linalg.pinv(sets), moved)
    return infidelity(values, removed, moved)


def _adds_up(made: object) -> bool:
    """Return whether the method promises contributions in the unit of the answer."""
    method = made.record.method if isinstance(made, Explanation) else ""
    known = {e.name: e for e in registry.entries("explain")}
    return "completeness" in known[method].axioms if method in known else getattr(made, "gap", None) is not None


def _words(passed: bool, share: Figure, chance: float, best: float, promised: bool) -> str:
    told = "" if promised else " (after one common factor, as the method promises no unit)"
    lead = (
        f"Asked how far the answer moves when some columns are taken away, the contributions miss it by {100 * share.value:.0f} "
        "% of the mean "
        f"square{told}; saying nothing misses by 100 %, the same contributions dealt to other columns by {100 * chance:.0f} %, "
        f"the best account by single columns that there is by {100 * best:.0f} %"
    )
    return f"{lead}: they can be read as amounts." if passed else f"{lead}. Do not read them as amounts."
