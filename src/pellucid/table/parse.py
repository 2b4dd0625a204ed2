"""Text to numbers and dates, whole columns at a time; every distinct text is read once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.table.units import without_unit

__all__ = ["NULL_WORDS", "date_forms", "decide_decimal", "distinct_texts", "guess_date_format", "is_null_word", "to_numbers", "to_seconds"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NULL_WORDS = frozenset(
    [
        "",
        "?",
        "??",
        "na",
        "n/a",
        "n.a.",
        "n.a",
        "#n/a",
        "#na",
        "<na>",
        "nan",
        "-nan",
        "null",
        "none",
        "nil",
        "missing",
        "-",
        "--",
        "---",
        ".",
        "..",
        "...",
        "\\n",
        "nat",
        "(null)",
        "#null!",
        "(blank)",
        "(none)",
        "(missing)",
    ]
)
"""Words that mean "missing" wherever a number or a date is expected, casefolded."""

_CURRENCY = "$€£¥₹₩₽₺₫฿¢"
_CODES = "USD|EUR|GBP|CHF|JPY|CAD|AUD|NZD|CNY|RMB|INR|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|KRW|Rs\\.?|kr\\.?|zł|R\\$|US\\$"
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_SIGNS = re.compile(rf"^(?:{_CODES}|[{_CURRENCY}])\s*|\s*(?:{_CODES}|[{_CURRENCY}%‰°*†‡])$")
_GROUPED = {
    ".": re.compile(
        r"([+-]?)([1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+|(?:['’_]\d{3})+)|[1-9]\d?(?:,\d{2})+,\d{3})((?:\.\d*)?(?:[eE][+-]?\d+)?)\Z"
    ),
    ",": re.compile(r"([+-]?)([1-9]\d{0,2}(?:(?:\.\d{3})+|(?: \d{3})+|(?:['’_]\d{3})+))((?:,\d*)?(?:[eE][+-]?\d+)?)\Z"),
}
_INFINITE = {"inf", "infinity", "∞"}


def is_null_word(text: str) -> bool:
    """Return whether a text means "missing" where a number or a date is expected.

    Examples
    --------
    >>> is_null_word(" N/A "), is_null_word("Namibia")
    (True, False)
    """
    return len(text) < 20 and text.strip().casefold() in NULL_WORDS


def distinct_texts(series: pd.Series) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Return (codes, values): codes (N,) into the distinct values in order of appearance, -1 for empty cells."""
    codes, values = pd.factorize(series, use_na_sentinel=True)
    return np.asarray(codes, np.int64), list(values)


def to_numbers(series: pd.Series, decimal: str = ".", suffix: str = "") -> tuple[Floats, Bools]:
    """Return (numbers, bad) of a column: float64 (N,) with NaN for missing cells, and which cells are no number.

    Read are signs, exponents, currency signs and codes, ``%`` (12 % is 12), thousands separators, ``(1,200)`` and ``1200-`` for negatives,
    footnote marks and surrounding blanks, and the unit ``suffix`` behind a number. Null words (``"?"``, ``"NA"``, ...) are missing. Cost:
    one pass, plus a parse per distinct text.

    Examples
    --------
    >>> to_numbers(pd.Series(["$1,200", "(3)", "7 %", "n/a", "x"]))
    (array([1200.,   -3.,    7.,   nan,   nan]), array([False, False, False, False,  True]))
    >>> to_numbers(pd.Series(["1.234,5"]), decimal=",")[0]
    array([1234.5])
    """
    if series.dtype.kind in "iufb" and not isinstance(series.dtype, pd.CategoricalDtype):
        return series.to_numpy(np.float64, na_value=np.nan), np.zeros(len(series), np.bool_)
    if series.dtype.kind == "M":
        return np.full(len(series), np.nan), series.notna().to_numpy()
    codes, values = distinct_texts(series)
    numbers, bad = _numbers_of([without_unit(v, suffix) if isinstance(v, str) else v for v in values] if suffix else values, decimal)
    return np.append(numbers, np.nan)[codes], np.append(bad, False)[codes]


def _numbers_of(values: list[Any], decimal: str) -> tuple[Floats, Bools]:
    out, bad = np.full(len(values), np.nan), np.zeros(len(values), np.bool_)
    for i, value in enumerate(values):
        try:
            out[i] = float(value) if isinstance(value, int | float | np.number | np.bool_) else _number(str(value), decimal)
        except (ValueError, OverflowError):
            bad[i] = True
    return out, bad


def _number(text: str, decimal: str) -> float:
    """Return one text as a number; NaN for null words, ValueError where it is none."""
    if decimal == "." and _PLAIN.match(text):
        return float(text)
    text = text.strip()
    word = text.casefold()
    if word in NULL_WORDS:
        return float("nan")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\u2212", "-").replace("\u2019", "'").strip()
    negative = False
    if len(text) > 2 and text[0] == "(" and text[-1] == ")":
        text, negative = text[1:-1].strip(), True
    text, negative = _bare(text, negative)
    if text.lstrip("+-").casefold() in _INFINITE:
        return float("-inf") if text.startswith("-") or negative else float("inf")
    grouped = _GROUPED[decimal].match(text)
    if grouped:
        text = grouped[1] + re.sub(r"[^0-9]", "", grouped[2]) + grouped[3]
    if decimal == ",":
        if "." in text:
            raise ValueError(text)
        text = text.replace(",", ".", 1)
    if not _PLAIN.match(text):
        raise ValueError(text)
    return -float(text) if negative else float(text)


def _bare(text: str, negative: bool) -> tuple[str, bool]:
    """Return the text without currency, percent and footnote marks, and its sign where that stood apart ("-$5", "5-")."""
    signs = int(negative)
    for _ in range(3):
        apart = text[:1] in ("+", "-") and len(text) > 1 and not (text[1].isdigit() or text[1] in ".,")
        if apart and text[1:].strip().casefold() not in _INFINITE:
            negative, signs = negative or text[0] == "-", signs + 1
            text = text[1:].strip()
        bare = _SIGNS.sub("", text)
        if bare == text:
            break
        text = bare
    if len(text) > 1 and text[-1] == "-" and text[-2].isdigit():
        text, negative, signs = text[:-1].strip(), True, signs + 1
    if signs + (text[:1] in ("+", "-")) > 1:
        raise ValueError(text)
    return text, negative


_COMMA_IS_DECIMAL = re.compile(
    r"(?:^|[^\d.,])(?:\d*,(?:\d{1,2}|\d{4,})|\d{4,},\d+|0,\d+|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,})(?:[^\d.,]|$)"
)
_DOT_IS_DECIMAL = re.compile(
    r"(?:^|[^\d.,])(?:\d*\.(?:\d{1,2}|\d{4,})|\d{4,}\.\d+|0\.\d+|\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,})(?:[^\d.,]|$)"
)


def decide_decimal(series: pd.Series) -> str | None:
    """Return the decimal mark of numbers written as text: ``"."``, ``","``, or None where nothing decides (``"1,234"``).

    Examples
    --------
    >>> decide_decimal(pd.Series(["1.234,5", "7"])), decide_decimal(pd.Series(["1,234.5"])), decide_decimal(pd.Series(["1,234"]))
    (',', '.', None)
    """
    texts = [v for v in distinct_texts(series)[1] if isinstance(v, str)]
    texts = sorted(texts)[:: len(texts) // 10_000] if len(texts) > 20_000 else texts
    commas = [t for t in texts if "," in t]
    if not commas and not any(t.count(".") > 1 for t in texts):
        return "." if any("." in t for t in texts) else None
    comma = sum(bool(_COMMA_IS_DECIMAL.search(t)) for t in texts)
    dot = sum(bool(_DOT_IS_DECIMAL.search(t)) for t in texts)
    if comma == dot:
        return None
    return "," if comma > dot else "."


# --- dates ---------------------------------------------------------------------------------------------------------------------------

_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_FULL = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_DAYS = r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(shape, re.IGNORECASE), form)
    for shape, form in (
        (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
        (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
        (r"\d{4}\.\d{1,2}\.\d{1,2}", "%Y.%m.%d"),
        (r"\d{1,2}/\d{1,2}/\d{4}", "?/?/%Y"),
        (r"\d{1,2}-\d{1,2}-\d{4}", "?-?-%Y"),
        (r"\d{1,2}\.\d{1,2}\.\d{4}", "?.?.%Y"),
        (r"\d{1,2}/\d{1,2}/\d{2}(?!\d)", "?/?/%y"),
        (r"\d{1,2}-\d{1,2}-\d{2}(?!\d)", "?-?-%y"),
        (r"\d{1,2}\.\d{1,2}\.\d{2}(?!\d)", "?.?.%y"),
        (rf"\d{{1,2}}[ -]{_FULL}[ -]\d{{4}}", "%d{sep}%B{sep}%Y"),
        (rf"\d{{1,2}}[ -]{_MONTHS}[ -]\d{{4}}", "%d{sep}%b{sep}%Y"),
        (rf"\d{{1,2}}[ -]{_MONTHS}[ -]\d{{2}}(?!\d)", "%d{sep}%b{sep}%y"),
        (rf"{_FULL} \d{{1,2}}, ?\d{{4}}", "%B %d, %Y"),
        (rf"{_MONTHS} \d{{1,2}}, ?\d{{4}}", "%b %d, %Y"),
        (rf"{_MONTHS}[ -]\d{{4}}", "%b{sep}%Y"),
        (rf"{_FULL}[ -]\d{{4}}", "%B{sep}%Y"),
        (rf"{_MONTHS}-\d{{2}}(?!\d)", "%b-%y"),
        (rf"{_DAYS}, {_FULL} \d{{1,2}}, \d{{4}}", "%A, %B %d, %Y"),
        (rf"(?:mon|tue|wed|thu|fri|sat|sun), \d{{1,2}} {_MONTHS} \d{{4}}", "%a, %d %b %Y"),
        (r"\d{4}[-/](?:0[1-9]|1[0-2])(?![-/\d])", "%Y{sep}%m"),
        (r"(?:1[6-9]|20|21)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?=[T ]\d)", "%Y%m%d"),
    )
)
_TIME = re.compile(
    r"(?P<sep>T|, | )(?P<h>\d{1,2}):\d{2}(?P<s>:\d{2})?(?P<f>[.,]\d{1,9})?(?P<ap> ?[AaPp][Mm])?(?P<z> ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?\Z"
)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?\Z")


def guess_date_format(series: pd.Series) -> str | None:
    """Return the one ``strptime`` format under which at least 95 % of a column's texts are dates, or None.

    Numbers alone (``2006``, ``20200101``) are never taken for dates here; ``"ISO8601"`` stands for ISO dates of changing precision. Day
    before month is decided by the cells; where every day is at most 12, ``/`` means month first and ``.`` or ``-`` day first.

    Examples
    --------
    >>> guess_date_format(pd.Series(["31/01/2020", "02/03/2021"])), guess_date_format(pd.Series(["Mar-2018"]))
    ('%d/%m/%Y', '%b-%Y')
    """
    texts = [v.strip() for v in distinct_texts(series)[1] if isinstance(v, str) and not is_null_word(v)]
    if month := _month_form(texts):
        return month
    # sorted before it is thinned, so that the answer does not hang on the order of the rows
    sample = sorted(texts)[:: max(1, len(texts) // 2000)][:2000] if len(texts) > 2000 else texts
    if not sample or sum(bool(re.search(r"\d[-/.: ]|[-/ ]\d|\d,", t)) and 6 <= len(t) <= 40 for t in sample) < 0.95 * len(sample):
        return None
    if all(_ISO.match(t) for t in sample):
        return "%Y-%m-%d" if all(len(t) == 10 for t in sample) else _one_form(sample) or "ISO8601"
    form = _one_form(sample)
    return form


def _month_form(texts: list[str]) -> str | None:
    """Return the format where every text is a month and a year ("1/86", "12/1990"): six months or more, and years that are no days."""
    parts = [re.fullmatch(r"(0?[1-9]|1[0-2])/(\d{2}|(?:1[6-9]|20|21)\d{2})", t) for t in texts]
    if not parts or not all(parts) or len({p[1].lstrip("0") for p in parts if p}) < 6:
        return None
    years = {p[2] for p in parts if p}
    if len({len(y) for y in years}) > 1:
        return None
    if len(min(years)) == 4:
        return "%m/%Y"
    # two digits: some year is no day of a month, and all are of this century's first half or the last third of the one before
    return "%m/%y" if max(map(int, years)) >= 69 and not any(40 < int(y) < 69 for y in years) else None


def _one_form(sample: list[str]) -> str | None:
    for shape, form in _SHAPES:
        matched = [(t, m) for t in sample if (m := shape.match(t))]
        if len(matched) < 0.95 * len(sample):
            continue
        rests = {_time_form(t[m.end() :]) for t, m in matched}
        if len(rests) != 1 or None in rests:
            if len(rests - {None}) == 1 and sum(_time_form(t[m.end() :]) is None for t, m in matched) < 0.05 * len(sample):
                rests -= {None}
            else:
                continue
        sep = re.search(r"[ \-/]", matched[0][0])
        whole = _day_first(form, [m[0] for _, m in matched]).replace("{sep}", sep[0] if sep else "") + str(rests.pop())
        if _share(sample, whole) >= 0.95:
            return whole
    return None


def date_forms(texts: list[str]) -> dict[str, list[str]]:
    """Return by ``strptime`` format the texts that are dates of it, the most frequent format first; what is no date is left out.

    Examples
    --------
    >>> {form: len(found) for form, found in date_forms(["2020-01-31", "2020-02-29", "31.01.2020", "later"]).items()}
    {'%Y-%m-%d': 2, '%d.%m.%Y': 1}
    """
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for text in texts:
        for shape, form in _SHAPES:
            m = shape.match(text)
            rest = _time_form(text[m.end() :]) if m else None
            if m and rest is not None:
                sep = re.search(r"[ \-/]", m[0])
                groups.setdefault((form, sep[0] if sep else "", rest), []).append((text, m[0]))
                break
    out: dict[str, list[str]] = {}
    for (form, blank, time), found in groups.items():
        whole = _day_first(form, [day for _, day in found]).replace("{sep}", blank) + time
        seconds = _seconds_of([text for text, _ in found], whole)
        out.setdefault(whole, []).extend(text for (text, _), s in zip(found, seconds) if s == s)
    return dict(sorted(((f, t) for f, t in out.items() if t), key=lambda item: -len(item[1])))


def _time_form(rest: str) -> str | None:
    """Return the format of what stands after the date; None where it is no time."""
    if not rest:
        return ""
    found = _TIME.match(rest)
    if not found:
        return None
    hour = "%I" if found["ap"] else "%H"
    fraction = "" if not found["f"] else found["f"][0] + "%f"
    half = "" if not found["ap"] else (" %p" if found["ap"].startswith(" ") else "%p")
    zone = "" if not found["z"] else (" %z" if found["z"].startswith(" ") else "%z")
    return f"{found['sep']}{hour}:%M{':%S' if found['s'] else ''}{fraction}{half}{zone}"


def _day_first(form: str, texts: list[str]) -> str:
    if "?" not in form:
        return form
    parts = [re.split(r"[-/.]", t)[:2] for t in texts]
    first, second = (sum(int(p[i]) > 12 for p in parts) for i in (0, 1))
    day_first = first > second if first != second else "/" not in form
    a, b = ("%d", "%m") if day_first else ("%m", "%d")
    return form.replace("?", a, 1).replace("?", b, 1)


def _share(texts: list[str], form: str) -> float:
    return float(np.mean(~np.isnan(_seconds_of(texts, form))))


def to_seconds(series: pd.Series, date_format: str | None = None) -> tuple[Floats, Bools]:
    """Return (seconds, bad): float64 seconds since 1970-01-01 UTC (N,), NaN for missing cells, and which cells are no date.

    Parameters
    ----------
    date_format : ``strptime`` format of text, ``"ISO8601"``, or ``"epoch_s"`` / ``"epoch_ms"`` for numbers; None:
        dates already, or guessed.

    Years 1 to 9999 are read. Cells without a time zone are taken as UTC.

    Examples
    --------
    >>> to_seconds(pd.Series(["1970-01-02", "1600-01-01", "x"]), "%Y-%m-%d")
    (array([ 8.6400000e+04, -1.1676096e+10,            nan]), array([False, False,  True]))
    """
    none = np.zeros(len(series), np.bool_)
    if series.dtype.kind == "M":
        return _of_dates(series), none
    if date_format in ("epoch_s", "epoch_ms"):
        out, bad = to_numbers(series)
        return out / (1000.0 if date_format == "epoch_ms" else 1.0), bad
    codes, values = distinct_texts(series)
    texts = [str(int(v)) if isinstance(v, float | np.floating) and float(v).is_integer() else str(v).strip() for v in values]
    if date_format is None:
        date_format = guess_date_format(pd.Series(texts, dtype=object)) or "ISO8601"
    empty = np.array([is_null_word(t) for t in texts], np.bool_)
    out = _seconds_of(texts, date_format)
    bad = np.isnan(out) & ~empty
    return np.append(out, np.nan)[codes], np.append(bad, False)[codes]


def _of_dates(series: pd.Series) -> Floats:
    if isinstance(series.dtype, pd.ArrowDtype):
        series = series.astype(pd.DatetimeTZDtype("us", "UTC") if series.dtype.pyarrow_dtype.tz else "datetime64[us]")
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = series.to_numpy()
    unit = np.datetime_data(values.dtype)[0]
    whole, part = np.divmod(values.astype(np.int64), per_second := {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit])
    return np.where(np.isnat(values), np.nan, whole + part / per_second)


def _seconds_of(texts: list[str], form: str) -> Floats:
    """Return seconds of distinct texts, NaN where they are no dates."""
    if not texts:
        return np.empty(0)
    try:
        read = pd.to_datetime(pd.Series(texts, dtype=object), format=form, errors="coerce", utc=True)
        out = _of_dates(read)
    except (ValueError, TypeError, OverflowError):
        out = np.full(len(texts), np.nan)
    # what is left may be beyond the range of pandas' dates; Python reads the years 1 to 9999
    for i in np.flatnonzero(np.isnan(out)):
        out[i] = _slow(texts[i], form)
    return out


def _slow(text: str, form: str) -> float:
    read: Callable[[str], datetime] = datetime.fromisoformat if form == "ISO8601" else lambda t: datetime.strptime(t, form)
    try:
        moment = read(text)
    except (ValueError, TypeError, OverflowError, re.error):
        return float("nan")
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
