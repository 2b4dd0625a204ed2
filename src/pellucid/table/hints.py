"""Small judgements of type inference: what a name hints at, what identifiers, codes, epochs and booleans look like."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pellucid.errors import quote
from pellucid.table.parse import guess_date_format, to_seconds
from pellucid.table.scales import name_words, word_set

__all__ = [
    "EQUAL_STEPS",
    "FLAG_WORDS",
    "boolean_levels",
    "date_format",
    "day_month_note",
    "epoch",
    "integer_code",
    "integer_identifier",
    "is_country_name",
    "is_identifier_name",
    "is_key_name",
    "is_order_name",
    "is_place_name",
    "is_sentinel",
    "several_in_a_cell",
    "text_code",
]

FLAG_WORDS = (("n", "y"), ("no", "yes"), ("f", "t"), ("false", "true"), ("off", "on"), ("absent", "present"), ("negative", "positive"))
"""What 0 and 1 are called in words, in lower case."""
EQUAL_STEPS = "in equal steps"
"""What the evidence says of whole numbers that name rows by nothing but their regularity."""
_PAIRS = (("0", "1"), *FLAG_WORDS, ("-1", "1"))
_KEY = word_set(
    """
    id ids uuid guid key rowid recordid pk oid idx identifier
    """
)
_NUMBERED = word_set(
    """
    no nr num number index code row record serial seq seqno obs observation case reference ref account ticket invoice ssn
    """
)
_CODE = word_set(
    """
    zip zipcode postal postcode postalcode plz fips naics sic icd icd9 icd10 cpt upc ean gtin isbn sku iban phone telephone mobile
    fax code codes cd ssn vin barcode areacode tract cbsa iso swift bic imei hts
    """
)
_PLACE = word_set("zip zipcode postal postcode postalcode plz fips tract areacode cbsa area")
_LEVEL = word_set(
    """
    category categories type types class cluster segment region district zone channel browser os sex gender race ethnicity country
    state status label group kind species color colour brand department dept sector cat
    """
)
_QUANTITY = word_set(
    """
    count counts total sum mean avg average rate ratio pct percent amount score size length width height n num nb age price cost
    value days months years hours min max std population pop per by since
    """
)
_COUNTS = word_set("n num nb count counts total")
_TIME = word_set(
    """
    time date timestamp ts epoch at created updated modified day dt datetime dob born birthday
    """
)
_ORDER = _TIME | word_set(
    """
    year yr month week quarter season term period wave round visit hour minute second decade century rank ranking order position
    place step dose temperature temp
    """
)


def boolean_levels(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return the levels, negative first, where they are one pair of opposites (0/1, no/yes, f/t, ...), else None.

    Examples
    --------
    >>> boolean_levels(["Yes", "no"]), boolean_levels(["male", "female"])
    (('no', 'Yes'), None)
    """
    lower = {t.casefold() for t in texts}
    for pair in _PAIRS:
        if lower == set(pair):
            return tuple(sorted(texts, key=lambda t: (pair.index(t.casefold()), t)))
    return None


def _words(name: str) -> set[str]:
    return set(name_words(name))


def is_key_name(name: str) -> bool:
    """Return whether a name says that the cells are keys: ``id``, ``uuid``, ``customer_key``."""
    words = name_words(name)
    return bool(set(words) & _KEY) or (
        len(words) == 1 and re.fullmatch(r"[a-z]{3,}id", words[0]) is not None and words[0] not in _ENDS_IN_ID
    )


_ENDS_IN_ID = word_set(
    """
    paid prepaid unpaid bid grid solid fluid acid valid invalid amid said aid lipid rapid hybrid humid thyroid maid raid kid mid
    void avoid repaid covid recid steroid asteroid android centroid typhoid
    """
)


def is_place_name(name: str) -> bool:
    """Return whether a name says that codes are places: postal and area codes, which are levels however many there are."""
    return bool(_words(name) & _PLACE)


def is_country_name(name: str) -> bool:
    """Return whether a name says that cells are countries, states or continents, among which NA is a code like others."""
    return bool(_words(name) & {"country", "countries", "nation", "nationality", "iso", "iso2", "continent", "region"})


def is_identifier_name(name: str) -> bool:
    """Return whether a name says that the cells name a row: a key, a number, a reference."""
    return is_key_name(name) or bool(_words(name) & _NUMBERED)


def is_order_name(name: str) -> bool:
    """Return whether a name says that each row's own number is a moment, a rank or a quantity: years in a row name no rows."""
    return bool(_words(name) & (_ORDER | (_QUANTITY - _COUNTS)))


def integer_identifier(name: str, values: np.ndarray, n: int) -> str:
    """Return why whole numbers name rows, or "". values (U,) distinct, n cells."""
    u = len(values)
    ratio = u / n
    steps = np.diff(np.sort(values))
    even = float(np.mean(steps == np.median(steps))) if u > 2 else 0.0
    if is_key_name(name):
        if ratio > 0.9 and u >= 3:
            return f"its name says identifier, and {u} of {n} cells are distinct"
        if u > 50 and n / u < 20:
            return f"its name says identifier, and each value stands in few rows ({n / u:.1f} on average)"
    if name.casefold() in ("unnamed: 0", "unnamed: 0.1") and ratio > 0.9 and u >= 3:  # row numbers that were saved with a table
        return f"a first column without a name, and {u} of {n} cells are distinct"
    if n > 50 and ratio > 0.95 and even > 0.9 and not is_order_name(name):
        return f"{u} distinct whole numbers {EQUAL_STEPS} in {n} cells"
    if n > 50 and ratio > 0.9 and _words(name) & _NUMBERED and name_words(name)[:1] not in (("num",), ("no",), ("number",)):
        return f"its name says number of a record, and {u} of {n} cells are distinct"
    return ""


def integer_code(name: str, values: np.ndarray, n: int) -> str:
    """Return why whole numbers are codes without quantity, or ""."""
    words = _words(name)
    if values.min(initial=0) < 0 or words & _QUANTITY:
        return ""
    if words & _CODE:
        return "its name says code"
    if (words & _LEVEL or is_key_name(name)) and (len(values) <= 50 or is_key_name(name)) and len(values) < 0.5 * n:
        return f"its name says level or key, with {len(values)} distinct whole numbers"
    return ""


def text_code(name: str, texts: Sequence[str]) -> str:
    """Return why digits written as text are codes (leading zeros, fixed width with a hinting name, too many digits for a number, digits
    behind a letter among them), or ""."""
    digits = [t for t in texts if t.isdigit()]
    lettered = [m for t in texts if (m := re.fullmatch(r"([^\W\d_]{1,2})\d+", t))]
    if len(lettered) >= 3 and len(lettered) + len(digits) == len(texts) and len({m[1] for m in lettered}) == 1:
        return f"whole numbers, and such as {lettered[0][0]!r}"
    if len(digits) < 0.95 * len(texts):
        shape = sum(bool(re.fullmatch(r"\d{5}-\d{4}|\d{3}-\d{2}-\d{4}|\+?\d[\d -]{7,}\d", t)) for t in texts)
        return "digits with hyphens, as codes have" if shape > 0.95 * len(texts) else ""
    zeros = sum(t[0] == "0" and len(t) > 1 for t in digits)
    widths = {len(t) for t in digits}
    if zeros and (len(widths) == 1 or zeros > 0.01 * len(digits)):
        return "digits with leading zeros"
    if max(widths) > 15:
        return f"whole numbers of {max(widths)} digits"
    words = _words(name)
    if len(widths) == 1 and words & _CODE and not words & _QUANTITY:
        return "digits of equal width, and its name says code"
    return ""


def epoch(values: np.ndarray, name: str) -> tuple[str, str] | None:
    """Return (format, why) where whole numbers are moments: (milli)seconds since 1970, or 20200131 (a date by name, or 32 of them)."""
    words = _words(name)
    if words & (_QUANTITY | _CODE | _NUMBERED) - _TIME or is_key_name(name):
        return None
    low, high = values.min(), values.max()
    if len(values) < 3:
        low = 0.0 if low >= 1e9 else low  # two moments alone are no evidence
    if low >= 1e9 and high <= 2e9:
        return "epoch_s", "whole numbers between 1e9 and 2e9: seconds since 1970"
    if low >= 1e12 and high <= 2e12:
        return "epoch_ms", "whole numbers between 1e12 and 2e12: milliseconds since 1970"
    named = bool(words & _TIME)
    if words & {"date", "dates"} and len(values) > 31 and low >= 100_000 and high <= 991_231:
        years = values[:5000] // 10_000
        bad = to_seconds(pd.Series([str(int(v)) for v in values[:5000]], dtype=object), "%y%m%d")[1]
        if not bad.any() and not ((years > 40) & (years < 69)).any():
            return "%y%m%d", f"six digits that are dates, all {len(values):,} of them, and its name says date"
    # one number in 27 of this range is a date, and no month has 32 days: more than 31 numbers that all are dates are so on purpose
    if (named or len(values) > 31) and values.min() >= 16000101 and high <= 22001231:
        bad = to_seconds(pd.Series([str(int(v)) for v in values[:5000]], dtype=object), "%Y%m%d")[1]
        if not bad.any():
            return "%Y%m%d", "eight digits that are dates" + (", and its name says date" if named else f", all {len(values):,} of them")
    return None


def date_format(texts: Sequence[str], numeric: bool) -> str | None:
    """Return the format of cells that the user calls dates."""
    if numeric:
        finite = np.array([float(t) for t in texts])
        finite = finite[np.isfinite(finite)]
        found = epoch(np.unique(np.append(finite, finite + 1)), "date") if len(finite) and finite.min() >= 1e9 else None
        if found and found[0].startswith("epoch"):
            return found[0]
        for low, high, form in ((1000, 9999, "%Y"), (100001, 999912, "%Y%m"), (10000101, 99991231, "%Y%m%d")):
            if len(finite) and low <= finite.min() and finite.max() <= high:
                return form
        return "epoch_s"
    return guess_date_format(pd.Series(list(texts), dtype=object)) or next(
        (f for f in ("%Y", "%Y%m%d", "%Y%m") if not to_seconds(pd.Series(list(texts)[:500], dtype=object), f)[1].any()), None
    )


def day_month_note(form: str, texts: Sequence[str]) -> str:
    """Return a warning where day and month could be swapped, else ""."""
    at = [form.find("%d"), form.find("%m")]
    if form.startswith("%Y") or min(at) < 0:
        return ""
    first = [re.findall(r"\d+", t)[:2] for t in texts[:5000]]
    clear = any(int(x) > 12 for pair in first for x in pair)
    return "" if clear else "; day and month could be swapped: no cell tells them apart"


def several_in_a_cell(texts: Sequence[str], counts: np.ndarray) -> str:
    """Return why cells hold several values with a separator, or ""."""
    for mark in (";", "|"):
        has = np.array([mark in t for t in texts])
        if counts[has].sum() >= 0.3 * counts.sum():
            parts = {p.strip() for t in texts for p in t.split(mark)}
            if len(parts) < 0.5 * len(texts):
                return f"several values in a cell, separated by {quote([mark])}"
    return ""


def is_sentinel(value: float) -> bool:
    """Return whether a number is one that people write for "missing": 0, -1, -9, 99, 999, -999.25, 9999999, ..."""
    text = f"{abs(value):g}" if abs(value) < 1e5 else str(int(abs(value))) if value.is_integer() else ""
    return value in (0.0, -1.0, 999.25, -999.25, 32767.0, -32768.0, 2147483647.0, -2147483648.0) or bool(
        re.fullmatch(r"9+|99+[678]|8{2,}|7{2,}", text)
    )
