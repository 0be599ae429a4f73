"""Waits for the key that an action is to have."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._static import Static

from ml_intern.tui.keys.actions import ACTIONS
from ml_intern.tui.keys.choice import KeyChoiceError, allowed_keys, conflicts
from ml_intern.tui.keys.keymap import Keymap
from ml_intern.tui.keys.names import shown
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar

CANCEL, CONFIRM = "escape", "enter"


class CatchKey(Dialog[str]):
    """Answers with the next key that the action can have, or with None. The app hands it every key as it comes.

    Args:
        action_id: The action.
        keymap: The keys that count now.
    """

    HELP: ClassVar[str] = "Press the key that the action is to have."

    def __init__(self, action_id: str, keymap: Keymap) -> None:
        super().__init__()
        self._action = ACTIONS[action_id]
        self._keymap = keymap
        self._pending = ""

    def compose(self) -> ComposeResult:
        """What is asked, what came, keys."""
        with Vertical(id="catch-key", classes="dialog") as frame:
            frame.border_title = self._action.does
            yield Static("Press the key for it.", id="catch-key-text", markup=False)
            yield KeyBar([(shown(CANCEL), "leave it as it is")], id="catch-key-keys")

    def take_key(self, key: str) -> None:
        """Takes a key that was pressed, as Textual names it."""
        if key == CANCEL:
            self.dismiss(None)
            return
        if key == CONFIRM and self._pending:
            self.dismiss(self._pending)
            return
        self._pending = ""
        try:
            keys = allowed_keys(self._action.id, key)
        except KeyChoiceError as error:
            self._tell(Content.styled(f"✗ {str(error)[:1].upper()}{str(error)[1:]}", "$error"))
            return
        changed = Keymap({**self._keymap.changes, self._action.id: keys})
        if not (met := list(conflicts(self._action.id, changed))):
            self.dismiss(key)
            return
        self._pending = key
        self._tell(Content.styled("\n".join(f"! {text}" for text in met), "$warning"))

    def _tell(self, text: Content) -> None:
        self.query_one("#catch-key-text", Static).update(text)
        take = [(shown(CONFIRM), f"take {shown(self._pending)} all the same")] if self._pending else []
        self.query_one(KeyBar).show([*take, (shown(CANCEL), "leave it as it is")])
