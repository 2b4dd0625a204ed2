"""From the facts to what is shown first: badges, verdict sentences, weak points. Every sentence follows from numbers by a template.

The order of judgement is fixed and stated here, so that two readers of the same figures get the same verdict:
failures before passes, what was not tested before what passed, and the simple model before ours when it is as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pellucid.report.answers import Line, badge, certain, methods_of, trusted, why
from pellucid.report.doubts import unknowns, weak_points
from pellucid.report.facts import Calibration, ColumnFact, MissingPattern, ReportData, Score
from pellucid.report.rivals import Paired, beats_null, best_trees, paired, rival_words
from pellucid.report.words import clean, join, label, percent, score_text

__all__ = ["Calibration", "ColumnFact", "Line", "MissingPattern", "Paired", "ReportData", "Score", "Verdict", "assemble", "badge"]


@dataclass(frozen=True)
class Verdict:
    """The first screen.

    Attributes
    ----------
    use, use_status : what the model may be used for, and its badge.
    score : the main score with interval and null; empty where there is none.
    rivals : one sentence each against the linear model and the best boosted trees.
    lines : Why, How certain, The data: badge and one-line answer.
    weak : up to three weakest points, gravest first.
    unknown : what cannot be told.
    methods : status of each explanation method: method -> badge.
    """

    use: str
    use_status: str
    score: str
    rivals: tuple[str, ...]
    lines: tuple[Line, Line, Line]
    weak: tuple[str, ...]
    unknown: tuple[str, ...]
    methods: Mapping[str, str]


def usage(data: ReportData) -> tuple[str, str]:
    """Return what the model may be used for, and the badge of that sentence."""
    if not data.model or not data.scores:
        return "No model was fitted: this page speaks of the data only.", "untested"
    target, main = clean(data.target, 60), data.scores[0]
    leaks = [f for f in data.findings if f.severity == "high" and "leak" in f.kind]
    beats = beats_null(main)
    if leaks:
        names = join(clean(c, 40) for f in leaks for c in f.columns)
        return f"Do not use this model yet: {names} may hold the answer itself (leakage), so the score cannot be believed.", "fail"
    if beats is None:
        return (
            f"Not settled: whether predicting {target} this way beats {clean(main.null_words) or 'guessing'} could not be told.",
            "untested",
        )
    if not beats:
        return f"Do not use this model: it is not measurably better than {clean(main.null_words) or 'guessing'}.", "fail"
    simple = paired(data, data.linear)
    if simple is not None and simple.outcome in ("as good", "worse"):
        as_good = "is better" if simple.outcome == "worse" else "is as good as far as these rows can tell"
        if data.parted:
            but = "but nothing keeps it from telling what these answers should not tell: weigh the two"
            return f"The linear model {as_good}, {but}.", "caution"
        return f"Use the linear model instead to predict {target}: it {as_good}, and it can be read directly.", "caution"
    refused = f", except the {percent(data.refused_share)} of rows it refuses" if data.refused_share > 0 else ""
    base = f"May be used to predict {target} for rows from the same source as these {data.n_rows:,}{refused}"
    grave = [line for line in (why(data), certain(data), trusted(data)) if line.status == "fail"]
    if not grave:
        return f"{base}.", "pass"
    doubts = {"Why?": "its explanations", "How certain?": "its stated certainty", "The data": "the table behind it"}
    return f"{base}; not relying on {join((doubts[g.question] for g in grave), 'or')}.", "caution"


def assemble(data: ReportData) -> Verdict:
    """Return the first screen of the report.

    Examples
    --------
    >>> facts = ReportData("visits", "visits.csv", 100, 2, (ColumnFact("age", "number"), ColumnFact("sex", "category")))
    >>> assemble(facts).use
    'No model was fitted: this page speaks of the data only.'
    """
    use, status = usage(data)
    pairs = [(paired(data, data.linear), "the linear model")]
    trees = best_trees(data)
    pairs += [(paired(data, trees), "boosted trees")] if trees else []
    rivals = tuple(rival_words(data, p, kind) for p, kind in pairs if p is not None)
    if data.model and not rivals:
        rivals = ("No other model was compared on the same rows.",)
    score = f"{label(data.scores[0].metric)} {score_text(data.scores[0])}" if data.scores else ""
    return Verdict(
        use=use,
        use_status=status,
        score=score,
        rivals=rivals,
        lines=(why(data), certain(data), trusted(data)),
        weak=weak_points(data),
        unknown=unknowns(data),
        methods=methods_of(data),
    )
