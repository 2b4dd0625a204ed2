"""Data minimisation: which cells must be asked of a person before the decision is settled?

Cells that are not known are drawn from training rows like the person in what is known. The next question is the one after which the
decision is expected to be least open. Asking ends when enough draws of the rest give one decision; the end is checked on other draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.act.case import Case
from pellucid.errors import ColumnError, RequestError, did_you_mean, quote
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Neighbours, Players
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Inquiry
from pellucid.table import Table

__all__ = ["act", "expected_entropy"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

BINS = 4
FEWEST = 40


@dataclass(frozen=True)
class _Rest:
    """Draws of the cells that are not known, from one part of the kept rows.

    Attributes
    ----------
    engine : over the rows and this part. near : the same rows' likeness; None where the draws do not look at what is known.
    groups : (C, B) a small code for each cell of the part: levels, or quarters of numbers. draws : how many.
    """

    engine: CoalitionEngine
    near: Neighbours | None
    groups: npt.NDArray[np.int64]
    draws: int
    case: Case

    def decisions(self, rows: Ints, known: BoolArray) -> tuple[Ints, Ints]:
        """Return (places of the rows drawn (n, S), decisions of the mixes (n, S)) for rows of which ``known`` (n, C) is known."""
        if self.near is None:
            at = np.tile(np.arange(self.draws), (len(rows), 1))
        else:
            at = self.near.nearest(rows, known, self.draws)
        n, s = at.shape
        raw = self.engine.evaluate(np.repeat(rows, s), at.reshape(-1), np.repeat(known, s, axis=0))
        return at, _decide(self.case, raw).reshape(n, s)


def _decide(case: Case, raw: FloatArray) -> Ints:
    """Return decisions (n,): whether the goal is met, or the number of the class answered."""
    if case.goal is not None:
        return case.goal.met(raw).astype(np.int64)
    level = 0.5 if case.view.scale == "probability" else 0.0
    return np.asarray(raw.argmax(1) if raw.shape[1] > 1 else raw[:, 0] > level, np.int64)


def expected_entropy(groups: Ints, decisions: Ints, size: int) -> FloatArray:
    """Return (n, C): the entropy of the decision, in nats, expected after each column is known.

    Parameters
    ----------
    groups : (n, S, C) the group of each drawn cell. decisions : (n, S) below ``size``.

    Notes
    -----
    Estimated from the draws at hand, without further model rows: the entropy within groups, weighted by their shares, with the correction
    of Miller and Madow for small groups (Miller 1955, Note on the bias of information estimates).

    Examples
    --------
    >>> groups = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]])
    >>> expected_entropy(groups, np.array([[0, 0, 1, 1]]), 2).round(2).tolist()
    [[0.0, 0.94]]
    """
    n, s, c = groups.shape
    most = int(groups.max(initial=0)) + 1
    place = (np.arange(n)[:, None, None] * c + np.arange(c)) * most + groups
    flat = (place * size + decisions[:, :, None]).reshape(-1)
    count = np.bincount(flat, minlength=n * c * most * size).reshape(n, c, most, size).astype(float)
    total = count.sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = count / total
        entropy = -np.where(p > 0, p * np.log(p), 0.0).sum(-1)
        entropy += np.where(total[..., 0] > 0, ((count > 0).sum(-1) - 1) / (2 * total[..., 0]), 0.0)
    return np.asarray((np.nan_to_num(entropy) * total[..., 0]).sum(-1) / s)


def act(case: Case) -> Inquiry:
    """Return the cells to ask of each row, in order, until at most ``delta`` of the draws of the rest would change the decision.

    Tran, Fioretto 2023, arXiv:2305.17593. ``want`` makes the decision "met or not"; without it the decision is the class answered.
    ``known`` columns are known from the start. With ``fill="marginal"`` the rest is drawn from all kept rows alike, else from those nearest
    in what is known. The share is counted as (agreeing + 1/2) / (draws + 1), so ``delta=0`` asks for everything.

    # NOTE[DIFF] the expected entropy is read off the draws at hand, grouped by level or quarter, instead of drawing anew for every value
    that a cell may have: no further model rows, at the price of coarser numbers. The paper's Gaussian case is kept as the oracle of tests.
    """
    delta, draws = float(case.options["delta"]), int(case.options["draws"])
    if not 0 <= delta < 0.5 or draws < FEWEST or case.options["fill"] not in ("conditional", "marginal"):
        raise RequestError(
            "these options cannot be used", expected=f"delta from 0 to 0.5, at least {FEWEST} draws, fill 'conditional' or 'marginal'",
            got=f"delta={delta}, draws={draws}, fill={case.options['fill']!r}",
        )  # fmt: skip
    if case.goal is None and not case.view.classes:
        raise RequestError("a number is no decision", do="say what is wanted: want='>= 3.5'")
    search, check = _parts(case, draws)
    case.need(len(case.table) * 2 + len(case.kept) + len(case.table) * search.draws)
    return _asked(case, search, check, 1 - delta)


def _parts(case: Case, draws: int) -> tuple[_Rest, _Rest | None]:
    """Return two disjoint parts of the kept rows to draw from: one to choose by, one to check with.

    They stay shuffled: of rows that are alike in what is known, all of them at the start, the first are drawn, and the table may be sorted.
    """
    places = stream(case.seed, "parts").permutation(len(case.kept))
    half = len(places) // 2 if len(places) >= 2 * FEWEST else len(places)
    return _rest(case, places[:half], draws), (None if half == len(places) else _rest(case, places[half:], draws))


def _rest(case: Case, places: Ints, draws: int) -> _Rest:
    players = Players.of(case.view.columns)
    kept: Table = case.kept.take(places)
    near = Neighbours(case.table, kept, players) if case.options["fill"] == "conditional" else None
    groups = np.stack([_groups(case, j, places) for j in range(len(case.view.columns))])
    return _Rest(CoalitionEngine(case.view, case.table, kept, players), near, groups, min(draws, len(places)), case)


def _groups(case: Case, j: int, places: Ints) -> Ints:
    codes = case.changes.known[places, j]
    seen = codes[~np.isnan(codes)]
    if case.changes.is_number(j) and len(seen):
        codes = np.searchsorted(np.unique(np.quantile(seen, np.arange(1, BINS) / BINS)), codes, "right").astype(float)
        codes[np.isnan(case.changes.known[places, j])] = np.nan
    return np.asarray(np.nan_to_num(codes + 1), np.int64)  # 0 is missing


def _asked(case: Case, search: _Rest, check: _Rest | None, enough: float) -> Inquiry:
    n, c = len(case.table), len(case.view.columns)
    known = np.tile(np.isin(case.view.columns, _known(case)), (n, 1))
    whole = _decide(case, search.engine.full)
    order, sure = np.full((n, c), -1), np.full((n, c + 1), np.nan)
    decision, path, n_asked = whole.copy(), np.tile(whole[:, None], (1, c + 1)), np.zeros(n, np.int64)
    open_ = np.arange(n)
    for step in range(c + 1):
        if len(open_) and not case.affords(len(open_) * search.draws):
            case.need(len(open_) * search.draws)
            raise RequestError("the time does not reach", got=f"{step} of {c} cells asked", do="allow more time, or ask about fewer rows")
        at, decisions = search.decisions(open_, known[open_])
        counts = np.stack([(decisions == k).sum(1) for k in range(_size(case))], 1)
        best = counts.argmax(1)
        share = (counts.max(1) + 0.5) / (decisions.shape[1] + 1)
        full = known[open_].all(1)
        sure[open_, step] = np.where(full, 1.0, share)
        decision[open_] = np.where(full, whole[open_], best)
        path[open_, step:] = decision[open_][:, None]
        n_asked[open_] = step
        still = ~full & (share < enough)
        if not still.any():
            break
        entropy = expected_entropy(search.groups.T[at[still]], decisions[still], _size(case))
        entropy[known[open_[still]]] = np.inf
        column = entropy.argmin(1)
        open_ = open_[still]
        order[open_, step], known[open_, column] = column, True
    return _result(case, order, n_asked, decision, whole, sure, path, known, check)


def _known(case: Case) -> list[str]:
    given = case.options["known"]
    names = [given] if isinstance(given, str) else list(given)
    absent = [c for c in names if c not in case.view.columns]
    if absent:
        raise ColumnError(
            "columns of known= are not in the model", expected=quote(case.view.columns, 12), got=quote(absent),
            do=did_you_mean(absent[0], case.view.columns),
        )  # fmt: skip
    return names


def _size(case: Case) -> int:
    return 2 if case.goal is not None else len(case.view.classes)


def _result(
    case: Case, order: Ints, n_asked: Ints, decision: Ints, whole: Ints, sure: FloatArray, path: Ints, known: BoolArray, check: _Rest | None
) -> Inquiry:  # fmt: skip
    n, c = order.shape
    checked = np.full(n, np.nan)
    if check is not None and case.affords(n * check.draws):
        checked = (check.decisions(np.arange(n), known)[1] == decision[:, None]).mean(1)
    agrees = (path == whole[:, None]).mean(0)
    curve = pd.DataFrame({"asked": np.arange(c + 1), "agreement": agrees, "error": np.sqrt(agrees * (1 - agrees) / n)})
    labels = np.array(["no", "yes"], object) if case.goal is not None else np.asarray(case.view.classes, object)
    seen = checked[~np.isnan(checked)]
    settings = {
        "median_asked": float(np.median(n_asked)), "agreement": float((decision == whole).mean()),
        "checked": float(seen.mean()) if len(seen) else None,
    }  # fmt: skip
    return Inquiry(
        index=case.table.index, columns=tuple(case.view.columns), order=order, n_asked=n_asked, decision=labels[decision],
        whole=labels[whole], sure=sure, checked=checked, curve=curve, method=case.method,
        record=case.record(settings, ("cells not asked are drawn from kept rows like the person in what is known",)),
    )  # fmt: skip
