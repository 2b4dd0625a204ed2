"""Stochastic neighbour embedding: neighbours are picked on the map as they are among the rows.

Hinton and Roweis 2002, Advances in Neural Information Processing Systems 15. The loss is the sum over rows of the divergence of the map's
probabilities from the rows'. # NOTE[DIFF] minimised by a quasi-Newton method from the principal components, without the paper's noise, so
that it falls at every step. Letters: N rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.maps.affinities import check_perplexity, conditional
from pellucid.maps.ask import Ask
from pellucid.maps.layout import Layout, NearestRows, standard
from pellucid.maps.neighbours import squares
from pellucid.maps.pca import principal
from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["divergence", "find"]


def divergence(y: FloatArray, p: FloatArray) -> tuple[float, FloatArray]:
    """Return (the loss, in nats; its gradient (N, 2)) of places (N, 2) under the rows' probabilities p (N, N). Cost: N^2."""
    d = squares(y, y)
    np.fill_diagonal(d, np.inf)
    low = d.min(1, keepdims=True)
    w = np.exp(low - d)
    total = w.sum(1, keepdims=True)
    q = w / total
    np.fill_diagonal(d, 0.0)
    known = p[p > 0]
    loss = float((known * np.log(known)).sum() + (p * d).sum() + (p.sum(1, keepdims=True) * (np.log(total) - low)).sum())
    pull = p - q
    pull = pull + pull.T
    return loss, 2 * (pull.sum(1)[:, None] * y - pull @ y)


def find(ask: Ask) -> Layout:
    """Return places of least divergence near the principal components (or a random start, for the second map).

    New rows go to the middle of their nearest rows. Cost: N^2 memory, N^2 a step; 1,000 rows by default.
    """
    from scipy.optimize import minimize

    n = len(ask)
    perplexity = check_perplexity(float(ask.options["perplexity"]), n)
    p = conditional(squares(ask.points, ask.points), perplexity)
    centre, axes, _, _ = principal(ask.points, 2, ask.seed)
    start = stream(ask.seed, "start").standard_normal((n, 2)) if ask.fresh else (ask.points - centre) @ axes.T
    start = start / max(float(start.std()), 1e-12)
    trace = [divergence(start, p)[0]]

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        value, slope = divergence(flat.reshape(n, 2), p)
        return value, slope.reshape(-1)

    def step(intermediate_result: Any) -> None:
        trace.append(float(intermediate_result.fun))

    found = minimize(loss, start.reshape(-1), jac=True, method="L-BFGS-B", callback=step, options={"maxiter": int(ask.options["steps"])})
    places = standard(found.x.reshape(n, 2))
    losses = {"divergence": trace[-1] / n, "divergence at the start": trace[0] / n}
    caveats = () if perplexity == ask.options["perplexity"] else (f"the perplexity was brought down to {perplexity:.3g} for {n} rows",)
    settings = {"perplexity": perplexity}
    return Layout(
        places, NearestRows(ask.points, places), trace=np.array(trace) / n, losses=losses, settings=settings, caveats=caveats, random=True
    )
