"""Finished stages of a long job, kept as files, so that an interrupted report goes on where it stopped.

A stage is one ``.npz`` file: its arrays, and one JSON text that says how they fit together. Reading one never runs code (no pickle);
only the result classes named in ``KINDS`` are built. A file is written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid import results
from pellucid.cli.models import NOTE
from pellucid.cli.output import whole, write_text
from pellucid.report import facts

__all__ = ["Stages", "read_stage", "write_stage"]

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[Any]]

KINDS: Mapping[str, type] = {
    c.__name__: c
    for c in (
        *(
            results.Actions,
            results.AttentionMaps,
            results.Clusters,
            results.CostOfShift,
            results.Curve,
            results.Explanation,
            results.Finding,
            results.Gap,
            results.GroupTable,
            results.HeadImportance,
            results.Importance,
            results.Interactions,
            results.Leaderboard,
            results.LearningCurve,
            results.Map,
            results.Neighbours,
            results.Prediction,
            results.Rate,
            results.Repairs,
            results.Representatives,
            results.Rule,
            results.Rules,
            results.RunRecord,
            results.Scatter,
            results.Selection,
            results.Shift,
            results.Trial,
            results.UnitMaps,
            results.Words,
        ),
        *(facts.Calibration, facts.ColumnFact, facts.MissingPattern, facts.Score, facts.Seen),
    )
}


class Stages:
    """The stages of one job, in one folder.

    Parameters
    ----------
    folder : where finished stages are kept; None keeps nothing.
    key : what the stages depend on (data, settings, seed). What was kept under another key is thrown away.
    progress : told the name of each stage as it begins.
    """

    def __init__(self, folder: Path | None, key: Mapping[str, Any], progress: Callable[[str], None]) -> None:
        self.folder, self.progress = folder, progress
        self.durations: dict[str, float] = {}
        if folder is None:
            return
        text, note = json.dumps(results.plain(key), sort_keys=True), folder / NOTE
        if not note.is_file() or note.read_text(encoding="utf-8") != text:
            for old in folder.iterdir():
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            write_text(note, text)

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` gives, or what it gave before the interruption."""
        self.progress(name)
        path = None if self.folder is None else self.folder / f"{name.replace(' ', '_')}.npz"
        if path is not None and path.is_file():
            try:
                kept = read_stage(path)
            except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
                path.unlink()  # damaged on the disk: make it again
            else:
                self.durations[name] = kept["seconds"]
                return kept["result"]  # type: ignore[no-any-return]
        began = time.perf_counter()
        result = make()
        self.durations[name] = round(time.perf_counter() - began, 2)
        if path is not None:
            write_stage(path, {"seconds": self.durations[name], "result": result})
        return result


def write_stage(path: Path, value: Any) -> None:
    """Write results, arrays, frames, lists and mappings as one file."""
    arrays: Arrays = {}
    text = json.dumps(_pack(value, arrays))
    with whole(path) as place, place.open("wb") as file:
        np.savez_compressed(file, __text__=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]


def read_stage(path: Path) -> Any:
    """Read what :func:`write_stage` wrote; lists come back as tuples."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file.items())
    return _unpack(json.loads(arrays["__text__"].tobytes().decode()), arrays)


def _pack(value: Any, arrays: Arrays) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, "fields": {f.name: _pack(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}}
    if isinstance(value, pd.DataFrame):
        cells = [_pack(value.iloc[:, j].to_numpy(), arrays) for j in range(value.shape[1])]
        return {"frame": cells, "names": [str(n) for n in value.columns], "index": _pack(value.index.to_numpy(), arrays)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biuf":
            arrays[f"a{len(arrays)}"] = value
            return {"array": f"a{len(arrays) - 1}"}
        return {"objects": [_cell(v) for v in value.reshape(-1).tolist()], "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {"mapping": [[_pack(k, arrays), _pack(v, arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_pack(v, arrays) for v in value]
    return _cell(value)


def _cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return None if value is pd.NaT or value is pd.NA else str(value)


def _unpack(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(v, arrays) for v in value)
    if not isinstance(value, dict):
        return value
    if "kind" in value:
        return KINDS[value["kind"]](**{k: _unpack(v, arrays) for k, v in value["fields"].items()})
    if "frame" in value:
        columns = [pd.Series(_unpack(c, arrays)) for c in value["frame"]]
        index = pd.Index(_unpack(value["index"], arrays))
        frame = pd.DataFrame(dict(enumerate(columns)), index=range(len(index))).set_axis(value["names"], axis=1)
        return frame.set_axis(index, axis=0)
    if "array" in value:
        return arrays[value["array"]]
    if "objects" in value:
        out = np.empty(len(value["objects"]), object)
        out[:] = value["objects"]
        return out.reshape(value["shape"])
    return {_unpack(k, arrays): _unpack(v, arrays) for k, v in value["mapping"]}
