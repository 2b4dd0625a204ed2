"""Registry lines of the regularizers: what holds a network in check while it learns."""

from __future__ import annotations

from pellucid.registry import Entry

_HOME = "pellucid.nn.regularizers"
_EXCEL = "Chen, Yan, Chen, Wu 2023, arXiv:2301.02819"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "l1", "regularizer", f"{_HOME}.weights:L1", "Absolute weights cost; columns that do not matter fade.",
        cost="one pass over the matrix", source="Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x",
    ),
    Entry(
        "l2", "regularizer", f"{_HOME}.weights:L2", "Squared weights cost.",
        cost="one pass over the matrix", source="Hoerl, Kennard 1970, doi:10.1080/00401706.1970.10488634",
    ),
    Entry(
        "group", "regularizer", f"{_HOME}.weights:Group", "Whole columns cost, so columns that do not matter are switched off.",
        cost="one pass over the tokens", source="Yuan, Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x",
    ),
    Entry(
        "feat_mix", "regularizer", f"{_HOME}.mixes:FeatMix",
        "Rows are learned with some columns taken from another row; answers weigh by the information of the columns kept.",
        needs=("column rank",), cost="one copy of the tokens", source=_EXCEL,
    ),
    Entry(
        "hid_mix", "regularizer", f"{_HOME}.mixes:HidMix", "Rows are learned with some entries of their tokens taken from another row.",
        cost="one copy of the tokens", source=_EXCEL,
    ),
    Entry(
        "orthogonal", "regularizer", f"{_HOME}.weights:Orthogonal", "Matrices that change lengths cost, so layers stay near-isometric.",
        cost="one product of each matrix with itself", source="Wang, Chen, Chakraborty, Yu 2020, arXiv:1911.12207",
    ),
    Entry(
        "tangos", "regularizer", f"{_HOME}.tangos:Tangos", "Hidden units should look at few columns, and no two at the same ones.",
        cost="a forward pass and the Jacobian of 32 hidden units a step",
        source="Jeffares, Liu, Crabbe, Imrie, van der Schaar 2023, arXiv:2303.05506",
    ),
    Entry(
        "mixup", "regularizer", f"{_HOME}.augment:Mixup", "Rows between two rows, with answers between theirs.",
        cost="one pass over the tokens", source="Zhang, Cisse, Dauphin, Lopez-Paz 2018, arXiv:1710.09412",
    ),
    Entry(
        "cutmix", "regularizer", f"{_HOME}.augment:CutMix", "Rows with some columns of another row, and that share of its answer.",
        cost="one pass over the tokens", source="Yun, Han, Oh, Chun, Choe, Yoo 2019, arXiv:1905.04899",
    ),
    Entry(
        "noise", "regularizer", f"{_HOME}.augment:Noise", "Small noise on the scaled numbers.",
        cost="one pass over the numbers", source="Bishop 1995, doi:10.1162/neco.1995.7.1.108",
    ),
    Entry(
        "mask_columns", "regularizer", f"{_HOME}.augment:MaskColumns",
        "Random columns are hidden while learning, so that tests which remove columns ask the network nothing new.",
        cost="one pass over the tokens", source="Madsen, Reddy, Chandar 2024, arXiv:2310.07819",
    ),
    Entry(
        "adversarial", "regularizer", f"{_HOME}.augment:Adversarial", "Numbers are moved a little to where the loss grows fastest.",
        cost="one more forward and backward pass a step", source="Goodfellow, Shlens, Szegedy 2015, arXiv:1412.6572",
    ),
    Entry(
        "swa", "regularizer", f"{_HOME}.averaging:WeightAveraging", "What is kept is the mean of the weights over the last steps.",
        cost="one copy of the weights, one pass over them a step",
        source="Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, arXiv:1803.05407",
        exempt={"it_does_something_and_stays_finite": "it acts on the weights between two steps, not on what one step reads"},
    ),
)  # fmt: skip
