"""The list that opens above the prompt while a command or the name of a file is typed."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.core.file_index import matching_files
from ml_intern.tui.commands import Command, matching
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.widgets.text import fit_path

SHOWN = 8


class Completer(Widget):
    """Offers the commands or files that fit what was typed. Never has the focus: the prompt passes keys on."""

    offers: reactive[tuple[Command | str, ...]] = reactive((), layout=True)
    """Commands, or paths of files."""
    cursor = reactive(0)

    _typed = ""

    class Picked(Message):
        """A command was chosen. `run`: carry it out at once; otherwise only complete its name."""

        def __init__(self, command: Command, run: bool) -> None:
            super().__init__()
            self.command = command
            self.run = run

    class PickedFile(Message):
        """A file or folder was chosen. `done`: nothing is to follow behind a folder."""

        def __init__(self, path: str, done: bool) -> None:
            super().__init__()
            self.path = path
            self.done = done

    @property
    def is_open(self) -> bool:
        """Whether there is something to choose."""
        return bool(self.offers)

    def follow(self, text: str) -> None:
        """Offers what fits the prompt's text, or closes."""
        word = text[1:]
        is_command = text.startswith("/") and not word.startswith("/") and not any(char.isspace() for char in word)
        self.offers = tuple(matching(word)) if is_command else ()

    def offer_files(self, paths: list[str]) -> None:
        """Offers files, the best first."""
        self.offers = tuple(paths)

    def narrow_files(self, query: str, *, quoted: bool = False) -> None:
        """Takes out what no longer fits, until a search has found what does: no key takes a wrong file.

        Args:
            query: What is typed behind the `@`.
            quoted: It stands in quotes, which are still open.
        """
        self._typed = "" if quoted else query
        self.offers = tuple(matching_files(query, [offer for offer in self.offers if isinstance(offer, str)]))

    def close(self) -> None:
        """Closes until the text changes."""
        self.offers = ()

    def take_key(self, key: str) -> bool:
        """Acts on a key while open. False when it means nothing here."""
        if not self.is_open:
            return False
        keymap = keymap_of(self)
        if keymap.has("complete.run", key) and self.offers[self.cursor] == self._typed:
            self.close()  # there is nothing to complete: the key sends
            return False
        if key in {"up", "down"}:
            step = -1 if key == "up" else 1
            self.cursor = (self.cursor + step) % len(self.offers)
        elif keymap.has("complete.run", key) or keymap.has("complete.take", key):
            self._pick(self.cursor, run=keymap.has("complete.run", key))
        elif keymap.has("complete.close", key):
            self.close()
        else:
            return False
        return True

    def _pick(self, number: int, *, run: bool) -> None:
        offer = self.offers[number]
        self.post_message(self.PickedFile(offer, run) if isinstance(offer, str) else self.Picked(offer, run=run))
        self.close()

    def watch_offers(self, offers: tuple[Command | str, ...]) -> None:
        """A new list begins at its top."""
        self.cursor = 0
        self.display = bool(offers)

    def get_content_height(self, *_args: object) -> int:
        """As tall as the list; the style sheet lifts it by its own height, onto the prompt."""
        return min(SHOWN, len(self.offers))

    def render(self) -> Content:
        """The visible part of the list, the chosen command marked by a sign and not by colour alone."""
        first = max(0, min(self.cursor - SHOWN + 1, len(self.offers) - SHOWN))
        rows = [
            self._row(offer, number == self.cursor)
            for number, offer in enumerate(self.offers)
            if first <= number < first + SHOWN
        ]
        return Content("\n").join(rows)

    def _row(self, command: Command | str, chosen: bool) -> Content:
        if isinstance(command, str):
            path = fit_path(command, max(1, self.content_size.width - 2))
            return Content.assemble(("▸ " if chosen else "  ", "$accent"), (path, "$accent bold" if chosen else ""))
        usage = f"{command.usage:<26}"
        key = f"  {keymap_of(self).shown(command.action)}" if command.action else ""
        return Content.assemble(
            ("▸ " if chosen else "  ", "$accent"),
            (usage, "$accent bold" if chosen else ""),
            (command.help, "" if chosen else "$foreground-muted"),
            (key, "$foreground-muted"),
        ).truncate(self.content_size.width, ellipsis=True)

    def on_click(self, event: events.Click) -> None:
        """A click takes what is under the pointer."""
        first = max(0, min(self.cursor - SHOWN + 1, len(self.offers) - SHOWN))
        if (row := first + event.y) < len(self.offers):
            self._pick(row, run=True)
