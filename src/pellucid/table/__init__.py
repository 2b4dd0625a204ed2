"""Tables: reading, typing, describing and splitting them."""

from pellucid.table.infer import infer_schema, retype
from pellucid.table.read import apply_schema, iterate_parquet, read_table
from pellucid.table.schema import Schema
from pellucid.table.sentinels import propose_missing
from pellucid.table.splits import Plan, by_chance, copies, held_share, make_plan, pairs_by_chance
from pellucid.table.table import Table
from pellucid.table.types import Column, ColumnType, Role

__all__ = [
    "Column",
    "ColumnType",
    "Plan",
    "Role",
    "Schema",
    "Table",
    "apply_schema",
    "by_chance",
    "copies",
    "held_share",
    "infer_schema",
    "iterate_parquet",
    "make_plan",
    "pairs_by_chance",
    "propose_missing",
    "read_table",
    "retype",
]
