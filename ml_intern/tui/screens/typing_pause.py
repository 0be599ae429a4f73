"""Waits with a dialog until the person has paused typing, so that what they type goes where they meant it to go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_intern.tui.modals.base import QUIET_S

if TYPE_CHECKING:
    from textual.screen import Screen
    from textual.timer import Timer


class TypingPause:
    """Opens one dialog at a time.

    Args:
        screen: Where it opens.
        since_key: Gives the seconds since a key was last typed into the prompt.
    """

    def __init__(self, screen: Screen[Any], since_key: Callable[[], float]) -> None:
        self._screen = screen
        self._since_key = since_key
        self._timer: Timer | None = None

    def then(self, opens: Callable[[], None], *, patient: bool) -> None:
        """Opens it now, or when nothing was typed for a moment.

        Args:
            opens: Opens the dialog.
            patient: Whether to wait at all.
        """
        self.drop()
        left = QUIET_S - self._since_key() if patient else 0.0
        if left <= 0:
            opens()
        else:
            self._timer = self._screen.set_timer(left, lambda: self.then(opens, patient=patient))

    def drop(self) -> bool:
        """Gives up what has not opened yet. Tells whether there was something."""
        waiting, self._timer = self._timer, None
        if waiting is not None:
            waiting.stop()
        return waiting is not None
