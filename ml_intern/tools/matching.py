"""Finds a piece of text in a file even where its white space or its quotation marks differ a little.

Four levels are tried, from exact to tolerant; the first that finds something is taken. Whatever the level, positions
are those of the file's own characters, so that what the piece does not cover is never touched.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

_TYPOGRAPHIC = str.maketrans(
    {
        "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
        "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"',
        "\u00a0": " ", "\u2002": " ", "\u2003": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ",
    }
)  # fmt: skip
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")
_BLANK = " \t"
_MOST = 1000
_NEAREST_LINES = 20_000

EXACT, TRAILING, INDENTATION, TYPOGRAPHY = range(4)
NOTES = ("", "ignoring trailing whitespace", "ignoring indentation", "ignoring indentation and typographic characters")


@dataclass(frozen=True, slots=True)
class Match:
    """Where a piece was found: `text[start:end]`.

    Attributes:
        indents: Pairs of the piece's indentation and the file's, line by line, where they may differ.
        whole_lines: The match begins at the start of a line (its indentation included).
    """

    start: int
    end: int
    indents: tuple[tuple[str, str], ...] = ()
    whole_lines: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """All matches of the first level that had any; overlapping ones too."""

    matches: tuple[Match, ...]
    level: int = EXACT


class _View:
    """A text as one level sees it, with the way back to the characters of the original."""

    def __init__(self, text: str, level: int) -> None:
        self._here: list[int] = []
        self._there: list[tuple[int, int, int]] = []  # position, length here, length there
        pieces: list[str] = []
        at = position = 0
        lines = text.split("\n")
        for number, line in enumerate(lines):
            last = number == len(lines) - 1
            returns = not last and line.endswith("\r")
            body = line[:-1] if returns else line
            for start, end in _kept(body, level):
                self._add(at, position + start, end - start, end - start)
                pieces.append(body[start:end])
                at += end - start
            position += len(body)
            if not last:
                self._add(at, position, 1, 2 if returns else 1)
                pieces.append("\n")
                at += 1
                position += 2 if returns else 1
        joined = "".join(pieces)
        self.text = joined.translate(_TYPOGRAPHIC) if level == TYPOGRAPHY else joined

    def _add(self, here: int, there: int, length_here: int, length_there: int) -> None:
        self._here.append(here)
        self._there.append((there, length_here, length_there))

    def start(self, at: int) -> int:
        """Where the character at this position stands in the original."""
        index = bisect_right(self._here, at) - 1
        return self._there[index][0] + at - self._here[index]

    def end(self, at: int) -> int:
        """Where the character before this position ends in the original."""
        index = bisect_right(self._here, at - 1) - 1
        position, length_here, length_there = self._there[index]
        return position + (length_there if length_here != length_there else at - self._here[index])


def _kept(body: str, level: int) -> Iterator[tuple[int, int]]:
    """The stretches of a line that a level looks at."""
    start, end = 0, len(body)
    ignored = _BLANK if level < TYPOGRAPHY else _BLANK + "\u00a0\u2002\u2003\u2009\u202f\u3000\u200b\ufeff"
    if level >= TRAILING:
        end = len(body.rstrip(ignored))
    if level >= INDENTATION:
        start = min(end, len(body) - len(body.lstrip(ignored)))
    if level == TYPOGRAPHY:
        for invisible in _INVISIBLE.finditer(body, start, end):
            if start < invisible.start():
                yield start, invisible.start()
            start = invisible.end()
    if start < end:
        yield start, end


def find(text: str, piece: str) -> Found:
    """Finds a piece that is not empty."""
    if "\r" not in text:  # the usual case needs no way back
        piece = piece.replace("\r\n", "\n")
        if exact := tuple(Match(at, at + len(piece)) for at in _places(text, piece)):
            return Found(exact)
    for level in range(TRAILING if "\r" not in text else EXACT, TYPOGRAPHY + 1):
        wanted = _View(piece, level).text
        if level > EXACT and not wanted.strip():
            break  # nothing but white space: only exact matches mean anything
        view = _View(text, level)
        places = list(_places(view.text, wanted))
        if places:
            matches = tuple(_match(text, piece, view, at, at + len(wanted), level) for at in places)
            return Found(matches, level)
    return Found(())


def _places(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    for _ in range(_MOST):
        if at < 0:
            return
        yield at
        at = text.find(wanted, at + 1)


def _match(text: str, piece: str, view: _View, first: int, past: int, level: int) -> Match:
    start, end = view.start(first), view.end(past)
    if level == EXACT:
        return Match(start, end)
    end = _with_trailing_blanks(text, piece, end)
    if level < INDENTATION:
        return Match(start, end)
    line_start = text.rfind("\n", 0, start) + 1
    whole_lines = not (text[line_start:start].strip() or piece.startswith(("\n", "\r")))
    if whole_lines:
        start = line_start
    pairs = []
    for number, (theirs, ours) in enumerate(zip(piece.split("\n"), text[start:end].split("\n"), strict=False)):
        if theirs.strip() and ours.strip() and (number or whole_lines):
            pairs.append((indent_of(theirs), indent_of(ours)))
    return Match(start, end, tuple(pairs), whole_lines)


def _with_trailing_blanks(text: str, piece: str, end: int) -> int:
    """Blanks at the very end of the piece cover as many of the file's, if they are there."""
    last_line = piece.rpartition("\n")[2]
    wanted = len(last_line) - len(last_line.rstrip(_BLANK))
    if wanted and not last_line.strip():
        wanted = len(text)  # the indentation of the line that follows, whatever its width
    while wanted and end < len(text) and text[end] in _BLANK:
        end += 1
        wanted -= 1
    return end


def indent_of(line: str) -> str:
    """The white space a line begins with."""
    return line[: len(line) - len(line.lstrip(_BLANK))]


class Reindent:
    """Gives new lines the indentation of the file, learnt from lines that stand in both the file and the old text."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self._known: dict[str, str] = {}
        for theirs, ours in pairs:
            self._known.setdefault(theirs, ours)
        self._first = pairs[0] if pairs else ("", "")
        self._width = self._tab_width()

    def text(self, new: str, *, from_line_start: bool) -> str:
        """The new text, indented like its surroundings.

        Args:
            new: Text with the ends of lines as `\\n`.
            from_line_start: Whether it begins a line.
        """
        lines = new.split("\n")
        last = len(lines) - 1
        for number, line in enumerate(lines):
            if number == 0 and not from_line_start:
                continue
            if line.strip(_BLANK) or (number == last and line):
                indent = indent_of(line)
                lines[number] = self._indent(indent) + line[len(indent) :]
        return "\n".join(lines)

    def _indent(self, indent: str) -> str:
        if indent in self._known:
            return self._known[indent]
        bases = [known for known in self._known if known and indent.startswith(known)]
        if bases or "" in self._known:
            base = max(bases, key=len, default="")
            return self._known[base] + self._converted(indent[len(base) :])
        theirs, ours = self._first
        if theirs.startswith(indent):  # further out than every line that is known
            drop = self._converted(theirs[len(indent) :])
            return ours[: len(ours) - len(drop)] if len(drop) < len(ours) else ""
        return indent

    def _converted(self, extra: str) -> str:
        """Further indentation in the file's own kind: tabs or spaces."""
        ours = "".join(self._known.values())
        if ours and not ours.strip("\t") and extra and not extra.strip(" "):
            return "\t" * round(len(extra) / self._width)
        if ours and not ours.strip(" ") and extra and not extra.strip("\t"):
            return " " * (len(extra) * self._width)
        return extra

    def _tab_width(self) -> int:
        """How many spaces of the one side stand for a tab of the other."""
        for theirs, ours in self._known.items():
            spaces, tabs = max(theirs.count(" "), ours.count(" ")), max(theirs.count("\t"), ours.count("\t"))
            if spaces and tabs:
                return max(1, round(spaces / tabs))
        return 4


def nearest_line(text: str, piece: str) -> tuple[int, str] | None:
    """Number and text of the line that is most like the first line of a piece that was not found."""
    wanted = next((line.strip() for line in piece.split("\n") if line.strip()), "")
    lines = [line.strip() for line in text.split("\n")[:_NEAREST_LINES]]
    short = {line: number for number, line in reversed(list(enumerate(lines, 1))) if 0 < len(line) <= 300}
    if len(wanted) > 300 or not short:
        return None
    near = difflib.get_close_matches(wanted, short, n=1, cutoff=0.6)
    return (short[near[0]], near[0]) if near else None
