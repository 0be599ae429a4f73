"""What the prompt will hold, worked out from simple keys before there is a prompt."""

from __future__ import annotations

import re

from ml_intern.tui.widgets.paste import Folds, continues, may_be_pictures

NEWLINE_KEYS = frozenset({"shift+enter", "ctrl+j", "alt+enter", "ctrl+enter"})
"""Keys that begin a new line in the prompt."""

_SILENT_KEYS = ("left_", "right_", "caps_lock", "num_lock", "scroll_lock")
"""Modifiers and locks by themselves; some terminals tell of them."""
_WORD_EDGE = r"(?<=\W)(?=\w)|(?<=\w)(?=\W)"


class Draft:
    """The text of the prompt, as long as every key so far was one whose effect is known here.

    It does what `Prompt` does with these keys. Any other key ends it: what the prompt holds is then for the app to say,
    which gets the same keys.

    Attributes:
        own_keys: A person has chosen other keys, so that only those are known that nobody can give another meaning.
        text: The prompt's text; the cursor is at its end.
        sent: What was sent with Enter, oldest first. It waits for the agent.
        certain: Whether `text` is what the prompt will hold.
        left: Whether the person wants to leave.
    """

    def __init__(self) -> None:
        self.own_keys = False
        self.text = ""
        self.sent: list[str] = []
        self.certain = True
        self.left = False
        self._folds = Folds()

    def press(self, key: str, character: str | None) -> None:
        """Carries out a key, by Textual's name for it."""
        if not self.certain or (character is None and key.startswith(_SILENT_KEYS)):
            return
        if self.own_keys and character is None and key != "backspace":
            self.certain = False
        elif key == "enter" and continues(self.text):
            self.text = self.text if self.text.startswith("!") else self.text[:-1]
            self.text += "\n"
        elif key == "enter":
            self._send()
        elif key in NEWLINE_KEYS:
            self.text += "\n"
        elif key == "backspace":
            self.text = self.text[: -(self._folds.sign_before(self.text) or 1)]
        elif key == "ctrl+u":
            self.text = self.text[: self.text.rfind("\n") + 1]
        elif key == "ctrl+w":
            self._delete_word()
        elif key == "ctrl+d" and not self.sent:
            self.left = not self.text
        elif character is not None and character.isprintable():
            self.text += character
        else:
            self.certain = False

    def paste(self, text: str) -> None:
        """Takes in what the terminal says is a paste."""
        if not self.certain:
            return
        if may_be_pictures(text):  # the app looks whether they are there
            self.certain = False
            return
        text = text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")
        shown = self._folds.fold(text)
        if all(char.isprintable() or char == "\n" for char in shown):
            self.text += shown
        else:
            self.certain = False

    def _send(self) -> None:
        text = self._folds.unfold(self.text).strip()
        if not text:
            return
        if text[0] in "/!":  # the app knows what comes of a command
            self.certain = False
            return
        self.text = ""
        self._folds.clear()
        self.sent.append(text)

    def _delete_word(self) -> None:
        before, newline, line = self.text.rpartition("\n")
        if not line:
            self.text = before
            return
        edges = list(re.finditer(_WORD_EDGE, line.rstrip()))
        self.text = before + newline + line[: edges[-1].start() if edges else 0]
