"""One finding per cell: where several audits name the same cells, the one that says most precisely what happened to them stays.

A thousandfold price is a unit slip, a slipped decimal point, an impossible value and a broken sum at once; a reader has one cell to
correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pellucid.results import Finding

__all__ = ["ORDER", "once"]

ORDER: tuple[str, ...] = (
    "missing: code",
    "values: unit slip",
    "slips: decimal point",
    "slips: a size of 0",
    "values: same letters",
    "values: rare spelling",
    "values: impossible",
    "values: spike at the maximum",
    "dependencies: broken",
    "conformance: ratio",
    "conformance: equation",
    "slips: unlike the row",
    "conformance: order",
)
"""Kinds of findings that name cells, the most telling first: what the cell should be, then that it is odd, then that some cell of the row
is."""


def once(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings in their order, each cell named by one of them.

    A finding whose cells a more telling one names all is left out; one that keeps some tells how many went. A finding about several
    columns says that one of a row's cells is wrong, so that a row is taken where any of its cells is. Findings that are not about single
    cells (copies, leaks, labels) stay as they are. The one that stays is as grave as the gravest of those that it stands for.

    Examples
    --------
    >>> from pellucid.results import RunRecord
    >>> at = np.array([3, 8])
    >>> pair = [Finding(kind, "low", ("price",), "", "", RunRecord(kind), at) for kind in ("values: impossible", "values: unit slip")]
    >>> [f.kind for f in once(pair)]
    ['values: unit slip']
    """
    from pellucid.results import SEVERITIES

    kept: dict[int, Finding] = dict(enumerate(findings))
    takers: dict[str, list[int]] = {}
    cells = [k for k in kept if kept[k].kind in ORDER and len(kept[k].rows)]
    for k in sorted(cells, key=lambda i: (ORDER.index(kept[i].kind), i)):
        finding = kept[k]
        mine = [i for c in finding.columns for i in takers.get(c, [])]
        taken = _held(finding.rows, [kept[i].rows for i in mine])
        for i in (j for j in mine if np.isin(kept[j].rows, finding.rows).any()):
            kept[i] = replace(kept[i], severity=max(kept[i].severity, finding.severity, key=SEVERITIES.index))
        if taken.all():
            del kept[k]
            continue
        if taken.any():
            others = sorted({kept[i].kind for i in mine if np.isin(kept[i].rows, finding.rows).any()})
            note = (
                f"; {int(taken.sum()):,} of these rows are named by the finding {' and '.join(repr(o) for o in others)}, and not again here"
            )
            kept[k] = replace(finding, rows=finding.rows[~taken], evidence=finding.evidence + note)
        for column in finding.columns:
            takers.setdefault(column, []).append(k)
    return [kept[k] for k in sorted(kept)]


def _held(rows: npt.NDArray[np.int64], others: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.bool_]:
    """Return which of ``rows`` (n,) stand in one of the others."""
    return np.isin(rows, np.concatenate([np.zeros(0, np.int64), *others]))
