"""The game the removal trials play: columns leave and return in an order, absent ones take the cells of background rows.

Letters: N rows, P players, O outputs, M coalitions per row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import by_size
from pellucid.probe.coalition import FORESEEN, CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray

__all__ = ["Game"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Game:
    """Answers of the explained output to rows of which some columns are absent.

    Attributes
    ----------
    order : (N, P) players, those named first by the explanation first; for values without a sign by their size.
    full, empty : (N,) answers to the rows, and without any column. side : (N,) +1 or -1, the side on which the answer lies.
    unit : mean distance between the two. output : (N,) the output of each row that is followed.
    """

    def __init__(self, case: Case, rows: Ints) -> None:
        case.needs_contributions()
        if case.background is None:
            raise NotTestable("the model kept no rows to fill removed columns with; give background=")
        table = case.table.take(rows)
        self.engine = CoalitionEngine(case.view(), table, case.background, Players.of(case.predictor.columns, case.settings.get("groups")))
        full, empty = self.engine.full, self.engine.empty.mean(0)
        self.values = np.broadcast_to(case.own(rows), (len(rows), *case.values.shape[1:]))
        if len(self.engine.players) != self.values.shape[1]:
            raise NotTestable("the explanation speaks of other columns than the model")
        if (own := self.values.shape[2]) != full.shape[1]:
            raise NotTestable(f"the explanation has {own} number{'s'[: own != 1]} a column, the model {full.shape[1]} outputs to follow")
        self.rows = np.arange(len(rows))
        # several classes: the one the model chose; one output: towards the side on which the answer lies
        self.output = full.argmax(1) if case.predictor.task == "classification" else np.abs(full - empty).argmax(1)
        mine = self.values[self.rows, :, self.output]
        self.full, self.empty = full[self.rows, self.output], empty[self.output]
        distance = self.full - self.empty
        self.unsigned = case.unsigned
        several = full.shape[1] > 1 and case.predictor.task == "classification"
        self.side = np.ones(len(rows)) if several else np.where(distance < 0, -1.0, 1.0)
        score = mine if self.unsigned else mine * self.side[:, None]
        self.order = by_size(score, case.seed)
        self.unit = float(np.abs(distance).mean())
        if not self.unit > 0:
            raise NotTestable("the model gives the same answer to every row")

    def answers(self, present: BoolArray, first: int = 0) -> FloatArray:
        """Return the followed answers (n, M) of the n rows from ``first`` on to the coalitions ``present`` (n, M, P)."""
        n, m, p = present.shape
        rows = np.arange(first, first + n)
        every = self.engine.mean_over_background(np.repeat(rows, m), present.reshape(-1, p)).reshape(n, m, -1)
        return np.asarray(np.take_along_axis(every, self.output[rows, None, None], 2)[..., 0])

    def seconds(self, chains: int, rows: int, until: float) -> float:
        """Return the seconds that :meth:`areas` will take at least for so many orders of some rows; 0 where that is not worth asking.

        Told by some 2,000 composed rows, before any chain is begun.
        """
        size, p = len(self.engine.empty), len(self.engine.players)
        n, draw = chains * rows * (p + 1) * size, np.random.default_rng(0)
        if n < FORESEEN:
            return 0.0

        def ask(some: Ints) -> None:
            known = draw.random((len(some), p)) < draw.random((len(some), 1))
            self.engine.evaluate(some % rows, draw.integers(0, size, len(some)), known)

        return self.engine.foretold(n, ask, until)[0]

    def areas(self, order: Ints) -> FloatArray:
        """Return (n,) areas under the answer while the columns of the first n rows enter in ``order`` (n, P), by trapezoids."""
        n, p = order.shape
        rank = np.argsort(order, axis=1)
        curve = self.answers(rank[:, None, :] < np.arange(p + 1)[None, :, None])  # (n, P + 1)
        # sizes without direction promise that the answer moves, not where to
        curve = -np.abs(curve - self.full[:n, None]) if self.unsigned else curve * self.side[:n, None]
        return np.asarray((curve[:, 1:] + curve[:, :-1]).mean(1) / 2)
