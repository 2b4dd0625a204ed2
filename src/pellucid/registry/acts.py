"""Registry lines of what a person can do about an answer."""

from __future__ import annotations

from pellucid.registry import Entry

ENTRIES: tuple[Entry, ...] = ()
