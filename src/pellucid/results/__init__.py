"""What answers are: frozen, complete, below their makers. Results never draw (``pellucid.chart`` does).

Every result carries a :class:`RunRecord`, so that each number can be replayed. Letters: N rows, P players (columns or named groups),
O outputs, K members.
"""

from pellucid.results.base import FloatArray, Result, RunRecord, plain
from pellucid.results.contributions import Explanation, Importance
from pellucid.results.people import Actions, Inquiry, Neighbours
from pellucid.results.prediction import Prediction
from pellucid.results.shapes import Curve, Interactions, Rule, Rules
from pellucid.results.verdicts import SEVERITIES, VERDICTS, Finding, Leaderboard, Trial, stack_findings

__all__ = [
    "SEVERITIES",
    "VERDICTS",
    "Actions",
    "Curve",
    "Explanation",
    "Finding",
    "FloatArray",
    "Importance",
    "Inquiry",
    "Interactions",
    "Leaderboard",
    "Neighbours",
    "Prediction",
    "Result",
    "Rule",
    "Rules",
    "RunRecord",
    "Trial",
    "plain",
    "stack_findings",
]
