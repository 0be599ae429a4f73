"""The line at the bottom: what is going on, and the keys that work right now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from ml_intern.tui.keys.keymap import Keymap, keymap_of
from ml_intern.tui.motion import tick_s
from ml_intern.tui.widgets.key_bar import Hint, effective
from ml_intern.tui.widgets.line import Part, line, whole_seconds


class Hints(Widget):
    """Activity on the left, keys on the right. Ticks once a second, and only while something runs.

    Args:
        clock: Seconds that only go forward.
    """

    keys: reactive[tuple[Hint, ...]] = reactive(())
    activity = reactive("")

    HELP = "The keys that work right now. {help} explains the part of the screen that has the focus."

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._clock = clock
        self._since: float | None = None
        self._ticker: Timer | None = None

    def show_keys(self, keys: Sequence[Hint]) -> None:
        """Shows these keys, the most useful first."""
        self.keys = tuple(keys)

    def begin(self, activity: str) -> None:
        """Says what is going on, with a clock beside it that keeps its time while the wording changes."""
        if self._since is None:
            self._since = self._clock()
            self._ticker = self.set_interval(tick_s(self), self.refresh)
        self.activity = activity

    def say(self, activity: str) -> None:
        """Says something that is not timed; an empty text says nothing."""
        self._since = None
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        self.activity = activity

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.refresh()

    def render(self) -> Content:
        """The line at the present width."""
        parts = []
        if self.activity:
            parts.append(Part(self.activity, "$accent", flexible=True))
        if self._since is not None:
            parts.append(Part(whole_seconds(self._clock() - self._since), "$foreground-muted"))
        shown = enumerate(effective(self.keys, keymap_of(self)))
        keys = [Part(key, tail=does, rank=2 + number) for number, (key, does) in shown]
        return line([*parts, *keys], [], self.content_size.width, "   ")
