"""The approval dialog: what would be done, what it costs, and every way to answer.

Nothing is sent before each pending call has a decision; until then decisions can be looked at again and changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.modals import approval_text
from ml_intern.tui.modals.approval_keys import NUMBERED, View, hints
from ml_intern.tui.modals.approval_text import NOWHERE, Place
from ml_intern.tui.modals.base import GraceDialog
from ml_intern.tui.modals.batch import Answer, Batch
from ml_intern.tui.modals.decision_list import decision_pieces
from ml_intern.tui.modals.editor import edit_outside
from ml_intern.tui.modals.rule_field import RuleField
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.flow import Flow, rows
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.script_area import ScriptArea

if TYPE_CHECKING:
    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.core.protocol import ApprovalRequired
    from ml_intern.tui.modals.wish import Wish


SHORT_LINES = 8
"""A text of so few lines gets a dialog of its own size."""
CHECKS_SHARE = 6
"""What was looked at beforehand takes no more than this part of the screen; else it is read with the text."""
LIST_MARGIN = 10
"""Lines of the screen that a list of decisions leaves free, to have a dialog of its own size."""


class ApprovalDialog(GraceDialog[Answer]):
    """Asks about every pending call, one after the other.

    Args:
        request: The event that asks.
        grace_s: How long keys decide nothing.
        jobs: Where hardware and prices come from; None when neither can be changed here.
        clock: Seconds that only go forward.
        place: Where it would happen.
    """

    HELP = (
        "The agent asks before it does this. Read the whole script or command with {move}. Where it says found in, the "
        "agent has it from a text and not from you. {approval.approve} approves, {approval.reject} rejects, "
        "{approval.note} rejects and tells the agent why, {approval.edit} edits before approving, {approval.hardware} "
        "changes hardware, time and payer. {approval.remember} approves and shows the rule by which the like is not "
        "asked about again in this session, {approval.always} the same for later sessions too; change the rule as you "
        "like. With several requests {approval.before} and {approval.after} go back and forth, {approval.approve_rest} "
        "approves the rest, {approval.review} lists all decisions, and nothing is sent before that. The number beside "
        "each key does the same. {approval.interrupt} ends the whole turn."
    )
    DECISIONS = frozenset({*NUMBERED, "number", "send", "interrupt"})
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("approval.approve", "approve"),
        bind("approval.reject", "reject"),
        bind("approval.note", "note"),
        bind("approval.edit", "edit"),
        bind("approval.hardware", "hardware"),
        bind("approval.remember", "remember"),
        bind("approval.always", "always"),
        bind("approval.approve_rest", "approve_rest"),
        bind("approval.review", "review"),
        bind("approval.before", "go(-1)"),
        bind("approval.after", "go(1)"),
        bind("approval.send", "send"),
        bind("form.done", "finish_edit"),
        bind("form.editor", "edit_outside"),
        bind("approval.interrupt", "escape"),
        *(bind_number(number, f"number({number})") for number in range(1, 10)),
    ]

    def __init__(
        self,
        request: ApprovalRequired,
        grace_s: float,
        jobs: JobsBackend | None = None,
        clock: Callable[[], float] | None = None,
        *,
        place: Place = NOWHERE,
    ) -> None:
        super().__init__(grace_s, **({"clock": clock} if clock else {}))
        self._request = request
        self._jobs = jobs
        self._place = place
        self._batch = Batch(request.tools)
        self._typing = ""
        self._listed = False
        self._checks_above = True

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
            yield RuleField(self._place.workspace, self._place.rule_file, id="approval-rule")
            yield KeyBar(id="approval-keys")

    def on_mount(self) -> None:
        """Begins with the first call."""
        super().on_mount()
        self._frame = self.query_one("#approval", Vertical)
        self._body = self.query_one(LineView)
        self._editor = self.query_one(ScriptArea)
        self._note = self.query_one("#approval-note", Input)
        self._rule = self.query_one(RuleField)
        self._editor.cursor_blink = False
        self._show_call()

    def on_answers(self) -> None:
        """The keys light up."""
        self._show_keys()

    # ------------------------------------------------------------------------------------------------- showing

    @property
    def _view(self) -> View:
        batch = self._batch
        return View(
            batch.item,
            typing=self._typing,
            several=len(batch.items) > 1,
            listed=self._listed,
            complete=batch.complete,
            hardware=self._can_change_hardware,
            allowance=approval_text.allowance(batch.item, batch.decision.wish),
        )

    def _show_call(self) -> None:
        """Shows the present call from its beginning, or the list of all."""
        item, decision = self._batch.item, self._batch.decision
        if self._listed:
            self._frame.border_title = "your decisions"
            self._body.show_pieces(decision_pieces(self._batch, self._request))
        else:
            self._frame.border_title = Content(approval_text.title(item))  # a string would be read as markup
            above = [] if self._room_for_checks or not item.checks else [approval_text.checks_block(item)]
            shown = [*above, *approval_text.blocks(item, decision.edited)]
            self._body.show_blocks(shown, line_numbers=True, exact=True)
        self._fit()
        self._show_text()
        self._type_into("")

    @property
    def _room_for_checks(self) -> bool:
        """Whether what was looked at beforehand leaves enough lines to the text below it."""
        lines = rows(
            approval_text.checks(self._batch.item), self._frame.content_size.width or approval_text.USUAL_WIDTH
        )
        return len(lines) <= self.size.height // CHECKS_SHARE

    def on_resize(self) -> None:
        """What was short may be long now."""
        if self._typing != "edit" and self._room_for_checks != self._checks_above:
            self._show_call()
        self._fit()
        self.call_after_refresh(self._show_origin)  # by then the dialog has its new width

    def _fit(self) -> None:
        """A dialog about one line need not cover the screen."""
        width = max(20, self._frame.content_size.width or 80)
        pieces = self._body.pieces
        lines = sum(len(piece.render(width)) if self._listed else piece.estimate(width) for piece in pieces)
        short = lines <= (self.size.height - LIST_MARGIN if self._listed else SHORT_LINES)
        self._frame.set_class(short and self._typing != "edit", "-short")
        self._body.styles.height = max(1, lines) if short else None

    def _show_text(self) -> None:
        batch = self._batch
        made = [decision.approved for decision in batch.decisions]
        self._frame.border_subtitle = approval_text.position(made, None if self._listed else batch.at)
        spent = self._request.spent_usd + batch.approved_usd
        cost = approval_text.cost(batch.item, spent, self._request.cap_usd, batch.decision.wish, self._place)
        self._checks_above = self._room_for_checks
        checks = approval_text.checks(batch.item) if self._checks_above else ()
        self.query_one("#approval-cost", Static).update(cost)
        self.query_one("#approval-checks", Flow).items = checks
        self.query_one("#approval-why", Static).update(approval_text.why(batch.item, batch.decision.edited is not None))
        for selector, shown in (("#approval-cost", cost), ("#approval-checks", checks), ("#approval-why", True)):
            self.query_one(selector).display = bool(shown) and not self._listed
        self._show_origin()
        self._show_keys()

    def _show_origin(self) -> None:
        """Where words of the call come from; a small dialog quotes less of it."""
        width = self._frame.content_size.width or approval_text.USUAL_WIDTH
        text = approval_text.origin(self._batch.item, width, self.size.height)
        shown = self.query_one("#approval-origin", Static)
        shown.display = bool(text) and not self._listed
        shown.update(text)

    def _show_keys(self) -> None:
        self.query_one("#approval-keys", KeyBar).show(hints(self._view), lit=self.answers)

    def _type_into(self, what: str) -> None:
        """Shows the field that is typed into: `edit`, `note`, `session`, `always`, or none."""
        self._typing = what
        self._editor.display = what == "edit"
        self._body.display = what != "edit"
        self._note.display = what == "note"
        self._rule.display = what in {"session", "always"}
        self._fit()
        if not self._rule.display:
            {"edit": self._editor, "note": self._note}.get(what, self._body).focus()
        self._show_keys()

    # ------------------------------------------------------------------------------------------------ deciding

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed, letters are letters; a call that cannot be edited has no editor."""
        view = self._view
        if action == "number":
            return self._can_take(int(str(parameters[0])), view) and super().check_action(action, parameters)
        return view.offers(action) and (bool(self._typing) or super().check_action(action, parameters))

    def _can_take(self, number: int, view: View) -> bool:
        """Whether a number key does something: it names a call in the list, else an answer."""
        if self._typing:
            return False
        if self._listed:
            return number <= len(self._batch.items)
        return view.offers(NUMBERED[number - 1])

    async def action_number(self, number: int) -> None:
        """Takes the answer of that number; in the list, goes to the call of that number."""
        if self._listed:
            self._look_at(number - 1)
        else:
            await self.run_action(NUMBERED[number - 1])

    def action_approve(self) -> None:
        """Lets the call run."""
        self._batch.settle(True)
        self._go_on()

    def action_reject(self) -> None:
        """The call must not run."""
        self._batch.settle(False)
        self._go_on()

    def action_approve_rest(self) -> None:
        """Lets everything run that is not decided yet, once the list has been seen."""
        self._batch.approve_rest()
        self._go_on()

    def action_note(self) -> None:
        """Asks for what the agent should hear."""
        self._note.value = self._batch.decision.feedback
        self._type_into("note")

    @on(Input.Submitted, "#approval-note")
    def _reject_with_note(self, event: Input.Submitted) -> None:
        event.stop()
        self._type_into("")
        self._batch.settle(False, feedback=event.value.strip())
        self._go_on()

    def action_remember(self) -> None:
        """Lets the call run, and the like of it without asking in this session."""
        if self._batch.item.rule:
            self._write_rule("session")
        else:
            self._batch.settle(True, rule="")
            self._go_on()

    def action_always(self) -> None:
        """Lets the call run, and the like of it without asking in later sessions too."""
        self._write_rule("always")

    def _write_rule(self, until: str) -> None:
        """Shows the rule before it counts, to be changed."""
        item, decision = self._batch.item, self._batch.decision
        rule = decision.rule or approval_text.allowance(item, decision.wish)
        self._type_into(until)
        usd = approval_text.worst_usd(item, decision.wish)
        asked = item.model_copy(update={"estimated_cost_usd": usd})
        self._rule.begin(asked, rule, always=until == "always", edited=decision.edited is not None)

    @on(RuleField.Taken)
    def _take_rule(self, event: RuleField.Taken) -> None:
        event.stop()
        self._type_into("")
        self._batch.settle(True, rule=event.rule, always=event.always)
        self._go_on()

    def _go_on(self) -> None:
        """Sends the one decision; of several, shows the next call without one, and in the end all of them."""
        if len(self._batch.items) == 1:
            self.dismiss(self._batch.answer())
            return
        self._listed = self._batch.complete
        self._batch.to_next_undecided()
        self.begin_grace()
        self._show_call()

    def action_go(self, step: int) -> None:
        """Looks at another call; beyond the last one, at the list of all."""
        places = len(self._batch.items) + 1
        self._look_at(((places - 1 if self._listed else self._batch.at) + step) % places)

    def action_review(self) -> None:
        """Looks at the list of all calls."""
        self._look_at(len(self._batch.items))

    def _look_at(self, place: int) -> None:
        self._listed = place == len(self._batch.items)
        if not self._listed:
            self._batch.at = place
        self._show_call()

    def action_send(self) -> None:
        """Shows all decisions; from there, sends them."""
        if self._listed or len(self._batch.items) == 1:
            self.dismiss(self._batch.answer())
        else:
            self.begin_grace()
            self.action_review()

    def action_escape(self) -> None:
        """Leaves a field; outside of one, ends the whole turn."""
        if self._typing:
            self._type_into("")
        elif self.answers:
            self.dismiss(Answer(interrupt=True))

    # ----------------------------------------------------------------------------------------------- changing it

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
