"""Registry lines of the encoders."""

from __future__ import annotations

from pellucid.registry import Entry

ENTRIES: tuple[Entry, ...] = ()
