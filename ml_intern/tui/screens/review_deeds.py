"""What is done with a session under review: a call is opened in full, the session is gone on with or forked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.screen import Screen

from ml_intern.sessions.replay import Recording
from ml_intern.sessions.store import SessionError, SessionStore
from ml_intern.tui import messages
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.panes.tool_calls import ToolCallsPane
from ml_intern.tui.screens.review_text import entry_of
from ml_intern.tui.screens.showing import Calls, open_entry
from ml_intern.tui.widgets.tool_model import ToolEntry


class ReviewDeeds:
    """Does what the Review screen's keys ask for. The session itself is never changed.

    Args:
        screen: The Review screen.
        recording: The session.
        store: Makes copies of it.
        lose: Called when the log cannot be read any more.
    """

    def __init__(
        self, screen: Screen[None], recording: Recording, store: SessionStore, lose: Callable[[OSError], None]
    ) -> None:
        self._screen = screen
        self._recording = recording
        self._store = store
        self._lose = lose

    def open_call(self, call_id: str, step: int, tools: ToolCallsPane) -> None:
        """Shows a tool call of the pane in full, as it was at a step."""
        self._screen.run_worker(self._open_call(call_id, step, tools), name="reading a call", exit_on_error=False)

    async def _open_call(self, call_id: str, step: int, tools: ToolCallsPane) -> None:
        async def whole(wanted: str) -> ToolEntry | None:
            return await self._read_call(wanted, step, tools)

        if (entry := await whole(call_id)) is not None and self._screen.is_current:
            # A call of the past does not go on, so there is nothing to look for again.
            calls = Calls(lambda _id: None, tools.neighbour, tools.choose, lambda: 0.0, whole)
            open_entry(self._screen.app, entry, calls)

    async def _read_call(self, call_id: str, step: int, tools: ToolCallsPane) -> ToolEntry | None:
        try:
            told = await asyncio.to_thread(self._recording.whole_call, call_id, step)
        except OSError as error:
            self._lose(error)
            return None
        entry, known = entry_of(told), tools.entry(call_id)
        if entry is not None and known is not None:
            entry.final = known.final
        return entry

    def fork(self, step: int) -> None:
        """Offers to go on in a copy of the session up to a step."""
        self._offer_copy("fork here", step)

    def resume(self, step: int) -> None:
        """Goes on with the session at its end; from an earlier step, or with a log from elsewhere, in a copy."""
        elsewhere = not self._recording.path.is_relative_to(self._store.directory)
        if elsewhere or step < len(self._recording) - 1:
            self._offer_copy("resume from here", step)
        else:
            self._screen.post_message(messages.OpenSession(self._recording.path.stem))

    def _offer_copy(self, title: str, step: int) -> None:
        text = (
            f"A copy of this session up to event {step + 1:,} of {len(self._recording):,} is made and opened; a turn "
            "that is cut off by that counts as interrupted. The session itself stays as it is, and files are as they "
            "are now, not as they were then."
        )

        def decide(yes: bool | None) -> None:
            if yes:
                copying = self._fork(self._recording.last_seq(step))
                self._screen.run_worker(copying, name="copying the session", exit_on_error=False)

        self._screen.app.push_screen(Confirm(title, text, "copy and open"), decide)

    async def _fork(self, seq: int) -> None:
        try:
            copy = await asyncio.to_thread(self._store.fork, self._recording.path, last_seq=seq)
        except (OSError, SessionError) as error:
            self._screen.notify(f"The copy could not be made: {error}", severity="error", markup=False)
            return
        self._screen.notify(f"The copy is session {copy.stem[:8]}.", markup=False)
        self._screen.post_message(messages.OpenSession(copy.stem))
