"""The table of methods: plain data, one explicit line per method.

Every backbone, encoder, explainer, uncertainty method, selector, audit and trial is one file and one :class:`Entry`. Tests, docs,
command-line choices and report chapters read this table. ``resolve`` holds the package's only dynamic import.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from pellucid.errors import ArgumentError, MissingExtraError, RequestError, did_you_mean, quote

__all__ = ["KINDS", "Entry", "callable_package", "entries", "get", "methods", "names", "public", "register", "resolve"]

KINDS = (
    "backbone", "fill", "scale", "encoder", "regularizer", "explain", "act", "select", "uncertainty", "audit", "shift", "remedy", "map",
    "trial",
)  # fmt: skip
"""The kinds of method, in the order in which a table meets them."""


@dataclass(frozen=True)
class Entry:
    """One method, described well enough to choose it without reading its code.

    Attributes
    ----------
    name, kind : how users call it, and what it is (one of ``KINDS``).
    target : where it lives, as ``"package.module:name"``; imported only when used. A callable is accepted for users' own entries.
    summary : one sentence.
    question : the question of trust it answers: ``"why"``, ``"certain"``, ``"data"``, or empty for what predicts.
    needs : what it must be given: ``"black box"``, ``"gradients"``, ``"parts"``, ``"background"``, ``"training rows"``, ``"labels"``,
        ``"refit"``, ``"members"``, ``"column rank"`` (the columns' order by what they tell of the target), ``"whole table"`` (it speaks of
        a table, not of rows), ``"numbers"``, ``"explainer"`` (fitted beforehand by ``pellucid.fit_explainer``), ``"row model"``,
        ``"text"`` (a column of words), ``"goal"`` (the wanted answer), ``"hidden"`` (states of hidden layers).
    takes : for backbones, the input form: ``"flat"``, ``"tokens"``, ``"scalars"`` (tokens of width 1) or ``"matrix"`` (peers); for
        encoders, ``"number"`` or ``"category"``.
    gives : the result class, ``"Explanation"`` where nothing is said.
    options : what ``options=`` may set: name -> default.
    axioms : what it promises and the common checks test: ``"completeness"``, ``"dummy"``, ``"symmetry"``, ``"linearity"``,
        ``"sensitivity"``.
    cost : model evaluations, refits or memory, in words and letters of ``GLOSSARY.md``.
    source : authors, year, DOI or arXiv.
    extra : the optional dependency group it needs, if any.
    reads : for backbones, which settings of the recipe it reads: its argument -> the setting.
    recipe : for backbones, what the recipe changes for it: setting -> value, or a pair (below 2,000 rows, above).
    space : for the search, setting or argument -> (low, high), (low, high, "log"), or a tuple of choices in a list.
    experimental : True where no published evidence backs it.
    exempt : common checks it cannot pass, each with the reason; run as strict expected failures.
    """

    name: str
    kind: str
    target: Any
    summary: str
    question: str = ""
    needs: tuple[str, ...] = ()
    takes: str = ""
    gives: str = "Explanation"
    options: Mapping[str, Any] = field(default_factory=dict)
    axioms: tuple[str, ...] = ()
    cost: str = ""
    source: str = ""
    extra: str | None = None
    reads: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    experimental: bool = False
    exempt: Mapping[str, str] = field(default_factory=dict)

    def settled(self, given: Mapping[str, Any] | None, example: str) -> Mapping[str, Any]:
        """Return the method's own settings, those of ``given`` in place of the defaults; unknown ones are an error.

        ``example`` : what such a mapping looks like, for the error of something else.
        """
        if given is not None and not isinstance(given, Mapping):
            raise ArgumentError("options cannot be used", expected=f"a mapping such as {example}", got=type(given).__name__)
        unknown = [str(name) for name in given or {} if name not in self.options]
        if unknown:
            raise RequestError(
                f"{self.name!r} has no option {unknown[0]!r}",
                expected=f"one of {quote(self.options, 12)}" if self.options else "no options",
                do=did_you_mean(unknown[0], self.options),
            )
        return {**self.options, **(given or {})}


_TABLE: dict[tuple[str, str], Entry] = {}


def register(entry: Entry) -> Entry:
    """Add an entry of your own, in the same form as ours. A name that is taken is refused."""
    if not isinstance(entry, Entry):
        raise ArgumentError("only an Entry can be registered", expected="pellucid.registry.Entry", got=type(entry).__name__)
    if entry.kind not in KINDS:
        raise RequestError(f"unknown kind of method {entry.kind!r}", expected=f"one of {', '.join(KINDS)}")
    _load()
    if (entry.kind, entry.name) in _TABLE:
        raise RequestError(f"the name {entry.name!r} is taken among the {entry.kind} methods", do="choose another name")
    _TABLE[entry.kind, entry.name] = entry
    return entry


def _load() -> None:
    if not _TABLE:
        from pellucid.registry import (
            acts,
            audits,
            backbones,
            encoders,
            explainers,
            explainers_network,
            explainers_rows,
            explainers_table,
            maps,
            peers,
            regularizers,
            remedies,
            selections,
            shifts,
            trials,
            uncertainties,
            uncertainties_promises,
        )

        why = (explainers, explainers_network, explainers_table, explainers_rows)
        for module in (
            backbones, peers, encoders, regularizers, *why, acts, selections, uncertainties, uncertainties_promises, audits, shifts,
            remedies, maps, trials,
        ):  # fmt: skip
            _TABLE.update({(e.kind, e.name): e for e in module.ENTRIES})


def entries(kind: str | None = None) -> tuple[Entry, ...]:
    """Return all entries, or those of one kind, in the order of the table."""
    _load()
    if kind is not None and kind not in KINDS:
        raise RequestError(f"unknown kind of method {kind!r}", expected=f"one of {', '.join(KINDS)}", do="see pellucid.methods()")
    return tuple(e for e in _TABLE.values() if kind in (None, e.kind))


methods = entries  # the public name


def names(kind: str) -> tuple[str, ...]:
    """Return the names of one kind."""
    return tuple(e.name for e in entries(kind))


def get(kind: str, name: str) -> Entry:
    """Return the entry, or an error that names the nearest ones."""
    _load()
    if (kind, name) not in _TABLE:
        hint = did_you_mean(name, names(kind)) or f"choose one of {', '.join(names(kind))}"
        raise RequestError(f"unknown {kind} method {name!r}", do=hint)
    return _TABLE[kind, name]


def resolve(entry: Entry) -> Any:
    """Import and return what the entry points at; a missing extra gives the install command."""
    if callable(entry.target):
        return entry.target
    try:
        return _at(entry.target)
    except ModuleNotFoundError as error:
        if entry.extra is None or (error.name or "").split(".")[0] == "pellucid":
            raise
        raise MissingExtraError.of(error.name or entry.extra, entry.extra, f"{entry.kind} {entry.name!r}") from error


def _at(target: str) -> Any:
    """Return what ``"package.module:name"`` points at."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def public(home: str, name: str) -> Any:
    """Return the public name ``name`` that lives in ``pellucid.<home>``; a package that bears the name itself is callable."""
    if home == name:
        return importlib.import_module(f"pellucid.{name}")
    return _at(f"pellucid.{home}:{name}")


def callable_package(package: str, target: str) -> None:
    """Let ``pellucid.explain`` be both the package and the function that users call.

    Importing a subpackage sets its name on the parent, so function and package would shadow each other by the order of imports; a package
    that can be called has no such order. The function is looked up when called: it may live on a higher floor.
    """

    class CallablePackage(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return _at(target)(*args, **kwargs)

        @property
        def __doc__(self) -> str | None:  # type: ignore[override]
            return str(_at(target).__doc__)

        @property
        def __wrapped__(self) -> Any:  # inspect.signature shows the function's
            return _at(target)

    sys.modules[package].__class__ = CallablePackage
