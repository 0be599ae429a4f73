"""The plan of a session: what the agent has set out to do and how far it has come."""

from __future__ import annotations

from ml_intern.core.protocol import PlanItem

_MARKS = {"completed": "[x]", "in_progress": "[~]", "pending": "[ ]"}


class Plan:
    """The steps, in the order the agent gave them. Kept in the session's state; every change replaces all of them."""

    def __init__(self) -> None:
        self.items: tuple[PlanItem, ...] = ()

    @property
    def done(self) -> int:
        """How many steps are completed."""
        return sum(item.status == "completed" for item in self.items)

    def text(self) -> str:
        """The plan as text: a mark and a line for each step, and how many of them are done."""
        if not self.items:
            return "The plan is empty."
        lines = [f"{_MARKS[item.status]} {item.content}" for item in self.items]
        return "\n".join([*lines, f"{self.done}/{len(self.items)} completed"])
