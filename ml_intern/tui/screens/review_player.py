"""Playing a session: its own pace, long pauses shortened, 1 to 16 times as fast. Nothing ticks while it is paused."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable

from textual.screen import Screen
from textual.timer import Timer

from ml_intern.sessions.replay import Recording

SPEEDS = (1, 2, 4, 8, 16)
FRAME_S = 1 / 20
"""Steps that come faster than this are shown together."""


class Player:
    """Moves through a recording as time goes by.

    Args:
        screen: Whose timers are used.
        recording: The session.
        show: Shows a step; may itself stop the player.
        clock: Seconds that only go forward.

    Attributes:
        speed: How many times as fast as it was.
    """

    def __init__(
        self,
        screen: Screen[None],
        recording: Recording,
        show: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.speed = SPEEDS[0]
        self._screen = screen
        self._recording = recording
        self._show = show
        self._clock = clock
        self._timer: Timer | None = None
        self._step = 0
        self._from = (0.0, 0.0)  # a moment of ours and the one of the session that belongs to it

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return self._timer is not None

    def play(self, step: int) -> None:
        """Plays from a step on."""
        self.stop()
        self._step = step
        self._from = (self._clock(), self._recording.axis[step])
        self._wait()

    def stop(self) -> None:
        """Pauses."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def change_speed(self, direction: int) -> None:
        """Faster or slower by half."""
        at = SPEEDS.index(self.speed) + direction
        self.speed = SPEEDS[min(max(0, at), len(SPEEDS) - 1)]
        if self.playing:
            self.play(self._step)

    def _wait(self) -> None:
        """For the next step, if there is one."""
        axis = self._recording.axis
        if self._step + 1 >= len(axis):
            self.stop()
            return
        due = self._from[0] + (axis[self._step + 1] - self._from[1]) / self.speed
        self._timer = self._screen.set_timer(max(FRAME_S, due - self._clock()), self._go_on)

    def _go_on(self) -> None:
        played = self._from[1] + (self._clock() - self._from[0]) * self.speed
        self._step = max(self._step, bisect_right(self._recording.axis, played) - 1)
        self._wait()
        self._show(self._step)
