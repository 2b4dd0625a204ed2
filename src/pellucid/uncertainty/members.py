"""Two kinds of doubt, told apart by members that disagree: noise in the target, and lack of knowledge.

Letters: N rows, K members, O classes or numbers. The split is made from the members as they are, before calibration: it ranks rows, while
probabilities, sets and intervals are calibrated.
"""

from __future__ import annotations

import numpy as np

from pellucid.protocols import FloatArray

__all__ = ["entropy", "split_classes", "split_numbers"]


def entropy(p: FloatArray) -> FloatArray:
    """Return the entropy of distributions along the last axis, in nats; 0 log 0 is 0."""
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1))


def split_classes(members: FloatArray, own: FloatArray | None = None) -> tuple[FloatArray, FloatArray | None]:
    """Return (aleatoric (N,), epistemic (N,)) in nats from member probabilities (N, K, O).

    ``own`` (N, K, 1): what each member's law over the probabilities leaves open (prior networks); it is lack of knowledge too. The parts
    add up: entropy of the mean = aleatoric + disagreement + own, the mean over members.

    Aleatoric: mean entropy of the members. Epistemic: entropy of their mean less that, the mutual information of class and member, 0 to
    ln K; None for a single member, which cannot disagree.

    Depeweg et al. 2018, arXiv:1710.07283; Lakshminarayanan, Pritzel, Blundell 2017, arXiv:1612.01474.

    Examples
    --------
    >>> import numpy as np
    >>> noise, ignorance = split_classes(np.array([[[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]]))
    >>> noise.round(3).tolist(), ignorance.round(3).tolist()
    ([0.693, 0.0], [0.0, 0.693])
    """
    aleatoric = entropy(members).mean(axis=1)
    if own is not None:
        open_ = np.minimum(own[..., 0].mean(axis=1), aleatoric)
        return aleatoric - open_, np.maximum(entropy(members.mean(axis=1)) - aleatoric, 0.0) + open_
    if members.shape[1] < 2:
        return aleatoric, None
    return aleatoric, np.maximum(entropy(members.mean(axis=1)) - aleatoric, 0.0)


def split_numbers(
    members: FloatArray, noise: FloatArray | None, own: FloatArray | None = None
) -> tuple[FloatArray | None, FloatArray | None]:
    """Return (aleatoric, epistemic), each (N, O), variances in squared units, from member values (N, K, O).

    Epistemic: variance of the members (K in the denominator); None for a single member. Aleatoric: ``noise``, (O,) for
    all rows or (N, O): the mean squared residual of held-out rows less the members' mean spread on them; it contains what all members get
    wrong alike. None where no rows were held out.
    ``own`` (N, K, O): the variance that each member gives a row itself (``head="normal"``); its mean is then the aleatoric part.
    """
    epistemic = members.var(axis=1) if members.shape[1] > 1 else None
    if own is not None:
        return own.mean(axis=1), epistemic
    aleatoric = None if noise is None else np.broadcast_to(noise, (len(members), members.shape[2])).copy()
    return aleatoric, epistemic
