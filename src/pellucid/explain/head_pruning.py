"""What is each attention head worth? Taken out one at a time, beside an estimate; and the patterns in which heads look."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain import asked
from pellucid.explain.attention_maps import ANSWER
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.nn.gradients.mixing import attention_slopes, without_heads
from pellucid.probe.truth import row_losses
from pellucid.protocols import FloatArray
from pellucid.results import HeadImportance

__all__ = ["explain", "patterns_of"]

ALONE = "one head is taken out at a time: heads that stand in for each other look idle"
MOST = 6
CLEAR = 0.25
"""Mean silhouette from which heads are divided into patterns (Kaufman and Rousseeuw 1990: below it there is no structure)."""


def explain(question: Question) -> HeadImportance:
    """Return the rise of the loss when each head is taken out, (L, heads), an estimate of it from slopes, and the heads' patterns.

    Voita and others 2019, arXiv:1905.09418; Michel, Levy and Neubig 2019, arXiv:1905.10650. A head is taken out by setting its weights to
    0. The estimate asks the network once: with the slope of the answer in the head's gate, the answer without the head is guessed in a
    straight line, and the loss of that guess is taken. The loss is proper: log loss for classes, squared error for numbers. After Li and
    others 2023, arXiv:2303.13731, heads are told by how widely they look (``strength``) and grouped by where: average linkage of the
    Jensen-Shannon distances between their shares, as many ``patterns`` as the silhouette finds.

    # NOTE[DIFF] Michel and others rank by the mean size of the loss's slope in the gate. In a trained network that slope is near 0 for
    # heads that matter too, and ranks them worse (0.4 to 0.8 beside 0.9 to 1.0 of the guess, on planted laws); so the loss is not
    # linearised, only the answer.

    Cost: L heads + 2 forward passes and O passes back of at most ``rows`` rows.
    """
    view = question.view
    at = asked.sample(question, asked.whole(question, "rows", 2, 100_000))
    table = question.table.take(at).select(view.columns)
    loss, unit = row_losses(view, None if question.y is None else np.asarray(question.y)[at], len(table))
    parts = view.named_parts(table)
    if "attention" not in parts:
        raise RequestError("this network shows no attention", do="use a backbone that attends, such as 'ft_transformer' or 'autoint'")
    heads = parts["attention"].shape[2]
    attending = parts.get("attending")
    size = parts["attention"].shape[3] if attending is None else int(attending[0].sum())
    tokens = view.tokens(table)
    layers = attention_slopes(view.from_tokens, tokens, heads, size)
    slopes = np.stack([to_numpy((s * w[:, None]).sum((-1, -2))).transpose(2, 0, 1) for w, s in layers])  # (L, heads, N, O)
    pruned = to_numpy(without_heads(view.from_tokens, tokens, heads, size))
    before = loss(view.raw(table))
    rise = _losses(loss, pruned, before)
    guess = _losses(loss, _inside(question, before_answers := view.raw(table), before_answers - slopes), before)
    values, estimate, error = rise.mean(2), guess.mean(2), error_of_mean(np.moveaxis(rise, 2, 0))
    names = _names(view.columns, size, attending)
    looks = np.stack([w.cpu().double().mean((0, 2)).numpy() for w, _ in layers])
    strength = np.stack([_effective(to_numpy(w)) for w, _ in layers])
    pattern = patterns_of(looks.reshape(-1, size)).reshape(values.shape)
    agreement = float(pd.Series(values.ravel()).corr(pd.Series(estimate.ravel()), method="spearman")) if values.size > 2 else np.nan
    top = np.unravel_index(values.argmax(), values.shape)
    depth = parts["attention"].shape[1]
    networks = len(layers) // depth if len(layers) % depth == 0 else 1
    whose = f" of network {top[0] // depth}" if networks > 1 else ""
    words = f"taking out head {top[1]} of layer {top[0] % (len(layers) // networks)}{whose} hurts most: "
    words += f"the {unit} rises by {values[top]:.4g} from {before.mean():.4g}; "
    words += f"{int((values <= 2 * error).sum())} of {values.size} heads can go without a clear loss"
    return HeadImportance(
        values=values, error=error, estimate=estimate, agreement=agreement, tokens=names, looks=looks,
        strength=strength, pattern=pattern, words=words, unit=unit, method=question.method,
        record=question.record({"rows_used": len(table), "loss": unit}, (ALONE,)),
        networks=networks,
    )  # fmt: skip


def _losses(loss: Any, answers: FloatArray, before: FloatArray) -> FloatArray:
    """Return the rise of the rows' losses (L, heads, N) from answers (L, heads, N, O)."""
    layers, heads = answers.shape[:2]
    return np.stack([np.stack([loss(answers[la, h]) - before for h in range(heads)]) for la in range(layers)])


def _inside(question: Question, answers: FloatArray, guess: FloatArray) -> FloatArray:
    """Return guessed answers that can be: a straight line in probabilities leaves 0 to 1, so it is drawn in log-odds."""
    if question.view.scale != "probability":
        return guess
    p = np.clip(answers, 1e-6, 1 - 1e-6)
    odds = np.log(p) - np.log1p(-p) + (guess - answers) / (p * (1 - p))
    out = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return np.asarray(out if answers.shape[1] == 1 else out / out.sum(-1, keepdims=True))


def _names(columns: tuple[str, ...], size: int, attending: Any) -> tuple[str, ...]:
    """Return the names of the T tokens that attend."""
    taking = columns if attending is None or len(columns) == size else tuple(c for c, a in zip(columns, attending[0]) if a)
    lead = size - len(taking)
    if lead not in (0, 1):
        raise RequestError("the tokens of this network cannot be named", expected=f"{len(columns)} columns", got=f"{size} tokens")
    return (*([ANSWER] if lead else []), *taking)


def _effective(weights: FloatArray) -> FloatArray:
    """Return the effective number of tokens looked at, (heads,), from weights (N, heads, Q, T)."""
    entropy = -np.where(weights > 0, weights * np.log(np.where(weights > 0, weights, 1.0)), 0.0).sum(-1)
    return np.asarray(np.exp(entropy.mean((0, 2))))


def patterns_of(looks: FloatArray) -> npt.NDArray[np.int64]:
    """Return the pattern of each head, from 1, the most frequent first, from shares (heads, T); one pattern where none stand apart.

    Examples
    --------
    >>> patterns_of(np.array([[0.9, 0.1], [0.88, 0.12], [0.1, 0.9], [0.12, 0.88], [0.11, 0.89]])).tolist()
    [2, 2, 1, 1, 1]
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform
    from sklearn.metrics import silhouette_score

    one = np.ones(len(looks), np.int64)
    if len(looks) < 3:
        return one
    distance = np.nan_to_num(pdist(looks, "jensenshannon"))
    if not distance.max() > 1e-9:
        return one
    tree, square = linkage(distance, "average"), squareform(distance)
    tried = [np.asarray(fcluster(tree, k, "maxclust"), np.int64) for k in range(2, min(MOST, len(looks) - 1) + 1)]
    tried = [cut for cut in tried if np.sort(np.bincount(cut))[-2] > 1]  # one head that stands alone makes no division
    scores = [float(silhouette_score(square, cut, metric="precomputed")) for cut in tried]
    if not scores or max(scores) < CLEAR:
        return one
    _, place, count = np.unique(tried[int(np.argmax(scores))], return_inverse=True, return_counts=True)
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(1, len(count) + 1)
    return np.asarray(rank[place])
