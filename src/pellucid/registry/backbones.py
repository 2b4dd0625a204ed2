"""Registry lines of the backbones."""

from __future__ import annotations

from pellucid.registry import Entry

_TABM = "Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210"
_RTDL = "Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "tabm", "backbone", "pellucid.nn.backbones.tabm:TabM",
        "One network that is K networks: shared matrices, own scales and heads; the default.",
        takes="flat", cost="K * (C * D * h + (blocks - 1) * h**2) multiply-adds a row", source=_TABM,
    ),
    Entry(
        "tabm_mini", "backbone", "pellucid.nn.backbones.tabm:TabMMini",
        "K members that differ by their input scales and heads alone.",
        takes="flat", cost="as tabm, with fewer elementwise passes", source=_TABM,
    ),
    Entry(
        "mlp", "backbone", "pellucid.nn.backbones.mlp:MLP",
        "A plain multi-layer perceptron on the embedded columns.",
        takes="flat", cost="C * D * h + (blocks - 1) * h**2 multiply-adds a row", source=_RTDL,
    ),
    Entry(
        "ft_transformer", "backbone", "pellucid.nn.backbones.ft_transformer:FTTransformer",
        "Attention between the columns' tokens; its attention maps can be shown.",
        takes="tokens", cost="blocks * (8 * C * D**2 + 2 * C**2 * D) multiply-adds a row", source=_RTDL,
    ),
)  # fmt: skip
