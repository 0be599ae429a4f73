"""What a person can do about a job: cancel it, see its page, run it again, keep its log."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.screen import Screen

from ml_intern.core.jobs import JobInfo, JobsError
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.modals.rerun import Request, Rerun
from ml_intern.tui.modals.save_as import SaveAs, free_name
from ml_intern.tui.screens import jobs_text as words
from ml_intern.tui.screens.jobs_board import JobsBoard
from ml_intern.tui.screens.jobs_feed import JobFeed
from ml_intern.tui.widgets.text import count

ADDRESS_S = 20.0
"""How long an address stays on the screen that no browser could be opened for."""


class JobDeeds:
    """Does things about jobs, and says what came of it.

    Args:
        screen: Where dialogs and notes appear.
        board: What is known of jobs.
        changed: Called when jobs stand differently now.
    """

    def __init__(self, screen: Screen[Any], board: JobsBoard, changed: Callable[[], None]) -> None:
        self._screen = screen
        self._board = board
        self._changed = changed

    def cancel(self, info: JobInfo) -> None:
        """Asks, then cancels."""
        backend = self._board.backend
        if backend is None:
            return
        if not info.active:
            self._screen.notify(f"This job has ended already: {info.stage}.", markup=False)
            return

        def decide(yes: bool | None) -> None:
            if yes:
                cancelling = self._cancel(backend, info)
                self._screen.run_worker(cancelling, name="cancelling a job", exit_on_error=False)

        text = words.cancel_text(info, self._board.flavor_of(info), self._board.clock())
        dialog = Confirm("cancel a job", text, "cancel the job")
        self._screen.app.push_screen(dialog, decide)

    async def _cancel(self, backend: JobsBackend, info: JobInfo) -> None:
        try:
            after = await backend.cancel(info.ref)
        except JobsError as error:
            self._screen.notify(f"It could not be cancelled: {error}", severity="error", markup=False)
            return
        self._screen.notify(f"{words.title_of(info)} is {after.stage}.", markup=False)
        await self._board.refresh()
        self._changed()

    def browse(self, info: JobInfo) -> None:
        """Opens the job's page, or says where it is."""
        tell = self._screen.notify
        if not info.url.startswith(("https://", "http://")):
            where = f" Its log is {info.log_path}." if info.log_path else ""
            tell(f"This job has no page.{where}", markup=False)
            return
        try:
            webbrowser.get()
        except webbrowser.Error:
            tell(f"There is no browser here. The page is {info.url}", timeout=ADDRESS_S, markup=False)
        else:
            self._screen.app.open_url(info.url)
            tell(f"Opening {info.url}", markup=False)

    def copy(self, text: str) -> None:
        """Puts a text on the clipboard."""
        self._screen.app.copy_to_clipboard(text)
        self._screen.notify(f"Copied {text}", timeout=3, markup=False)

    def rerun(self, info: JobInfo, take: Callable[[str | None], None]) -> None:
        """Lets the person edit what the job was submitted with; `take` gets the request for the prompt."""
        known = self._board.book.jobs.get(info.ref.id)
        request = Request.of(info.ref.id, words.title_of(info), known.arguments if known is not None else {})
        if not request.text and info.command not in {"", info.name, "script.py"}:
            request.text, request.kind = info.command, "command"
        self._screen.app.push_screen(Rerun(request), take)

    def export(self, feed: JobFeed | None) -> None:
        """Asks where to, then writes the log."""
        if feed is None or not len(feed.store):
            self._screen.notify("There is no log to save yet.", severity="warning", markup=False)
            return

        def save(answer: tuple[Path, bool] | None) -> None:
            if answer is not None:
                self._screen.run_worker(self._write(feed, *answer), name="saving the log", exit_on_error=False)

        title = "save the log" if feed.complete else "save the log as far as it is here"
        self._screen.app.push_screen(SaveAs(title, free_name(Path.home() / f"{feed.ref.id}.log")), save)

    async def _write(self, feed: JobFeed, path: Path, overwrite: bool) -> None:
        def write() -> None:
            with path.open("wb" if overwrite else "xb") as file:
                feed.store.write_to(file)

        try:
            await asyncio.to_thread(write)
        except OSError as error:
            self._screen.notify(f"It could not be saved: {error}", severity="error", markup=False)
        else:
            self._screen.notify(f"{count(len(feed.store), 'line')} saved to {path}.", markup=False)
