"""Output files appear whole or not at all: written beside their place and renamed into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import RequestError
from pellucid.files import check_room, check_writable, whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FRAMES", "check_model_place", "check_writable", "to_json", "whole", "write_frame", "write_text"]

FRAMES = (".parquet", ".csv", ".csv.gz")
FILES = (*FRAMES, ".json", ".html", ".htm", ".onnx")
"""Endings that no folder should have: what reads by them would take it for a file."""


def check_model_place(path: str | Path, force: bool) -> None:
    """Raise before the work begins where a model folder could not be written at its end."""
    path = Path(path)
    if path.exists() and not (path / "pellucid.json").exists():
        raise RequestError("the path exists and is not a model folder", where=str(path), do="choose another --out")
    if path.name.lower().endswith(FILES):
        do = f"choose another --out, such as {path.with_suffix('.pellucid').name}"
        raise RequestError("a model is a folder, and this is the name of a file", where=str(path), do=do)
    if path.exists() and not force:
        raise RequestError("the model folder exists", where=str(path), do="choose another --out, or replace it with --force")
    if not path.absolute().parent.is_dir():
        raise RequestError("the folder of the model does not exist", where=str(path.parent), do="make it, or choose another name")
    check_room(path)


def to_json(value: object) -> str:
    """Return results, tables and arrays as JSON text; NaN and infinities become null."""
    from pellucid.results import plain

    return json.dumps(plain(value), indent=1, ensure_ascii=False)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    with whole(path) as place:
        place.write_text(text, encoding="utf-8")


def write_frame(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet or CSV, by the ending of the name."""
    check_writable(path, FRAMES)
    with whole(path) as place:
        if Path(path).name.lower().endswith(".parquet"):
            _plain(frame).to_parquet(place, index=False)
        else:
            frame.to_csv(place, index=False, compression="gzip" if place.suffix == ".gz" else None)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with cells of mixed kinds as text: Parquet wants one type per column."""
    import pandas as pd

    def column(series: pd.Series[Any]) -> pd.Series[Any]:
        kinds = {type(v) for v in series[series.notna()]} if series.dtype == object else set()
        return series.map(str, na_action="ignore") if len(kinds) > 1 else series

    return pd.DataFrame({name: column(frame[name]) for name in frame.columns})
