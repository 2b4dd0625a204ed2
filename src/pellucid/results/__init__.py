"""What answers are: frozen, complete, below their makers. Results never draw (``pellucid.chart`` does).

Every result carries a :class:`RunRecord`, so that each number can be replayed. Letters: N rows, P players (columns or named groups),
O outputs, K members.
"""

from pellucid.results.account import Account
from pellucid.results.base import FloatArray, Result, RunRecord, plain
from pellucid.results.clusters import Clusters
from pellucid.results.complexity import FeatureComplexity
from pellucid.results.contributions import Explanation, Importance
from pellucid.results.decision import Decision
from pellucid.results.factors import FactorGeometry
from pellucid.results.feature_sets import FeatureSets
from pellucid.results.fills import Fills
from pellucid.results.groups import Gap, GroupTable, Rate
from pellucid.results.heads import HeadImportance
from pellucid.results.importances import Importances
from pellucid.results.inside import AttentionMaps, UnitMaps
from pellucid.results.layers import LayerProbes, LayerRelevance
from pellucid.results.learning import LearningCurve
from pellucid.results.maps import Map, Representatives, Scatter
from pellucid.results.parting import Parting
from pellucid.results.people import Actions, FoundRows, Inquiry, Neighbours
from pellucid.results.prediction import Prediction
from pellucid.results.promises import Coverage, NextRows, RiskCoverage, Watch
from pellucid.results.repairs import Repairs, RepairTrace
from pellucid.results.resemblance import Resemblance
from pellucid.results.scaled import Reduction, Scaled
from pellucid.results.selection import Selection
from pellucid.results.shapes import Curve, Heads, Interactions, Rule, Rules, Words
from pellucid.results.shift import CostOfShift, Shift, Weights
from pellucid.results.verdicts import SEVERITIES, VERDICTS, Finding, Leaderboard, Trial, stack_findings

__all__ = [
    "SEVERITIES",
    "VERDICTS",
    "Account",
    "Actions",
    "AttentionMaps",
    "Clusters",
    "CostOfShift",
    "Coverage",
    "Curve",
    "Decision",
    "Explanation",
    "FactorGeometry",
    "FeatureComplexity",
    "FeatureSets",
    "Fills",
    "Finding",
    "FloatArray",
    "FoundRows",
    "Gap",
    "GroupTable",
    "HeadImportance",
    "Heads",
    "Importance",
    "Importances",
    "Inquiry",
    "Interactions",
    "LayerProbes",
    "LayerRelevance",
    "Leaderboard",
    "LearningCurve",
    "Map",
    "Neighbours",
    "NextRows",
    "Parting",
    "Prediction",
    "Rate",
    "Reduction",
    "RepairTrace",
    "Repairs",
    "Representatives",
    "Resemblance",
    "Result",
    "RiskCoverage",
    "Rule",
    "Rules",
    "RunRecord",
    "Scaled",
    "Scatter",
    "Selection",
    "Shift",
    "Trial",
    "UnitMaps",
    "Watch",
    "Weights",
    "Words",
    "plain",
    "stack_findings",
]
