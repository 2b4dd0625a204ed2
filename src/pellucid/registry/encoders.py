"""Registry lines of the encoders: how the cells of a column become its token."""

from __future__ import annotations

from pellucid.registry import Entry

_PLE = "Gorishniy, Rubachev, Babenko 2022, arXiv:2203.05556"
_PERIODIC = "pellucid.nn.embeddings.periodic"

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
        "plain", "encoder", "pellucid.nn.embeddings.scalar:Plain",
        "The scaled number itself; for backbones that read one number per column.",
        takes="number", cost="none; one learned number a column", source="Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959",
    ),
    Entry(
        "flagged", "encoder", "pellucid.nn.embeddings.scalar:Flagged",
        "The scaled number and a mark of missing cells; for sums of curves.",
        takes="number", cost="none; one learned number a column", source="Nori, Jenkins, Koch, Caruana 2019, arXiv:1909.09223",
    ),
    Entry(
        "stack", "encoder", "pellucid.nn.embeddings.scalar:Stack",
        "The scaled number repeated: the control in comparisons of encoders.",
        takes="number", cost="none; one learned number a column", source=_PLE,
    ),
    Entry(
        "periodic", "encoder", f"{_PERIODIC}:Periodic",
        "Sines and cosines of the number at learned frequencies.",
        takes="number", cost="D sines a cell", source=_PLE,
    ),
    Entry(
        "plr", "encoder", f"{_PERIODIC}:PLR",
        "Sines and cosines, a linear map per column, ReLU.",
        takes="number", cost="2 k sines and 2 k * D multiply-adds a cell, k = 48", source=_PLE,
    ),
    Entry(
        "plr_lite", "encoder", f"{_PERIODIC}:PLRLite",
        "Sines and cosines, one linear map for all columns, ReLU.",
        takes="number", cost="2 k sines and 2 k * D multiply-adds a cell, k = 48",
        source="Gorishniy, Rubachev, Kartashev, Shlenskii, Kotelnikov, Babenko 2023, arXiv:2307.14338",
    ),
    Entry(
        "pbld", "encoder", f"{_PERIODIC}:PBLD",
        "The number beside a linear map of cosines with learned frequency and phase.",
        takes="number", cost="k cosines and k * D multiply-adds a cell, k = 16",
        source="Holzmueller, Grinsztajn, Steinwart 2024, arXiv:2407.04491",
    ),
    Entry(
        "mlp", "encoder", "pellucid.nn.embeddings.column_mlp:ColumnMLP",
        "A small network of its own for every column.",
        takes="number", cost="h * (1 + D) multiply-adds a cell, h = 16",
        source="Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959",
    ),
    Entry(
        "lookup", "encoder", "pellucid.nn.embeddings.levels:LevelTable",
        "One table of vectors with disjoint ranges: each level of each column has its own; the default for categories.",
        takes="category", cost="D reads a cell; D numbers a level", source="Guo, Berkhahn 2016, arXiv:1604.06737",
    ),
    Entry(
        "onehot", "encoder", "pellucid.nn.embeddings.onehot:OneHot",
        "A place of its own for every level, nothing learned; tokens as wide as the widest column.",
        takes="category", cost="D reads a cell", source="Guo, Berkhahn 2016, arXiv:1604.06737",
    ),
    Entry(
        "unified", "encoder", "pellucid.nn.embeddings.unified:UnifiedTable",
        "One table that all levels of all columns are hashed into; for columns of very many levels.",
        takes="category", cost="6 reads and 24 * D multiply-adds a cell; a tenth of a full table's numbers",
        source="Coleman, Kang, Fahrbach and others 2023, arXiv:2305.12102",
    ),
)  # fmt: skip
