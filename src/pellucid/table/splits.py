"""The one split plan of a fit: which rows train, which decide when to stop, which certify."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import EmptyTableError, ModelFileError, RequestError
from pellucid.random import stream
from pellucid.table.parse import guess_date_format, to_numbers, to_seconds
from pellucid.table.table import Table
from pellucid.table.types import ColumnType, Role

__all__ = ["Plan", "by_chance", "copies", "held_share", "make_plan", "pairs_by_chance"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
STOP_SHARE, STOP_MOST = 0.15, 10_000
TEST_SHARE, TEST_LEAST, TEST_MOST = 0.2, 24, 0.5
FOLD_BELOW = 2000
"""Rows below which nothing is cut off a table: all of them train, in folds."""
COARSE = 20
"""Mean number of copies of a row from which copies are no sign of repetition but of a table with few possible rows."""
FINE = 5
"""Mean number of rows that share a value from which a column is coarse enough for copies to come by chance."""
CHANCE = 3
"""Copies come by chance where their pairs are at most so many times those of as many rows of independent columns, times the mean number of
copies: columns that depend on each other make more, and the more copies a row has, the less one of them tells of another part."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The parts of a training table, as row positions.

    Attributes
    ----------
    train, stop, certify : sorted positions (int64). ``stop`` decides when training ends; ``certify`` serves calibration and conformal
        sets, and nothing else.
    folds : (N,) fold number of each row, or None. With folds, ``train`` holds all rows, and each row's out-of-fold output serves to stop
        and to certify.
    rule : how rows were divided: ``"random"``, ``"stratified"``, ``"grouped"`` or ``"ordered"``.
    words : the plan as a plain sentence.
    seed : the seed it was drawn with.
    lone : positions of rows whose class has no other row: trained on, but no statement about coverage can rest on them.
    """

    train: Ints
    stop: Ints
    certify: Ints
    folds: Ints | None
    rule: str
    words: str
    seed: int
    lone: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def n_rows(self) -> int:
        """Number of rows planned."""
        return len(self.train) + len(self.stop) + len(self.certify)

    @property
    def lent(self) -> bool:
        """Whether the stop rows are those of an ``eval_set``: they stand behind the planned rows, and nothing learns from them."""
        return len(self.stop) > 0 and int(self.stop[0]) == len(self.train) + len(self.certify)

    @property
    def known(self) -> Ints:
        """Positions of the rows of the table that may be learned from or kept: all but the certify rows and those of an ``eval_set``."""
        return self.train if self.lent else np.sort(np.concatenate([self.train, self.stop]))

    def describe(self) -> str:
        """Return the plan as a plain sentence."""
        return self.words

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={len(getattr(self, name)):,} rows" for name in ("train", "stop", "certify"))
        return f"Plan({parts}, rule={self.rule!r}: {self.words})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types; the parts as packed bytes, one a row, which stays small for long tables."""
        part = np.zeros(self.n_rows, np.uint8)
        part[self.stop], part[self.certify] = 1, 2
        return {
            "rows": self.n_rows,
            "parts": _pack(part),
            "folds": None if self.folds is None else _pack(self.folds.astype(np.uint16)),
            "rule": self.rule,
            "words": self.words,
            "seed": self.seed,
            "lone": self.lone.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Return the plan that :meth:`to_dict` described."""
        try:
            part = _unpack(data["parts"], int(data["rows"]))
            folds = None if data["folds"] is None else _unpack(data["folds"], None, np.uint16).astype(np.int64)
            lone = np.array(data.get("lone", ()), np.int64)
            train, stop, certify = (np.flatnonzero(part == k).astype(np.int64) for k in range(3))
            return cls(train, stop, certify, folds, str(data["rule"]), str(data["words"]), int(data["seed"]), lone)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise ModelFileError("this is not a split plan", got=f"{type(error).__name__}: {error}") from error


def _pack(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode("ascii")


def _unpack(text: str, n: int | None, kind: Any = np.uint8) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)
    if n is not None and len(values) != n:
        raise ValueError(f"{len(values)} rows instead of {n}")
    return values


def copies(table: Table, target_values: npt.ArrayLike | None = None) -> Ints:
    """Return a group number per row, (N,), equal for exact copies: the same cells in every column a model reads, and in the target.

    ``target_values`` (N,) or (N, O) stands for the target where the table holds none. Cost: one hash a cell.

    Examples
    --------
    >>> from pellucid.table.read import read_table
    >>> copies(read_table({"a": [1, 1, 2], "b": ["x", "x", "x"]}), [0, 0, 0]).tolist()
    [0, 0, 1]
    """
    names = list(table.features) + ([table.target] if table.target is not None and target_values is None else [])
    if not table.features:
        return np.arange(len(table), dtype=np.int64)
    hashed = pd.util.hash_pandas_object(_hashable(table.frame[names]), index=False).to_numpy(np.uint64)
    if target_values is not None:
        answers = pd.DataFrame(np.asarray(target_values).reshape(len(table), -1))
        with np.errstate(over="ignore"):
            hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + pd.util.hash_pandas_object(_hashable(answers), index=False).to_numpy(
                np.uint64
            )
    return np.asarray(pd.factorize(hashed)[0], np.int64)


def pairs_by_chance(n: int, counts: Iterable[Any]) -> float:
    """Return how many pairs of equal rows ``n`` rows of independent columns make on average.

    ``counts`` : for each column (U,) how often each of its values occurs.

    Examples
    --------
    >>> pairs_by_chance(4, [np.array([2, 2]), np.array([3, 1])])
    1.0
    """
    return n * (n - 1) / 2 * float(np.prod([_equal(n, count) for count in counts]))


def _equal(n: int, count: npt.NDArray[Any]) -> float:
    """Return the share of the pairs of rows that agree in a column."""
    return float(count @ (count - 1.0)) / (n * (n - 1))


def by_chance(same: Ints, counts: Iterable[Any]) -> bool:
    """Return whether there are copies and they are what few possible rows make of many rows, not rows entered more than once.

    Held together, such copies would leave parts that know no row of another's kind: on tables of three to six categories every held-out
    answer is then a guess, and calibration learns from guesses.

    Parameters
    ----------
    same : (N,) a number per row, equal for copies. counts : as for :func:`pairs_by_chance`, of the columns that were compared, target
        included; read until one tells.

    Examples
    --------
    >>> cells = np.arange(400) * 7 % 9 // 3, np.arange(400) * 5 % 8 // 2
    >>> by_chance(pd.factorize(cells[0] * 4 + cells[1])[0], map(np.bincount, cells)), by_chance(np.arange(400) // 2, [np.full(200, 2)])
    (True, False)
    """
    n, copied = len(same), np.bincount(same).astype(float)
    if len(copied) == n:
        return False
    if len(copied) * COARSE < n:
        return True
    pairs, chance = float(copied @ (copied - 1)) / 2, n * (n - 1) / 2 * CHANCE * n / len(copied)
    for count in counts:
        chance *= _equal(n, count)
        if pairs > chance or np.count_nonzero(count) * FINE > n:
            return False
    return True


def _hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with object columns as category codes: Python objects of mixed kinds do not hash as arrays."""
    mixed = {n: pd.factorize(frame[n])[0] for n in frame.columns if frame[n].dtype.kind == "O"}
    return pd.DataFrame({str(n): mixed.get(n, frame[n]) for n in frame.columns}, index=frame.index) if mixed else frame


def held_share(n: int) -> float:
    """Return which share of n rows to hold out to judge models on: a fifth, and of short tables enough that they can be told apart.

    Tables of fewer than 48 rows cannot spare so many and keep to the fifth.

    Examples
    --------
    >>> held_share(1000), held_share(60), held_share(20)
    (0.2, 0.4, 0.2)
    """
    wanted = TEST_LEAST / max(n, 1)
    return max(TEST_SHARE, wanted) if wanted <= TEST_MOST else TEST_SHARE


def make_plan(
    table: Table,
    target_values: npt.ArrayLike,
    *,
    task: str,
    seed: int,
    stop_given: bool = False,
    stopping: bool = True,
    groups: npt.ArrayLike | None = None,
    order: npt.ArrayLike | None = None,
    certify_share: float = 0.1,
    certify_min: int = 200,
    fold_below: int = FOLD_BELOW,
    n_folds: int = 5,
) -> Plan:
    """Return the split plan of a training table.

    Parameters
    ----------
    target_values : (N,) or (N, O) answers. For classes each part gets each class in its share; numbers are drawn at random, so that the
        certify rows are exchangeable with new rows, on which the promise of conformal intervals rests.
    task : ``"classification"`` or ``"regression"``.
    stop_given : True where an ``eval_set`` decides when to stop; no rows are then cut for that.
    stopping : whether the model stops by rows that it does not learn from. One that does not learns from them; only the words differ.
    groups, order : (N,) values; by default the columns of these roles. Rows of one group stay in one part. With an order, the earliest
        rows train, later ones decide when to stop, and the last certify; rows without a moment count as earliest.
    certify_share, certify_min : rows cut to certify: this share, but at least so many.
    fold_below : with fewer rows nothing is cut; all rows train in ``n_folds`` folds.

    Exact copies of a row (:func:`copies`) stay in one part, unless so few different rows are possible that copies come by chance
    (:func:`by_chance`). A class of one row is trained on and left out of stratification (``Plan.lone``). The same seed gives the same plan.
    Cost: one hash a cell and one sort.

    Errors
    ------
    EmptyTableError for fewer than two rows.

    Examples
    --------
    >>> from pellucid.table.read import read_table
    >>> plan = make_plan(read_table({"x": list(range(3000))}, types={"x": "number"}), [0, 1] * 1500, task="classification", seed=0)
    >>> len(plan.train), len(plan.stop), len(plan.certify), plan.rule
    (2295, 405, 300, 'stratified')
    """
    n = len(table)
    if n < 2:
        raise EmptyTableError("the table has too few rows to learn from", expected="at least 2", got=str(n))
    if task not in ("classification", "regression"):
        raise RequestError(f"unknown task {task!r}", expected="'classification' or 'regression'")
    together = _group_numbers(table, groups)
    order_at = _moments(table, order)
    classes = (
        np.asarray(pd.factorize(np.asarray(target_values).ravel())[0], np.int64)
        if task == "classification" and np.size(target_values) == n
        else None
    )
    drawn = _Draw(table, np.asarray(target_values), classes, together, order_at, seed)
    given = (stop_given, stopping)
    return drawn.folded(n_folds, *given) if n < fold_below else drawn.cut(certify_share, certify_min, *given)


def _group_numbers(table: Table, given: npt.ArrayLike | None) -> Ints | None:
    """Return group numbers; rows without a group are groups of their own."""
    column = table.schema.role(Role.GROUP)
    if given is None and column is None:
        return None
    values: Any = table.frame[column] if given is None and column is not None else pd.Series(np.asarray(given).ravel())
    if len(values) != len(table):
        raise RequestError("groups do not fit the table", expected=f"{len(table)} values", got=str(len(values)))
    codes = np.asarray(pd.factorize(values)[0], np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def _moments(table: Table, given: npt.ArrayLike | None) -> npt.NDArray[np.float64] | None:
    """Return (N,) numbers that sort the rows in time."""
    column = table.schema.role(Role.ORDER)
    if given is None and column is None:
        return None
    if given is None and column is not None:
        described = table.schema[column]
        values = table.frame[column]
        if described.type is ColumnType.DATE:
            return _earliest(table.seconds(column))
        if described.type is ColumnType.NUMBER:
            return _earliest(table.numbers(column))
        if described.type is ColumnType.ORDERED:
            rank = {level: float(i) for i, level in enumerate(described.levels)}
            return np.array([rank.get(text, -np.inf) for text in table.texts(column)])
    else:
        values = pd.Series(np.asarray(given).ravel())
    if len(values) != len(table):
        raise RequestError("order does not fit the table", expected=f"{len(table)} values", got=str(len(values)))
    if values.dtype.kind == "M":
        return _earliest(to_seconds(values)[0])
    numbers, bad = to_numbers(values)
    if bad.any():
        numbers, bad = to_seconds(values, form) if (form := guess_date_format(values)) else (numbers, bad)
    if bad.any():  # neither numbers nor dates: in the order of their texts
        codes, texts = pd.factorize(values)
        order = np.argsort(np.argsort([str(t) for t in texts])).astype(np.float64)
        numbers = np.append(order, np.nan)[codes]
    return _earliest(numbers)


def _earliest(moments: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return moments in which the missing ones come first."""
    return np.where(np.isnan(moments), -np.inf, moments)


class _Draw:
    """One draw of a plan. Units are sets of rows that must stay together: copies of one row, rows of one group."""

    def __init__(
        self,
        table: Table,
        target: npt.NDArray[Any],
        classes: Ints | None,
        groups: Ints | None,
        order: npt.NDArray[np.float64] | None,
        seed: int,
    ) -> None:
        self.n, self.seed, self.order, self.groups, self.classes = len(table), seed, order, groups, classes
        same = copies(table, target)
        self.n_copied = self.n - int(same.max() + 1)
        cells = (*np.asarray(target).reshape(self.n, -1).T, *(table.frame[name] for name in table.features))
        self.coarse = by_chance(same, (np.bincount(pd.factorize(c, use_na_sentinel=False)[0]) for c in cells))
        if self.coarse:
            same = np.arange(self.n, dtype=np.int64)
        self.unit = same if groups is None else _joined(same, groups)
        self.size = np.bincount(self.unit)
        self.random = stream(seed, "split plan")
        self.lone = np.empty(0, np.int64)
        if classes is not None:
            counts = np.bincount(classes[classes >= 0], minlength=1)
            self.lone = np.flatnonzero((classes >= 0) & (counts[classes] == 1)).astype(np.int64)
        self.rule = (
            "ordered" if order is not None else "grouped" if groups is not None else "stratified" if classes is not None else "random"
        )

    def cut(self, share: float, least: int, stop_given: bool, stopping: bool) -> Plan:
        """Cut certify and stop rows off the table."""
        n_certify = min(max(least, round(share * self.n)), self.n // 2)
        n_stop = 0 if stop_given else min(round(STOP_SHARE * (self.n - n_certify)), STOP_MOST)
        if self.order is not None:
            part = self._in_time(n_certify, n_stop)[self.unit]
        else:
            chosen = self._choose(np.ones(len(self.size), np.bool_), n_certify)
            part_of_unit = np.where(chosen, 2, 0)
            part_of_unit[self._choose(~chosen, n_stop)] = 1
            part = self._all_classes_train(part_of_unit)[self.unit]
        train, stop, certify = (np.flatnonzero(part == k).astype(np.int64) for k in range(3))
        stops = ", the evaluation set decides when to stop" if stop_given else f", {len(stop):,} decide when to stop"
        learned = f"{self.n:,} rows: {len(train) if stopping else len(train) + len(stop):,} train{stops if stopping else ''}"
        words = f"{learned}, {len(certify):,} certify; {self._manner()}"
        return Plan(train, stop, certify, None, self.rule, words, self.seed, self.lone)

    def folded(self, n_folds: int, stop_given: bool, stopping: bool) -> Plan:
        """Spread all rows over folds."""
        everyone, none = np.arange(self.n, dtype=np.int64), np.empty(0, np.int64)
        k = min(n_folds, len(self.size))
        if k < 2:
            what = "one group" if self.groups is not None else "copies of one row"
            words = f"{self.n:,} rows train; they are {what}, so none can be held out"
            return Plan(everyone, none, none, None, self.rule, words, self.seed, self.lone)
        if self.order is not None:
            fold = self._blocks(k)
        elif self.size.max() == 1:
            fold = np.empty(len(self.size), np.int64)
            fold[self._by_stratum()] = np.arange(len(self.size)) % k
        else:
            fold = self._level(k)
        words = f"{self.n:,} rows in {k} folds: all train, and each row is certified by the models that did not learn from it"
        words += f"{', though it helps to tell when they stop' if stopping and not stop_given else ''}; {self._manner()}"
        return Plan(everyone, none, none, fold[self.unit], self.rule, words, self.seed, self.lone)

    def _manner(self) -> str:
        text = {
            "random": "drawn at random",
            "stratified": "drawn so that each part has each class in its share",
            "grouped": "drawn so that rows of one group stay in one part",
            "ordered": "divided in their order",
        }[self.rule]
        if self.coarse:
            text += "; the table knows few different rows, so copies were not kept together"
        elif self.n_copied:
            text += f"; {self.n_copied:,} rows are copies of others and stay with them"
        if len(self.lone):
            lone = len(self.lone)
            text += f"; {lone} class{'' if lone == 1 else 'es'} of one row {'is' if lone == 1 else 'are'} trained on only"
        return text

    def _stratum(self) -> Ints:
        """Return (U,) the class of each unit: that of its first row; one stratum where there are no classes, or groups mix them."""
        if self.classes is None or self.groups is not None:
            return np.zeros(len(self.size), np.int64)
        out = np.zeros(len(self.size), np.int64)
        out[self.unit[::-1]] = self.classes[::-1]
        return np.asarray(out - out.min(), np.int64)

    def _by_stratum(self) -> Ints:
        """Return the units sorted by class, in random order within each."""
        return np.lexsort((self.random.permutation(len(self.size)), self._stratum()))

    def _choose(self, free: Bools, wanted: int) -> Bools:
        """Return (U,) which of the free units make up about ``wanted`` rows, class by class; the first unit of a class is never taken."""
        chosen = np.zeros(len(self.size), np.bool_)
        if wanted <= 0:
            return chosen
        stratum_of = self._stratum()
        whole = np.bincount(stratum_of[free], weights=self.size[free])  # rows of each class, also of units too large to be taken
        units = self._by_stratum()
        units = units[free[units] & (self.size[units] <= wanted)]  # a unit larger than the part can only train
        if len(units) == 0:
            return chosen
        size, stratum = self.size[units], stratum_of[units]
        starts = np.flatnonzero(np.diff(stratum, prepend=stratum[0] - 1))
        which = np.cumsum(np.isin(np.arange(len(units)), starts)) - 1
        keep = size[starts]  # the first unit of each class stays in training
        room = np.add.reduceat(size, starts) - keep
        quota = _largest_remainder(np.minimum(whole[stratum[starts]] / whole.sum() * wanted, room), wanted, room)
        before = np.cumsum(size) - size
        before -= (before[starts] + keep)[which]
        chosen[units[(before >= 0) & (before < quota[which])]] = True
        return chosen

    def _all_classes_train(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Move units into training until every class is there: groups may have carried one away."""
        if self.classes is None:
            return part
        for c in np.setdiff1d(self.classes, self.classes[part[self.unit] == 0]):
            part[self.unit[np.flatnonzero(self.classes == c)[0]]] = 0
        return part

    def _last(self) -> npt.NDArray[np.float64]:
        """Return (U,) the latest moment of each unit: a unit is never split, and so no training row is later than what follows."""
        out = np.full(len(self.size), -np.inf)
        np.maximum.at(out, self.unit, np.zeros(self.n) if self.order is None else self.order)
        return out

    def _in_time(self, n_certify: int, n_stop: int) -> Ints:
        sequence = np.lexsort((np.arange(len(self.size)), self._last()))
        after = np.cumsum(self.size[sequence][::-1])[::-1]  # rows from here to the end
        part = np.zeros(len(self.size), np.int64)
        part[sequence] = np.where(after <= n_certify, 2, np.where(after <= n_certify + n_stop, 1, 0))
        return part

    def _blocks(self, k: int) -> Ints:
        sequence = np.lexsort((np.arange(len(self.size)), self._last()))
        fold = np.empty(len(self.size), np.int64)
        fold[sequence] = np.arange(len(self.size)) * k // len(self.size)
        return fold

    def _level(self, k: int) -> Ints:
        """Deal units of several rows to the folds: the largest first, each to the fold with the fewest rows, of its class first."""
        stratum = self._stratum()
        units = self._by_stratum()
        units = units[np.argsort(-self.size[units], kind="stable")]
        rows, of_class = np.zeros(k), np.zeros((int(stratum.max()) + 1, k))
        fold = np.empty(len(self.size), np.int64)
        for u in units:  # fewer units than ``fold_below`` rows
            s = stratum[u]
            fold[u] = np.lexsort((rows, of_class[s]))[0]
            rows[fold[u]] += self.size[u]
            of_class[s, fold[u]] += self.size[u]
        return fold


def _joined(a: Ints, b: Ints) -> Ints:
    """Return group numbers in which rows that share a number in ``a`` or in ``b`` share one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = int(a.max()) + 1 + int(b.max()) + 1
    links = coo_matrix((np.ones(len(a)), (a, b + a.max() + 1)), shape=(size, size))
    parts = connected_components(links, directed=False)[1]
    return np.asarray(pd.factorize(parts[a])[0], np.int64)


def _largest_remainder(share: npt.NDArray[np.float64], total: int, most: Ints) -> Ints:
    """Return whole numbers near ``share`` that add up to ``total`` where ``most`` allows it."""
    out = np.floor(share).astype(np.int64)
    rest = int(min(total, most.sum()) - out.sum())
    while rest > 0:
        room = np.flatnonzero(out < most)
        first = room[np.argsort(-(share - out)[room], kind="stable")][:rest]
        if len(first) == 0:
            break
        out[first] += 1
        rest -= len(first)
    return out
