"""What the constructor accepts: one table, one form of message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.encode.filling import fill_options
from pellucid.errors import RequestError
from pellucid.estimators import decomposed
from pellucid.estimators.sampling import METHODS as METHODS_OF_DOUBT
from pellucid.estimators.sampling import SEVERAL
from pellucid.training.calibrators import METHODS

__all__ = ["check_arguments"]


def _one_of(*values: Any) -> tuple[Callable[[Any], bool], str]:
    return (lambda v: any(v is x or (type(v) is type(x) and v == x) for x in values)), " or ".join(map(repr, values))


def _either(*rules: tuple[Callable[[Any], bool], str]) -> tuple[Callable[[Any], bool], str]:
    return (lambda v: any(test(v) for test, _ in rules)), " or ".join(text for _, text in rules)


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    return (
        lambda v: isinstance(v, int | np.integer) and not isinstance(v, bool) and bool(v >= least)
    ), f"a whole number of at least {least}"


def _real(low: float, high: float, closed: str = "both") -> tuple[Callable[[Any], bool], str]:
    def test(v: Any) -> bool:
        if not isinstance(v, int | float | np.integer | np.floating) or isinstance(v, bool):
            return False
        return bool((low <= v if closed in ("both", "left") else low < v) and (v <= high if closed in ("both", "right") else v < high))

    if high == float("inf"):
        return test, f"a number {'of at least' if closed in ('both', 'left') else 'above'} {low:g}"
    without = {"both": "", "left": f", {high:g} excluded", "right": f", {low:g} excluded", "neither": ", both excluded"}[closed]
    return test, f"a number between {low:g} and {high:g}{without}"


def _encoder(takes: str) -> tuple[Callable[[Any], bool], str]:
    def names() -> list[str]:
        return [e.name for e in registry.entries("encoder") if e.takes == takes]

    return (lambda v: v in names() if isinstance(v, str) else callable(v)), f"a registered encoder of a {takes} or a module factory"


def _regularizers() -> tuple[Callable[[Any], bool], str]:
    def test(v: Any) -> bool:
        return isinstance(v, Mapping) and all(
            k in registry.names("regularizer") and (options is None or isinstance(options, Mapping)) for k, options in v.items()
        )

    return test, 'a mapping such as {"l1": {"weight": 1e-4}} of registered regularizers to their options'


def _bayes() -> tuple[Callable[[Any], bool], str]:
    of = {
        "samples": _whole(2)[0], "layers": _one_of("last", "all")[0], "local": _one_of(True, False)[0], "warmup": _real(0, 1)[0],
        **{k: _real(0, float("inf"), "neither")[0] for k in ("prior_scale", "start", "precision", "gamma")},
    }  # fmt: skip

    def test(v: Any) -> bool:
        name, given = next(iter(v.items())) if isinstance(v, Mapping) and len(v) == 1 else ("", None)
        known = METHODS_OF_DOUBT.get(name, {})
        return isinstance(given, Mapping) and all(k in known and of[k](value) for k, value in given.items()) and name in METHODS_OF_DOUBT

    return test, 'a mapping such as {"laplace": {"samples": 200}}'


def _members() -> tuple[Callable[[Any], bool], str]:
    several, each = _whole(2)[0], _whole(1)[0]

    def test(v: Any) -> bool:
        if not isinstance(v, Mapping) or not v or not set(v) <= {*SEVERAL, "each"}:
            return False
        return all(each(n) if k == "each" else several(n) for k, n in v.items()) and len(set(v) & set(SEVERAL)) == 1

    return test, 'a mapping such as {"networks": 5} or {"snapshots": 5, "each": 1}'


def _head() -> tuple[Callable[[Any], bool], str]:
    from pellucid.estimators.heads import is_distribution

    return is_distribution, 'a mapping such as {"mixture": {"components": 5}}'


def _tune() -> tuple[Callable[[Any], bool], str]:
    def test(v: Any) -> bool:
        if not isinstance(v, Mapping) or not set(v) <= {"trials", "seconds", "space"}:
            return False
        trials, _ = _whole(1)
        seconds, _ = _real(0, float("inf"), "neither")
        return trials(v.get("trials", 1)) and seconds(v.get("seconds", 1.0)) and isinstance(v.get("space", {}), Mapping)

    return test, 'a mapping such as {"trials": 20, "seconds": 300, "space": {"lr": (1e-4, 1e-2, "log")}}'


def _fill() -> tuple[Callable[[Any], bool], str]:
    def test(v: Any) -> bool:
        fill_options(v)  # its own error says which part of it cannot be used
        return True

    return test, "a rule for missing cells"


def _scale() -> tuple[Callable[[Any], bool], str]:
    def test(v: Any) -> bool:
        return v is None or all(s in registry.names("scale") for s in (v.values() if isinstance(v, Mapping) else [v]))

    return test, f"one of {', '.join(registry.names('scale'))}, or a mapping of columns to these (rows are scaled by pellucid.scale)"


_CALLABLE = (callable, "a callable")
_ROWS = (lambda v: hasattr(v, "columns") or hasattr(v, "__array__"), "a table of rows without an answer")
_SENTENCES = (callable, "a callable that maps strings to vectors (N, V)")
_ENTRY = (lambda v: isinstance(v, registry.Entry), "an Entry")
_TEXT = (lambda v: isinstance(v, str), "a registered name")
_MAPPING = (lambda v: isinstance(v, Mapping), "a mapping")
_NONE = _one_of(None)
_AUTO = _one_of("auto")
_ANY: tuple[Callable[[Any], bool], str] = (lambda v: True, "anything")

RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "backbone": _either(_TEXT, _ENTRY, _CALLABLE),
    "backbone_options": _either(_NONE, _MAPPING),
    "number": _either(_AUTO, _encoder("number")),
    "category": _either(_AUTO, _encoder("category")),
    "text": _either(_one_of(None, "ngrams"), _SENTENCES),
    "date": _one_of(None, "calendar"),
    "fill": _fill(),
    "scale": _scale(),
    "embedding": _either(_NONE, _MAPPING),
    "head": _either(_NONE, _TEXT, _CALLABLE, _head()),
    "regularizers": _either(_NONE, _regularizers()),
    "decompose": (decomposed.rules, 'None, True, a column, a list of columns, or {"columns": [...], "adversary": 1.0}'),
    "members": _either(_AUTO, _whole(1), _members()),
    "bayes": _either(_one_of(False, *METHODS_OF_DOUBT), _bayes()),
    "dropout": _either(_AUTO, _real(0, 1, "left")),
    "pretrain": _either(_one_of(False, True), _whole(1), _ROWS),
    "tune": _either(_one_of(False, True), _tune()),
    "schema": _ANY,
    "class_weight": _either(_NONE, _one_of("balanced"), _MAPPING),
    "loss": _either(_NONE, _TEXT, _MAPPING, _CALLABLE),
    "metric": _either(_NONE, _TEXT, _CALLABLE),
    "calibration": _one_of(None, *METHODS),
    "keep_rows": _whole(0),
    "max_steps": _either(_NONE, _whole(1)),
    "time_limit": _either(_NONE, _real(0, float("inf"), "neither")),
    "device": (lambda v: isinstance(v, str), "'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'"),
    "precision": _one_of("auto", "fp32", "bf16"),
    "threads": _either(_AUTO, _whole(1)),
    "verbose": _either(_whole(0), _one_of(True, False)),
    "random_state": _ANY,
}


def check_arguments(estimator: Any) -> None:
    """Raise one typed error for the first constructor argument that cannot be used."""
    for name, value in estimator.get_params(deep=False).items():
        test, expected = RULES[name]
        if not test(value):
            raise RequestError(f"{name}= of {type(estimator).__name__} cannot be used", expected=expected, got=repr(value)[:80])
    if isinstance(estimator.backbone, str) and estimator.backbone != "auto":
        registry.get("backbone", estimator.backbone)
