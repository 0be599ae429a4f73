"""Tables as lines, fitted to the width: columns shrink, cells wrap, and what fits no more becomes a list of records."""

from __future__ import annotations

from collections.abc import Sequence

from ml_intern.tui.widgets.lines import BLANK, Line, Run, indent, line, wrap
from ml_intern.tui.widgets.text import cells

GAP = 2
NARROWEST = 4

Cell = Sequence[Run]


def table_lines(rows: Sequence[Sequence[Cell]], aligned: Sequence[str], width: int) -> list[Line]:
    """Renders a table.

    Args:
        rows: The cells; the first row holds the headings.
        aligned: `left`, `center`, `right` or empty for each column.
        width: Cells that a line may take.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        return []
    full = [[*row, *[()] * (columns - len(row))] for row in rows]
    sides = [*aligned, *[""] * (columns - len(aligned))]
    natural = [max(1, *(_cells(row[column]) for row in full)) for column in range(columns)]
    room = width - GAP * (columns - 1)
    if sum(natural) > room and room < NARROWEST * columns:
        return _records(full, width)
    widths = fitted(natural, room)
    lines = _row_lines(full[0], widths, sides)
    lines.append(_rule(widths))
    for row in full[1:]:
        lines += _row_lines(row, widths, sides)
    return lines


def fitted(natural: Sequence[int], room: int) -> list[int]:
    """Widths of columns within the room: narrow ones keep theirs, the wide ones share what is left."""
    if sum(natural) <= room:
        return list(natural)
    widths = list(natural)
    open_columns = set(range(len(widths)))
    left = room
    while open_columns:
        share = left // len(open_columns)
        fitting = {column for column in open_columns if natural[column] <= share}
        if not fitting:
            break
        left -= sum(natural[column] for column in fitting)
        open_columns -= fitting
    for number, column in enumerate(sorted(open_columns)):
        widths[column] = max(1, left // len(open_columns) + (number < left % len(open_columns)))
    return widths


def _cells(cell: Cell) -> int:
    return sum(cells(run.text) for run in cell)


def _rule(widths: Sequence[int]) -> Line:
    return line((" " * GAP).join("─" * width for width in widths), "rule")


def _row_lines(row: Sequence[Cell], widths: Sequence[int], sides: Sequence[str]) -> list[Line]:
    wrapped = [wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines: list[Line] = []
    for number in range(max(len(parts) for parts in wrapped)):
        runs: list[Run] = []
        for parts, width, side in zip(wrapped, widths, sides, strict=True):
            part = parts[number] if number < len(parts) else BLANK
            space = max(0, width - part.width)
            left = space if side == "right" else space // 2 if side == "center" else 0
            runs += [Run(" " * left), *part.runs, Run(" " * (space - left + GAP))]
        while runs and not runs[-1].text.strip():
            runs.pop()
        lines.append(Line(tuple(run for run in runs if run.text)))
    return lines


def _records(rows: Sequence[Sequence[Cell]], width: int) -> list[Line]:
    """One line per cell, each after its heading, for tables with more columns than there is room."""
    lines: list[Line] = []
    for row in rows[1:]:
        if lines:
            lines.append(line("─" * min(width, 8), "rule"))
        for heading, cell in zip(rows[0], row, strict=True):
            lines += indent(wrap([*heading, Run(": "), *cell], max(1, width - 2)), Run("  "), Run(""))
    return lines
