"""What all answers share: the record of how they came about, and their forms as frame, JSON and HTML."""

from __future__ import annotations

import dataclasses
import functools
import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError, quote
from pellucid.results.owed import Tried
from pellucid.results.text import clean, number

__all__ = ["FloatArray", "Result", "RunRecord", "output_at", "plain", "row_at"]

FloatArray = npt.NDArray[np.float64]
LINES, COLUMNS, CELL, WIDTH = 5, 16, 60, 160
"""Of a printed result: lines of its table, columns, characters of a cell and of a line."""


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON can hold: numbers, text, lists and dictionaries. NaN and infinities become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return _plain_frame(value)
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, pd.Series | pd.Index):
        quick = isinstance(value.dtype, np.dtype) and value.dtype.kind in "biuf"
        return _plain_array(value.to_numpy()) if quick else [plain(v) for v in value.tolist()]
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


def _plain_array(value: npt.NDArray[Any]) -> Any:
    """Return an array as :func:`plain` does; numbers and truths without a look at each cell."""
    if value.dtype.kind in "biu":
        return value.tolist()
    if value.dtype.kind != "f":
        return plain(value.tolist())
    numbers = value.astype(np.float64)
    if (known := np.isfinite(numbers)).all():
        return numbers.tolist()
    cells = numbers.astype(object)
    cells[~known] = None
    return cells.tolist()


def _plain_frame(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame, each by column names; of names that are there twice the last column stands, as in any dictionary."""
    if not frame.shape[1]:
        return [{} for _ in range(len(frame))]
    names, columns = list(map(str, frame.columns)), [plain(frame.iloc[:, j]) for j in range(frame.shape[1])]
    return [dict(zip(names, cells)) for cells in zip(*columns)]


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


def _whole(text: Any) -> str:
    """Return words in one visible line, not cut."""
    return clean(text, 10_000)


def _lines(frame: pd.DataFrame) -> str:
    """Return lines of a table as text that fits a terminal: four digits, hidden characters shown, long cells cut."""
    if not frame.shape[1]:
        return ""
    shown = pd.DataFrame({j: [_cell(v) for v in frame.iloc[:, j]] for j in range(frame.shape[1])}, dtype=object)
    shown.columns = pd.Index([clean(c, CELL) for c in frame.columns], dtype=object)
    shown.index = pd.Index([clean(i, CELL) for i in frame.index], dtype=object)
    return str(shown.to_string(max_cols=COLUMNS, line_width=WIDTH))


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else number(value) if np.isfinite(value) else str(value)
    return "" if value is None else clean(value, CELL)


def output_at(names: Sequence[str], output: int | str) -> int:
    """Return the place of an output among ``names``, given its name or its place."""
    if isinstance(output, str) and output in names:
        return list(names).index(output)
    if isinstance(output, int | np.integer) and not isinstance(output, bool) and -len(names) <= output < len(names):
        return int(output) % len(names)
    known = quote(names, 12) + (f", or 0 to {len(names) - 1}" if len(names) > 1 else ", or 0")
    raise RequestError("there is no such output", expected=known, got=repr(output))


def row_at(row: int, n: int) -> int:
    """Return the place of a row among n; places below 0 count from the end."""
    if isinstance(row, int | np.integer) and not isinstance(row, bool) and -n <= row < n:
        return int(row) % n
    raise RequestError("there is no such row", expected=f"row from {-n} to {n - 1}" if n else "none: there are no rows", got=repr(row))


def _lock(result: Any) -> None:
    """Let nothing be written into a result's arrays: each becomes a view that cannot be written, the array it looks at stays as it is."""
    for f in dataclasses.fields(result):
        value = getattr(result, f.name)
        if isinstance(value, np.ndarray) and value.flags.writeable:
            view = value.view()
            view.flags.writeable = False
            object.__setattr__(result, f.name, view)


def _then_locked(checked: Callable[..., None]) -> Callable[..., None]:
    """Return a ``__post_init__`` that locks the arrays once it has looked at them."""

    @functools.wraps(checked)
    def both(self: Any, *args: Any, **named: Any) -> None:
        checked(self, *args, **named)
        _lock(self)

    return both


class Result:
    """What all results share."""

    record: RunRecord

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the long form that dataclasses give out of every result: arrays of all rows help nobody who prints one."""
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]
        if (checked := cls.__dict__.get("__post_init__")) is not None:
            cls.__post_init__ = _then_locked(checked)  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        _lock(self)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Return what it is, what it says in words, its first lines with four digits, and what to know before believing it."""
        frame = self._shown()
        more = len(frame) - LINES
        told = self._told()
        parts = [f"{type(self).__name__} · {clean(self._about())}", *map(_whole, told), _lines(frame.head(LINES))]
        parts += [f"… {more:,} more lines in to_frame()"] if more > 0 else []
        parts += [f"! {_whole(c)}" for c in self.record.caveats if c not in told]
        return "\n".join(filter(None, parts))

    def _about(self) -> str:
        """Return how it came about, for the first line of the printed form."""
        return self.record.method

    def _told(self) -> tuple[str, ...]:
        """Return what it says in words, for the printed form."""
        words = getattr(self, "words", "")
        return (words,) if isinstance(words, str) else tuple(words) if isinstance(words, tuple | list) else ()

    def _shown(self) -> pd.DataFrame:
        """Return the table of the printed form."""
        return self.to_frame()

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
        # what is told of an answer that is not to be read alone stands under it
        told = (*self._told(), *self.record.caveats) if isinstance(self, Tried) and self.verdicts() else ()
        page = f"<p><b>{head}</b></p>" + self.to_frame().head(20).to_html(escape=True, border=0)
        return page + "".join(f"<p>{html.escape(_whole(t))}</p>" for t in told)
