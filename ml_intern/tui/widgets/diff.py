"""Differences between two texts as rows: side by side where there is room, one below the other where there is not.

Every row carries a mark, so that colour says nothing alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from ml_intern.tui.widgets.code import LONG_LINE, highlight, language_of
from ml_intern.tui.widgets.ink import Span, overlaid
from ml_intern.tui.widgets.lines import BLANK, Line, Run, chop, indent, line
from ml_intern.tui.widgets.text import clean_code

CONTEXT = 3
SPLIT_FROM = 100
"""Cells from which the two texts stand side by side."""
PIECE_ROWS = 40
LARGE = 4_000
"""With more changed lines on a side, all of them count as replaced: finding the best match would take too long."""

Layout = Literal["auto", "split", "unified"]
Kind = Literal["same", "removed", "added", "hunk"]
_MARKS: dict[Kind, tuple[str, str]] = {"same": (" ", ""), "removed": ("-", "removed"), "added": ("+", "added")}


class Change(NamedTuple):
    """One line of a difference.

    Attributes:
        kind: What happened to it.
        old: Its number before, 0 if it was not there.
        new: Its number after, 0 if it is gone.
        text: The line; of a `hunk`, its title.
        emphasis: The range of characters that differ within the line.
    """

    kind: Kind
    old: int
    new: int
    text: str
    emphasis: tuple[int, int] | None = None


def changes(old: str, new: str, first_line: int = 1) -> list[Change]:
    """The differences of two texts with a few lines around each.

    Args:
        old: The text before.
        new: The text after.
        first_line: Number of their first line in the file they are a part of.
    """
    before, after, skipped = _lines(old), _lines(new), first_line - 1
    found: list[Change] = []
    last = 0
    for group in _groups(before, after):
        first = group[0]
        if first[1] > last or found:
            number = first[3] + 1 + skipped
            found.append(Change("hunk", first[1] + 1 + skipped, number, f"line {number}"))
        last = group[-1][2]
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                found += _same(before[old_from:old_to], old_from + 1 + skipped, new_from + 1 + skipped)
            else:
                gone, come = before[old_from:old_to], after[new_from:new_to]
                found += _replaced(gone, come, old_from + 1 + skipped, new_from + 1 + skipped)
    return found


def _lines(text: str) -> list[str]:
    return clean_code(text).removesuffix("\n").split("\n") if text else []


_Code = tuple[str, int, int, int, int]


def _groups(before: Sequence[str], after: Sequence[str]) -> Iterator[list[_Code]]:
    """Runs of changes that lie close together, with their context."""
    top = _common(before, after)
    bottom = _common(before[top:][::-1], after[top:][::-1])
    old, new = before[top : len(before) - bottom], after[top : len(after) - bottom]
    if not old and not new:
        return
    start, end = max(0, top - CONTEXT), min(bottom, CONTEXT)
    codes: list[_Code] = [("equal", start, top, start, top)] if top > start else []
    codes += [
        (tag, i1 + top, i2 + top, j1 + top, j2 + top) for tag, i1, i2, j1, j2 in _codes(old, new) if i2 > i1 or j2 > j1
    ]
    if end:
        old_end, new_end = len(before) - bottom, len(after) - bottom
        codes.append(("equal", old_end, old_end + end, new_end, new_end + end))
    yield from _parted(codes)


def _codes(old: Sequence[str], new: Sequence[str]) -> Sequence[_Code]:
    if not old or not new or len(old) > LARGE or len(new) > LARGE:
        return [("replace", 0, len(old), 0, len(new))]
    return SequenceMatcher(None, old, new, autojunk=len(old) > 400).get_opcodes()


def _parted(codes: Sequence[_Code]) -> Iterator[list[_Code]]:
    """Parts a run of changes where many equal lines lie in between."""
    group: list[_Code] = []
    for number, (tag, i1, i2, j1, j2) in enumerate(codes):
        if tag == "equal" and i2 - i1 > 2 * CONTEXT and 0 < number < len(codes) - 1:
            group.append((tag, i1, i1 + CONTEXT, j1, j1 + CONTEXT))
            yield group
            i1, j1, group = i2 - CONTEXT, j2 - CONTEXT, []
        group.append((tag, i1, i2, j1, j2))
    if group:
        yield group


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many items two sequences have in common at their beginning."""
    number = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        number += 1
    return number


def _same(lines: Sequence[str], old_number: int, new_number: int) -> list[Change]:
    return [Change("same", old_number + at, new_number + at, text) for at, text in enumerate(lines)]


def _replaced(old: Sequence[str], new: Sequence[str], old_number: int, new_number: int) -> list[Change]:
    """Removed lines, then added ones; those that stand for each other show what differs inside."""
    inside = [_emphasis(one, other) for one, other in zip(old, new, strict=False)]
    removed = [
        Change("removed", old_number + at, 0, text, inside[at][0] if at < len(inside) else None)
        for at, text in enumerate(old)
    ]
    added = [
        Change("added", 0, new_number + at, text, inside[at][1] if at < len(inside) else None)
        for at, text in enumerate(new)
    ]
    return removed + added


_Range = tuple[int, int]


def _emphasis(old: str, new: str) -> tuple[_Range | None, _Range | None]:
    """What differs between two lines, if they have enough in common to tell."""
    if len(old) > LONG_LINE or len(new) > LONG_LINE:
        return None, None
    left = _common(old, new)
    right = _common(old[left:][::-1], new[left:][::-1])
    longest = max(len(old), len(new))
    if left + right < 0.3 * longest or not old.strip() or not new.strip():
        return None, None
    return (left, len(old) - right), (left, len(new) - right)


# ------------------------------------------------------------------------------------------------------ showing


@dataclass(frozen=True, slots=True)
class DiffPiece:
    """Some successive rows of a difference.

    Attributes:
        rows: The rows.
        language: Their syntax.
        digits: Width of the line numbers.
        layout: Whether the two texts stand side by side; `auto` where there is room for that.
    """

    rows: Sequence[Change]
    language: str
    digits: int
    layout: Layout = "auto"

    def is_split(self, width: int) -> bool:
        """Whether the two texts stand side by side at a width."""
        return self.layout == "split" or (self.layout == "auto" and width >= SPLIT_FROM)

    @property
    def plain(self) -> str:
        """The lines, without marks."""
        return "\n".join(row.text for row in self.rows)

    def estimate(self, _width: int) -> int:
        """One line per row."""
        return len(self.rows)

    def render(self, width: int) -> list[Line]:
        """The rows, side by side when the width allows it."""
        if not self.is_split(width):
            return [drawn for row in self.rows for drawn in self._one(row, row.new or row.old, width)]
        half = max(self.digits + 8, (width - 3) // 2)
        return [drawn for left, right in _pairs(self.rows) for drawn in self._beside(left, right, half)]

    def _beside(self, left: Change | None, right: Change | None, half: int) -> list[Line]:
        if left is not None and left.kind == "hunk":
            return self._one(left, 0, 2 * half + 3)
        before = self._one(left, left.old, half) if left else []
        after = self._one(right, right.new, half) if right else []
        lines: list[Line] = []
        for number in range(max(len(before), len(after))):
            one = before[number] if number < len(before) else BLANK
            other = after[number] if number < len(after) else BLANK
            space = Run(" " * max(0, half - one.width), one.fill)
            lines.append(Line((*one.runs, space, Run(" │ ", "gutter"), *other.runs), one.lead, "\n", other.fill))
        return lines

    def _one(self, row: Change, number: int, width: int) -> list[Line]:
        if row.kind == "hunk":
            return [line(f"{'':>{self.digits}}   ⋯ {row.text}", "hunk")]
        mark, ink = _MARKS[row.kind]
        (runs,) = highlight([row.text], self.language)
        spans: list[Span] = [(0, len(row.text), ink)] if ink else []
        if row.emphasis and row.emphasis[1] > row.emphasis[0]:
            spans.append((*row.emphasis, f"{ink}-word"))
        body = chop(overlaid(Line(runs), spans) if spans else runs, width - self.digits - 3)
        gutter = Run(f"{number:>{self.digits}} ", "gutter")
        sign = Run(f"{mark} ", ink)
        first = Line((gutter, sign, *body[0].runs), len(gutter.text) + 2, body[0].join, ink)
        rest = indent(body[1:], Run(" " * (self.digits + 3), ink))
        return [first, *(part._replace(fill=ink) for part in rest)]


def diff_pieces(path: str, rows: Sequence[Change]) -> list[DiffPiece]:
    """The differences of a file, in pieces that are rendered each when it comes into view."""
    digits = len(str(max((max(row.old, row.new) for row in rows), default=0)))
    language = language_of(path)
    return [DiffPiece(rows[start:end], language, digits) for start, end in _portions(rows)]


def _portions(rows: Sequence[Change]) -> Iterator[tuple[int, int]]:
    """Cuts rows so that no removed line is parted from what replaces it, unless that makes a piece too long."""
    start = 0
    for index in range(1, len(rows)):
        size = index - start
        if size >= PIECE_ROWS and (rows[index].kind in ("same", "hunk") or size >= 10 * PIECE_ROWS):
            yield start, index
            start = index
    if start < len(rows):
        yield start, len(rows)


def diff_counts(rows: Sequence[Change]) -> tuple[int, int]:
    """How many lines were added and removed."""
    return sum(row.kind == "added" for row in rows), sum(row.kind == "removed" for row in rows)


def _pairs(rows: Sequence[Change]) -> Iterator[tuple[Change | None, Change | None]]:
    """Puts each removed line beside the added one that replaces it."""
    removed: list[Change] = []
    added: list[Change] = []
    for row in rows:
        if row.kind == "removed" and not added:
            removed.append(row)
            continue
        if row.kind == "added":
            added.append(row)
            continue
        yield from _zipped(removed, added)
        removed, added = ([row], []) if row.kind == "removed" else ([], [])
        if row.kind != "removed":
            yield row, row
    yield from _zipped(removed, added)


def _zipped(removed: Sequence[Change], added: Sequence[Change]) -> Iterator[tuple[Change | None, Change | None]]:
    for number in range(max(len(removed), len(added))):
        yield (
            removed[number] if number < len(removed) else None,
            added[number] if number < len(added) else None,
        )
