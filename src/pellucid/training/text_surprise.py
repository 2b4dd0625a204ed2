"""How unlikely is a text, letter by letter, given the texts of training? A model of character n-grams: no download, plain counts.

Each character is told from the two before it by Witten-Bell smoothing over orders 3, 2, 1 and 0. Source: Witten and Bell 1991,
doi:10.1109/18.87000. Letters: N rows, L distinct characters, G distinct n-grams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ModelFileError

__all__ = ["ORDER", "CharacterModel"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ORDER = 3
BORDER, UNKNOWN = 1, 2  # codes of what stands before a text, and of a character never seen; 0 is not used
MOST_CHARACTERS = 2_000


@dataclass(frozen=True)
class CharacterModel:
    """Counts of character n-grams.

    Attributes
    ----------
    letters : (L,) code points, ascending; the code of the i-th is i + 3.
    grams, counts : by order 1 to 3, the distinct n-grams (G,) as one number each, ascending, and how often each was seen.
    contexts, totals, kinds : by order, the distinct (n - 1)-grams before them, how often they were followed, and by how many different
        characters.
    """

    letters: Ints
    grams: tuple[Ints, ...]
    counts: tuple[FloatArray, ...]
    contexts: tuple[Ints, ...]
    totals: tuple[FloatArray, ...]
    kinds: tuple[FloatArray, ...]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> CharacterModel:
        """Return the counts over some texts. Cost: one sort of all characters per order."""
        points = np.array([ord(c) for t in texts for c in t.casefold()[:MOST_CHARACTERS]], np.int64)
        letters = np.unique(points)
        bare = cls(letters, (), (), (), (), ())
        windows, _ = bare._windows(texts)
        grams: list[Any] = []
        counts: list[Any] = []
        contexts: list[Any] = []
        totals: list[Any] = []
        kinds: list[Any] = []
        for n in range(1, ORDER + 1):
            gram, count = np.unique(bare._number(windows[:, -n:]), return_counts=True)
            context, at = np.unique(gram // bare._base, return_inverse=True)
            grams.append(gram)
            counts.append(count.astype(np.float64))
            contexts.append(context)
            totals.append(np.bincount(at.reshape(-1), count))
            kinds.append(np.bincount(at.reshape(-1)).astype(np.float64))
        return cls(letters, tuple(grams), tuple(counts), tuple(contexts), tuple(totals), tuple(kinds))

    @property
    def _base(self) -> int:
        return len(self.letters) + 3

    def _number(self, windows: Ints) -> Ints:
        """Return each n-gram (W, n) as one number; 3 orders of up to two million characters fit into 64 bits."""
        out = np.zeros(len(windows), np.int64)
        for j in range(windows.shape[1]):
            out = out * self._base + windows[:, j]
        return out

    def _windows(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """Return the last ``ORDER`` codes up to each character, (W, 3), and the text each belongs to, (W,)."""
        cut = [t.casefold()[:MOST_CHARACTERS] for t in texts]
        owner = np.repeat(np.arange(len(cut)), [len(t) for t in cut])
        points = np.array([ord(c) for t in cut for c in t], np.int64)
        place = np.searchsorted(self.letters, points)
        known = (
            self.letters[np.minimum(place, max(len(self.letters) - 1, 0))] == points if len(self.letters) else np.zeros(len(points), bool)
        )
        code = np.where(known, place + 3, UNKNOWN)
        out = np.full((len(code), ORDER), BORDER, np.int64)
        out[:, -1] = code
        for back in range(1, ORDER):
            same = owner[back:] == owner[:-back]
            out[back:, -1 - back] = np.where(same, code[:-back], BORDER)
        return out, owner

    def surprise(self, texts: Sequence[str]) -> FloatArray:
        """Return the mean surprise of a character of each text in nats, (N,); 0 for an empty text."""
        windows, owner = self._windows(texts)
        p = np.full(len(windows), 1.0 / (self._base - 2))  # order 0: every known character, and one for all others
        for n, (grams, counts, contexts, totals, kinds) in enumerate(
            zip(self.grams, self.counts, self.contexts, self.totals, self.kinds), 1
        ):
            number = self._number(windows[:, -n:])
            seen = _looked_up(grams, counts, number)
            total, kind = (_looked_up(contexts, v, number // self._base) for v in (totals, kinds))
            p = np.where(total > 0, (seen + kind * p) / np.maximum(total + kind, 1.0), p)
        length = np.bincount(owner, minlength=len(texts))
        return np.asarray(np.bincount(owner, -np.log(p), minlength=len(texts)) / np.maximum(length, 1))

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: arrays."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CharacterModel:
        """Return the model that :meth:`state` described (arrays or lists)."""
        try:
            kinds: dict[str, Any] = {"grams": np.int64, "contexts": np.int64}
            lists = {
                k: tuple(np.asarray(v, kinds.get(k, np.float64)) for v in state[k])
                for k in ("grams", "counts", "contexts", "totals", "kinds")
            }
            return cls(np.asarray(state["letters"], np.int64), **lists)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved model of texts cannot be read", got=f"{type(error).__name__}: {error}") from error


def _looked_up(keys: Ints, values: FloatArray, wanted: Ints) -> FloatArray:
    """Return the value of each wanted key, 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted))
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0.0)
