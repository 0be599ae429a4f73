"""Inks: the names by which renderers ask for a style, and what they mean under the theme in use.

Every ink is a class `ink--NAME`; the style sheets give it colours from theme variables. No renderer names a colour.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.dom import DOMNode
from textual.strip import Strip

from ml_intern.tui.widgets.lines import Line, Run
from ml_intern.tui.widgets.text import cells, joining

if TYPE_CHECKING:
    from textual.css.styles import RenderStyles
    from textual.widget import Widget

NAMES = (
    # levels of emphasis and meanings
    *("strong", "muted", "faint", "accent", "em", "strike", "success", "warning", "error", "info"),
    # speakers and parts of the chat
    *("you", "agent", "time", "thought", "mark"),
    # markdown
    *("heading1", "heading2", "heading3", "code", "link", "address", "quote", "bar", "rule", "bullet"),
    # source code
    *("keyword", "string", "number", "comment", "function", "type", "operator", "constant", "decorator"),
    # differences
    *("added", "removed", "added-word", "removed-word", "gutter", "hunk"),
    # series of a plot, and axes
    *("series1", "series2", "series3", "series4", "axis"),
    # what stands out for a moment
    *("cursor", "match", "found"),
)
_KNOWN = frozenset(NAMES)
LINK = "follow"
"""Under this name a style keeps where its text leads."""


class Inks:
    """Styles of a widget by ink, resolved once per theme and background."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._styled = _styled(widget)
        self.base = widget.rich_style
        self._styles: dict[tuple[str, str], Style] = {("", ""): self.base}

    @property
    def current(self) -> bool:
        """Whether the widget and what it lies on are still styled as they were. Asked with every row that is added."""
        return self._styled == _styled(self._widget)

    def style(self, ink: str, link: str = "") -> Style:
        """The whole style, background included, of text in these inks."""
        found = self._styles.get((ink, link))
        if found is None:
            found = self.base
            names = ink.split()
            for name in names:
                found += self._selection() if name == "selection" else self._layer(name)
            if link:
                # The terminal is told only of what can be read on it: see `links.py`.
                told = "address" in names and link.isascii() and link.isprintable()
                found += Style(link=link if told else None, meta={LINK: link})
            self._remember((ink, link), found)
        return found

    def _remember(self, key: tuple[str, str], style: Style) -> None:
        if len(self._styles) > 2_000:  # links are as many as a long session mentions
            self._styles = {("", ""): self.base}
        self._styles[key] = style

    def _layer(self, name: str) -> Style:
        """What one ink says, and nothing where it leaves the choice to the inks before it."""
        component = self._component(name)
        blended = component.rich_style
        coloured = component.has_rule("color") or component.has_rule("auto_color")
        attributes: Style = component.text_style
        return attributes + Style(
            color=blended.color if coloured else None,
            bgcolor=blended.bgcolor if component.has_rule("background") else None,
        )

    def _component(self, name: str) -> RenderStyles:
        """The styles of an ink below this widget.

        Component classes of the widget would say the same, but Textual works out all of them whenever the widget's
        styles may have changed, with every focus for one: some fifty inks, of which a list shows a few.

        Raises:
            KeyError: There is no such ink.
        """
        if name not in _KNOWN:
            raise KeyError(name)
        node = DOMNode(classes=f"ink--{name}")
        node._attach(self._widget)
        self._widget.app.stylesheet.apply(node)
        return node.styles

    def _selection(self) -> Style:
        """The screen's style of selected text, over this widget's own background."""
        chosen = self._widget.screen.get_component_styles("screen--selection")
        _, background = self._widget.background_colors
        return Style(
            color=chosen.color.rich_color if chosen.color.a > 0 else None,
            bgcolor=(background + chosen.background).rich_color,
        )


def _styled(widget: Widget) -> list[int]:
    """Numbers that change with the styles of a widget or of what it lies on: to mix the colours takes far longer."""
    return [node.styles._cache_key for node in widget.ancestors_with_self]  # Textual's own caches go by these


Span = tuple[int, int, str]
"""A range of characters of a line and an ink to lay over it."""


def paint(line: Line, width: int, inks: Inks, spans: list[Span] | None = None) -> tuple[Strip, int]:
    """Makes a row of exactly `width` cells.

    Returns:
        The row, and how many of its cells differ from an empty one.
    """
    row = _Segments()
    for run in overlaid(line, spans) if spans else line.runs:
        row.add(run.text, inks.style(run.ink, run.link))
    used = sum([cells(text) for text, _style in row.parts])
    if used < width:
        row.add(" " * (width - used), inks.style(line.fill))
    strip = Strip([Segment(text, style) for text, style in row.parts], max(used, width))
    return strip if used <= width else strip.crop(0, width), width if line.fill or used > width else used


class _Segments:
    """Gathers a row in as few segments as will look the same: each costs some forty bytes every time it is painted.

    Neighbours of one style become one; spaces take the style of a neighbour with the same background.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[str, Style]] = []

    def add(self, text: str, style: Style) -> None:
        """Adds text at the right."""
        if self.parts and not text.isascii():
            before, last = self.parts[-1]
            if joined := joining(before, text):
                self.parts[-1] = (before + text[:joined], last)
                text = text[joined:]
        if not text:
            return
        if self.parts:
            before, last = self.parts[-1]
            if style is last or (text.isspace() and _same_ground(style, last)):
                self.parts[-1] = (before + text, last)
                return
            if before.isspace() and _same_ground(style, last):
                self.parts[-1] = (before + text, style)
                return
        self.parts.append((text, style))


def _same_ground(one: Style, other: Style) -> bool:
    """Whether spaces look the same in both styles."""
    return one.bgcolor == other.bgcolor and not (_marks_spaces(one) or _marks_spaces(other))


def _marks_spaces(style: Style) -> bool:
    return bool(style.underline or style.strike or style.reverse or style.meta)


def overlaid(line: Line, spans: list[Span]) -> list[Run]:
    """The line's runs with inks laid over ranges of characters."""
    edges = sorted({edge for start, end, _ink in spans for edge in (start, end)})
    runs: list[Run] = []
    position = 0
    for text, ink, link in line.runs:
        cuts = [position, *[edge for edge in edges if position < edge < position + len(text)], position + len(text)]
        for start, end in pairwise(cuts):
            laid = [over for first, last, over in spans if first <= start < last]
            runs.append(Run(text[start - position : end - position], " ".join([ink, *laid]).strip(), link))
        position += len(text)
    return runs
