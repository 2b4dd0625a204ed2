"""Models from elsewhere, as their authors wrote them, through the same calls: answers come back on the columns of the caller's frame.

One table with numbers, a number with gaps, text, categories with a rare level, booleans and dates; pipelines that turn them into many inner
columns, and boosters that read categories themselves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import pellucid as pld

N = 240
COLUMNS = ["age", "income", "job", "city", "member", "since"]


def rows() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 80, N),
            "income": np.where(draw.random(N) < 0.2, np.nan, draw.normal(30, 8, N).round(1)),
            "job": pd.Categorical(draw.choice(["clerk", "nurse", "pilot"], N, p=[0.6, 0.35, 0.05])),
            "city": np.where(draw.random(N) < 0.1, None, draw.choice(["Bern", "Chur", "Zug"], N)),
            "member": draw.random(N) < 0.5,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 1500, N), "D"),
        }
    )
    return frame


def target(frame: pd.DataFrame) -> np.ndarray:
    days = (frame["since"] - pd.Timestamp("2020-01-01")).dt.days
    return (frame["age"] / 10 + 4 * (frame["job"] == "nurse") - 3 * (frame["city"] == "Zug") + days / 400).to_numpy(float)


def inner(frame: pd.DataFrame) -> pd.DataFrame:
    """What a booster that knows no dates is given: days, and text as categories."""
    days = (frame["since"] - pd.Timestamp("2020-01-01")).dt.days
    return frame.assign(since=days.astype(float), city=pd.Categorical(frame["city"], categories=["Bern", "Chur", "Zug"]))


class Booster:
    """A booster behind the preparation its author wrote; classes where it has them."""

    def __init__(self, model, classifier):
        self.model = model
        if classifier:
            self.predict_proba = lambda frame: self.model.predict_proba(inner(frame))
            self.classes_ = np.array(["high", "low"])

    def predict(self, frame):
        return self.model.predict(inner(frame))


def pipeline(classifier):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    def days(frame):
        return (frame - pd.Timestamp("2020-01-01")) / pd.Timedelta(days=1)

    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age", "income"]),
                ("levels", OneHotEncoder(handle_unknown="ignore", min_frequency=5), ["job", "city", "member"]),
                ("dates", make_pipeline(FunctionTransformer(days), StandardScaler()), ["since"]),
            ]
        ),
        LogisticRegression() if classifier else Ridge(),
    )


def fitted(kind: str, classifier: bool):
    """Return (model, rows, labels)."""
    frame, value = rows(), target(rows())
    y = np.where(value > np.median(value), "high", "low") if classifier else value
    if kind == "pipeline":
        return pipeline(classifier).fit(frame, y), frame, y
    if kind == "hist_gb":
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        made = (HistGradientBoostingClassifier if classifier else HistGradientBoostingRegressor)(
            max_iter=20, categorical_features="from_dtype", random_state=0
        )
    elif kind == "lightgbm":
        lightgbm = pytest.importorskip("lightgbm")
        made = (lightgbm.LGBMClassifier if classifier else lightgbm.LGBMRegressor)(n_estimators=20, n_jobs=1, verbose=-1)
    elif kind == "xgboost":
        xgboost = pytest.importorskip("xgboost")
        made = (xgboost.XGBClassifier if classifier else xgboost.XGBRegressor)(n_estimators=20, n_jobs=1, enable_categorical=True)
    else:
        catboost = pytest.importorskip("catboost")
        model = (catboost.CatBoostClassifier if classifier else catboost.CatBoostRegressor)(
            iterations=20, verbose=0, thread_count=1, cat_features=["job", "city"], allow_writing_files=False
        )

        class WithText(Booster):
            def __init__(self, model, classifier):
                super().__init__(model, classifier)
                if classifier:
                    self.predict_proba = lambda frame: self.model.predict_proba(texts(frame))

            def predict(self, frame):
                return self.model.predict(texts(frame))

        def texts(frame):
            made = inner(frame)
            return made.assign(
                job=made["job"].astype(object), city=made["city"].astype(object).fillna("none"), member=made["member"].astype(float)
            )

        return WithText(model.fit(texts(frame), y), classifier), frame, y
    codes = (y == "low").astype(int) if classifier else y
    return Booster(made.fit(inner(frame), codes), classifier), frame, y


KINDS = ["pipeline", "hist_gb", "lightgbm", *(pytest.param(k, marks=pytest.mark.peer) for k in ("xgboost", "catboost"))]


@pytest.fixture(scope="module", params=KINDS)
def number(request):
    return fitted(request.param, False)


@pytest.fixture(scope="module", params=KINDS)
def classes(request):
    return fitted(request.param, True)


def test_contributions_stand_on_the_callers_columns(number):
    model, frame, _ = number
    asked = frame.head(6)
    made = pld.explain(model, asked, background=frame.tail(20), random_state=0)
    assert made.columns == tuple(COLUMNS)
    np.testing.assert_allclose(made.base_values + made.values.sum(1), np.asarray(model.predict(asked), float), rtol=1e-5)
    assert made.data["job"].tolist() == asked["job"].tolist()
    assert made.data["since"].tolist() == asked["since"].tolist()
    occluded = pld.explain(model, asked, method="occlusion", background=frame.tail(20), random_state=0)
    named = [max(zip(np.abs(v), COLUMNS))[1] for v in (np.abs(made.values).mean(0), np.abs(occluded.values).mean(0))]
    assert named[0] in ("age", "job", "city")
    assert named[1] in ("age", "job", "city")
    assert np.abs(made.values[:, 4]).mean() < 0.2 * np.abs(made.values[:, 0]).mean(), "membership plays no part"


def test_one_line_around_each_row(number):
    model, frame, _ = number
    made = pld.explain(model, frame.head(3), method="lime", background=frame.tail(20), options={"samples": 100}, random_state=0)
    assert made.values.shape == (3, len(COLUMNS))
    assert np.isfinite(made.values).all()


def test_the_whole_table(number):
    model, frame, y = number
    made = pld.explain(model, frame, method="permutation_importance", y=y, random_state=0)
    assert made.columns[int(np.argmax(made.values))] in ("age", "job", "city")
    drawn = {"columns": ["age", "income", "job", "city", "since"], "rows": 60, "points": 6}
    curves = pld.explain(model, frame, method="pdp", options=drawn, random_state=0)
    assert set(map(str, curves.points["job"])) >= {"clerk", "nurse"}
    assert pd.isna(curves.points["city"][-1]), "the missing cell has a place of its own"
    assert isinstance(pd.Timestamp(curves.points["since"][0]), pd.Timestamp)
    job = dict(zip(map(str, curves.points["job"]), curves.values["job"][:, 0]))
    assert job["nurse"] > job["clerk"] + 1


def test_classes_by_name(classes):
    model, frame, _ = classes
    asked = frame.head(5)
    made = pld.explain(model, asked, background=frame.tail(20), random_state=0)
    probability = np.asarray(model.predict_proba(asked))[:, 1]
    assert made.outputs == ("low",)
    np.testing.assert_allclose(made.base_values + made.values.sum(1), probability, atol=1e-5)


def test_conditions_that_hold_an_answer(classes):
    model, frame, _ = classes
    made = pld.explain(model, frame.head(2), method="anchors", background=frame.tail(100), random_state=0, budget=20_000)
    lines = made.to_frame()
    assert len(lines) == 2
    assert lines["rule"].str.contains("|".join(COLUMNS)).all()


def test_what_would_have_to_change(classes):
    model, frame, _ = classes
    answers = np.asarray(model.predict_proba(frame))[:, 1]
    asked = frame[answers > 0.6].head(3)  # likely "low"
    made = pld.act(model, asked, want="high", method="counterfactual", background=frame, random_state=0, rules={"member": "never"})
    assert set(made.changes["column"]) <= set(COLUMNS) - {"member"}
    assert len(made.unreached) == 0
    after = asked.copy()
    for row, column, cell in made.changes.query("option == 1")[["row", "column", "after"]].itertuples(index=False):
        after.loc[row, column] = pd.Timestamp(cell) if column == "since" else cell
    assert (np.asarray(model.predict_proba(after))[:, 1] <= 0.5).all(), "the model itself does not answer so to the changed rows"


def test_a_foreign_model_is_told_that_native_reads_networks():
    frame = pd.DataFrame({"a": np.arange(20.0)})
    model = LogisticRegression().fit(frame, np.arange(20) > 9)
    with pytest.raises(pld.RequestError, match="the model shows nothing"):
        pld.explain(model, frame, method="native", background=frame)
