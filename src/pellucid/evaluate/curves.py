"""Learning curves: the score by number of training rows and by share of wrong labels, for several models on the same test rows.

Models differ in what more rows and better labels bring them (Haller et al. 2022, arXiv:2210.03441, found it for grading by machines).
Letters: N training rows, R repeats, B resamples of the test rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.evaluate.case import seconds_of
from pellucid.evaluate.effect import probabilities
from pellucid.evaluate.leaderboard import shared_rows
from pellucid.evaluate.refit import TableRefit, codes_of
from pellucid.evaluate.retrain import Timer
from pellucid.evaluate.scores import Scores, score
from pellucid.intervals import error_of_mean
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, stream
from pellucid.results import LearningCurve, RunRecord

__all__ = ["run", "wrong_labels"]

BOOT = 200
SECONDS = 300.0
LEAST = 50
SIZES = 5
Key = tuple[str, int, float]


def run(
    table: Any, models: Sequence[Any], *, sizes: Sequence[int] | None, noise: Sequence[float], repeats: int, test: Any, target: str | None,
    budget: float | str | None, random_state: Any,
) -> LearningCurve:  # fmt: skip
    """Return the curves. See :func:`pellucid.evaluate.learning_curve`."""
    started, seed = time.perf_counter(), as_seed(random_state)
    ground = shared_rows(table, test, target, seed)
    train = ground.train.take(~ground.train.missing(str(ground.train.target)))
    if len(models) < 1 or isinstance(models, str) or repeats < 1 or any(not 0 <= s < 1 for s in noise):
        raise RequestError(
            "the curves cannot be drawn", expected="a list of models, repeats of at least 1, shares of noise from 0 to below 1"
        )
    wanted = _sizes(len(train), sizes)
    features = tuple(n for n in train.features if n != train.target)
    truth, classes = codes_of(train)
    inputs, held = train.select(features), ground.test.select(features)
    goal = _goal(ground.test, classes)
    named = [_named(m) for m in models]
    allowed = seconds_of(budget, SECONDS)
    timer = Timer(lambda: started + allowed - time.perf_counter())
    found: dict[Key, list[Scores]] = {}
    metric, task = ("roc_auc", "classification") if classes else ("r2", "regression")
    short = False
    for size in wanted:
        for share in noise:
            for r in range(repeats):
                rows = _rows(truth, classes, size, stream(seed, "rows", r))
                labels = wrong_labels(truth, rows, share, len(classes), stream(seed, "noise", r, share))
                for name, model in named:
                    if found and not timer.reaches():
                        short = True
                        continue
                    fitted = TableRefit(model, inputs, truth, classes)(rows=rows, target=labels, seed=integer(seed, "fit", r) % 2**31)
                    answers = probabilities(fitted, held, classes)
                    found.setdefault((name, size, share), []).append(
                        score(task, goal, answers, n_boot=BOOT, seed=integer(seed, "boot") % 2**31)
                    )
                    timer.step()
    reference = "linear" if any(n == "linear" for n, _ in named) else named[-1][0]
    lines = [_line(key, found, metric, reference) for key in found]
    overtakes = {(n, s): _overtakes(lines, n, s) for n, _ in named if n != reference for s in noise}
    caveats = ("the time was too short for all sizes: larger ones are missing or rest on fewer repeats",) if short else ()
    settings = {"models": [n for n, _ in named], "sizes": wanted, "noise": list(noise), "repeats": repeats, "test_rows": len(held)}
    record = RunRecord("learning_curve", settings, seed, train.fingerprint(), time.perf_counter() - started, caveats=caveats)
    return LearningCurve(tuple(lines), metric, reference, overtakes, _words(lines, overtakes, metric, reference), record)


def _sizes(n: int, given: Sequence[int] | None) -> list[int]:
    if given is None:
        least = min(LEAST * 2, n)
        return sorted({round(s) for s in np.geomspace(least, n, SIZES)})
    wrong = [s for s in given if not LEAST <= s <= n]
    if wrong or not len(given):
        raise RequestError("these sizes cannot be used", expected=f"numbers of rows from {LEAST} to {n}", got=repr(list(given)))
    return sorted(int(s) for s in set(given))


def _named(model: Any) -> tuple[str, Any]:
    if isinstance(model, tuple) and len(model) == 2:
        return str(model[0]), model[1]
    return (model, model) if isinstance(model, str) else (str(getattr(model, "backbone", type(model).__name__)), model)


def _goal(test: Any, classes: Sequence[str]) -> npt.NDArray[Any]:
    if not classes:
        return np.asarray(test.numbers(str(test.target)))
    at = {t: k for k, t in enumerate(classes)}
    texts = test.texts(str(test.target))
    if any(t not in at for t in texts):
        raise RequestError("the test rows have a class that the training rows lack", do="give other test rows")
    return np.array([at[t] for t in texts], np.int64)


def _rows(truth: FloatArray, classes: Sequence[str], size: int, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the first ``size`` rows of a shuffle (larger sizes hold smaller ones), one row of each class first, and a second one next."""
    order = draw.permutation(len(truth))
    if classes:
        each = [order[truth[order] == k] for k in draw.permutation(len(classes))]
        first = np.concatenate([rows[turn : turn + 1] for turn in (0, 1) for rows in each])
        order = np.concatenate([first, order[~np.isin(order, first)]])
    return np.sort(order[:size])


def wrong_labels(
    truth: FloatArray, rows: npt.NDArray[np.int64], share: float, classes: int, draw: np.random.Generator
) -> FloatArray:  # fmt: skip
    """Return the target (N,) with a share of ``rows`` made wrong: another class at random, or the number of another such row."""
    out = truth.copy()
    wrong = rows[draw.random(len(rows)) < share]
    if classes:
        out[wrong] = (out[wrong] + draw.integers(1, max(classes, 2), len(wrong))) % classes
    else:
        out[wrong] = out[np.roll(wrong, 1)]
    return out


def _line(key: Key, found: dict[Key, list[Scores]], metric: str, reference: str) -> dict[str, Any]:
    name, size, share = key
    mine, theirs = found[key], found.get((reference, size, share), [])
    value, error = _mean([(s.point[metric], s.draws[metric]) for s in mine])
    low, high = max(value - 1.96 * error, 0.0 if metric == "roc_auc" else -np.inf), min(value + 1.96 * error, 1.0)  # what the score can be
    line = {"model": name, "rows": size, "noise": share, "score": value, "low": low, "high": high}
    pairs = [(a.point[metric] - b.point[metric], a.draws[metric] - b.draws[metric]) for a, b in zip(mine, theirs)]
    gain, spread = _mean(pairs) if pairs else (np.nan, np.nan)
    return line | {"repeats": len(mine), "gain": gain, "gain_low": gain - 1.96 * spread, "gain_high": gain + 1.96 * spread}


def _mean(parts: Sequence[tuple[float, FloatArray]]) -> tuple[float, float]:
    """Return the mean over repeats and its standard error: test rows are shared by all repeats, training rows differ."""
    points, draws = np.array([p for p, _ in parts]), np.mean([d for _, d in parts], axis=0)
    between = float(error_of_mean(points)) ** 2 if len(points) > 1 else 0.0
    return float(points.mean()), float(np.sqrt(np.nanvar(draws) + between))


def _overtakes(lines: Sequence[dict[str, Any]], name: str, share: float) -> int | None:
    """Return the smallest size at which, and at all larger ones, the model is better than the reference."""
    at = None
    for line in sorted(_compared(lines, name, share), key=lambda line: -line["rows"]):
        if not line["gain_low"] > 0:
            break
        at = int(line["rows"])
    return at


def _compared(lines: Sequence[dict[str, Any]], name: str, share: float) -> list[dict[str, Any]]:
    """Return the lines of a model at sizes that the time left for the reference too."""
    return [line for line in lines if line["model"] == name and line["noise"] == share and np.isfinite(line["gain"])]


def _signed(value: float) -> str:
    return f"{value:+.3f}" if abs(value) >= 0.0005 else "0.000"


def _words(lines: Sequence[dict[str, Any]], overtakes: dict[tuple[str, float], int | None], metric: str, reference: str) -> str:
    unit = "AUC" if metric == "roc_auc" else "R²"
    text = []
    for (name, share), size in overtakes.items():
        noise = f" with {100 * share:.0f} % wrong labels" if share else ""
        mine = _compared(lines, name, share)
        if not mine:
            continue
        last = max(mine, key=lambda line: line["rows"])
        gain = f"{_signed(last['gain'])} [{_signed(last['gain_low'])}, {_signed(last['gain_high'])}] {unit} at {last['rows']:,} rows"
        said = f"overtakes {reference} from {size:,} rows on" if size is not None else f"is not shown to overtake {reference}"
        text.append(f"{name} {said}{noise} ({gain}).")
    return " ".join(text) or (
        f"The time was too short to compare a model with {reference}." if overtakes else f"Only {reference} was fitted."
    )
