"""Editing a list of texts, one a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._static import Static
from textual.widgets._text_area import TextArea

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar


class EditLines(Dialog[tuple[str, ...]]):
    """Lines to be edited. Answers with those that are not empty, or with None.

    Args:
        title: What they are for.
        lines: The lines to begin with.
        note: What a person should know about them.
        check: Says what is wrong with the lines, which are not taken then.
    """

    HELP = "One entry a line. {form.done} takes them over, {back} leaves everything as it was."
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "cancel"), bind("form.done", "done")]

    def __init__(self, title: str, lines: Sequence[str], note: str, check: Callable[[tuple[str, ...]], str]) -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)
        self._note = note
        self._check = check

    def compose(self) -> ComposeResult:
        """The lines, the note, what is wrong, keys."""
        with Vertical(id="edit-lines", classes="dialog") as frame:
            frame.border_title = self._title
            yield TextArea("\n".join(self._lines), id="edit-lines-text", compact=True, show_line_numbers=False)
            yield Static(self._note, id="edit-lines-note", markup=False)
            yield Static(id="edit-lines-problem", markup=False)
            yield KeyBar([("{form.done}", "take them over"), ("{back}", "leave")])

    def on_mount(self) -> None:
        """The lines can be edited at once, at their end."""
        area = self.query_one(TextArea)
        area.cursor_blink = False
        area.move_cursor(area.document.end)
        area.focus()
        self.query_one("#edit-lines-problem").display = False

    def action_done(self) -> None:
        """Answers, or says what is wrong."""
        lines = tuple(line.strip() for line in self.query_one(TextArea).text.split("\n") if line.strip())
        if problem := self._check(lines):
            self.query_one("#edit-lines-problem", Static).update(f"✗ {problem}")
            self.query_one("#edit-lines-problem").display = True
        else:
            self.dismiss(lines)
