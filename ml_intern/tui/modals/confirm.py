"""A question that is answered with yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets._static import Static

from ml_intern.tui.modals.base import GraceDialog
from ml_intern.tui.widgets.flow import Flow, key_items


class Confirm(GraceDialog[bool]):
    """Asks once more before something that cannot be taken back.

    Args:
        title: What would be done.
        text: What that means.
        yes: What `y` does, in a word or two.
        grace_s: See `GraceDialog`.
    """

    HELP = "y does it, n or Esc leaves everything as it is."
    DECISIONS = frozenset({"answer"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape", "cancel", "no"),
    ]

    def __init__(self, title: str, text: str, yes: str = "yes", grace_s: float = 0.0) -> None:
        super().__init__(grace_s)
        self._title = title
        self._text = text
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Question and keys."""
        with Vertical(id="confirm", classes="dialog") as frame:
            frame.border_title = self._title
            yield Static(self._text, markup=False)
            yield Flow(key_items([("y", self._yes), ("n", "leave it")]), classes="dialog-keys")

    def action_answer(self, answer: bool) -> None:
        """Answers."""
        self.dismiss(answer)
