"""Known scales: the only sources of an order among levels. Order is never taken from the alphabet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

__all__ = ["name_words", "order_of"]


def word_set(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())


_SCALES: tuple[tuple[str, ...], ...] = tuple(
    tuple(step.strip() for step in line.split("<"))
    for line in (
        "none|no|zero < negligible|minimal < very low|lowest|extra low < low < medium low|low medium|fairly low < medium|moderate|mid|"
        "middle|average|normal < medium high|high medium|fairly high|elevated < high < very high|highest|extra high < extreme|critical",
        "never|not at all < almost never|hardly ever|very rarely < rarely|seldom|rare < occasionally|now and then < sometimes|"
        "some of the time < regularly|often|frequently|frequent < very often|usually|most of the time|almost always|"
        "very frequently < always|all of the time",
        "strongly disagree|totally disagree|completely disagree < disagree < somewhat disagree|slightly disagree < neutral|"
        "neither|undecided|neither agree nor disagree < somewhat agree|slightly agree < agree < strongly agree|totally agree|"
        "completely agree",
        "very dissatisfied|very unsatisfied < dissatisfied|unsatisfied < neutral < satisfied < very satisfied",
        "very unlikely < unlikely < neutral|possible < likely < very likely < certain",
        "terrible|awful|very bad|very poor < bad|poor|po < below average < fair|fa|mediocre|indifferent < average|ok|okay|acceptable|"
        "typical|ta|typical/average|standard < above average < good|gd < very good < premium|great < excellent|ex|superb < ideal|perfect|"
        "outstanding",
        "useless < of little use < useful < very useful",
        "unimportant|not important < slightly important|somewhat important < moderately important < important < very important"
        " < extremely important|essential",
        "xxs < xs|extra small|very small|tiny < s|sm|small < m|med|medium < l|lg|large|big < xl|extra large|very large|huge < xxl|2xl"
        " < xxxl|3xl",
        "none|absent < minimal|trace < mild|slight|minor < moderate|medium < marked|serious|major < severe < very severe|"
        "critical|life threatening|fatal",
        "trivial < minor < moderate|medium < major < critical|blocker",
        "cold|freezing < cool|chilly < mild|moderate < warm < hot < very hot",
        "slow|very slow < medium|moderate|normal < fast < very fast",
        "worse|much worse < same|unchanged|no change < better|improved < much better",
        "decreased|decrease|down < stable|unchanged|same|steady|no change < increased|increase|up",
        "negative < neutral < positive",
        "no < maybe|perhaps|possibly|unsure < yes",
        "light < medium|moderate < heavy",
        "infant|baby < toddler < child|kid < teen|teenager|adolescent|youth < young adult|young < adult|middle aged|middle age"
        " < senior|old|elderly < very old",
        "bronze < silver < gold < platinum < diamond",
        "beginner|novice < elementary < intermediate < advanced < expert|master",
        "intern|trainee < junior < mid|mid level|intermediate < senior < lead|principal < director|head < executive",
        "hourly < daily < weekly < biweekly|fortnightly < monthly < quarterly < half yearly|semiannual|semi annual < yearly|"
        "annual|annually",
        "no schooling|no education|illiterate < primary|primary school|elementary|elementary school < middle school|"
        "lower secondary|basic < secondary|high school|secondary school|upper secondary < some college < associate|"
        "associate degree|associates < bachelor|bachelors|bachelor's|bachelor degree|bachelors degree|graduate < master|masters|"
        "master's|master degree|postgraduate < doctorate|phd|doctoral",
        "first < second < third < fourth < fifth < sixth < seventh < eighth < ninth < tenth",
        "low < lower middle < middle < upper middle < high",
        "january|jan < february|feb < march|mar < april|apr < may < june|jun < july|jul < august|aug < september|sep|sept"
        " < october|oct < november|nov < december|dec",
        "monday|mon < tuesday|tue|tues < wednesday|wed < thursday|thu|thur|thurs < friday|fri < saturday|sat < sunday|sun",
        "i3 < i2 < i1 < si3 < si2 < si1 < vs2 < vs1 < vvs2 < vvs1 < if < fl",
    )
)
_RANK: tuple[dict[str, int], ...] = tuple({word: i for i, step in enumerate(scale) for word in step.split("|")} for scale in _SCALES)
_GRADE_NAMES = word_set("grade grades rating rank ranking score class tier band level quality credit stage mark subgrade")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10}
_STEP_WORDS = word_set("grade level stage class tier step phase rank band category group quartile quintile decile q lvl year g t ecog risk")

Order = Sequence[str] | None


def name_words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name, casefolded: ``"PassengerId"`` gives passenger, id.

    Examples
    --------
    >>> name_words("PassengerId"), name_words("zip_code2")
    (('passenger', 'id'), ('zip', 'code', '2'))
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(w.casefold() for w in re.findall(r"[^\W\d_]+|\d+", split))


def order_of(levels: Iterable[str], name: str = "") -> tuple[list[str], str] | None:
    """Return (levels in order, why) where at least three levels form a known scale, else None.

    Known are common words (low to high, never to always, poor to ideal, agreement, size, severity, months, ...), ranges
    (``"1-5 years"``, ``"10+"``), ordinals (``"1st"``), numbered steps (``"grade 2"``), diamond clarity and
    colour, and, where the column's name says grade, rating or the like, letters from A, letters with a digit (``"B3"``) or a sign
    (``"A+"``), and Roman numbers.

    Examples
    --------
    >>> order_of(["Good", "Ideal", "Fair"])
    (['Fair', 'Good', 'Ideal'], 'its levels are a known scale')
    >>> order_of(["10+ years", "< 1 year", "1-5 years"])[0]
    ['< 1 year', '1-5 years', '10+ years']
    >>> order_of(["A", "B", "C"]) is None
    True
    """
    texts = list(levels)
    if not 3 <= len(texts) <= 60:
        return None
    words = frozenset(name_words(name))
    readers: tuple[tuple[Callable[[list[str], frozenset[str]], list[tuple] | None], str], ...] = (
        (_by_words, "its levels are a known scale"),
        (_by_range, "its levels are ranges, ordered by their lower bound"),
        (_by_step, "its levels are numbered steps"),
        (_by_letter, "its levels are grades"),
    )
    for read, why in readers:
        keys = read(texts, words)
        if keys is not None:
            order = sorted(range(len(texts)), key=lambda i: (keys[i], texts[i]))
            return [texts[i] for i in order], why
    return None


def _plain(text: str) -> str:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # StronglyAgree
    return re.sub(r"[\s_\-]+", " ", apart.casefold()).strip(" .")


def _by_words(texts: list[str], words: frozenset[str]) -> list[tuple] | None:
    plain = [_plain(t) for t in texts]
    bare = [re.sub(r"^(?:\d+|[a-z])\s*[.):]\s*|^\d+\s+", "", p) for p in plain]  # "1. low", "2 - medium"
    for candidate in (plain, bare):
        for rank in _RANK:
            if all(p in rank for p in candidate) and len({rank[p] for p in candidate}) >= 3:
                return [(rank[p],) for p in candidate]
    return None


_NUM = r"[$€£]?\s*(\d[\d,]*(?:\.\d+)?)\s*(k|m)?\s*%?"
_UNIT = r"\s*([a-z]+(?:/[a-z]+)?\.?(?: old)?)?"
_RANGE = re.compile(rf"[\[(]?{_NUM}{_UNIT}\s*(?:-|–|—|to|,|:)\s*{_NUM}{_UNIT}[\])]?\Z")
_BELOW = re.compile(
    rf"(?:<=?|≤|under|below|less than|up to|fewer than|at most)\s*{_NUM}{_UNIT}\Z"
    rf"|{_NUM}{_UNIT}\s*(?:or less|or under|and under|or younger|or fewer)\Z"
)
_ABOVE = re.compile(
    rf"(?:>=?|≥|over|above|more than|at least)\s*{_NUM}{_UNIT}\Z"
    rf"|{_NUM}{_UNIT}\s*(?:\+|or more|and over|and above|or over|or older|plus){_UNIT}\Z"
)
_ONE = re.compile(rf"{_NUM}{_UNIT}\Z")


def _value(number: str, scale: str | None) -> float:
    return float(number.replace(",", "")) * {"k": 1e3, "m": 1e6}.get(scale or "", 1.0)


def _bounds(text: str) -> tuple[float, float, bool] | None:
    """Return (low, high, is a range) of one level, None where it is none."""
    text = text.casefold().strip()
    if found := _RANGE.match(text):
        low, high = _value(found[1], found[2] or (found[5] if found[5] else None)), _value(found[4], found[5])
        return (low, high, True) if low <= high else None
    for shape, is_below in ((_BELOW, True), (_ABOVE, False)):
        if found := shape.match(text):
            groups = found.groups()
            number, scale = (groups[0], groups[1]) if groups[0] else (groups[3], groups[4])
            value = _value(number, scale)
            return (float("-inf"), value, True) if is_below else (value, float("inf"), True)
    if found := _ONE.match(text):
        value = _value(found[1], found[2])
        return value, value, False
    return None


def _by_range(texts: list[str], words: frozenset[str]) -> list[tuple] | None:
    bounds = [_bounds(t) for t in texts]
    if any(b is None for b in bounds) or sum(b[2] for b in bounds if b) < 2:
        return None
    return [b[:2] for b in bounds if b]


def _by_step(texts: list[str], words: frozenset[str]) -> list[tuple] | None:
    plain = [_plain(t) for t in texts]
    ordinals = [re.fullmatch(r"(\d+)(?:st|nd|rd|th)(?: (\w+))?", p) for p in plain]
    if all(ordinals):
        return [(int(m[1]),) for m in ordinals if m] if len({m[2] for m in ordinals if m}) == 1 else None
    steps = [re.fullmatch(r"([a-z]+) ?(\d+|[ivx]+)([ab])?", p) for p in plain]
    if all(steps) and len({m[1] for m in steps if m}) == 1 and steps[0] and steps[0][1] in _STEP_WORDS:
        numbers = [m[2] for m in steps if m]
        if all(n.isdigit() or n in _ROMAN for n in numbers):
            return [(int(m[2]) if m[2].isdigit() else _ROMAN[m[2]], m[3] or "") for m in steps if m]
    if words & _GRADE_NAMES and all(p in _ROMAN for p in plain):
        return [(_ROMAN[p],) for p in plain]
    return None


def _by_letter(texts: list[str], words: frozenset[str]) -> list[tuple] | None:
    if words & {"color", "colour", "diamond"} and len(texts) >= 5 and all(re.fullmatch("[D-M]", t) for t in texts):
        return [(-ord(t),) for t in texts]  # diamond colour: D is the best
    if not words & _GRADE_NAMES:
        return None
    parts = [re.fullmatch(r"([A-H])(\+\+?|-|\d)?", t.strip().upper()) for t in texts]
    if not all(parts):
        return None
    letters = sorted({m[1] for m in parts if m})
    if len(letters) < 3 or letters[0] != "A" or ord(letters[-1]) - ord("A") + 1 > len(letters) + 1:
        return None
    sign = {"++": -2, "+": -1, None: 0, "-": 1}
    return [(m[1], int(m[2]) if (m[2] or "").isdigit() else sign[m[2]]) for m in parts if m]
