"""Vectors that stand for the columns' names, and the two controls that tell whether the names' meaning is what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pellucid.encode.text import N_BUCKETS, hashed

__all__ = ["name_vectors", "random_words"]

SEED = 20_250_101


def name_vectors(columns: Sequence[str], units: Mapping[str, str], identity: str = "names") -> npt.NDArray[np.float32]:
    """Return a vector of length 1 for each column's name and unit, (C, V), from hashed character n-grams.

    Parameters
    ----------
    columns : C names. units : by name, empty where there is none.
    identity : ``"names"``; ``"shuffled"``, every column gets another column's vector; ``"words"``, each gets that of a made-up word. The
        controls are the same ones in every fit of a table, so that they can be learned as names can.
    """
    texts = tuple(" ".join(filter(None, (c.replace("_", " "), units[c]))) for c in columns)
    if identity == "words":
        texts = random_words(len(texts))
    vectors: npt.NDArray[np.float32] = hashed(np.arange(len(texts)), texts) / np.sqrt(np.float32(N_BUCKETS))
    if identity != "shuffled":
        return vectors
    circle = np.random.default_rng([SEED, len(texts)]).permutation(len(texts))
    out = np.empty_like(vectors)
    out[circle] = vectors[np.roll(circle, 1)]  # along one circle through all columns: none keeps its own
    return out


def random_words(n: int) -> tuple[str, ...]:
    """Return ``n`` different words that mean nothing, the same ones always.

    Examples
    --------
    >>> len(set(random_words(500)))
    500
    """
    draw, words = np.random.default_rng(SEED), dict[str, None]()
    while len(words) < n:
        syllables = [f"{draw.choice(list('bdfgklmnprstvz'))}{draw.choice(list('aeiou'))}" for _ in range(draw.integers(2, 5))]
        words["".join(syllables)] = None
    return tuple(words)
