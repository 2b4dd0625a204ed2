"""One made-up answer of every class that can be drawn, with hostile names wherever text from data can stand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pellucid.results import (
    Actions,
    AttentionMaps,
    Clusters,
    Coverage,
    Curve,
    Decision,
    Explanation,
    FactorGeometry,
    FeatureComplexity,
    FoundRows,
    HeadImportance,
    Heads,
    Importance,
    Importances,
    Inquiry,
    Interactions,
    LayerProbes,
    LayerRelevance,
    Neighbours,
    NextRows,
    Resemblance,
    RiskCoverage,
    Rule,
    Rules,
    RunRecord,
    Selection,
    UnitMaps,
    Watch,
    Words,
)

BAD = "<script>alert(1)</script>"
NAMES = ("age", BAD, "income & <b>rent</b>", "city")
N = 40


def record(method: str) -> RunRecord:
    return RunRecord(method, {"budget": 100}, 0, "ab12", 1.0, 1000, ("made up",))


def frame(n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n).astype(float),
            BAD: rng.normal(0, 1, n).round(2),
            "income & <b>rent</b>": rng.normal(3, 1, n).round(2),
            "city": rng.choice(["Bern", "Oslo <i>", BAD], n),
        },
        index=[f"row {i}" for i in range(n)],
    )


def explanation() -> Explanation:
    rng = np.random.default_rng(1)
    data = frame()
    values = rng.normal(0, 1, (N, 4)) * [2.0, 1.0, 0.5, 0.1]
    values[:, 0] += 0.05 * (data["age"] - 50) * data[BAD]
    base = np.full(N, 1.5)
    error = np.abs(values) * 0.1 + 0.02
    predictions = base + values.sum(1)
    return Explanation(
        values, base, NAMES, (f"y {BAD}",), data, "points", "shapley", record("shapley"), predictions, error, np.zeros(N), 100
    )


def importance() -> Importance:
    values = np.array([4.0, 3.0, 2.0, 1.0])
    return Importance(values, np.column_stack([values - 0.5, values + 0.5]), NAMES, "points", "sage", record("sage"))


PAIRS = ((NAMES[0], NAMES[1]), (NAMES[0], NAMES[2]), (NAMES[1], NAMES[2]), (NAMES[2], NAMES[3]))


def importances() -> Importances:
    values = np.random.default_rng(0).random((4, 3))
    interval = np.stack([values - 0.1, values + 0.1], -1)
    interval[:, 2] = np.nan
    ways = ("shapley", "permutation", f"built-in {BAD}")
    scores = pd.DataFrame([{"rows": "outside", "n": 40, "metric": BAD, "value": 0.5, "low": 0.4, "high": 0.6, "null": 0.0}])
    return Importances(
        NAMES, ways, values, interval, ("points", BAD, "gain"), np.eye(3), 0.9, {BAD: ("a", "b")}, scores, f"they agree {BAD}",
        "importances", record("i"),
    )  # fmt: skip


def interactions() -> Interactions:
    rng = np.random.default_rng(2)
    sets = (*((c,) for c in NAMES), *PAIRS)
    by_set = rng.normal(0, 0.2, (N, len(sets), 1))
    by_set[:, 4] += 1.0
    return Interactions(
        sets, by_set, NAMES, ("y",), "points", "k-sii", "interactions", record("interactions"), np.full_like(by_set, 0.05), data=frame()
    )


def circle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Loss of ``a xi + b xj + a b xi xj`` as a model of ``xi + xj + xi xj``, xi and xj independent standard normal: the closed form."""
    return (1 - a) ** 2 + (1 - b) ** 2 + (1 - a * b) ** 2


def edge(epsilon: float, directions: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Return factors on the closed curve where that loss is epsilon, one in the middle of each direction."""
    angle = (np.arange(directions) + 0.5) * 2 * np.pi / directions - np.pi
    low, high = np.zeros(directions), np.full(directions, 2.0)
    for _ in range(60):
        middle = (low + high) / 2
        inside = circle(1 + middle * np.cos(angle), 1 + middle * np.sin(angle)) < epsilon
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return 1 + low * np.cos(angle), 1 + low * np.sin(angle)


def rashomon(epsilon: float = 0.1) -> Interactions:
    a, b = edge(epsilon)
    half = [1 + (v - 1) / 2 for v in (a, b)]
    lines = []
    for name, (first, second) in zip(("x".join(p) for p in PAIRS[:2]), PAIRS[:2]):
        for model, x, y in [("the model", 1.0, 1.0), *(("scaled", *v) for v in (*zip(*half), *zip(a, b)))]:
            fis = 2 * x * y * (x + y + x * y) / 3 * (1 if name == "x".join(PAIRS[0]) else 0.01)
            line = {"columns": f"{first} x {second}", "first": first, "second": second, "model": model, "factor_first": x}
            lines.append(line | {"factor_second": y, "loss": 0.2 + float(circle(np.array(x), np.array(y))), "fis": fis, "error": 0.05})
    swarm = pd.DataFrame(lines)
    by = swarm.groupby("columns", sort=False)["fis"]
    own = swarm.loc[swarm["model"] == "the model", "fis"].to_numpy()
    shape = lambda v: np.asarray(v, float)[None, :, None]  # noqa: E731
    return Interactions(
        PAIRS[:2], shape(own), NAMES, ("loss",), "squared error", "fis", "rashomon", record("rashomon"), shape([0.05, 0.05]),
        low=shape(by.min()), high=shape(by.max()), swarm=swarm,
    )  # fmt: skip


def curve() -> Curve:
    points, values, interval, share, lines = {}, {}, {}, {}, {}
    cells = {
        "age": [*np.linspace(20, 80, 12), None],
        BAD: list(np.linspace(-2, 2, 9)),
        "city": ["Bern", "Oslo <i>", BAD],
        "since": list(pd.date_range("2020-01-01", periods=6)),
    }
    for name, at in cells.items():
        g = len(at)
        points[name] = np.array(at, object)
        values[name] = np.column_stack([np.sin(np.linspace(0, 3, g)), np.cos(np.linspace(0, 3, g))])
        interval[name] = np.stack([values[name] - 0.2, values[name] + 0.2], -1)
        share[name] = np.full(g, 1 / g)
        lines[name] = values[name][None] + np.random.default_rng(0).normal(0, 0.2, (5, 1, 1))
    return Curve(tuple(cells), ("yes", f"no {BAD}"), points, values, interval, share, "log-odds", "ale", record("ale"), lines)


def rules() -> Rules:
    some = (
        Rule(("age <= 40.5", f"city = '{BAD}'"), ("age", "city"), f"yes {BAD}", 0.93, (0.88, 0.96), 0.31),
        Rule((), (), "no", 0.71, (0.66, 0.75), 0.69),
    )
    return Rules(
        some, ("age", "city"), 0.84, (0.8, 0.88), "share of equal labels", "the rules copy the model", "surrogate_tree", record("tree")
    )


def words() -> Words:
    rng = np.random.default_rng(0)
    cell = tuple(f"nice {BAD} room with a view and a very long corridor &amp; noise".split())
    values = (rng.normal(0, 1, (len(cell), 1)), np.zeros((0, 1)))
    data = pd.DataFrame({"note": [" ".join(cell), None]}, index=[5, 6])
    error = {"note": tuple(np.full(v.shape, 0.1) for v in values)}
    return Words(
        ("note",), ("yes",), {"note": (cell, ())}, {"note": values}, "log-odds", "shapley", "occlusion_words", record("w"), data, error
    )


def heads() -> Heads:
    values = np.random.default_rng(0).normal(0, 1, (N, 2, 3, 2))
    return Heads(values, ("yes", BAD), "log-odds", "head_contributions", record("h"), np.arange(N).astype(object))


def head_importance() -> HeadImportance:
    rng = np.random.default_rng(0)
    value = rng.random((2, 3))
    looks = rng.dirichlet(np.ones(5), (2, 3))
    pattern = np.array([[1, 1, 2], [1, 2, 2]])
    return HeadImportance(
        value, value / 10, value, 0.9, ("(answer)", *NAMES), looks, 1 + value, pattern, f"head {BAD}", BAD, "head_pruning", record("h")
    )


def attention() -> AttentionMaps:
    values = np.random.default_rng(0).dirichlet(np.ones(5), (N, 2, 3, 5))
    return AttentionMaps(values, ("(answer)", *NAMES), "share of attention", "attention_maps", record("a"), np.arange(N))


def layer_probes() -> LayerProbes:
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 3)), rng.random(3)
    return LayerProbes(
        ("tokens", f"last {BAD}"), ("(target)", "age", BAD), ("target", "column", "column"), one, one / 10, one / 20, one, two, one,
        np.array([np.nan, 0.5, 0.4]), np.array([np.nan, 0.05, 0.04]), f"read {BAD}", "layer_probes", record("l"),
    )  # fmt: skip


def layer_relevance() -> LayerRelevance:
    rng = np.random.default_rng(0)
    three, one = rng.normal(0, 1, (3, N, 2)), rng.random(3)
    return LayerRelevance(
        ("tokens", f"blocks.0 {BAD}", "(answer)"), ("yes", BAD), np.arange(N).astype(object), three, three, three / 1e6, one,
        np.array([np.nan, 0.9, np.nan]), np.array([np.nan, 0.01, np.nan]), f"layers {BAD}", "log-odds", "layer_relevance", record("l"),
    )  # fmt: skip


def factor_geometry() -> FactorGeometry:
    rng = np.random.default_rng(0)
    one, overlap = rng.random((2, 4)), rng.random((4, 4))
    return FactorGeometry(
        ("tokens", f"last {BAD}"), NAMES, one, one / 10, one, one / 10, one / one.sum(1, keepdims=True), overlap, f"apart {BAD}",
        "factor_geometry", record("f"),
    )  # fmt: skip


def feature_complexity() -> FeatureComplexity:
    rng = np.random.default_rng(0)
    one, two = rng.random(3), rng.random((2, 3))
    return FeatureComplexity(
        ("direction 1", BAD, "sum"), ("direction", "feature", "feature"), ("tokens", f"last {BAD}"), two, two / 10, one, one / 10, one,
        np.array([0.4, np.nan, np.nan]), np.array([0.5, 1.0]), np.sort(two, 0), np.array([0.5, np.nan, 1.0]), f"simple {BAD}",
        "feature_complexity", record("c"),
    )  # fmt: skip


def resemblance() -> Resemblance:
    rng = np.random.default_rng(0)
    falls = rng.random((N, 2, 4))
    return Resemblance(
        np.asarray(frame().index), rng.integers(0, 12, (N, 2)), frame(), frame(12), NAMES, rng.random((N, 2)), falls, falls / 10,
        (0.9, 0.8, 0.95), "exp(-distance)", "resemblance", record("r"),
    )  # fmt: skip


def clusters() -> Clusters:
    rng = np.random.default_rng(0)
    labels = 1 + (np.arange(N) % 3 == 0).astype(int)
    told = {"cluster": [1, 2], "rows": [26, 14], "share": [0.65, 0.35], "decided_by": [f"{BAD} 80 %", "age 70 %"]}
    told |= {"rule": [f"city is {BAD}", "age > 40"], "precision": [0.9, 0.8], "covers": [0.9, np.nan]}
    told |= {"wrong": [1, 5], "rate": [1 / 26, 5 / 14], "low": [0.0, 0.13], "high": [0.2, 0.65], "null": 0.15, "p_value": [1.0, 0.02]}
    shares = rng.dirichlet(np.ones(4), 2)
    return Clusters(
        np.asarray(frame().index), labels, NAMES, shares, shares / 10, pd.DataFrame(told), 0.5, np.full(19, 0.3), rng.normal(0, 1, (N, 2)),
        np.column_stack([np.arange(N - 1), np.arange(1, N)]), f"2 clusters {BAD}", "share by occlusion", "row_clusters", record("c"),
        np.arange(N) % 9 == 0, f"rows of another class than {BAD}",
    )  # fmt: skip


def unit_maps(levels: bool = False) -> UnitMaps:
    x, y = np.linspace(-2, 2, 9), np.linspace(-1, 3, 7)
    one, two = np.meshgrid(x, y)
    values = np.stack([np.maximum(one + two, 0), np.maximum(one - two, 0), one * two])
    rng = np.random.default_rng(0)
    points = pd.DataFrame({"age": rng.uniform(-2, 2, N), BAD: rng.uniform(-1, 3, N)})
    place = np.array([*(f"level {v}" for v in range(8)), None], object) if levels else x.astype(object)
    return UnitMaps(
        ("age", BAD), place, y.astype(object), ("unit 4", "unit 2", "unit 9"), values, ("y",), values[:1] + 1,
        np.array([0.5, -0.2, np.nan]), np.arange(N), rng.normal(0, 1, (N, 3)), points, "points", "unit_maps", record("u"), held=BAD,
    )  # fmt: skip


def neighbours() -> Neighbours:
    data = frame(12).assign(y=np.arange(12.0))
    positions = np.argsort(np.random.default_rng(0).random((N, 12)), axis=1)[:, :5]
    weight = np.random.default_rng(1).normal(0, 1, (N, 5, 1))
    distance = np.sort(np.random.default_rng(2).random((N, 5)), axis=1)
    return Neighbours(
        np.asarray(frame().index), positions, data, ("y",), "points", "nearest_rows", record("n"), distance, weight, np.full(N, 0.4)
    )


def actions() -> Actions:
    share = np.random.default_rng(0).random((N, 3))
    share[:, 2] = np.nan
    interval = np.stack([(share - 0.1).clip(0), (share + 0.1).clip(max=1)], -1)
    index = np.asarray(frame().index)
    options = pd.DataFrame(
        {"row": index[:2], "option": [1, 1], "prediction": [4.0, 4.5], "changes": [1, 2], "distance": [0.1, 0.4], "plausible": [90.0, 12.0]}
    ).assign(valid=True, what=[f"age 30 -> 40; city {BAD}", "age 20 -> 41"])
    changes = pd.DataFrame({"row": index[:1], "option": [1], "column": ["age"], "before": [30], "after": [40]})
    reached = np.arange(N) % 5 == 0
    return Actions(
        index, ("age", BAD, "city"), share, interval, reached, ~reached & (np.arange(N) % 3 == 0), options, changes, f">= 4 {BAD}",
        {"age": "only upwards", BAD: "free", "city": "never"}, "recourse", record("r"),
    )  # fmt: skip


def found() -> FoundRows:
    data = frame(3)
    return FoundRows(
        data, data, np.array(["yes", "yes", BAD], object), np.array([3.0, 2.5, 1.0]), np.ones(3), np.full(3, 2.4),
        np.array([40.0, 99.5, 3.0]), np.array([True, False, True]), ("yes", BAD), "log-odds", "activation_maximisation", record("f"),
    )  # fmt: skip


def inquiry() -> Inquiry:
    order = np.tile(np.arange(4), (N, 1))
    asked = np.arange(N) % 4
    order[np.arange(4)[None] >= asked[:, None]] = -1
    sure = np.where(np.arange(5)[None] <= asked[:, None], 0.9, np.nan)
    curve = pd.DataFrame({"asked": range(5), "agreement": [0.6, 0.8, 0.9, 0.97, 1.0], "error": [0.05, 0.04, 0.03, 0.01, 0.0]})
    return Inquiry(np.arange(N), NAMES, order, asked, np.ones(N), np.ones(N), sure, np.full(N, 0.9), curve, "minimize", record("m"))


def selection(rows: bool = False) -> Selection:
    shape = (N, 4) if rows else (4,)
    statistic = np.random.default_rng(0).normal(1, 1, shape)
    index = np.arange(N) if rows else None
    return Selection(NAMES, statistic > 1, statistic, 0.1, "bh", "found", "irt", record("s"), p_values=np.abs(statistic) / 10, index=index)


def decision() -> Decision:
    costs = np.array([[0.0, 1.0], [5.0, 0.0]])
    told = (0.3, True, 0.21, (0.18, 0.24), 0.4, (0.9, 0.5), 0.19, (0.1, 0.28), 400, "cheaper than the most probable class")
    return Decision(("no", BAD), costs, *told, record("d"))


def coverage() -> Coverage:
    lines = [("all rows", 400, 0.9, "kept"), (BAD, 90, 0.7, "broken"), ("b & c", 12, 0.5, "cannot tell")]
    table = pd.DataFrame(lines, columns=["group", "n", "share", "verdict"]).assign(level=0.9, size=1.3, held_out=200)
    ends = {"low": table["share"] - 0.05, "high": table["share"] + 0.05, "expected_low": 0.85, "expected_high": [0.94, 0.95, np.nan]}
    return Coverage(table.assign(covered=table["n"], **ends), BAD, False, "lac", "labels", "one promise is broken", record("coverage"))


def silence() -> RiskCoverage:
    at = np.linspace(0.01, 1, 100)
    groups = pd.DataFrame(
        {"group": [BAD, BAD], "n": 9, "coverage": [0.5, 1.0], "accepted": [0.4, 1.0], "risk": 0.1, "low": 0.0, "high": 0.2}
    )
    figures = (0.1, (0.08, 0.12), 0.02, 0.08, 0.06, 0.2, 0.1, (0.08, 0.12))
    words = ("share of wrong answers", "", "doubt", 400, "what silence wins")
    return RiskCoverage(at, 0.2 * at, 0.15 * at, 0.25 * at, *figures, *words, record("selective"), groups)


def watch() -> Watch:
    path = np.exp(np.linspace(0, 5, 300))
    return Watch(np.arange(300) % 3 > 0, path, 1 / path, (0.85, 0.95), 0.9, 40.0, "below", 222, "no longer kept", record("watch"))


def next_rows() -> NextRows:
    some = frame(3)
    return NextRows(
        np.arange(3), np.array([BAD, "b", "c"]), np.array([3.0, 2, 1]), np.array([np.inf, 1, 2]), "epistemic", "nats", some, record("n")
    )


def everything() -> list[object]:
    return [
        explanation(), importance(), importance().seats(30), importances(), interactions(), rashomon(), curve(), rules(),
        words(), heads(), head_importance(), attention(),
        unit_maps(), unit_maps(levels=True), neighbours(), resemblance(), clusters(), layer_probes(), layer_relevance(),
        factor_geometry(),
        feature_complexity(), actions(), found(),
        inquiry(), selection(), selection(rows=True),
        decision(), coverage(), silence(), watch(), next_rows(),
    ]  # fmt: skip
