"""Two made-up but complete reports, with hostile text wherever text from data can stand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from made_changes import changes

from pellucid.report.facts import Calibration, ColumnFact, MissingPattern, ReportData, Score
from pellucid.results import Explanation, Finding, Importance, Leaderboard, Prediction, RunRecord, Trial

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
BRACES = "{{7*7}}"
CLOSE = "</script><b>x"
LONG = "наблюдение_über_Größe_数据列_" + "longname" * 8
HOSTILE = (SCRIPT, IMAGE, BRACES, CLOSE, LONG)


def _record(method: str, **more: object) -> RunRecord:
    return RunRecord(method, {"budget": 2000, "fill": "marginal"}, 7, "3f9a2c51", 12.3, 200_000, **more)  # type: ignore[arg-type]


def _trials(method: str, fail: str = "") -> tuple[Trial, ...]:
    spec = [
        (
            "weight_randomisation",
            0.12,
            (0.05, 0.19),
            0.5,
            "rank agreement with the explanation of a re-initialised network is 0.12 (0.05 to 0.19), below 0.5",
            {
                "curve": [["none", 1.0, 1.0], ["head", 0.61, 0.4], ["block 2", 0.34, 0.1], ["embedding", 0.12, 0.02]],
                "signed": 0.02,
                "repeats": 10,
            },
        ),
        (
            "deletion",
            0.31,
            (0.27, 0.35),
            0.0,
            "removing columns in this order lowers the answer 0.31 (0.27 to 0.35) more than random order",
            {"insertion": [0.36, 0.31, 0.41], "deletion": [0.31, 0.27, 0.35], "unit": "share of the distance"},
        ),
        ("completeness", 2e-7, (1e-7, 4e-7), 1e-5, "the largest gap is 2e-07 of the output range, below 1e-05", {}),
        ("stability", 0.97, (0.95, 0.98), 0.8, "order of columns under other random numbers agrees to 0.97 (0.95 to 0.98)", {}),
        (
            "label_randomisation",
            float("nan"),
            (float("nan"),) * 2,
            float("nan"),
            "not testable: give refit= so that a model of shuffled labels can be fitted",
            {},
        ),
    ]
    out = []
    for name, figure, interval, null, words, details in spec:
        verdict = "not testable" if np.isnan(figure) else "fail" if name == fail else "pass"
        out.append(Trial(name, figure, interval, null, verdict, words, _record(name), method, details))
    return tuple(out)


def _findings(columns: list[str], n: int) -> tuple[Finding, ...]:
    rng = np.random.default_rng(3)
    rows = np.sort(rng.choice(n, 230, replace=False))
    return (
        Finding(
            "missing",
            "medium",
            (columns[5], columns[1]),
            "1,843 cells are missing, 1,836 of them in both columns",
            "keep: missing is learned as a state",
            _record("missing"),
            rows,
        ),
        Finding(
            "leakage",
            "high",
            (columns[3],),
            f"alone it predicts the target to 0.99 (0.98 to 1.00); level {SCRIPT}",
            f"remove {IMAGE} unless it is known at the time of the decision",
            _record("leakage"),
        ),
        Finding(
            "duplicates: across splits",
            "medium",
            (),
            "52 exact copies of 47 rows; kept in one part of the split",
            "drop them if they are the same person",
            _record("duplicates"),
            rows[:52],
        ),
        Finding(
            "rare_class", "low", (columns[0],), f"level {BRACES} occurs 3 times", "collect more, or join levels", _record("rare"), rows[:3]
        ),
        Finding(
            "suspicious_values",
            "low",
            ("capital-gain",),
            "244 cells hold 99999, the largest value, far from the next (41310)",
            "mark 99999 as a missing code",
            _record("values"),
            rows[:244],
        ),
    )


def classification(fail: str = "", n: int = 120) -> ReportData:
    """Return a report on a three-class table whose names and cells try to break the page."""
    rng = np.random.default_rng(0)
    columns = [
        "age",
        "hours-per-week",
        SCRIPT,
        IMAGE,
        "education",
        LONG,
        "capital-gain",
        "sex",
        BRACES,
        CLOSE,
        "marital status",
        "occupation",
    ]
    levels = np.array([SCRIPT, IMAGE, BRACES, "plain & <simple>", CLOSE])
    frame = pd.DataFrame({c: rng.normal(50, 15, n).round(1) for c in columns})
    frame["age"] = rng.integers(17, 90, n)
    frame[LONG] = np.where(rng.random(n) < 0.3, np.nan, frame[LONG])
    for c in (SCRIPT, "sex", CLOSE, "education", "occupation"):
        frame[c] = levels[rng.integers(0, len(levels), n)]
    frame["sex"] = np.where(rng.random(n) < 0.5, "Female", "Male")
    frame["marital status"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D")
    frame.index = np.sort(rng.choice(40_000, n, replace=False))
    classes = ("<=50K", ">50K", SCRIPT)
    scale = np.array([0.9, 0.7, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.01])
    values = rng.normal(0, 1, (n, 12, 3)) * scale[None, :, None]
    base = np.tile([0.4, -0.6, -2.0], (n, 1))
    out = base + values.sum(1)
    p = np.exp(out) / np.exp(out).sum(1, keepdims=True)
    explanation = Explanation(
        values,
        base,
        tuple(columns),
        classes,
        frame,
        "log-odds",
        "shapley",
        _record("shapley", caveats=("marginal fill breaks ties between columns",)),
        out,
        np.abs(values) * 0.05,
        np.full((n, 3), 1e-9),
        200_000,
    )
    point = np.array(classes, object)[p.argmax(1)]
    truth = np.where(rng.random(n) < 0.85, point, np.array(classes, object)[rng.integers(0, 3, n)])
    noise = -(p * np.log(p)).sum(1)
    sets = tuple(
        tuple(np.array(classes, object)[np.argsort(-row)][: max(1, int((np.cumsum(np.sort(row)[::-1]) < 0.8).sum() + 1))]) for row in p
    )
    familiar = rng.uniform(0, 100, n)
    refused = familiar < 2
    prediction = Prediction(
        point,
        0.9,
        _record("members"),
        p,
        sets,
        aleatoric=noise * 0.8,
        epistemic=noise * 0.2 * rng.random(n),
        familiarity=familiar,
        odd_column=tuple(np.array(columns, object)[rng.integers(0, 12, n)]),
        refused=refused,
        reason=tuple(f"unlike every training row {IMAGE}" if r else "" for r in refused),
        classes=classes,
        index=np.asarray(frame.index),
    )
    board = Leaderboard(
        (
            {
                "model": "tabm",
                "score": 0.8683,
                "low": 0.8637,
                "high": 0.8728,
                "difference": 0.0,
                "difference_low": 0.0,
                "difference_high": 0.0,
                "fit_seconds": 74.2,
                "predict_seconds": 0.4,
                "explanation_size": 6.1,
                "roc_auc": 0.9261,
            },
            {
                "model": "hist_gb",
                "score": 0.8701,
                "low": 0.8655,
                "high": 0.8746,
                "difference": 0.0018,
                "difference_low": -0.0011,
                "difference_high": 0.0047,
                "fit_seconds": 3.1,
                "predict_seconds": 0.1,
                "explanation_size": 6.4,
                "roc_auc": 0.9279,
            },
            {
                "model": "linear",
                "score": 0.8512,
                "low": 0.8464,
                "high": 0.8559,
                "difference": -0.0171,
                "difference_low": -0.0206,
                "difference_high": -0.0136,
                "fit_seconds": 1.2,
                "predict_seconds": 0.05,
                "explanation_size": 5.2,
                "roc_auc": 0.9042,
            },
            {
                "model": f"mine {SCRIPT}",
                "score": 0.801,
                "low": 0.795,
                "high": 0.806,
                "difference": -0.067,
                "difference_low": -0.072,
                "difference_high": -0.062,
                "fit_seconds": 0.1,
                "predict_seconds": 0.02,
                "explanation_size": 2.0,
                "roc_auc": 0.81,
            },
        ),
        "accuracy",
        "tabm",
        "tabm and hist_gb cannot be told apart; both beat the linear model",
        _record("compare"),
    )
    predicted = np.linspace(0.05, 0.95, 10)
    count = np.array([400, 300, 250, 200, 180, 170, 190, 230, 320, 500])
    observed = np.clip(predicted + rng.normal(0, 0.02, 10), 0, 1)
    half = 1.96 * np.sqrt(observed * (1 - observed) / count)
    curve = Calibration(
        predicted,
        observed,
        observed - half,
        observed + half,
        count,
        error=0.011,
        error_low=0.008,
        error_high=0.019,
        null_error=0.010,
        null_error_high=0.016,
        error_before=0.037,
        output=">50K",
        n=int(count.sum()),
    )
    facts = tuple(
        ColumnFact(
            c,
            "number" if frame[c].dtype.kind in "if" else "date" if frame[c].dtype.kind == "M" else "category",
            unit="years" if c == "age" else "",
            evidence=f"{frame[c].nunique()} distinct values",
            n_missing=int(frame[c].isna().sum()) * 300,
            n_distinct=int(frame[c].nunique()),
            example=", ".join(map(str, frame[c].head(3))),
        )
        for c in columns
    )
    return ReportData(
        title=f"income in people {SCRIPT}.csv",
        source=f"people {SCRIPT}.csv",
        n_rows=48_842,
        n_columns=13,
        columns=(*facts, ColumnFact("income", "category", "target")),
        fingerprint="3f9a2c51d0b7",
        task="classification",
        target="income",
        classes=classes,
        model="tabm",
        settings={"backbone": "tabm", "members": 32, "dropout": 0.1, "note": IMAGE},
        split={"train": 24_421, "stop": 4_884, "certify": 4_884, "test": 14_653},
        plan="Random split, stratified by the target; exact copies of a row stay in one part.",
        fit_seconds=74.2,
        history=[{"step": 50 * i, "train_loss": 0.7 / (1 + 0.2 * i) + 0.3, "score": 0.87 - 0.1 / (1 + i)} for i in range(20)],
        scores=(
            Score("accuracy", 0.8683, 0.8637, 0.8728, 0.7607, "always answering '<=50K'", n=14_653),
            Score("roc_auc", 0.9261, 0.9218, 0.9303, 0.5, "guessing", n=14_653),
            Score("log_loss", 0.289, 0.281, 0.297, 0.551, "always giving the class shares", False, n=14_653),
        ),
        groups=(
            Score("accuracy", 0.931, 0.924, 0.938, n=4_850, of="sex = Female"),
            Score("accuracy", 0.837, 0.830, 0.845, n=9_803, of="sex = Male"),
            Score("coverage", 0.871, 0.842, 0.896, 0.9, n=520, of=f"class {SCRIPT}"),
        ),
        leaderboard=board,
        explanation=explanation,
        others=(dataclasses.replace(explanation, values=values * 1.2, method="gradient", record=_record("gradient"), error=None),),
        importance=Importance(
            np.linspace(0.3, 0.0, 12),
            np.column_stack([np.linspace(0.28, -0.01, 12), np.linspace(0.32, 0.01, 12)]),
            tuple(columns),
            "accuracy lost",
            "permutation_importance",
            _record("permutation_importance"),
        ),
        trials=(*_trials("shapley", fail), *_trials("gradient", "weight_randomisation")),
        positions=np.asarray(frame.index),
        prediction=prediction,
        truth=truth,
        calibration=curve,
        coverage=Score("coverage", 0.904, 0.898, 0.910, 0.9, n=14_653),
        set_size=Score("set_size", 1.21, 1.20, 1.22, n=14_653),
        refused_share=0.021,
        unfamiliar_share=0.012,
        findings=_findings(columns, 40_000),
        missing=MissingPattern(
            (LONG, "hours-per-week", SCRIPT),
            np.array([[False, False, False], [True, True, False], [True, False, False], [False, False, True]]),
            np.array([46_500, 1_836, 7, 499]),
        ),
        versions={"python": "3.11.7", "pellucid": "0.1.0", "torch": "2.9.0", "numpy": "2.3.4"},
        seeds={"model": 0, "split": 0, "explain": 7},
        durations={"read": 0.6, "audit": 4.1, "fit": 74.2, "compare": 9.9, "explain": 12.3, "trials": 31.0},
        command="pellucid report people.csv --target income --seed 0",
        created="2025-01-02 03:04",
        caveats=("Marginal fill asks the model about combinations of cells that may not occur.",),
        unknown=("How the model does on class 'Never-worked': 3 rows, 20 would be needed.",),
        **changes(SCRIPT, IMAGE),
    )


def regression(n: int = 90) -> ReportData:
    """Return a report on a table whose linear model is as good as ours, without leak; names are ordinary."""
    rng = np.random.default_rng(1)
    columns = ("median_income", "house_age", "rooms", "bedrooms", "population", "occupancy", "latitude", "longitude")
    frame = pd.DataFrame(rng.normal(3, 1, (n, 8)).round(3), columns=list(columns))
    values = rng.normal(0, 1, (n, 8)) * np.array([30, 5, 4, 3, 2, 8, 20, 20])
    base = np.full(n, 206.9)
    answer = base + values.sum(1)
    explanation = Explanation(
        values, base, columns, ("price",), frame, "thousand $", "shapley", _record("shapley"), answer, None, np.zeros(n), 90_000
    )
    noise = rng.normal(0, 40, n)
    width = 60 + 10 * rng.random(n)
    prediction = Prediction(
        answer,
        0.9,
        _record("members"),
        low=answer - width,
        high=answer + width,
        aleatoric=np.full(n, 900.0),
        epistemic=rng.gamma(2, 60, n),
        familiarity=rng.uniform(0, 100, n),
        odd_column=("population",) * n,
        refused=np.zeros(n, bool),
        reason=("",) * n,
    )
    board = Leaderboard(
        (
            {
                "model": "linear",
                "score": 46.1,
                "low": 44.9,
                "high": 47.4,
                "difference": 0.0,
                "difference_low": 0.0,
                "difference_high": 0.0,
                "fit_seconds": 0.2,
            },
            {
                "model": "tabm",
                "score": 45.8,
                "low": 44.5,
                "high": 47.1,
                "difference": 0.3,
                "difference_low": -0.4,
                "difference_high": 1.0,
                "fit_seconds": 41.0,
            },
        ),
        "rmse",
        "linear",
        "tabm and linear cannot be told apart",
        _record("compare"),
    )
    return ReportData(
        title="price in houses.csv",
        source="houses.csv",
        n_rows=20_640,
        n_columns=9,
        columns=(*(ColumnFact(c, "number", n_missing=0) for c in columns), ColumnFact("price", "number", "target", "thousand $")),
        fingerprint="aa11",
        task="regression",
        target="price",
        target_unit="thousand $",
        model="tabm",
        settings={"backbone": "tabm"},
        split={"train": 13_210, "stop": 1_651, "certify": 1_651, "test": 4_128},
        plan="Random split.",
        fit_seconds=41.0,
        scores=(Score("rmse", 45.8, 44.5, 47.1, 115.3, "always answering the mean", False, "thousand $", 4_128),),
        leaderboard=board,
        explanation=explanation,
        trials=_trials("shapley"),
        prediction=prediction,
        truth=answer + noise,
        coverage=Score("coverage", 0.861, 0.850, 0.872, 0.9, n=4_128),
        set_size=Score("width", 130.2, 129.0, 131.4, unit="thousand $", n=4_128),
        refused_share=0.0,
        versions={"python": "3.11.7"},
        seeds={"model": 0},
        command="pellucid report houses.csv --target price",
    )


def audit_only() -> ReportData:
    """Return a report without target and model."""
    full = classification()
    return ReportData(
        "people.csv",
        "people.csv",
        full.n_rows,
        full.n_columns,
        full.columns,
        full.fingerprint,
        findings=full.findings,
        missing=full.missing,
    )
