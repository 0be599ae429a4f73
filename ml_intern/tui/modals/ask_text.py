"""Asking for one line of text."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar


class AskText(Dialog[str]):
    """A line to be edited. Answers with it, or with None.

    Args:
        title: What it is for.
        value: The line to begin with.
        note: What a person should know about it.
    """

    HELP = "Edit the line, {choose} takes it, {back} leaves everything as it was."
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "cancel")]

    def __init__(self, title: str, value: str, note: str = "") -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._note = note

    def compose(self) -> ComposeResult:
        """The line, the note, keys."""
        with Vertical(id="ask-text", classes="dialog") as frame:
            frame.border_title = self._title
            yield Input(self._value, id="ask-text-line", compact=True, select_on_focus=False)
            yield Static(self._note, id="ask-text-note", markup=False)
            yield KeyBar([("{choose}", "take it"), ("{back}", "leave")])

    def on_mount(self) -> None:
        """The line can be edited at once."""
        self.query_one("#ask-text-note").display = bool(self._note)
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)
