"""Registry lines of the audits. Each target takes a ``pellucid.audit.view.View`` and returns findings."""

from __future__ import annotations

from pellucid.registry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="leakage",
        kind="audit",
        target="pellucid.audit.leakage:find",
        summary="Columns that know the target: out-of-fold scores of single columns, functions of the target, row order, tell-tale names.",
        question="data",
        needs=("labels",),
        cost="one pass per column; two boosted trees on at most 20,000 rows",
        source="Kaufman, Rosset, Perlich, Stitelman 2012, doi:10.1145/2382577.2382579",
    ),
    Entry(
        name="duplicates",
        kind="audit",
        target="pellucid.audit.duplicates:find",
        summary="Copies of rows, copies with different targets, copies on both sides of the split.",
        question="data",
        cost="one pass over the cells",
    ),
    Entry(
        name="missing",
        kind="audit",
        target="pellucid.audit.missing:find",
        summary="Missing cells: how many, together with which, and whether being missing says something; codes that may mean missing.",
        question="data",
        cost="one pass per column; three small boosted trees for each of at most 8 columns",
        source="Rubin 1976, doi:10.1093/biomet/63.3.581",
    ),
    Entry(
        name="values",
        kind="audit",
        target="pellucid.audit.values:find",
        summary="Cells that cannot be right: unreadable, impossible, misspelt, of another unit; spikes at the maximum and heavy tails.",
        question="data",
        cost="one pass per column; edit distances between rare and frequent levels",
    ),
    Entry(
        name="classes",
        kind="audit",
        target="pellucid.audit.classes:find",
        summary="The target: missing, constant, rare classes, imbalance, numbers with few values.",
        question="data",
        needs=("labels",),
        cost="one pass over the target",
    ),
    Entry(
        name="groups",
        kind="audit",
        target="pellucid.audit.groups:find",
        summary="Groups of people with few rows, and how the target differs between groups beyond chance.",
        question="data",
        cost="one pass per category column; 1,000 draws of group counts",
    ),
    Entry(
        name="constants",
        kind="audit",
        target="pellucid.audit.constants:find",
        summary="Columns that say nothing or the same twice: empty, constant, nearly constant, identifiers, doubled columns.",
        question="data",
        cost="one pass per column; correlations of number columns on at most 50,000 rows",
    ),
    Entry(
        name="unfamiliar",
        kind="audit",
        target="pellucid.audit.unfamiliar:find",
        summary="Rows unlike any that the model was trained on.",
        question="data",
        needs=("training rows",),
        cost="N x M x C differences, M kept rows (at most 1,000)",
        source="Sun, Ming, Zhu, Li 2022, arXiv:2204.06507",
    ),
    Entry(
        name="slips",
        kind="audit",
        target="pellucid.audit.slips:find",
        summary="Numbers off by a power of ten for their row: decimal points and units that slipped.",
        question="data",
        cost="two small boosted trees on at most 10,000 rows for each of at most 24 number columns",
        source="Hellerstein 2008, Quantitative data cleaning for large databases, UNECE",
    ),
)
