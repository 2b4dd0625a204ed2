"""What a report is made of: results and plain facts, one field each, nothing computed here.

Whoever wires a report fills one :class:`ReportData`; everything on the page, in the JSON twin and in the text twin follows from it.
Every field beyond the first five has a default, so that a report without a model (audit only), without explanation or without
labels is written with what there is; what is absent is printed as "cannot tell".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results import (
    Actions,
    AttentionMaps,
    Clusters,
    Coverage,
    Curve,
    Explanation,
    Finding,
    GroupTable,
    HeadImportance,
    Importance,
    Interactions,
    Leaderboard,
    LearningCurve,
    Map,
    Neighbours,
    Prediction,
    Repairs,
    Representatives,
    RiskCoverage,
    Rules,
    Shift,
    Trial,
    UnitMaps,
    Words,
    plain,
)

__all__ = ["Calibration", "ColumnFact", "MissingPattern", "ReportData", "Score", "Seen"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ColumnFact:
    """One column of the table, as the report lists it.

    Attributes
    ----------
    name, type, role, unit : as in the schema (``"age"``, ``"number"``, ``"feature"``, ``"years"``); the role of a column that no model
        reads is ``"not read"``.
    evidence : why this type was chosen, in words.
    n_missing : number of missing cells; None where not counted.
    n_distinct : number of distinct present values; None where not counted.
    example : a few cells as text, for the reader to recognise the column.
    """

    name: str
    type: str
    role: str = "feature"
    unit: str = ""
    evidence: str = ""
    n_missing: int | None = None
    n_distinct: int | None = None
    example: str = ""


@dataclass(frozen=True)
class Score:
    """One measured number with everything needed to read it.

    Attributes
    ----------
    metric : name as scikit-learn users know it: ``"accuracy"``, ``"roc_auc"``, ``"rmse"``, ``"coverage"``.
    value, low, high : the figure and its 95 % interval; NaN ends where unknown.
    null : the same figure for an answer that knows nothing (always the commonest class, always the mean), or the promise
        that must be kept (0.9 for coverage at 90 %); NaN where there is none.
    null_words : what the null is, in words: ``"always answering '<=50K'"``.
    higher_is_better : False for errors.
    unit : unit of the figure, empty for shares.
    n : rows it was measured on.
    of : which rows: ``"test rows"``, or a group such as ``"sex = Female"``.
    definition : one sentence saying what the metric is; empty takes the built-in one.
    """

    metric: str
    value: float
    low: float = np.nan
    high: float = np.nan
    null: float = np.nan
    null_words: str = ""
    higher_is_better: bool = True
    unit: str = ""
    n: int = 0
    of: str = "test rows"
    definition: str = ""


@dataclass(frozen=True)
class Calibration:
    """A reliability curve with its null band.

    Attributes
    ----------
    predicted, observed : (B,) mean predicted probability and observed share in each bin.
    low, high : (B,) 95 % interval of ``observed``.
    count : (B,) rows in each bin.
    null_low, null_high : (B,) where the observed shares of a perfectly calibrated model would lie (95 %); None where not drawn.
    error : the calibration error (ECE) after calibration, with ``error_low``, ``error_high`` its 95 % interval.
    null_error, null_error_high : mean and 95 % point of the same figure for a perfectly calibrated model on as many rows.
    error_before : the figure before calibration; NaN where unknown.
    output : the class the probabilities speak of, or ``"top class"``.
    n : rows.
    """

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    count: npt.NDArray[np.int64]
    null_low: FloatArray | None = None
    null_high: FloatArray | None = None
    error: float = np.nan
    error_low: float = np.nan
    error_high: float = np.nan
    null_error: float = np.nan
    null_error_high: float = np.nan
    error_before: float = np.nan
    output: str = "top class"
    n: int = 0


@dataclass(frozen=True)
class MissingPattern:
    """Which cells are missing together.

    Attributes
    ----------
    columns : the C columns with at least one missing cell.
    patterns : (M, C) True where the pattern's rows miss the cell; commonest first. A pattern with no True is the complete rows.
    counts : (M,) rows with exactly this pattern.
    """

    columns: tuple[str, ...]
    patterns: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """The table seen from above: points that are rows, each with what the model answers to it.

    Attributes
    ----------
    data : (N, C) cells of the points, target included. positions : (N,) their places in the file, from 0.
    held : (N,) True for rows that the model has not learned from; None where there is no model.
    maps : maps of some or all of the points. rows : per map, which of the N points it shows, in its order.
    answers : predicted, doubt, and where known low, high, familiarity, one line a point; None where there is no model.
    reasons : contributions of the columns at the points ``explained`` (M,), by a quick method; None where there are none.
    layers : layer, silhouette, error, rows, beside (True: no deeper than the others): how far the classes stand apart in each layer; None
        where there are no layers or classes.
    representatives : rows that stand for the others.
    """

    data: pd.DataFrame
    positions: npt.NDArray[np.int64]
    maps: tuple[Map, ...]
    rows: tuple[npt.NDArray[np.int64], ...]
    held: npt.NDArray[np.bool_] | None = None
    answers: pd.DataFrame | None = None
    reasons: Explanation | None = None
    explained: npt.NDArray[np.int64] | None = None
    layers: pd.DataFrame | None = None
    representatives: Representatives | None = None

    def __post_init__(self) -> None:
        n = len(self.positions)
        wrong = {k: len(v) for k in ("data", "held", "answers") if (v := getattr(self, k)) is not None and len(v) != n}
        wrong |= {m.method: len(m) for m, rows in zip(self.maps, self.rows) if len(m) != len(rows)}
        if wrong or len(self.maps) != len(self.rows):
            raise RequestError("the parts of the points do not fit together", expected=f"{n} points", got=str(wrong))


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    Attributes
    ----------
    title : heading of the page: ``"income in adult_train.csv.gz"``.
    source : where the table came from, for people: a file name without its folder.
    n_rows, n_columns : size of the table as read, target included.
    columns : one fact per column, in the table's order.
    fingerprint : content hash of the table.
    task : ``"classification"``, ``"regression"``, or ``""`` where there is no target.
    target, target_unit : the predicted column and its unit.
    classes : class labels as the user wrote them; empty for numbers.
    model : registry name of our model as it is called in ``leaderboard`` (``"tabm"``); empty where none was fitted.
    settings : the model's options in use, defaults included.
    split : rows in each part, in order: ``{"train": 20000, "stop": 2500, "certify": 2500, "test": 7500}``.
    plan : the split plan in one or two sentences.
    fit_seconds : wall seconds of the fit.
    history : one mapping per evaluation during training (``step``, ``train_loss``, ``score``), possibly thinned.
    scores : scores on test rows, the main one first.
    parted : what a model that should not tell some columns gives away of them, and what that costs, in sentences; empty for others.
    given_away : columns that such a model should not tell and that are still told from its answers' part beyond chance.
    groups : scores of groups (``Score.of`` names the group), same metric as ``scores[0]`` or ``"coverage"``.
    unscored : levels that have no line among ``groups``, each with its number of test rows and why.
    leaderboard : models compared on the same rows, or None.
    linear, trees : names in ``leaderboard`` of the linear model and of boosted trees.
    importance : importance over the whole table, or None (then the mean absolute contribution of ``explanation`` is shown).
    explanation : the main explanation, of about 200 test rows; None where there is none.
    interactions : how pairs of columns act together, on some of the same rows or on others; None where not computed.
    curves : how the answer runs along the columns that matter most, over test rows.
    rules : the model copied in a few rules, with the copy's fidelity.
    neighbours : known rows behind the answers, for the same N rows.
    actions : what the people of the same N rows can change, where the table has rules of change.
    texts : what single words of text cells do, for the same N rows.
    units : what single units answer to two columns; its ``activation`` is of the same N rows.
    attention : where a network that attends looks.
    heads : what the attention heads of such a network are worth, and in which patterns they look.
    clusters : the explained rows grouped by what decided them.
    others : further explanations of the same rows by other methods, to show agreement.
    trials : trials of the explanations; ``Trial.subject`` is the method's registry name. Trials of other things have their own subject.
    positions : (N,) positions in the source file of the explained rows, from 0; None = labels of ``explanation.data``.
    prediction : predictions with certainty for the same N rows; None where there is none.
    truth : (N,) true answers of the same rows; None where unknown.
    calibration : reliability on test rows; None for numbers or where unknown.
    coverage : conformal coverage on all test rows (``null`` = the promised level); None where unknown.
    set_size : mean number of labels in the set, or mean width of the interval, on all test rows.
    refused_share, unfamiliar_share : share of test rows whose answer should be withheld, and whose familiarity is below 1 %.
    refused_why : the commonest reason to withhold an answer, in words; empty where unknown.
    promise : coverage on all test rows, in groups too; None where unknown.
    silence : the error among fewer and fewer answers, on all test rows; None where unknown.
    findings : remarks about the data.
    missing : missing pattern; None where nothing is missing or it was not computed.
    seen : the table from above, its rows as points; None where it was not looked at.
    repairs : cells that are probably wrong, and what they should be; nothing was changed. None where not looked for.
    filled : what the model's rules of filling did to each column of its training rows, one mapping each as in ``Fills.effects``.
    group_tables : how the answers to the test rows fall out for the groups of a column, one table a column.
    learning : would more rows help? None where not computed.
    shift : what has changed since an older table, or from the table to a file of test rows; ``shift_words`` says between which.
    versions : package -> version, with ``python``.
    seeds : name -> seed.
    durations : stage -> wall seconds.
    command : the command line or call that replays the report.
    created : date and time as text; the only thing that changes when a report is replayed.
    caveats : what the reader should know, in plain words, gravest first.
    unknown : what could not be told, each a sentence, with the missing count that would settle it where known.
    """

    title: str
    source: str
    n_rows: int
    n_columns: int
    columns: tuple[ColumnFact, ...]
    fingerprint: str = ""
    task: str = ""
    target: str = ""
    target_unit: str = ""
    classes: tuple[Any, ...] = ()
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, int] = field(default_factory=dict)
    plan: str = ""
    fit_seconds: float = np.nan
    history: Sequence[Mapping[str, Any]] = ()
    scores: tuple[Score, ...] = ()
    groups: tuple[Score, ...] = ()
    unscored: tuple[str, ...] = ()
    parted: tuple[str, ...] = ()
    given_away: tuple[str, ...] = ()
    leaderboard: Leaderboard | None = None
    linear: str = "linear"
    trees: tuple[str, ...] = ("hist_gb", "lightgbm", "xgboost", "catboost")
    importance: Importance | None = None
    explanation: Explanation | None = None
    interactions: Interactions | None = None
    curves: Curve | None = None
    rules: Rules | None = None
    neighbours: Neighbours | None = None
    actions: Actions | None = None
    texts: Words | None = None
    units: UnitMaps | None = None
    attention: AttentionMaps | None = None
    heads: HeadImportance | None = None
    clusters: Clusters | None = None
    others: tuple[Explanation, ...] = ()
    trials: tuple[Trial, ...] = ()
    positions: npt.NDArray[np.int64] | None = None
    prediction: Prediction | None = None
    truth: npt.NDArray[Any] | None = None
    calibration: Calibration | None = None
    coverage: Score | None = None
    set_size: Score | None = None
    refused_share: float = np.nan
    refused_why: str = ""
    unfamiliar_share: float = np.nan
    promise: Coverage | None = None
    silence: RiskCoverage | None = None
    findings: tuple[Finding, ...] = ()
    missing: MissingPattern | None = None
    seen: Seen | None = None
    repairs: Repairs | None = None
    filled: tuple[Mapping[str, Any], ...] = ()
    group_tables: tuple[GroupTable, ...] = ()
    learning: LearningCurve | None = None
    shift: Shift | None = None
    shift_words: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    created: str = ""
    caveats: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = None if self.explanation is None else len(self.explanation)
        rows = {"prediction": self.prediction, "truth": self.truth, "positions": self.positions}
        wrong = {k: len(v) for k, v in rows.items() if v is not None and n is not None and len(v) != n}
        beside = {"neighbours": self.neighbours, "actions": self.actions, "texts": self.texts}
        wrong |= {k: len(v) for k, v in beside.items() if v is not None and n is not None and len(v) != n}
        if self.units is not None and n is not None and len(self.units.index) != n:
            wrong["units"] = len(self.units.index)
        wrong |= {e.method: len(e) for e in self.others if n is not None and len(e) != n}
        if wrong:
            raise RequestError("the parts of a report speak of different rows", expected=f"{n} rows, as in the explanation", got=str(wrong))

    @property
    def unit_of(self) -> dict[str, str]:
        """Unit of each column that has one."""
        return {c.name: c.unit for c in self.columns if c.unit}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types; NaN and infinities become None."""
        return dict(plain(self))
