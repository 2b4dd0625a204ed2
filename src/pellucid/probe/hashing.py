"""Content hashes of cells, and random numbers that depend on contents instead of positions.

Two uses. The coalition engine recognises equal cells and equal composed rows by 64-bit hashes, so that nothing is evaluated twice.
Samplers draw from counters made of (seed, row contents, background contents, pass, player), so that the order of rows, the batch size
and the order of columns change no draw.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.random import mix
from pellucid.table import ColumnType, Table

__all__ = ["cell_hashes", "mix", "name_hashes", "uniforms"]

Hashes = npt.NDArray[np.uint64]
_MISSING = np.uint64(0x9E3779B97F4A7C15)


def name_hashes(names: tuple[str, ...]) -> Hashes:
    """Return one hash per name, (P,)."""
    digests = [hashlib.blake2b(str(n).encode("utf-8", "surrogatepass"), digest_size=8).digest() for n in names]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _bits(values: npt.NDArray[np.float64]) -> Hashes:
    return np.where(np.isnan(values), _MISSING, (values + 0.0).view(np.uint64))  # + 0.0 joins the two zeros


def _text_hashes(texts: list[str]) -> Hashes:
    return name_hashes(tuple(texts)) if texts else np.zeros(0, np.uint64)


def _canonical(table: Table, name: str) -> Hashes:
    """Hash of the cells in canonical form: what an encoder of ours cannot tell apart has one hash."""
    kind = table.schema[name].type
    if kind is ColumnType.NUMBER:
        return _bits(table.numbers(name))
    if kind is ColumnType.DATE:
        return _bits(table.seconds(name))
    codes, levels = table.levels(name)
    return np.append(_text_hashes(list(levels)), _MISSING)[codes]


def _written(series: pd.Series[Any]) -> Hashes:
    """Hash of the cells as they stand: what a foreign model could tell apart has different hashes."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f":
        return _bits(series.to_numpy(np.float64))
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iub":
        return series.to_numpy().astype(np.int64).view(np.uint64)
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    return np.append(_text_hashes([f"{type(u).__name__}:{u}" for u in uniques]), _MISSING)[codes]


def cell_hashes(table: Table, columns: tuple[str, ...], *, canonical: bool) -> Hashes:
    """Return one hash per cell, (N, C).

    ``canonical`` compares cells as our encoders read them ("3" and 3.0 are one level); otherwise as they are written.
    Two different cells share a hash with a probability of 2^-64.
    """
    names = name_hashes(columns)
    cells = [_canonical(table, c) if canonical else _written(table.frame[c]) for c in columns]
    if not cells:
        return np.zeros((len(table), 0), np.uint64)
    return mix(mix(np.stack(cells, axis=1)) + names)


def uniforms(seed: int, counters: Hashes, players: Hashes, step: int) -> npt.NDArray[np.uint64]:
    """Return random integers (G, P), uniform on 64 bits: one per (counter, player) for draw number ``step`` under ``seed``."""
    start = mix(np.array([(seed + 0x9E3779B97F4A7C15 * (step + 1)) % 2**64], np.uint64))
    return mix(mix(counters ^ start)[:, None] + players[None, :])
