"""What all dialogs share: a frame, a moment of grace, and a way to be closed from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, TypeVar

from textual import events
from textual.binding import BindingType
from textual.timer import Timer

from ml_intern.tui.widgets.backdrop import ModalBackdrop

Answer = TypeVar("Answer")

QUIET_S = 0.5
"""Who has typed a key so shortly before is still typing something else."""


class Dialog(ModalBackdrop[Answer | None]):
    """A dialog that can be withdrawn. It is closed with None when nobody answered."""

    HELP: ClassVar[str] = ""

    def withdraw(self) -> bool:
        """Closes the dialog without an answer, together with whatever was opened on top of it.

        Returns:
            Whether it was still open.
        """
        if self not in self.app.screen_stack:
            return False
        while self.app.screen is not self:
            self.app.pop_screen()
        self.dismiss(None)
        return True

    def action_cancel(self) -> None:
        """Closes the dialog without an answer."""
        self.dismiss(None)


class GraceDialog(Dialog[Answer]):
    """A dialog whose keys do nothing for a moment, so that a key typed for something else decides nothing.

    Who goes on typing meanwhile has not noticed it yet: the moment lasts until they pause.

    Args:
        grace_s: Length of that moment in seconds.
        clock: Seconds that only go forward.
    """

    DECISIONS: ClassVar[frozenset[str]] = frozenset()
    """Names of the actions that wait for the moment to pass."""
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._grace_s = grace_s
        self._answers_from = clock() + grace_s
        self._grace_timer: Timer | None = None

    @property
    def answers(self) -> bool:
        """Whether keys decide by now."""
        return self._clock() >= self._answers_from

    def on_mount(self) -> None:
        """The moment begins when the dialog can be seen."""
        self.begin_grace()

    def begin_grace(self) -> None:
        """Something new is asked: keys decide nothing for a moment."""
        if self._grace_s > 0:
            self._wait(self._grace_s)

    def _wait(self, seconds: float) -> None:
        self._answers_from = self._clock() + seconds
        if self._grace_timer is not None:
            self._grace_timer.stop()
        self._grace_timer = self.set_timer(seconds, self.on_answers)

    def on_key(self, event: events.Key) -> None:
        """Somebody is still typing."""
        if not self.answers and event.is_printable:
            self._wait(max(QUIET_S, self._answers_from - self._clock()))

    def on_answers(self) -> None:
        """Called when the moment has passed."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Refuses decisions during the moment of grace."""
        del parameters
        return self.answers or action not in self.DECISIONS
