"""What parts the tool calls of one turn from those of the next, and the calls that are still being written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ml_intern.tui.widgets.lines import Line, Run, spread
from ml_intern.tui.widgets.text import clean_code, clock, count, duration, fit, one_line
from ml_intern.tui.widgets.tool_model import ToolEntry, summarise
from ml_intern.tui.widgets.tool_piece import NAME_CELLS, TAIL_LINES

if TYPE_CHECKING:
    from ml_intern.core.protocol import DraftCall

_COUNTED = {"write": "content", "plan_tool": "todos"}
"""Arguments of which a summary says how much is in them."""
OPEN, FOLDED = "▾ ", "▸ "


class TurnFacts(NamedTuple):
    """A turn.

    Attributes:
        prompt: What it was asked for with.
        moment: When it began, ISO 8601.
        seconds: How long it took; None while it runs.
    """

    prompt: str
    moment: str = ""
    seconds: float | None = None


class TurnPiece:
    """A line above the calls of a turn.

    Args:
        number: Which turn with calls it is, from 1.
        facts: The turn.
        calls: Gives its calls.
    """

    PREFIX: ClassVar[str] = "\0turn "
    """How its key begins, which no id of a call does."""

    def __init__(self, number: int, facts: TurnFacts, calls: Callable[[TurnPiece], Sequence[ToolEntry]]) -> None:
        self.number = number
        self.key = f"{self.PREFIX}{number}"
        self.facts = facts
        self.folded = False
        self._calls = calls

    @property
    def plain(self) -> str:
        """How the prompt begins."""
        return one_line(self.facts.prompt)

    def estimate(self, _width: int) -> int:
        """One line."""
        return 1

    def render(self, width: int) -> list[Line]:
        """The first words of the prompt; how many calls, how long, when."""
        calls = self._calls(self)
        failed = sum(entry.final for entry in calls)
        running = sum(entry.running for entry in calls) if self.folded else 0
        took = "" if self.facts.seconds is None else duration(self.facts.seconds)
        parts = [
            f"{failed} failed" if failed else "",
            f"{running} running" if running else "",
            count(len(calls), "call") if calls else "",
            took,
            clock(self.facts.moment),
        ]
        aside = self._aside([part for part in parts if part], width)
        room = max(1, width - 2 - (len(aside) + 2 if aside else 0))
        left = [Run(FOLDED if self.folded else OPEN, "faint"), Run(fit(self.plain, room), "muted")]
        return [spread(left, [Run(aside, "faint")] if aside else [], width)]

    @staticmethod
    def _aside(parts: list[str], width: int) -> str:
        """As much of the facts as leaves half of the line to the prompt."""
        while parts and len(" · ".join(parts)) > width // 2:
            parts.pop()
        return " · ".join(parts)


class DraftPiece:
    """A call that the model is still writing."""

    key = ""

    def __init__(self, draft: DraftCall) -> None:
        self.draft = draft

    @property
    def plain(self) -> str:
        """Name and summary."""
        return f"{self.draft.tool} {draft_summary(self.draft)}"

    def estimate(self, _width: int) -> int:
        """Its line, and the end of what is being written."""
        return 1 + (TAIL_LINES if self.draft.tail else 0)

    def render(self, width: int) -> list[Line]:
        """Name, summary so far, and the last lines of a text that is being written."""
        name = fit(one_line(self.draft.tool, 100), NAME_CELLS)
        aside = "writing"
        room = width - 2 - len(name) - 2 - len(aside) - 2
        summary = fit(draft_summary(self.draft), room) if room > 2 else ""
        left = [Run("○ ", "muted"), Run(name, "muted"), Run(f"  {summary}" if summary else "", "muted")]
        head = spread([run for run in left if run.text], [Run(aside, "faint")], width)
        tail = [text for text in clean_code(self.draft.tail).split("\n") if text.strip()][-TAIL_LINES:]
        return [head, *(Line((Run("    "), Run(fit(text, width - 4), "faint")), 4) for text in tail)]


def draft_summary(draft: DraftCall) -> str:
    """What a call that is being written is about, as far as it has come."""
    lines, needed = draft.lines, _COUNTED.get(draft.tool)
    if needed is not None and needed not in draft.arguments:  # nothing can be counted yet
        return one_line(str(draft.arguments.get("path", "")))
    return summarise(draft.tool, draft.arguments, lambda key: lines.get(key, int(bool(draft.arguments.get(key)))))
