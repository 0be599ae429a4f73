"""A tool call as lines: its state, what it was called with, how long it took; live output, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable

from ml_intern.tui.widgets.display import render_display
from ml_intern.tui.widgets.lines import Line, Run, indent, line, spread, wrap
from ml_intern.tui.widgets.text import cells, clean_output, duration, fit, one_line
from ml_intern.tui.widgets.tool_model import GLYPHS, ORIGIN_MARK, SILENT, ToolEntry, ink_of, origin_text

TAIL_LINES = 3
"""Lines of live output below a running call."""
PREVIEW_LINES = 12
"""Lines of a result below an opened call."""
NESTED_CALLS = 4
"""Calls of a sub-agent below the running call it works for."""
NAME_CELLS = 24
_TOLD_BELOW = {"plan_tool": "todos"}
"""Arguments that are the result at the same time."""

_INDENT = Run("    ")


class ToolPiece:
    """A call as lines.

    Args:
        entry: The call.
        clock: The list's clock.
    """

    def __init__(self, entry: ToolEntry, clock: Callable[[], float]) -> None:
        self.entry = entry
        self.expanded = self.hidden = False
        self._clock = clock

    @property
    def key(self) -> str:
        """Its id."""
        return self.entry.call_id

    @property
    def plain(self) -> str:
        """Name and summary."""
        return f"{self.entry.tool} {self.entry.summary}"

    def estimate(self, _width: int) -> int:
        """Its line, and what is below it; nothing while its turn is folded."""
        if self.hidden:
            return 0
        below = min(len(self.entry.nested), NESTED_CALLS) or TAIL_LINES
        return 1 + (below if self.entry.running else 0) + (PREVIEW_LINES if self.expanded else 0)

    def render(self, width: int) -> list[Line]:
        """Its line; live output while it runs; what it was called with and what came of it when it is opened."""
        if self.hidden:
            return []
        lines = [self._head(self.entry, width)]
        calls = self.entry.calls
        if calls and (self.expanded or self.entry.running):
            lines += [self._head(call, width) for call in calls[-(PREVIEW_LINES if self.expanded else NESTED_CALLS) :]]
        if self.expanded:
            lines += indent(self._inside(max(1, width - 4)), _INDENT)
        elif self.entry.running and not calls:
            lines += [self._tail_line(text, width) for text in self.entry.tail(TAIL_LINES)]
        return lines

    def _head(self, entry: ToolEntry, width: int) -> Line:
        glyph = Run(GLYPHS.get(entry.state, "▸") + " ", ink_of(entry))
        margin = Run("  ") if entry.parent else Run("")
        name = fit(one_line(entry.tool, 100), NAME_CELLS)
        took = entry.elapsed(self._clock())
        shown = "" if took is None else duration(took if entry.ended else int(took))
        word = "" if entry.state in SILENT and not entry.final else one_line(entry.state, 20)
        aside = "  ".join(part for part in (word, entry.figures, shown) if part)
        flag = f"{ORIGIN_MARK} " if entry.origin else ""
        room = width - cells(margin.text + flag) - 2 - cells(name) - 2 - (cells(aside) + 2 if aside else 0)
        summary = fit(entry.summary, room) if room > 2 else ""
        left = [
            margin,
            glyph,
            Run(flag, "warning"),
            Run(name, "strong" if entry.running else ""),
            Run(f"  {summary}" if summary else "", "muted"),
        ]
        ink = "warning" if entry.state in ("waiting", "rejected") else "error" if entry.final else "faint"
        return spread([run for run in left if run.text], [Run(aside, ink)] if aside else [], width)

    def _tail_line(self, text: str, width: int) -> Line:
        return Line((_INDENT, Run(fit(text, width - 4), "faint")), len(_INDENT.text))

    def _inside(self, width: int) -> list[Line]:
        entry = self.entry
        lines = wrap([Run(f"{ORIGIN_MARK} {origin_text(entry.origin)}", "warning")], width) if entry.origin else []
        for key, value in entry.arguments.items():
            if key == _TOLD_BELOW.get(entry.tool) and entry.display:
                continue
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            shown = fit(one_line(text, 1_000), max(4, width - cells(key) - 2))
            lines.append(Line((Run(f"{one_line(key, 40)}: ", "muted"), Run(shown))))
        return lines + self._result(width)

    def _result(self, width: int) -> list[Line]:
        entry = self.entry
        if entry.running:
            return [Line((Run(fit(text, width), "faint"),)) for text in entry.tail(PREVIEW_LINES)]
        shown = [row for block in entry.display for row in render_display(block, width, limit=PREVIEW_LINES + 1)]
        if not shown:
            text = clean_output(entry.output[:4_000]).strip("\n")
            shown = [
                row
                for part in text.split("\n")[: PREVIEW_LINES + 1]
                if text
                for row in wrap([Run(part, "faint")], width)
            ]
        if len(shown) > PREVIEW_LINES:
            shown = [*shown[:PREVIEW_LINES], line("… enter shows all", "muted")]
        return shown
