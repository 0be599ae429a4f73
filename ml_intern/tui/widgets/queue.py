"""What was sent while the agent worked and waits for its turn."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.keys.keymap import Keymap, keymap_of
from ml_intern.tui.widgets.key_bar import effective
from ml_intern.tui.widgets.line import Part, line
from ml_intern.tui.widgets.text import one_line

SHOWN = 3


class QueueView(Widget):
    """Lists the queued prompts, one line each, with the keys that take them back."""

    prompts: reactive[tuple[str, ...]] = reactive((), layout=True)
    held = reactive(False)
    """Whether they wait for the person, since the turn before did not end well."""

    def watch_prompts(self, prompts: tuple[str, ...]) -> None:
        """Takes no room while there is nothing to show."""
        self.display = bool(prompts)

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.refresh()

    def render(self) -> Content:
        """The newest few; the last line carries the keys."""
        width = self.content_size.width
        shown = self.prompts[-SHOWN:]
        hidden = len(self.prompts) - len(shown)
        label = Part("held" if self.held else "queued", "$warning")
        rows = [line([label, Part(one_line(text), flexible=True, rank=9)], [], width) for text in shown]
        if hidden:
            rows[0] = line([label, Part(f"{hidden + 1} more before these", "$foreground-muted")], [], width)
        if rows:
            last = Part(one_line(shown[-1]), flexible=True, rank=9)
            rows[-1] = line([label, last], self._keys(), width)
        return Content("\n").join(rows)

    def _keys(self) -> list[Part]:
        hints = [("{prompt.older}", "edit"), ("{prompt.drop}", "remove")]
        shown = effective([("{prompt.send}", "send"), *hints] if self.held else hints, keymap_of(self))
        return [Part(key, tail=does, rank=1 + number) for number, (key, does) in enumerate(shown)]

    def get_content_height(self, *_args: object) -> int:
        """One line for each prompt shown."""
        return min(SHOWN, len(self.prompts))
