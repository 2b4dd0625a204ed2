"""What weakens the report, and what it cannot tell: gravest first, each a sentence from figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from pellucid.intervals import Z95, wilson
from pellucid.report.answers import certain, finding_words, no_reasons
from pellucid.report.facts import ReportData, Score
from pellucid.report.rivals import beats_null, best_trees, paired, rival_words
from pellucid.report.words import capital, clean, join, label, number, percent, ranged, score_text

__all__ = ["unknowns", "weak_points"]


def _weaknesses(data: ReportData) -> Iterator[tuple[int, str]]:
    """Yield (gravity, sentence) of everything that weakens the report's claims."""
    method = data.explanation.record.method if data.explanation is not None else None
    main = data.scores[0] if data.scores else None
    if main is not None and beats_null(main) is False:
        yield (
            100,
            f"Not measurably better than {clean(main.null_words) or 'guessing'}: {label(main.metric)} {score_text(main)}.",
        )
    for t in data.trials:
        if t.verdict == "fail":
            yield (
                90 if t.subject == method else 45,
                f"Explanation {clean(t.subject)} failed the trial {clean(t.name).replace('_', ' ')}: {clean(t.words, 300)}",
            )
    for f in data.findings:
        if f.severity != "low":
            gravity = {"high": 85, "medium": 35}[f.severity] + 10 * ("leak" in f.kind)
            yield (
                gravity,
                f"{finding_words(f, upper=True)} ({f.severity}): {clean(f.evidence, 300)}",
            )
    certainty = certain(data)
    if certainty.status in ("fail", "caution"):
        yield {"fail": 88, "caution": 50}[certainty.status], certainty.words
    if data.given_away:
        told = join([f"'{clean(c, 40)}'" for c in data.given_away])
        yield 87, f"What the answers are made of tells {told} beyond chance, which it should not."
    yield from _rival_weakness(data)
    yield from _group_weakness(data)
    if data.silence is not None and data.silence.gain_interval[0] <= 0 and data.silence.overall > 0:
        yield 45, f"The doubt does not measurably tell where the errors are: {clean(data.silence.words, 300)}"
    if data.refused_share > 0.05:
        why = f": {clean(data.refused_why, 200)}" if data.refused_why else ""
        yield 40, f"{percent(data.refused_share)} of test rows are refused an answer{why}."
    if data.unfamiliar_share > 0.05:
        yield 40, f"{percent(data.unfamiliar_share)} of test rows are less familiar than 99 % of training rows."
    yield from ((20, clean(c, 300)) for c in data.caveats)


def _rival_weakness(data: ReportData) -> Iterator[tuple[int, str]]:
    simple, trees = paired(data, data.linear), best_trees(data)
    if simple is not None and simple.outcome in ("as good", "worse"):
        yield 60, rival_words(data, simple, "the linear model")
    pair = paired(data, trees) if trees else None
    if pair is not None and pair.outcome == "worse":
        yield 55, rival_words(data, pair, "boosted trees")


def _group_weakness(data: ReportData) -> Iterator[tuple[int, str]]:
    """Yield the group whose interval lies furthest on the wrong side of the overall figure, or of the promised coverage.

    The interval is widened for the number of groups looked at (Bonferroni): of 40 equal groups, one is that far behind by chance.
    """
    if data.promise is not None:
        lines = data.promise.table
        bad = lines[(lines["verdict"] == "broken") & (lines["group"] != "all rows")]
        yield from (
            (68, f"The promise of {percent(v, 0)} is not kept for {clean(data.promise.grouping)} = {clean(g)}: {percent(s)} of {n:,} rows.")
            for g, v, s, n in bad[["group", "level", "share", "n"]].itertuples(index=False)
        )
    far: list[tuple[float, Score, float]] = []
    overall = {s.metric: s.value for s in reversed(data.scores)}
    against_whole = [(g, g.null if g.metric == "coverage" else overall.get(g.metric, math.nan)) for g in data.groups]
    looked = [(g, whole) for g, whole in against_whole if math.isfinite(whole - (g.high if g.higher_is_better else g.low))]
    for g, whole in looked:
        behind = _behind(g, whole, len(looked))
        if behind > 0:
            far.append((behind / max(abs(whole), 1e-12), g, whole))
    if far:
        _, g, whole = max(far, key=lambda item: item[0])
        figure = ranged(g.value, g.low, g.high, g.unit)
        against = "promised" if g.metric == "coverage" else "overall"
        of = f", more than chance makes of the worst of {len(looked)} figures" if len(looked) > 1 else ""
        yield 70, f"{capital(label(g.metric))} for {clean(g.of)} is {figure} on {g.n:,} rows, {against} {number(whole)}{of}."


def _behind(g: Score, whole: float, looked: int) -> float:
    """Return how far a group's interval, widened for ``looked`` figures, lies on the wrong side of the whole; negative if on the right."""
    z = NormalDist().inv_cdf(1 - (1 - NormalDist().cdf(Z95)) / looked)
    if g.metric in ("accuracy", "coverage") and g.n:
        return whole - float(wilson(g.value * g.n, g.n, z)[1])
    toward = g.high - g.value if g.higher_is_better else g.value - g.low
    gap = whole - g.value if g.higher_is_better else g.value - whole
    return gap - z / Z95 * toward


def _untested(data: ReportData) -> Iterator[str]:
    """Yield one sentence per explanation method of which some trials gave no verdict."""
    for method in dict.fromkeys(t.subject for t in data.trials):
        own = [t for t in data.trials if t.subject == method]
        left = [t for t in own if t.verdict == "not testable"]
        if len(left) == 1:
            why = clean(left[0].words, 300).removeprefix("not testable").removeprefix("Not tested").lstrip(" :,;")
            yield f"The trial {clean(left[0].name).replace('_', ' ')} of {clean(method)} gave no verdict: {why}"
        elif left:
            yield f"{len(left)} of {len(own)} trials of {clean(method)} gave no verdict; chapter 1 says which and why."


def unknowns(data: ReportData) -> tuple[str, ...]:
    """Return what cannot be told, with the missing count that would settle it where it follows from the figures."""
    out = [clean(u, 400) for u in data.unknown]
    for name, kind in ((data.linear, "the linear model"), (best_trees(data), "boosted trees")):
        pair = paired(data, name) if name else None
        n = data.scores[0].n if data.scores else 0
        if pair is not None and pair.outcome == "as good" and n and pair.difference:
            need = n * ((pair.high - pair.low) / 2 / max(abs(pair.difference), 1e-12)) ** 2
            lead = f"Whether ours or {kind} ({clean(pair.rival)}) is better: "
            if need > 100 * n:
                words = f"{lead}the difference is too small to be settled by a hundred times these {n:,} test rows."
            else:
                words = f"{lead}if the difference stays as it is, about {math.ceil(need):,} test rows would settle it (now {n:,})."
            out.append(words)
    out += _untested(data)
    if not data.model:
        out.append("Why, and how certain: no model was fitted" + ("." if data.target else ", because no column was named as the target."))
    if data.model and data.coverage is None:
        out.append("Whether the sets or intervals keep their promise: no test row with a known answer was set aside for it.")
    if data.model and data.explanation is None:
        out.append(f"Why the model answers as it does: {no_reasons(data)}")
    if data.model:
        out.append("Whether changing a cell would change the outcome in the world: contributions describe the model, not causes.")
        out.append("How the model does on rows from another source or a later time than this table.")
    return tuple(dict.fromkeys(out))


def weak_points(data: ReportData, most: int = 3) -> tuple[str, ...]:
    """Return the weakest points, gravest first; equally grave ones in the order in which they were found."""
    ordered = sorted(_weaknesses(data), key=lambda w: -w[0])
    return tuple(dict.fromkeys(words for _, words in ordered))[:most]
