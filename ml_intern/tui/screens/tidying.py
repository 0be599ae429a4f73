"""What earlier sessions have left running: asks about it when that disturbs nobody, and ends what is to be ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

from ml_intern.tui.ports import EndLeftover
from ml_intern.tui.widgets.text import count

if TYPE_CHECKING:
    from ml_intern.core.protocol import Leftover


class Tidying:
    """Opens the dialog over a screen.

    Args:
        screen: Where it opens.
        clock: Seconds since the epoch.
    """

    def __init__(self, screen: Screen[None], clock: Callable[[], float] = time.time) -> None:
        self.end: EndLeftover | None = None
        self.grace_s = 0.0
        self._screen = screen
        self._clock = clock
        self._items: tuple[Leftover, ...] = ()

    def take(self, items: tuple[Leftover, ...], *, ask: bool) -> None:
        """What runs, as of now; asks about it at once if that disturbs nobody."""
        new = {item.id for item in items} - {item.id for item in self._items}
        self._items = items
        if new and ask:
            self.open()

    def open(self) -> None:
        """Asks what is to become of them."""
        if not self._items or self.end is None:
            self._screen.notify("Nothing of earlier sessions runs, as far as is known.", markup=False)
            return
        from ml_intern.tui.modals.leftovers import LeftoversDialog

        self._screen.app.push_screen(LeftoversDialog(self._items, self.grace_s, self._clock), self._carry_out)

    def _carry_out(self, ending: tuple[Leftover, ...] | None) -> None:
        if ending and self.end is not None:
            self._screen.run_worker(self._end_all(ending, self.end), name="ending what was left", exit_on_error=False)

    async def _end_all(self, ending: tuple[Leftover, ...], end: EndLeftover) -> None:
        from ml_intern.core.jobs import JobsError

        done = 0
        for item in ending:
            try:
                await end(item)
                done += 1
            except JobsError as error:
                self._screen.notify(str(error), severity="error", markup=False)
        if done:
            self._screen.notify(f"Ended {count(done, 'thing')} of earlier sessions.", markup=False)
