"""Units that stand behind every number of a column written as text: ``69 kg``, ``21.5°C``, ``8GB``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.table.scales import word_set

__all__ = ["common_unit", "without_unit"]

# one letter alone is a unit only behind a blank: 12A is a seat, 30s are years of an age
_UNITS = word_set(
    """
    kg g mg µg mcg lb lbs oz t km m cm mm µm mi ft in yd inch inches mile miles l ml cl dl gal
    h hr hrs hour hours min mins minute minutes s sec secs second seconds ms d day days week weeks month months year years yr yrs
    °c °f ° w kw mw kwh mwh wh v kv mv ma hz khz mhz ghz kb mb gb tb bytes mph kph kmph km/h m/s mmhg bpm kcal cal kj j
    pa kpa hpa bar mbar psi ppm ppb mg/dl mmol/l µmol/l g/dl g/l u/l hp bhp ps cc rpm nm px pts points m2 m² km2 km² ft2 ft² m3 m³ ha acres
    sqft mpg kmpl km/l l/100km db mbps kbps
    """
)
_BEHIND = re.compile(r"[\d.,](\s?)([^\W\d_°]{1,8}[²³23]?|°\s?[CF]?|[^\W\d_]{1,4}/(?:100)?[^\W\d_]{1,4})\Z")
SHARE = 0.95
LOOK = 50


def _unit_of(text: str) -> tuple[str, str]:
    """Return (blank, unit) at the end of a text, both empty where no unit stands behind a number."""
    found = _BEHIND.search(text.strip())
    if not found or _plain(found[2]) not in _UNITS or (len(found[2]) == 1 and found[2] != "°" and not found[1]):
        return "", ""
    return found[1], found[2]


def _plain(unit: str) -> str:
    return unit.casefold().replace("\u03bc", "\u00b5").replace(" ", "")


def _same(one: str, other: str) -> bool:
    """Return whether two units are one, in singular and plural."""
    a, b = _plain(one), _plain(other)
    return a == b or (min(len(a), len(b)) > 1 and a.rstrip("s") == b.rstrip("s"))


def common_unit(texts: Sequence[str], counts: npt.NDArray[np.int64]) -> str:
    """Return the unit behind at least 95 % of the numbers of a column, with the blank before it, or "". Only known units are taken.

    Parameters
    ----------
    texts, counts : (U,) distinct texts and how often each occurs.

    Examples
    --------
    >>> [common_unit(texts, np.ones(2, int)) for texts in (["69 kg", "71.5 kg"], ["12A", "13A"], ["1 kg", "2 lb"])]
    [' kg', '', '']
    """
    if sum(bool(_unit_of(t)[1]) for t in texts[:: max(1, len(texts) // LOOK)]) < 0.5 * min(len(texts), LOOK):
        return ""
    found = [_unit_of(t) for t in texts]
    kinds: dict[str, int] = {}
    for (blank, unit), count in zip(found, counts.tolist()):
        kinds[blank + unit] = kinds.get(blank + unit, 0) + count
    best = max((k for k in kinds if k), key=lambda k: kinds[k], default="")
    shared = sum(count for (_, unit), count in zip(found, counts.tolist()) if unit and best and _same(unit, best.strip()))
    return best if best and shared >= SHARE * counts.sum() else ""


def without_unit(text: str, unit: str) -> str:
    """Return a text without the unit at its end; as it is where another one, or none, stands there.

    Examples
    --------
    >>> without_unit("69 kg", " kg"), without_unit("1 year", " years"), without_unit("150 lb", " kg")
    ('69', '1', '150 lb')
    """
    own = _unit_of(text)
    return text.strip()[: -len("".join(own))] if own[1] and _same(own[1], unit.strip()) else text
