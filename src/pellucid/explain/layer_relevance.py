"""The answer shared out at every layer of a network, and its layers ranked by how much of that their own weights handle."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.nn.gradients.relevance_layers import layer_relevance
from pellucid.protocols import FloatArray
from pellucid.results import LayerRelevance
from pellucid.results.text import percent

__all__ = ["explain", "shares"]

EXACT = 1e-4
"""Share of the answer's mean size up to which relevance counts as conserved."""
RULES = "sums are alike in all layers but for constants: they do not rank layers, and other rules would share otherwise"
RANKING = (
    "a ranking by sizes of relevance is a guess at which weights the answer hangs on: noise in the weights of the layer ranked first moved "
    "answers more than in those of the last in 22 of 24 fits with shortcuts past the layers, in 1 of 6 of plain mlp"
)


def explain(question: Question) -> LayerRelevance:
    """Return the relevance of every layer (L, N, O), what its constants keep, and the share that goes through its own weights (L,).

    Layer-wise relevance propagation (Bach, Binder, Montavon, Klauschen, Mueller, Samek 2015, doi:10.1371/journal.pone.0130140) along the
    tape of ``lrp``, read at the stages of the network. Relevance that a shortcut carries past a stage is counted there too, so that what
    reaches the tokens (the columns' shares) and all constants add up to the answer; what operations without an exact rule keep (the
    averaging of probabilities, powers, softmax on the way to the answer) stands apart as ``rest``.

    Layers are ranked, as for the bit widths of Ranjan and Savakis 2024, arXiv:2401.11243, by relevance. Sums cannot rank, being conserved.
    ``values`` counts the relevance of what the layer's own matrices give (biases aside) by its size, summed over units, mean over the
    layer's matrices, and gives each layer's share of the whole; so what a shortcut carries past the layer does not count for it.
    Tried on one law with noise of 10 % in one layer's weights at a time, six seeds each: rank correlation with how far answers move 0.96 to
    1.00 on ``resnet`` (5 blocks), 0.77 to 1.00 on ``tabtransformer``, 0.30 to 1.00 on ``ft_transformer``, -0.40 to 0.80 on ``autoint``,
    -0.09 to 0.94 on ``tabm``, and -0.60 to 0.03 on ``mlp``, where all relevance goes through every layer.

    # NOTE[DIFF] the paper's score chooses the bits of a vision transformer; here sizes are counted, per table network and per stage.

    ``options``: ``rows``, ``rule`` (``"epsilon"`` or ``"gamma"``), ``epsilon``, ``gamma``. Layers of a network that does not tell its
    stages are its products with matrices. Cost: one forward pass and O passes back of at most ``rows`` rows.

    Raises
    ------
    RequestError : the model has no gradients; there is no such rule; the answers or shares are not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> import pellucid as pld
    >>> frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60) % 7.0})
    >>> model = pld.TabularRegressor(backbone="mlp", max_steps=5, random_state=0, verbose=0).fit(frame, frame["a"])
    >>> made = model.explain(frame, method="layer_relevance", random_state=0)
    >>> made.layers
    ('tokens', 'first', 'blocks.0', 'head', '(answer)')
    >>> bool(abs(made.reaching[0] + made.constants.sum(0) - made.reaching[-1]).max() < 1e-4)
    True
    """
    asked.no_groups(question)
    view, options = question.view, question.options
    table = question.table.take(asked.sample(question, asked.whole(question, "rows", 1, 100_000))).select(view.columns)
    found = layer_relevance(
        view.from_tokens, view.tokens(table), view.telling_stages(), options["rule"], float(options["epsilon"]), float(options["gamma"])
    )
    reaching, constants, rest, gross, worked = (
        to_numpy(a) for a in (found.reaching, found.constants, found.rest, found.gross, found.worked)
    )
    if not (np.isfinite(reaching).all() and np.isfinite(worked).all()):
        raise RequestError("the relevance of some layer is not finite", do="try options={'rule': 'gamma'}")
    worked[-1] = 0.0  # calibration and the choice of an output are no layer of the network
    values, error = shares(worked.mean(2))
    made = LayerRelevance(
        found.layers, view.outputs, np.asarray(table.frame.index, object), reaching, constants, rest, gross.mean((1, 2)), values, error, "",
        view.scale, question.method, question.record({"rows_used": len(table)}),
    )  # fmt: skip
    record = question.record({"rows_used": len(table)}, (RULES, RANKING, *_lost(made)))
    return LayerRelevance(**{**vars(made), "words": _words(made), "record": record})


def shares(sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each layer's share of the mean of sizes (L, N), and the standard error of that ratio over rows; NaN where it has none.

    Examples
    --------
    >>> value, error = shares(np.array([[0.0, 0.0, 0.0], [3.0, 5.0, 4.0], [1.0, 3.0, 2.0]]))
    >>> value.round(3).tolist(), error.round(3).tolist()
    ([nan, 0.667, 0.333], [nan, 0.07, 0.07])
    """
    whole = sizes.sum(0)
    some = sizes.max(1) > 0
    value = np.where(some, sizes.mean(1) / max(float(whole.mean()), 1e-300), np.nan)
    off = (sizes - value[:, None] * whole) / max(float(whole.mean()), 1e-300)
    return value, error_of_mean(off.T)


def _lost(made: LayerRelevance) -> tuple[str, ...]:
    """Return what to say where relevance is not conserved."""
    lost = made.lost()
    told = [f"{made.layers[k]} {percent(lost[k], 1)}" for k in np.flatnonzero(lost > EXACT)]
    if not told:
        return ()
    return (f"operations without an exact rule keep part of the answer, in one row at most this share of its mean size: {', '.join(told)}",)


def _words(made: LayerRelevance) -> str:
    """Return which layers handle most and least, and where constants keep most."""
    ranked, kept = np.flatnonzero(np.isfinite(made.values)), np.abs(made.constants).mean((1, 2))
    told = []
    if len(ranked):
        high, low = (ranked[int(i)] for i in (made.values[ranked].argmax(), made.values[ranked].argmin()))
        told.append(f"most relevance goes through the weights of {made.layers[high]}: {percent(made.values[high])} of the sizes")
        if high != low:
            told.append(f"least through those of {made.layers[low]}: {percent(made.values[low])}")
            apart = abs(made.values[high] - made.values[low]) > 2 * np.hypot(made.error[high], made.error[low])
            told += [] if apart else ["these rows do not tell the two apart"]
    size = float(np.abs(made.reaching[-1]).mean())
    most = int(kept.argmax())
    told.append(f"constants keep most in {made.layers[most]}: {kept[most]:.3g} beside answers of mean size {size:.3g}")
    return "; ".join(told)
