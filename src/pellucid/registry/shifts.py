"""Registry lines of what tells that a table has changed. Each target takes a ``pellucid.audit.shift.pair.Pair`` and returns findings."""

from __future__ import annotations

from pellucid.registry import Entry

ENTRIES: tuple[Entry, ...] = ()
