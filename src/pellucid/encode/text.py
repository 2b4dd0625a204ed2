"""Text to hashed character n-grams: no vocabulary, no download, the same on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["N_BUCKETS", "hashed"]

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
