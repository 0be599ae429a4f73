"""The list that opens above the prompt while a command is typed."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.commands import Command, matching

SHOWN = 8


class Completer(Widget):
    """Offers the commands that fit what was typed. Never has the focus: the prompt passes keys on."""

    commands: reactive[tuple[Command, ...]] = reactive((), layout=True)
    cursor = reactive(0)

    class Picked(Message):
        """A command was chosen. `run`: carry it out at once; otherwise only complete its name."""

        def __init__(self, command: Command, run: bool) -> None:
            super().__init__()
            self.command = command
            self.run = run

    @property
    def is_open(self) -> bool:
        """Whether there is something to choose."""
        return bool(self.commands)

    def follow(self, text: str) -> None:
        """Offers what fits the prompt's text, or closes."""
        word = text[1:]
        is_command = text.startswith("/") and not word.startswith("/") and not any(char.isspace() for char in word)
        self.commands = tuple(matching(word)) if is_command else ()

    def close(self) -> None:
        """Closes until the text changes."""
        self.commands = ()

    def take_key(self, key: str) -> bool:
        """Acts on a key while open. False when it means nothing here."""
        if not self.is_open:
            return False
        if key in {"up", "down"}:
            step = -1 if key == "up" else 1
            self.cursor = (self.cursor + step) % len(self.commands)
        elif key in {"enter", "tab"}:
            self.post_message(self.Picked(self.commands[self.cursor], run=key == "enter"))
            self.close()
        elif key == "escape":
            self.close()
        else:
            return False
        return True

    def watch_commands(self, commands: tuple[Command, ...]) -> None:
        """A new list begins at its top."""
        self.cursor = 0
        self.display = bool(commands)

    def get_content_height(self, *_args: object) -> int:
        """As tall as the list; the style sheet lifts it by its own height, onto the prompt."""
        return min(SHOWN, len(self.commands))

    def render(self) -> Content:
        """The visible part of the list, the chosen command marked by a sign and not by colour alone."""
        first = max(0, min(self.cursor - SHOWN + 1, len(self.commands) - SHOWN))
        rows = [
            self._row(command, number == self.cursor)
            for number, command in enumerate(self.commands)
            if first <= number < first + SHOWN
        ]
        return Content("\n").join(rows)

    def _row(self, command: Command, chosen: bool) -> Content:
        usage = f"{command.usage:<26}"
        key = f"  {command.key}" if command.key else ""
        return Content.assemble(
            ("▸ " if chosen else "  ", "$accent"),
            (usage, "$accent bold" if chosen else ""),
            (command.help, "" if chosen else "$foreground-muted"),
            (key, "$foreground-muted"),
        )

    def on_click(self, event: events.Click) -> None:
        """A click runs the command under the pointer."""
        first = max(0, min(self.cursor - SHOWN + 1, len(self.commands) - SHOWN))
        if (row := first + event.y) < len(self.commands):
            self.post_message(self.Picked(self.commands[row], run=True))
            self.close()
