"""The sessions screen: all that was ever done here, filtered while one types, with what can be done about a session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.sessions.index import Details, Found, IndexUnavailableError, SessionIndex
from ml_intern.sessions.store import SessionStore
from ml_intern.sessions.summary import Summary
from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.screens import sessions_text as words_of
from ml_intern.tui.screens.sessions_deeds import Deeds
from ml_intern.tui.screens.sessions_shelf import Shelf
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.lines import Line
from ml_intern.tui.widgets.row_list import RowList

ROWS_AT_ONCE = 1_000
BREATH_S = 0.1
"""Reading waits for the first frame, and gives way to what is typed."""
LOOK_S = 2.0
"""So long after a look at the logs comes the next, or longer where a look takes long."""
LOOK_SHARE = 10
GATHER_S = 0.25
PAUSE_S = 0.1
"""The full text is searched once nothing was typed for so long."""
SHORTEST_SEARCH = 2
MOST_FOUND = 200
DEEDS = ("resume", "fork", "export", "tag", "rename", "delete")
REVIEW, SCOPE = ("{list.open}", "review"), ("{sessions.scope}", "here or all")
FILTER, UNDO, BACK = ("{find}", "filter"), ("{sessions.undo}", "undo delete"), ("{back}", "back")
KEYS = [REVIEW, *((f"{{sessions.{deed}}}", deed) for deed in DEEDS), UNDO, SCOPE, FILTER, BACK]
NARROW_KEYS = [REVIEW, ("{sessions.resume}", "resume"), FILTER, SCOPE, ("{help}", "more"), BACK]
FILTER_KEYS = [
    ("{choose}", "review"),
    ("{sessions.to_list}", "to the list"),
    ("{sessions.scope_typing}", "here or all"),
    ("{back}", "to the list"),
]
NO_KEYS = [SCOPE, UNDO, BACK]


class SessionsScreen(Backdrop[None]):
    """Lists sessions, newest first. What is done with the one that runs here goes through its agent.

    Args:
        store: The sessions.
        state: The session that runs here.
        first: The newest sessions of its directory.
        grace_s: How long the last question before a deletion ignores keys.
        clock: Seconds since the epoch.
    """

    AUTO_FOCUS = "#sessions-list"
    HELP = (
        "Sessions, the one used last first. {find} filters by title, prompt, tag, model, directory and status while "
        "you type, and finds what was said and run. {sessions.scope} or {sessions.scope_typing} changes between this "
        "directory and all. {list.open} opens a session for review, {sessions.resume} goes on with it, {sessions.fork} "
        "copies it, {sessions.export} saves it in another format, {sessions.tag} tags it, {sessions.rename} gives it a "
        "title, {sessions.delete} puts it into the trash, {sessions.undo} brings back what was deleted."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "leave"),
        bind("find", "filter"),
        bind("sessions.scope", "scope"),
        bind("sessions.scope_typing", "scope"),
        bind("sessions.to_list", "to_list"),
        *(bind(f"sessions.{deed}", f"deed('{deed}')") for deed in DEEDS),
        bind("sessions.undo", "undo"),
    ]

    def __init__(
        self,
        store: SessionStore,
        state: SessionState,
        first: Sequence[Summary] = (),
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._index = SessionIndex(store.directory)
        self._state = state
        self._clock = clock
        self._deeds = Deeds(self, store, grace_s, self._on_deed)
        self._shelf = Shelf()
        self._shelf.put(first)
        self._rows: list[Summary] = []
        self._chosen = ""
        self._everywhere = False
        self._words = ""
        self._found: dict[str, Found] = {}
        self._details: Details | None = None
        self._problem = ""
        self._reading = True
        self._loaded = False
        self._wake = asyncio.Event()
        self._pause: Timer | None = None
        self._built = False
        self._left = False

    def compose(self) -> ComposeResult:
        """Filter, list, preview, keys."""
        with Horizontal(id="sessions-head"):
            yield Static("sessions  ⌕", id="sessions-title", markup=False)
            yield Input(id="sessions-filter", placeholder=keymap_of(self).fill("{find} filters"), compact=True)
            yield Static(id="sessions-scope", markup=False)
        with Horizontal(id="sessions-panes"):
            yield RowList(id="sessions-list")
            with Vertical(id="sessions-beside"):
                yield LineView(id="sessions-preview")
        yield Static(id="sessions-none", markup=False)
        yield Static(id="sessions-note", markup=False)
        yield KeyBar(id="sessions-keys")

    def on_mount(self) -> None:
        """Looks into the index."""
        self._list = self.query_one(RowList)
        self._filter = self.query_one(Input)
        self._preview = self.query_one("#sessions-preview", LineView)
        self._preview.can_focus = False
        self._built = True
        self._show()

    def on_screen_resume(self) -> None:
        """Somebody looks."""
        self.run_worker(self._watch(), name="listing sessions", group="watch", exclusive=True, exit_on_error=False)

    def on_screen_suspend(self) -> None:
        """Nobody looks any more."""
        self.workers.cancel_group(self, "watch")

    def on_unmount(self) -> None:
        """The index need not be brought up to date any further."""
        self._left = True

    # ------------------------------------------------------------------------------------------------------ reading

    async def _watch(self) -> None:
        """Shows what the index knows, then follows the logs as long as somebody looks."""
        while not self._left:
            await asyncio.sleep(BREATH_S)
            started = time.monotonic()
            self._wake.clear()
            try:
                if not self._loaded:
                    await self._load()
                await self._follow()
                self._problem = ""
            except IndexUnavailableError as error:
                self._problem = str(error)
            self._reading = False
            self._show_nothing()
            self._show_note()
            try:
                await asyncio.wait_for(self._wake.wait(), max(LOOK_S, LOOK_SHARE * (time.monotonic() - started)))
            except TimeoutError:
                continue

    async def _load(self) -> None:
        offset = 0
        while sessions := await asyncio.to_thread(self._index.list, limit=ROWS_AT_ONCE, offset=offset):
            self._shelf.put(sessions)
            if not offset:
                self._show()
            offset += len(sessions)
            await asyncio.sleep(BREATH_S)
        self._loaded = True
        self._show()

    async def _follow(self) -> None:
        """Brings the index up to date; what it learns is shown while it goes on learning."""
        changed: list[str] = []
        gone: list[str] = []

        def tell(new: object, old: object) -> None:
            changed.extend(new if isinstance(new, list) else ())
            gone.extend(old if isinstance(old, list) else ())

        refreshing = asyncio.ensure_future(asyncio.to_thread(self._index.refresh, stop=lambda: self._left, tell=tell))
        try:
            while not refreshing.done():
                await asyncio.wait({refreshing}, timeout=GATHER_S)
                new, old = changed[:], gone[:]
                del changed[: len(new)], gone[: len(old)]
                if new or old:
                    self._take(await asyncio.to_thread(self._index.those, new), old)
        finally:
            refreshing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await refreshing

    def _take(self, sessions: list[Summary], gone: tuple[str, ...] | list[str]) -> None:
        self._shelf.drop(gone)
        self._shelf.put(sessions)
        if self._details is not None and any(each.id == self._details.session.id for each in sessions):
            self._details = None
        self._show()

    def _on_deed(self, session_id: str) -> None:
        """Something was done with a session: the list follows at once."""
        self._chosen = session_id or self._chosen
        self._wake.set()

    # ------------------------------------------------------------------------------------------------------ showing

    @property
    def _directory(self) -> str:
        return self._state.workdir

    @property
    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock()).astimezone().date()

    @property
    def _session(self) -> Summary | None:
        return self._rows[self._list.cursor] if self._list.cursor < len(self._rows) else None

    def on_resize(self, _event: events.Resize) -> None:
        """What fits beside the list depends on the width."""
        if self.is_mounted:
            self.call_after_refresh(self._show_keys)

    def _show(self) -> None:
        """The list as it is now; the cursor stays on its session, or where it was when that is gone."""
        if self._left or not self._built:
            return
        place = self._list.cursor
        self._rows = self._shelf.select(None if self._everywhere else self._directory, self._words, self._found)
        if self._chosen:
            place = next((at for at, each in enumerate(self._rows) if each.id == self._chosen), place)
        self._list.show_rows(len(self._rows), self._draw, place)
        self._list.display = self.query_one("#sessions-panes").display = bool(self._rows)
        self._show_nothing()
        self._show_scope()
        self._show_chosen()

    def _draw(self, number: int, width: int) -> Line:
        session = self._rows[number]
        current = session.id == self._state.session_id
        return words_of.session_line(session, width, self._today, everywhere=self._everywhere, current=current)

    def _show_nothing(self) -> None:
        none = self.query_one("#sessions-none", Static)
        none.display = not self._rows
        if not self._rows:
            here, total = self._shelf.count(self._directory), len(self._shelf)
            waiting = self._reading and not total
            texts = words_of.nothing(self._words, everywhere=self._everywhere, here=here, total=total, reading=waiting)
            none.update("\n\n".join(map(keymap_of(self).tell, texts)))

    def _show_scope(self) -> None:
        here, total = self._shelf.count(self._directory), len(self._shelf)
        on, off = "$accent bold underline", "$foreground-muted"
        self.query_one("#sessions-scope", Static).update(
            Content.assemble(
                (f"this directory ({here:,})", off if self._everywhere else on),
                (" · ", off),
                (f"all ({total:,})", on if self._everywhere else off),
            )
        )
        self._show_note()

    def _show_note(self) -> None:
        note = self.query_one("#sessions-note", Static)
        text = self._problem or ("reading the logs …" if self._reading and len(self._shelf) else "")
        note.update(text)
        note.display = bool(text)

    def _show_keys(self) -> None:
        if self.focused is self._filter:
            keys = FILTER_KEYS
        elif not self._rows:
            keys = NO_KEYS
        else:
            keys = NARROW_KEYS if self.has_class("-narrow") else KEYS
        self.query_one("#sessions-keys", KeyBar).show(keys)

    @on(RowList.Moved)
    def _move(self) -> None:
        if (session := self._session) is not None and session.id != self._chosen:
            self._show_chosen()

    def _show_chosen(self) -> None:
        session = self._session
        self._chosen = session.id if session is not None else ""
        self._show_keys()
        if self._details is None or self._details.session.id != self._chosen:
            self._details = None
            if session is not None:
                reading = self._read_details(session.id)
                self.run_worker(reading, name="reading a session", group="details", exclusive=True, exit_on_error=False)
        self._show_preview()

    async def _read_details(self, session_id: str) -> None:
        try:
            details = await asyncio.to_thread(self._index.get, session_id)
        except IndexUnavailableError:
            return  # the list says why
        if details is not None and session_id == self._chosen:
            self._details = details
            self._show_preview()

    def _show_preview(self) -> None:
        session = self._session
        if session is None:
            self._preview.show_pieces([])
            return
        found, current = self._found.get(session.id), session.id == self._state.session_id
        pieces = words_of.preview_pieces(session, self._details, found, self._today, current=current)
        self._preview.show_pieces(pieces)

    # ---------------------------------------------------------------------------------------------------- filtering

    @on(Input.Changed)
    def _narrow_down(self, event: Input.Changed) -> None:
        event.stop()
        self._words = event.value.strip()
        self._chosen, self._list.cursor = "", 0
        if len(self._words) < SHORTEST_SEARCH:
            self._found = {}
        self._show()
        self._search_soon()

    def _search_soon(self) -> None:
        """Looks into the full text when nothing more is typed; a search that still runs ends."""
        if self._pause is not None:
            self._pause.stop()
        if len(self._words) >= SHORTEST_SEARCH:
            self._pause = self.set_timer(PAUSE_S, self._begin_search)

    def _begin_search(self) -> None:
        searching = self._search(self._words, self._everywhere)
        self.run_worker(searching, name="searching sessions", group="search", exclusive=True, exit_on_error=False)

    async def _search(self, words: str, everywhere: bool) -> None:
        def stale() -> bool:
            return self._left or words != self._words or everywhere != self._everywhere

        search = partial(self._index.search, words, limit=MOST_FOUND, stop=stale)
        try:
            found = await asyncio.to_thread(search, directory=None if everywhere else Path(self._directory))
        except IndexUnavailableError as error:
            if not stale():
                self._problem = str(error)
                self._show_note()
            return
        if not stale():
            self._found = {each.session.id: each for each in found}
            self._show()

    @on(Input.Submitted)
    @on(RowList.Opened)
    def _open(self, event: Input.Submitted | RowList.Opened) -> None:
        event.stop()
        if (session := self._session) is not None:
            self.post_message(messages.ReviewSession(session.id))

    @on(events.DescendantFocus)
    def _offer_keys(self) -> None:
        self._show_keys()

    # --------------------------------------------------------------------------------------------------------- keys

    def action_back(self) -> None:
        """Out of the filter, then the filter away, then out of the screen."""
        if self.focused is self._filter and (self._rows or not self._words):
            self._to_list()
        elif self._words:
            self._filter.value = ""
            self._to_list()
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)

    def action_filter(self) -> None:
        """To the filter."""
        self._filter.focus()

    def action_to_list(self) -> None:
        """From the filter into the list."""
        self._to_list()
        self._list.action_cursor(1)

    def _to_list(self) -> None:
        self.set_focus(self._list if self._rows else None)
        self._show_keys()

    def action_scope(self) -> None:
        """This directory, or all."""
        self._everywhere = not self._everywhere
        self._show()
        self._search_soon()

    def on_key(self, event: events.Key) -> None:
        """Without rows nothing has the focus, and typing goes to the filter only after `/`."""
        if event.key == "enter" and self.focused is None:
            event.stop()

    def action_deed(self, name: str) -> None:
        """Does something with the session under the cursor."""
        session = self._session
        if session is None:
            return
        current = session.id == self._state.session_id
        match name:
            case "resume" if current:
                self.notify("This session runs here already.", markup=False)
            case "delete" if current:
                self.notify("The session that runs here cannot be deleted; /new begins another.", markup=False)
            case "rename" | "tag":
                getattr(self._deeds, name)(session, current=current)
            case _:
                getattr(self._deeds, name)(session)

    def action_undo(self) -> None:
        """Brings back what was deleted."""
        self._deeds.undo_delete()
