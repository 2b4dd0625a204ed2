"""Text to vectors: hashed character n-grams (no vocabulary, no download, the same on every machine), or the user's own encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError

__all__ = ["N_BUCKETS", "TextVectors", "hashed"]

Coded = tuple[npt.NDArray[np.int64], tuple[str, ...]]

N_BUCKETS = 128


def hashed(codes: npt.NDArray[np.int64], texts: tuple[str, ...], n_buckets: int = N_BUCKETS) -> npt.NDArray[np.float32]:
    """Return signed hashed character n-grams (2 to 4 within words, case folded), rows of length 1; missing cells give zeros.

    Parameters
    ----------
    codes : (N,) codes into ``texts``, -1 where missing; each distinct text is hashed once.
    n_buckets : V, the width of the result.

    Returns
    -------
    (N, V) float32.

    References
    ----------
    Weinberger et al. (2009), feature hashing, arXiv:0902.2206.

    Examples
    --------
    >>> hashed(np.array([0, -1, 0]), ("red brick",)).any(axis=1)
    array([ True, False,  True])
    """
    if not texts:
        return np.zeros((len(codes), n_buckets), np.float32)
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=n_buckets, norm="l2", alternate_sign=True, dtype=np.float32
    )
    distinct = np.asarray(vectorizer.transform(texts).todense(), np.float32)
    # entries of a unit row in V buckets have size 1/sqrt(V): scaled to about 1, as the other inputs are
    return np.vstack([distinct * np.sqrt(np.float32(n_buckets)), np.zeros((1, n_buckets), np.float32)])[codes]


class TextVectors:
    """Text by a sentence encoder of the user's own: a callable that maps a list of M strings to an array (M, V).

    It must be a function of the string alone. Each distinct text is encoded once; missing cells give zeros; all vectors are divided by one
    number, so that training texts have entries of size 1 in the mean of squares.

    Attributes
    ----------
    width : V. ``scale`` : the number.
    """

    def __init__(self, encode: Callable[[list[str]], Any]) -> None:
        self.encode, self.width, self.scale = encode, 0, 1.0

    def fit(self, columns: Sequence[Coded]) -> Self:
        """Learn width and scale from the columns' training texts, each (codes (N,), texts)."""
        texts = sorted({texts[i] for codes, texts in columns for i in np.unique(codes) if i >= 0})
        if texts:
            vectors = self._raw(texts)
            self.width = vectors.shape[1]
            self.scale = float(np.sqrt(np.mean(vectors.astype(np.float64) ** 2))) or 1.0
        return self

    def __call__(self, codes: npt.NDArray[np.int64], texts: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """Return the vectors (N, V) of codes (N,) into ``texts``, -1 where missing."""
        out = np.zeros((len(texts) + 1, self.width), np.float32)
        used = np.unique(codes[codes >= 0])
        if len(used) and self.width:
            vectors = self._raw([texts[i] for i in used])
            if vectors.shape[1] != self.width:
                raise ArgumentError(
                    "the sentence encoder gives vectors of another width than in training",
                    expected=str(self.width),
                    got=str(vectors.shape[1]),
                )
            out[used] = vectors / np.float32(self.scale)
        return out[codes]

    def _raw(self, texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = np.asarray(self.encode(texts), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            got = f"shape {vectors.shape}" + ("" if np.isfinite(vectors).all() else ", some not finite")
            raise ArgumentError("the sentence encoder's output cannot be used", expected=f"finite numbers ({len(texts)}, V)", got=got)
        return vectors

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs besides the callable: its name alone is kept."""
        return {"name": getattr(self.encode, "__name__", type(self.encode).__name__), "width": self.width, "scale": self.scale}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], encode: Callable[[list[str]], Any] | None) -> TextVectors:
        """Return what :meth:`state` described, with the callable handed over again."""
        if encode is None:
            raise ArgumentError(
                f"this model was saved with the text encoder {state['name']!r} of your own", do="hand it over again: load(path, text=...)"
            )
        self = cls(encode)
        self.width, self.scale = int(state["width"]), float(state["scale"])
        return self
