"""The library of known laws: functions of numbers and levels, with the columns each reads in each row.

After Schwettmann et al. 2023, "FIND", arXiv:2309.03886: functions whose description can be tested. Letters: N rows, C columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray

__all__ = ["COLUMNS", "LAWS", "LEVELS", "Cells", "Law", "places"]

BoolArray = npt.NDArray[np.bool_]
Cells = Mapping[str, FloatArray]
COLUMNS = ("x1", "x2", "x3", "x4", "x5", "p1", "c1", "c2")
"""Five standard normal numbers, a positive one, levels a to c and a to e."""
LEVELS = {"c1": "abc", "c2": "abcde"}


@dataclass(frozen=True)
class Law:
    """A function of a row.

    Attributes
    ----------
    name, family, words : how it is called, its kind, and what it does in words.
    function : cells (N,) by column, levels as 0, 1, ... -> (N,) values.
    always : columns it reads in every row. switch, then, otherwise : a condition on the cells, and the columns it reads besides where the
        condition holds and where it does not; what the condition reads is in ``always``.
    """

    name: str
    family: str
    words: str
    function: Callable[[Cells], FloatArray]
    always: tuple[str, ...]
    switch: Callable[[Cells], BoolArray] | None = None
    then: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()

    def used(self, cells: Cells) -> BoolArray:
        """Return which columns the law reads in each row, (N, C)."""
        n = len(cells["x1"])
        out = np.zeros((n, len(COLUMNS)), bool)
        out[:, places(self.always)] = True
        if self.switch is not None:
            here = self.switch(cells)
            out[np.ix_(here, places(self.then))] = True
            out[np.ix_(~here, places(self.otherwise))] = True
        return out


def places(names: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return the places of columns."""
    return np.array([COLUMNS.index(n) for n in names], np.int64)


def _plain(family: str, name: str, words: str, function: Callable[[Cells], FloatArray], *reads: str) -> Law:
    return Law(name, family, words, function, reads)


def _switch(
    name: str,
    words: str,
    by: tuple[str, ...],
    condition: Callable[[Cells], BoolArray],
    then: tuple[Callable[[Cells], FloatArray], tuple[str, ...]],
    otherwise: tuple[Callable[[Cells], FloatArray], tuple[str, ...]],
) -> Law:
    def function(m: Cells) -> FloatArray:
        return np.where(condition(m), then[0](m), otherwise[0](m))

    return Law(name, "switch", words, function, by, condition, then[1], otherwise[1])


def _on(test: BoolArray, yes: float = 2.0, no: float = 0.0) -> FloatArray:
    return np.where(test, yes, no)


def _level(codes: FloatArray, *worth: float) -> FloatArray:
    return np.asarray(np.array(worth, np.float64)[codes.astype(int)])


_LIST = (
    # sums
    _plain("sum", "line", "2 x1", lambda m: 2 * m["x1"], "x1"),
    _plain("sum", "plane", "2 x1 - x2", lambda m: 2 * m["x1"] - m["x2"], "x1", "x2"),
    _plain("sum", "curves", "x1 squared + |x3|", lambda m: m["x1"] ** 2 + np.abs(m["x3"]), "x1", "x3"),
    _plain("sum", "cube", "x2 cubed", lambda m: m["x2"] ** 3 / 3, "x2"),
    _plain("sum", "logarithm", "log p1 + x4", lambda m: np.log(m["p1"]) + m["x4"], "p1", "x4"),
    # products
    _plain("product", "pair", "x1 x2", lambda m: m["x1"] * m["x2"], "x1", "x2"),
    _plain("product", "triple", "x1 x2 x3", lambda m: 1.5 * m["x1"] * m["x2"] * m["x3"], "x1", "x2", "x3"),
    _plain("product", "two pairs", "x1 x2 + x3 x4", lambda m: m["x1"] * m["x2"] + m["x3"] * m["x4"], "x1", "x2", "x3", "x4"),
    _plain("product", "pair and line", "x1 x2 + x5", lambda m: m["x1"] * m["x2"] + m["x5"], "x1", "x2", "x5"),
    _plain("product", "scaled", "x1 log p1", lambda m: 2 * m["x1"] * np.log(m["p1"]), "x1", "p1"),
    _plain("product", "square by line", "x1 squared times x2", lambda m: m["x1"] ** 2 * m["x2"], "x1", "x2"),
    # thresholds
    _plain("threshold", "step", "2 where x1 > 0.3", lambda m: _on(m["x1"] > 0.3), "x1"),
    _plain("threshold", "two steps", "steps of x1 at -0.5 and 0.5", lambda m: _on(m["x1"] > -0.5) + _on(m["x1"] > 0.5), "x1"),
    _plain("threshold", "band", "2 where |x2| < 0.7", lambda m: _on(np.abs(m["x2"]) < 0.7), "x2"),
    _plain("threshold", "hinge", "x3 above 0, else 0", lambda m: 2 * np.maximum(m["x3"], 0), "x3"),
    _plain("threshold", "sum over", "2 where x1 + x2 > 0", lambda m: _on(m["x1"] + m["x2"] > 0), "x1", "x2"),
    _plain("threshold", "capped", "x1 up to 0.5", lambda m: 2 * np.minimum(m["x1"], 0.5), "x1"),
    # conjunctions and the like
    _plain("conjunction", "both", "x1 > 0 and x2 > 0", lambda m: _on((m["x1"] > 0) & (m["x2"] > 0)), "x1", "x2"),
    _plain(
        "conjunction", "three", "x1, x2, x3 all above -0.5",
        lambda m: _on((m["x1"] > -0.5) & (m["x2"] > -0.5) & (m["x3"] > -0.5)), "x1", "x2", "x3",
    ),
    _plain("conjunction", "number and level", "x1 > 0 and c1 = a", lambda m: _on((m["x1"] > 0) & (m["c1"] == 0), 3), "x1", "c1"),
    _plain("conjunction", "levels", "c1 = a and c2 in a, b", lambda m: _on((m["c1"] == 0) & (m["c2"] < 2), 3), "c1", "c2"),
    _plain("conjunction", "either", "x1 > 0.5 or x2 > 0.5", lambda m: _on((m["x1"] > 0.5) | (m["x2"] > 0.5)), "x1", "x2"),
    _plain("conjunction", "not both", "not (x1 > 0 and x4 > 0)", lambda m: _on(~((m["x1"] > 0) & (m["x4"] > 0))), "x1", "x4"),
    _plain("conjunction", "xor", "signs of x1 and x2 differ", lambda m: _on(m["x1"] * m["x2"] < 0, 2, -2), "x1", "x2"),
    _plain(
        "conjunction", "parity", "an odd number of x1, x2, x3 above 0",
        lambda m: _on(((m["x1"] > 0).astype(int) + (m["x2"] > 0) + (m["x3"] > 0)) % 2 == 1), "x1", "x2", "x3",
    ),
    # periodic
    _plain("periodic", "wave", "sin 2 x1", lambda m: 2 * np.sin(2 * m["x1"]), "x1"),
    _plain("periodic", "fast wave", "sin 5 x2", lambda m: 2 * np.sin(5 * m["x2"]), "x2"),
    _plain("periodic", "wave on line", "x1 + sin 4 x1", lambda m: m["x1"] + np.sin(4 * m["x1"]), "x1"),
    _plain("periodic", "wave of a sum", "sin(x1 + x2)", lambda m: 2 * np.sin(m["x1"] + m["x2"]), "x1", "x2"),
    _plain("periodic", "beat", "sin 2 x1 cos 2 x3", lambda m: 2 * np.sin(2 * m["x1"]) * np.cos(2 * m["x3"]), "x1", "x3"),
    # ratios and saturation
    _plain("ratio", "ratio", "x1 / p1", lambda m: m["x1"] / m["p1"], "x1", "p1"),
    _plain(
        "ratio", "share", "x1 squared / (x1 squared + x2 squared)",
        lambda m: 3 * m["x1"] ** 2 / (m["x1"] ** 2 + m["x2"] ** 2), "x1", "x2",
    ),
    _plain("ratio", "saturating", "p1 / (1 + p1)", lambda m: 6 * m["p1"] / (1 + m["p1"]), "p1"),
    _plain("ratio", "sigmoid", "tanh 3 x4", lambda m: 2 * np.tanh(3 * m["x4"]), "x4"),
    _plain("ratio", "bell", "exp(-x1 squared - x2 squared)", lambda m: 4 * np.exp(-(m["x1"] ** 2) - m["x2"] ** 2), "x1", "x2"),
    # order
    _plain("order", "larger", "the larger of x1 and x2", lambda m: 2 * np.maximum(m["x1"], m["x2"]), "x1", "x2"),
    _plain("order", "smaller", "the smaller of x1 and x3", lambda m: 2 * np.minimum(m["x1"], m["x3"]), "x1", "x3"),
    _plain("order", "distance", "|x1 - x2|", lambda m: 2 * np.abs(m["x1"] - m["x2"]), "x1", "x2"),
    _plain(
        "order", "radius", "distance of (x1, x2, x3) from 0",
        lambda m: 2 * np.sqrt(m["x1"] ** 2 + m["x2"] ** 2 + m["x3"] ** 2), "x1", "x2", "x3",
    ),
    _plain("order", "middle", "the median of x1, x2, x3", lambda m: 2 * np.median([m["x1"], m["x2"], m["x3"]], axis=0), "x1", "x2", "x3"),
    # levels
    _plain("level", "levels of one", "a worth per level of c1", lambda m: _level(m["c1"], -2, 0, 2), "c1"),
    _plain("level", "one of five", "2 where c2 = c", lambda m: _on(m["c2"] == 2), "c2"),
    _plain("level", "two sums", "worths of c1 and c2", lambda m: _level(m["c1"], -1, 0, 2) + _level(m["c2"], 0, 1, -1, 2, 0), "c1", "c2"),
    _plain("level", "equal levels", "2 where c1 = c2", lambda m: _on(m["c1"] == m["c2"], 3), "c1", "c2"),
    # level by number
    _plain("level by number", "slopes", "x1 times a slope per level of c1", lambda m: m["x1"] * _level(m["c1"], -2, 0.5, 2), "x1", "c1"),
    _plain(
        "level by number", "thresholds", "x2 over a bound per level of c1",
        lambda m: _on(m["x2"] > _level(m["c1"], -1, 0, 1)), "x2", "c1",
    ),
    _plain(
        "level by number", "offset and line", "x1 + a worth per level of c2",
        lambda m: m["x1"] + _level(m["c2"], -2, -1, 0, 1, 2), "x1", "c2",
    ),
    _plain(
        "level by number", "phases", "sin(2 x1 + phase of c1)",
        lambda m: 2 * np.sin(2 * m["x1"] + _level(m["c1"], 0, 2, 4)), "x1", "c1",
    ),
    # switches: the columns that count differ from row to row
    _switch(
        "x1 or x2", "x1 where x5 < 0, else x2", ("x5",), lambda m: m["x5"] < 0,
        (lambda m: 2 * m["x1"], ("x1",)), (lambda m: 2 * m["x2"], ("x2",)),
    ),
    _switch(
        "line or nothing", "x1 where x5 < 0, else 0", ("x5",), lambda m: m["x5"] < 0,
        (lambda m: 3 * m["x1"], ("x1",)), (lambda m: 0 * m["x1"], ()),
    ),
    _switch(
        "pair or square", "x1 x2 where x5 < 0, else x3 squared", ("x5",), lambda m: m["x5"] < 0,
        (lambda m: 2 * m["x1"] * m["x2"], ("x1", "x2")), (lambda m: m["x3"] ** 2, ("x3",)),
    ),
    _switch(
        "by level", "x1 where c1 = a, else x2", ("c1",), lambda m: m["c1"] == 0,
        (lambda m: 2 * m["x1"], ("x1",)), (lambda m: 2 * m["x2"], ("x2",)),
    ),
    _switch(
        "by two", "x1 where x4 and x5 are both above 0, else x2", ("x4", "x5"), lambda m: (m["x4"] > 0) & (m["x5"] > 0),
        (lambda m: 2 * m["x1"], ("x1",)), (lambda m: 2 * m["x2"], ("x2",)),
    ),
    _switch(
        "wave or line", "sin 3 x1 where p1 < 1, else x2", ("p1",), lambda m: m["p1"] < 1,
        (lambda m: 2 * np.sin(3 * m["x1"]), ("x1",)), (lambda m: 2 * m["x2"], ("x2",)),
    ),
    _switch(
        "level or number", "worth of c2 where x5 < 0, else x1", ("x5",), lambda m: m["x5"] < 0,
        (lambda m: _level(m["c2"], -2, 2, -1, 1, 0), ("c2",)), (lambda m: 2 * m["x1"], ("x1",)),
    ),
    _switch(
        "step or line", "step of x1 where x3 < 0, else x4", ("x3",), lambda m: m["x3"] < 0,
        (lambda m: _on(m["x1"] > 0, 2, -2), ("x1",)), (lambda m: 2 * m["x4"], ("x4",)),
    ),
)  # fmt: skip
LAWS: Mapping[str, Law] = {law.name: law for law in _LIST}
"""The library, by name."""
