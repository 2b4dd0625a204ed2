"""What the user handed to ``fit`` or ``predict``, made into a Table, targets and weights.

Arrays go through scikit-learn's own validation (its users know those messages); frames and tables through ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import _check_sample_weight, check_array, check_consistent_length, column_or_1d, validate_data

from pellucid.encode.filling import is_ordered
from pellucid.errors import ArgumentError, DataError, EmptyTableError, PellucidError, PellucidWarning, RequestError, TargetError, quote
from pellucid.estimators.decomposed import no_inputs
from pellucid.export import level_text
from pellucid.table import Column, ColumnType, Role, Schema, Table, apply_schema, read_table

__all__ = ["Target", "Training", "cells_of", "is_array", "new_table", "right", "stopping_data", "training_data", "true_answers"]

FloatArray = npt.NDArray[np.float64]

LONELY = 10
"""So many classes of one row each, and no other, are names of rows."""
SQUARED = (1e-150, 1e150)
"""Numbers whose squares are neither 0 nor infinite."""


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    Attributes
    ----------
    task : ``"classification"`` or ``"regression"``.
    values : (N,) int64 class numbers, or (N, O) float64 numbers.
    classes : the labels behind the class numbers, as the user wrote them; empty for numbers.
    names : names of the target columns.
    unit : unit of the numbers, empty where none was given.
    flat : True where the user gave one column of numbers (predictions are (N,) then).
    """

    task: str
    values: npt.NDArray[Any]
    classes: npt.NDArray[Any]
    names: tuple[str, ...]
    unit: str = ""
    flat: bool = True

    def take(self, rows: Any) -> Target:
        """Return the targets of some rows."""
        return replace(self, values=self.values[rows])

    @property
    def n_outputs(self) -> int:
        """O: number of classes, or of targets."""
        return len(self.classes) if self.task == "classification" else self.values.shape[1]


@dataclass(frozen=True)
class Training:
    """Everything ``fit`` learns from, row by row.

    Attributes
    ----------
    table : the feature columns (with columns that were ignored left out).
    target : see :class:`Target`. ``weights`` : (N,) or None. ``groups`` : (N,) or None. ``order`` : (N,) or None, what sorts rows in time.
    caveats : what was left out, in words.
    unlabelled : the rows without a target, which a network may learn from before the fit; None where there are none.
    """

    table: Table
    target: Target
    weights: FloatArray | None
    groups: npt.NDArray[Any] | None
    order: npt.NDArray[Any] | None
    caveats: tuple[str, ...] = ()
    unlabelled: Table | None = None

    def take(self, rows: npt.NDArray[Any]) -> Training:
        """Return some rows."""
        cut = lambda a: None if a is None else a[rows]  # noqa: E731
        return replace(
            self,
            table=self.table.take(rows),
            target=self.target.take(rows),
            weights=cut(self.weights),
            groups=cut(self.groups),
            order=cut(self.order),
        )


def is_array(X: Any) -> bool:
    """True for what scikit-learn validates: arrays, lists, sparse matrices, scalars; False for frames, tables, paths and cells by name."""
    if isinstance(X, list | tuple) and len(X):
        return not all(isinstance(row, Mapping) for row in X)
    if isinstance(X, np.ndarray) and X.dtype.names:  # of named fields
        return False
    return not (isinstance(X, Mapping | Table | str) or hasattr(X, "columns") or hasattr(X, "column_names") or hasattr(X, "__fspath__"))


def _sklearn(call: Any, *args: Any, **kwargs: Any) -> Any:
    """Call one of scikit-learn's validators; its errors come back as ours, message kept."""
    try:
        return call(*args, **kwargs)
    except PellucidError:
        raise
    except (TypeError, ValueError) as error:
        words = re.sub(r":\s*array=.*?\.\s*(?=Reshape)", ". ", str(error), flags=re.DOTALL)  # not all the cells
        words = re.sub(r"(Complex data not supported)\s*\[.*", r"\1", words, flags=re.DOTALL)
        raise (ArgumentError if isinstance(error, TypeError) else DataError)(words) from error


def _unmasked(array: Any) -> Any:
    """Return an array whose masked cells are missing ones."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    number = array.dtype.kind in "iufb"
    return np.ma.filled(array.astype(np.float64 if number else object), np.nan if number else None)


def _array_table(estimator: Any, X: Any, reset: bool) -> Table:
    """Return the table of an array: number columns where all cells are numbers, else inferred."""
    X = _unmasked(X)
    array = _sklearn(validate_data, estimator, X, dtype=None, ensure_all_finite="allow-nan", reset=reset)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return read_table(pd.DataFrame(array, columns=[f"x{j}" for j in range(array.shape[1])]).infer_objects())
        _sklearn(check_array, array, ensure_all_finite="allow-nan")
    if array.dtype.kind not in "iufb":
        return read_table(array)
    names = [f"x{j}" for j in range(array.shape[1])]
    schema = Schema(tuple(Column(n, ColumnType.NUMBER, evidence="a column of a numeric array") for n in names))
    return Table(pd.DataFrame(np.asarray(array, np.float64), columns=names), schema, library="numpy")


def _declared(table: Table, schema: Any) -> Table:
    """Return the table under the schema, or the types, that the user declared in the constructor."""
    if schema is None:
        return table
    if isinstance(schema, Schema):
        known = {c.name: c for c in schema}
        return table.with_schema(replace(table.schema, columns=tuple(known.get(c.name, c) for c in table.schema)))
    if isinstance(schema, Mapping):
        return table.with_types(**{str(k): v for k, v in schema.items()})
    raise ArgumentError("schema cannot be used", expected="a Schema or a mapping of column to type", got=type(schema).__name__)


def training_data(estimator: Any, X: Any, y: Any, *, task: str, sample_weight: Any, groups: Any, target: str | None) -> Training:
    """Return what to learn from; rows of weight 0 and rows without a target are left out, and the latter reported."""
    if is_array(X):
        if y is None:
            raise TargetError(f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None")
        table = _declared(_array_table(estimator, X, reset=True), estimator.schema)
    else:
        table = X if isinstance(X, Table) else read_table(X)
        table = _declared(table, estimator.schema)
        table = table if target is None else table.with_roles(target=target)
    if len(table) < 1:
        raise EmptyTableError("the table has no rows", expected="at least 2 rows")
    table = no_inputs(table, estimator.decompose)
    if y is not None and table.target is not None:
        raise RequestError("y was given, but the table has a target column", got=repr(table.target), do="pass one of them")
    if y is None and table.target is None:
        raise TargetError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None",
            do="pass y, target= or a Table with a target role",
        )
    _check_rows_of(X, y, table)
    weight_column, group_column, order_column = (table.schema.role(r) for r in (Role.WEIGHT, Role.GROUP, Role.ORDER))
    weights = table.numbers(weight_column) if sample_weight is None and weight_column else sample_weight
    whole = _target_of_table(table, task) if y is None else _target_of_y(y, table, task)
    kept_group = group_column if is_ordered(estimator.fill) else None  # rows are filled within their group
    features = table.drop([c for c in (table.target, weight_column, group_column) if c and c != kept_group])
    n = len(table)
    training = Training(
        features,
        whole,
        None
        if weights is None
        else np.asarray(_sklearn(_check_sample_weight, weights, np.zeros((n, 1)), ensure_non_negative=True), np.float64),
        _groups(groups, table, group_column),
        None if order_column is None else _order(table, order_column),
    )
    return _kept(training)


def _check_rows_of(X: Any, y: Any, table: Table) -> None:
    """Warn where the target is still among the columns, and where the rows of y carry the names of other rows of X."""
    name, labels, cells = getattr(y, "name", None), getattr(y, "index", None), getattr(X, "index", None)
    if not isinstance(labels, pd.Index) or len(y) != len(table):
        return
    if str(name) in table.features and np.array_equal(cells_of(table.frame[str(name)]).astype(str), cells_of(y).astype(str)):
        words = f"column {str(name)!r} of X holds the same cells as y: the target is among the columns that it is predicted from"
        warnings.warn(f"{words}. Drop it from X, or leave y out: fit(frame, target={str(name)!r})", PellucidWarning, stacklevel=4)
    if isinstance(cells, pd.Index) and not cells.equals(labels) and cells.sort_values().equals(labels.sort_values()):
        words = "X and y hold the same rows in another order, by their index; they are taken in the order in which they stand"
        warnings.warn(f"{words}. If that is not meant: y.loc[X.index]", PellucidWarning, stacklevel=4)


def _groups(groups: Any, table: Table, column: str | None) -> npt.NDArray[Any] | None:
    if groups is not None:
        array = np.asarray(groups)
        if array.shape[:1] != (len(table),):
            raise RequestError("groups= does not fit the rows", expected=f"one for each of {len(table)} rows", got=f"shape {array.shape}")
        return np.asarray(pd.factorize(array)[0])
    return None if column is None else table.levels(column)[0]


def _order(table: Table, column: str) -> npt.NDArray[Any]:
    kind = table.schema[column].type
    return (
        table.seconds(column)
        if kind is ColumnType.DATE
        else table.numbers(column)
        if kind is ColumnType.NUMBER
        else table.levels(column)[0]
    )


def _kept(training: Training) -> Training:
    """Leave out rows of weight 0 and rows whose target is missing."""
    values = training.target.values
    blank = (values < 0) if training.target.task == "classification" else np.isnan(values).any(1)
    weightless = np.zeros(len(blank), bool) if training.weights is None else training.weights == 0
    if weightless.all():
        raise DataError("Sample weights must contain at least one non-zero number", got="all sample_weight are zero")
    if blank.all():
        raise TargetError("the target is missing in every row", do="choose another target")
    keep = ~(blank | weightless)
    if keep.sum() < 2:
        rows = f"{int(keep.sum())} sample" + ("" if keep.sum() == 1 else "s")
        raise EmptyTableError("the table has too few rows to learn from", expected="at least 2", got=f"{rows} with a target and a weight")
    if training.target.task == "regression" and not np.ptp(values[keep], axis=0).any():
        got = f"{values[keep][0, 0]:g} in {int(keep.sum())} rows"
        raise TargetError("the target is constant", where=f"column {training.target.names[0]!r}", got=got, do="predict another column")
    if training.target.task == "regression" and not SQUARED[0] < np.abs(values[keep]).max() < SQUARED[1]:
        got = f"numbers up to {np.abs(values[keep]).max():.3g}"
        where = f"column {training.target.names[0]!r}"
        raise TargetError("squares of the target's numbers cannot be held", got=got, where=where, do="give the target in another unit")
    if keep.all():
        return training
    words = f"{int(blank.sum())} rows without a target were left out"
    bare = training.table.take(blank & ~weightless) if (blank & ~weightless).any() else None
    return replace(training.take(keep), caveats=(words,) if blank.any() else (), unlabelled=bare)


def _labels(cells: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    codes, classes = pd.factorize(cells, sort=True, use_na_sentinel=True)
    return np.asarray(codes, np.int64), np.asarray(classes)


def _target_of_table(table: Table, task: str, check: bool = True) -> Target:
    name = table.target
    assert name is not None  # the caller has looked
    column = table.schema[name]
    if task == "regression":
        if column.type is ColumnType.DATE:
            raise _no_date(name)
        return Target(task, table.numbers(name)[:, None], np.zeros(0), (name,), column.unit)
    cells = table.frame[name]
    if cells.dtype.kind in "iub" or (cells.dtype.kind == "f" and not _integral(cells)):
        codes, classes = _labels(cells.mask(table.missing(name)) if column.missing else cells)
    elif cells.dtype.kind == "f":
        codes, classes = _labels(cells.astype("Int64"))
        classes = classes.astype(np.int64)
    else:
        codes, levels = table.levels(name)
        classes = np.asarray(levels, object)
    target = Target(task, codes, classes, (name,))
    return _checked(target) if check else target


def _integral(cells: pd.Series) -> bool:
    values = cells.dropna().to_numpy()
    return bool((values == np.round(values)).all())


def _checked(target: Target) -> Target:
    n = len(target.values)
    if not len(target.classes):
        raise TargetError("the target is missing in every row", where=f"column {target.names[0]!r}", do="choose another target")
    if len(target.classes) < 2:
        raise TargetError(
            "the target has only one class",
            got=f"{quote(target.classes)} in {n} rows",
            do="predict another column, or add rows of the other classes",
        )
    if len(target.classes) > 2 and len(target.classes) > max(20, n // 2) and target.classes.dtype.kind == "f":
        raise TargetError(
            "the target has too many classes",
            got=f"Unknown label type: continuous, {len(target.classes)} distinct numbers",
            do="use TabularRegressor",
        )
    if len(target.classes) >= LONELY and np.bincount(target.values[target.values >= 0].astype(np.int64).ravel()).max() == 1:
        raise TargetError(
            "each class of the target stands in one row, so that nothing can be learned of any",
            where=f"column {target.names[0]!r}",
            got=f"{len(target.classes)} classes in {n} rows",
            do="predict another column, or a number made of this one: of a date the days since the first, say",
        )
    return target


def _no_date(name: str) -> TargetError:
    return TargetError("a date cannot be the target of a regression", where=f"column {name!r}", do="turn it into a number of days first")


def _numbers_of_y(y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return y as finite numbers. What a name in a table may lack, y may not: scikit-learn refuses it too."""
    try:
        return np.asarray(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", ensure_all_finite=True, ensure_min_samples=0))
    except (TypeError, ValueError) as error:
        words = str(error).splitlines()[0]
        if y.dtype.kind in "OUSb" and "could not convert" in words:
            words = re.sub(r"np\.(?:str|bytes)_\((.*)\)", r"\1", words)
            raise TargetError(f"the target is not made of numbers: {words}", do="use TabularClassifier for labels") from error
        kind = ArgumentError if isinstance(error, TypeError) else DataError
        hint = "leave out rows without a target, or give the whole frame and target=..., which leaves them out and says so"
        raise kind(words, do=hint if "NaN" in words or "infinity" in words else None) from error


def cells_of(y: Any) -> npt.NDArray[Any]:
    """Return targets of any library as an array of the cells as they are written."""
    return np.asarray(y.to_pandas().to_numpy() if hasattr(y, "to_pylist") else y.to_numpy() if hasattr(y, "to_numpy") else _unmasked(y))


def true_answers(model: Any, X: Any) -> Any:
    """Return the cells (N,) of the target column of X, numbers where the model answers with numbers.

    Errors: NotFittedError; RequestError where X has no such column, or the model several targets.
    """
    if not hasattr(model, "target_"):
        model.predict(X)  # says that nothing is fitted
    names = model.target_.names
    frame = X.frame if isinstance(X, Table) else X
    if len(names) != 1 or names[0] not in map(str, getattr(frame, "column_names", getattr(frame, "columns", []))):
        raise RequestError("the true answers of these rows are not known", expected="y, or a table with the target column")
    if model._task == "classification":
        return frame[names[0]]
    column = X if isinstance(X, Table) else read_table(X)
    return column.numbers(names[0]) if column.schema[names[0]].type is ColumnType.NUMBER else frame[names[0]]


def right(classes: npt.NDArray[Any], answers: npt.NDArray[Any], y: Any) -> npt.NDArray[np.bool_]:
    """Return which answers (N,), some of ``classes``, are the labels of y, compared as they are written; of unknown labels none is."""
    labels = _sklearn(column_or_1d, cells_of(y), warn=True)
    _sklearn(check_consistent_length, answers, labels)
    codes, found = pd.factorize(labels)
    known = [level_text(c) for c in classes.tolist()]
    at = np.array([known.index(t) if (t := level_text(v)) in known else -1 for v in pd.Series(found).tolist()] + [-1], np.int64)
    if (at < 0).all():
        raise TargetError("labels that the model does not know", expected=quote(classes), got=quote(pd.Series(found).tolist()))
    numbers = {c: k for k, c in enumerate(classes.tolist())}
    return np.asarray(at[codes] == np.array([numbers[a] for a in answers.tolist()], np.int64))


def _plain(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels (N,) as they are where a file can hold them, else as text: dates, intervals, bytes, mixed kinds."""
    if labels.dtype.kind not in "OmMS" or pd.api.types.infer_dtype(labels, skipna=True) in ("string", "boolean", "integer", "empty"):
        return labels
    cells = pd.Series(labels)
    return np.array([None if gone else level_text(v) for v, gone in zip(cells.tolist(), cells.isna())], object)


def _target_of_y(y: Any, table: Table, task: str, check: bool = True) -> Target:
    if isinstance(y, str):
        hint = f"write fit(X, target={y!r})" if y in table.frame.columns else "pass one label per row, or target= with a column's name"
        raise TargetError("y is a text", expected=f"one label for each of {len(table):,} rows", got=repr(y), do=hint)
    given = [str(c) for c in getattr(y, "columns", [])] or [str(y.name) if getattr(y, "name", None) is not None else "target"]
    frame_names = [next(n for n in chain([name], (f"{name}_{k}" for k in count(1))) if n not in table.columns) for name in given]
    array = cells_of(y)
    _sklearn(check_consistent_length, table.frame, array) if array.ndim else None
    if task == "regression":
        if array.dtype.kind in "Mm":
            raise _no_date(frame_names[0])
        array = _numbers_of_y(array)
        flat = array.ndim == 1 or array.shape[1] == 1
        array = array[:, None] if array.ndim == 1 else array
        if flat and np.asarray(y).ndim == 2:
            _sklearn(column_or_1d, y, warn=True)
        names = tuple(frame_names) if len(frame_names) == array.shape[1] else tuple(f"target_{j}" for j in range(array.shape[1]))
        return Target(task, array, np.zeros(0), names, flat=flat)
    if array.ndim == 2 and array.shape[1] > 1:
        raise TargetError(
            "several label columns cannot be learned at once",
            expected="one column of labels",
            got=f"{array.shape[1]} columns",
            do="fit one classifier per column",
        )
    labels = _sklearn(column_or_1d, array, warn=True)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise DataError("Input y contains NaN or infinity", do="leave out rows without a label, or give the whole frame and target=...")
        if not (labels == np.round(labels)).all():
            raise TargetError(
                "Unknown label type: continuous. The labels are fractional numbers", expected="classes", do="use TabularRegressor"
            )
    codes, classes = _labels(_plain(labels))
    texts = pd.Series([level_text(c) for c in classes.tolist()], dtype=object)
    if (twins := texts.duplicated(keep=False)).any():
        raise TargetError("classes that are written alike", got=quote(classes[twins.to_numpy()]), do="give each class one spelling")
    target = Target(task, codes, classes, tuple(frame_names[:1]))
    return _checked(target) if check else target


def new_table(estimator: Any, X: Any) -> Table:
    """Return new data as a table of the training columns; a target column that is present is ignored."""
    schema: Schema = estimator.schema_
    if is_array(X):
        table = _array_table(estimator, X, reset=False)
        if tuple(schema.names) == table.columns:
            return table.with_schema(schema)
        named = table.frame.set_axis(list(schema.names), axis=1)
        return replace(apply_schema(named, schema), library="numpy")
    known = getattr(estimator, "target_", None)  # stopping rows are read before there is one
    return apply_schema(X, schema, ignore=() if known is None else known.names)


def stopping_data(estimator: Any, eval_set: Any, training: Training) -> Training:
    """Return the rows of ``eval_set`` under the training schema, labels numbered as in training; rows of other classes are left out."""
    task = training.target.task
    if isinstance(eval_set, list) and eval_set and all(isinstance(pair, tuple) for pair in eval_set):  # as boosted trees take them
        if len(eval_set) > 1:
            raise RequestError("a fit stops by one set of rows", expected="one pair (X, y)", got=f"eval_set of {len(eval_set)} pairs")
        eval_set = eval_set[0]
    if isinstance(eval_set, tuple | list):
        if len(eval_set) != 2:
            raise RequestError("eval_set cannot be used", expected="(X, y) or a Table", got=f"{len(eval_set)} parts")
        table = new_table(estimator, eval_set[0])
        found = _target_of_y(eval_set[1], table, task, check=False)
    else:
        whole = eval_set if isinstance(eval_set, Table) else read_table(eval_set)
        if whole.target is None and training.target.names[0] not in whole.columns:
            raise RequestError(
                "eval_set has no answers", expected=f"a pair (X, y), or a table with the column {training.target.names[0]!r}"
            )
        whole = whole if whole.target is not None else whole.with_roles(target=training.target.names[0])
        table, found = new_table(estimator, whole), _target_of_table(whole, task, check=False)
    if task == "classification":
        at = {c: i for i, c in enumerate(training.target.classes.tolist())}
        renumber = np.array([at.get(c, -1) for c in found.classes.tolist()] + [-1], np.int64)
        found = replace(found, values=renumber[found.values], classes=training.target.classes)
        keep = found.values >= 0
    else:
        keep = ~np.isnan(found.values).any(1)
    if not keep.any():
        raise DataError("eval_set has no usable row", expected="rows whose target is one of those in training")
    return Training(table.take(keep), found.take(keep), None, None, None)
