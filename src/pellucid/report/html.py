"""Write a report: one self-contained page that asks for nothing from outside, and its twins as JSON and text."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.files import whole
from pellucid.report.facts import ReportData
from pellucid.report.page import context
from pellucid.report.twins import to_json, to_text
from pellucid.report.words import clean

if TYPE_CHECKING:
    import jinja2

__all__ = ["figures_html", "to_html", "to_json", "to_text", "write_html", "write_whole"]

_TEMPLATES = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _hash(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"


def to_html(data: ReportData) -> str:
    """Return the page as text.

    The page's own policy lets exactly two scripts run, named by their hashes, and forbids every request: text from data that
    slipped through the escaping could still neither run nor ask for anything.
    """
    from markupsafe import Markup

    script = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.js", "maps.js"))
    parts: dict[str, Any] = context(data)
    drawing = _plotly() if parts["plots"] else ""
    policy = (
        f"default-src 'none'; script-src {_hash(script)}{' ' + _hash(drawing) if drawing else ''}; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )
    parts |= {"script": Markup(script), "drawing": Markup(drawing), "policy": Markup(policy.replace('"', "&quot;"))}
    parts["style"] = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return _environment().get_template("report.html.j2").render(parts)


def figures_html(title: str, figures: Sequence[Any], notes: Sequence[str] = (), head: Sequence[str] = (), rows: Sequence[Any] = ()) -> str:
    """Return a page of plotly figures with notes above and one table below, as self-contained as a report.

    Figures drawn by the graphics card make code of their own while they run: only for them does the policy of the page allow it.
    """
    from markupsafe import Markup

    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    by_card = " 'unsafe-eval'" if any(t.type.endswith("gl") for f in figures for t in f.data) else ""
    policy = (
        f"default-src 'none'; script-src {_hash(script)} {_hash(_plotly())}{by_card}; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )
    shown = [(clean(f.layout.title.text or title, 300), int(f.layout.height or 360)) for f in figures]
    parts = {
        "title": clean(title, 200), "notes": [clean(n, 400) for n in notes], "shown": shown, "head": head,
        "rows": [[clean(c, 200) for c in r] for r in rows], "figures": {str(k): json.loads(f.to_json()) for k, f in enumerate(figures)},
    }  # fmt: skip
    inline = {"script": Markup(script), "drawing": Markup(_plotly()), "policy": Markup(policy.replace('"', "&quot;"))}
    inline["style"] = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return _environment().get_template("figures.html.j2").render(parts | inline)


def write_whole(text: str, path: str | Path) -> Path:
    """Write text to a file that appears whole or not at all: beside it first, then renamed. An interruption leaves the old file."""
    with whole(path) as place:
        place.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return Path(path)


def write_html(data: ReportData, path: str | Path) -> Path:
    """Write the report as one HTML file, whole or not at all, and return its path."""
    return write_whole(to_html(data), path)
