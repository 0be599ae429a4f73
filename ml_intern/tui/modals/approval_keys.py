"""Which keys answer in the approval dialog now, and what each says it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_intern.core.approvals.rules import spoken
from ml_intern.tui.widgets.text import one_line

if TYPE_CHECKING:
    from ml_intern.core.protocol import ApprovalItem
    from ml_intern.tui.widgets.key_bar import Hint

NUMBERED = ("approve", "reject", "note", "edit", "hardware", "remember", "always", "approve_rest", "review")
"""Actions by the number key that does the same; a number means the same in every dialog."""


@dataclass(frozen=True, slots=True)
class View:
    """What the dialog shows.

    Attributes:
        item: The call.
        typing: The field that is typed into: `note`, `edit`, `session`, `always`, or none.
        several: Whether there are other calls.
        listed: Whether the list of decisions is shown in place of a call.
        complete: Whether all calls are decided.
        hardware: Whether hardware can be changed.
        allowance: What "allow in this session" would allow.
    """

    item: ApprovalItem
    typing: str = ""
    several: bool = False
    listed: bool = False
    complete: bool = False
    hardware: bool = False
    allowance: str = ""

    def offers(self, action: str) -> bool:
        """Whether an action can be taken now."""
        if self.typing:
            return action in {"escape", "help"} or (
                (action in {"finish_edit", "edit_outside"}) and self.typing == "edit"
            )
        if self.listed:
            return {"send": self.complete, "look": True, "go": True}.get(action, action not in NUMBERED)
        possible = {
            "finish_edit": False,
            "edit_outside": False,
            "look": False,
            "edit": bool(self.item.editable),
            "hardware": self.hardware,
            "remember": self.item.rememberable,
            "always": self.item.standing,
            "approve_rest": self.several,
            "review": self.several,
            "go": self.several,
            "send": self.complete,
        }
        return possible.get(action, True)


def hints(view: View) -> list[Hint]:
    """The keys that do something now, the most useful first."""
    if view.typing:
        return _while_typing(view)
    if view.listed:
        return _in_the_list(view)
    pairs = [("{approval.send}", "see all and send")] if view.complete and view.several else []
    pairs += [(f"{{approval.{action}}}/{number}", does) for number, action, does in _answers(view)]
    if view.several:
        pairs.append(("{approval.before}{approval.after}", "the others"))
    return [*pairs, ("{move}", "read"), ("{approval.interrupt}", "end the turn")]


def _answers(view: View) -> list[tuple[int, str, str]]:
    like = one_line(spoken(view.allowance), 60) if view.allowance else "the like"
    words = {
        "approve": "approve",
        "reject": "reject",
        "note": "reject, say why",
        "edit": f"edit {view.item.editable}",
        "hardware": "hardware and time",
        "remember": f"allow in this session: {like}",
        "always": "allow always",
        "approve_rest": "approve the rest",
        "review": "all decisions",
    }
    numbered = enumerate(NUMBERED, 1)
    return [(number, action, words[action]) for number, action in numbered if view.offers(action)]


def _while_typing(view: View) -> list[Hint]:
    back = ("{approval.interrupt}", "back")
    if view.typing == "edit":
        return [("{form.done}", "done, show the change"), ("{form.editor}", "your editor"), back]
    if view.typing == "note":
        return [("{choose}", "reject with this note"), back]
    return [("{choose}", "approve, and allow this" + (" always" if view.typing == "always" else "")), back]


def _in_the_list(view: View) -> list[Hint]:
    send = [("{approval.send}", "send")] if view.complete else []
    return [
        *send,
        ("1-9", "change one"),
        ("{approval.before}{approval.after}", "back to them"),
        ("{approval.interrupt}", "end the turn"),
    ]
