"""A request for a map made ready: the rows, their points, how new rows are read, what the model answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ColumnError, EmptyTableError, RequestError, did_you_mean, quote
from pellucid.maps.space import Space
from pellucid.protocols import FloatArray, HiddenPredictor, MemberPredictor
from pellucid.random import as_seed, integer, stream
from pellucid.registry import Entry
from pellucid.table import Table
from pellucid.table.frames import with_columns

__all__ = ["FEWEST", "Ask", "Layer", "ask", "of_model"]

FEWEST = 8
"""Rows below which a map says nothing."""
MOST_UNITS = 100
KEPT_UNITS = 50
"""A layer of more than 100 units is brought to its 50 first principal components."""

Ints = npt.NDArray[np.int64]


class Reader(Protocol):
    """Reads rows as points."""

    columns: tuple[str, ...]
    source: Ints
    parts: tuple[str, ...]

    def __call__(self, table: Table) -> FloatArray: ...


@dataclass
class Layer:
    """Rows as the states of one layer of a network, or as their first principal components where there are many units.

    Attributes
    ----------
    share : of the variance that the components keep.
    """

    predictor: Any
    name: str
    columns: tuple[str, ...] = ()
    source: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    parts: tuple[str, ...] = ()
    plane: tuple[FloatArray, FloatArray] | None = None
    share: float = 1.0

    def fit(self, table: Table, seed: int) -> FloatArray:
        """Return the points (N, F) of the rows that fix the components."""
        states = np.asarray(self.predictor.hidden(table, self.name), np.float64)
        unit = "unit"
        if states.shape[1] > MOST_UNITS:
            from pellucid.maps.pca import principal

            centre, axes, variance, whole = principal(states, min(KEPT_UNITS, len(states) - 1), seed)
            self.plane, self.share = (centre, axes), float(variance.sum() / max(whole, 1e-300))
            states, unit = (states - centre) @ axes.T, "component"
        self.columns = tuple(f"{unit} {k + 1}" for k in range(states.shape[1]))
        self.source, self.parts = np.arange(states.shape[1]), ("",) * states.shape[1]
        return states

    def __call__(self, table: Table) -> FloatArray:
        """Return the points (M, F) of new rows."""
        states = np.asarray(self.predictor.hidden(table, self.name), np.float64)
        return states if self.plane is None else (states - self.plane[0]) @ self.plane[1].T


@dataclass(frozen=True)
class Ask:
    """Everything a mapping method needs, checked.

    Attributes
    ----------
    table : the N rows. points : (N, F). reader : makes points of other rows.
    columns : names of the sources (columns, or units of a layer); source, parts : (F,) which source a slot is of, and what it says.
    of_cells : True where the points are of cells, False where they are of a layer. what : of what the map is, in words.
    options, seed : as asked. fresh : start at random, not at the usual place: the second seed.
    row_model : as given, or None. full : the rows with all their columns, target included; data : their cells. target : its name, or None.
    answers : what a model answers to the rows, or None.
    """

    method: str
    table: Table
    points: FloatArray
    reader: Any
    of_cells: bool
    what: str
    options: Mapping[str, Any]
    seed: int
    full: Table
    data: pd.DataFrame
    target: str | None = None
    row_model: Any = None
    fresh: bool = False
    answers: pd.DataFrame | None = None
    caveats: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(self.reader.columns)

    @property
    def source(self) -> Ints:
        """(F,) source of each slot."""
        return np.asarray(self.reader.source)

    @property
    def parts(self) -> tuple[str, ...]:
        """(F,) what each slot says."""
        return tuple(self.reader.parts)

    def again(self) -> Ask:
        """Return the same request under another seed, started at random."""
        return replace(self, seed=integer(self.seed, "second"), fresh=True)

    def part(self, rows: Ints) -> Ask:
        """Return the request about some of the rows."""
        return replace(self, table=self.table.take(rows), points=self.points[rows], full=self.full.take(rows), data=self.data.iloc[rows])

    def shuffled(self) -> Ask:
        """Return the request about rows that never were: the cells of each column (or a unit's states) dealt out anew among the rows."""
        draw, n = stream(self.seed, "shuffled"), len(self)
        order = np.stack([draw.permutation(n) for _ in self.columns], 1)
        points = np.take_along_axis(self.points, order[:, self.source], 0)
        table = self.table
        if self.of_cells:
            table = table.with_cells({c: table.frame[c].to_numpy()[order[:, j]] for j, c in enumerate(self.columns)})
        return replace(self, points=points, table=table)


def ask(
    subject: Any,
    entry: Entry,
    *,
    X: Any,
    layer: str | None,
    columns: Any,
    row_model: Any,
    random_state: Any,
    options: Mapping[str, Any] | None,
) -> Ask:
    """Return the request, or an error that says what is wrong with it. See :func:`pellucid.maps.map`."""
    chosen, seed = entry.settled(options, "{'rows': 2000}"), as_seed(random_state)
    if hasattr(subject, "code") and hasattr(subject, "sample"):  # a row model is asked about rows
        row_model, subject = subject, _needed(X, "a row model")
        X = None
    model = not isinstance(subject, Table) and any(hasattr(subject, n) for n in ("predict", "predictor", "raw"))
    if layer is not None and not model:
        raise RequestError("only a model has layers", got=type(subject).__name__, do="pass the fitted model, and X= for the rows")
    if model:
        predictor, table, data, target = of_model(subject, _needed(X, "a model"))
        full = X if isinstance(X, Table) else table
    else:
        if X is not None:
            raise RequestError("X= goes with a model", do="pass the table alone")
        predictor, (full, table, data, target) = None, _of_table(subject)
    if columns is not None:
        table = table.select(_columns(columns, table))
    rows = _rows(len(table), chosen.get("rows"), entry.name, seed)
    caveats = () if len(rows) == len(table) else (f"{len(rows):,} of {len(table):,} rows, drawn at random, are on the map",)
    table, full, data, whole = table.take(rows), full.take(rows), data.iloc[rows], len(table)
    if entry.gives == "Scatter":  # cells are drawn as they are
        reader, points, what = None, np.zeros((len(rows), 0)), "the table"
        more: tuple[str, ...] = ()
    else:
        reader, points, what, more = _points(predictor, table, layer, seed, chosen)
    answers = None if predictor is None else _answers(predictor, table)
    settings = {"of": what, "columns": list(table.columns), "rows": len(rows), "of_rows": whole, **chosen}
    return Ask(
        entry.name, table, points, reader, layer is None, what, chosen, seed, full, data, target, row_model, answers=answers,
        caveats=(*caveats, *more), settings=settings,
    )  # fmt: skip


def _needed(X: Any, what: str) -> Any:
    if X is None:
        raise RequestError(f"{what} is asked about rows", do="pass X=, best rows that it has not learned from")
    return X


def of_model(model: Any, X: Any) -> tuple[Any, Table, pd.DataFrame, str | None]:
    """Return (predictor, rows as it reads them, their cells with the target, name of the target)."""
    from pellucid.probe.foreign import as_predictor, read

    classes = tuple(getattr(model, "classes_", getattr(model, "classes", ())))
    scale = "probability" if len(classes) and not hasattr(model, "raw") else None
    predictor = as_predictor(model, X, X, scale=scale)
    table = read(predictor, X)
    target = getattr(X, "target", None) if isinstance(X, Table) else None
    names = tuple(getattr(getattr(model, "target_", None), "names", ()))
    if target is None and len(names) == 1 and hasattr(X, "columns") and names[0] in list(X.columns):
        target = names[0]
    data = table.frame
    if target is not None and target not in data.columns:
        data = with_columns(data, {target: np.asarray((X.frame if isinstance(X, Table) else X)[target])})
    return predictor, table, data, target


def _of_table(subject: Any) -> tuple[Table, Table, pd.DataFrame, str | None]:
    from pellucid.table import read_table

    table = subject if isinstance(subject, Table) else read_table(subject)
    if not table.features:
        raise ColumnError("there is no usable column", do="set types={...} for columns that should be used")
    return table, table.select(table.features), table.frame, table.target


def _columns(wanted: Any, table: Table) -> list[str]:
    names = [wanted] if isinstance(wanted, str) else [str(c) for c in wanted]
    unknown = [c for c in names if c not in table.columns]
    if unknown or not names:
        raise ColumnError(
            "columns of the map are not in the table", expected=f"some of {quote(table.columns, 12)}", got=quote(unknown),
            do=did_you_mean((unknown or [''])[0], table.columns),
        )  # fmt: skip
    return names


def _rows(n: int, most: Any, method: str, seed: int) -> Ints:
    """Return positions of the rows of the map, in order."""
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < FEWEST):
        raise RequestError("rows cannot be used", expected=f"a whole number of at least {FEWEST}, or None for all", got=repr(most))
    if n < FEWEST:
        raise EmptyTableError("the table has too few rows for a map", expected=f"at least {FEWEST}", got=str(n))
    if most is None or n <= most:
        return np.arange(n)
    return np.sort(stream(seed, "rows of the map").permutation(n)[:most])


def _points(
    predictor: Any, table: Table, layer: str | None, seed: int, chosen: Mapping[str, Any]
) -> tuple[Any, FloatArray, str, tuple[str, ...]]:
    """Return (reader, points, of what the map is, caveats)."""
    if layer is None:
        space = Space(table, chosen.get("text"))
        return space, space(table), "the table", ()
    if not isinstance(predictor, HiddenPredictor):
        raise RequestError(
            "the model shows no hidden layers", got=type(predictor).__name__, do="leave layer out, or pass a network of this package"
        )
    known = predictor.hidden_layers()
    if layer not in known:
        raise RequestError(f"there is no layer {layer!r}", expected=f"one of {quote(known, 20)}")
    reader = Layer(predictor, layer)
    points = reader.fit(table, seed)
    more: tuple[str, ...] = ("rows that the network has learned from look apart by construction: believe this map of rows it has not seen",)
    if reader.plane is not None:
        more += (f"the layer is shown by its {points.shape[1]} first principal components, {100 * reader.share:.1f} % of its variance",)
    return reader, points, f"layer {layer!r} of the model", more


def _answers(predictor: Any, table: Table) -> pd.DataFrame:
    """Return what the model answers: predicted, doubt (1 - its probability; numbers: spread of the members)."""
    raw = np.asarray(predictor.raw(table), np.float64)
    if predictor.task == "classification" and len(predictor.classes):
        if predictor.scale == "log-odds":
            raw = 1 / (1 + np.exp(-raw))
        p = np.column_stack([1 - raw[:, 0], raw[:, 0]]) if raw.shape[1] == 1 else raw
        best = p.argmax(1)
        return pd.DataFrame({"predicted": np.asarray(predictor.classes, object)[best], "doubt": 1 - p[np.arange(len(p)), best]})
    out = pd.DataFrame({"predicted": raw[:, 0]})
    if isinstance(predictor, MemberPredictor) and predictor.n_members > 1:
        asked = getattr(predictor, "members_and_doubt", None)  # whom doubt is asked of, where these are not the members themselves
        out["doubt"] = (predictor.members_raw(table) if asked is None else asked(table)[0]).std(1)[:, 0]
    return out
