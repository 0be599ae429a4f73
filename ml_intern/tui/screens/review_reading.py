"""Reading a session for its review: once as a whole, in short slices, and what a session that runs has added since."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from textual.screen import Screen

from ml_intern.sessions.replay import Recording
from ml_intern.tui.screens.review_reel import Reel

AT_ONCE = 500
"""So many steps are folded before a person would notice."""
BREATH_S = 0.02
"""How long events are folded before keys are heard again."""
PROGRESS_S = 0.2


class ReviewReading:
    """Acts for the Review screen.

    Args:
        screen: Whose workers are used.
        recording: The session.
        reel: The panes.
        go: Shows a step.
        show_progress: Called now and then while events are read.
        grown: Called when events were added, before the first of them is shown.
        lose: Called when the log cannot be read any more.

    Attributes:
        ready: All events have been read, so that every moment is near.
        share: How much has been read, from 0 to 1.
    """

    def __init__(
        self,
        screen: Screen[None],
        recording: Recording,
        reel: Reel,
        go: Callable[[int], None],
        show_progress: Callable[[], None],
        grown: Callable[[], None],
        lose: Callable[[OSError], None],
    ) -> None:
        self.ready = False
        self.share = 0.0
        self._screen = screen
        self._recording = recording
        self._reel = reel
        self._go = go
        self._show_progress = show_progress
        self._grown = grown
        self._lose = lose
        self._growing = False

    def glance(self, step: int) -> None:
        """Fills the panes for a step. They are on no screen yet, so that they take events much faster.

        Raises:
            OSError: The log cannot be read any more.
        """
        last = len(self._recording) - 1
        if last < AT_ONCE:
            self._reel.go(last)
            self._reel.go(step)
            self.ready = True
        else:
            self._reel.glance(step)

    def begin(self, step: int) -> None:
        """Reads what a glance has left out; then shows a step."""
        self._screen.run_worker(self._read(step), name="reading the session", group="reading", exit_on_error=False)

    async def _read(self, step: int) -> None:
        """All events once, in short slices: from then on every step is near one that is remembered."""
        reel = Reel(self._recording, self._reel.now)
        last, began = len(self._recording) - 1, time.monotonic()
        shown = began
        try:
            for read in reel.approach(last):
                if time.monotonic() - began > BREATH_S:
                    if time.monotonic() - shown > PROGRESS_S:
                        self.share, shown = read / max(1, last), time.monotonic()
                        self._show_progress()
                    await asyncio.sleep(0)
                    began = time.monotonic()
        except OSError as error:
            self._lose(error)
            return
        self._reel.adopt(reel)
        self.ready = True
        self._go(step)

    def grow(self) -> None:
        """Looks for events that came after the log was opened."""
        if not self._growing:
            self._growing = True
            self._screen.run_worker(self._read_on(), name="reading on", exit_on_error=False)

    async def _read_on(self) -> None:
        try:
            lines = await asyncio.to_thread(self._recording.read_on)
        except OSError as error:
            self._lose(error)
            return
        finally:
            self._growing = False
        at_end = self._reel.step == len(self._recording) - 1
        if self._recording.add(lines):
            self._grown()
            if at_end:
                self._go(len(self._recording) - 1)
