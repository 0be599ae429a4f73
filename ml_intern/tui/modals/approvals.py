"""The approval dialog: what would be done, what it costs, and every way to answer.

Nothing is sent before each pending call has a decision; until then decisions can be looked at again and changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals import approval_text
from ml_intern.tui.modals.base import GraceDialog
from ml_intern.tui.modals.editor import edit_outside
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.flow import Flow
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.script_area import ScriptArea

if TYPE_CHECKING:
    from ml_intern.core.jobs import JobsBackend
    from ml_intern.core.protocol import ApprovalItem, ApprovalRequired
    from ml_intern.tui.modals.approval_text import Change
    from ml_intern.tui.modals.wish import Wish


SHORT_LINES = 8
"""A text of so few lines gets a dialog of its own size."""


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
    """

    approved: bool | None = None
    feedback: str = ""
    edited: str | None = None
    wish: Change | None = None
    remember: bool = False

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
    }


class ApprovalDialog(GraceDialog[Answer]):
    """Asks about every pending call, one after the other.

    Args:
        request: The event that asks.
        grace_s: How long keys decide nothing.
        jobs: Where hardware and prices come from; None when neither can be changed here.
        clock: Seconds that only go forward.
    """

    HELP = (
        "The agent asks before it does this. Read the whole script or command with {move}. Where it says found in, the "
        "agent has it from a text and not from you. {approval.approve} approves, {approval.reject} rejects, "
        "{approval.note} rejects and tells the agent why, {approval.edit} edits before approving, {approval.hardware} "
        "changes hardware, time and payer, {approval.remember} approves and asks no more for the like. With several "
        "requests {approval.before} and {approval.after} go back and forth, {approval.approve_rest} approves the rest. "
        "{approval.interrupt} ends the whole turn."
    )
    DECISIONS = frozenset(
        {"approve", "reject", "note", "edit", "hardware", "remember", "approve_rest", "send", "interrupt"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("approval.approve", "approve"),
        bind("approval.reject", "reject"),
        bind("approval.note", "note"),
        bind("approval.edit", "edit"),
        bind("approval.hardware", "hardware"),
        bind("approval.remember", "remember"),
        bind("approval.approve_rest", "approve_rest"),
        bind("approval.before", "go(-1)"),
        bind("approval.after", "go(1)"),
        bind("approval.send", "send"),
        bind("form.done", "finish_edit"),
        bind("form.editor", "edit_outside"),
        bind("approval.interrupt", "escape"),
    ]

    def __init__(
        self,
        request: ApprovalRequired,
        grace_s: float,
        jobs: JobsBackend | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(grace_s, **({"clock": clock} if clock else {}))
        self._request = request
        self._jobs = jobs
        self._batch = Batch(request.tools)
        self._typing = ""

    def compose(self) -> ComposeResult:
        """Head, the whole of what will happen, why it is asked, keys."""
        with Vertical(id="approval", classes="dialog"):
            yield Static(id="approval-cost", markup=False)
            yield Flow(id="approval-checks")
            yield LineView(id="approval-body")
            yield ScriptArea(id="approval-editor", compact=True, show_line_numbers=True, tab_behavior="indent")
            yield Static(id="approval-why", markup=False)
            yield Static(id="approval-origin", markup=False)
            yield Input(id="approval-note", placeholder="what should be different? the agent reads this", compact=True)
            yield KeyBar(id="approval-keys")

    def on_mount(self) -> None:
        """Begins with the first call."""
        super().on_mount()
        self._frame = self.query_one("#approval", Vertical)
        self._body = self.query_one(LineView)
        self._editor = self.query_one(ScriptArea)
        self._note = self.query_one(Input)
        self._editor.cursor_blink = False
        self._show_call()

    def on_answers(self) -> None:
        """The keys light up."""
        self._show_keys()

    # ------------------------------------------------------------------------------------------------- showing

    def _show_call(self) -> None:
        item, decision = self._batch.item, self._batch.decision
        self._frame.border_title = Content(approval_text.title(item))  # a string would be read as markup
        self._body.show_blocks(approval_text.blocks(item, decision.edited), line_numbers=True, exact=True)
        self._fit()
        self._show_text()
        self._type_into("")

    def on_resize(self) -> None:
        """What was short may be long now."""
        self._fit()
        self._show_origin()

    def _fit(self) -> None:
        """A dialog about one line need not cover the screen."""
        lines = sum(piece.estimate(max(20, self._frame.content_size.width or 80)) for piece in self._body.pieces)
        short = lines <= SHORT_LINES
        self._frame.set_class(short and self._typing != "edit", "-short")
        self._body.styles.height = max(1, lines) if short else None

    def _show_text(self) -> None:
        batch = self._batch
        self._frame.border_subtitle = approval_text.position([made.approved for made in batch.decisions], batch.at)
        spent = self._request.spent_usd + batch.approved_usd
        cost = approval_text.cost(batch.item, spent, self._request.cap_usd, batch.decision.wish)
        checks = approval_text.checks(batch.item)
        for selector, shown in (("#approval-cost", bool(cost)), ("#approval-checks", bool(checks))):
            self.query_one(selector).display = shown
        self.query_one("#approval-cost", Static).update(cost)
        self.query_one("#approval-checks", Flow).items = checks
        self.query_one("#approval-why", Static).update(approval_text.why(batch.item, batch.decision.edited is not None))
        self._show_origin()
        self._show_keys()

    def _show_origin(self) -> None:
        """Where words of the call come from; a small dialog quotes less of it."""
        width = self._frame.content_size.width or approval_text.USUAL_WIDTH
        text = approval_text.origin(self._batch.item, width, self.size.height)
        shown = self.query_one("#approval-origin", Static)
        shown.display = bool(text)
        shown.update(text)

    def _show_keys(self) -> None:
        batch = self._batch
        keys = approval_text.keys(
            batch.item,
            typing=self._typing,
            several=len(batch.items) > 1,
            complete=batch.complete,
            hardware=self._can_change_hardware,
            allowance=approval_text.allowance(batch.item, batch.decision.wish),
        )
        self.query_one("#approval-keys", KeyBar).show(keys, lit=self.answers)

    def _type_into(self, what: str) -> None:
        """Shows the field that is typed into: `edit`, `note`, or none."""
        self._typing = what
        self._editor.display = what == "edit"
        self._body.display = what != "edit"
        self._note.display = what == "note"
        self._fit()
        {"edit": self._editor, "note": self._note}.get(what, self._body).focus()
        self._show_keys()

    # ------------------------------------------------------------------------------------------------ deciding

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed, letters are letters; a call that cannot be edited has no editor."""
        item, batch = self._batch.item, self._batch
        if self._typing:
            return action in {"escape", "help"} or (
                action in {"finish_edit", "edit_outside"} and self._typing == "edit"
            )
        possible = {
            "finish_edit": False,
            "edit_outside": False,
            "edit": bool(item.editable),
            "hardware": self._can_change_hardware,
            "remember": item.rememberable,
            "approve_rest": len(batch.items) > 1,
            "go": len(batch.items) > 1,
            "send": batch.complete,
        }
        return possible.get(action, True) and super().check_action(action, parameters)

    def action_approve(self) -> None:
        """Lets the call run."""
        self._decide(approved=True, feedback="", remember=False)

    def action_reject(self) -> None:
        """The call must not run."""
        self._decide(approved=False, feedback="", remember=False)

    def action_remember(self) -> None:
        """Lets the call run, and the like of it without asking."""
        self._decide(approved=True, feedback="", remember=True)

    def action_approve_rest(self) -> None:
        """Lets everything run that is not decided yet."""
        self._batch.approve_rest()
        self.dismiss(self._batch.answer())

    def action_note(self) -> None:
        """Asks for what the agent should hear."""
        self._note.value = self._batch.decision.feedback
        self._type_into("note")

    @on(Input.Submitted)
    def _reject_with_note(self, event: Input.Submitted) -> None:
        event.stop()
        self._type_into("")
        self._decide(approved=False, feedback=event.value.strip(), remember=False)

    def action_edit(self) -> None:
        """Opens the script or command for editing."""
        self._editor.load_script(self._present_text())
        self._type_into("edit")

    def action_finish_edit(self) -> None:
        """Keeps the edit and shows what it changes; approving comes after that."""
        self._keep_edit(self._editor.script)

    def action_edit_outside(self) -> None:
        """Hands the text to the person's own editor."""
        edited = edit_outside(self.app, self._editor.script, self._batch.item.editable)
        if edited is not None:
            self._keep_edit(edited)

    def _keep_edit(self, text: str) -> None:
        changed = text != self._original_text()
        self._batch.decide(edited=text if changed else None, approved=None)
        self._show_call()

    @property
    def _can_change_hardware(self) -> bool:
        compute = self._batch.item.compute
        return self._jobs is not None and compute is not None and "flavor" in compute.arguments

    def action_hardware(self) -> None:
        """Opens the hardware picker with what is asked for now."""
        from ml_intern.tui.modals.hardware import HardwarePicker

        item, now = self._batch.item, self._batch.decision.wish
        assert item.compute is not None
        assert self._jobs is not None
        wish = approval_text.present_wish(item, now)
        fields = [name for name in ("timeout", "namespace") if name in item.compute.arguments]
        script = self._present_text() if item.editable else ""
        picker = HardwarePicker(self._jobs, wish, script=script, fields=fields, verb="ask for this")
        self.app.push_screen(picker, self._keep_wish)

    def _keep_wish(self, wish: Wish | None) -> None:
        """What was chosen is shown with its price first; approving comes after that."""
        if wish is None or self._jobs is None:
            return
        self._batch.decide(wish=approval_text.change(self._batch.item, wish, self._jobs.flavors()), approved=None)
        self.begin_grace()
        self._show_text()

    def _original_text(self) -> str:
        return approval_text.editable_text(self._batch.item)

    def _present_text(self) -> str:
        edited = self._batch.decision.edited
        return self._original_text() if edited is None else edited

    def _decide(self, **changes: Any) -> None:
        self._batch.decide(**changes)
        if len(self._batch.items) == 1:
            self.dismiss(self._batch.answer())
            return
        self._batch.to_next_undecided()
        self.begin_grace()
        self._show_call()

    def action_go(self, step: int) -> None:
        """Looks at another call."""
        self._batch.at = (self._batch.at + step) % len(self._batch.items)
        self._show_call()

    def action_send(self) -> None:
        """Sends the decisions, once there is one for every call."""
        self.dismiss(self._batch.answer())

    def action_escape(self) -> None:
        """Leaves a field; outside of one, ends the whole turn."""
        if self._typing:
            self._type_into("")
        elif self.answers:
            self.dismiss(Answer(interrupt=True))
