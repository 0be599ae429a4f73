"""The way to earlier sessions: their screen, the review of one, and going on with one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.screen import Screen

from ml_intern.tui.modals.confirm import Confirm

if TYPE_CHECKING:
    from ml_intern.sessions.store import SessionStore
    from ml_intern.tui import messages
    from ml_intern.tui.opening import Resumable
    from ml_intern.tui.screens.main import MainScreen

GoOn = Callable[["Resumable"], Awaitable[None]]
"""Shuts the agent down and builds another one on an earlier session."""

RUNS = "A turn is running. Opening another session interrupts it and stops what it started."


class Past:
    """Opens what belongs to earlier sessions. Their screens are imported when they are asked for.

    Args:
        app: Where they open.
        main: Gives the main screen.
        back: Closes everything over the main screen.
        go_on: Goes on with a session.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        app: App[Any],
        main: Callable[[], MainScreen],
        back: Callable[[], None],
        go_on: GoOn,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._main = main
        self._back = back
        self._go_on = go_on
        self._clock = clock
        self._sessions: Screen[None] | None = None

    def review(self, message: messages.ReviewSession) -> None:
        """Opens a session to be stepped through."""
        opening = self._open_review(message.session, message.seq)
        self._app.run_worker(opening, name="opening the session", group="review", exclusive=True, exit_on_error=False)

    def toggle_sessions(self) -> None:
        """Opens the sessions screen, or closes it."""
        if self._sessions is not None and self._sessions in self._app.screen_stack:
            if self._sessions.is_current:
                self._sessions.dismiss(None)
            return
        opening = self._open_sessions()
        self._app.run_worker(opening, name="opening sessions", group="sessions", exclusive=True, exit_on_error=False)

    def offer(self, session_id: str) -> None:
        """Goes on with a session; asks first while a turn runs."""
        main = self._main()
        if session_id == main.state.session_id and not main.state.lost:
            self._back()
            return

        def decide(yes: bool | None) -> None:
            if yes:
                self._app.run_worker(self._resume(session_id), name="opening the session", exit_on_error=False)

        if main.state.running:
            self._app.push_screen(Confirm("open a session", RUNS, "open it"), decide)
        else:
            decide(True)

    async def _open_review(self, session: str, seq: int | None) -> None:
        from ml_intern.sessions.store import SessionError
        from ml_intern.tui.opening import open_recording
        from ml_intern.tui.screens.review import ReviewScreen

        current = self._main().state.session_id
        try:
            store = self._store()
            recording = await asyncio.to_thread(open_recording, store, session, current)
        except SessionError as error:
            self._warn(str(error))
            return
        await self._app.push_screen(ReviewScreen(recording, store, seq=seq, current=current))

    async def _open_sessions(self) -> None:
        from ml_intern.sessions.store import SessionError
        from ml_intern.tui.opening import first_sessions

        main = self._main()
        try:
            store = self._store()
        except SessionError as error:
            self._warn(str(error))
            return
        first = await asyncio.to_thread(first_sessions, store, main.state.workdir)
        from ml_intern.tui.screens.sessions import SessionsScreen

        self._sessions = SessionsScreen(store, main.state, first, main.grace_s, self._clock)
        await self._app.push_screen(self._sessions)

    async def _resume(self, session_id: str) -> None:
        from ml_intern.sessions.store import SessionError
        from ml_intern.tui.opening import resumable

        try:
            session = await asyncio.to_thread(resumable, self._store(), session_id)
        except SessionError as error:
            self._warn(str(error))
            return
        await self._go_on(session)

    def _store(self) -> SessionStore:
        from ml_intern.sessions.store import SessionError
        from ml_intern.tui.opening import NO_STORE

        store = self._main().store
        if store is None:
            raise SessionError(NO_STORE)
        return store

    def _warn(self, text: str) -> None:
        self._app.notify(text, severity="warning", markup=False)
