"""The ways out of the app: a key, a command, a signal, a terminal that is gone, a fault."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ml_intern.tui import messages
from ml_intern.tui.early.guard import is_orphaned
from ml_intern.tui.early.opening import INTERRUPTED, OpeningApp
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.terminal import has_terminal

if TYPE_CHECKING:
    from ml_intern.tui.screens.main import MainScreen

log = logging.getLogger(__name__)

QUIT_WITHIN_S = 1.0
CLOSE_PATIENCE_S = 16.0
LOOK_S = 2.0
"""How often the app looks whether its terminal is still there."""
SAME_SIGNAL_S = 0.5
"""A signal for the terminal reaches the app twice, by itself and from its guard: a second one is no second wish."""
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class WayOut:
    """Ends the app once the agent has stopped.

    Args:
        app: What ends.
        main: Gives the main screen.
        stop_agent: Shuts the agent down, if there is one.
        stalled: Whether the app's loop stands still. May be asked from any thread.

    Attributes:
        farewell: What is said in the terminal after the app is gone.
    """

    def __init__(
        self,
        app: OpeningApp,
        main: Callable[[], MainScreen],
        stop_agent: Callable[[], Awaitable[None]],
        stalled: Callable[[], bool],
    ) -> None:
        self.farewell = ""
        self._app = app
        self._main = main
        self._stop_agent = stop_agent
        self._stalled = stalled
        self._leaving = False
        self._code = 0
        self._armed_at = 0.0
        self._key_at = 0.0
        self._signalled_at = 0.0

    # -------------------------------------------------------------------------------------------------- on purpose

    def ask(self) -> None:
        """Leaves; asks first when something would be lost, or goes on without the app."""
        doubt = self._main().doubt
        if not doubt:
            self.begin()
            return

        def decide(yes: bool | None) -> None:
            if yes:
                self.begin()

        self._app.push_screen(Confirm("quit", doubt, "quit"), decide)

    def press(self) -> None:
        """The key that quits: the first press interrupts the turn, the second one leaves."""
        now = time.monotonic()
        if now - self._armed_at <= QUIT_WITHIN_S:
            self._app.post_message(messages.Quit(at_once=True))
            return
        self._armed_at = now
        if self._main().state.running:
            self._app.post_message(messages.Operate("interrupt"))
        self._app.notify(self._app.keymap.tell("Press {copy} again to quit."), timeout=QUIT_WITHIN_S + 1, markup=False)

    def begin(self) -> None:
        """Leaves, in a worker of its own."""
        self._app.run_worker(self.leave(), name="leaving", exit_on_error=False)

    async def leave(self) -> None:
        """Stops the agent and ends the app. A second call does not wait."""
        if self._leaving:
            self._app.exit(return_code=self._code)
            return
        self._leaving = True
        self.farewell = self._main().farewell
        try:
            await asyncio.wait_for(self._stop_agent(), CLOSE_PATIENCE_S)
        except TimeoutError:
            log.warning("the agent did not stop in time")
        self._app.exit(return_code=self._code)

    def fail(self, words: str) -> None:
        """Ends the app at once, with an error's words."""
        self.farewell = words
        self._app.exit(return_code=2)

    # ------------------------------------------------------------------------------------------------- from outside

    def watch(self) -> None:
        """From now on signals end the app in order, and so does a terminal that is gone."""
        loop = asyncio.get_running_loop()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if number := getattr(signal, name, None):
                try:
                    loop.add_signal_handler(number, self._leave_on_signal)
                except (NotImplementedError, ValueError, RuntimeError):  # not on this platform or thread
                    log.debug("%s is not handled here", name)
        if not self._app.is_headless and has_terminal():
            self._app.set_interval(LOOK_S, self._leave_without_terminal)

    def key_read(self, key: str) -> None:
        """The key that quits, pressed twice, always leaves, even when the loop hangs. Called from any thread."""
        if not self._app.keymap.has("copy", key):
            return
        now = time.monotonic()
        twice, self._key_at = now - self._key_at <= QUIT_WITHIN_S, now
        if twice and self._stalled():
            os.kill(os.getpid(), KILL)  # the guard gives the terminal back

    def _leave_without_terminal(self) -> None:
        # A terminal can vanish without a signal; the thread that reads keys would then spin.
        if not has_terminal() or is_orphaned():
            self._leave_on_signal()

    def _leave_on_signal(self) -> None:
        now = time.monotonic()
        if now - self._signalled_at < SAME_SIGNAL_S:
            return
        self._signalled_at, self._code = now, INTERRUPTED
        if self._app.is_opening:  # taking screens down that are being put up would break them
            self._app.leaves_when_up = True
            return
        self.begin()
