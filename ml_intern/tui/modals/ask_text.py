"""Asking for one line of text."""

from __future__ import annotations

from collections.abc import Callable
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
from ml_intern.tui.widgets.text import one_line


class AskText(Dialog[str]):
    """A line to be edited. Answers with it, or with None.

    Args:
        title: What it is for.
        value: The line to begin with.
        note: What a person should know about it.
        check: Says what is wrong with a line, which is not taken then; an empty text says nothing is.
    """

    HELP = "Edit the line, {choose} takes it, {back} leaves everything as it was."
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "cancel")]

    def __init__(self, title: str, value: str, note: str = "", check: Callable[[str], str] = lambda _line: "") -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._note = note
        self._check = check

    def compose(self) -> ComposeResult:
        """The line, the note, keys."""
        with Vertical(id="ask-text", classes="dialog") as frame:
            frame.border_title = self._title
            yield Input(one_line(self._value), id="ask-text-line", compact=True, select_on_focus=False)
            yield Static(self._note, id="ask-text-note", markup=False)
            yield Static(id="ask-text-problem", markup=False)
            yield KeyBar([("{choose}", "take it"), ("{back}", "leave")])

    def on_mount(self) -> None:
        """The line can be edited at once."""
        self.query_one("#ask-text-note").display = bool(self._note)
        self._say("")
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        if problem := self._check(event.value):
            self._say(problem)
        else:
            self.dismiss(event.value)

    @on(Input.Changed)
    def _edit(self) -> None:
        self._say("")

    def _say(self, problem: str) -> None:
        line = self.query_one("#ask-text-problem", Static)
        line.update(f"✗ {problem}")
        line.display = bool(problem)
