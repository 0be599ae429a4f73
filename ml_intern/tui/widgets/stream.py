"""Markdown that is still being written."""

from __future__ import annotations

import re

from ml_intern.tui.widgets.code import language_name, piece_ends
from ml_intern.tui.widgets.lines import BLANK, Line
from ml_intern.tui.widgets.markdown import Context, Environment, Place, Unit, fence_lines, render, render_units, units
from ml_intern.tui.widgets.text import clean

_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})(.*)$")


class _Fence:
    """An open block of code. Its finished pieces are kept; the last one is highlighted anew as it grows."""

    def __init__(self, opening: re.Match[str], width: int) -> None:
        self.indent = len(opening[1])
        self.mark = opening[2]
        self.language = language_name(opening[3])
        self.width = width
        self.lines: list[str] = []
        self.done: list[Line] = []
        self.finished = 0  # lines of code in `done`

    def closed_by(self, text: str) -> bool:
        """Whether this line ends the block."""
        bare = text.strip(" ")
        return _spaces(text) <= 3 and len(bare) >= len(self.mark) and bare == self.mark[0] * len(bare)

    def may_be_closing(self, text: str) -> bool:
        """Whether an unfinished line could become the one that ends the block."""
        bare = text.strip(" ")
        return bool(bare) and bare == self.mark[0] * len(bare)

    def take(self, text: str) -> None:
        """Adds a line, without the indentation of the opening."""
        self.lines.append(text[min(self.indent, _spaces(text)) :])

    def rows(self, *unfinished: str) -> list[Line]:
        """All its rows; `unfinished` is a line that has not ended yet."""
        for end in piece_ends(self.lines, start=self.finished):
            self.done += fence_lines(self.lines[self.finished : end], self.language, self.width)
            self.finished = end
        rest = self.lines[self.finished :] + [text[min(self.indent, _spaces(text)) :] for text in unfinished]
        if not rest and not self.done:
            rest = [""]
        return [*self.done, *fence_lines(rest, self.language, self.width)]


class MarkdownStream:
    """Renders a growing text; only what follows its last finished unit is parsed and rendered again.

    A unit is finished when the next one has begun on a line that has ended. The result after `finish` is the same as
    if the whole text had been rendered at once.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._chunks: list[str] = []
        self._done: list[Line] = []
        self._before = Context()  # what precedes the open lines
        self._open: list[str] = []  # clean lines that are not finished
        self._fresh = False  # lines were added since the open ones were looked at
        self._unfinished = ""  # the line that has not ended, as it came
        self._fence: _Fence | None = None
        self._finished = False

    @property
    def source(self) -> str:
        """All that was written."""
        if len(self._chunks) > 1:
            self._chunks = ["".join(self._chunks)]
        return self._chunks[0] if self._chunks else ""

    def write(self, text: str) -> None:
        """Adds text, which may end anywhere."""
        self._chunks.append(text)
        *ended, self._unfinished = (self._unfinished + text).split("\n")
        for raw in ended:
            self._take(clean(raw))

    def at_width(self, width: int) -> MarkdownStream:
        """The same text for another width."""
        other = MarkdownStream(width)
        other.write(self.source)
        if self._finished:
            other.finish()
        return other

    def lines(self) -> list[Line]:
        """The lines as they are now."""
        return self._done if self._finished else self._all()

    def finish(self) -> list[Line]:
        """Ends the text and returns all its lines."""
        if self._finished:
            return self._done
        source = clean(self.source)
        self._finished = True
        if "]:" in source:
            self._done = render(source, self.width)  # links may refer to addresses that are defined after them
        else:
            self._done = self._all()
        self._open, self._unfinished, self._fence = [], "", None
        return self._done

    @property
    def _place(self) -> Place | None:
        """The list item that the open lines follow."""
        return self._before.unit.item if self._before.unit is not None else None

    def _take(self, text: str) -> None:
        """Takes a line that has ended."""
        fence = self._fence
        if fence is None:
            self._open.append(text)
            self._fresh = True
        elif fence.closed_by(text):
            self._done += fence.rows()
            self._fence = None
            self._before = Context(self._before.unit, text)
        else:
            fence.take(text)

    def _all(self) -> list[Line]:
        self._advance()
        unfinished = clean(self._unfinished)
        fence = self._fence
        if fence is not None:
            closing = fence.closed_by(unfinished) if self._finished else fence.may_be_closing(unfinished)
            hidden = closing or not unfinished.strip()
            return [*self._done, *(fence.rows() if hidden else fence.rows(unfinished))]
        env: Environment = {}
        sources = [*self._open, unfinished]
        found = units("\n".join(sources), env, self._place)
        return [*self._done, *render_units(found, sources, self.width, env, self._before)]

    def _advance(self) -> None:
        """Finishes every unit that can be, and enters a block of code that is open."""
        while self._fresh and self._fence is None:
            self._fresh = False
            env: Environment = {}
            found = units("\n".join(self._open) + "\n", env, self._place)
            if len(found) > 1:
                self._done += render_units(found[:-1], self._open, self.width, env, self._before)
                self._keep_from(found[-1].start)
                self._before = Context(found[-2], self._before.line)
                self._fresh = True
            elif found and found[0].item is None and found[0].tokens[0].type == "fence":
                self._enter_fence(found[0])

    def _keep_from(self, start: int) -> None:
        """Drops the open lines before one."""
        if start:
            self._before = Context(self._before.unit, self._open[start - 1])
            del self._open[:start]

    def _enter_fence(self, unit: Unit) -> None:
        """Goes on line by line in a block of code that begins at an open line."""
        start = unit.start
        opening = _FENCE.match(self._open[start])
        if opening is None:
            return
        if self._before.unit is not None:
            self._done.append(BLANK)
        pending = self._open[start + 1 :]
        self._before = Context(unit)
        self._open = []
        self._fence = _Fence(opening, self.width)
        for text in pending:
            self._take(text)


def _spaces(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
