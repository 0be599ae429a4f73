"""Asking where to save something."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import one_line


class SaveAs(Dialog[tuple[Path, bool]]):
    """Asks for a file. Answers with its path, and whether it may be overwritten; a file that exists is asked for twice.

    Args:
        title: What is saved.
        suggestion: The path to begin with.
    """

    HELP = (
        "Type a path, {choose} saves, {back} leaves. A file that exists is only overwritten when you press {choose} "
        "twice."
    )
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "cancel")]

    def __init__(self, title: str, suggestion: Path) -> None:
        super().__init__()
        self._title = title
        self._suggestion = suggestion
        self._warned: Path | None = None

    def compose(self) -> ComposeResult:
        """Path, warning, keys."""
        with Vertical(id="save-as", classes="dialog") as frame:
            frame.border_title = self._title
            yield Input(
                one_line(_short(self._suggestion), 2_000), id="save-as-path", compact=True, select_on_focus=False
            )
            yield Static(id="save-as-note", markup=False)
            yield KeyBar([("{choose}", "save"), ("{back}", "leave")])

    def on_mount(self) -> None:
        """The path can be edited at once."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _save(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        path = Path(text).expanduser()
        if not text or path.is_dir():
            self._say("Name a file, not a directory." if text else "Type the name of a file.")
        elif not path.parent.is_dir():
            self._say(f"There is no directory {path.parent}.")
        elif path.exists() and path != self._warned:
            self._warned = path
            again = keymap_of(self).tell("Press {choose} again to overwrite it, or change the name.")
            self._say(f"This file exists. {again}")
        else:
            self.dismiss((path, path == self._warned))

    def _say(self, text: str) -> None:
        self.query_one("#save-as-note", Static).update(text)


def _short(path: Path) -> str:
    """The path as people write it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def free_name(path: Path) -> Path:
    """The path, or the first one like it with a number that is not taken."""
    taken, number = path, 1
    while taken.exists():
        number += 1
        taken = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return taken
