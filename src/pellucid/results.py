"""What answers are: frozen, complete, below their makers. Results never draw (``pellucid.chart`` does).

Every result carries a :class:`RunRecord`, so that each number can be replayed. Letters: N rows, P players (columns or named groups),
O outputs, K members.
"""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import MissingExtraError, RequestError

__all__ = ["Decision", "Explanation", "Finding", "Importance", "Leaderboard", "Prediction", "RunRecord", "Trial", "plain"]

FloatArray = npt.NDArray[np.float64]
SEVERITIES = ("low", "medium", "high")
VERDICTS = ("pass", "fail", "not testable")


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON can hold: numbers, text, lists and dictionaries. NaN and infinities become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return [plain(r) for r in value.to_dict(orient="records")]
    if isinstance(value, np.ndarray | pd.Series | pd.Index):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return None if value is pd.NaT or value is pd.NA else str(value)


@dataclass(frozen=True)
class RunRecord:
    """How an answer came about: everything needed to replay it.

    Attributes
    ----------
    method : registry name of the method.
    settings : the options in use, defaults included.
    seed : seed of the call, None where nothing is drawn.
    data : fingerprint of the table that was asked about.
    duration : wall seconds.
    n_calls : number of model rows evaluated.
    caveats : what the reader should know before believing it, in plain words.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    data: str = ""
    duration: float = 0.0
    n_calls: int = 0
    caveats: tuple[str, ...] = ()


class _Result:
    """What all results share."""

    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return the answer as a table."""
        raise NotImplementedError  # each result defines its own

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return dict(plain(self))

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def _repr_html_(self) -> str:
        head = html.escape(f"{type(self).__name__}: {self.record.method}")
        return f"<p><b>{head}</b></p>" + self.to_frame().head(20).to_html(escape=True, border=0)


@dataclass(frozen=True)
class Importance(_Result):
    """One number per column for a whole table.

    Attributes
    ----------
    values : (P,) in units of ``scale``.
    interval : (P, 2) lower and upper end at 95 %, NaN where unknown.
    columns, scale, method, record : names of the players, unit of the values, how they were made.
    """

    values: FloatArray
    interval: FloatArray
    columns: tuple[str, ...]
    scale: str
    method: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per column, largest first."""
        frame = pd.DataFrame({"column": self.columns, "importance": self.values, "low": self.interval[:, 0], "high": self.interval[:, 1]})
        return frame.sort_values("importance", ascending=False, key=np.abs, kind="stable").reset_index(drop=True)

    def top(self, k: int = 5) -> tuple[str, ...]:
        """Return the names of the k most important columns."""
        return tuple(self.to_frame()["column"].head(k))


@dataclass(frozen=True)
class Explanation(_Result):
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
    predictions : (N,) or (N, O): the explained outputs, on ``scale``.
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

    def __post_init__(self) -> None:
        n, p = len(self.data), len(self.columns)
        shape = (n, p) if len(self.outputs) == 1 else (n, p, len(self.outputs))
        if self.values.shape != shape or (self.error is not None and self.error.shape != shape):
            raise RequestError(
                "the parts of an explanation do not fit together", expected=f"values of shape {shape}", got=str(self.values.shape)
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Any) -> Explanation:
        """Return the explanation of some rows: an integer, a slice, a list or a boolean mask."""
        rows = slice(rows, rows + 1 or None) if isinstance(rows, int | np.integer) else rows

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

    def cube(self) -> FloatArray:
        """Return the values as (N, P, O), whatever the number of outputs."""
        return self.values if self.values.ndim == 3 else self.values[:, :, None]

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row and output: row, output, prediction, base, gap, ``<column>``, ``<column>__error``."""
        n, o = len(self), len(self.outputs)
        flat = lambda a: np.full(n * o, np.nan) if a is None else np.asarray(a, float).reshape(n * o)  # noqa: E731
        cube = self.cube().transpose(0, 2, 1).reshape(n * o, -1)
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
            se = (self.error if self.error.ndim == 3 else self.error[:, :, None]).transpose(0, 2, 1).reshape(n * o, -1)
            errors = {f"{c}__error": se[:, j] for j, c in enumerate(self.columns)}
        return pd.DataFrame({**head, **body, **errors})

    def top(self, k: int = 3, output: int = 0) -> list[list[tuple[str, Any, float]]]:
        """Return per row the k largest contributions as (column, cell as written, value)."""
        cube = self.cube()[:, :, output]
        order = np.argsort(-np.abs(cube), axis=1, kind="stable")[:, :k]

        def cell(i: int, column: str) -> Any:
            value = self.data[column].iloc[i] if column in self.data.columns else None
            return value.item() if isinstance(value, np.generic) else value

        return [[(self.columns[j], cell(i, self.columns[j]), float(cube[i, j])) for j in order[i]] for i in range(len(self))]

    def mean_abs(self) -> Importance:
        """Return the mean absolute contribution of each column with a 95 % interval over rows (outputs averaged)."""
        per_row = np.abs(self.cube()).mean(2)
        mean = per_row.mean(0)
        half = 1.96 * per_row.std(0, ddof=1) / np.sqrt(len(self)) if len(self) > 1 else np.full_like(mean, np.nan)
        return Importance(mean, np.column_stack([mean - half, mean + half]), self.columns, self.scale, f"mean |{self.method}|", self.record)

    def to_shap(self) -> Any:
        """Return a ``shap.Explanation``, so that shap's plots open it. Needs the extra ``shap``."""
        try:
            import shap
        except ImportError as error:
            raise MissingExtraError.of("shap", "shap", "to_shap()") from error
        names = list(self.columns)
        data = self.data.reindex(columns=names).to_numpy(object)
        return shap.Explanation(
            values=self.values, base_values=self.base_values, data=data, feature_names=names, output_names=list(self.outputs)
        )


@dataclass(frozen=True)
class Prediction(_Result):
    """An answer with its doubt.

    Attributes
    ----------
    point : (N,) predicted labels or numbers ((N, O) for several targets).
    probabilities : (N, O) calibrated class probabilities; None for numbers.
    set : N tuples of the labels in the conformal set at ``level``; None for numbers.
    low, high : (N,) ends of the conformal interval at ``level``; None for classes.
    level : promised coverage.
    aleatoric, epistemic : (N,) noise in the target, and lack of knowledge; None where unknown. Classes: nats; numbers: variance in
        squared units.
    familiarity : (N,) percentile among held-out training rows, 0 = like nothing seen; None where unknown.
    odd_column : N names of the least familiar column, or None.
    refused, reason : (N,) whether an answer should be withheld, and N texts why (empty where not).
    classes : labels behind the columns of ``probabilities``.
    """

    point: npt.NDArray[Any]
    level: float
    record: RunRecord
    probabilities: FloatArray | None = None
    set: tuple[tuple[Any, ...], ...] | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None
    aleatoric: FloatArray | None = None
    epistemic: FloatArray | None = None
    familiarity: FloatArray | None = None
    odd_column: tuple[str | None, ...] | None = None
    refused: npt.NDArray[np.bool_] | None = None
    reason: tuple[str, ...] | None = None
    classes: tuple[Any, ...] = ()
    index: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.point)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: prediction, ``p_<class>``, low, high, set, aleatoric, epistemic, familiarity, refused, reason."""
        out: dict[str, Any] = {}
        if self.point.ndim == 1:
            out["prediction"] = self.point
        else:
            out |= {f"prediction_{j}": self.point[:, j] for j in range(self.point.shape[1])}
        if self.probabilities is not None:
            out |= {f"p_{c}": self.probabilities[:, j] for j, c in enumerate(self.classes)}
        if self.set is not None:
            out["set"] = [" | ".join(map(str, s)) for s in self.set]
        for name in ("low", "high", "aleatoric", "epistemic", "familiarity", "odd_column", "refused", "reason"):
            value = getattr(self, name)
            if value is not None and np.ndim(value) == 2:
                out |= {f"{name}_{j}": value[:, j] for j in range(value.shape[1])}
            elif value is not None:
                out[name] = list(value)
        return pd.DataFrame(out, index=self.index)


@dataclass(frozen=True)
class Trial(_Result):
    """The result of testing an answer.

    Attributes
    ----------
    name : registry name of the test.
    figure : the measured number; NaN where not testable.
    interval : its 95 % interval.
    null : what the figure would be if the answer were worthless (or the limit it must keep), as a number.
    verdict : ``"pass"``, ``"fail"`` or ``"not testable"``.
    words : the verdict in plain words, with the figures.
    subject : the method that was tried.
    details : further figures behind the verdict.
    """

    name: str
    figure: float
    interval: tuple[float, float]
    null: float
    verdict: str
    words: str
    record: RunRecord
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise RequestError(f"unknown verdict {self.verdict!r}", expected=f"one of {', '.join(VERDICTS)}")

    def to_frame(self) -> pd.DataFrame:
        """Return one line."""
        row = {"test": self.name, "of": self.subject, "figure": self.figure, "low": self.interval[0], "high": self.interval[1]}
        return pd.DataFrame([row | {"null": self.null, "verdict": self.verdict, "words": self.words}])


@dataclass(frozen=True)
class Finding(_Result):
    """One remark about the data.

    Attributes
    ----------
    kind : what was found, as a registry name of an audit (``"leakage"``) or a part of it (``"duplicates: across splits"``).
    severity : ``"low"``, ``"medium"`` or ``"high"``.
    columns : the columns concerned.
    rows : positions of the rows concerned (all of them; empty for remarks on whole columns).
    evidence : what was measured, in plain words with figures.
    remedy : what to do about it.
    trial : the test of the finding by its effect, where one was run.
    figures : the numbers behind the evidence.
    """

    kind: str
    severity: str
    columns: tuple[str, ...]
    evidence: str
    remedy: str
    record: RunRecord
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    trial: Trial | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise RequestError(f"unknown severity {self.severity!r}", expected=f"one of {', '.join(SEVERITIES)}")

    def to_frame(self) -> pd.DataFrame:
        """Return one line."""
        row = {"severity": self.severity, "kind": self.kind, "columns": ", ".join(self.columns), "rows": len(self.rows)}
        return pd.DataFrame([row | {"evidence": self.evidence, "remedy": self.remedy}])


@dataclass(frozen=True)
class Leaderboard(_Result):
    """Models compared on the same rows.

    Attributes
    ----------
    rows : one mapping per model: ``model``, ``score``, ``low``, ``high`` (95 % interval of the score), ``difference``, ``difference_low``,
        ``difference_high`` (paired, against ``reference``; positive = better than the reference), ``fit_seconds``, ``predict_seconds``,
        ``size`` (fitted numbers), ``explanation_size`` (columns that carry 90 % of an average row's contributions),
        ``calibration_error`` (classes), and further metrics.
    metric : name of the score, larger is better (errors are negated only in ``difference``).
    reference : the model the others are compared with.
    words : what the comparison says, in plain words.
    """

    rows: tuple[Mapping[str, Any], ...]
    metric: str
    reference: str
    words: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per model."""
        return pd.DataFrame([dict(r) for r in self.rows])


@dataclass(frozen=True)
class Decision(_Result):
    """Which class to answer where mistakes cost different amounts, and what that costs on rows that were not learned from.

    Attributes
    ----------
    classes : the O labels. costs : (O, O), what answer ``a`` costs where ``t`` is true, ``costs[t, a]``.
    threshold : of two classes, the probability of ``classes[1]`` above which it is answered; None for more.
    from_rows : whether the threshold was chosen on the held-out rows; else the costs alone decide.
    cost, interval : mean cost a row of this rule, and its 95 % interval; NaN where no row was held out.
    usual : mean cost of answering the most probable class. always : (O,) of answering one class to all.
    saving, saving_interval : what the rule saves against the most probable class, paired over rows.
    n_rows : held-out rows behind these figures. words : the same in plain words.
    """

    classes: tuple[Any, ...]
    costs: FloatArray
    threshold: float | None
    from_rows: bool
    cost: float
    interval: tuple[float, float]
    usual: float
    always: tuple[float, ...]
    saving: float
    saving_interval: tuple[float, float]
    n_rows: int
    words: str
    record: RunRecord

    def answers(self, probabilities: FloatArray) -> npt.NDArray[np.int64]:
        """Return the class number (N,) to answer for calibrated probabilities (N, O)."""
        if self.threshold is not None:
            return np.asarray(probabilities[:, 1] > self.threshold, np.int64)
        return np.asarray((probabilities @ self.costs).argmin(1), np.int64)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per rule with its mean cost a row, cheapest first."""
        rules = [("this rule", self.cost), ("most probable class", self.usual)]
        rules += [(f"always {c}", cost) for c, cost in zip(self.classes, self.always)]
        return pd.DataFrame(rules, columns=["rule", "cost"]).sort_values("cost", kind="stable", ignore_index=True)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], classes: Sequence[Any]) -> Decision:
        """Return the decision that :meth:`to_dict` described, with the model's own labels."""
        number: dict[str, Any] = {k: float("nan") if saved[k] is None else float(saved[k]) for k in ("cost", "usual", "saving")}
        several: dict[str, Any] = {
            k: tuple(float("nan") if v is None else float(v) for v in saved[k]) for k in ("interval", "always", "saving_interval")
        }
        record = RunRecord(**{**saved["record"], "caveats": tuple(saved["record"]["caveats"])})
        kept: dict[str, Any] = {k: saved[k] for k in ("threshold", "from_rows", "n_rows", "words")}
        return cls(tuple(classes), np.asarray(saved["costs"], np.float64), record=record, **kept, **number, **several)


def stack_findings(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return several findings as one table, gravest first."""
    if not findings:
        return pd.DataFrame(columns=["severity", "kind", "columns", "rows", "evidence", "remedy"])
    frame = pd.concat([f.to_frame() for f in findings], ignore_index=True)
    return frame.sort_values("severity", key=lambda s: -s.map(SEVERITIES.index), kind="stable", ignore_index=True)
