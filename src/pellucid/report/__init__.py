"""What a reader sees: figures, the page and its twins. Reads results only; ``pellucid.report(...)`` makes the results and calls this."""

from __future__ import annotations

from pellucid.registry import callable_package
from pellucid.report.charts import chart

__all__ = ["chart"]

callable_package(__name__, "pellucid.cli.job:report")
