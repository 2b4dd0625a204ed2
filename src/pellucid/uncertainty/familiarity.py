"""Is a row like those of training? And where an answer should be withheld, with the reason in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.results.text import percent as in_words
from pellucid.table import Table
from pellucid.training.familiarity import Familiarity, odd_columns
from pellucid.training.strangeness import SCORE, cell_strangeness, false_alarms, place

__all__ = ["KEPT", "STRICT", "alarm_words", "familiar", "refusals", "strange"]

BoolArray = npt.NDArray[np.bool_]
STRANGE = 1.0
STRICT = 0.99
ODD = 10.0
KEPT = 0.999
"""An answer is withheld where a row breaks a rule that so many training rows keep; rules that more of them broke are named all the same."""


def familiar(fitted: Familiarity, table: Table) -> tuple[FloatArray, tuple[str | None, ...]]:
    """Return (percentile (N,), odd column of each row).

    The percentile is taken among held-out training rows; 0 is like nothing seen. The odd column is the one farthest beyond its usual
    distance from the nearest training rows; None from the 10th percentile on, where no column is odd.
    """
    percent, excess = fitted.score(table)
    names = odd_columns(excess, fitted.columns)
    return percent, tuple(name if is_odd else None for name, is_odd in zip(names, (percent < ODD).tolist()))


def strange(model: Any, predictor: Any, method: str, table: Table) -> tuple[FloatArray, tuple[str | None, ...]]:
    """Return (percentile (N,), odd column of each row) by one of the further measures, as :func:`familiar` does by distances.

    The row model names the cell that is rarest given the others, the texts the most surprising one; hidden states name no column, so it is
    the one that :func:`familiar` would name, where training rows are kept.
    """
    measures = model.promises().strangeness if hasattr(model, "promises") else {}
    if method not in measures:
        raise RequestError(
            f"familiarity by {method!r} was not fitted",
            expected=f"'neighbours'{''.join(f', {m!r}' for m in measures)}, or None for none",
            do=f"call model.fit_familiarity({method!r}) first",
        )
    fitted = measures[method]
    if method == "row_model":
        parts = model.row_model_.score(table)[SCORE]
        scores, columns = cell_strangeness(parts), model.row_model_.columns_
    elif method == "text_surprise":
        parts = fitted.text_parts(table)
        scores, columns = parts.max(axis=1), fitted.text_columns
    else:
        scores, near = fitted.measure.scores(predictor.hidden(table)), model.certainty_.familiarity
        columns = () if near is None else near.columns
        parts = np.zeros((len(table), 0)) if near is None else near.score(table)[1]
    percent = place(scores, fitted.reference)
    named = odd_columns(parts, columns)
    return percent, tuple(name if is_odd and name else None for name, is_odd in zip(named, (percent < ODD).tolist()))


def alarm_words(n_reference: int) -> str:
    """Return how often an ordinary row is called strange, in words."""
    mean, low, high = false_alarms(n_reference, STRANGE)
    if not mean:
        return f"{n_reference} rows to compare with are too few to call a row stranger than 99 of 100"
    between = f"between {in_words(low)} and {in_words(high)}, by {n_reference} rows to compare with"
    return f"of ordinary rows {in_words(mean)} are refused as strange ({between})"


def refusals(
    n: int,
    level: float,
    sets: BoolArray | None,
    nothing: BoolArray | None,
    unbounded: bool,
    percent: FloatArray | None,
    odd: tuple[str | None, ...] | None,
    doubtful: tuple[BoolArray, str] | None = None,
    broken: tuple[str, ...] | None = None,
) -> tuple[BoolArray, tuple[str, ...]]:
    """Return (refused (N,), N reasons): no class fits, every class fits, nothing is bounded, stranger than 99 of 100 training rows, or a
    rule is broken that training rows keep.

    ``sets`` (N, O) at ``level`` and ``nothing`` (N,), where no class fits even at 99 %, for classes; None for numbers. An empty set at a
    lower level is no reason: a model that is right more often than ``level`` must leave some sets empty to keep its promise.
    ``percent``, ``odd`` as from :func:`familiar`, None where unknown. ``doubtful``: rows (N,) beyond the doubt that was allowed, and why.
    ``broken``: N texts that name the rules a row breaks, empty where there are none.
    """
    reasons = np.full(n, "", object)

    def add(rows: BoolArray, text: Any) -> None:
        """Say ``text``, or each row's own of N, of some rows."""
        new = text[rows] if isinstance(text, np.ndarray) else text
        reasons[rows] = np.where(reasons[rows] == "", new, reasons[rows] + "; " + new)

    if unbounded:
        add(np.ones(n, bool), f"too few held-out rows to exclude anything at {in_words(level, None)}")
    elif sets is not None:
        if nothing is not None:
            add(nothing, f"no class fits, even at {in_words(max(level, STRICT), None)}")
        add(np.asarray(sets.all(axis=1)), f"every class is possible at {in_words(level, None)}")
    if doubtful is not None:
        add(*doubtful)
    if percent is not None:
        unlike = percent < STRANGE
        columns = np.array([c or "" for c in odd] if odd else [""] * n, object)
        for name in dict.fromkeys(columns[unlike]):
            where = f", most of all in '{name}'" if name else ""
            add(np.logical_and(unlike, columns == name), f"stranger than 99 of 100 training rows{where}")
    if broken is not None:
        said = np.array(broken, object)
        add(np.asarray(said != "", bool), said)
    return np.asarray(reasons != "", bool), tuple(reasons.tolist())
