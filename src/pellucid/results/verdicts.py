"""What was found out about data, answers and models: findings, trials, leaderboards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import Result, RunRecord
from pellucid.results.owed import VERDICT_WORDS, verdict_line
from pellucid.results.text import clean

__all__ = ["SEVERITIES", "VERDICTS", "VERDICT_WORDS", "Finding", "Leaderboard", "Trial", "stack_findings", "verdict_line"]

SEVERITIES = ("low", "medium", "high")
VERDICTS = tuple(VERDICT_WORDS)


@dataclass(frozen=True)
class Trial(Result):
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

    def __str__(self) -> str:
        return f"Trial · {self.name} of {self.subject or 'an answer'}: {self.verdict} · {clean(self.words, 10_000)}"

    def to_frame(self) -> pd.DataFrame:
        """Return one line."""
        row = {"test": self.name, "of": self.subject, "figure": self.figure, "low": self.interval[0], "high": self.interval[1]}
        return pd.DataFrame([row | {"null": self.null, "verdict": self.verdict, "words": self.words}])


@dataclass(frozen=True)
class Finding(Result):
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

    def __str__(self) -> str:
        where = ", ".join(clean(c, 40) for c in self.columns[:6]) + (f" and {len(self.columns) - 6} more" if len(self.columns) > 6 else "")
        rows = f" ({len(self.rows):,} rows)" if len(self.rows) else ""
        return f"Finding · {self.severity} · {self.kind}{' in ' + where if where else ''}{rows}: {clean(self.evidence, 10_000)}"

    def to_frame(self) -> pd.DataFrame:
        """Return one line."""
        row = {"severity": self.severity, "kind": self.kind, "columns": ", ".join(self.columns), "rows": len(self.rows)}
        return pd.DataFrame([row | {"evidence": self.evidence, "remedy": self.remedy}])


@dataclass(frozen=True)
class Leaderboard(Result):
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


def stack_findings(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return several findings as one table, gravest first."""
    if not findings:
        return pd.DataFrame(columns=["severity", "kind", "columns", "rows", "evidence", "remedy"])
    frame = pd.concat([f.to_frame() for f in findings], ignore_index=True)
    return frame.sort_values("severity", key=lambda s: -s.map(SEVERITIES.index), kind="stable", ignore_index=True)
