"""Inline markdown as runs: emphasis, code, links, breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.lines import Run

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LONGEST = 20_000
"""Longer paragraphs stay plain: they are not prose, and some take a time that grows with the square of their length."""

_STYLES = {"strong": "strong", "em": "em", "s": "strike"}
_URL = re.compile(r"https?://[^\s<>\"'`]+")
_OPENED = re.compile(r"(?:https?://|mailto:)[^\s\x00-\x1f\x7f]+\Z")
_AFTER_URL = ".,;:!?*_~)]}'\""


def render_inline(parser: MarkdownIt, content: str, env: dict[str, Any], ink: str = "") -> list[list[Run]]:
    """Renders the text of a block.

    Args:
        parser: Whose inline rules apply.
        content: The text.
        env: Link definitions.
        ink: Ink of unstyled text.

    Returns:
        Runs of every line: a hard break begins a new one.
    """
    if len(content) > LONGEST:
        return [[Run(" ".join(content.split("\n")), ink)]]
    writer = _Writer(ink)
    tokens: list[Token] = []
    parser.inline.parse(content, parser, env, tokens)
    writer.write(tokens)
    return writer.lines


class _Writer:
    """Gathers runs while it goes through tokens."""

    def __init__(self, ink: str) -> None:
        self.lines: list[list[Run]] = [[]]
        self._inks = [ink] if ink else []
        self._links: list[tuple[str, str]] = []  # address, text so far

    def write(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            name, _, side = token.type.rpartition("_")
            if token.type in ("text", "text_special"):
                self._text(token.content)
            elif token.type == "code_inline":
                self._put(token.content, "code")
            elif name in _STYLES:
                self._toggle(_STYLES[name], side == "open")
            elif token.type == "link_open":
                self._links.append((str(token.attrs.get("href", "")), ""))
            elif token.type == "link_close":
                self._close_link()
            elif token.type == "softbreak":
                self._put(" ")
            elif token.type == "hardbreak":
                self.lines.append([])
            elif token.type == "image":
                self._put(f"▣ {token.content or 'image'}", "link", _safe(str(token.attrs.get("src", ""))))
            else:
                self._put(token.content)

    def _toggle(self, ink: str, opens: bool) -> None:
        if opens:
            self._inks.append(ink)
        elif ink in self._inks:
            del self._inks[len(self._inks) - 1 - self._inks[::-1].index(ink)]

    def _text(self, text: str) -> None:
        """Writes text; addresses in it become links unless they are in one already."""
        if self._links or "://" not in text:
            self._put(text)
            return
        position = 0
        for match in _URL.finditer(text):
            address = match[0].rstrip(_AFTER_URL)
            if match[0].endswith(")") and "(" in address:
                address += ")"
            self._put(text[position : match.start()])
            self._put(address, "link", address)
            position = match.start() + len(address)
        self._put(text[position:])

    def _close_link(self) -> None:
        """A link whose address is neither shown nor opened by a click would be lost: such ones are shown."""
        if not self._links:
            return
        address, text = self._links.pop()
        if address and not _safe(address) and address != text:
            self._put(f" ({address})", "muted")

    def _put(self, text: str, ink: str = "", link: str = "") -> None:
        if not text:
            return
        text = text.replace("\n", " ")
        inks = [*self._inks, ink] if ink else self._inks
        if self._links:
            address, shown = self._links[-1]
            self._links[-1] = (address, shown + text)
            inks, link = [*inks, "link"], link or _safe(address)
        joined = " ".join(inks)
        line = self.lines[-1]
        if line and line[-1].ink == joined and line[-1].link == link:
            line[-1] = Run(line[-1].text + text, joined, link)
        else:
            line.append(Run(text, joined, link))


def _safe(address: str) -> str:
    """The address if a click may open it, else nothing."""
    return address if _OPENED.match(address) else ""
