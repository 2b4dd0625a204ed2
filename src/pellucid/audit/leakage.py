"""Columns that know the target. None is dropped: whether a value was known before the event is a question for people."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pellucid.audit.scores import FOLDS, auc_error, bins_of, equal_mass, folds_of, joint_score, out_of_fold, score, score_words
from pellucid.audit.view import ALPHA, FloatArray, IntArray, Target, View
from pellucid.results import Finding
from pellucid.table import ColumnType, Role

__all__ = ["find", "ranks"]

NEARLY_ALL = {True: 0.95, False: 0.90}  # area under the curve, R2
WITHIN = 0.02
MOST_FITS = 8
MUCH = 0.75  # of what all columns together know beyond chance
ALL = 0.999
"""A column that alone ranks classes as well as this knows all of them: the others cannot know more but by chance."""
TELLS = {True: 0.80, False: 0.50}  # below, "as good as all columns together" says little
AFTER = re.compile(r"outcome|final|result|approved|after|resolved|settled|closed|discharge|verdict|decision|paid|charged_?off|recovered")
MODEL = re.compile(r"scores?|decile|predict\w*|preds?|proba?|probability|propensity|grade|rating|forecast|risk_?(level|class|score)")
STATUS = re.compile(r"\b(loan|case|claim|order|ticket|payment|application|exit|final|closing|delivery) status\b|^status$")


@dataclass(frozen=True)
class _Suspect:
    """Why one column is suspected: gravest reason first."""

    severity: str
    reason: str
    words: str


@dataclass(frozen=True)
class _Rest:
    """What the columns know together, and what is left without the strong ones.

    Attributes
    ----------
    joint, without : scores of all ``n_columns`` columns, and of the ``n_others`` that are not strong; NaN where they cannot be told.
    strong : why each strong column is remarkable. own : its score by the trees that judge the others.
    slack : by how much ``without`` may be larger than the column's score by chance alone, where both are next to the most there is; empty
        for numbers.
    """

    joint: float
    without: float
    n_columns: int
    n_others: int
    strong: Mapping[str, str]
    own: Mapping[str, float]
    slack: Mapping[str, float]

    def less_than(self, name: str) -> bool:
        """Return whether the others together know less than this column; True where there are none."""
        slack = self.slack.get(name, 0.0) if self.own[name] > ALL else 0.0
        return not self.own[name] < self.without - slack


def find(view: View) -> list[Finding]:
    """Return suspected columns, one finding each, and what row order and identifiers tell.

    A leak knows more than the other columns together. A column that tells nearly all but no more than the others do without it is a strong
    one among several, and is not named. Cost: a fit of small boosted trees on all columns, one without the strong ones, and one on each
    strong column alone (at most 8), each on at most 20,000 rows.
    """
    target = view.target
    if (
        target is None
        or int(target.present.sum()) < 30
        or len(np.unique(target.codes if target.is_classes else target.values[target.present])) < 2
    ):
        return []
    names = tuple(n for n in view.features if n != target.name)
    if not names:
        return []
    rows = view.sample[target.present[view.sample]]
    truth, fold = target.matrix(rows), folds_of(view, rows, names)
    single = {n: score(truth, out_of_fold(bins_of(view, n, rows), fold, truth), target.is_classes) for n in names}
    usable = tuple(n for n in names if view.kind(n) is not ColumnType.TEXT)
    joint = joint_score(view, target, usable) if len(usable) > 1 else float("nan")
    rest = _without_strong(view, target, single, usable, joint)
    found = []
    for name in names:
        reasons = list(_reasons(view, target, name, rows, single[name], rest))
        if reasons:
            found.append(_finding(view, target, name, reasons, single[name], rest))
    return found + list(_patterns(view, target, rows, truth, fold)) + list(_order(view, target, rows, truth, fold))


def _strong(alone: float, joint: float, n_columns: int, classes: bool) -> str:
    """Return why a column's score is remarkable: ``"score"``, ``"as good as all"``, or an empty text."""
    if alone > NEARLY_ALL[classes]:
        return "score"
    much = joint > TELLS[classes] and n_columns > 2 and alone > TELLS[classes]
    return "as good as all" if much and alone >= (1 - WITHIN) * joint else ""


def _without_strong(view: View, target: Target, single: Mapping[str, float], usable: tuple[str, ...], joint: float) -> _Rest:
    """Return what the columns know together, with and without the remarkably strong ones. These are left out together: of two leaks each
    would else find the other among the rest."""
    strong = {n: why for n in single if (why := _strong(single[n], joint, len(usable), target.is_classes))}
    others = tuple(n for n in usable if n not in strong)
    score_of = joint_score(view, target, others) if strong and others else float("nan")
    # told by the same trees as the rest: bins of equal mass may straddle what a single cut would part
    tried = sorted((n for n in strong if n in usable), key=lambda n: -single[n])[:MOST_FITS] if others else []
    own = {n: single[n] for n in strong} | {n: max(single[n], joint_score(view, target, (n,))) for n in tried}
    slack = {}
    if target.is_classes:
        most, n = int(np.bincount(target.codes[target.present]).max()), int(target.present.sum())
        slack = {name: 2 * auc_error(value, n - most, most) for name, value in own.items()}
    return _Rest(joint, score_of, len(usable), len(others), strong, own, slack)


def _reasons(view: View, target: Target, name: str, rows: IntArray, alone: float, rest: _Rest) -> Iterator[_Suspect]:
    equal = _function_of(view, target, name, rows)
    if equal:
        yield _Suspect("high", "function", equal)
    words, joint = score_words(alone, target.is_classes), rest.joint
    why = rest.strong.get(name, "")
    if why and rest.less_than(name):
        others = score_words(rest.without, target.is_classes)
        beside = f", where the {rest.n_others} other columns together reach {others}" if np.isfinite(rest.without) else ""
        if why == "score":
            yield _Suspect("high", "score", f"alone it predicts '{target.name}' with {words} in rows not looked at{beside}")
        else:
            together = score_words(joint, target.is_classes)
            said = f"alone it predicts '{target.name}' as well ({words}) as all {rest.n_columns} columns together ({together})"
            yield _Suspect("medium", why, said + beside)
    hint = _name_hint(name, target.name)
    if hint and alone > NEARLY_ALL[target.is_classes]:
        yield _Suspect("low", "name", hint)
    elif hint and _tells(alone, target, rows):
        chance = 0.5 if target.is_classes else 0.0
        much = alone - chance > MUCH * (joint - chance)
        together = "" if np.isnan(joint) else f" (all columns together {score_words(joint, target.is_classes)})"
        yield _Suspect("medium" if much else "low", "name", f"{hint}, and alone it predicts '{target.name}' with {words}{together}")


def _finding(view: View, target: Target, name: str, reasons: list[_Suspect], alone: float, rest: _Rest) -> Finding:
    text = f"'{name}': " + "; ".join(r.words for r in reasons)
    figures = {
        "alone": alone, "together": rest.joint, "others": rest.without, "metric": "AUC" if target.is_classes else "R2",
        "reasons": [r.reason for r in reasons],
    }  # fmt: skip
    when = f"ask when '{name}' is written down: if only after '{target.name}' is known, or if it is made from it"
    remedy = f"{when}, leave it out (with_roles(ignore=['{name}'])); else keep it"
    return view.finding("leakage", reasons[0].severity, (name,), text, remedy, figures=figures, sampled=True)


def _tells(alone: float, target: Target, rows: IntArray) -> bool:
    """Return whether a single column's score is beyond chance (three standard errors) and not tiny."""
    if not target.is_classes:
        return alone > max(0.05, 12 / len(rows))
    most = np.bincount(target.codes[rows]).max()
    return alone > 0.55 and alone - 0.5 > 3 * auc_error(0.5, len(rows) - int(most), int(most))


def _function_of(view: View, target: Target, name: str, rows: IntArray) -> str:
    """Return how the column and the target determine each other, or an empty text."""
    codes = view.codes(name)[rows]
    known = codes >= 0
    rows, codes = rows[known], codes[known]
    if len(rows) < 30:
        return ""
    if not target.is_classes and view.is_number(name):
        return _numeric_function(view.numbers(name)[rows], target.values[rows], target.name)
    y = target.codes[rows] if target.is_classes else view.codes(target.name)[rows]
    _, codes = np.unique(codes, return_inverse=True)
    pairs = len(np.unique(codes.reshape(-1).astype(np.int64) * (int(y.max()) + 1) + y))
    values, targets = int(codes.max()) + 1, len(np.unique(y))
    if pairs > values or values > len(rows) / 5 or targets < 2:
        return ""
    both = pairs == targets
    return f"each of its {values:,} values goes with exactly one value of '{target.name}'" + (" and the reverse" if both else "")


def _numeric_function(x: FloatArray, y: FloatArray, name: str) -> str:
    """Return how one number is a function of another, or an empty text."""
    if np.array_equal(x, y):
        return f"it equals '{name}' in every row"
    if x.std() == 0 or y.std() == 0:
        return ""
    r = float(np.corrcoef(x, y)[0, 1])
    if abs(r) > 1 - 1e-6:
        slope = r * y.std() / x.std()
        return f"'{name}' is {slope:.6g} times it plus {y.mean() - slope * x.mean():.6g}"
    if len(np.unique(x)) < 10 or len(np.unique(y)) < 10:
        return ""
    order = np.lexsort((y, x))
    same, step = np.diff(x[order]) == 0, np.diff(y[order])
    one_way = (step >= 0).all() or (step <= 0).all()
    return (
        f"'{name}' is a {'rising' if step.max() > 0 else 'falling'} function of it in every row" if one_way and not step[same].any() else ""
    )


def _words(name: str) -> list[str]:
    return [w for w in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if w]


def _name_hint(name: str, target: str) -> str:
    """Return what the name gives away, or an empty text."""
    mine, its = _words(name), _words(target)
    spelt = difflib.SequenceMatcher(None, "".join(mine), "".join(its)).ratio()
    if its and (set(its) <= set(mine) or (len("".join(its)) >= 4 and spelt > 0.85)):
        return f"its name is nearly that of the target '{target}'"
    text = " ".join(mine)
    if any(MODEL.fullmatch(w) for w in mine) or ("risk" in mine and MODEL.search(text.replace(" ", "_"))):
        return "its name suggests the judgement of another model or person"
    if any(AFTER.fullmatch(w) for w in mine) or STATUS.search(text):
        return "its name suggests something known only afterwards"
    return ""


def _patterns(view: View, target: Target, rows: IntArray, truth: FloatArray, fold: IntArray) -> Iterator[Finding]:
    """Tell whether which cells are missing says nearly all about the target."""
    with_gaps = [n for n in view.features if n != target.name and view.missing(n).any()]
    if not with_gaps:
        return
    pattern = np.zeros(len(rows), np.int64)
    for name in with_gaps:
        pattern = np.unique(pattern * 2 + view.missing(name)[rows], return_inverse=True)[1].reshape(-1)
    alone = score(truth, out_of_fold(pattern, fold, truth), target.is_classes)
    told = score_words(alone, target.is_classes)
    if alone > TELLS[target.is_classes]:
        words = f"which cells are missing, without any value, predicts '{target.name}' with {told} in rows not looked at"
        remedy = "ask whether these columns are filled in only after the target is known; if so leave them out"
        yield view.finding("leakage: missing pattern", "high", with_gaps[:20], words, remedy, figures={"alone": alone}, sampled=True)


def _order(view: View, target: Target, rows: IntArray, truth: FloatArray, fold: IntArray) -> Iterator[Finding]:
    """Tell whether the row number or an identifier predicts the target."""
    if view.table.schema.role(Role.ORDER) is not None or len(rows) < 100:
        return
    bins = int(np.clip(len(rows) // 30, 3, 32))
    yield from _ordered(
        view, target, (), "the row number", equal_mass(np.arange(len(rows)), bins), truth, fold, 1 + len(view.table.schema.identifiers)
    )
    for name in view.table.schema.identifiers:
        codes = np.unique(ranks(view, name)[rows], return_inverse=True)[1].reshape(-1)
        words = f"the identifier '{name}'"
        yield from _ordered(view, target, (name,), words, equal_mass(codes, bins), truth, fold, 1 + len(view.table.schema.identifiers))


def ranks(view: View, name: str) -> FloatArray:
    """Return identifiers as numbers where they are numbers, else in the order of their text."""
    codes, texts = view.levels(name)
    values = [float(t) if re.fullmatch(r"-?\d{1,15}", t) else np.nan for t in texts]
    by_level = np.array([*values, np.nan]) if not np.isnan(values).any() else np.arange(len(texts) + 1.0)
    return np.asarray(np.nan_to_num(by_level[codes], nan=-1.0))


def _ordered(
    view: View, target: Target, columns: tuple[str, ...], what: str, bins: IntArray, truth: FloatArray, fold: IntArray, tests: int
) -> Iterator[Finding]:
    from scipy.stats import norm

    alone = score(truth, out_of_fold(bins, fold, truth, FOLDS), target.is_classes)
    z, n = float(norm.isf(ALPHA / tests)), len(bins)
    if target.is_classes:
        most = int(truth.sum(0).max())
        beyond = alone > 0.55 and alone - 0.5 > z * auc_error(0.5, n - most, most)
    else:
        beyond = alone > max(0.02, z * np.sqrt(2 * (bins.max() + 1)) / n)
    if beyond:
        words = score_words(alone, target.is_classes)
        evidence = f"{what} alone predicts '{target.name}' with {words} in rows not looked at: the rows are not in random order"
        remedy = "find out how they were ordered: if by time, name that column (with_roles(order=...)); do not hold out the last rows"
        severity = "medium" if alone > TELLS[target.is_classes] else "low"
        yield view.finding("leakage: row order", severity, columns, evidence, remedy, figures={"alone": alone}, sampled=True)
