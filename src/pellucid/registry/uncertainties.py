"""Registry lines of the uncertainties: the parts that ``pellucid.uncertainty`` puts together."""

from __future__ import annotations

from pellucid.registry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="temperature",
        kind="uncertainty",
        target="pellucid.training.calibrators:choose",
        summary="One number that makes probabilities mean what they say, fitted on held-out rows; left out where it gains nothing.",
        question="certain",
        needs=("labels",),
        cost="a one-dimensional search over (N, O) held-out probabilities",
        source="Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599",
    ),
    Entry(
        name="conformal_set",
        kind="uncertainty",
        target="pellucid.uncertainty.conformal:class_sets",
        summary="The classes that cannot be excluded, with promised coverage; may be empty.",
        question="certain",
        needs=("labels",),
        cost="a comparison per row and class",
        source="Sadinle, Lei, Wasserman 2019, arXiv:1609.00451; folds: Romano, Sesia, Candes 2020, arXiv:2006.02544",
    ),
    Entry(
        name="conformal_interval",
        kind="uncertainty",
        target="pellucid.uncertainty.conformal:intervals",
        summary="The numbers that cannot be excluded, with promised coverage.",
        question="certain",
        needs=("labels",),
        cost="a quantile; with folds N x n sums, n training rows",
        source="Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, arXiv:1604.04173; folds: Barber et al. 2021, arXiv:1905.02928",
    ),
    Entry(
        name="members_of_classes",
        kind="uncertainty",
        target="pellucid.uncertainty.members:split_classes",
        summary="Noise in the target and lack of knowledge, told apart by members that disagree on classes.",
        question="certain",
        needs=("members",),
        cost="one pass of K members over N rows",
        source="Depeweg et al. 2018, arXiv:1710.07283; Lakshminarayanan, Pritzel, Blundell 2017, arXiv:1612.01474",
    ),
    Entry(
        name="members_of_numbers",
        kind="uncertainty",
        target="pellucid.uncertainty.members:split_numbers",
        summary="Residual variance of held-out rows, and variance of the members.",
        question="certain",
        needs=("members",),
        cost="one pass of K members over N rows",
        source="Lakshminarayanan, Pritzel, Blundell 2017, arXiv:1612.01474",
    ),
    Entry(
        name="familiarity",
        kind="uncertainty",
        target="pellucid.uncertainty.familiarity:familiar",
        summary="Distance to the nearest training rows as a percentile among held-out ones, and the column that is odd.",
        question="certain",
        needs=("training rows",),
        cost="N x M x C differences, M kept rows (at most 1,000)",
        source="Sun, Ming, Zhu, Li 2022, arXiv:2204.06507",
    ),
    Entry(
        name="stochastic_bn",
        kind="uncertainty",
        target="pellucid.nn.stochastic:stochastic_statistics",
        summary="The network with the batch-norm statistics of single training batches: what these copies disagree on is doubt (bayes=).",
        question="certain",
        needs=("training rows",),
        cost="one pass over a batch a sample at fit, S passes in every answer",
        source="Atanov, Ashukha, Molchanov, Neklyudov, Vetrov 2018, arXiv:1802.04893",
        experimental=True,
    ),
)
