"""Which source of doubt serves this table best? On the same rows: a proper score, calibration, whether doubt finds errors and shift.

Letters: N test rows, K members, O classes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import PellucidError, RequestError
from pellucid.evaluate.figures import Figure
from pellucid.evaluate.leaderboard import shared_rows
from pellucid.evaluate.scores import Scores, _weights, roc_auc
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, stream
from pellucid.results import Leaderboard, RunRecord
from pellucid.table import ColumnType, Table
from pellucid.table.cells import level_text
from pellucid.training.calibration_metrics import check_calibration
from pellucid.training.scoring import check_pit, crps_mixture, crps_normal, crps_quantiles

__all__ = ["ASKED", "SOURCES", "run", "shifted"]

SOURCES: Mapping[str, Mapping[str, Any]] = {
    "members": {},
    "mc_dropout": {},
    "laplace": {"bayes": "laplace"},
    "mean_field": {"bayes": "mean_field"},
    "networks": {"members": {"networks": 3}},
    "snapshots": {"members": {"snapshots": 3}},
    "prior_net": {"bayes": "prior_net"},
    "stochastic_bn": {"bayes": "stochastic_bn"},
    "normal": {"head": "normal"},
    "quantile": {"head": "quantile"},
    "mixture": {"head": "mixture"},
}
"""Sources by name, with what each changes of the estimator; what a table or backbone has no use for is left out and said."""

ASKED = ("mc_dropout",)
"""Sources that are asked of the first model, without a fit of their own."""

NUMBERS, CLASSES = ("normal", "quantile", "mixture"), ("prior_net",)
MOVE = 4.0  # standard deviations by which the numbers of shifted rows are moved


@dataclass(frozen=True)
class _Answers:
    """What one source says of the test rows: loss (N,), doubt (N,), calibration, and the doubt of the shifted rows."""

    loss: FloatArray
    error: FloatArray
    doubt: FloatArray
    lack: FloatArray
    lack_shifted: FloatArray
    calibration: Any
    seconds: float


def shifted(table: Table, seed: int) -> Table:
    """Return the rows with half of their columns as no training row has them: numbers moved by four standard deviations up or down, levels
    taken from other rows."""
    draw = stream(seed, "shifted rows")
    columns = list(table.features)
    chosen = [columns[i] for i in np.sort(draw.permutation(len(columns))[: -(-len(columns) // 2)])]
    cells: dict[str, Any] = {}
    for name in chosen:
        if table.schema[name].type is ColumnType.NUMBER:
            values = table.numbers(name)
            spread = float(np.nanstd(values)) or 1.0
            cells[name] = values + MOVE * spread * draw.choice([-1.0, 1.0], len(values))
        else:
            cells[name] = table.frame[name].to_numpy()[draw.permutation(len(table))]
    return table.with_cells(cells)


def _law(
    predictor: Any, table: Table, members: FloatArray, noise: FloatArray, y: FloatArray, mean: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return (score (N,), distribution function at the truth (N,)) of the law that a source gives for one number about ``mean`` (N,)."""
    from scipy.special import ndtr

    law = predictor.law(table) if hasattr(predictor, "law") else {}
    if "quantiles" in law:
        q = law["quantiles"].mean(1)[..., 0]
        pit = np.array([np.interp(v, at, law["levels"], left=0.0, right=1.0) for v, at in zip(y, q)])
        return crps_quantiles(y, q, law["levels"]), pit
    if "weights" in law and law["weights"].shape[2] > 1:
        parts = [law[k][..., 0].reshape(len(y), -1) for k in ("weights", "means", "sds")]
        weights = parts[0] / parts[0].sum(1, keepdims=True)
        return crps_mixture(y, weights, parts[1], parts[2]), (weights * ndtr((y[:, None] - parts[1]) / parts[2])).sum(1)
    sd = np.sqrt(np.maximum(members[..., 0].var(1) + noise, 1e-300))
    return crps_normal(y, mean, sd), ndtr((y - mean) / sd)


def _ask(model: Any, ground: Any, far: Table, source: str | None, seed: int) -> _Answers:
    """Ask one source about the test rows and the shifted ones."""
    predictor = model.predictor() if source is None else model.predictor(source=source)
    started = time.perf_counter()
    # a source that is asked afterwards tells the doubt; the answer stays the model's own
    mine = model.uncertainty(ground.test, source=source, familiarity=None, samples=True)
    seconds = time.perf_counter() - started
    other = model.uncertainty(far, source=source, familiarity=None)
    lack, lack_far = (d.epistemic if d.epistemic is not None else d.aleatoric for d in (mine, other))
    if lack is None or lack_far is None:
        lack, lack_far = np.zeros(len(mine)), np.zeros(len(mine))
    doubt = lack if mine.epistemic is None or mine.aleatoric is None else lack + mine.aleatoric
    if ground.task == "classification":
        p = mine.probabilities
        at = {level_text(c): k for k, c in enumerate(predictor.classes)}
        y = np.array([at[c] for c in ground.classes])[ground.truth]
        loss = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-15))
        return _Answers(loss, loss, doubt, lack, lack_far, check_calibration(p, y, seed=seed), seconds)
    y = np.asarray(ground.truth, np.float64)
    noise = np.full(len(y), np.var(y)) if mine.aleatoric is None else mine.aleatoric
    loss, pit = _law(predictor, ground.test.select(predictor.columns), mine.samples, noise, y, mine.point)
    return _Answers(loss, np.abs(y - mine.point), doubt, lack, lack_far, check_pit(pit, seed=seed), seconds)


def _scores(metric: str, loss: FloatArray, n_boot: int, seed: int) -> Scores:
    found = np.concatenate([w @ loss / len(loss) for w in _weights(len(loss), n_boot, seed)])
    return Scores({metric: float(found[0])}, {metric: found[1:]})


def _tells(a: _Answers, n_boot: int, seed: int) -> dict[str, float]:
    """Return how doubt goes with error (rank correlation) and tells shifted rows (area under the curve), with 95 % intervals."""
    from scipy.stats import rankdata

    n = len(a.loss)
    doubt, error = rankdata(a.doubt), rankdata(a.error)
    flat = float(np.std(doubt)) == 0 or float(np.std(error)) == 0
    rank = 0.0 if flat else float(np.corrcoef(doubt, error)[0, 1])
    slack = 1.96 / np.sqrt(max(n - 3, 1))  # Fisher's transform
    low, high = np.tanh(np.arctanh(np.clip(rank, -0.999, 0.999)) + np.array([-slack, slack]))
    # the same row shifted and not: resampled together
    draw = stream(seed, "shift").multinomial(n, np.full(n, 1 / n), size=min(n_boot, 200)).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), draw])
    labels = np.r_[np.zeros(n, bool), np.ones(n, bool)]
    area = roc_auc(labels, np.r_[a.lack, a.lack_shifted], np.hstack([weights, weights]))
    a_low, a_high = np.quantile(area[1:], [0.025, 0.975])
    return {
        "doubt_and_error": rank, "doubt_and_error_low": float(low), "doubt_and_error_high": float(high), "tells_shift": float(area[0]),
        "tells_shift_low": float(a_low), "tells_shift_high": float(a_high),
    }  # fmt: skip


def run(
    table: Any, sources: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None, *, model: Any = None, test: Any = None,
    target: str | None = None, n_boot: int = 500, random_state: Any = 0,
) -> Leaderboard:  # fmt: skip
    """Compare sources of doubt. See :func:`pellucid.evaluate.contest`."""
    from sklearn.base import clone

    from pellucid.estimators import TabularClassifier, TabularRegressor

    started, seed = time.perf_counter(), as_seed(random_state)
    ground = shared_rows(table, test, target, seed)
    wanted = _wanted(sources, ground.task)
    kind = TabularRegressor if ground.task == "regression" else TabularClassifier
    base = model if model is not None else kind(random_state=seed, verbose=0)
    far = shifted(ground.test, integer(seed, "far"))
    metric = "log_loss" if ground.task == "classification" else "crps"
    answers: dict[str, _Answers] = {}
    seconds: dict[str, float] = {}
    caveats: list[str] = []
    first: Any = None
    for name, change in wanted.items():
        try:
            fitted = first if name in ASKED and first is not None else clone(base).set_params(**change).fit(ground.train)
            answers[name] = _ask(fitted, ground, far, name if name in ASKED else None, seed)
        except PellucidError as error:
            if first is None:
                raise  # without the first there is nothing to compare with
            caveats.append(f"{name} is not in the contest: {error}")
            continue
        first = fitted if first is None else first
        seconds[name] = 0.0 if name in ASKED and fitted is first else float(fitted.record_["seconds"])
    rows = _rows(answers, seconds, metric, n_boot, seed)
    caveats.append("shifted rows are made up: half of the columns, numbers moved by four standard deviations, levels shuffled")
    settings = {"sources": list(wanted), "n_boot": n_boot, "test_rows": len(ground.test)}
    record = RunRecord("contest", settings, seed, ground.train.fingerprint(), time.perf_counter() - started, 0, tuple(caveats))
    return Leaderboard(tuple(rows), metric, next(iter(answers)), words(rows, metric, len(ground.test)), record)


def _wanted(sources: Sequence[str] | Mapping[str, Mapping[str, Any]] | None, task: str) -> dict[str, Mapping[str, Any]]:
    if isinstance(sources, Mapping):
        return dict(sources)
    useless = CLASSES if task == "regression" else NUMBERS
    names = [n for n in SOURCES if n not in (*useless, "stochastic_bn")] if sources is None else list(sources)
    unknown = [n for n in names if n not in SOURCES]
    if unknown or not names or isinstance(sources, str):
        raise RequestError("these sources of doubt are not known", expected=f"some of {', '.join(SOURCES)}", got=repr(sources))
    return {n: SOURCES[n] for n in names}


def _rows(answers: Mapping[str, _Answers], seconds: Mapping[str, float], metric: str, n_boot: int, seed: int) -> list[dict[str, Any]]:
    scores = {name: _scores(metric, a.loss, n_boot, seed) for name, a in answers.items()}
    reference = scores[next(iter(scores))]
    best = min(scores.values(), key=lambda s: s.point[metric])
    out = []
    for name, a in answers.items():
        own = scores[name].figure(metric)
        draws = reference.draws[metric] - scores[name].draws[metric]
        gain = Figure(reference.point[metric] - scores[name].point[metric], *map(float, np.quantile(draws, [0.025, 0.975])))
        check = a.calibration
        out.append({
            "model": name, "score": own.value, "low": own.low, "high": own.high, "difference": gain.value, "difference_low": gain.low,
            "difference_high": gain.high,
            "as_good": bool(np.quantile(scores[name].draws[metric] - best.draws[metric], 0.025) <= 0),
            "calibration_error": getattr(check, "ece", getattr(check, "error", np.nan)),
            "calibration_null": check.null_high, "calibrated": check.consistent, **_tells(a, n_boot, seed),
            "fit_seconds": seconds[name], "predict_seconds": a.seconds,
        })  # fmt: skip
    return out


def words(rows: Sequence[Mapping[str, Any]], metric: str, n: int) -> str:
    """Return which source serves the table best, and which are as good for less time, in words."""
    best = min(rows, key=lambda r: r["score"])
    near = [r for r in rows if r is not best and r["as_good"]]  # the paired difference to the best may be none
    unit = metric.replace("_", " ")
    text = [f"{best['model']} has the best {unit}, {best['score']:.4g} ({best['low']:.4g} to {best['high']:.4g}) on {n:,} test rows."]
    if near:
        first = rows[0]["fit_seconds"]  # what is asked afterwards needs that fit too
        quick = min([best, *near], key=lambda r: max(r["fit_seconds"], first * (r["model"] in ASKED)) + r["predict_seconds"])
        text.append(f"Within the interval as good: {', '.join(r['model'] for r in near)}; the quickest of them is {quick['model']}.")
    off = [str(r["model"]) for r in rows if not r["calibrated"]]
    text.append(f"Not calibrated: {', '.join(off)}." if off else "All are calibrated within what so many rows can show.")
    finds = max(rows, key=lambda r: r["doubt_and_error"])
    tells = max(rows, key=lambda r: r["tells_shift"])
    text.append(f"Doubt goes best with error for {finds['model']} (rank correlation {finds['doubt_and_error']:.2f})")
    text[-1] += f" and tells shifted rows best for {tells['model']} (area under the curve {tells['tells_shift']:.2f})."
    return " ".join(text)
