"""A data set in lines: what it is, what it fits, its columns with their histograms, its cells."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece, text_pieces, title_piece
from ml_intern.tui.widgets.lines import BLANK, Line, Run, indent, line, spread, wrap
from ml_intern.tui.widgets.pieces import Piece
from ml_intern.tui.widgets.tables import table_lines
from ml_intern.tui.widgets.text import cells, clean, count, fit, one_line, pad

if TYPE_CHECKING:
    from ml_intern.core.display import DatasetBlock, DatasetColumn, DatasetFit

FIT_MARKS = {True: ("✓", "success"), None: ("~", "warning"), False: ("✗", "error")}
FIT_WORDS = {True: "fits", None: "fits after a change", False: "does not fit"}
BARS = "▁▂▃▄▅▆▇█"
PARTS = " ▏▎▍▌▋▊▉"
BAR_CELLS = 40
BARS_CELLS = 12
"""Room for a histogram in a line."""
NAME_CELLS = 24
KIND_CELLS = 30
WIDE = 70
"""From so many cells on a column has a line to itself; below, its facts go under its name."""
FRACTION_CELLS = 10
"""A fraction that takes more is rounded in tables."""
SHOWN_ROWS = 25
SPEAKERS = (("role", "content"), ("from", "value"))


# ------------------------------------------------------------------------------------------------- what it is


def headline(block: DatasetBlock) -> str:
    """Name, part and size in one line."""
    rows = count(block.row_count, "row") if block.row_count is not None else "rows not counted"
    return " · ".join(one_line(part, 200) for part in (block.name, block.part, rows) if part)


def badges(fits: Sequence[DatasetFit], width: int) -> list[Line]:
    """One badge for each way of training; the mark says the same as the colour."""
    lines: list[list[Run]] = [[]]
    for judged in fits:
        mark, ink = FIT_MARKS[judged.fits]
        badge = [Run(f"{mark} ", ink), Run(one_line(judged.method, 40), "strong" if judged.fits else "muted")]
        used = sum(cells(run.text) for run in lines[-1])
        if used and used + 3 + sum(cells(run.text) for run in badge) > width:
            lines.append([])
        lines[-1] += [Run("   "), *badge] if lines[-1] else badge
    return [Line(tuple(runs)) for runs in lines if runs]


def facts_lines(block: DatasetBlock, width: int) -> list[Line]:
    """Licence, gating and the like."""
    known = " · ".join(one_line(fact, 200) for fact in block.facts)
    return wrap([Run(known, "muted")], width) if known else []


def about_pieces(block: DatasetBlock) -> list[Piece]:
    """All that is no column and no row: where it is, the verdicts with their reasons, splits, what was noticed."""
    pieces: list[Piece] = []
    if block.url:
        url = one_line(block.url, 2_000)
        link = url if url.startswith(("https://", "http://")) else ""
        pieces += [LinesPiece(lambda width: wrap([Run(url, "link", link)], width), url), BLANK_PIECE]
    if block.facts:
        pieces += [LinesPiece(partial(facts_lines, block), " ".join(block.facts)), BLANK_PIECE]
    pieces += [_section("training"), *(LinesPiece(partial(_fit_lines, judged), judged.reason) for judged in block.fits)]
    if block.splits:
        rows = [("split", "rows", "size"), *block.splits]
        table = [
            [[Run(one_line(text, 200), "strong" if not at else "")] for text in row] for at, row in enumerate(rows)
        ]
        plain = "\n".join(" ".join(row) for row in block.splits)
        pieces += [BLANK_PIECE, _section("splits")]
        pieces.append(LinesPiece(lambda width: table_lines(table, ("", "right", "right"), width), plain, len(rows) + 1))
    if block.notes:
        pieces += [BLANK_PIECE, _section("noticed")]
        pieces += [LinesPiece(partial(_note_lines, note), note) for note in block.notes]
    return pieces


def _section(name: str) -> LinesPiece:
    return LinesPiece(lambda _width: [line(name, "accent")], name)


def _fit_lines(judged: DatasetFit, width: int) -> list[Line]:
    mark, ink = FIT_MARKS[judged.fits]
    head = [Run(one_line(judged.method, 40), "strong"), Run(f" {FIT_WORDS[judged.fits]}")]
    reason = [Run(f": {one_line(judged.reason, 600)}", "muted")] if judged.reason else []
    return indent(wrap([*head, *reason], max(1, width - 2)), Run("  "), Run(f"{mark} ", ink))


def _note_lines(note: str, width: int) -> list[Line]:
    return indent(wrap([Run(one_line(note, 1_000))], max(1, width - 2)), Run("  "), Run("· ", "bullet"))


# ------------------------------------------------------------------------------------------------- its columns


def spark(column: DatasetColumn) -> str:
    """The histogram of a column, or the frequencies of its classes, in one short line."""
    heights = column.counts or tuple(number for _, number in column.values)
    most = max(heights, default=0)
    if not most:
        return ""
    return "".join(BARS[min(7, 8 * number // most)] if number else " " for number in heights[:BAR_CELLS])


def column_widths(columns: Sequence[DatasetColumn]) -> tuple[int, int]:
    """How wide names and types are, one below the other."""
    names = max((cells(one_line(column.name, 200)) for column in columns), default=0)
    kinds = max((cells(one_line(column.kind, 400)) for column in columns), default=0)
    return min(NAME_CELLS, names), min(KIND_CELLS, kinds)


def column_line(column: DatasetColumn, widths: tuple[int, int], width: int) -> Line:
    """A column in one line: name, type, facts, histogram, each below that of the others (see `column_widths`)."""
    names, kinds = widths[0], min(widths[1], max(8, width // 4))
    bars = width >= names + kinds + BARS_CELLS + 8
    room = width - names - kinds - 4 - (BARS_CELLS + 2 if bars else 0)
    runs = [
        Run(pad(fit(one_line(column.name, 200), names), names), "strong"),
        Run("  " + pad(fit(one_line(column.kind, 400), kinds), kinds), "muted"),
        Run("  " + pad(fit(one_line(column.facts, 400), room), room) if room > 4 else "", "faint"),
        Run("  " + fit(spark(column), BARS_CELLS) if bars else "", "accent"),
    ]
    return Line(tuple(run for run in runs if run.text))


def column_pieces(column: DatasetColumn) -> list[Piece]:
    """A column at full length: its type, its facts, its histogram with figures."""
    about = [part for part in (column.kind, column.facts) if part]
    pieces: list[Piece] = [title_piece(column.name, count(column.distinct, "class") if column.distinct > 6 else "")]
    pieces += [LinesPiece(partial(_plain_lines, text), text) for text in about]
    if column.values:
        most = max(number for _, number in column.values)
        total = sum(number for _, number in column.values)
        rows = [(one_line(name, 80), number) for name, number in column.values]
        pieces += [BLANK_PIECE, _bars_piece(rows, most, total)]
        if left := column.distinct - len(column.values):
            pieces.append(LinesPiece(lambda _width: [line(f"… and {left:,} more", "muted")]))
    elif column.counts:
        rows = list(zip(_bins(column), column.counts, strict=True))
        pieces += [BLANK_PIECE, _bars_piece(rows, max(column.counts), sum(column.counts))]
    return pieces


def _plain_lines(text: str, width: int) -> list[Line]:
    return wrap([Run(one_line(text, 1_000), "muted")], width)


def _bins(column: DatasetColumn) -> list[str]:
    """What the bins of a histogram hold."""
    if len(column.edges) != len(column.counts) + 1:
        return [f"bin {number}" for number in range(1, len(column.counts) + 1)]
    unit = f" {column.unit}" if column.unit else ""
    whole = bool(unit) or column.kind.startswith(("int", "uint"))
    if whole and all(edge.is_integer() and after - edge == 1 for edge, after in pairwise(column.edges)):
        return [f"{_figure(edge)}{unit}" for edge in column.edges[:-1]]
    edges = [_figure(edge) for edge in column.edges]
    return [f"{low} to {high}{unit}" for low, high in pairwise(edges)]


def _figure(value: float) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def _bars_piece(rows: Sequence[tuple[str, int]], most: int, total: int) -> LinesPiece:
    names = max((cells(name) for name, _ in rows), default=0)
    figures = [f"{number:,}  {100 * number / max(1, total):.1f} %" for _, number in rows]
    wide = max(map(len, figures), default=0)

    def make(width: int) -> list[Line]:
        room = min(names, max(8, width - wide - 12))
        bars = min(BAR_CELLS, width - room - wide - 4)
        lines = []
        for (name, number), figure in zip(rows, figures, strict=True):
            shown = fit(name, room)
            runs = [Run(" " * (room - cells(shown)) + shown, "muted")]
            if bars > 3:
                runs.append(Run("  " + _bar(number, most, bars), "accent"))
            lines.append(Line((*runs, Run(f"  {figure:>{wide}}", "faint"))))
        return lines

    return LinesPiece(make, "\n".join(name for name, _ in rows), len(rows))


def _bar(number: int, most: int, width: int) -> str:
    """A bar to an eighth of a cell; what is there at all is seen."""
    eighths = max(1, round(8 * width * number / most)) if number and most else 0
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (PARTS[rest] if rest else "")
    return bar + " " * (width - cells(bar))


# --------------------------------------------------------------------------------------------------- its cells


def short_cell(value: str | None, *, numeric: bool = False) -> tuple[str, str]:
    """A cell in one line, and the ink it is shown in. Long fractions are rounded: cut, they lose exponents."""
    if value is None:
        return "null", "faint"
    if numeric and len(value) > FRACTION_CELLS and not value.lstrip("-").isdigit():
        with contextlib.suppress(ValueError):
            return f"{float(value):.6g}", ""
    return (one_line(value, 300), "") if value.strip() else ("(empty)", "faint")


def cell_pieces(value: str | None) -> list[Piece]:
    """A cell as a whole: chats as who says what, other structures as tidy JSON, texts with their lines."""
    if value is None or not value.strip():
        text, ink = short_cell(value)
        return [LinesPiece(lambda _width: [line(text, ink)], text)]
    found = _structure(value)
    if messages := _messages(found):
        return [piece for message in messages for piece in _message_pieces(*message)]
    if isinstance(found, dict | list):
        return [*text_pieces(json.dumps(found, indent=2, ensure_ascii=False), "json")]
    return [LinesPiece(partial(_wrapped, clean(part)), part) for part in value.split("\n")]


def _structure(value: str) -> Any:
    if value[:1] not in "[{":
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _messages(found: Any) -> list[tuple[str, str]]:
    """Speaker and words of each message, where a value is a chat."""
    if not isinstance(found, list) or not found or not all(isinstance(item, Mapping) for item in found):
        return []
    keys = next((keys for keys in SPEAKERS if all(key in found[0] for key in keys)), None)
    if keys is None:
        return []
    speaker, words = keys
    return [(str(item.get(speaker)), "\n".join(_said(item, words, speaker))) for item in found]


def _said(message: Mapping[str, Any], words: str, speaker: str) -> Iterator[str]:
    said = message.get(words)
    if said:
        yield said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    for key, value in message.items():
        if key not in (words, speaker) and value:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _message_pieces(speaker: str, words: str) -> Iterator[Piece]:
    yield LinesPiece(lambda _width: [line(one_line(speaker, 80), "agent" if speaker in _ANSWERING else "you")], speaker)
    for part in (words or "(says nothing)").split("\n"):
        yield LinesPiece(partial(_spoken, clean(part)), part)
    yield BLANK_PIECE


_ANSWERING = frozenset({"assistant", "gpt", "bot", "model"})


def _wrapped(text: str, width: int) -> list[Line]:
    return wrap([Run(text)], width) or [BLANK]


def _spoken(text: str, width: int) -> list[Line]:
    return indent(wrap([Run(text)], max(1, width - 2)), Run("  "))


# ------------------------------------------------------------------------------------------------- all in a row


def dataset_pieces(block: DatasetBlock) -> list[Piece]:
    """A data set among other things: all that the preview shows, one below the other."""
    pieces: list[Piece] = [title_piece(headline(block))]
    pieces.append(LinesPiece(lambda width: badges(block.fits, width), " ".join(judged.method for judged in block.fits)))
    pieces += [BLANK_PIECE, *about_pieces(block)]
    if block.columns:
        pieces += [BLANK_PIECE, _section("columns")]
        widths = column_widths(block.columns)
        pieces += [LinesPiece(partial(_column_lines, column, widths), column.name) for column in block.columns]
    if block.rows:
        pieces += [BLANK_PIECE, _section("rows")]
        heading = [[Run(one_line(column.name, 80), "strong")] for column in block.columns]
        shown = [[_cell_runs(value) for value in row] for row in block.rows[:SHOWN_ROWS]]
        plain = "\n".join("  ".join(value or "" for value in row) for row in block.rows[:SHOWN_ROWS])
        pieces.append(LinesPiece(lambda width: table_lines([heading, *shown], (), width), plain, 3 * len(shown) + 2))
    return pieces


def _cell_runs(value: str | None) -> list[Run]:
    text, ink = short_cell(value)
    return [Run(text, ink)]


def _column_lines(column: DatasetColumn, widths: tuple[int, int], width: int) -> list[Line]:
    if width >= WIDE:
        return [column_line(column, widths, width)]
    more = " · ".join(part for part in (column.kind, column.facts) if part)
    head = spread(
        [Run(fit(one_line(column.name, 200), width - 14), "strong")],
        [Run(fit(spark(column), BARS_CELLS), "accent")],
        width,
    )
    return [head, *indent(wrap([Run(one_line(more, 600), "muted")], max(1, width - 2)), Run("  "))]
