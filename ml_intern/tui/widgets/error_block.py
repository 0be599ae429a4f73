"""How a turn that failed is shown: what happened, what to do next, and the details for whoever can help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from ml_intern import __version__
from ml_intern.tui.widgets.blocks import MARGIN, Said, body, remark, wrapped
from ml_intern.tui.widgets.lines import Line, Run, indent, wrap
from ml_intern.tui.widgets.links import linked
from ml_intern.tui.widgets.text import clean

LAST_CHARS = 400
"""In so many characters at the end of an error its next step is looked for."""
_STEP = re.compile(r";\s+([^;()'\"“”]{4,300}\.)\s*$")
"""Errors are told as `what happened; what to do.`"""
_AGAIN = "Send the prompt again, or choose another model with /model."
_STEPS = {
    "rate_limit": _AGAIN,
    "server": _AGAIN,
    "timeout": _AGAIN,
    "connection": _AGAIN,
    "stream_cut": _AGAIN,
    "context_overflow": "/compact shortens the conversation, /new begins afresh.",
    "internal": "Send the prompt again. If it fails again, report it with the details.",
}


@dataclass(frozen=True, slots=True)
class ErrorBlock(Said):
    """The error that ended a turn.

    Attributes:
        kind: What kind of error it is.
        model: The model that was asked; empty when it is not known.
        session: Id of the session.
        moment: When it was, ISO 8601 in UTC.
        key: The key that copies the details, as it is shown; without one nothing is said of it.
    """

    kind: str = ""
    model: str = ""
    session: str = ""
    moment: str = ""
    key: str = ""

    speaker: ClassVar[str] = ""

    @property
    def details(self) -> str:
        """Everything that whoever is asked for help needs to know."""
        rows = (
            ("time", self.moment),
            ("session", self.session),
            ("model", self.model or "none"),
            ("kind", self.kind),
            ("version", f"ml-intern {__version__}"),
            ("error", self.text.strip()),
        )
        return "\n".join(f"{name}: {value}" for name, value in rows)

    def estimate(self, width: int) -> int:
        """About how many lines there are."""
        return Said.estimate(self, width) + 2

    def render(self, width: int) -> list[Line]:
        """The cause behind a mark, the next step below it, the key that copies the details."""
        cause, step = cause_and_step(self.text, self.kind)
        room = body(width) - 2
        lines = indent(wrapped(cause, room), Run("  "), Run("✗ ", "error"))
        if step:
            lines += indent(wrap([Run("next: ", "accent"), *linked(clean(step), "strong")], room), Run("  "))
        if self.key:
            lines += indent([remark(f"{self.key} copies time, session, model and error", "faint")], Run("  "))
        return indent(lines, MARGIN)


def cause_and_step(text: str, kind: str) -> tuple[str, str]:
    """What happened, and what to do next; the second is empty when there is no advice.

    Args:
        text: The error as it is told.
        kind: Its kind.
    """
    text = text.strip()
    begin = max(0, len(text) - LAST_CHARS)
    if match := _STEP.search(text[begin:]):
        step = match[1]
        return f"{text[: begin + match.start()].rstrip()}.", step[0].upper() + step[1:]
    return text, _STEPS.get(kind, "")
