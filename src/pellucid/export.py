"""What an exported model is fed with: cells as written, to the inputs of its ONNX file. Only numpy is needed.

The file answers from raw cells: levels, scales and bins are inside its graph. Three things a graph cannot do are done here: the text of
a cell is stripped and written in its one way (3, 3.0 and ``" 3"`` are one level), moments become seconds, and texts become n-gram ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from pellucid.errors import CellError, ColumnError, ModelFileError, quote
except ImportError:  # copied beside an ONNX file, where Pellucid is not installed: the same words, by one plain error

    class CellError(ValueError):  # type: ignore[no-redef]
        """An error in one line: what is wrong, and what was expected, given, and is to be done."""

        def __init__(self, what: str, **told: str) -> None:
            super().__init__("; ".join([what, *(f"{name}: {text}" for name, text in told.items())]))

    ColumnError = ModelFileError = CellError  # type: ignore[misc, assignment]

    def quote(values: Any, most: int = 5) -> str:  # type: ignore[misc]
        """Return up to ``most`` values as short quoted text."""
        return ", ".join(repr(v)[:60] for v in list(values)[:most])


__all__ = ["N_BUCKETS", "facts", "feeds", "level_text", "murmur3", "text_ids"]

N_BUCKETS = 128
"""V: places that the n-grams of a text are hashed into."""
GRAMS = (2, 3, 4)


def level_text(value: Any) -> str:
    """Return the canonical text of a level: 3, 3.0 and "3 " are one level, ``"3"``.

    Examples
    --------
    >>> [level_text(v) for v in (3, 3.0, "3 ", True, 2.5)]
    ['3', '3', '3', 'True', '2.5']
    """
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**63:
        return str(int(value))
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()


def facts(session: Any) -> dict[str, Any]:
    """Return what an exported file says of itself: columns with types and units, classes, target, version.

    Parameters
    ----------
    session : an ``onnxruntime.InferenceSession``, an ``onnx.ModelProto``, or the facts themselves.

    Raises
    ------
    ModelFileError : the file was not written by Pellucid.
    """
    if isinstance(session, Mapping):
        return dict(session)
    if hasattr(session, "get_modelmeta"):
        held = session.get_modelmeta().custom_metadata_map
    else:
        held = {p.key: p.value for p in session.metadata_props}
    if "pellucid" not in held:
        raise ModelFileError("this ONNX file says nothing of its columns", expected="a file that model.export wrote")
    return dict(json.loads(held["pellucid"]))


def feeds(session: Any, columns: Any, text: Any = None) -> dict[str, npt.NDArray[Any]]:
    """Return the inputs of an exported model by name.

    Parameters
    ----------
    session : as for :func:`facts`.
    columns : a frame, or a mapping of column name to N cells as written. Further columns are ignored.
    text : the sentence encoder of the model, where it has one of the user's own.

    Returns
    -------
    Number columns float64 (N,) with NaN for missing cells, dates float64 seconds since 1970 (UTC), levels as text with ``""`` for missing
    cells, texts int64 (N, L) by :func:`text_ids`.

    Raises
    ------
    ColumnError : a column is absent. CellError : cells of a number or date column are of another kind.

    Examples
    --------
    >>> about = {"columns": [{"name": "age", "type": "number"}, {"name": "zip", "type": "category"}]}
    >>> fed = feeds(about, {"age": [31, None], "zip": [8001.0, " 3000"]})
    >>> fed["age"].tolist(), fed["zip"].tolist()
    ([31.0, nan], ['8001', '3000'])
    """
    wanted = facts(session)["columns"]
    absent = [c["name"] for c in wanted if c["name"] not in columns]
    if absent:
        raise ColumnError(f"the column {absent[0]!r} is missing", expected="every column that the model reads", got=quote(columns))
    return {c["name"]: _fed(columns[c["name"]], c, text) for c in wanted}


def _fed(cells: Any, column: Mapping[str, Any], text: Any) -> npt.NDArray[Any]:
    kind = column["type"]
    if kind == "number":
        return _numbers(cells, column)
    if kind == "date":
        return _seconds(cells, column)
    array, missing = np.asarray(cells), frozenset(column.get("missing", ()))
    if array.dtype.kind == "b" and column.get("flags"):
        low, high = column["flags"]
        texts = np.where(array, high, low).astype(object)
    else:
        texts = np.array([_written(v) for v in np.asarray(cells, object).tolist()], object)
    if kind != "text":
        return np.asarray(texts)
    texts = np.array(["" if t in missing else t for t in texts], object)
    if column.get("width") is None:
        return text_ids(texts)
    if text is None:
        raise ColumnError("this column is read by a sentence encoder of your own", where=f"column {column['name']!r}", do="pass text=")
    return _vectors(texts, int(column["width"]), text)


def _written(value: Any) -> str:
    """Return the canonical text of a cell, ``""`` where it is missing."""
    if value is None:
        return ""
    try:
        return level_text(value) if value == value else ""
    except TypeError:  # a missing value that cannot be compared, as some libraries have it
        return ""


def _numbers(cells: Any, column: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(cells)
        if array.dtype.kind == "O":
            array = np.array([np.nan if _written(v) == "" else v for v in array.tolist()], np.float64)
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise CellError(
            "cells of a number column are not numbers", where=f"column {column['name']!r}", got=str(error)[:80], do="turn them into numbers"
        ) from error


def _seconds(cells: Any, column: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    array = np.asarray(cells)
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    try:
        moments = (
            array if array.dtype.kind == "M" else np.array([None if _written(v) == "" else v for v in array.tolist()], "datetime64[us]")
        )
    except (TypeError, ValueError) as error:
        raise CellError(
            "cells of a date column are not dates", where=f"column {column['name']!r}", got=str(error)[:80], do="give seconds since 1970"
        ) from error
    unit = np.timedelta64(1, "s")
    return np.asarray(np.where(np.isnat(moments), np.nan, (moments - np.datetime64(0, "s")) / unit), np.float64)


def _vectors(texts: npt.NDArray[np.object_], width: int, text: Any) -> npt.NDArray[np.float32]:
    out, known = np.zeros((len(texts), width), np.float32), np.flatnonzero(texts != "")
    if len(known):
        out[known] = np.asarray(text([str(t) for t in texts[known]]), np.float32)
    return out


def text_ids(texts: Sequence[str] | npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the hashed n-grams of N texts, (N, L) int64 in the order of the text, -1 beyond its last.

    The n-grams are those of 2 to 4 letters within words, case folded, a blank before and after each word. An id below 128 counts one at
    its place, an id from 128 to 255 counts minus one at the place 128 below.

    Examples
    --------
    >>> text_ids(["ab", ""]).shape, text_ids(["", "ab"])[0].tolist()
    ((2, 6), [-1, -1, -1, -1, -1, -1])
    """
    distinct, at = np.unique(np.asarray(texts, object).astype(str), return_inverse=True)
    per_text = [_grams(t) for t in distinct.tolist()]
    vocabulary = {g: i for i, g in enumerate(dict.fromkeys(g for grams in per_text for g in grams))}
    hashes = murmur3([g.encode() for g in vocabulary]).astype(np.int64)
    # the one number without a positive counterpart goes where the reference puts it
    place = np.where(hashes == -(2**31), (2**31 - 1 - (N_BUCKETS - 1)) % N_BUCKETS, np.abs(hashes) % N_BUCKETS)
    ids = place + N_BUCKETS * (hashes < 0)
    out = np.full((len(distinct), max((len(g) for g in per_text), default=1) or 1), -1, np.int64)
    for row, grams in enumerate(per_text):
        out[row, : len(grams)] = ids[[vocabulary[g] for g in grams]]
    return np.asarray(out[at.reshape(-1)])


def _grams(text: str) -> list[str]:
    """Return the n-grams of a text; a word too short for an n is counted once in all."""
    found = []
    for word in re.sub(r"\s\s+", " ", text.lower()).split():
        padded = f" {word} "
        for n in GRAMS:
            found += [padded[i : i + n] for i in range(max(len(padded) - n, 0) + 1)]
            if len(padded) <= n:
                break
    return found


def murmur3(keys: Sequence[bytes], seed: int = 0) -> npt.NDArray[np.int32]:
    """Return the 32-bit MurmurHash3 (A. Appleby, public domain) of byte strings, (M,) signed; strings of one length are hashed at once.

    Examples
    --------
    >>> murmur3([b"", b"hello"]).tolist()
    [0, 613153351]
    """
    out = np.zeros(len(keys), np.uint32)
    lengths = np.array([len(k) for k in keys], np.int64)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        out[rows] = _murmur3_of(np.frombuffer(b"".join(keys[i] for i in rows.tolist()), np.uint8).reshape(len(rows), length), seed)
    return out.view(np.int32)


def _murmur3_of(data: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint32]:
    """Return the hashes (M,) of strings of one length, (M, length)."""
    length, whole = data.shape[1], data.shape[1] // 4 * 4
    blocks = np.ascontiguousarray(data[:, :whole]).view("<u4").astype(np.uint32)
    h = np.full(len(data), seed, np.uint32)
    for block in blocks.T:
        h = _turned(h ^ _mixed(block), 13) * np.uint32(5) + np.uint32(0xE6546B64)
    if length > whole:
        tail = np.zeros(len(data), np.uint32)
        for i in range(whole, length):
            tail |= data[:, i].astype(np.uint32) << np.uint32(8 * (i - whole))
        h = h ^ _mixed(tail)
    h = h ^ np.uint32(length)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return np.asarray(h ^ (h >> np.uint32(16)))


def _mixed(k: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return np.asarray(_turned(k * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593))


def _turned(x: npt.NDArray[np.uint32], by: int) -> npt.NDArray[np.uint32]:
    return np.asarray((x << np.uint32(by)) | (x >> np.uint32(32 - by)))
