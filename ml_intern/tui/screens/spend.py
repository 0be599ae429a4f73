"""The spend screen: what this session and all sessions have cost, by day, session, model and job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets._static import Static

from ml_intern.sessions.index import IndexUnavailableError, SessionIndex
from ml_intern.sessions.spend import SpendBooks, SpendRow
from ml_intern.tui.books import Books
from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.modals.save_as import SaveAs, free_name
from ml_intern.tui.screens import spend_text as words
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.display import LinesPiece
from ml_intern.tui.widgets.heading import heading
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.lines import Line
from ml_intern.tui.widgets.pieces import Piece
from ml_intern.tui.widgets.tabs import PaneTabs
from ml_intern.tui.widgets.text import count, one_line

TABS = ("session", "days", "sessions", "models", "jobs")
TITLES = {"days": "day", "sessions": "session", "models": "model", "jobs": "job or sandbox"}
FIRST_ROWS = 300
LOOK_S = 1.0
KEYS = [
    (f"1-{len(TABS)} {{tab.before}}{{tab.after}}", "tabs"),
    ("{move}", "scroll"),
    ("{spend.export}", "export CSV"),
    ("{item.look}", "read again"),
    ("{back}", "back"),
]


class SpendScreen(Backdrop[None]):
    """Shows money. The present session comes from its events, all sessions from the index of their logs.

    Args:
        state: The present session.
        books: Its books.
        sessions: Where session logs live; None where none are kept.
        clock: Seconds since the epoch.
    """

    AUTO_FOCUS = "#spend-body"
    HELP = (
        "What was spent. Measured, estimated and promised sums are kept apart: promised is the worst case of what "
        "still runs. {tab.before} and {tab.after} or 1 to 5 change the table, {spend.export} exports all of it as CSV, "
        "{item.look} reads the logs again."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "back"),
        bind("spend", "back"),
        bind("tab.before", "step(-1)"),
        bind("tab.after", "step(1)"),
        bind("spend.export", "export"),
        bind("item.look", "read"),
        *(bind_number(number, f"show('{name}')") for number, name in enumerate(TABS, 1)),
    ]

    def __init__(
        self, state: SessionState, books: Books, sessions: Path | None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._state = state
        self._books = books
        self._index = SessionIndex(sessions) if sessions is not None else None
        self._clock = clock
        self._tab = "session"
        self._rows: dict[str, list[SpendRow]] = {}
        self._problem = "" if sessions is not None else "No logs are kept, so only this session is known."
        self._reading = False
        self._left = False
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Tabs, sums, table, keys."""
        with Horizontal(id="spend-head"):
            yield Static(heading("spend"), id="spend-title")
            yield PaneTabs(TABS, id="spend-tabs")
        yield LineView(id="spend-sums")
        yield LineView(id="spend-body")
        yield KeyBar(KEYS, id="spend-keys")
        yield Static(id="spend-note", markup=False)

    def on_mount(self) -> None:
        """This session at once, the others as soon as the index tells."""
        self._tabs = self.query_one(PaneTabs)
        self._sums = self.query_one("#spend-sums", LineView)
        self._sums.can_focus = False
        self._body = self.query_one("#spend-body", LineView)
        self.set_interval(LOOK_S, self._show_session_anew)
        self._show()
        self.action_read()

    def on_unmount(self) -> None:
        """The index need not be brought up to date any further."""
        self._left = True

    # -------------------------------------------------------------------------------------------------- reading

    def action_read(self) -> None:
        """Reads what the index knows, then the logs that changed since."""
        if self._index is not None and not self._reading:
            self._reading = True
            self.run_worker(self._read(self._index), name="reading what was spent", exit_on_error=False)

    async def _read(self, index: SessionIndex) -> None:
        try:
            await self._load(index, FIRST_ROWS)
            await asyncio.to_thread(index.refresh, stop=lambda: self._left)
            await self._load(index, -1)
            self._problem = ""
        except IndexUnavailableError as error:
            self._problem = str(error)
        finally:
            self._reading = False
        self._show()

    async def _load(self, index: SessionIndex, limit: int) -> None:
        books = SpendBooks(index)
        for name, ask in (("days", books.days), ("models", books.models)):
            self._rows[name] = await asyncio.to_thread(ask)
        self._rows["sessions"] = await asyncio.to_thread(books.sessions, limit)
        self._rows["jobs"] = await asyncio.to_thread(books.rented, limit)
        self._show()

    # -------------------------------------------------------------------------------------------------- showing

    def on_resize(self, _event: events.Resize) -> None:
        """The sums are laid out for the present width."""
        if self.is_mounted:
            self.call_after_refresh(self._show)

    def _show_session_anew(self) -> None:
        if self._tab == "session" and self.is_current:
            self._show()

    def _show(self) -> None:
        if self._left or not self.is_mounted:
            return
        self._tabs.active = self._tab
        width = max(20, self._body.view.width or self.size.width - 3)
        if self._tab == "session":
            sums = words.session_lines(self._books, self._state, self._clock(), width)
            entries = [words.entry_of(account) for account in (*self._books.models, *self._books.rented)]
            self._fill(sums, entries, "model, job or sandbox")
        else:
            entries = [_entry(self._tab, row) for row in self._rows.get(self._tab, [])]
            self._fill(self._sums_of(entries, width), entries, TITLES[self._tab])
        note = self._problem or ("reading the logs …" if self._reading else "")
        self.query_one("#spend-note", Static).update(note)
        self.query_one("#spend-note").display = bool(note)

    def _sums_of(self, entries: Sequence[words.Entry], width: int) -> list[Line]:
        if self._tab == "days":
            by_day = {row.key: row.sums.spent_usd for row in self._rows.get("days", [])}
            return words.days_lines(by_day, self._today, width)
        return words.total_lines(entries, TITLES[self._tab].split()[0], width)

    @property
    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock()).astimezone().date()

    def _fill(self, sums: list[Line], entries: list[words.Entry], title: str) -> None:
        if (shown := (self._tab, tuple(sums), tuple(entries), self._reading)) == self._shown:
            return
        same = bool(self._shown) and self._shown[0] == self._tab
        self._shown = shown
        self._sums.styles.height = len(sums)
        self._sums.show_pieces([LinesPiece(lambda _width: sums, height=len(sums))])
        pieces: list[Piece] = [*words.table_pieces(title, entries), words.words_piece(("", words.LEGEND))]
        if not entries:
            waiting = self._reading and self._tab != "session"
            pieces = [words.words_piece(("Reading the logs …",) if waiting else words.NOTHING_YET)]
        place = self._body.scroll_y if same else 0
        self._body.show_pieces(pieces)
        self._body.set_scroll(None, place)

    # --------------------------------------------------------------------------------------------------- acting

    def action_show(self, name: str) -> None:
        """Another table."""
        self._tab = name
        self._show()

    def action_step(self, step: int) -> None:
        """The next table."""
        self.action_show(TABS[(TABS.index(self._tab) + step) % len(TABS)])

    @on(PaneTabs.Chosen)
    def _show_clicked(self, event: PaneTabs.Chosen) -> None:
        event.stop()
        self.action_show(event.name)

    def action_back(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)

    def action_export(self) -> None:
        """Asks where to, then writes a CSV of everything."""
        if self._index is None:
            self.notify(self._problem, severity="warning", markup=False)
            return
        suggestion = free_name(Path.home() / f"ml-intern-spend-{self._today.isoformat()}.csv")
        self.app.push_screen(SaveAs("export what was spent as CSV", suggestion), self._export)

    def _export(self, answer: tuple[Path, bool] | None) -> None:
        if answer is not None and self._index is not None:
            exporting = self._write(self._index, *answer)
            self.run_worker(exporting, name="exporting what was spent", exit_on_error=False)

    async def _write(self, index: SessionIndex, path: Path, overwrite: bool) -> None:
        def write() -> int:
            index.refresh()
            text = SpendBooks(index).csv()
            with path.open("w" if overwrite else "x", encoding="utf-8", newline="") as file:
                file.write(text)
            return text.count("\n") - 1

        try:
            lines = await asyncio.to_thread(write)
        except (OSError, IndexUnavailableError) as error:
            self.notify(f"It could not be saved: {error}", severity="error", markup=False)
        else:
            self.notify(f"{count(lines, 'line')} saved to {path}.", markup=False)


def _entry(tab: str, row: SpendRow) -> words.Entry:
    sums = row.sums
    label = one_line(row.label)
    if row.day and tab in {"sessions", "jobs"}:
        label = f"{row.day}  {label}"
    return words.Entry(label, sums.measured_usd, sums.estimated_usd, sums.promised_usd, sums.unknown, row.note)
