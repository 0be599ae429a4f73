"""What goes to the agent with the next prompt: images, and outputs of the person's own commands."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.entries import Picture, Thing
from ml_intern.tui.keys.keymap import Keymap, keymap_of
from ml_intern.tui.widgets.key_bar import effective
from ml_intern.tui.widgets.line import Part, line
from ml_intern.tui.widgets.text import fit, one_line

SHOWN = 5
LONGEST_NAME = 40
"""Cells of the name of an image."""
KEYS = [("{prompt.detach}", "remove")]


class AttachedView(Widget):
    """One line for each thing that is attached; the last carries the key that removes it. A click removes any."""

    things: reactive[tuple[Thing, ...]] = reactive((), layout=True)
    blind: reactive[str] = reactive("")
    """Why images are not shown to the model, or empty."""

    class Dropped(Message):
        """A thing was clicked on, to be removed."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def watch_things(self, things: tuple[Thing, ...]) -> None:
        """Takes no room while there is nothing to show."""
        self.display = bool(things)

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.refresh()

    def get_content_height(self, *_args: object) -> int:
        """One line for each, up to a few."""
        return min(SHOWN, len(self.things))

    def render(self) -> Content:
        """The newest few; where there are more, the first line counts them."""
        width, hidden = self.content_size.width, max(0, len(self.things) - SHOWN)
        rows = [self._row(thing, width, last=thing is self.things[-1]) for thing in self.things[-SHOWN:]]
        if hidden:
            more = Part(f"{hidden + 1} more before these", "$foreground-muted")
            rows[0] = line([Part("attached", "$accent"), more], [], width)
        return Content("\n").join(rows)

    def _row(self, thing: Thing, width: int, *, last: bool) -> Content:
        is_picture = isinstance(thing, Picture)
        title = fit(one_line(thing.title), LONGEST_NAME) if is_picture else one_line(thing.title)
        parts = [
            Part(thing.mark, "$accent"),
            Part(title, flexible=True, rank=1 if is_picture else 9),
            Part(thing.facts, "$foreground-muted", rank=5),
        ]
        if self.blind and is_picture:
            parts.append(Part(self.blind, "$warning", short="not shown to this model", short_rank=8))
        keys = effective(KEYS, keymap_of(self)) if last else []
        return line(parts, [Part(key, tail=does, rank=2) for key, does in keys], width)

    def on_click(self, event: events.Click) -> None:
        """Removes what was clicked on."""
        hidden = max(0, len(self.things) - SHOWN)
        if event.y or not hidden:  # the line that counts stands for several
            self.post_message(self.Dropped(hidden + event.y))
