"""Pages as trees, whatever is wrong with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>", re.IGNORECASE)
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]{2,40})|<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w-]{2,40})""",
    re.IGNORECASE,
)
_HEAD_BYTES = 4096


def tree_of(markup: str) -> HtmlElement | None:
    """The tree of a page, or None where there is nothing to make one of."""
    from lxml import html

    try:
        # A text has no encoding any more, and lxml takes none that says it has.
        tree: HtmlElement = html.fromstring(_DECLARATION.sub("", markup, count=1))
    except (ValueError, html.etree.ParserError):
        return None
    return tree


def charset_of(body: bytes) -> str:
    """The encoding that a page itself names, or empty."""
    found = _CHARSET.search(body[:_HEAD_BYTES])
    return (found[1] or found[2]).decode("ascii") if found else ""


def link_to(base: str, href: str) -> str:
    """Where a link on a page leads, without the part of that page; empty where it is no address."""
    try:
        return urldefrag(urljoin(base, href)).url
    except ValueError:
        return ""
