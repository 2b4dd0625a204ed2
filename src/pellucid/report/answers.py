"""The three questions, each with a badge and an answer in words that follow from the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pellucid.report.facts import ReportData
from pellucid.report.words import capital, clean, join, number, percent
from pellucid.results import SEVERITIES, Finding, Trial
from pellucid.results.owed import ATTENDING

__all__ = ["STATUSES", "Line", "badge", "certain", "finding_words", "gravest", "methods_of", "trusted", "why"]

STATUSES = ("fail", "caution", "untested", "pass")
"""Badges, gravest first."""
EASY = frozenset({"completeness", "error_cover", "stability"})
"""Trials that an explanation can pass without speaking of the model: its sums, its standard errors, its repetition."""


@dataclass(frozen=True)
class Line:
    """One of the three questions with its badge, its one-line answer and the sentences behind it."""

    question: str
    status: str
    words: str
    details: tuple[str, ...] = ()


def badge(trials: Iterable[Trial]) -> str:
    """Return the badge of what was tried: one failure fails it; a pass needs a passed trial that asks the model, not only arithmetic."""
    tried = list(trials)
    if any(t.verdict == "fail" for t in tried):
        return "fail"
    return "pass" if any(t.verdict == "pass" and not _easy(t) for t in tried) else "untested"


def _easy(trial: Trial) -> bool:
    """Whether passing does not speak for the answer; all attention that was learned changes with the weights, needed or not."""
    return trial.name in EASY or (trial.subject in ATTENDING and trial.name == "weight_randomisation")


def methods_of(data: ReportData) -> dict[str, str]:
    """Return the badge of every explanation method shown or tried, the main one first."""
    shown = [e.record.method for e in (data.explanation, *data.others) if e is not None]
    known = dict.fromkeys([*shown, *(t.subject for t in data.trials if t.subject)])
    return {m: badge([t for t in data.trials if t.subject == m]) for m in known}


def no_reasons(data: ReportData) -> str:
    """Return what is missing where no method became the page's explanation; others may have come through."""
    known = list(methods_of(data))
    return f"no reasons of single rows were computed in time, only {join(known)}." if known else "no explanation was computed."


def why(data: ReportData) -> Line:
    """Return the first question: can the explanations be believed?"""
    main = data.explanation
    if main is None:
        return Line("Why?", "untested", capital(no_reasons(data)))
    methods = methods_of(data)
    trials = [t for t in data.trials if t.subject == main.record.method]
    name, top = clean(main.record.method), main.mean_abs().top(3)
    lead = f"Most weight on {join(clean(c, 40) for c in top)}."
    words = {
        "pass": f"{lead} The explanation ({name}) {_counted(trials)}.",
        "fail": f"The explanation ({name}) {_counted(trials)}. Read it with care.",
        "untested": f"{lead} The explanation ({name}) was not tested against the model{_without(trials, named=True)}."
        if trials
        else f"{lead} The explanation ({name}) was not tested.",
    }
    details = tuple(f"{clean(m)}: {_told(s, [t for t in data.trials if t.subject == m])}" for m, s in methods.items())
    return Line("Why?", methods[main.record.method], words[methods[main.record.method]], details)


def _count(trials: Iterable[Trial], verdict: str) -> int:
    return sum(t.verdict == verdict for t in trials)


def _counted(trials: list[Trial]) -> str:
    """Return how many trials were failed and passed, the graver first, and how many told nothing."""
    failed, passed = _count(trials, "fail"), _count(trials, "pass")
    of = f"of {len(trials)} trial{'s' * (len(trials) > 1)}"
    said = f"failed {failed} {of}, passed {passed or 'none'}" if failed else f"passed {passed} {of}, failed none"
    return f"{said}{_without(trials)}"


def _without(trials: list[Trial], *, named: bool = False) -> str:
    left = _count(trials, "not testable")
    noun = f" trial{'s' * (left > 1)}" if named else ""
    return f"; {left}{noun} gave no verdict" if left else ""


def _told(status: str, trials: list[Trial]) -> str:
    """Return what the trials of a method said; a pass never without the number of trials that it rests on."""
    return (
        _counted(trials)
        if status in ("pass", "fail")
        else f"not tested against the model{_without(trials, named=True)}"
        if trials
        else "not tested"
    )


def certain(data: ReportData) -> Line:
    """Return the second question: does the stated certainty hold on test rows?"""
    cover, curve = data.coverage, data.calibration
    parts: list[tuple[str, str]] = []
    if cover is not None and math.isfinite(cover.value):
        known = math.isfinite(cover.low) and math.isfinite(cover.high)
        short = known and cover.high < cover.null
        excuse = _excuse(data, cover.null) if short else ""
        state = "untested" if not known else "caution" if excuse else "fail" if short else "pass"
        what = "Sets" if data.task == "classification" else "Intervals"
        held = f"{what} promised {percent(cover.null, 0)} hold the truth in {percent(cover.value)} of {cover.n:,} {clean(cover.of)}"
        ends = f" (95 % interval {100 * cover.low:.1f} to {percent(cover.high)})" if known else ""
        more = ", more than promised: wider than they need be" if known and cover.low > cover.null else ""
        parts.append((state, f"{held}{ends}{more}{excuse}."))
    if curve is not None and math.isfinite(curve.error) and math.isfinite(curve.null_error_high):
        good = curve.error <= curve.null_error_high
        verb = "are consistent with calibrated ones" if good else "are off"
        figures = (
            f"calibration error {number(curve.error, 0.01)}, up to {number(curve.null_error_high, 0.01)} for a perfectly calibrated model"
        )
        parts.append(("pass" if good else "caution", f"Probabilities {verb}: {figures}."))
    if not parts:
        return Line("How certain?", "untested", "The stated certainty was not checked against true answers.")
    worst = min((s for s, _ in parts), key=STATUSES.index)
    ordered = sorted(parts, key=lambda p: STATUSES.index(p[0]))
    return Line("How certain?", worst, ordered[0][1], tuple(w for _, w in ordered[1:]))


def _excuse(data: ReportData, level: float) -> str:
    """Return why a share below the level breaks no promise, or nothing where it does: chapter 2 judges by what was promised."""
    lines = None if data.promise is None else data.promise.table
    if lines is None:
        return ""
    own = lines[(lines["group"] == "all rows") & ((lines["level"] - level).abs() < 1e-9)]
    if not len(own) or own["verdict"].iloc[0] not in ("kept", "short"):
        return ""
    folds = not math.isfinite(own["expected_low"].iloc[0])
    return f": short of it, within what {'folds' if folds else 'so few held-out rows'} leave open (chapter 2 says what is promised)"


def trusted(data: ReportData) -> Line:
    """Return the third question: can the table be trusted?"""
    count = {s: sum(f.severity == s for f in data.findings) for s in SEVERITIES}
    said = join(f"{count[s]} of {s} severity" for s in reversed(SEVERITIES) if count[s])
    if not data.findings:
        return Line("The data", "pass", "The audits that ran found nothing to report.")
    first = gravest(data)[0]
    n = len(data.findings)
    one = next((s for s in SEVERITIES if count[s] == n), "")
    said = f", {'all ' * (n > 1)}of {one} severity" if one else f": {said}"
    words = f"{n} finding{'s' * (n > 1)}{said}. Gravest: {finding_words(first)}."
    return Line("The data", "fail" if count["high"] else "caution" if count["medium"] else "pass", words)


def gravest(data: ReportData) -> list[Finding]:
    """Return the findings, gravest first; order within a severity stays."""
    return sorted(data.findings, key=lambda f: -SEVERITIES.index(f.severity))


def finding_words(finding: Finding, upper: bool = False) -> str:
    """Return a finding's kind with its columns in a few words."""
    columns = [clean(c, 40) for c in finding.columns]
    some = join(columns if len(columns) <= 3 else [*columns[:2], f"{len(columns) - 2} more"])
    words = f"{clean(finding.kind, 60).replace('_', ' ')}{f' in {some}' if some else ''}"
    return capital(words) if upper else words
