"""The way to earlier sessions: their screen, the review of one, and going on with one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.screen import Screen

from ml_intern.tui.modals.confirm import Confirm

if TYPE_CHECKING:
    from ml_intern.options import Options
    from ml_intern.sessions.store import SessionStore
    from ml_intern.tui import messages
    from ml_intern.tui.opening import Resumable
    from ml_intern.tui.screens.main import MainScreen
    from ml_intern.tui.screens.sessions_archive import Archive

GoOn = Callable[["Resumable"], Awaitable[None]]
"""Shuts the agent down and builds another one on an earlier session."""

log = logging.getLogger(__name__)

FIRST_SESSIONS = 200
"""So many are shown while the others are read."""
PREPARE_AFTER_S = 1.0
START_PATIENCE_S = 5.0
START_LOOK_S = 0.05
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
        self._archive: Archive | None = None

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
        await asyncio.to_thread(_import_screens)
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

        main = self._main()
        try:
            store = await self._store_soon()
        except SessionError as error:
            self._warn(str(error))
            return
        archive = await self._opened_archive(store)
        from ml_intern.tui.screens.sessions import SessionsScreen

        await archive.load(main.state.workdir, FIRST_SESSIONS)
        self._sessions = SessionsScreen(store, archive, main.state, main.setup.grace_s, self._clock)
        await self._app.push_screen(self._sessions)

    # ---------------------------------------------------------------------------------------------------- beforehand

    def begin(self, options: Options) -> Options:
        """Lets the person choose a session where the command line names none; gives the options for the agent."""
        self.prepare_soon()
        if options.resume != "":
            return options
        self.toggle_sessions()
        return options.but(resume=None)

    def prepare_soon(self) -> None:
        """Gets ready, once the app has nothing else to do, for the moment when somebody looks."""
        self._app.set_timer(PREPARE_AFTER_S, self._prepare_if_idle)

    def _prepare_if_idle(self) -> None:
        if not self._app.screen_stack:  # the app ends
            return
        main = self._main()
        if main.setup.store is None or main.state.running:
            self.prepare_soon()
        else:
            self._app.run_worker(self._prepare(), name="reading the logs", exit_on_error=False)

    async def _prepare(self) -> None:
        """Imports the screens, so that a key need not wait for it, and brings the index up to date."""
        store = self._store()
        archive = await self._opened_archive(store)
        from ml_intern.sessions.index import IndexUnavailableError

        if not await asyncio.to_thread(store.directory.is_dir):
            return  # nothing was ever said, and nothing need be written down
        try:
            await archive.refresh()
        except IndexUnavailableError as error:
            log.warning("%s", error)  # whoever opens the screen is told

    async def _opened_archive(self, store: SessionStore) -> Archive:
        """What the app knows of all sessions. The screens that show it are imported with it, off the event loop."""
        archive_of = await asyncio.to_thread(_import_screens)
        if self._archive is None:
            self._archive = archive_of(store.directory)
        return self._archive

    async def _resume(self, session_id: str) -> None:
        from ml_intern.sessions.store import SessionError
        from ml_intern.tui.opening import resumable

        try:
            session = await asyncio.to_thread(resumable, self._store(), session_id)
        except SessionError as error:
            self._warn(str(error))
            return
        await self._go_on(session)

    async def _store_soon(self) -> SessionStore:
        """The sessions, as soon as the agent is there; a key that was pressed while it starts is not lost.

        Raises:
            SessionError: It does not come.
        """
        deadline = time.monotonic() + START_PATIENCE_S
        main = self._main()
        while main.setup.store is None and not main.state.lost and time.monotonic() < deadline:  # noqa: ASYNC110 - for a second
            await asyncio.sleep(START_LOOK_S)
        return self._store()

    def _store(self) -> SessionStore:
        from ml_intern.sessions.store import SessionError
        from ml_intern.tui.opening import NO_STORE

        store = self._main().setup.store
        if store is None:
            raise SessionError(NO_STORE)
        return store

    def _warn(self, text: str) -> None:
        self._app.notify(text, severity="warning", markup=False)


def _import_screens() -> type[Archive]:
    import ml_intern.tui.screens.review
    import ml_intern.tui.screens.sessions  # noqa: F401 - with all that it needs
    from ml_intern.tui.screens.sessions_archive import Archive

    return Archive
