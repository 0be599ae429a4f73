"""The line in which a person sees, and may change, what is not to be asked about again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.core.approvals.rules import Rule
from ml_intern.tui.modals import rule_text

if TYPE_CHECKING:
    from ml_intern.core.protocol import ApprovalItem

LABELS = {False: "allow in this session without asking", True: "allow always without asking"}


class RuleField(Vertical):
    """Takes a rule. What it would allow is said below it while it is written.

    Args:
        workspace: Where the agent works.
        where: The file that rules are kept in.
    """

    class Taken(Message):
        """A rule that can be taken over.

        Attributes:
            rule: Its text.
            always: Whether it is to count in later sessions too.
        """

        def __init__(self, rule: str, always: bool) -> None:
            super().__init__()
            self.rule = rule
            self.always = always

    def __init__(self, workspace: Path | None, where: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._workspace = workspace
        self._where = where
        self._item: ApprovalItem | None = None
        self._always = self._edited = False

    def compose(self) -> ComposeResult:
        """What it is for, the rule, what it means."""
        yield Static(id="rule-label", markup=False)
        yield Input(id="rule-line", compact=True, select_on_focus=False)
        yield Static(id="rule-verdict", markup=False)

    def begin(self, item: ApprovalItem, rule: str, *, always: bool, edited: bool) -> None:
        """Begins with a rule.

        Args:
            item: The call it is for.
            rule: What is offered.
            always: Whether it is to count in later sessions too.
            edited: Whether the call was edited.
        """
        self._item, self._always, self._edited = item, always, edited
        self.query_one("#rule-label", Static).update(LABELS[always])
        line = self.query_one(Input)
        line.value = rule
        line.cursor_position = len(rule)
        line.focus()
        self._judge()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._judge()

    def _judge(self) -> None:
        if self._item is None:
            return
        said = rule_text.verdict(
            self._item,
            self.query_one(Input).value,
            self._workspace,
            self._where,
            for_good=self._always,
            edited=self._edited,
        )
        self.query_one("#rule-verdict", Static).update(said)

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        rule, item = Rule.of(event.value.strip()), self._item
        if item is None:
            return
        why = rule_text.objection(item, rule, self._workspace, for_good=self._always, edited=self._edited)
        if not why:
            self.post_message(self.Taken(rule.text, self._always))
