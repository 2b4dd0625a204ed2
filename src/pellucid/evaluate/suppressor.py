"""Suppressors: columns with a large part in the answers that tell nothing about the target.

A model rightly uses a column that carries only the noise of another one: it subtracts the noise. Gradients, Shapley values and permutation
importance all credit such a column, in closed form. The reader must know: this column helps the model, it carries no signal.

Source: Haufe et al. 2014, doi:10.1016/j.neuroimage.2013.10.067; Wilming, Kieslich, Clark and Haufe 2023, arXiv:2306.01464. Association by
distance correlation: Szekely, Rizzo and Bakirov 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.probe.dependence import cell_distances, centred_distances, dependence, number_distances
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["run"]

NAME = "suppressor"
LEAST, MOST = 80, 400
LEVEL = 0.05
LARGE = 0.05
"""A share of the contributions from which a column's part counts as large; at least half of the mean share."""


@dataclass(frozen=True)
class _Column:
    """A column with a large part and no association: its name, share of the contributions, p, and the column it goes with (or none)."""

    name: str
    share: float
    p: float
    partner: str | None


def run(case: Case) -> Trial:
    """Return the trial. Cost: 200 N^2 per column on at most 400 rows; no model rows."""
    case.needs_contributions()
    if case.y is None:
        raise NotTestable("the labels are not known; give y=")
    if len(case.table) < LEAST:
        raise NotTestable(f"{len(case.table)} rows do not tell whether a column has to do with the target; {LEAST} are needed")
    columns = case.explanation.columns
    if any(c not in case.table.columns for c in columns):
        raise NotTestable("the explanation speaks of groups of columns")
    rows = np.sort(stream(case.seed, "rows").permutation(len(case.table))[:MOST])
    table = case.table.take(rows)
    parts = np.abs(case.own(rows)).mean(2)
    part = parts.mean(0)
    if not part.sum() > 0:
        raise NotTestable("the explanation gives every column the value 0")
    share = part / part.sum()
    large = [j for j in range(len(columns)) if share[j] >= max(LARGE, 0.5 / len(columns))]
    distances = {c: centred_distances(cell_distances(table, c)) for c in columns}
    target = centred_distances(_target(np.asarray(case.y)[rows], case.predictor.task == "classification"))
    draw = stream(case.seed, "permutations")
    association = {columns[j]: dependence(distances[columns[j]], target, draw) for j in large}
    silent = [j for j in large if association[columns[j]][1] > LEVEL]
    found = [_Column(columns[j], float(share[j]), association[columns[j]][1], _partner(j, large, columns, distances, draw)) for j in silent]
    wrong = [c for c in found if c.partner is not None]
    at = [columns.index(c.name) for c in wrong]
    figure = _share(parts, at, case.seed)
    return case.verdict(
        NAME, figure, LARGE, not wrong, _words(found), suppressors=[c.name for c in wrong],
        only_together=[c.name for c in found if c.partner is None], corrects={c.name: c.partner for c in wrong},
        association={c: list(v) for c, v in association.items()}, rows=len(rows), unit="share of the contributions",
    )  # fmt: skip


def _target(y: FloatArray, classes: bool) -> FloatArray:
    if classes or y.dtype.kind not in "iuf":
        return np.asarray(y[:, None] != y[None, :], np.float64)
    return number_distances(y.astype(np.float64))


def _partner(
    j: int, large: Sequence[int], columns: Sequence[str], distances: dict[str, FloatArray], draw: np.random.Generator
) -> str | None:
    """Return the used column that this one is most associated with: the one whose noise it can take away; None where there is none."""
    others = [(dependence(distances[columns[j]], distances[columns[k]], draw), columns[k]) for k in large if k != j]
    close = [(found[0], name) for found, name in others if found[1] <= LEVEL / max(1, len(others))]
    return max(close)[1] if close else None


def _share(parts: FloatArray, at: Sequence[int], seed: int) -> Figure:
    """Return the share of all contributions that falls to the suppressors, with its interval over rows."""
    total = np.maximum(parts.sum(1), 1e-300)
    if len(parts) == 1 or not at:
        value = float(parts[:, list(at)].sum() / parts.sum())
        return Figure(value, value, value)
    return bootstrap_mean(parts[:, list(at)].sum(1) / total * (total / total.mean()), stream(seed, "bootstrap"))


def _words(found: Sequence[_Column]) -> str:
    wrong, together = [c for c in found if c.partner is not None], [c for c in found if c.partner is None]
    text = []
    for c in wrong:
        text.append(
            f"The column {c.name!r} has {100 * c.share:.0f} % of the contributions and no association with the target is seen (p = "
            f"{c.p:.2f}); "
            f"it goes together with {c.partner!r}. This column helps the model but carries no signal about the target: it takes away what "
            "disturbs the other. Do not read it as a reason."
        )
    for c in together:
        text.append(
            f"The column {c.name!r} has {100 * c.share:.0f} % of the contributions and by itself no association with the target is seen "
            f"(p = {c.p:.2f}): it counts only together with other columns."
        )
    return " ".join(text) or "Every column with a large part in the answers has to do with the target by itself: no suppressor is seen."
