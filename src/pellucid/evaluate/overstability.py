"""Overstability: rows whose answer stays where it is when half of their cells are replaced.

Ten times a random half of a row's columns takes the cells of another row. A row none of whose ten versions moves the answer by a tenth of a
standard deviation of the answers is listed: the model did not read it.

Source: after "overstable" scorers in Singla et al. 2021, arXiv:2109.11728.
"""

from __future__ import annotations

import numpy as np

from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure, above, in_rows, share_of
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["run"]

NAME = "overstability"
ROWS, VERSIONS = 400, 10
STILL = 0.1
LIMIT = 0.05
"""Share of rows that may stay unmoved."""


def run(case: Case) -> Trial:
    """Return the trial, about the model at these rows and not about the explanation. Cost: 10 model rows for each of at most 400 rows.

    Where the interval of the share holds the limit, no verdict is given: either would be a guess.
    """
    if case.background is None:
        raise NotTestable("the model kept no rows to take other cells from; give background=")
    players = Players.of(case.predictor.columns)
    if len(players) < 2:
        raise NotTestable("half of the columns can only be replaced where there are at least two")
    rows = np.sort(stream(case.seed, "rows").permutation(len(case.table))[:ROWS])
    n, p = len(rows), len(players)
    engine = CoalitionEngine(case.view(), case.table.take(rows), case.background, players)
    spread = float(np.concatenate([engine.full, engine.empty]).std(0).max())
    if not spread > 0:
        raise NotTestable("the model gives the same answer to every row")
    draw = stream(case.seed, "versions")
    replaced = draw.random((n, VERSIONS, p)).argsort(2).argsort(2) < (p + 1) // 2
    other = draw.integers(0, len(case.background), n * VERSIONS)
    after = engine.evaluate(np.repeat(np.arange(n), VERSIONS), other, ~replaced.reshape(-1, p)).reshape(n, VERSIONS, -1)
    moved = np.abs(after - engine.full[:, None]).max(2).max(1)
    still = moved < STILL * spread
    share = share_of(still)
    over = above(share, LIMIT)
    if over is None:
        raise NotTestable(f"{_lead(share)}; {_usual()}, and {n} rows do not tell on which side of that the share lies")
    return case.verdict(
        NAME, share, LIMIT, not over, _words(not over, share), rows=rows[still].tolist(), tried=n, versions=VERSIONS,
        unit="share of the rows",
    )  # fmt: skip


def _lead(share: Figure) -> str:
    return in_rows(share, f"the answer stays where it is whichever half of the cells is replaced ({VERSIONS} random halves each)")


def _usual() -> str:
    return f"up to {100 * LIMIT:.0f} % is usual"


def _words(passed: bool, share: Figure) -> str:
    lead = f"I{_lead(share)[1:]}"
    if passed:
        return f"{lead}; {_usual()}: the answers depend on what stands in the row."
    return f"{lead}: the model hardly reads these rows, so that no column is a reason for their answer. They are listed in the details."
