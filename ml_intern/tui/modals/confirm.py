"""A question that is answered with yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.modals.base import GraceDialog
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import clean


class Confirm(GraceDialog[bool]):
    """Asks once more before something that cannot be taken back.

    Args:
        title: What would be done.
        text: What that means.
        yes: What the key for yes does, in a word or two.
        grace_s: See `GraceDialog`.
    """

    HELP = "{confirm.yes} does it, {confirm.no} or {back} leaves everything as it is."
    DECISIONS = frozenset({"answer"})
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("confirm.yes", "answer(True)"),
        bind("confirm.no", "cancel"),
        bind("back", "cancel"),
        bind_number(1, "answer(True)"),
        bind_number(2, "cancel"),
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
            yield Static(clean(self._text), markup=False)
            yield KeyBar([("{confirm.yes}/1", self._yes), ("{confirm.no}/2", "leave it")])

    def action_answer(self, answer: bool) -> None:
        """Answers."""
        self.dismiss(answer)
