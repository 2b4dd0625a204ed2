"""Any model as a predictor: scikit-learn pipelines, boosted trees, a callable on a frame.

A foreign model is always called with frames of the caller's library, in the caller's column order, with the caller's dtypes; category
levels are the union of those in ``X`` and in the background, integers stay integers, missing cells stay missing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import ArgumentError, CellError, ColumnError, EmptyTableError, RequestError, quote
from pellucid.protocols import FloatArray, Predictor
from pellucid.table import Column, ColumnType, Schema, Table
from pellucid.table.frames import from_any
from pellucid.trees import Grown, Sum
from pellucid.trees import read as read_trees

__all__ = ["ForeignPredictor", "as_predictor", "read"]


def as_predictor(model: Any, X: Any = None, background: Any = None, *, scale: str | None = None, of: str = "prediction") -> Predictor:
    """Return any model as a :class:`~pellucid.protocols.Predictor`.

    Parameters
    ----------
    model : an estimator of this package, a predictor, a callable frame -> (N,) or (N, O), or an object with ``predict_proba``,
        ``decision_function`` or ``predict``, used in that order.
    X, background : frames of one library; a foreign model needs both.
    scale : ``"log-odds"`` or ``"probability"`` for classifiers; None = the model's default.
    of : what to explain; foreign models only offer ``"prediction"``.

    Raises
    ------
    RequestError : a foreign model without ``background``, or a scale or quantity it does not have.
    """
    if isinstance(model, type):
        raise ArgumentError("a class cannot be asked for predictions", expected="a fitted model", got=f"the class {model.__name__}")
    if hasattr(model, "predictor") and not isinstance(model, Predictor):
        return model.predictor(scale=scale, of=of)  # type: ignore[no-any-return]
    if isinstance(model, Predictor):
        if scale not in (None, model.scale):
            raise RequestError(f"this predictor answers on the scale {model.scale!r}", got=repr(scale), do="leave scale out")
        return model
    if of != "prediction":
        raise RequestError(f"of={of!r} is not known for a model from elsewhere", expected="of='prediction'")
    if background is None:
        raise RequestError(
            "a model from elsewhere keeps no rows to compare with",
            do="pass background=, some 100 rows of the training data in the same columns as X",
        )
    if X is None:
        raise RequestError("a model from elsewhere is read through the rows it is asked about", do="pass X=")
    return ForeignPredictor(model, X, background, scale=scale)


def read(predictor: Any, X: Any) -> Table:
    """Return ``X`` as a table of the predictor's columns: through the predictor's own ``read``, else under its background's schema."""
    if hasattr(predictor, "read"):
        return predictor.read(X)  # type: ignore[no-any-return]
    kept = predictor.background()
    if isinstance(X, Table):
        return X.select(predictor.columns)
    frame, library = from_any(X)
    absent = [c for c in predictor.columns if c not in frame.columns]
    if absent:
        raise ColumnError("columns of the model are not in the data", expected=quote(predictor.columns, 12), got=f"no {quote(absent)}")
    frame = frame[list(predictor.columns)]
    return Table(frame, kept.schema.select(predictor.columns) if kept is not None else plain_schema(frame), library)


def to_pandas(X: Any, names: tuple[str, ...] = ()) -> tuple[pd.DataFrame, str]:
    """Return (frame, library): the cells of any frame in pandas, integers with missing cells still integers."""
    if isinstance(X, Table):
        return X.frame[[c.name for c in X.schema if c.role == "feature"]], "pandas"
    if isinstance(X, pd.DataFrame):
        return X, "pandas"
    if isinstance(X, np.ndarray):
        if X.ndim != 2:
            raise ArgumentError("X is not a table", expected="two dimensions", got=f"shape {X.shape}")
        return pd.DataFrame(X, columns=list(names) if len(names) == X.shape[1] else [f"x{j}" for j in range(X.shape[1])]), "numpy"
    library = type(X).__module__.split(".")[0]
    if library not in ("polars", "pyarrow"):
        raise ArgumentError("X is not a table", expected="a pandas, polars or pyarrow frame, or a numpy array", got=type(X).__name__)
    arrow = X.to_arrow() if library == "polars" else X
    return _plain_arrow(arrow).to_pandas(types_mapper=pd.ArrowDtype), library


def _plain_arrow(arrow: Any) -> Any:
    """Return the arrow table with dictionary columns as text: pandas cannot join dictionaries of different levels."""
    import pyarrow as pa

    fields = [f.with_type(pa.large_string()) if pa.types.is_dictionary(f.type) else f for f in arrow.schema]
    return arrow.cast(pa.schema(fields))


def _usable(frame: pd.DataFrame, whose: str) -> None:
    """Refuse columns of one name, and cells that are no single real values."""
    names = frame.columns
    if names.has_duplicates:
        raise ColumnError(f"column names of {whose} are not unique", got=quote(names[names.duplicated()].unique()), do="rename the columns")
    for name, dtype in frame.dtypes.items():
        kinds = set(map(type, frame[name].array)) if dtype.kind == "O" else {dtype.type}
        if any(issubclass(k, list | tuple | dict | set | np.ndarray) for k in kinds):
            raise CellError("cells are nested", where=f"column {str(name)!r} of {whose}", do="give each part a column of its own")
        if any(issubclass(k, complex | np.complexfloating) for k in kinds):
            raise CellError("cells are complex numbers", where=f"column {str(name)!r} of {whose}", do="give each part a column of its own")


def plain_schema(frame: pd.DataFrame) -> Schema:
    """Return a schema that repeats what the dtypes say: enough for distances and display, with nothing inferred."""
    return Schema(tuple(Column(str(c), _type(frame[c])) for c in frame.columns))


def _type(series: pd.Series[Any]) -> ColumnType:
    if pd.api.types.is_bool_dtype(series.dtype):
        return ColumnType.BOOLEAN
    if pd.api.types.is_numeric_dtype(series.dtype):
        return ColumnType.NUMBER
    return ColumnType.DATE if pd.api.types.is_datetime64_any_dtype(series.dtype) else ColumnType.CATEGORY


def _joined(x: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return an empty frame with the dtypes both frames fit into; category levels are the union, those of ``x`` first."""
    wide: dict[Any, Any] = {}
    for c in x.columns:
        one, two = x[c].dtype, b[c].dtype
        if isinstance(one, pd.CategoricalDtype) and isinstance(two, pd.CategoricalDtype) and one != two:
            more = two.categories.difference(one.categories, sort=False)
            wide[c] = pd.CategoricalDtype(one.categories.append(more), ordered=bool(one.ordered))
        else:
            wide[c] = one if one == two else pd.concat([x[c].iloc[:1], b[c].iloc[:1]]).dtype
    return pd.DataFrame({c: pd.Series([], dtype=d) for c, d in wide.items()})


def _cast(cells: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    """Return the cells in a dtype that the model was read with; cells that whole numbers or levels cannot hold are refused."""
    number = pd.api.types.is_integer_dtype(dtype)
    if cells.dtype == dtype or not (number or isinstance(dtype, pd.CategoricalDtype)):
        return cells.astype(dtype)
    if number:
        told: Any = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        ends = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        held = (told == np.round(told)) & (told >= ends.min) & (told <= ends.max)
    else:
        held = cells.isin(dtype.categories).to_numpy(bool)
    held = held | cells.isna().to_numpy(bool) & pd.api.types.is_extension_array_dtype(dtype)
    if not held.all():
        raise CellError(
            "a cell does not fit the rows that the model was read with",
            where=f"column {str(cells.name)!r}",
            expected="a whole number within the column's type" if number else "a level of those rows",
            got=repr(cells[~held].tolist()[0]),
            do="pass the model itself with these rows, not a predictor made for others",
        )
    return cells.astype(dtype)


def _native_types(x: Any, b: Any, library: str) -> dict[str, Any]:
    """Return the caller's own column types where both frames agree on them (enumerations are joined)."""
    if library == "pandas":
        return {}
    if library == "numpy":
        return {"": np.result_type(x, b)}
    one = {f.name: f.type for f in x.schema} if library == "pyarrow" else dict(x.schema)
    two = {f.name: f.type for f in b.schema} if library == "pyarrow" else dict(b.schema)
    out = {c: t for c, t in one.items() if two.get(c) == t}
    for c, t in one.items():
        if type(t).__name__ == "Enum" and type(two.get(c)).__name__ == "Enum":
            out[c] = type(t)(list(dict.fromkeys([*t.categories, *two[c].categories])))
    return out


def _ask(model: Any) -> tuple[Callable[[Any], Any], str]:
    """Return (what to call, kind)."""
    package, name = type(model).__module__.split(".")[0], type(model).__name__
    if (package, name) == ("xgboost", "Booster"):  # reads its own matrices only
        return _of_matrix(model), "call"
    if hasattr(model, "state_dict") and hasattr(model, "forward"):
        raise ArgumentError(
            "a torch module reads tensors, not tables",
            expected="a function of a table, or an estimator",
            got=name,
            do="wrap it: lambda rows: module(torch.tensor(np.asarray(rows), dtype=torch.float32)).detach().numpy()",
        )
    for kind in ("predict_proba", "decision_function", "predict"):
        if hasattr(model, kind):
            return getattr(model, kind), kind
    if callable(model):
        return model, "call"
    raise ArgumentError(
        "this cannot be asked for predictions",
        expected="a callable on a frame, or predict_proba, decision_function or predict",
        got=type(model).__name__,
    )


def _of_matrix(booster: Any) -> Callable[[Any], Any]:
    """Return what asks an xgboost booster about a frame."""
    from xgboost import DMatrix

    return lambda rows: booster.predict(DMatrix(rows, enable_categorical=True))


def _sources(names: Sequence[str], columns: tuple[str, ...]) -> list[Any]:
    """Return the place of the column that each made column comes from (``num__age``, ``city_Bern``); None where none fits.

    Examples
    --------
    >>> _sources(["num__age", "cat__city_Bern", "age", "other"], ("age", "city"))
    [0, 1, 0, None]
    """
    out: list[Any] = []
    for name in names:
        rest = name.split("__", 1)[-1]
        fits = [c for c in columns if name == c or rest == c or rest.startswith(f"{c}_") or name.startswith(f"{c}_")]
        out.append(columns.index(max(fits, key=len)) if fits else None)
    return out


def _log_odds(p: FloatArray) -> FloatArray:
    p = np.clip(p, 1e-12, 1 - 1e-12)  # a certain model would answer infinity
    return np.asarray(np.log(p) - np.log1p(-p))


class ForeignPredictor:
    """A model from elsewhere behind the common face. See :func:`as_predictor`.

    Notes
    -----
    Scale: ``"probability"`` where the model has ``predict_proba`` (``"log-odds"`` on request), ``"score"`` for ``decision_function``,
    ``"target"`` otherwise. Binary classes give one output, the second class.
    """

    foreign = True  # cells are compared as they are written

    def __init__(self, model: Any, X: Any, background: Any, *, scale: str | None = None) -> None:
        self._call, self._kind = _ask(model)
        self._model = model
        x, self.library = to_pandas(X)
        b, other = to_pandas(background, tuple(map(str, x.columns)))
        if other != self.library:
            raise RequestError("X and background come from different libraries", expected=self.library, got=other)
        _usable(x, "X")
        _usable(b, "the background")
        absent = [c for c in x.columns if c not in b.columns]
        if absent:
            raise ColumnError("columns of X are not in the background", expected=quote(x.columns, 12), got=f"no {quote(absent)}")
        if len(b) == 0:
            raise EmptyTableError("the background has no rows", do="pass some rows of the training data as background=")
        self._names = list(x.columns)  # as the caller wrote them: they need not be text
        self._types = _native_types(X, background, self.library)
        self._template = _joined(x, b[self._names])
        self.columns = tuple(map(str, self._names))
        self._background = self._table(b)
        default = {"predict_proba": "probability", "decision_function": "score"}.get(self._kind, "target")
        if scale not in (None, default) and not (scale == "log-odds" and self._kind == "predict_proba"):
            allowed = "'probability' or 'log-odds'" if self._kind == "predict_proba" else repr(default)
            raise RequestError("the model does not answer on this scale", expected=f"scale={allowed}", got=repr(scale))
        self.scale = scale or default
        self.task = "regression" if self._kind in ("predict", "call") else "classification"
        self.classes = tuple(np.asarray(model.classes_).tolist()) if hasattr(model, "classes_") and self.task == "classification" else ()
        self.outputs: tuple[str, ...] = ()
        self.outputs = self._name_outputs(self.raw(self._background.take(slice(0, 1))).shape[1])
        self.probed = 1  # model rows asked by now

    def _name_outputs(self, size: int) -> tuple[str, ...]:
        last = getattr(self._model, "steps", [("", self._model)])[-1][1]
        pairs = size > 1 and self._kind == "decision_function" and getattr(last, "decision_function_shape", "ovr") == "ovo"
        if self.classes and size in (1, len(self.classes)) and not pairs:  # three classes have three pairs
            return tuple(map(str, self.classes[-size:]))
        return ("output",) if size == 1 else tuple(f"output_{j}" for j in range(size))

    def _table(self, frame: pd.DataFrame) -> Table:
        frame = pd.DataFrame({c: _cast(frame[c], dtype) for c, dtype in self._template.dtypes.items()})
        frame.columns = pd.Index(self.columns)
        return Table(frame, plain_schema(frame), "pandas")

    def read(self, X: Any) -> Table:
        """Return ``X`` as a table with the common dtypes."""
        frame, library = to_pandas(X, self.columns)
        absent = [c for c in self._names if c not in frame.columns]
        if absent or library != self.library:
            raise ColumnError(
                "X does not fit the model's columns", expected=quote(self._names, 12), got=f"no {quote(absent)}" if absent else library
            )
        return self._table(frame)

    def background(self) -> Table:
        """Return the background as a table."""
        return self._background

    def native(self, table: Table) -> Any:
        """Return the cells as the frame the model is called with."""
        frame = table.frame.reset_index(drop=True)
        frame.columns = pd.Index(self._names)
        if self.library == "pandas":
            return frame
        if self.library == "numpy":
            return frame.to_numpy(self._types[""])
        import pyarrow as pa

        arrow = pa.Table.from_pandas(frame, preserve_index=False)
        if self.library == "pyarrow":
            return arrow.cast(pa.schema([f.with_type(self._types.get(f.name, f.type)) for f in arrow.schema.remove_metadata()]))
        import polars as pl

        polars_frame: Any = pl.from_arrow(arrow)
        return polars_frame.cast(self._types)

    @property
    def _steps(self) -> tuple[Any, Any]:
        """The model itself, and what stands before it: of a pipeline the last step and the others, else None."""
        if hasattr(self._model, "steps") and hasattr(self._model, "__getitem__"):
            return self._model[-1], self._model[:-1] if len(self._model.steps) > 1 else None
        return self._model, None

    @functools.cached_property
    def _grown(self) -> Grown | None:
        try:
            return read_trees(self._steps[0])
        except (AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError):
            return None  # a version that keeps its trees elsewhere: the model is asked instead

    def trees(self) -> Sum | None:
        """Return the trees whose answers are the model's on ``scale``, and what is made of their sum; None where it has none."""
        grown = self._grown
        if grown is None or self._kind == "decision_function" or (grown.says == "value" and self._kind == "predict_proba"):
            return None
        if grown.says == "probability" and self.scale == "probability":
            return Sum(grown.forest.weighted(np.eye(grown.forest.n_outputs)[:, int(grown.forest.n_outputs == 2) :], np.zeros(1)))
        return grown.on_scale(self._scaled, (1.0, 0.0) if self.scale == "log-odds" else None)

    @property
    def sums_as_log_odds(self) -> bool:
        """Whether the model is a sum of trees on the scale of log-odds, and was asked on another."""
        return self.scale == "probability" and self._grown is not None and self._grown.says == "log-odds"

    def cells(self, table: Table) -> FloatArray:
        """Return the cells (N, F) that the trees look at, as the steps before them make them."""
        assert self._grown is not None
        before, x = self._steps[1], self.native(table)
        x = x if before is None else before.transform(x)
        return self._grown.cells(x.toarray() if hasattr(x, "toarray") else x)

    def built_in(self, table: Table) -> tuple[str, FloatArray] | None:
        """Return (what it is, the model's own importance of each column (C,)); None where it has none or its columns cannot be matched.

        ``feature_importances_``, or the size of ``coef_`` (mean over outputs) times the spread of what it multiplies; of a pipeline
        those of the last step, whose columns are matched by the names that the steps before it give.
        """
        last, before = self._steps
        found = getattr(last, "feature_importances_", None)
        words = "feature_importances_"
        try:
            if found is None and getattr(last, "coef_", None) is not None:
                x = self.native(table) if before is None else before.transform(self.native(table))
                x = x.toarray() if hasattr(x, "toarray") else np.asarray(x, np.float64)
                found, words = (
                    np.abs(np.atleast_2d(last.coef_)).mean(0) * x.std(0),
                    "size of the coefficient times the spread of its column",
                )
            if found is None:
                return None
            names = self._names if before is None else list(before.get_feature_names_out(self._names))
        except (AttributeError, TypeError, ValueError):
            return None  # what stands before the last step does not say which columns it makes
        found = np.asarray(found, np.float64)
        place = _sources([str(n) for n in names], self.columns)
        if len(found) != len(place) or None in place:
            return None
        return words, np.bincount(place, found, minlength=len(self.columns)).astype(np.float64)

    def raw(self, table: Table) -> FloatArray:
        """Return the model's answers (N, O) on ``scale``."""
        raw = self._call(self.native(table))
        try:
            out = np.asarray(raw)
            if out.dtype.kind == "c":
                raise RequestError("the model answers with complex numbers", expected="real numbers", got=str(out.dtype))
            out = out.astype(np.float64)
        except (TypeError, ValueError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(
                "the model answers with labels, not numbers",
                got=quote(np.ravel(np.asarray(raw, object))[:3]),
                do="pass a callable that returns probabilities",
            ) from error
        if out.ndim == 0 or len(out) != len(table):
            got = "one number" if out.ndim == 0 else f"{len(out)} rows"
            raise RequestError("the model answers with another number of rows", expected=f"{len(table)} rows", got=got)
        if out.ndim > 2:
            raise RequestError(
                "the model answers in another shape", expected=f"({len(table)},) or ({len(table)}, outputs)", got=str(out.shape),
                where=f"a frame of {len(table)} rows",
            )  # fmt: skip
        out = out.reshape(len(out), -1)
        if not np.isfinite(out).all():
            bad = np.flatnonzero(~np.isfinite(out).all(1))
            raise RequestError(
                f"the model answers {len(bad)} of {len(out)} rows with no number",
                expected="finite numbers",
                got=f"{out[bad[0]].tolist()} to {quote(map(str, table.frame.iloc[bad[0]]), 6)}",
                do="see whether it can read missing or infinite cells, and cells of other rows put together",
            )
        return self._scaled(out) if self._kind == "predict_proba" else out

    def _scaled(self, p: FloatArray) -> FloatArray:
        """Return probabilities (N, classes) as outputs (N, O) on ``scale``; boosters by themselves answer with probabilities."""
        p = p[:, 1:] if p.shape[1] == 2 else p
        return _log_odds(p) if self.scale == "log-odds" else p
