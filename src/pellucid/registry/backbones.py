"""Registry lines of the backbones."""

from __future__ import annotations

from pellucid.registry import Entry

_TABM = "Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210"
_RTDL = "Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959"

_PERCEPTRON = {"width": "width", "blocks": "blocks", "dropout": "dropout"}
_MEMBERS = {"members": "members", **_PERCEPTRON}

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "tabm", "backbone", "pellucid.nn.backbones.tabm:TabM",
        "One network that is K networks: shared matrices, own scales and heads; the default.",
        takes="flat", cost="K * (C * D * h + (blocks - 1) * h**2) multiply-adds a row", source=_TABM, reads=_MEMBERS,
    ),
    Entry(
        "tabm_mini", "backbone", "pellucid.nn.backbones.tabm:TabMMini",
        "K members that differ by their input scales and heads alone.",
        takes="flat", cost="as tabm, with fewer elementwise passes", source=_TABM, reads=_MEMBERS,
    ),
    Entry(
        "mlp", "backbone", "pellucid.nn.backbones.mlp:MLP",
        "A plain multi-layer perceptron on the embedded columns.",
        takes="flat", cost="C * D * h + (blocks - 1) * h**2 multiply-adds a row", source=_RTDL, reads=_PERCEPTRON,
    ),
    Entry(
        "ft_transformer", "backbone", "pellucid.nn.backbones.ft_transformer:FTTransformer",
        "Attention between the columns' tokens; its attention maps can be shown.",
        takes="tokens", cost="blocks * (8 * C * D**2 + 2 * C**2 * D) multiply-adds a row", source=_RTDL,
        reads={"blocks": "blocks", "ffn_dropout": "dropout"},
        # attention needs wider tokens for its heads, and gentler rates
        recipe={
            "d_token": (32, 64), "blocks": (2, 3), "lr": 1e-3, "muon_lr": (0.005, 0.01), "weight_decay": 1e-5, "dropout": 0.1,
            "bins": (16, 48),
        },
    ),
)  # fmt: skip
