"""Deep learning on a single table that answers for itself.

Three questions about every prediction: why this decision, how certain is it, can the data be trusted? Names are loaded when first used, so
``import pellucid`` is fast; ``explain``, ``uncertainty``, ``audit``, ``select``, ``act`` and ``report`` are packages that can be called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.act import act
    from pellucid.audit import audit
    from pellucid.audit.by_group import by_group
    from pellucid.audit.reduce import reduce
    from pellucid.audit.repair import repair
    from pellucid.audit.shift import reweigh, shift
    from pellucid.cli.job import report
    from pellucid.encode.filled import fill
    from pellucid.encode.scaling import scale
    from pellucid.errors import (
        ArgumentError,
        CellError,
        ColumnError,
        DataError,
        EmptyTableError,
        MissingExtraError,
        ModelFileError,
        NotFittedError,
        NotOfferedError,
        PellucidError,
        PellucidWarning,
        RequestError,
        SourceError,
        TargetError,
    )
    from pellucid.estimators import RowModel, TabularClassifier, TabularRegressor, load
    from pellucid.evaluate import compare, learning_curve, prove, trial
    from pellucid.evaluate.repaired import trace_repairs
    from pellucid.explain import explain
    from pellucid.explain.fitting import fit_explainer
    from pellucid.maps import map
    from pellucid.probe.grouping import propose_groups
    from pellucid.registry import Entry, register
    from pellucid.registry import entries as methods
    from pellucid.report import chart
    from pellucid.select import select
    from pellucid.table import Schema, Table, read_table
    from pellucid.uncertainty import uncertainty

# where a public name lives; the others are errors
_HOME = {
    "TabularClassifier": "estimators",
    "TabularRegressor": "estimators",
    "RowModel": "estimators",
    "load": "estimators",
    "Schema": "table",
    "Table": "table",
    "read_table": "table",
    "act": "act",
    "audit": "audit",
    "by_group": "audit.by_group",
    "shift": "audit.shift",
    "reweigh": "audit.shift",
    "explain": "explain",
    "fit_explainer": "explain.fitting",
    "uncertainty": "uncertainty",
    "select": "select",
    "map": "maps",
    "fill": "encode.filled",
    "scale": "encode.scaling",
    "reduce": "audit.reduce",
    "repair": "audit.repair",
    "trace_repairs": "evaluate.repaired",
    "trial": "evaluate",
    "compare": "evaluate",
    "learning_curve": "evaluate",
    "prove": "evaluate",
    "chart": "report",
    "report": "report",
    "propose_groups": "probe.grouping",
    "Entry": "registry",
    "register": "registry",
    "methods": "registry",
}

__all__ = [
    "ArgumentError",
    "CellError",
    "ColumnError",
    "DataError",
    "EmptyTableError",
    "Entry",
    "MissingExtraError",
    "ModelFileError",
    "NotFittedError",
    "NotOfferedError",
    "PellucidError",
    "PellucidWarning",
    "RequestError",
    "RowModel",
    "Schema",
    "SourceError",
    "Table",
    "TabularClassifier",
    "TabularRegressor",
    "TargetError",
    "__version__",
    "act",
    "audit",
    "by_group",
    "chart",
    "compare",
    "explain",
    "fill",
    "fit_explainer",
    "learning_curve",
    "load",
    "map",
    "methods",
    "propose_groups",
    "prove",
    "read_table",
    "reduce",
    "register",
    "repair",
    "report",
    "reweigh",
    "scale",
    "select",
    "shift",
    "trace_repairs",
    "trial",
    "uncertainty",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pellucid")
    if name in __all__:
        from pellucid import registry

        return registry.public(_HOME.get(name, "errors"), name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
