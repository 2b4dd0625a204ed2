"""The target: what is missing, rare, lopsided, or of a doubtful kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.view import Target, View, amount, listed, more, share
from pellucid.results import Finding
from pellucid.results.text import percent

__all__ = ["find"]

RARE = 10
FEW = 20
LOPSIDED = 0.05
MOST = 20
"""Classes up to which labels are judged one by one."""


def find(view: View) -> list[Finding]:
    """Return remarks on the target; none where there is no target."""
    target = view.target
    if target is None:
        return []
    found = list(_absent(view, target))
    if target.n_distinct < 2:
        words = f"the target '{target.name}' has {'one value' if target.n_distinct else 'no value'} in all {len(view):,} rows"
        return [
            *found,
            view.finding(
                "classes: constant target", "high", (target.name,), words, "there is nothing to learn; choose another target or other rows"
            ),
        ]
    return found + list(_classes(view, target) if target.is_classes else _few_values(view, target))


def _absent(view: View, target: Target) -> Iterator[Finding]:
    rows = np.flatnonzero(~target.present)
    if len(rows):
        words = f"the target '{target.name}' is missing in {share(len(rows), len(view))}"
        severity = "medium" if len(rows) > 0.05 * len(view) else "low"
        remedy = "these rows are left out of training; ask whether they differ from the others"
        yield view.finding("classes: missing target", severity, (target.name,), words, remedy, rows=rows)


def _classes(view: View, target: Target) -> Iterator[Finding]:
    count = np.bincount(target.codes[target.present], minlength=len(target.labels))
    n = int(count.sum())
    rare = [i for i in np.argsort(count, kind="stable") if 0 < count[i] < RARE]
    if rare:
        named = ", ".join(f"'{target.labels[i]}' ({count[i]})" for i in rare[:6]) + more(rare, 6)
        single = [target.labels[i] for i in rare if count[i] == 1]
        words = f"'{target.name}' has classes of fewer than {RARE} rows: {named}"
        words += f"; {listed(single)} with one row: kept for training, left out of stratification and coverage" if single else ""
        words += "; no model learns these classes, so that their labels were not judged"
        remedy = "join them to a larger class or collect more rows; nothing can be measured on them"
        rows = np.flatnonzero(np.isin(target.codes, rare))
        yield view.finding(
            "classes: rare class",
            "medium",
            (target.name,),
            words,
            remedy,
            rows=rows,
            figures={target.labels[i]: int(count[i]) for i in rare},
        )
    if len(target.labels) > MOST:
        words = (
            f"'{target.name}' has {len(target.labels):,} classes: wrong labels were not looked for (at most {MOST} classes are told apart)"
        )
        remedy = (
            f"to have labels judged, group the classes to {MOST} or fewer; if the target is a number set with_types({target.name}='number')"
        )
        yield view.finding("classes: many", "low", (target.name,), words, remedy, figures={"classes": len(target.labels)})
    common = count[count >= RARE]
    smallest = int(common.min()) if len(common) else 0
    if len(common) > 1 and smallest < LOPSIDED * n and smallest < 0.2 * n / len(common):
        label, most = target.labels[int(np.flatnonzero(count == smallest)[0])], target.labels[int(count.argmax())]
        words = f"'{target.name}' is '{label}' in {share(smallest, n)}; always answering '{most}' is right in {percent(count.max() / n)}"
        remedy = "judge by area under the curve, log loss and errors per class; class_weight='balanced' if the rare class matters more"
        figures = {label_: int(c) for label_, c in zip(target.labels, count)} if len(count) <= 50 else {label: smallest}
        yield view.finding("classes: imbalance", "medium" if smallest < 0.02 * n else "low", (target.name,), words, remedy, figures=figures)


def _few_values(view: View, target: Target) -> Iterator[Finding]:
    values, count = np.unique(target.values[target.present], return_counts=True)
    if len(values) <= FEW and len(target.values) >= 5 * len(values):
        shown = ", ".join(amount(float(v)) for v in values[:8]) + (f" ... {amount(float(values[-1]))}" if len(values) > 8 else "")
        words = f"the target '{target.name}' is a number with only {len(values)} values ({shown})"
        remedy = (
            f"a count or a scale is well learned as a number; if the values are names of classes set with_types({target.name}='category')"
        )
        figures = {"values": len(values), "smallest count": int(count.min())}
        yield view.finding("classes: few values", "low", (target.name,), words, remedy, figures=figures)
