"""Registry lines of the encoders: how the cells of a column become its token."""

from __future__ import annotations

from pellucid.registry import Entry

_PLE = "Gorishniy, Rubachev, Babenko 2022, arXiv:2203.05556"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "ple", "encoder", "pellucid.nn.embeddings.piecewise:PiecewiseLinear",
        "A line plus a piecewise-linear curve that starts at zero (version B); the default for numbers.",
        takes="number", cost="T * D multiply-adds a cell", source="Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210",
    ),
    Entry(
        "ple_a", "encoder", "pellucid.nn.embeddings.piecewise:PiecewiseLinearA",
        "A piecewise-linear curve through bins, with ReLU (version A).",
        takes="number", cost="T * D multiply-adds a cell", source=_PLE,
    ),
    Entry(
        "linear", "encoder", "pellucid.nn.embeddings.piecewise:Linear",
        "A line per column: the feature tokenizer.",
        takes="number", cost="D multiply-adds a cell", source="Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959",
    ),
    Entry(
        "lookup", "encoder", "pellucid.nn.embeddings.levels:LevelTable",
        "One table of vectors with disjoint ranges: each level of each column has its own; the default for categories.",
        takes="category", cost="D reads a cell; D numbers a level", source="Guo, Berkhahn 2016, arXiv:1604.06737",
    ),
)  # fmt: skip
