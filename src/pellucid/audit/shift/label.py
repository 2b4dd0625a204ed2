"""The target: did its shares change? Where the new table has labels they are counted, else estimated from what a model answers."""

from __future__ import annotations

import numpy as np

from pellucid.audit.scores import fit_out_of_fold
from pellucid.audit.shift.drift import total_variation, wasserstein
from pellucid.audit.shift.pair import Pair
from pellucid.audit.view import ALPHA, FloatArray, IntArray, amount
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.results.text import percent

__all__ = ["black_box_shares", "find"]

LIMIT = 0.05
DRAWS = 200


def black_box_shares(confusion: FloatArray, answered: FloatArray) -> FloatArray:
    """Return the class shares (O,) of new rows from how often each class is answered there (O,).

    ``confusion`` (O, O): share of old rows with answer i and label j. Where only the shares changed and not what a class looks like, the
    weights w solve confusion w = answered, and the shares are those of the labels times w. Lipton, Wang, Smola 2018, arXiv:1802.03916.

    Examples
    --------
    >>> black_box_shares(np.array([[0.4, 0.1], [0.1, 0.4]]), np.array([0.35, 0.65])).round(3).tolist()
    [0.25, 0.75]
    """
    weights = np.linalg.lstsq(confusion, answered, rcond=None)[0]
    shares = np.maximum(weights, 0) * confusion.sum(0)
    return np.asarray(shares / max(float(shares.sum()), 1e-12))


def find(pair: Pair) -> list[Finding]:
    """Return a finding where the target has shifted. Cost: without new labels, one fit of small boosted trees on at most 20,000 rows in
    folds, for the old and the new rows."""
    target = pair.old.target
    if target is None:
        return []
    return _counted(pair) if pair.target is not None else _estimated(pair) if target.is_classes and len(target.labels) <= 20 else []


def _counted(pair: Pair) -> list[Finding]:
    from scipy.stats import chi2_contingency, ks_2samp

    name, old = str(pair.target), pair.old.target
    assert old is not None
    remedy = "compare rates and errors within classes, not over all rows; thresholds chosen on the old rows may be wrong now"
    if not old.is_classes:
        x, y = (v[np.isfinite(v)] for v in pair.numbers(name))
        if len(x) < 30 or len(y) < 30:
            return []
        far, p = wasserstein(x, y) / max(float(x.std()), 1e-300), float(ks_2samp(x, y, method="asymp").pvalue)
        if p > ALPHA or far < LIMIT:
            return []
        words = f"the target '{name}' has changed: mean {amount(float(x.mean()), old.unit)} to {amount(float(y.mean()), old.unit)}, "
        words += f"moved by {far:.2g} standard deviations"
        return [pair.new.finding("shift: target", "medium", (name,), words, remedy, figures={"effect": far, "p": p})]
    one, two, texts, _ = pair.levels(name)
    a, b = (np.bincount(c[c >= 0], minlength=len(texts)) for c in (one, two))
    there = (a + b) > 0
    if a.sum() < 30 or b.sum() < 30 or there.sum() < 2:
        return []
    p, far = float(chi2_contingency(np.array([a, b])[:, there], correction=False)[1]), total_variation(a, b)
    if p > ALPHA or far < LIMIT:
        return []
    most = int(np.abs(a / a.sum() - b / b.sum()).argmax())
    before, after = percent(a[most] / a.sum()), percent(b[most] / b.sum())
    words = f"the target '{name}' has changed: '{texts[most]}' went from {before} to {after} of the rows"
    return [pair.new.finding("shift: target", "medium", (name,), words, remedy, figures={"effect": far, "p": p})]


def _estimated(pair: Pair) -> list[Finding]:
    from scipy.stats import chi2_contingency, norm

    target = pair.old.target
    assert target is not None
    old, new = pair.rows
    old = old[target.present[old]]
    if len(old) < 100 or not pair.usable or target.n_distinct < 2:
        return []
    answered_old, answered_new = _answers(pair, target.codes, (old, new))
    o, draw = len(target.labels), stream(pair.seed, "label shift")
    y = target.codes[old]
    counts = np.array([np.bincount(a, minlength=o) for a in (answered_old, answered_new)])
    counts = counts[:, counts.any(0)]
    if counts.shape[1] < 2 or chi2_contingency(counts, correction=False)[1] > ALPHA:  # the solved shares have long tails, these have not
        return []

    def moved(a: IntArray, b: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the shares (O,) of new rows ``b``, and how far they are from those of old rows ``a``."""
        confusion = np.bincount(answered_old[a] * o + y[a], minlength=o * o).reshape(o, o) / len(a)
        new_shares = black_box_shares(confusion, np.bincount(answered_new[b], minlength=o) / len(b))
        return new_shares, new_shares - confusion.sum(0)

    best, change = moved(np.arange(len(old)), np.arange(len(new)))
    drawn = np.array([moved(draw.integers(0, len(old), len(old)), draw.integers(0, len(new), len(new)))[1] for _ in range(DRAWS)])
    was, error = best - change, drawn.std(0, ddof=1)
    beyond = np.abs(change) >= np.maximum(LIMIT, norm.isf(ALPHA / (2 * o)) * error)
    if not beyond.any():
        return []
    most = int(np.where(beyond, np.abs(change), 0.0).argmax())
    words = f"the new table has no labels, but a model answers '{target.labels[most]}' so {'often' if change[most] > 0 else 'seldom'} that "
    words += f"its share must have gone from {percent(was[most])} to about {percent(best[most])} "
    words += f"(standard error {100 * error[most]:.1f} points), "
    words += "if each class still looks as it did"
    remedy = "label some new rows to see; thresholds chosen on the old rows may be wrong now"
    figures = {"old": was.tolist(), "new": best.tolist(), "classes": list(target.labels)}
    return [pair.new.finding("shift: target", "medium", (target.name,), words, remedy, figures=figures)]


def _answers(pair: Pair, codes: IntArray, rows: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
    """Return the class answered for old rows, out of fold, and for new rows: these are a fold of their own that nothing is learned from."""
    matrix, is_level = pair.design(pair.usable, rows)
    n = len(rows[0])
    fold = stream(pair.seed, "label folds").permutation(n) % 2
    every = np.concatenate([fold, np.full(len(rows[1]), 2)])
    labels = np.concatenate([codes[rows[0]], np.zeros(len(rows[1]), np.int64)])
    out = np.zeros((2, len(every)), np.int64)
    for k in (0, 1):
        # the other fold answers this one, and the new rows: learned from half of the old rows both times
        use = every != k
        answers = fit_out_of_fold(matrix, is_level, labels, np.where(every == 1 - k, 0, 1), pair.seed, iterations=40, asked=(1,))
        out[k, ~use | (every == 2)] = answers.argmax(1)[~use | (every == 2)]
    # each half of the new rows by one of the two models: asked of one alone, the new rows would differ by what sets the two apart
    side = np.concatenate([fold, stream(pair.seed, "label sides").permutation(len(rows[1])) % 2])
    answered = np.where(side == 0, out[0], out[1])
    return answered[:n], answered[n:]
