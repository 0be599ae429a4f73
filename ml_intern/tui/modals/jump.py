"""Letters over a screen: pressing one jumps to what it lies on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Offset, Size
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
LETTERS += LETTERS.upper()


class JumpScreen(Dialog[int]):
    """Answers with the number of the place whose letter was pressed, or with None.

    Args:
        offsets: Where the letters go; places beyond the last letter get none.
    """

    HELP = "Press one of the letters to go to what it lies on. {back} leaves everything as it is."
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "cancel"), bind("jump", "cancel")]

    def __init__(self, offsets: Sequence[Offset]) -> None:
        super().__init__()
        self._places = dict(zip(LETTERS, offsets, strict=False))
        self._made_for: Size | None = None

    def compose(self) -> ComposeResult:
        """The letters, and how to get away."""
        for letter, offset in self._places.items():
            label = Static(f" {letter} ", classes="jump-letter", markup=False)
            label.styles.offset = offset
            yield label
        yield KeyBar([("a-z", "go there"), ("{back}", "leave")], id="jump-keys", classes="")

    def on_resize(self, event: events.Resize) -> None:
        """What the letters lie on has moved."""
        if self._made_for not in {None, event.size}:
            self.dismiss(None)
        self._made_for = event.size

    def on_key(self, event: events.Key) -> None:
        """Jumps."""
        if event.character and event.character in self._places:
            event.stop()
            self.dismiss(list(self._places).index(event.character))
