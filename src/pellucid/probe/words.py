"""Text cells without some of their words, asked in bulk."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["WordCells", "split_words"]

_WORD = re.compile(r"\S+\s*")
CHUNK = 4096


def split_words(text: str | None, most: int) -> tuple[str, ...]:
    """Return the words of a cell with the space that follows them; beyond ``most`` words, runs of neighbouring words.

    Examples
    --------
    >>> split_words("a large  house", 10), split_words("a b c d e", 2)
    (('a ', 'large  ', 'house'), ('a b c ', 'd e'))
    """
    words = _WORD.findall(text.lstrip()) if text else []
    step = -(-len(words) // most) if words else 1
    return tuple("".join(words[k : k + step]) for k in range(0, len(words), step))


class WordCells:
    """The answers to rows whose cell in one text column holds only some of its words.

    Parameters
    ----------
    view : the model asked. table : the N rows. column : the text column. most : most words (or runs of words) per cell.

    Attributes
    ----------
    words : per row its words. A cell that has lost all its words is missing. What stays is joined as it was written, and read and encoded
    as any cell is.
    """

    def __init__(self, view: View, table: Table, column: str, most: int) -> None:
        self._view, self._table, self.column = view, table, column
        texts = table.texts(column)
        self.words = tuple(split_words(None if t is None else str(t), most) for t in texts)
        self.width = max((len(w) for w in self.words), default=0)
        self.active = np.array([[k < len(w) for k in range(self.width)] for w in self.words], bool).reshape(len(table), self.width)

    def evaluate(self, row: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]) -> FloatArray:
        """Return the answers (n, O) to rows ``row`` (n,) with the words ``keep`` (n, width); equal cells of a row are asked once."""
        if not len(row):
            return np.zeros((0, len(self._view.outputs)))
        texts = np.array([self._text(r, line) for r, line in zip(row.tolist(), keep)], object)
        codes, _ = pd.factorize(pd.MultiIndex.from_arrays([row, texts]))
        _, first = np.unique(codes, return_index=True)
        out = []
        for s in range(0, len(first), CHUNK):
            at = first[s : s + CHUNK]
            asked = self._table.take(row[at])
            cells = pd.Series(texts[at], index=asked.frame.index, dtype=object)
            out.append(self._view.raw(asked.with_cells({self.column: cells})))
        return np.concatenate(out)[codes]

    def _text(self, row: int, keep: npt.NDArray[np.bool_]) -> str | None:
        return "".join(w for w, here in zip(self.words[row], keep) if here).strip() or None
