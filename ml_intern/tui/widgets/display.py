"""What tools show a person (`core/display.py`), as pieces of lines.

Long ones are cut into pieces that are rendered each when it comes into view. Blocks are told apart by their `type`, so
that nothing of the core is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.code import highlight, language_of, piece_ends
from ml_intern.tui.widgets.diff import changes, diff_counts, diff_pieces
from ml_intern.tui.widgets.lines import BLANK, Line, Run, chop, indent, line, spread, wrap
from ml_intern.tui.widgets.markdown import render as render_markdown
from ml_intern.tui.widgets.pieces import Piece
from ml_intern.tui.widgets.plot import plot_lines
from ml_intern.tui.widgets.tables import table_lines
from ml_intern.tui.widgets.text import (
    cells,
    clean,
    clean_code,
    clean_output,
    clock_span,
    count,
    fit_path,
    money,
    one_line,
)

if TYPE_CHECKING:
    from ml_intern.core.display import (
        CurveBlock,
        DatasetBlock,
        DiffBlock,
        DisplayBlock,
        JobCard,
        LogBlock,
        PlanBlock,
        TableBlock,
        TextBlock,
    )

PLAIN_LINES = 64
"""Lines of a piece of plain text."""
TABLE_ROWS = 100
HIGHLIGHTED_LINES = 50_000
"""Longer texts stay plain."""

PLAN_MARKS = {"completed": ("✓", "success"), "in_progress": ("▸", "accent"), "pending": ("○", "muted")}
JOB_MARKS = {
    "COMPLETED": ("✓", "success"),
    "RUNNING": ("▸", "accent"),
    "ERROR": ("✗", "error"),
    "FAILED": ("✗", "error"),
}


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Some successive lines of a text.

    Attributes:
        lines: All lines of the text; they may be unclean.
        start: First line of the piece, counted from 0.
        end: The line after its last one.
        language: Syntax to highlight, or empty.
        digits: Width of the line numbers; 0 for none.
        ink: Ink of text that is not highlighted.
        safe: Makes a line fit to be shown.
    """

    lines: Sequence[str]
    start: int
    end: int
    language: str = ""
    digits: int = 0
    ink: str = ""
    safe: Callable[[str], str] = clean

    @property
    def plain(self) -> str:
        """The lines as they are shown."""
        return "\n".join([self.safe(text) for text in self.lines[self.start : self.end]])

    def estimate(self, width: int) -> int:
        """A line each, more for a piece whose first line is long."""
        wide = len(self.lines[self.start]) // max(1, width) if self.end > self.start else 0
        return self.end - self.start + wide

    def render(self, width: int) -> list[Line]:
        """The lines; what is too long goes on below."""
        own = [self.safe(text) for text in self.lines[self.start : self.end]]
        room = width - self.digits - 2 if self.digits else width
        if not self.digits:
            return [row for runs in self._runs(own) for row in chop(runs, room)]
        lines: list[Line] = []
        for number, runs in enumerate(self._runs(own), self.start + 1):
            first, *rest = indent(chop(runs, room), Run(" " * (self.digits + 2)))
            gutter = Run(f"{number:>{self.digits}}  ", "gutter")
            lines += [first._replace(runs=(gutter, *first.runs[1:])), *rest]
        return lines

    def _runs(self, own: Sequence[str]) -> Sequence[Sequence[Run]]:
        return highlight(own, self.language) if self.language else [(Run(text, self.ink),) for text in own]


@dataclass(frozen=True, slots=True)
class LinesPiece:
    """Anything that is quickly rendered.

    Attributes:
        make: Makes the lines for a width.
        plain: The text, for search.
        height: About how many lines there are.
    """

    make: Callable[[int], list[Line]]
    plain: str = ""
    height: int = 1

    def estimate(self, _width: int) -> int:
        """As told."""
        return self.height

    def render(self, width: int) -> list[Line]:
        """The lines."""
        return self.make(width)


BLANK_PIECE = LinesPiece(lambda _width: [BLANK])


def text_pieces(
    text: str | Sequence[str],
    language: str = "",
    *,
    numbers: bool = False,
    ink: str = "",
    safe: Callable[[str], str] = clean,
) -> list[TextPiece]:
    """A text, in pieces.

    Args:
        text: The text or its lines.
        language: Syntax to highlight.
        numbers: Whether lines are numbered.
        ink: Ink of text that is not highlighted.
        safe: Makes a line fit to be shown: `clean`, `clean_output` or `clean_code`.
    """
    lines = text.removesuffix("\n").split("\n") if isinstance(text, str) else text
    digits = len(str(len(lines))) if numbers else 0
    if language and len(lines) <= HIGHLIGHTED_LINES:
        ends = [*piece_ends(lines), len(lines)]
    else:
        language, ends = "", [*range(PLAIN_LINES, len(lines), PLAIN_LINES), len(lines)]
    starts = [0, *ends]
    return [
        TextPiece(lines, start, end, language, digits, ink, safe)
        for start, end in zip(starts, ends, strict=False)
        if end > start
    ]


def title_piece(text: str, aside: str = "") -> LinesPiece:
    """A heading above a block, with something at its right end."""
    name, remark = one_line(text), one_line(aside)

    def heading(width: int) -> list[Line]:
        room = max(1, width - (cells(remark) + 2 if remark else 0))
        shown = fit_path(name, room) if "/" in name and " " not in name else name  # of a path the end tells most
        return [spread([Run(shown, "muted")], [Run(remark, "faint")], width)]

    return LinesPiece(heading, name)


def display_pieces(block: DisplayBlock, *, numbers: bool = False, exact: bool = False) -> list[Piece]:
    """A display block, in pieces.

    Args:
        block: What to show.
        numbers: Whether the lines of a text are numbered.
        exact: Nothing of a text may be left out, not even what cannot be seen: somebody decides by it.
    """
    if block.type == "text":
        return _text(block, numbers, exact)
    return list(_PIECES[block.type](block))


def render_display(block: DisplayBlock, width: int, *, limit: int | None = None) -> list[Line]:
    """A display block as lines; with a limit, no more than that many are rendered and returned."""
    lines: list[Line] = []
    for piece in display_pieces(block):
        lines += piece.render(width)
        if limit is not None and len(lines) >= limit:
            return lines[:limit]
    return lines


def _text(block: TextBlock, numbers: bool, exact: bool) -> list[Piece]:
    head: list[Piece] = [title_piece(block.title)] if block.title else []
    if block.language in ("markdown", "md") and not numbers and not exact:
        return [
            *head,
            LinesPiece(lambda width: render_markdown(block.text, width), block.text, block.text.count("\n") + 1),
        ]
    if block.language == "prose":
        return [*head, LinesPiece(partial(_sentences, clean_code(block.text)), block.text, block.text.count("\n") + 1)]
    language = block.language or language_of(block.title)
    safe = clean_code if exact or language else clean
    return [*head, *text_pieces(block.text, language, numbers=numbers, safe=safe)]


def _sentences(text: str, width: int) -> list[Line]:
    return [row for sentence in text.split("\n") for row in wrap([Run(sentence)], width)]


def _diff(block: DiffBlock) -> Iterable[Piece]:
    rows = changes(block.old, block.new, block.first_line)
    added, removed = diff_counts(rows)
    yield title_piece(block.path, f"+{added} -{removed}" if block.old else f"new, {count(added, 'line')}")
    yield from diff_pieces(block.path, rows)


def _table(block: TableBlock) -> Iterable[Piece]:
    if block.title:
        yield title_piece(block.title)
    heading = [[Run(one_line(column), "strong")] for column in block.columns]
    if not block.rows:
        yield LinesPiece(lambda width: [*table_lines([heading], (), width), line("no rows", "muted")])
    for start in range(0, len(block.rows), TABLE_ROWS):
        yield _table_piece(heading, block.rows[start : start + TABLE_ROWS])


def _table_piece(heading: list[list[Run]], rows: Sequence[Sequence[str]]) -> LinesPiece:
    def make(width: int) -> list[Line]:
        cells = [[[Run(one_line(cell, 2_000))] for cell in row] for row in rows]
        sides = ["right" if _numeric(column) else "" for column in zip(*rows, strict=True)] if rows else []
        return table_lines([heading, *cells], sides, width)

    return LinesPiece(make, "\n".join("  ".join(row) for row in rows), len(rows) + 2)


def _numeric(column: Sequence[str]) -> bool:
    """Whether a column holds numbers and nothing else."""
    kept = [cell.strip() for cell in column if cell.strip() not in ("", "-", "–")]
    return bool(kept) and all(cell[0] in "0123456789+-−.$" and any(map(str.isdigit, cell)) for cell in kept)


def _log(block: LogBlock) -> Iterable[Piece]:
    if block.omitted:
        where = f" in {block.path}" if block.path else ""
        text = f"… {count(block.omitted, 'earlier line')}{where}"
        yield LinesPiece(lambda width: wrap([Run(one_line(text), "muted")], width), text)
    yield from text_pieces("\n".join(block.lines) or "(no output yet)", safe=clean_output)


def _plan(block: PlanBlock) -> Iterable[Piece]:
    def make(width: int) -> list[Line]:
        lines: list[Line] = []
        for content, status in block.items:
            mark, ink = PLAN_MARKS[status]
            text = wrap([Run(one_line(content, 1_000), "muted strike" if status == "completed" else "")], width - 2)
            lines += indent(text, Run("  "), Run(f"{mark} ", ink))
        return lines or [line("the plan is empty", "muted")]

    yield LinesPiece(make, "\n".join(content for content, _status in block.items), len(block.items))


def _job(block: JobCard) -> Iterable[Piece]:
    yield LinesPiece(lambda width: _job_lines(block, width), f"{block.title} {block.job_id} {block.stage}", 3)


def _job_lines(block: JobCard, width: int) -> list[Line]:
    mark, ink = JOB_MARKS.get(block.stage, ("○", "muted"))
    title = one_line(block.title) or one_line(block.job_id)
    lines = [spread([Run(f"{mark} ", ink), Run(title, "strong")], [Run(one_line(block.stage), ink)], width)]
    facts = [block.backend, block.flavor, block.job_id if block.title else ""]
    if block.elapsed_s is not None:
        limit = f" of {clock_span(block.timeout_s)}" if block.timeout_s is not None else ""
        facts.append(clock_span(block.elapsed_s) + limit)
    if block.cost_usd is not None or block.max_cost_usd is not None:
        limit = f" of at most {money(block.max_cost_usd)}" if block.max_cost_usd is not None else ""
        facts.append(money(block.cost_usd or 0.0) + limit)
    facts.append(block.load)
    known = " · ".join(one_line(fact) for fact in facts if fact)
    lines += indent(wrap([Run(known, "muted")], width - 2), Run("  "))
    if block.url:
        address = one_line(block.url, 2_000)
        link = address if address.startswith(("https://", "http://")) else ""
        lines += indent(chop([Run(address, "link", link)], width - 2), Run("  "))
    return lines


def _curve(block: CurveBlock) -> Iterable[Piece]:
    if block.title:
        yield title_piece(block.title)
    yield LinesPiece(lambda width: plot_lines(block.series, width), " ".join(block.series), 10)


def _dataset(block: DatasetBlock) -> Iterable[Piece]:
    from ml_intern.tui.widgets.dataset_text import dataset_pieces  # which is made of what is above

    return dataset_pieces(block)


_PIECES: dict[str, Callable[[Any], Iterable[Piece]]] = {
    "diff": _diff,
    "table": _table,
    "log": _log,
    "plan": _plan,
    "job": _job,
    "curve": _curve,
    "dataset": _dataset,
}
