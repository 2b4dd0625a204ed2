"""Missing cells: how many, together with which, whether being missing says something, and codes that may mean missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.scores import apart_of, auc, auc_error, design, fit_out_of_fold, folds_of
from pellucid.audit.view import ALPHA, BoolArray, Target, View, amount, listed, more, share
from pellucid.intervals import Z95, area_ends, error_of_mean, wilson
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.results.text import percent
from pellucid.table import ColumnType

__all__ = ["find", "patterns"]

LEAST = 20  # missing and present cells below which nothing is tested
FITS = 8
FIT_ROWS = 5_000


def find(view: View) -> list[Finding]:
    """Return what is missing, where, with what, and whether at random."""
    found = [*_codes(view), *_filled(view)]
    masks = {n: view.missing(n) for n in view.inputs}
    masks = {n: m for n, m in masks.items() if m.any() and not m.all()}
    if not masks:
        return found
    distinct = _distinct(masks)
    return [
        *found,
        _shares(view, masks),
        *_together(view, distinct),
        *_tells_target(view, masks, distinct),
        *_not_at_random(view, masks, distinct),
    ]


def _distinct(masks: dict[str, BoolArray]) -> list[list[str]]:
    """Return columns grouped by equal masks, in table order."""
    groups: dict[bytes, list[str]] = {}
    for name, mask in masks.items():
        groups.setdefault(np.packbits(mask).tobytes(), []).append(name)
    return list(groups.values())


def patterns(masks: dict[str, BoolArray], most: int = 10) -> list[tuple[tuple[str, ...], int]]:
    """Return the most frequent sets of columns that are missing in the same row, with the number of rows; () is the full row."""
    names = list(masks)
    code = np.zeros(len(next(iter(masks.values()))), np.int64)
    for name in names:
        code = np.unique(code * 2 + masks[name], return_inverse=True)[1].reshape(-1)
    _, first, count = np.unique(code, return_index=True, return_counts=True)
    order = np.argsort(-count, kind="stable")[:most]
    return [(tuple(n for n in names if masks[n][first[i]]), int(count[i])) for i in order]


def _shares(view: View, masks: dict[str, BoolArray]) -> Finding:
    n = len(view)
    count = {name: int(mask.sum()) for name, mask in masks.items()}
    order = sorted(count, key=lambda c: -count[c])
    any_row = np.logical_or.reduce(list(masks.values()))
    top = ", ".join(f"'{c}' {count[c]:,} ({100 * count[c] / n:.1f} %)" for c in order[:6])
    words = f"{len(order)} of {len(view.inputs)} columns have missing cells: {top}{more(order, 6)}; "
    words += f"{share(int(any_row.sum()), n)} lack at least one"
    severity = "medium" if count[order[0]] > 0.2 * n else "low"
    remedy = "nothing has to be filled: missing is a state of its own to the model; ask why the fullest gaps are there"
    shape = [{"columns": list(c), "rows": k} for c, k in patterns(masks)]
    return view.finding(
        "missing: cells", severity, order, words, remedy, rows=np.flatnonzero(any_row), figures={"cells": count, "patterns": shape}
    )


def _together(view: View, distinct: list[list[str]]) -> Iterator[Finding]:
    for names in distinct:
        rows = np.flatnonzero(view.missing(names[0]))
        if len(names) > 1 and len(rows) >= 2:
            words = f"{listed(names)} are missing in the same {len(rows):,} rows"
            remedy = "they probably come from one source or do not apply to these rows; treat them as one question"
            yield view.finding("missing: together", "low", names, words, remedy, rows=rows)


def _tells_target(view: View, masks: dict[str, BoolArray], distinct: list[list[str]]) -> Iterator[Finding]:
    """Tell masks that differ in the target beyond chance, with the difference in the user's units."""
    from scipy.stats import norm

    target = view.target
    if target is None:
        return
    tested = [g for g in distinct if _enough(masks[g[0]][target.present])]
    events = _events(target)
    z = float(norm.isf(ALPHA / 2 / max(1, len(tested) * len(events))))
    found: list[tuple[list[str], float, tuple[float, float], str]] = []
    for names in tested:
        gone = masks[names[0]][target.present]
        areas = [auc(values[target.present], gone) for _, values in events]
        k, m = int(gone.sum()), int((~gone).sum())
        best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
        area = areas[best]
        tie = _tie_correction(events[best][1][target.present])  # under the null the ranks of ties vary less
        null_error = tie * np.sqrt((k + m + 1) / (12 * k * m))
        if abs(area - 0.5) <= z * null_error or abs(area - 0.5) < 0.01:
            continue
        found.append((names, area, area_ends(area, auc_error(area, k, m), min(k, m)), _contrast(target, *events[best], masks[names[0]])))
    if not found:
        return
    found.sort(key=lambda f: -abs(f[1] - 0.5))
    text = "; ".join(f"{listed(n, 2)}: {c}" for n, _, _, c in found[:4]) + more(found, 4)
    words = f"being missing tells something about '{target.name}' (where missing, then elsewhere): {text}"
    severity = "medium" if abs(found[0][1] - 0.5) > 0.15 else "low"
    remedy = "keep missing as a state of its own; do not drop these rows or fill them with a typical value"
    figures = {n[0]: {"auc": a, "low": low, "high": high} for n, a, (low, high), _ in found}
    yield view.finding("missing: tells the target", severity, [c for n, *_ in found for c in n], words, remedy, figures=figures)


def _enough(mask: BoolArray) -> bool:
    return LEAST <= int(mask.sum()) <= len(mask) - LEAST


def _events(target: Target) -> list[tuple[str, np.ndarray]]:
    """Return what is compared: the number itself, or each class against the rest (one of two classes)."""
    if not target.is_classes:
        return [(target.name, target.values)]
    labels = list(enumerate(target.labels))
    return [(label, (target.codes == i).astype(float)) for i, label in (labels[1:] if len(labels) == 2 else labels[:20])]


def _tie_correction(values: np.ndarray) -> float:
    count = np.unique(values, return_counts=True)[1].astype(float)
    n = float(len(values))
    return float(np.sqrt(max(1 - (count**3 - count).sum() / (n**3 - n), 0.0)))


def _contrast(target: Target, label: str, values: np.ndarray, mask: BoolArray) -> str:
    """Return the target where cells are missing and where not, with 95 % intervals, in the user's units."""
    text = []
    for part in (values[mask & target.present], values[~mask & target.present]):
        mean, n = float(part.mean()), len(part)
        if target.is_classes:
            low, high = map(float, wilson(mean * n, n))
            text.append(f"{percent(mean)} ({percent(low)} to {percent(high)})")
        else:
            half = Z95 * float(error_of_mean(part))
            text.append(f"{mean:.4g} ({mean - half:.4g} to {mean + half:.4g})")
    unit = f" {target.unit}" if target.unit else ""
    return (f"'{label}' in " if target.is_classes else "mean ") + " and ".join(text) + unit


FOLDS_AGREE = 1.3
"""Standard deviation of an area out of fold where nothing can be told, over that of one fixed score: folds answer for each other, so a
pattern that two of them share by chance counts twice (made tables of 500 and 2,000 rows: 1.29, 1.19)."""


def _not_at_random(view: View, masks: dict[str, BoolArray], distinct: list[list[str]]) -> Iterator[Finding]:
    """Tell masks that the other columns predict: cells that are not missing completely at random."""
    from scipy.stats import norm

    rows = view.sample
    if len(rows) > FIT_ROWS:
        rows = np.sort(stream(view.seed, "audit", "missing").choice(rows, FIT_ROWS, replace=False))
    tested = [g for g in distinct if _enough(masks[g[0]][rows])]
    tested = sorted(tested, key=lambda g: -int(masks[g[0]][rows].sum()))[:FITS]
    z = float(norm.isf(ALPHA / max(1, len(tested))))
    found: list[tuple[list[str], float, tuple[float, float]]] = []
    for names in tested:
        others = tuple(c for c in view.features if c not in names and c != view.table.target and view.kind(c) is not ColumnType.TEXT)
        others = tuple(c for c in others if c not in masks or not np.array_equal(masks[c], masks[names[0]]))[:60]
        if not others:
            continue
        gone = masks[names[0]][rows]
        matrix, is_level = design(view, others, rows)
        answers = fit_out_of_fold(
            matrix, is_level, gone.astype(np.int64), folds_of(view, rows, others, 3), view.seed, iterations=25, leaves=8
        )
        area = auc(answers[:, 1], gone)
        once = apart_of(view, rows)
        k, m = (max(1, int(once * part.sum())) for part in (gone, ~gone))
        if area - 0.5 > z * FOLDS_AGREE * np.sqrt((k + m + 1) / (12 * k * m)) and area > 0.55:
            found.append((names, area, area_ends(area, auc_error(area, k, m), min(k, m))))
    if not found:
        return
    text = "; ".join(f"{listed(n, 3)} {a:.2f} ({low:.2f} to {high:.2f})" for n, a, (low, high) in found)
    columns = [c for names, _, _ in found for c in names]
    words = f"the other columns tell which cells are missing, so they are not missing at random; area under the curve, 0.5 = chance: {text}"
    remedy = "do not fill them with a typical value; compare rows with and without before drawing conclusions from either"
    figures = {"auc": {n[0]: a for n, a, _ in found}, "rows": len(rows)}
    yield view.finding("missing: not at random", "low", columns, words, remedy, figures=figures, sampled=True)


def _codes(view: View) -> Iterator[Finding]:
    """Propose numbers and words that may mean missing."""
    from pellucid.table import propose_missing

    readable = [n for n in view.inputs if not (view.is_number(n) and view.unreadable(n).any())]
    for name, proposals in propose_missing(view.table.select(readable)).items():
        codes, texts = view.levels(name)
        at = {t: i for i, t in enumerate(texts)}
        for code, why in proposals:
            rows = np.flatnonzero(codes == at[code]) if code in at else np.zeros(0, np.int64)
            if len(rows) > 0.5 * len(view):  # the usual value, not a gap
                continue
            is_number = view.kind(name) is ColumnType.NUMBER
            shown = amount(float(code)) if is_number else f"'{code}'"
            words = f"'{name}': {shown} may mean missing ({why})"
            remedy = f"if so, read the table with missing={{'{name}': [{code if is_number else repr(code)}]}}"
            severity = "medium" if is_number else "low"
            yield view.finding("missing: code", severity, (name,), words, remedy, rows=rows, figures={"code": code, "rows": len(rows)})


def _filled(view: View) -> Iterator[Finding]:
    """Tell columns whose distribution or relations the model's own filling of cells has changed beyond chance."""
    record = getattr(view.predictor, "record_", None) or {}
    for effect in record.get("filled", ()):
        if effect["distorted"] and effect["column"] in view.table.columns:
            words = f"the model fills '{effect['column']}' by the rule '{effect['rule']}'"
            words += f" in {100 * effect['share']:.1f} % of its training rows: "
            remedy = "leave fill out: missing is then a state of its own; or take a rule that keeps relations, such as 'iterative'"
            yield view.finding("missing: filled", "low", (effect["column"],), words + effect["words"], remedy, figures=effect)
