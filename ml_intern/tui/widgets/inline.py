"""Inline markdown as runs: emphasis, code, links, breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.lines import Run
from ml_intern.tui.widgets.links import file_in, linked, safe, target_of
from ml_intern.tui.widgets.text import LONGEST_LINE, readable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Longer paragraphs stay plain: they are not prose, and some take a time that grows with the square of their length.
LONGEST = LONGEST_LINE

_STYLES = {"strong": "strong", "em": "em", "s": "strike"}
_MARKUP = re.compile(r"[\n\\`~*_\[\]!<>&]")


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
        return [[Run(readable(" ".join(content.split("\n"))), ink)]]
    writer = _Writer(ink)
    if _MARKUP.search(content) is None:  # most paragraphs, cells and items are plain
        writer.write_text(content)
        return writer.lines
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
                self.write_text(token.content)
            elif token.type == "code_inline":
                self._put(token.content, "code", file_in(token.content))
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
                self._put(f"▣ {token.content or 'image'}", "link", safe(str(token.attrs.get("src", ""))))
            else:
                self._put(token.content)

    def _toggle(self, ink: str, opens: bool) -> None:
        if opens:
            self._inks.append(ink)
        elif ink in self._inks:
            del self._inks[len(self._inks) - 1 - self._inks[::-1].index(ink)]

    def write_text(self, text: str) -> None:
        """Writes text; addresses and places in files become links unless they are in one already."""
        for run in linked(text) if not self._links else (Run(text),):
            self._put(run.text, run.ink, run.link)

    def _close_link(self) -> None:
        """Whatever is no web address behind a text is shown: it may be followed in more than one way, or not at all."""
        if not self._links:
            return
        address, text = self._links.pop()
        if address and not safe(address) and address != text:
            self._put(f" ({address})", "muted")

    def _put(self, text: str, ink: str = "", link: str = "") -> None:
        if not text:
            return
        text = text.replace("\n", " ")
        inks = [*self._inks, ink] if ink else self._inks
        if self._links:
            address, shown = self._links[-1]
            self._links[-1] = (address, shown + text)
            inks, link = [*inks, "link"], target_of(address)
        joined = " ".join(inks)
        line = self.lines[-1]
        if line and line[-1].ink == joined and line[-1].link == link:
            line[-1] = Run(line[-1].text + text, joined, link)
        else:
            line.append(Run(text, joined, link))
