"""What errors, notes and findings say, in the terms of who typed a command: ``missing=`` of a Python call is ``--missing`` here."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.results import Finding

__all__ = ["running", "spoken", "spoken_findings"]

NAMES = {"types": "type", "units": "unit", "random_state": "seed"}
"""Options whose name is not the keyword's own."""
SCHEMA = "in a schema: write it with pellucid audit --write-schema, and pass it as --schema"
_ALSO = re.compile(r" \(--[a-z-]+(?: [A-Z=]+)?\)")
_CELLS = re.compile(r"(?P<key>missing|types|units)=(?P<value>\{[^{}]*\})")
_CALL = re.compile(r"with_(?P<key>types|units)\((?P<column>\w+)='(?P<value>[^']*)'\)")
_ROLE = re.compile(r"with_roles\((?P<role>\w+)=[^()]*\)")
_VALUE = re.compile(r"(?<![\w.'\"({\[,])(?P<key>[a-z_]+)='(?P<value>[\w.]+)'")
_BARE = re.compile(r"(?<![\w.'\"({\[-])(?P<key>[a-z_]+)=(?=[\s,;.)]|$)")
_CLAUSE = re.compile(r", or |, | or ")


_running: ContextVar[frozenset[str]] = ContextVar("options of the command that runs", default=frozenset())


@contextmanager
def running(command: Callable[..., Any]) -> Iterator[None]:
    """Within the block, what is said is :func:`spoken` in the options of this command: its parameters but those that are files it reads."""
    given = inspect.signature(command).parameters.values()
    names = {p.name for p in given if p.default is not p.empty or p.name not in ("data", "model")}
    token = _running.set(frozenset(NAMES.get(n, n.replace("_", "-")) for n in names))
    try:
        yield
    finally:
        _running.reset(token)


def spoken(text: str, options: Collection[str] | None = None) -> str:
    """Return the text with keywords of Python calls as options of the command that runs.

    A way out that the command does not offer is left out where the sentence has another one. Text of a Python call stays as it is.

    Examples
    --------
    >>> spoken("Raise budget=, explain fewer rows at a time, or pass fewer rows as background=.", ["budget"])
    'Raise --budget or explain fewer rows at a time.'
    >>> spoken("read the table with missing={'age': [-999]}", ["missing"])
    'read the table with --missing age=-999'
    """
    options = _running.get() if options is None else options
    if not options:
        return text
    had = {o for o in options if f"--{o}" in text}
    swapped = _CELLS.sub(lambda m: _of_cells(m, options), text)
    swapped = _CALL.sub(lambda m: _option(m["key"], options, f" {_quoted(m['column'])}={m['value']}") or m[0], swapped)
    if swapped != text and had:
        swapped = _ALSO.sub("", swapped)
    if "schema" in options:
        swapped = _ROLE.sub(lambda m: f"role {m['role']!r} {SCHEMA}", swapped, count=1)
        swapped = _ROLE.sub(lambda m: f"role {m['role']!r} there", swapped)
    swapped = swapped.replace("pld.trial", "pellucid audit --prove")
    swapped = _VALUE.sub(lambda m: _option(m["key"], options, f" {m['value']}") or m[0], swapped)
    return " ".join(_sentence(s, options) for s in re.split(r"(?<=[.;:]) ", swapped))


def spoken_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings whose evidence and remedy are :func:`spoken`."""
    return [replace(f, evidence=spoken(f.evidence), remedy=spoken(f.remedy)) for f in findings]


def _option(key: str, options: Collection[str], rest: str = "") -> str:
    name = NAMES.get(key, key.replace("_", "-"))
    return f"--{name}{rest}" if name in options else ""


def _quoted(name: Any) -> str:
    return f"'{name}'" if re.search(r"[\s'\"()]", str(name)) else str(name)


def _of_cells(match: re.Match[str], options: Collection[str]) -> str:
    """Return ``missing={'age': [-999]}`` as an option, once for each code; ``...`` as what is to be filled in."""
    stands = {"missing": "CODE", "types": "TYPE", "units": "UNIT"}[match["key"]]
    option = _option(match["key"], options)
    if not option:
        return match[0]
    try:
        given = ast.literal_eval(match["value"].replace("...", "None")) if match["value"] != "{...}" else {"COLUMN": None}
    except (ValueError, SyntaxError):
        return match[0]
    pairs = [(c, v) for c, values in given.items() for v in (values if isinstance(values, list) else [values])]
    return " ".join(f"{option} {_quoted(f'{c}={stands if v is None else v}')}" for c, v in pairs)


def _sentence(text: str, options: Collection[str]) -> str:
    """Return one sentence with bare keywords as options, less the clauses with keywords that the command lacks."""
    keys: Callable[[str], list[str]] = lambda part: [m["key"] for m in _BARE.finditer(part)]  # noqa: E731
    lacking = [k for k in keys(text) if not _option(k, options)]
    if lacking and " or " in text:
        end = text[-1:] if text[-1:] in ".;:" else ""
        parts = _CLAUSE.split(text.removesuffix(end) if end else text)
        kept = [p for p in parts if not any(k in lacking for k in keys(p))]
        if kept:
            kept[0] = kept[0][:1].upper() + kept[0][1:] if parts[0][:1].isupper() else kept[0]
            text = " or ".join(p for p in (", ".join(kept[:-1]), kept[-1]) if p) + end
    return _BARE.sub(lambda m: _option(m["key"], options) or m[0], text)
