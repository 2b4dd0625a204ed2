"""Registry lines of the encoders: how gaps are filled, and how the cells of a column become its token."""

from __future__ import annotations

from pellucid.registry import Entry

_FILLS = "pellucid.encode.fills"
_RUBIN = "Little, Rubin 2002, doi:10.1002/9781119013563"
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
    Entry(
        "quantile", "scale", "pellucid.encode.scales:quantile",
        "The normal quantile of a number's place among the training values; the default.",
        cost="one sort a column", source="Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959",
    ),
    Entry(
        "zscore", "scale", "pellucid.encode.scales:zscore",
        "Mean 0 and standard deviation 1 over the training rows.",
        cost="one pass a column", source="LeCun, Bottou, Orr, Müller 1998, doi:10.1007/3-540-49430-8_2",
    ),
    Entry(
        "minmax", "scale", "pellucid.encode.scales:minmax",
        "The smallest training value at 0, the largest at 1.",
        cost="one pass a column", source="Han, Kamber, Pei 2011, Data Mining: Concepts and Techniques, chapter 3",
    ),
    Entry(
        "robust", "scale", "pellucid.encode.scales:robust",
        "The median at 0, the middle half of the rows one wide: outliers do not count.",
        cost="one sort a column", source="Rousseeuw, Croux 1993, doi:10.1080/01621459.1993.10476408",
    ),
    Entry(
        "learned", "fill", f"{_FILLS}.single:Learned",
        "Missing stays a state of its own, learned by the model; the default.",
        cost="none", source="Josse, Chen, Prost, Varoquaux, Scornet 2024, doi:10.1007/s00362-024-01550-4",
    ),
    Entry(
        "mode", "fill", f"{_FILLS}.single:Mode",
        "The most frequent value; of several the smallest, or the first level.",
        cost="one sort a column", source=_RUBIN,
    ),
    Entry(
        "sample", "fill", f"{_FILLS}.single:Sample",
        "A draw from what was observed: keeps the column's distribution and weakens its relations.",
        cost="one sort a column", source=_RUBIN,
    ),
    Entry(
        "constant", "fill", f"{_FILLS}.single:Constant",
        "A value of the user's; by default 0, or a level 'missing' of its own.",
        options={"value": None}, cost="none", source=_RUBIN,
    ),
    Entry(
        "mean", "fill", f"{_FILLS}.single:Mean",
        "The mean of numbers, the most frequent level of levels.",
        cost="one pass a column", source=_RUBIN,
    ),
    Entry(
        "median", "fill", f"{_FILLS}.single:Median",
        "The median of numbers and of ordered levels, the most frequent level of others.",
        cost="one sort a column", source=_RUBIN,
    ),
    Entry(
        "ffill", "fill", f"{_FILLS}.ordered:Forward",
        "The last known cell before it, in a declared order and within the group.",
        cost="one sort of the rows", source=_RUBIN,
    ),
    Entry(
        "bfill", "fill", f"{_FILLS}.ordered:Backward",
        "The next known cell after it, in a declared order and within the group; looks ahead.",
        cost="one sort of the rows", source=_RUBIN,
    ),
    Entry(
        "interpolate", "fill", f"{_FILLS}.ordered:Interpolate",
        "The place on the line between the known cells before and after, in a declared order and within the group.",
        cost="one sort of the rows", source=_RUBIN,
    ),
    Entry(
        "knn", "fill", f"{_FILLS}.neighbours:Nearest",
        "The mean, or the most frequent level, of the k most alike rows; mixed columns.",
        options={"k": 5}, cost="rows with a gap x 2,000 kept rows x C",
        source="Troyanskaya and others 2001, doi:10.1093/bioinformatics/17.6.520",
    ),
    Entry(
        "cluster", "fill", f"{_FILLS}.clusters:Cluster",
        "The median, or the most frequent level, of the cluster that the row belongs to.",
        options={"k": 8}, cost="5 rounds of k-means on at most 20,000 rows",
        source="Chi, Chi, Baraniuk 2016, doi:10.1080/00031305.2015.1086685",
    ),
    Entry(
        "iterative", "fill", f"{_FILLS}.iterative:Iterative",
        "Every column from all others by ridge regressions, round after round.",
        options={"rounds": 10, "ridge": 1e-3}, cost="10 x C solutions of F equations on at most 20,000 rows",
        source="van Buuren, Groothuis-Oudshoorn 2011, doi:10.18637/jss.v045.i03",
    ),
)  # fmt: skip
