"""The prompt: a small editor where Enter sends, with the history of earlier prompts at its edges."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.widgets._text_area import TextArea  # the package's own lazy loader costs a few ms more

from ml_intern.tui.history import PromptHistory
from ml_intern.tui.widgets.paste import Folds

NEWLINE_KEYS = frozenset({"shift+enter", "ctrl+j", "alt+enter", "ctrl+enter"})
EDGE_KEYS = frozenset({"up", "delete", "backspace", "ctrl+d"})
"""Keys that mean something else in an empty prompt."""


class Prompt(TextArea):
    """Multi-line input. Grows with its text; the style sheet bounds it."""

    HELP = (
        "The prompt. Enter sends, Shift+Enter or Ctrl+J begins a new line. ↑ and ↓ at the edges walk through earlier "
        "prompts, Ctrl+R searches them. `/` at the start offers commands, `@` offers files, `!` at the start runs a "
        "command of your own in the workspace. Ctrl+G opens your editor. A large paste is shown as one line and sent "
        "whole. While the agent works, what you send is queued above the prompt: ↑ takes the last one back to edit it, "
        "Delete removes it."
    )

    class Submitted(Message):
        """The person sent a text; the prompt is empty again."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class EdgeKey(Message):
        """`enter`, or one of `EDGE_KEYS`, was pressed in an empty prompt."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, compact=True, show_line_numbers=False, highlight_cursor_line=False)
        self.cursor_blink = False
        self.past = PromptHistory()
        self._folds = Folds()
        self.intercept: Callable[[str], bool] = lambda _key: False

    def fill(self, text: str) -> None:
        """Replaces the text and puts the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    @property
    def whole_text(self) -> str:
        """The text with large pastes in full."""
        return self._folds.unfold(self.text)

    def send(self) -> None:
        """Sends the text, unless there is only white space."""
        text = self.whole_text.strip()
        if not text:
            self.post_message(self.EdgeKey("enter"))
            return
        self.past.add(text)
        self._folds.clear()
        self.load_text("")
        self.post_message(self.Submitted(text))

    def action_delete_to_start_of_line(self) -> None:
        """Deletes back to the start of the line that was typed, however it is wrapped."""
        row, column = self.selection.end
        self.delete((row, 0), (row, column))

    async def _on_paste(self, event: events.Paste) -> None:
        """A large text is folded into one line."""
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        sign = self._folds.fold(text)
        if sign != text and not self.read_only:
            event.stop()
            event.prevent_default()
            self.insert(sign)

    async def _on_key(self, event: events.Key) -> None:
        if self.intercept(event.key) or self._act_on(event.key):
            event.stop()
            event.prevent_default()

    def _act_on(self, key: str) -> bool:
        """Carries out a key of the prompt's own. False leaves it to the editor."""
        if key == "enter":
            self.send()
        elif key in NEWLINE_KEYS:
            self.insert("\n")
        elif key in EDGE_KEYS and not self.text:
            self.post_message(self.EdgeKey(key))
        elif key == "up":
            return self._back()
        elif key == "down":
            return self._forth()
        else:
            return False
        return True

    def _back(self) -> bool:
        if not self.navigator.is_first_wrapped_line(self.cursor_location):
            return False
        return self.recall_older()

    def recall_older(self) -> bool:
        """Shows the prompt before. False at the oldest."""
        text = self.past.older(self.text)
        if text is None:
            return False
        self.fill(text)
        return True

    def _forth(self) -> bool:
        if not self.navigator.is_last_wrapped_line(self.cursor_location):
            return False
        text = self.past.newer()
        if text is None:
            return False
        self.fill(text)
        return True
