"""The prompt: a small editor where Enter sends, with the history of earlier prompts at its edges."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from textual import events
from textual.binding import BindingsMap
from textual.message import Message
from textual.widgets._text_area import TextArea  # the package's own lazy loader costs a few ms more

from ml_intern.tui.history import PromptHistory
from ml_intern.tui.keys.keymap import Keymap, keymap_of
from ml_intern.tui.widgets.paste import Folds, continues
from ml_intern.tui.widgets.text import typed

EDGE_ACTIONS = ("prompt.older", "prompt.drop", "prompt.detach", "prompt.quit")
"""What keys mean in an empty prompt only, or also there."""
WISHES = ("prompt.steer", "prompt.paste", "queue.before", "queue.after")
"""What is asked of others, whatever the prompt holds."""


async def no_paste(_text: str) -> bool:
    """Leaves all pastes to the prompt."""
    return False


class Prompt(TextArea):
    """Multi-line input. Grows with its text; the style sheet bounds it."""

    HELP = (
        "The prompt. {prompt.send} sends, {prompt.newline:2} begins a new line, as does a backslash before "
        "{prompt.send}. {prompt.older} and {prompt.newer} at the edges walk through earlier prompts, {history} "
        "searches them, {prompt.undo} takes a change back. `/` at the start offers commands, `@` attaches files, `!` "
        "at the start runs a command of your own in the workspace. {prompt.paste} attaches the image on the "
        "clipboard, as does dropping a file; {prompt.detach} removes what is attached. {editor} opens your editor. A "
        "large paste is shown as one line and sent whole. While the agent works, what you send is queued above the "
        "prompt: {prompt.older} or {queue.before} takes the last one back to edit it, {prompt.drop} removes it, and "
        "{prompt.steer} tells the agent at its next step instead."
    )

    class Submitted(Message):
        """The person sent a text; the prompt is empty again."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class EdgeKey(Message):
        """The key of `prompt.send` or of one of the `EDGE_ACTIONS` was pressed in an empty prompt."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    class Wish(Message):
        """The key of one of the `WISHES` was pressed."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, compact=True, show_line_numbers=False, highlight_cursor_line=False)
        self.cursor_blink = False
        self.past = PromptHistory()
        self.folds = Folds()
        self.take_paste: Callable[[str], Awaitable[bool]] = no_paste
        self._typed_at = float("-inf")
        self.intercept: Callable[[str], bool] = lambda _key: False

    def on_mount(self) -> None:
        """Keys of the screen edit no text."""
        self.take_keymap(keymap_of(self))

    def take_keymap(self, keymap: Keymap) -> None:
        """The editor has keys of its own, which would be heard before those of the screen."""
        own = self._merged_bindings or BindingsMap()
        self._bindings = own.copy()
        for key in keymap.heard_around("prompt"):
            self._bindings.key_to_bindings.pop(key, None)

    def fill(self, text: str) -> None:
        """Replaces the text and puts the cursor at its end. What cannot be shown is left out. It can be undone."""
        self.history.checkpoint()
        self.replace(typed(text), (0, 0), self.document.end, maintain_selection_offset=False)
        self.move_cursor(self.document.end)

    @property
    def whole_text(self) -> str:
        """The text with large pastes in full."""
        return self.folds.unfold(self.text)

    def since_key(self) -> float:
        """Seconds since something was typed here that was not sent since."""
        return time.monotonic() - self._typed_at

    def take_letter(self, letter: str) -> None:
        """Something was typed while another part of the screen had the focus."""
        self._typed_at = time.monotonic()
        self.insert(letter)

    def send(self) -> None:
        """Sends the text, unless there is only white space."""
        self._typed_at = float("-inf")
        text = self.whole_text.strip()
        if not text:
            self.post_message(self.EdgeKey("prompt.send"))
            return
        self.take_over()
        self.post_message(self.Submitted(text))

    def take_over(self) -> None:
        """Empties the prompt: its text is on its way, and remembered."""
        self.past.add(self.whole_text.strip())
        self.folds.clear()
        self.load_text("")

    def action_delete_left(self) -> None:
        """Deletes a character, or the whole sign of a large paste: half of it would stand for nothing."""
        row, column = self.cursor_location
        length = self.folds.sign_before(self.document.get_line(row)[:column]) if self.selection.is_empty else 0
        if length:
            self.delete((row, column - length), (row, column), maintain_selection_offset=False)
        else:
            super().action_delete_left()

    def action_delete_right(self) -> None:
        """The same, the other way."""
        row, column = self.cursor_location
        length = self.folds.sign_after(self.document.get_line(row)[column:]) if self.selection.is_empty else 0
        if length:
            self.delete((row, column), (row, column + length), maintain_selection_offset=False)
        else:
            super().action_delete_right()

    def action_delete_to_start_of_line(self) -> None:
        """Deletes back to the start of the line that was typed, however it is wrapped."""
        row, column = self.selection.end
        self.delete((row, 0), (row, column))

    async def _on_paste(self, event: events.Paste) -> None:
        """Dropped images are attached, a large text is folded into one line. Keys that follow wait until then."""
        if self.read_only:
            return
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        if not await self.take_paste(text):
            result = self.replace(self.folds.fold(text), *self.selection, maintain_selection_offset=False)
            self.move_cursor(result.end_location)

    async def _on_key(self, event: events.Key) -> None:
        self._typed_at = time.monotonic()
        if self.intercept(event.key) or self._act_on(event.key) or await self._edit(event.key):
            event.stop()
            event.prevent_default()

    async def _edit(self, key: str) -> bool:
        """Carries out a key of the editor at once: on its way through the app, letters after it would overtake it."""
        for binding in self._bindings.key_to_bindings.get(key, ()):
            if not binding.priority and await self.app.run_action(binding.action, self):
                return True
        return False

    def _act_on(self, key: str) -> bool:
        """Carries out a key of the prompt's own. False leaves it to the editor."""
        keymap = keymap_of(self)
        if keymap.has("prompt.send", key):
            self._send_or_break()
        elif keymap.has("prompt.newline", key):
            self.insert("\n")
        elif wish := next((name for name in WISHES if keymap.has(name, key)), ""):
            self.post_message(self.Wish(wish))
        elif not self.text and (edge := next((name for name in EDGE_ACTIONS if keymap.has(name, key)), "")):
            self.post_message(self.EdgeKey(edge))
        elif keymap.has("prompt.detach", key) and self.selection == ((0, 0), (0, 0)):
            self.post_message(self.EdgeKey("prompt.detach"))
        elif keymap.has("prompt.undo", key):
            self.undo()
        elif keymap.has("prompt.redo", key):
            self.redo()
        elif keymap.has("prompt.older", key):
            return self._back(key)
        elif keymap.has("prompt.newer", key):
            return self._forth(key)
        else:
            return False
        return True

    def _send_or_break(self) -> None:
        """Sends, or begins a new line when a backslash stands before the cursor: some terminals have no key for it."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        if not self.selection.is_empty or not continues(before):
            self.send()
        elif self.text.startswith("!"):  # in a command of the shell the backslash belongs to the line's end
            self.insert("\n")
        else:
            self.replace("\n", (row, column - 1), (row, column), maintain_selection_offset=False)

    def _back(self, key: str) -> bool:
        if key == "up" and not self.navigator.is_first_wrapped_line(self.cursor_location):
            return False
        return self.recall_older()

    def recall_older(self) -> bool:
        """Shows the prompt before. False at the oldest."""
        text = self.past.older(self.text)
        if text is None:
            return False
        self.fill(text)
        return True

    def _forth(self, key: str) -> bool:
        if key == "down" and not self.navigator.is_last_wrapped_line(self.cursor_location):
            return False
        text = self.past.newer()
        if text is None:
            return False
        self.fill(text)
        return True
