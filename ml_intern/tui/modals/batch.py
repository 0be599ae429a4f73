"""The calls that wait for a person, what was decided about each so far, and how that becomes an answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ml_intern.tui.modals import approval_text

if TYPE_CHECKING:
    from ml_intern.core.protocol import ApprovalItem
    from ml_intern.tui.modals.approval_text import Change


@dataclass(frozen=True, slots=True)
class Answer:
    """How the dialog ended.

    Attributes:
        decisions: One `ApprovalDecision` for each call, as plain data.
        interrupt: The person ended the whole turn instead.
    """

    decisions: tuple[dict[str, Any], ...] = ()
    interrupt: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one call so far.

    Attributes:
        approved: None while undecided.
        edited: The new text of the editable argument, or None if it was not edited.
        wish: Other hardware, time or namespace than the call asked for, or None.
        remember: The like of it is not to be asked about again.
        rule: What that is, as the person wrote it; empty: the call to the letter.
        always: In later sessions neither.
    """

    approved: bool | None = None
    feedback: str = ""
    edited: str | None = None
    wish: Change | None = None
    remember: bool = False
    rule: str = ""
    always: bool = False

    @property
    def changed(self) -> bool:
        """Whether the person changed anything."""
        return self.edited is not None or self.wish is not None


@dataclass(slots=True)
class Batch:
    """The pending calls, the decisions so far, and which call is being looked at."""

    items: tuple[ApprovalItem, ...]
    decisions: list[Decision] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        self.decisions = [Decision() for _ in self.items]

    @property
    def item(self) -> ApprovalItem:
        """The call being looked at."""
        return self.items[self.at]

    @property
    def decision(self) -> Decision:
        """The decision about it."""
        return self.decisions[self.at]

    @property
    def complete(self) -> bool:
        """Whether every call is decided."""
        return all(decision.approved is not None for decision in self.decisions)

    @property
    def worst_usd(self) -> float:
        """Worst case of all calls that are approved so far."""
        pairs = zip(self.items, self.decisions, strict=True)
        return sum(approval_text.worst_usd(item, made.wish) or 0.0 for item, made in pairs if made.approved)

    @property
    def approved_usd(self) -> float:
        """Worst case of all other calls that are approved so far."""
        pairs = zip(self.items, self.decisions, strict=True)
        return sum(
            approval_text.worst_usd(item, made.wish) or 0.0
            for item, made in pairs
            if made.approved and item is not self.item
        )

    def decide(self, **changes: Any) -> None:
        """Changes the decision about the present call."""
        self.decisions[self.at] = replace(self.decision, **changes)

    def settle(self, approved: bool, *, feedback: str = "", rule: str | None = None, always: bool = False) -> None:
        """Decides the present call; whatever was decided before about it is void, but for edits.

        Args:
            approved: Whether it may run.
            feedback: What the agent is told with a no.
            rule: What is not to be asked about again: a rule, or empty for the call to the letter; None: nothing.
            always: Whether that counts in later sessions too.
        """
        remember = rule is not None
        self.decide(approved=approved, feedback=feedback, remember=remember, rule=rule or "", always=always)

    def to_next_undecided(self) -> None:
        """Goes to the next call without a decision, if there is one."""
        count = len(self.items)
        for step in range(1, count + 1):
            if self.decisions[(self.at + step) % count].approved is None:
                self.at = (self.at + step) % count
                return

    def approve_rest(self) -> None:
        """Approves whatever is undecided."""
        self.decisions = [replace(made, approved=True) if made.approved is None else made for made in self.decisions]

    def answer(self) -> Answer:
        """The decisions as operations carry them. What is undecided counts as rejected."""
        return Answer(tuple(_as_data(item, made) for item, made in zip(self.items, self.decisions, strict=True)))


def _as_data(item: ApprovalItem, made: Decision) -> dict[str, Any]:
    edited = dict(made.wish.arguments) if made.wish else {}
    if item.editable and made.edited is not None:
        edited[item.editable] = made.edited
    return {
        "tool_call_id": item.tool_call_id,
        "approved": bool(made.approved),
        "feedback": made.feedback,
        "edited_arguments": edited if made.approved else {},
        "edited_usd": made.wish.worst_usd if made.approved and made.wish else None,
        "remember": made.remember and bool(made.approved),
        "rule": made.rule if made.approved else "",
        "always": made.always and bool(made.approved),
    }
