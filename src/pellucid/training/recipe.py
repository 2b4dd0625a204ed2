"""The default recipe: from the size of a table to the settings of network and training, by rules a reader can follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from pellucid import registry
from pellucid.nn.cells import CellSizes
from pellucid.nn.table_net import TableNet
from pellucid.table.splits import FOLD_BELOW

__all__ = ["TrainSettings", "builder", "recipe"]


SMALL = FOLD_BELOW
"""Rows below which a table is trained in folds and gets a small network."""


PASSES = ((20_000, 256, 20), (100_000, 512, 16), (400_000, 1024, 10), (float("inf"), 2048, 2))
"""(rows up to, batch, passes over the training rows)."""
MANY = 10_000
"""Rows from which four members tell numbers as well as eight."""
LONGER = 1.6
"""Numbers go on gaining for longer than classes: on the stop rows of California housing 32 passes were better than 20, and 40 no better."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a fit besides data, seed and threads.

    Attributes
    ----------
    backbone : registered name, or a module factory.
    members, width, blocks, d_token, dropout : K, h, blocks, D and the dropout of the backbone.
    free_dropout : whether a backbone may leave dropout out by what it finds in the training rows; not where the user set it.
    bins, bin_kind, bin_leaf : of the number encoder.
    options : further keyword arguments of the backbone; they win over the ones above.
    head : as for ``TableNet``. number, category : encoders of numbers and of levels; embedding : further arguments of ``CellEmbedding``.
    regularizers : pairs (registered name, pairs of options).
    bayes : pairs of options of weights with a spread (``nn.bayes``), empty for plain weights.
    decompose : pairs of options of ``nn.decompose.Decomposition``, empty for none.
    cycles : how often the rates fall to 0 and rise again; the network at the end of each fall is kept where it is more than 1.
    category_dropout : share of the levels shown as unseen while training.
    batch, epochs : rows of a step, and passes over the training rows.
    min_steps : fewest steps, for tables of few rows.
    lr, weight_decay, muon_lr, muon_decay : of AdamW and of Muon (0: AdamW for all).
    warmup, warmup_steps : share of the planned steps over which the learning rates rise, or their number where it is given.
    evaluations : how often the stop rows are scored over the whole fit.
    patience : evaluations without a better score after which training ends.
    steps : planned number of steps; None derives it from batch and epochs.
    replans : turns of a plan that followed a clock, for a replay: (at step, steps in all, warm-up, steps between scores).
    starts : for a replay, how many solves each network's start took where the clock cut it short.
    trees : for a replay, how many columns got bins by a tree before the clock ended that.
    tells : False, for a replay, where the clock left no time for the draws of ``training/head_doubt.py``.
    max_steps : steps after which the fit ends, wherever its plan stands; None for no limit. Below the plan it shortens the plan,
        unless ``steps`` is given as well (the replay of a fit that the clock ended).
    time_limit : seconds; the fit plans its steps by it and ends in time.
    precision : ``"fp32"``, ``"bf16"`` (matrix products only) or ``"auto"``.
    compile : compile the network: True, False or ``"auto"``.
    checkpoint_seconds : time between checkpoints.
    """

    backbone: Any = "tabm"
    members: int = 4
    width: int = 256
    blocks: int = 3
    d_token: int = 24
    dropout: float = 0.1
    free_dropout: bool = True
    bins: int = 64
    bin_kind: str = "quantile"
    bin_leaf: int = 3
    options: tuple[tuple[str, Any], ...] = ()
    head: Any = "linear"
    number: Any = "ple"
    category: Any = "lookup"
    regularizers: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()
    embedding: tuple[tuple[str, Any], ...] = ()
    bayes: tuple[tuple[str, Any], ...] = ()
    decompose: tuple[tuple[str, Any], ...] = ()
    cycles: int = 1
    category_dropout: float = 0.02
    batch: int = 256
    epochs: float = 24.0
    min_steps: int = 200
    lr: float = 4e-3
    weight_decay: float = 3e-4
    muon_lr: float = 0.02
    muon_decay: float = 0.01
    warmup: float = 0.05
    warmup_steps: int | None = None
    evaluations: int = 30
    patience: int = 12
    steps: int | None = None
    replans: tuple[tuple[int, int, int, int], ...] = ()
    starts: tuple[int, ...] = ()
    trees: int | None = None
    tells: bool = True
    max_steps: int | None = None
    time_limit: float | None = None
    precision: str = "auto"
    compile: bool | str = "auto"
    checkpoint_seconds: float = 10.0

    def describe(self) -> dict[str, Any]:
        """Return the settings as plain values for the record."""
        plain = str | int | float | bool | tuple | None
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v if isinstance(v, plain) else getattr(v, "__name__", repr(v)) for k, v in values.items()}


def recipe(n_rows: int, n_columns: int, task: str, backbone: Any = "tabm") -> TrainSettings:
    """Return the default settings for a table.

    The rules, in order: rows set batch, passes and width (below 2,000 rows five folds are trained side by side, so the network is
    small); the task sets the bins (classes are served best by the cuts of trees and equal shares
    together, numeric targets by equal shares, and by more and narrower members); many columns narrow the tokens; a backbone's registry
    line has the last word.

    Parameters
    ----------
    n_rows : training rows.
    n_columns : C. What the cells look like is not known yet: the settings of the encoder are part of the answer.
    task : ``"classification"`` or ``"regression"``.
    backbone : registered name or factory.

    Examples
    --------
    >>> small, large = (recipe(n, 10, "regression") for n in (300, 30_000))
    >>> (small.width, small.batch), (large.width, large.batch)
    ((64, 32), (192, 512))
    """
    settings = _small(n_rows) if n_rows < SMALL else _large(n_rows, task)
    if task == "regression" and n_rows >= SMALL and _has_members(backbone):
        # narrower than for classes; more members than four help only where rows are few (benchmarks/default_recipe)
        settings = replace(settings, members=8 if n_rows < MANY else 4, width=192)
    if n_columns > 64:
        settings = replace(settings, d_token=8 if n_columns > 256 else 12, bins=min(settings.bins, 32))
    return replace(settings, backbone=backbone, **_own(backbone, small=n_rows < SMALL))


def _own(backbone: Any, small: bool) -> dict[str, Any]:
    """Return what the backbone's registry line changes."""
    if not isinstance(backbone, str):
        return {}
    return {k: v[0 if small else 1] if isinstance(v, tuple) else v for k, v in registry.get("backbone", backbone).recipe.items()}


def _has_members(backbone: Any) -> bool:
    return isinstance(backbone, str) and "members" in registry.get("backbone", backbone).reads.values()


def _small(n_rows: int) -> TrainSettings:
    return TrainSettings(
        members=2, width=64, blocks=2, d_token=8, bins=16, batch=min(256, max(32, n_rows // 10)), epochs=30, min_steps=120, lr=5e-3,
        muon_lr=0.01, muon_decay=1.0, patience=8, precision="fp32", compile=False,
    )  # fmt: skip


def _large(n_rows: int, task: str) -> TrainSettings:
    # more rows need fewer passes, and larger batches keep the steps few
    batch, epochs = next((batch, epochs) for upto, batch, epochs in PASSES if n_rows < upto)
    # the hidden matrices over-fit first; how much decay holds them was measured (benchmarks/default_recipe)
    if task == "classification":
        return TrainSettings(width=256, blocks=2, bins=128, bin_kind="both", batch=batch, epochs=epochs, lr=3e-3, muon_decay=0.15)
    return TrainSettings(
        width=256, blocks=3, bins=128, bin_kind="quantile", batch=batch, epochs=LONGER * epochs, lr=4e-3, muon_decay=0.4
    )  # fmt: skip


def builder(sizes: CellSizes, settings: TrainSettings, n_outputs: int, extra: int = 0, drawn: int = 0) -> Callable[[int], TableNet]:
    """Return the function ``seed -> TableNet`` that ``fit_network`` needs, from sizes, settings and O.

    A loaded model is built by the same function and then given its weights. ``extra``, ``drawn``: as for ``TableNet``.
    """
    entry = registry.get("backbone", settings.backbone) if isinstance(settings.backbone, str) else None
    options = {} if entry is None else {argument: getattr(settings, name) for argument, name in entry.reads.items()}
    options |= dict(settings.options)
    embedding = {"category_dropout": settings.category_dropout, "number": settings.number, "category": settings.category}
    embedding |= dict(settings.embedding)
    width = max(settings.d_token, _least_width(sizes, settings))

    def build(seed: int) -> TableNet:
        return TableNet(
            sizes,
            settings.backbone,
            n_outputs,
            d_token=width,
            options=options,
            head=settings.head,
            embedding=embedding,
            regularizers=settings.regularizers,
            bayes=dict(settings.bayes) or None,
            drawn=drawn,
            extra=extra,
            decompose=dict(settings.decompose) or None,
            seed=seed,
        )

    return build


def _least_width(sizes: CellSizes, settings: TrainSettings) -> int:
    """Return the narrowest token that the encoder of levels can fill."""
    named = isinstance(settings.category, str)
    encoder = registry.resolve(registry.get("encoder", settings.category)) if named else settings.category
    return int(encoder.least_width(sizes.cardinalities)) if hasattr(encoder, "least_width") else 1
