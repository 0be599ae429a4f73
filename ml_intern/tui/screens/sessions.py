"""The sessions screen: all that was ever done here, filtered while one types, with what can be done about a session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._static import Static
from textual.worker import WorkType

from ml_intern.sessions.index import Details, Found, Hit, IndexUnavailableError
from ml_intern.sessions.store import SessionStore
from ml_intern.sessions.summary import Summary
from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.screens import sessions_text as words_of
from ml_intern.tui.screens.sessions_archive import Archive, to_nobody
from ml_intern.tui.screens.sessions_deeds import Deeds
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.lines import Line
from ml_intern.tui.widgets.row_list import RowList

BREATH_S = 0.1
"""Reading waits for the first frame,"""
QUIET_S = 1.0
"""and for a pause of this length in what is typed."""
LOOK_S = 2.0
"""So long after a look at the logs comes the next, or longer where a look takes long."""
LOOK_SHARE = 10
PATIENCE_S = 0.012
"""So long the list waits for the full text before it shows what fits without it."""
WATCHING = "listing sessions"
SHORTEST_SEARCH = 2
MOST_FOUND = 200
FEW = 20
"""So few logs are read before anybody could read that they are."""
SHORT_BELOW = 80
"""Columns below which there is no room for whole words beside the filter."""
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
        archive: What is known of them.
        state: The session that runs here.
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
        bind("find", "filter", above=True),  # before the next letter finds its way to the list
        bind("sessions.scope", "scope"),
        bind("sessions.scope_typing", "scope"),
        bind("sessions.to_list", "to_list"),
        *(bind(f"sessions.{deed}", f"deed('{deed}')") for deed in DEEDS),
        bind("sessions.undo", "undo"),
    ]

    def __init__(
        self,
        store: SessionStore,
        archive: Archive,
        state: SessionState,
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._archive = archive
        self._state = state
        self._clock = clock
        self._deeds = Deeds(self, store, grace_s, self._on_deed)
        self._rows: list[Summary] = []
        self._today = date.min
        self._chosen = ""
        self._everywhere = False
        self._settled = False
        self._words = ""
        self._found: dict[str, Hit] = {}
        self._asked = 0
        self._typed_at = 0.0
        self._details: Details | None = None
        self._hit: Hit | None = None
        self._quote: Found | None = None
        self._wake = asyncio.Event()
        self._said: dict[str, str] = {}
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
        """Shows what is known already."""
        self._list = self.query_one(RowList)
        self._panes = self.query_one("#sessions-panes")
        self._filter = self.query_one(Input)
        self._preview = self.query_one("#sessions-preview", LineView)
        self._preview.can_focus = False
        self._built = True
        self._archive.news = self._take_news
        self._show()

    def on_screen_resume(self) -> None:
        """Somebody looks."""
        self._soon(self._watch, name=WATCHING)

    def on_screen_suspend(self) -> None:
        """Nobody looks any more."""
        self.workers.cancel_group(self, WATCHING)

    def on_unmount(self) -> None:
        """What is still being searched for is not wanted any more, and what changes neither."""
        self._left = True
        if self._archive.news == self._take_news:
            self._archive.news = to_nobody

    # ------------------------------------------------------------------------------------------------------ reading

    async def _watch(self) -> None:
        """Follows the logs as long as somebody looks."""
        while not self._left:
            await asyncio.sleep(max(BREATH_S, self._typed_at + QUIET_S - time.monotonic()))
            started = time.monotonic()
            if started < self._typed_at + QUIET_S:
                continue
            self._wake.clear()
            await self._archive.look()
            self._settled = True
            try:
                await asyncio.wait_for(self._wake.wait(), max(LOOK_S, LOOK_SHARE * (time.monotonic() - started)))
            except TimeoutError:
                continue

    def _take_news(self, changed: frozenset[str]) -> None:
        if self._chosen in changed:
            self._details = None
        if changed and self._words:
            self._fit()
        else:
            self._show()

    def _on_deed(self, session_id: str) -> None:
        """Something was done with a session: the list follows at once."""
        self._chosen = session_id or self._chosen
        self._archive.expect()
        self._wake.set()

    # ------------------------------------------------------------------------------------------------------ showing

    @property
    def _directory(self) -> str:
        return self._state.workdir

    @property
    def _session(self) -> Summary | None:
        return self._rows[self._list.cursor] if self._list.cursor < len(self._rows) else None

    def on_resize(self, _event: events.Resize) -> None:
        """What fits depends on the width."""
        if self._built:
            self.call_after_refresh(self._show_width)

    def _show_width(self) -> None:
        self._show_keys()
        self._show_scope()

    def _show(self) -> None:
        """The list as it is now; the cursor stays on its session, at first on the newest, or where it was."""
        if self._left or not self._built:
            return
        shelf, place = self._archive.shelf, self._list.cursor
        self._rows = shelf.select(None if self._everywhere else self._directory, self._words, self._found)
        if self._chosen and (place or self._settled):
            place = next((at for at, each in enumerate(self._rows) if each.id == self._chosen), place)
        self._today = datetime.fromtimestamp(self._clock()).astimezone().date()
        self._list.show_rows(len(self._rows), self._draw, place)
        self._panes.display = bool(self._rows)
        self._show_nothing()
        self._show_scope()
        self._show_note()
        self._show_chosen()

    def _draw(self, number: int, width: int) -> Line:
        session = self._rows[number]
        current = session.id == self._state.session_id
        return words_of.session_line(session, width, self._today, everywhere=self._everywhere, current=current)

    def _say(self, selector: str, text: str | Content, *, layout: bool = True) -> Static:
        """Says something in one of the lines, unless it says so already: that would lay out the whole screen again."""
        part = self.query_one(selector, Static)
        said = text if isinstance(text, str) else text.markup
        if self._said.get(selector) != said:
            self._said[selector] = said
            part.update(text, layout=layout)
        return part

    def _show_nothing(self) -> None:
        texts: tuple[str, ...] = ()
        if not self._rows:
            shelf, reading = self._archive.shelf, self._archive.reading
            here, total = shelf.count(self._directory), len(shelf)
            what, *more = words_of.nothing(
                self._words,
                everywhere=self._everywhere,
                here=here,
                total=total,
                left=self._archive.left,
                reading=reading,
            )
            texts = (what, *map(keymap_of(self).tell, more))  # the first one may hold what was typed
        self._say("#sessions-none", "\n\n".join(texts)).display = not self._rows

    def _show_scope(self) -> None:
        shelf = self._archive.shelf
        fit = len(self._rows) if self._words else None
        counts = shelf.count(self._directory), len(shelf)
        short = self.size.width < SHORT_BELOW
        told = partial(words_of.scope, *counts, everywhere=self._everywhere, short=short)
        # There is room for every count from the beginning, so that none of them lays out the whole screen.
        scope = self._say("#sessions-scope", told(fit), layout=False)
        scope.styles.width = told(counts[self._everywhere]).cell_length

    def _show_note(self) -> None:
        archive = self._archive
        text = archive.problem or (words_of.progress(archive.left) if archive.left > FEW and self._rows else "")
        self._say("#sessions-note", text).display = bool(text)

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
        known = self._details is not None and self._details.session.id == self._chosen
        if session is not None and not (known and self._found.get(session.id) == self._hit):
            self._details = self._details if known else None
            self._hit, self._quote = self._found.get(session.id), None
            self._soon(self._read_details, session.id, self._hit, name="reading a session")
        self._show_preview()

    def _soon(self, work: Callable[..., Awaitable[None]], *arguments: object, name: str) -> None:
        """Does something in the background, instead of what of its name has not been done yet."""

        async def do() -> None:
            await work(*arguments)

        begin: WorkType[None] = do  # a coroutine that is replaced before it begins would complain
        self.run_worker(begin, name=name, group=name, exclusive=True, exit_on_error=False)

    async def _read_details(self, session_id: str, hit: Hit | None) -> None:
        try:
            details, quote = await self._archive.details(session_id, hit)
        except IndexUnavailableError:
            return  # the list says why
        if session_id == self._chosen:
            self._details, self._quote = details, quote
            self._show_preview()

    def _show_preview(self) -> None:
        session = self._session
        if session is None:
            self._preview.show_pieces([])
            return
        current = session.id == self._state.session_id
        pieces = words_of.preview_pieces(session, self._details, self._quote, self._today, current=current)
        self._preview.show_pieces(pieces)

    # ---------------------------------------------------------------------------------------------------- filtering

    @on(Input.Changed)
    def _narrow_down(self, event: Input.Changed) -> None:
        event.stop()
        self._words, self._typed_at = event.value.strip(), time.monotonic()
        self._chosen, self._list.cursor = "", 0
        self._fit()

    def _fit(self) -> None:
        """Finds out anew which sessions fit; what was asked before is not wanted any more."""
        self._asked += 1
        if len(self._words) < SHORTEST_SEARCH:
            self._found = {}
            self._show()
        else:
            self._soon(self._fit_and_search, self._asked, name="searching sessions")

    async def _fit_and_search(self, asked: int) -> None:
        """Shows what fits, with what the full text finds if that comes at once, else before that and with it."""
        where = None if self._everywhere else self._directory
        search = self._archive.hits(self._words, where, MOST_FOUND, lambda: self._left or asked != self._asked)
        searching = asyncio.ensure_future(search)
        if not (await asyncio.wait({searching}, timeout=PATIENCE_S))[0]:
            self._found = {}
            self.expect_change(self._list)
            self._show()
        try:
            found = await searching
        except IndexUnavailableError as error:
            self._archive.problem = str(error)
            found = {}
        if found is not None:
            self._found = found
            self.expect_change(self._list)
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
        self.set_focus(self._filter)

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
        self._fit()

    def on_key(self, event: events.Key) -> None:
        """Without rows nothing has the focus, and typing goes to the filter only after `/`."""
        if event.key == "enter" and self.focused is None:
            event.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the filter a slash is text."""
        del parameters
        return action != "filter" or self.focused is not self._filter

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
