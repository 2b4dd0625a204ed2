"""Fewer training rows, chosen by their scores: does the answer to other rows stay as good? A trial through a refit.

Pruning: Paul, Ganguli, Dziugaite 2021, arXiv:2107.07075. Sampling by score: Anand, Tan, Maiorino 2023, arXiv:2311.16298. Letters: N
training rows, n judged ones, O classes, S seeds.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, TargetError
from pellucid.evaluate.effect import probabilities
from pellucid.evaluate.refit import codes_of
from pellucid.evaluate.scores import Scores, score
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, stream
from pellucid.results import RunRecord, Trial
from pellucid.table import Table, read_table

__all__ = ["kept_rows", "thinned"]

Ints = npt.NDArray[np.int64]
HOW = {"hardest": "the hardest", "sample": "a sample by score", "easiest": "the easiest", "random": "any"}
BOOT = 500


def kept_rows(scores: FloatArray, keep: float, how: str, seed: int = 0) -> Ints:
    """Return positions of the rows that stay, ascending: ``round(keep N)`` of N.

    ``how``: ``"hardest"`` (highest scores), ``"easiest"`` (lowest), ``"sample"`` (drawn without return, with chances in proportion to the
    score), ``"random"``.

    Examples
    --------
    >>> kept_rows(np.array([0.1, 0.9, 0.4, 0.7]), 0.5, "hardest").tolist()
    [1, 3]
    """
    if how not in HOW:
        raise RequestError(f"unknown way to choose rows {how!r}", expected=", ".join(HOW))
    if not 0 < keep < 1:
        raise RequestError("the share of rows to keep cannot be used", expected="a number between 0 and 1", got=repr(keep))
    n, draw = len(scores), stream(seed, "thinned", how)
    size = int(np.clip(round(keep * n), 1, n - 1))
    if how == "random":
        return np.sort(draw.permutation(n)[:size])
    if how == "sample":
        # the largest of u^(1/w) are such a draw (Efraimidis, Spirakis 2006, doi:10.1016/j.ipl.2005.11.003), in logarithms
        chance = np.maximum(np.asarray(scores, np.float64), 1e-12 * max(float(np.max(scores)), 1e-12))
        return np.sort(np.argsort(np.log(draw.random(n)) / chance, kind="stable")[n - size :])
    order = np.argsort(scores, kind="stable")
    return np.sort(order[n - size :] if how == "hardest" else order[:size])


def thinned(
    refit: Any, held: Any, scores: FloatArray, *, keep: float = 0.7, how: str = "hardest", within: float = 0.01, seeds: int = 2,
    random_state: Any = 0,
) -> Trial:  # fmt: skip
    """Try whether a model learns as much from some of its rows, chosen by score, as from all of them.

    Parameters
    ----------
    refit : ``model.refitter()``. held : n rows with their target that the model has not learned from.
    scores : (N,) of the training rows, as :func:`pellucid.audit.row_scores.row_scores` gives them.
    keep, how : see :func:`kept_rows`. within : most that the area under the curve (classes) or R² may fall.
    seeds : S of the fits; both models of a pair share one.

    Returns
    -------
    A Trial: the change of the score with its 95 % interval (paired resamples of the judged rows, and the spread of the S pairs), the same
    change for as many rows taken at random as ``null``; "pass" where the lower end lies above ``-within``.

    Raises
    ------
    RequestError : scores of another number of rows. TargetError : the held-out rows have no target.

    Notes
    -----
    A model of this package is trained by the recipe of all its rows each time, though a fit on fewer rows would choose a smaller one. Cost:
    3 S fits.
    """
    began, seed = time.perf_counter(), as_seed(random_state)
    table = held if isinstance(held, Table) else read_table(held)
    if table.target is None:
        raise TargetError("the held-out rows have no target", do="read them with target=")
    if len(scores) != len(refit.target):
        raise RequestError("the scores are of other rows", expected=f"{len(refit.target)} scores", got=str(len(scores)))
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise RequestError("too few seeds to tell a change from chance", expected="a whole number of at least 2", got=repr(seeds))
    # below 2,000 rows a network is made smaller; that is no effect of which rows are left out
    refit = refit.same_recipe() if hasattr(refit, "same_recipe") else refit
    truth, classes = codes_of(table)
    known = np.flatnonzero(truth >= 0 if classes else ~np.isnan(truth))
    judged, y = table.take(known), truth[known].astype(np.int64) if classes else truth[known]
    task, metric = ("classification", "roc_auc") if classes else ("regression", "r2")

    def scored(rows: Ints | None, k: int) -> Scores:
        model = refit(rows=rows, seed=integer(seed, "thinned", k) % 2**31)
        answers = probabilities(model, judged.select(model.columns), classes)
        return score(task, y, answers, n_boot=BOOT, seed=seed)

    chosen: list[list[Ints | None]] = [[None] * seeds]
    for way in (how, "random"):
        chosen.append([kept_rows(scores, keep, way, integer(seed, k)) for k in range(seeds)])
    runs = [[scored(rows, k) for k, rows in enumerate(arm)] for arm in chosen]
    change, low, high = _change(runs[0], runs[1], metric)
    null = _change(runs[0], runs[2], metric)[0]
    before, after = (float(np.mean([s.point[metric] for s in arm])) for arm in runs[:2])
    passed = low > -within
    name = "AUC" if classes else "R²"
    words = f"Learning from {100 * keep:.0f} % of the {len(scores):,} rows, {HOW[how]}, takes {name} from {before:.3f} to {after:.3f} "
    words += f"[{low:+.3f}, {high:+.3f}]; as many at random {null:+.3f}: "
    words += f"the rest can be spared within {within:g}." if passed else (
        f"no, it costs more than {within:g}." if high < -within else f"it is not shown that the rest can be spared within {within:g}."
    )  # fmt: skip
    settings = {"keep": keep, "how": how, "within": within, "seeds": seeds, "rows": len(scores), "judged": len(known)}
    record = RunRecord("thinned", settings, seed, table.fingerprint(), time.perf_counter() - began)
    details = {"before": before, "after": after, "metric": name, "within": within, "fits": 3 * seeds}
    return Trial("thinned", change, (low, high), null, "pass" if passed else "fail", words, record, how, details)


def _change(before: list[Scores], after: list[Scores], metric: str) -> tuple[float, float, float]:
    """Return the mean change of a score over pairs of fits, and its 95 % interval."""
    from scipy.stats import t

    each = np.array([a.point[metric] - b.point[metric] for b, a in zip(before, after, strict=True)])
    draws = np.mean([a.draws[metric] - b.draws[metric] for b, a in zip(before, after, strict=True)], axis=0)
    rows, fits = float(np.nanstd(draws)), float(each.std(ddof=1) / np.sqrt(len(each)))
    # resamples know nothing of the fits' own spread, which few seeds show; the wider of the two is told
    half = max(1.96 * rows, float(t.ppf(0.975, len(each) - 1)) * fits if len(each) > 2 else 1.96 * fits)
    change = float(each.mean())
    return change, change - half, change + half
