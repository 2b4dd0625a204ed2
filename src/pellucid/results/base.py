"""What all answers share: the record of how they came about, and their forms as frame, JSON and HTML."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["FloatArray", "Result", "RunRecord", "plain"]

FloatArray = npt.NDArray[np.float64]


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


class Result:
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
