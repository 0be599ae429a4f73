"""What the arrows of the Review screen can be limited to: errors, payments, one tool …"""

from __future__ import annotations

from ml_intern.sessions.replay import Recording
from ml_intern.sessions.replay_lines import Mark
from ml_intern.tui.modals.pick import Choice
from ml_intern.tui.screens.review_text import Chosen
from ml_intern.tui.widgets.text import count, one_line

_NAMES = {
    Mark.ERROR: "errors",
    Mark.PAID: "payments",
    Mark.APPROVAL: "approvals",
    Mark.JOB: "jobs",
    Mark.PROMPT: "prompts",
}
_TOOL = "tool "


def filter_choices(recording: Recording, *, everything: bool) -> list[Choice]:
    """What there is to choose from, with how many events each leaves.

    Args:
        recording: The session.
        everything: Whether nothing is left out at present.
    """
    marks = recording.marks
    choices = [Choice("", "all events", help=f"{len(recording):,}", current=everything)]
    choices += [
        Choice(mark.value, f"only {name}", help=f"{len(marks[mark]):,}", disabled=not marks[mark])
        for mark, name in _NAMES.items()
    ]
    tools = sorted(recording.tools.items(), key=lambda tool: (-tool[1], tool[0]))
    return choices + [
        Choice(f"{_TOOL}{name}", f"only {one_line(name, 40)}", help=count(calls, "call")) for name, calls in tools
    ]


def filtered(recording: Recording, chosen: str) -> Chosen:
    """The steps that a choice leaves."""
    if chosen.startswith(_TOOL):
        tool = chosen.removeprefix(_TOOL)
        return Chosen(tool, recording.only(lambda line: line.shown and line.tool == tool))
    mark = Mark(chosen)
    return Chosen(_NAMES[mark], recording.marks[mark])
