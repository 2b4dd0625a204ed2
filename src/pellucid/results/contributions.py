"""Answers to why, column by column: contributions of one row, importance over a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import MissingExtraError, RequestError
from pellucid.intervals import Z95, error_of_mean
from pellucid.results.base import FloatArray, Result, RunRecord, output_at
from pellucid.results.owed import Tried
from pellucid.results.text import number

if TYPE_CHECKING:
    from pellucid.results.account import Account
    from pellucid.results.verdicts import Trial

__all__ = ["Explanation", "Importance"]


@dataclass(frozen=True)
class Importance(Tried, Result):
    """One number per column for a whole table.

    Attributes
    ----------
    values : (P,) in units of ``scale``.
    interval : (P, 2) lower and upper end at 95 %, NaN where unknown.
    columns, scale, method, record : names of the players, unit of the values, how they were made.
    trials : verdicts that are kept with it (``with_trials``); text and charts tell them.
    """

    values: FloatArray
    interval: FloatArray
    columns: tuple[str, ...]
    scale: str
    method: str
    record: RunRecord
    trials: tuple[Trial, ...] = ()

    def _about(self) -> str:
        return f"{self.method} of {len(self.columns)} columns; values in {self.scale}"

    def to_frame(self) -> pd.DataFrame:
        """Return one line per column, largest first."""
        frame = pd.DataFrame({"column": self.columns, "importance": self.values, "low": self.interval[:, 0], "high": self.interval[:, 1]})
        return frame.sort_values("importance", ascending=False, key=np.abs, kind="stable").reset_index(drop=True)

    def top(self, k: int = 5) -> tuple[str, ...]:
        """Return the names of the k most important columns."""
        return tuple(self.to_frame()["column"].head(k))

    def seats(self, n: int = 100, *, threshold: float = 0.0, groups: Mapping[str, Sequence[str]] | None = None) -> Importance:
        """Return the importance as a parliament of n seats: each goes in turn to the largest votes / (seats + 1) (D'Hondt 1882).

        Parameters
        ----------
        n : number of seats.
        threshold : least share of the votes that counts, from 0 to 1; the seats go to the others.
        groups : columns that stand together, ``{"person": ["age", "sex"]}``: their votes are added.

        Votes are the values; below 0 they count as none. Ties go to the larger vote, then to the earlier column. The seats add up to n.
        Cost: n P.

        Examples
        --------
        >>> votes = np.array([100_000.0, 75_000, 50_000, 25_000])
        >>> made = Importance(votes, np.full((4, 2), np.nan), ("a", "b", "c", "d"), "votes", "poll", RunRecord("poll"))
        >>> made.seats(10).values.tolist()
        [4.0, 3.0, 2.0, 1.0]
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise RequestError("the number of seats cannot be used", expected="a whole number from 1", got=repr(n))
        if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
            raise RequestError("the threshold cannot be used", expected="a share from 0 to below 1", got=repr(threshold))
        names, votes = _alliances(self.columns, np.maximum(self.values, 0.0), groups)
        counted = np.where(votes >= threshold * votes.sum(), votes, 0.0)
        if not counted.sum() > 0:
            raise RequestError("there are no votes to share seats by", got=f"{len(votes)} columns, none above the threshold")
        seats = np.zeros(len(votes))
        order = np.argsort(-counted, kind="stable")  # the first of equal quotients: larger vote, then column order
        for _ in range(int(n)):
            seats[order[np.argmax((counted / (seats + 1))[order])]] += 1
        told = {"seats": int(n), "threshold": threshold, "rank_correlation": _rank_correlation(votes, seats)}
        record = dataclasses.replace(self.record, settings={**self.record.settings, **told})
        return Importance(seats, np.full((len(seats), 2), np.nan), names, "seats", f"seats of {self.method}", record)


def _alliances(
    columns: tuple[str, ...], votes: FloatArray, groups: Mapping[str, Sequence[str]] | None
) -> tuple[tuple[str, ...], FloatArray]:
    """Return (names, votes) with the votes of each group added up, in the place of its first column."""
    owner = {c: c for c in columns}
    for name, members in (groups or {}).items():
        for c in members:
            if c not in owner or owner[c] != c:
                known = ", ".join(columns)
                raise RequestError(f"the group {name!r} cannot hold {c!r}", expected=f"each of {known} in at most one group", got=repr(c))
            owner[c] = name
    names = tuple(dict.fromkeys(owner[c] for c in columns))
    return names, np.array([sum(float(v) for c, v in zip(columns, votes) if owner[c] == name) for name in names])


def _rank_correlation(votes: FloatArray, seats: FloatArray) -> float | None:
    """Return Spearman's correlation of votes and seats, ties averaged; None where either is constant."""
    one, two = (pd.Series(a).rank().to_numpy() for a in (votes, seats))
    return float(np.corrcoef(one, two)[0, 1]) if np.ptp(one) > 0 and np.ptp(two) > 0 else None


@dataclass(frozen=True)
class Explanation(Tried, Result):
    """Why the model answered as it did, row by row, in the user's own columns.

    Attributes
    ----------
    values : (N, P) with one output, else (N, P, O): contribution of each player, on ``scale``.
    base_values : (N,) or (N, O): what the model answers when every player is absent.
    columns : the P players: source columns or named groups.
    outputs : names of the O outputs.
    data : the explained cells as the user wrote them; one line per row, index = row labels.
    scale : unit of the values: ``"log-odds"``, ``"probability"`` or the target's unit.
    method : registry name.
    error : standard error of each value, same shape as ``values``; None where the values are exact.
    gap : (N,) or (N, O): prediction minus base minus the sum of the values; None where the method makes no such promise.
    n_calls : model rows evaluated.
    predictions : (N,) or (N, O): the explained outputs, on ``scale``; for sizes and slopes on the scale of the answers.
    says : what a value says: ``"moves"`` (how far the column moves the answer, and which way), ``"sizes"`` (how much the column counts,
        with no direction) or ``"slopes"`` (how far one more unit of the column moves the answer).
    trials : verdicts that are kept with it (``with_trials``); text and charts tell them.
    """

    values: FloatArray
    base_values: FloatArray
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    data: pd.DataFrame
    scale: str
    method: str
    record: RunRecord
    predictions: FloatArray
    error: FloatArray | None = None
    gap: FloatArray | None = None
    n_calls: int = 0
    says: str = "moves"
    trials: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        n, p = len(self.data), len(self.columns)
        shape = (n, p) if len(self.outputs) == 1 else (n, p, len(self.outputs))
        if self.values.shape != shape or (self.error is not None and self.error.shape != shape):
            raise RequestError(
                "the parts of an explanation do not fit together", expected=f"values of shape {shape}", got=str(self.values.shape)
            )

    def __len__(self) -> int:
        return len(self.data)

    def _about(self) -> str:
        if self.error is not None:
            exact = f"standard errors up to {number(np.max(self.error, initial=0.0))}"
        else:  # sizes, and values from elsewhere, are not exact because no error is stated
            exact = "no errors stated" if self.says == "sizes" or "read from" in self.record.settings else "exact"
        return f"{self.method} of {len(self):,} rows, {len(self.columns)} columns; values in {self.scale}, {exact}"

    def _shown(self) -> pd.DataFrame:
        frame = self.to_frame()
        frame.index = pd.Index(frame.pop("row"), name=None)
        one = [] if len(self.outputs) > 1 else ["output"]
        return frame.drop(columns=[*one, *(f"{c}__error" for c in self.columns)])

    def __getitem__(self, rows: Any) -> Explanation:
        """Return the explanation of some rows: an integer, a slice, a list or a boolean mask, by place and not by label."""
        rows = _places(rows, len(self))

        def cut(a: FloatArray | None) -> FloatArray | None:
            return None if a is None else a[rows]

        return dataclasses.replace(
            self,
            values=self.values[rows],
            base_values=self.base_values[rows],
            data=self.data.iloc[rows],
            predictions=self.predictions[rows],
            error=cut(self.error),
            gap=cut(self.gap),
        )

    def __iter__(self) -> Iterator[Explanation]:
        return (self[i] for i in range(len(self)))

    @property
    def answer_scale(self) -> str:
        """Unit of the predictions: that of the values, but for sizes and slopes that of the answers they speak of."""
        return self.scale if self.says == "moves" else str(self.record.settings.get("scale", self.scale))

    @property
    def adds_up(self) -> bool:
        """Whether base and values make the predictions: the method says so, or they do."""
        if self.gap is not None:
            return True
        left = np.abs(self.predictions - self.base_values - self.values.sum(1))
        return self.says == "moves" and bool((left <= 1e-6 * np.maximum(np.abs(self.values).sum(1), 1e-12)).all())

    def cube(self) -> FloatArray:
        """Return the values as (N, P, O), whatever the number of outputs."""
        return self.values if self.values.ndim == 3 else self.values[:, :, None]

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row and output: row, output, prediction, base, gap, ``<column>``, ``<column>__error``."""
        n, o = len(self), len(self.outputs)
        flat = lambda a: np.full(n * o, np.nan) if a is None else np.asarray(a, float).reshape(n * o)  # noqa: E731
        lines = (n * o, len(self.columns))
        cube = self.cube().transpose(0, 2, 1).reshape(lines)
        head = {
            "row": np.repeat(np.asarray(self.data.index), o),
            "output": np.tile(np.asarray(self.outputs, object), n),
            "prediction": flat(self.predictions),
            "base": flat(self.base_values),
            "gap": flat(self.gap),
        }
        # a column of the user's that bears the name of one of ours gives way
        body = {f"{c}_cell" if c in head else c: cube[:, j] for j, c in enumerate(self.columns)}
        if self.error is None:
            errors = {f"{c}__error": np.zeros(n * o) for c in self.columns}
        else:
            se = (self.error if self.error.ndim == 3 else self.error[:, :, None]).transpose(0, 2, 1).reshape(lines)
            errors = {f"{c}__error": se[:, j] for j, c in enumerate(self.columns)}
        return pd.DataFrame({**head, **body, **errors})

    def output_at(self, output: int | str) -> int:
        """Return the place of an output in ``outputs``, given its name or its place."""
        return output_at(self.outputs, output)

    def top(self, k: int = 3, output: int | str = 0) -> list[list[tuple[str, Any, float]]]:
        """Return per row the k largest contributions to one output (its name or place) as (column, cell as written, value)."""
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise RequestError("the number of columns cannot be used", expected="a whole number from 1", got=repr(k))
        cube = self.cube()[:, :, self.output_at(output)]
        order = np.argsort(-np.abs(cube), axis=1, kind="stable")[:, :k]

        def cell(i: int, column: str) -> Any:
            value = self.data[column].iloc[i] if column in self.data.columns else None
            return value.item() if isinstance(value, np.generic) else value

        return [[(self.columns[j], cell(i, self.columns[j]), float(cube[i, j])) for j in order[i]] for i in range(len(self))]

    def mean_abs(self) -> Importance:
        """Return the mean absolute contribution of each column with a 95 % interval over rows (outputs averaged)."""
        per_row = np.abs(self.cube()).mean(2)
        mean = per_row.mean(0)
        half = Z95 * error_of_mean(per_row)
        ends, method = np.column_stack([np.maximum(mean - half, 0.0), mean + half]), f"mean |{self.method}|"  # a size is not below 0
        return Importance(mean, ends, self.columns, self.scale, method, self.record, self.trials)

    def seats(self, n: int = 100, *, threshold: float = 0.0, groups: Mapping[str, Sequence[str]] | None = None) -> Importance:
        """Return the mean absolute contributions as seats; see :meth:`Importance.seats`."""
        return self.mean_abs().seats(n, threshold=threshold, groups=groups)

    def to_shap(self) -> Any:
        """Return a ``shap.Explanation``, so that shap's plots open it. Needs the extra ``shap``."""
        try:
            import shap
        except ImportError as error:
            raise MissingExtraError.of("shap", "shap", "to_shap()") from error
        names = list(self.columns)
        outputs = self.outputs[0] if len(self.outputs) == 1 else list(self.outputs)  # shap reads a list of one as names of the rows
        data = self.data.reindex(columns=names).to_numpy(object)
        values, base = np.array(self.values), np.array(self.base_values)  # theirs to change, ours are not
        return shap.Explanation(values=values, base_values=base, data=data, feature_names=names, output_names=outputs)

    @classmethod
    def of_shap(cls, theirs: Any, data: Any = None, *, scale: str = "shap values", method: str = "shap") -> Explanation:
        """Return a ``shap.Explanation`` as one of ours, so that it can be tried, drawn and told as ours are.

        Parameters
        ----------
        theirs : values (P,), (N, P) or (N, P, O), or (P, O) of one row ``[i]`` of theirs; base values, names and data where it has them.
        data : the explained rows as the user wrote them, a frame of the P columns; None takes ``theirs.data``.
        scale : unit of the values, which shap does not keep. method : what to call them.

        Its values are taken as they are. The predictions are base plus values, because shap keeps no other; so the gap is unknown.
        """
        values = np.asarray(theirs.values, float)
        values = values[None] if values.ndim == 1 or (values.ndim == 2 and _of_one_row(theirs)) else values
        values = values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
        if values.ndim not in (2, 3):
            raise RequestError("these values cannot be read", expected="values (N, P) or (N, P, O)", got=f"shape {values.shape}")
        n, p = values.shape[:2]
        outputs = _output_names(getattr(theirs, "output_names", None), values.shape[2] if values.ndim == 3 else 1)
        base = np.zeros(1) if theirs.base_values is None else np.asarray(theirs.base_values, float)
        shape = (n,) if values.ndim == 2 else (n, values.shape[2])
        base = np.broadcast_to(base[..., 0] if base.ndim == 2 and values.ndim == 2 else base, shape).copy()
        frame = _cells(theirs, data, n, p)
        record = RunRecord(
            method, {"read from": "shap.Explanation"}, caveats=("read from a shap.Explanation: how it was made is not recorded",)
        )
        error = getattr(theirs, "error_std", None)
        return cls(
            values=values, base_values=base, columns=tuple(map(str, frame.columns)), outputs=outputs, data=frame, scale=scale,
            method=method, record=record, predictions=base + values.sum(1),
            error=None if error is None else np.asarray(error, float).reshape(values.shape),
        )  # fmt: skip

    def words(
        self, row: int = 0, *, output: int | str = 0, k: int = 3, trials: Sequence[Trial] = (), units: Mapping[str, str] | None = None
    ) -> Account:
        """Return the reasons of one row in plain sentences: templates only, every printed number a cell of the account's table.

        Parameters
        ----------
        row : its place. output : its name or place. k : columns that get a sentence of their own.
        trials : of this explanation; their verdicts are told, failures first. Where none are given, those that it keeps.
        units : unit of each column that has one.

        Examples
        --------
        >>> import pandas as pd
        >>> data = pd.DataFrame({"age": [37], "sex": ["F"]})
        >>> made = Explanation(np.array([[2.0, -0.5]]), np.array([1.0]), ("age", "sex"), ("y",), data, "points", "shapley",
        ...                    RunRecord("shapley"), np.array([2.5]), gap=np.zeros(1))
        >>> made.words(units={"age": "years"}).sentences[1]
        'age = 37 years raises the answer by 2.'
        """
        from pellucid.results.account import account

        return account(self, row, output=output, k=k, trials=trials or self.trials, units=units)


def _places(rows: Any, n: int) -> Any:
    """Return a request for some of n rows as a slice, whole numbers or a boolean mask; an error where it is none of these."""
    expected = f"an integer from {-n} to {n - 1}, a slice, a list of them, or one True or False for each of {n} rows"
    if isinstance(rows, slice) and all(v is None or isinstance(v, int | np.integer) for v in (rows.start, rows.stop, rows.step)):
        return rows
    if isinstance(rows, int | np.integer) and not isinstance(rows, bool) and -n <= rows < n:
        return slice(int(rows), int(rows) + 1 or None)
    try:
        wanted = np.asarray(rows)
    except (TypeError, ValueError):
        wanted = np.empty((0, 0))
    if wanted.ndim == 1 and not isinstance(rows, tuple):
        if wanted.size == 0 and n:
            return np.zeros(0, np.int64)
        if wanted.dtype == bool and len(wanted) == n:
            return wanted
        if wanted.dtype.kind in "iu" and ((wanted >= -n) & (wanted < n)).all():
            return wanted
    raise RequestError("these rows are not in the explanation", expected=expected, got=repr(rows)[:80])


def _of_one_row(theirs: Any) -> bool:
    """Return whether a shap.Explanation is one row of another: its cells (P,) have lost the axis of the rows."""
    data: Any = getattr(theirs, "data", None)
    names: Any = getattr(theirs, "feature_names", None)
    return np.ndim(data) == 1 and len(np.asarray(theirs.values)) == len(data) and (names is None or np.ndim(names) == 1)


def _output_names(names: Any, size: int) -> tuple[str, ...]:
    """Return O names; where shap has none, or one for each row, they are numbered."""
    given = (names,) if isinstance(names, str) else tuple(map(str, names)) if names is not None else ()
    return given if len(given) == size else ("output",) if size == 1 else tuple(f"output {o}" for o in range(size))


def _cells(theirs: Any, data: Any, n: int, p: int) -> pd.DataFrame:
    """Return the explained cells (N, P) of a shap.Explanation as a frame with its names."""
    names = getattr(theirs, "feature_names", None)
    if isinstance(data, pd.DataFrame):
        frame = data if names is None or not set(map(str, names)) <= set(map(str, data.columns)) else data[list(names)]
    else:
        given = data if data is not None else getattr(theirs, "data", None)
        cells = np.full((n, p), None, object) if given is None else np.asarray(given, object).reshape(n, -1)
        frame = pd.DataFrame(cells, columns=list(names) if names is not None and cells.shape[1] == p else None).infer_objects()
    if frame.shape != (n, p):
        raise RequestError(
            "the rows do not belong to these values", expected=f"{n} rows of {p} columns", got=f"{len(frame)} rows of {frame.shape[1]}"
        )
    return frame.set_axis([f"column {j}" if names is None and data is None else str(c) for j, c in enumerate(frame.columns)], axis=1)
