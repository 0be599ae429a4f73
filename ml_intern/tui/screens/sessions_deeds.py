"""What can be done with a session of the list: name, tag, copy, save, throw away, bring back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.screen import Screen

from ml_intern.sessions.exports import FORMATS, ExportError, export, save
from ml_intern.sessions.find import logs_in
from ml_intern.sessions.lock import in_use
from ml_intern.sessions.store import SessionError, SessionStore, summary_of
from ml_intern.sessions.summary import Summary
from ml_intern.tui import messages
from ml_intern.tui.modals.ask_text import AskText
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.modals.pick import Choice, Pick
from ml_intern.tui.modals.save_as import SaveAs, free_name
from ml_intern.tui.widgets.text import one_line

EXPORTS = {
    "markdown": (".md", "the conversation to read, with calls and results"),
    "html": (".html", "one page that needs nothing else"),
    "claude": (".jsonl", "a trace that viewers of agent traces read, the Hub's among them"),
    "sts": (".jsonl", "the Hub's simple format of session traces"),
    "sft": (".jsonl", "a row to train on, with tags"),
}
MOST_IN_TRASH = 100


class Deeds:
    """Carries out what a person wants done, with the questions it takes.

    Args:
        screen: Where questions are asked and intents are posted.
        store: The sessions.
        grace_s: How long the last question before a deletion ignores keys.
        changed: Called with the id of a session that was changed, made or brought back, and with an empty one when
            a session is gone.
    """

    def __init__(
        self, screen: Screen[None], store: SessionStore, grace_s: float, changed: Callable[[str], object]
    ) -> None:
        self._screen = screen
        self._store = store
        self._grace_s = grace_s
        self._changed = changed
        self._thrown: list[str] = []

    def _work(self, work: Awaitable[None], name: str) -> None:
        async def guarded() -> None:
            try:
                await work
            except (SessionError, ExportError) as error:
                self._screen.notify(str(error), severity="warning", markup=False)
            except OSError as error:
                text = f"Not done: {error.strerror or error}: {error.filename or self._store.directory}"
                self._screen.notify(text, severity="error", markup=False)

        self._screen.run_worker(guarded(), name=name, exit_on_error=False)

    def _say(self, text: str) -> None:
        self._screen.notify(text, markup=False)

    # ---------------------------------------------------------------------------------------------- going on with it

    def resume(self, session: Summary) -> None:
        """Goes on with it; offers a copy when it is open elsewhere."""
        self._work(self._resume(session), "opening the session")

    async def _resume(self, session: Summary) -> None:
        path = await asyncio.to_thread(self._store.find, session.id)
        if not await asyncio.to_thread(in_use, path):
            self._screen.post_message(messages.OpenSession(session.id))
            return

        def decide(yes: bool | None) -> None:
            if yes:
                self.fork(session)

        text = "It is open in another ml-intern, which goes on writing it. A copy of it can be gone on with here."
        self._screen.app.push_screen(Confirm("open elsewhere", text, "make a copy"), decide)

    def fork(self, session: Summary) -> None:
        """Copies it under a new id."""

        async def work() -> None:
            path = await asyncio.to_thread(self._store.find, session.id)
            copy = await asyncio.to_thread(self._store.fork, path)
            self._changed(copy.stem)
            self._say("The copy is in the list; r goes on with it.")

        self._work(work(), "copying the session")

    # ------------------------------------------------------------------------------------------------- describing it

    def rename(self, session: Summary, *, current: bool) -> None:
        """Asks for a title."""

        def take(title: str | None) -> None:
            if title is not None and title.strip() != session.name:
                self._describe(session.id, current=current, title=title)

        note = "Empty: it is called by its first prompt again."
        self._screen.app.push_screen(AskText("title", session.name or session.title, note), take)

    def tag(self, session: Summary, *, current: bool) -> None:
        """Asks for the tags."""

        def take(text: str | None) -> None:
            if text is None:
                return
            names = (one_line(part.strip().lstrip("#")) for part in text.split(","))
            tags = tuple(dict.fromkeys(name for name in names if name))
            if tags != session.tags:
                self._describe(session.id, current=current, tags=tags)

        note = "Separate tags with commas."
        self._screen.app.push_screen(AskText("tags", ", ".join(session.tags), note), take)

    def _describe(self, session_id: str, *, current: bool, **what: Any) -> None:
        if current:  # its log is written by the agent, and by nobody else
            self._screen.post_message(messages.DescribeSession(**what))
            self._changed(session_id)
        else:
            self._work(self._write(session_id, **what), "writing to the session")

    async def _write(self, session_id: str, title: str | None = None, tags: tuple[str, ...] | None = None) -> None:
        path = await asyncio.to_thread(self._store.find, session_id)
        if title is not None:
            await asyncio.to_thread(self._store.rename, path, title)
        if tags is not None:
            await asyncio.to_thread(self._store.set_tags, path, tags)
        self._changed(session_id)

    # ---------------------------------------------------------------------------------------------------- saving it

    def export(self, session: Summary) -> None:
        """Asks for the format and the place, then writes it."""

        def ask_where(form: str | None) -> None:
            if form is None:
                return
            suggestion = free_name(Path.home() / f"ml-intern-{session.id[:8]}{EXPORTS[form][0]}")

            def save(answer: tuple[Path, bool] | None) -> None:
                if answer is not None:
                    self._work(self._export(session, form, *answer), "exporting the session")

            self._screen.app.push_screen(SaveAs(f"export as {form}", suggestion), save)

        choices = [Choice(form, help=EXPORTS[form][1]) for form in FORMATS]
        self._screen.app.push_screen(Pick("export", choices), ask_where)

    async def _export(self, session: Summary, form: str, path: Path, overwrite: bool) -> None:
        def write() -> None:
            text = export(self._store.find(session.id), form, self._store.redactor)
            save(text, path, overwrite=overwrite)

        await asyncio.to_thread(write)
        self._say(f"Saved to {path}.")

    # ---------------------------------------------------------------------------------- throwing away, bringing back

    def delete(self, session: Summary) -> None:
        """Asks twice, then puts it into the trash."""
        title = one_line(session.title, 60)

        def ask_again(yes: bool | None) -> None:
            if yes:
                text = "It goes to the trash. u brings it back, and so does `ml-intern sessions restore`."
                self._screen.app.push_screen(Confirm("into the trash?", text, "delete it", self._grace_s), delete)

        def delete(yes: bool | None) -> None:
            if yes:
                self._work(self._delete(session), "deleting the session")

        self._screen.app.push_screen(Confirm("delete", f"Delete {title!r}?", "go on"), ask_again)

    async def _delete(self, session: Summary) -> None:
        path = await asyncio.to_thread(self._store.find, session.id)
        await asyncio.to_thread(self._store.delete, path)
        self._thrown.append(session.id)
        self._changed("")
        self._say("It is in the trash. u brings it back.")

    def undo_delete(self) -> None:
        """Brings back what was deleted last; when nothing was, lets the person choose from the trash."""
        if self._thrown:
            self._work(self._restore(self._thrown.pop()), "bringing the session back")
        else:
            self._work(self._pick_from_trash(), "looking into the trash")

    async def _restore(self, session_id: str) -> None:
        path = await asyncio.to_thread(self._store.restore, session_id)
        self._thrown = [name for name in self._thrown if name != session_id]
        self._changed(path.stem)
        self._say("It is back.")

    async def _pick_from_trash(self) -> None:
        def look() -> list[Choice]:
            files = sorted(logs_in(self._store.trash), key=lambda file: file.modified, reverse=True)
            found = [summary_of(file.path) for file in files[:MOST_IN_TRASH]]
            return [Choice(each.id, one_line(each.title, 60), each.ended[:10]) for each in found]

        choices = await asyncio.to_thread(look)
        if not choices:
            self._say("The trash is empty.")
            return

        def take(session_id: str | None) -> None:
            if session_id is not None:
                self._work(self._restore(session_id), "bringing the session back")

        self._screen.app.push_screen(Pick("bring back from the trash", choices, names=False), take)
