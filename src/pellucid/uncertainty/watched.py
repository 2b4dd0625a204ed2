"""Is the promise still kept? Bets against it on labelled rows as they come in, which may be looked at at any time. Letter: T rows."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results import RunRecord, Watch
from pellucid.results.text import percent
from pellucid.training.watching import WITHIN, band_of, wealth
from pellucid.uncertainty.answer import ask
from pellucid.uncertainty.covered import _held_out
from pellucid.uncertainty.scores import choose, conformals_of
from pellucid.uncertainty.truth import group_labels, held_truth, known_truth

__all__ = ["watched"]


def watched(
    model: Any, X: Any, y: Any = None, *, level: float = 0.9, groups: str | None = None, score: str = "auto", error: float = 0.05
) -> Watch:
    """Return whether the coverage of labelled rows has left its band, in the order in which they are handed over.

    Parameters
    ----------
    model : a fitted estimator. X, y : T later rows with their true answers (or a target column in X), earliest first.
    level, score : of the promise. groups : a category column; the promise is then asked and watched in each of its groups.
    error : chance of an alarm, ever, while the coverage lies in its band; shared by both sides, and by the groups.

    Notes
    -----
    The band holds the coverage that 99 of 100 draws of the held-out rows would have given; a promise that was made on unlucky rows thus
    adds 1 % of alarms. One may look after every row and stop at will (Ramdas, Gruenwald, Vovk, Shafer 2023, arXiv:2210.01948).
    Cost: one pass of the model over T rows.

    Examples
    --------
    >>> import numpy as np, pellucid
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2600, 2))
    >>> y = X[:, 0] + rng.normal(size=2600)
    >>> model = pellucid.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(X[:2200], y[:2200])
    >>> pellucid.uncertainty.watch(model, X[2200:], y[2200:]).broken
    ''
    >>> pellucid.uncertainty.watch(model, X[2200:], 3 * y[2200:]).broken
    'below'
    """
    started = time.perf_counter()
    if not 0 < error < 1:
        raise RequestError("the chance of a false alarm is out of range", expected="a share between 0 and 1", got=repr(error))
    truth, known = known_truth(model, X, y)
    labels, task = group_labels(model, X, groups), model.predictor().task
    chosen = choose(score, task, model.certainty_, model.promises())
    fits = conformals_of(model.certainty_, model.promises(), chosen)
    answer = ask(model, X, level=level, groups=groups, score=chosen, familiarity=None)
    covered = held_truth(answer, truth)[0][known]
    by_folds = fits[0].fold is not None
    names = [] if labels is None else sorted(set(labels[known].tolist()))
    limit = 2 * (1 + len(names)) / error
    band = band_of(fits[0].counts(len(fits[0])), level, by_folds)
    below, above = wealth(covered, band)
    broken, since = _alarm(below, above, limit)
    lines = []
    for name in names:
        mine = labels[known] == name  # type: ignore[index]
        own = band_of(_held_out(fits[0], level, groups, name), level, by_folds)
        side = wealth(covered[mine], own)
        what, when = _alarm(*side, limit)
        best = float(max(side[0].max(initial=1.0), side[1].max(initial=1.0)))
        share = float(covered[mine].mean())
        lines.append({"group": name, "n": int(mine.sum()), "share": share, "wealth": best, "limit": limit, "broken": what, "since": when})
    table = pd.DataFrame(lines)
    settings = {"level": level, "groups": groups, "score": chosen, "error": error, "band_within": WITHIN}
    record = RunRecord("watch", settings, None, "", time.perf_counter() - started, len(truth), ("rows are taken in the order given",))
    words = _words(covered, level, band, broken, since, below, above, limit, table)
    return Watch(covered, below, above, band, level, limit, broken, since, words, record, table)


def _alarm(below: npt.NDArray[np.float64], above: npt.NDArray[np.float64], limit: float) -> tuple[str, int | None]:
    """Return (side, rows seen) of the first alarm, or ("", None)."""
    first = [(int(np.argmax(w >= limit)) + 1, side) for side, w in (("below", below), ("above", above)) if (w >= limit).any()]
    return (min(first)[1], min(first)[0]) if first else ("", None)


def _words(
    covered: npt.NDArray[np.bool_], level: float, band: tuple[float, float], broken: str, since: int | None,
    below: npt.NDArray[np.float64], above: npt.NDArray[np.float64], limit: float, groups: pd.DataFrame,
) -> str:  # fmt: skip
    n, share = len(covered), float(covered.mean())
    kept = f"a true coverage of {percent(band[0])} to {percent(band[1])} counts as kept"
    held = f"promised {percent(level, None)} ({kept}), held for {percent(share)} of {n:,} rows"
    if broken:
        out = f"The promise no longer holds: coverage is {broken} its band, noticed after {since:,} rows; {held}."
    else:
        best = max(float(below.max(initial=1.0)), float(above.max(initial=1.0)))
        out = f"No break was noticed: {held}; the bets against the promise made {best:.3g} of one, {limit:.0f} would be needed."
    bad = groups[groups["broken"] != ""] if len(groups) else groups
    return out + (f" Broken in groups: {', '.join(bad['group'].astype(str))}." if len(bad) else "")
