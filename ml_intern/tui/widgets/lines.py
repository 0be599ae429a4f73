"""Lines of styled text: what every renderer makes and every scrolling widget shows.

A run names its style by *ink* (see `ink.py`), so that lines know nothing of themes and can be kept when one changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ml_intern.tui.widgets.text import cells, graphemes, is_narrow

UNWRAPPED = 1 << 30
"""A width at which nothing is wrapped: lines are made for their words alone, and source code stays plain."""

# Characters that must not begin a line of text without spaces.
_NEVER_FIRST = frozenset("、。，．・：；？！ー」』）】〕〉》’”…‥,.!?:;)]}%")


class Run(NamedTuple):
    """A piece of text in one style.

    Attributes:
        text: Printable text without newlines.
        ink: Names of inks, separated by spaces; later ones win.
        link: Where a click leads, or empty.
    """

    text: str
    ink: str = ""
    link: str = ""


class Line(NamedTuple):
    """One row of cells.

    Attributes:
        runs: What it shows.
        lead: How many characters at its beginning are decoration: they are not copied.
        join: What stands between it and the next line when both are copied; not a newline where text was wrapped.
        fill: Ink of the rest of the row.
    """

    runs: tuple[Run, ...] = ()
    lead: int = 0
    join: str = "\n"
    fill: str = ""

    @property
    def plain(self) -> str:
        """The text alone."""
        return "".join([run.text for run in self.runs])

    @property
    def letters(self) -> int:
        """How many characters are text, whatever the wrapping."""
        return len(self.plain[self.lead :].replace(" ", ""))

    @property
    def width(self) -> int:
        """Cells taken."""
        return sum([cells(run.text) for run in self.runs])


BLANK = Line()


def line(text: str, ink: str = "") -> Line:
    """A line in one style."""
    return Line((Run(text, ink),))


def spread(left: Sequence[Run], right: Sequence[Run], width: int) -> Line:
    """A line with something at either end; what is on the right goes when both do not fit."""
    used = sum(cells(run.text) for run in left)
    wanted = sum(cells(run.text) for run in right)
    if not right or used + wanted + 1 > width:
        return Line(tuple(left))
    return Line((*left, Run(" " * (width - used - wanted)), *right))


def indent(lines: Iterable[Line], prefix: Run, first: Run | None = None) -> list[Line]:
    """Puts a decorating prefix before every line; `first`, when given, stands before the first one and is copied."""
    lead = len(prefix.text)
    done: list[Line] = []
    for number, (runs, old_lead, join, fill) in enumerate(lines):
        if first is not None and number == 0:
            done.append(Line((first, *runs), 0, join, fill))
        else:
            done.append(Line((prefix, *runs), lead + old_lead, join, fill))
    return done


def wrap(runs: Sequence[Run], width: int) -> list[Line]:
    """Breaks running text between words, and inside a word only when it is wider than a line."""
    text = "".join([run.text for run in runs])
    width = max(1, width)
    if len(text) <= width and text.isascii():
        return [Line(tuple(runs))]
    breaks = _word_breaks(text, width) if is_narrow(text) else _wide_breaks(text, width)
    return _cut(runs, breaks)


def chop(runs: Sequence[Run], width: int) -> list[Line]:
    """Breaks preformatted text at the edge; every character is kept."""
    text = "".join([run.text for run in runs])
    width = max(1, width)
    if len(text) <= width and text.isascii():
        return [Line(tuple(runs))]
    if is_narrow(text):
        edges = [(at, min(at + width, len(text)), "") for at in range(0, len(text), width)] or [(0, 0, "")]
    else:
        edges = _edge_breaks(text, width)
    edges[-1] = (*edges[-1][:2], "\n")
    return _cut(runs, edges)


_Break = tuple[int, int, str]


def _word_breaks(text: str, width: int) -> list[_Break]:
    """Where lines begin and end when every character takes one cell."""
    breaks: list[_Break] = []
    start, size = 0, len(text)
    while size - start > width:
        cut = text.rfind(" ", start + 1, start + width + 1)
        end = len(text[start:cut].rstrip(" ")) + start if cut > 0 else start
        if end > start:
            breaks.append((start, end, " "))
            start = cut + 1
            while start < size and text[start] == " ":
                start += 1
        else:
            breaks.append((start, start + width, ""))
            start += width
    if start < size or not breaks:
        breaks.append((start, size, "\n"))
    breaks[-1] = (*breaks[-1][:2], "\n")
    return breaks


def _wide_breaks(text: str, width: int) -> list[_Break]:
    """The same for text with characters of other widths; between two of East Asia a line may break anywhere."""
    breaks: list[_Break] = []
    start = column = 0
    chance: tuple[int, int, str] | None = None  # end of the line, begin of the next, what joins them
    after_wide = False
    for begin, end, size in graphemes(text):
        shown = text[begin:end]
        if shown == " ":
            chance = (begin, end, " ")
        elif (size == 2 or after_wide) and begin > start and shown not in _NEVER_FIRST and text[begin - 1] != " ":
            chance = (begin, begin, "")
        after_wide = size == 2
        while column + size > width and shown != " " and begin > start:
            stop, resume, join = chance if chance and chance[0] > start else (begin, begin, "")
            breaks.append((start, start + len(text[start:stop].rstrip(" ")), join))
            start, chance = resume, None
            column = cells(text[start:begin])
        column += size
    stop = start + len(text[start:].rstrip(" ")) if column > width else len(text)
    breaks.append((start, stop, "\n"))
    return breaks


def _edge_breaks(text: str, width: int) -> list[_Break]:
    breaks: list[_Break] = []
    start = column = 0
    for begin, _end, size in graphemes(text):
        if column + size > width and begin > start:
            breaks.append((start, begin, ""))
            start, column = begin, 0
        column += size
    breaks.append((start, len(text), ""))
    return breaks


def _cut(runs: Sequence[Run], breaks: list[_Break]) -> list[Line]:
    """Slices runs at the breaks of their joined text."""
    if len(runs) == 1:
        text, ink, link = runs[0]
        return [Line((Run(text[start:end], ink, link),), 0, join) for start, end, join in breaks]
    lines: list[Line] = []
    position = index = 0  # characters before runs[index]
    for start, end, join in breaks:
        while index < len(runs) and position + len(runs[index].text) <= start:
            position += len(runs[index].text)
            index += 1
        parts: list[Run] = []
        at, look = position, index
        while look < len(runs) and at < end:
            text, ink, link = runs[look]
            piece = text[max(0, start - at) : end - at]
            if piece:
                parts.append(Run(piece, ink, link))
            at += len(text)
            look += 1
        lines.append(Line(tuple(parts), 0, join))
    return lines


def copied(lines: Sequence[Line], start: int | None, end: int | None) -> str:
    """The text of lines as it belongs on a clipboard.

    Args:
        lines: Successive lines.
        start: First character taken of the first line; None for its beginning.
        end: First character no longer taken of the last line; None for its end.
    """
    parts: list[str] = []
    last = len(lines) - 1
    for number, row in enumerate(lines):
        begin = max(row.lead, start if number == 0 and start is not None else 0)
        stop = end if number == last and end is not None else None
        parts.append(row.plain[begin:stop].rstrip())
        if number < last:
            parts.append(row.join)
    return "".join(parts)
