"""The Jobs screen: what runs and has run, with curves, logs and what can be done about a job."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets._input import Input

from ml_intern.core.jobs import JobInfo
from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.motion import tick_s
from ml_intern.tui.screens import jobs_text as words
from ml_intern.tui.screens.jobs_board import MARKS_AT_MOST, JobsBoard
from ml_intern.tui.screens.jobs_compare import CompareScreen
from ml_intern.tui.screens.jobs_deeds import JobDeeds
from ml_intern.tui.screens.jobs_feed import JobFeed
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.charts import Charts
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.job_list import JobList
from ml_intern.tui.widgets.job_log import JobLog
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.lines import Line
from ml_intern.tui.widgets.painted import Painted, PartsLine
from ml_intern.tui.widgets.text import count

SETTLE_S = 0.15
"""A job is read once the cursor has rested on it for this long."""
PAINT_S = 0.1
LIST_SHARE = 0.35

SCOPE_KEY = ("{jobs.scope}", "session or account")
LIST_KEYS = [("{list.open}", "log"), SCOPE_KEY, ("{jobs.mark}", "mark"), ("{jobs.compare}", "compare")]
CHART_KEYS = [("{chart.before} {chart.after}", "curves"), ("{chart.log}", "log scale")]


class JobsScreen(Backdrop[str | None]):
    """Shows jobs, polled only while somebody looks. Answers with a prompt to send, or None.

    Args:
        board: What is known of jobs.
        chosen: Id of the job to begin with.
    """

    AUTO_FOCUS = "#jobs-list"
    HELP = (
        "Jobs of this session or of the account. {move} choose one, {list.open} goes to its log, {back} back. "
        "{jobs.mark} marks two to five jobs, {jobs.compare} compares them. {jobs.cancel} cancels, {jobs.browse} opens "
        "the browser, {jobs.rerun} runs it again with edits, {jobs.copy_id} copies the id and {jobs.copy_address} the "
        "address, {jobs.export} saves the log, {jobs.load} shows the load, {find} searches the log, {chart.before} and "
        "{chart.after} change the curve, {chart.log} its scale."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "leave"),
        bind("jobs.scope", "scope"),
        bind("jobs.mark", "mark"),
        bind("jobs.compare", "compare"),
        bind("jobs.cancel", "cancel_job"),
        bind("jobs.browse", "browse"),
        bind("jobs.rerun", "rerun"),
        bind("jobs.copy_id", "copy('id')"),
        bind("jobs.copy_address", "copy('address')"),
        bind("jobs.export", "export"),
        bind("jobs.load", "load"),
        bind("find", "search"),
        bind("find.next", "next(1)"),
        bind("find.before", "next(-1)"),
        bind("chart.after", "chart(1)"),
        bind("chart.before", "chart(-1)"),
        bind("chart.log", "log_scale"),
    ]

    def __init__(self, board: JobsBoard, chosen: str = "") -> None:
        super().__init__()
        self._board = board
        self._deeds = JobDeeds(self, board, self._show)
        self._wanted = chosen
        self._feed: JobFeed | None = None
        self._detailed = False
        self._settling: Timer | None = None
        self._painting: Timer | None = None
        self._searching = 0
        self._comparing = False
        board.changed = self._grew
        if chosen and chosen not in {info.ref.id for info in board.of_session()}:
            board.scope = "account"

    def compose(self) -> ComposeResult:
        """Head, list, the chosen job, keys."""
        yield PartsLine(id="jobs-head")
        yield Painted(id="jobs-note", fits=True)
        yield JobList(id="jobs-list")
        with Vertical(id="jobs-detail"):
            yield Painted(id="jobs-card", fits=True)
            with Horizontal(id="jobs-panes"):
                yield Charts(id="jobs-charts")
                with Vertical(id="jobs-log-box") as box:
                    box.border_title = "log"
                    yield JobLog(id="jobs-log")
        yield Input(id="jobs-search", placeholder="search the log", compact=True)
        yield KeyBar(id="jobs-keys")

    def on_mount(self) -> None:
        """Shows what the session knows, then asks the backend."""
        self._list = self.query_one(JobList)
        self._log = self.query_one(JobLog)
        self._charts = self.query_one(Charts)
        self._search = self.query_one(Input)
        self._search.display = False
        self._show()
        self.set_interval(tick_s(self), self._tick)

    def on_screen_resume(self) -> None:
        """Somebody looks: polls and reads on."""
        self.run_worker(self._poll(), name="listing jobs", group="jobs", exclusive=True, exit_on_error=False)
        self._read_soon()

    def on_screen_suspend(self) -> None:
        """Nobody looks any more, unless the jobs are compared now."""
        self.workers.cancel_group(self, "jobs")
        if not self._comparing:
            self._board.rest()

    def on_unmount(self) -> None:
        """The logs on disk go."""
        self._board.close()

    # ------------------------------------------------------------------------------------------------------ looking

    async def _poll(self) -> None:
        board = self._board
        while True:
            first = not board.loaded
            await board.refresh()
            if first and board.scope == "session" and not board.of_session() and board.infos:
                board.scope = "account"
            self._show()
            await asyncio.sleep(board.poll_s)

    def _tick(self) -> None:
        if self.is_current and any(info.active for info in self._board.shown()):
            self._show()

    def _show(self) -> None:
        if not self.is_attached:
            return
        board, now = self._board, self._board.clock()
        paid = words.money_now(board.shown(), board.flavor_of, now)
        left, right = words.head_parts(board.scope, board.counts(), paid)
        self.query_one("#jobs-head", PartsLine).parts = (tuple(left), tuple(right))
        rows = board.rows()
        if self._wanted and any(row.key == self._wanted for row in rows):
            self._list.choose(self._wanted)
            self._wanted = ""
        self._list.show_rows(rows)
        height = min(max(1, len(rows)), max(3, round(self.size.height * LIST_SHARE)))
        self._list.styles.height = "1fr" if self.has_class("-narrow") else height
        self.set_class(not rows, "-empty")
        self._show_note(bool(rows))
        self._show_job()
        self._show_keys()

    def _show_note(self, has_rows: bool) -> None:
        board = self._board
        note = self.query_one("#jobs-note", Painted)
        if board.problem:
            texts: tuple[str, ...] = (f"Jobs cannot be listed now: {board.problem}",)
        elif has_rows:
            texts = ()
        elif board.backend is None:
            texts = words.NO_BACKEND
        elif not board.loaded:
            texts = ("Looking for jobs …",)
        else:
            nothing = words.NO_SESSION_JOBS if board.scope == "session" else words.NO_JOBS
            texts = tuple(map(keymap_of(self).tell, nothing))
        note.display = bool(texts)
        note.paint(lambda width, _height: words.empty_lines(texts, width))

    def _show_job(self) -> None:
        feed = self._feed
        self.query_one("#jobs-card", Painted).paint(self._card)
        self._charts.show(feed.metrics.charts() if feed is not None else {})
        box = self.query_one("#jobs-log-box", Vertical)
        number, found = self._log.found
        finds = f" · {self._log.needle!r} {number} of {found:,}" if self._log.needle else ""
        lines = count(len(feed.store), "line") if feed is not None and len(feed.store) else "nothing yet"
        if feed is not None and feed.complete and not len(feed.store):
            lines = "empty"
        keys = "" if self._log.following or not len(self._log) else keymap_of(self).fill("{jobs.follow} follows")
        entitle(box, f"log · {lines}{finds}", keys)

    def _card(self, width: int, _height: int) -> list[Line]:
        info = self._info
        if info is None:
            return []
        flavor, now = self._board.flavor_of(info), self._board.clock()
        return words.card_lines(info, flavor, now, width, feed=self._feed, detailed=self._detailed)

    def _show_keys(self) -> None:
        in_list, narrow = self.focused is self._list, self.has_class("-narrow")
        keys = [*LIST_KEYS] if in_list else []
        keys += words.job_keys(self._info, narrow=narrow, in_list=in_list)
        keys += words.log_keys(narrow=narrow, searching=bool(self._log.needle), following=self._log.following)
        keys += CHART_KEYS if self._charts.names and not (narrow and in_list) else []
        if self.has_class("-empty"):
            keys = [SCOPE_KEY]
        self.query_one("#jobs-keys", KeyBar).show([*keys, ("{back}", "back")])

    @property
    def _info(self) -> JobInfo | None:
        if self._feed is not None and self._feed.ref.id == self._list.cursor:
            return self._feed.info
        return self._board.job(self._list.cursor) if self._list.cursor else None

    # ---------------------------------------------------------------------------------------------- the chosen job

    @on(JobList.Moved)
    def _move(self, event: JobList.Moved) -> None:
        event.stop()
        if self._feed is not None and self._feed.ref.id == event.key:
            return
        self._feed = None
        self._log.show_store(None)
        self._show_job()
        self._show_keys()
        self._read_soon()

    def _read_soon(self) -> None:
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLE_S, self._read)

    def _read(self) -> None:
        """Begins to read the job under the cursor."""
        key = self._list.cursor
        # A screen counts as current also right below another one, and a comparison reads by itself.
        if self._comparing or not self.is_current or not key:
            return
        feed = self._board.feed(key)
        self._board.rest(but=(key,))
        if feed is None:
            return
        feed.start()
        if feed is not self._feed:
            self._feed = feed
            self._log.show_store(feed.store)
        self._log.grow()  # it may have been read for a comparison meanwhile
        self._show_job()
        self._show_keys()

    def _grew(self) -> None:
        """A log or a curve has grown; what it says is shown a little later, together with what comes until then."""
        if self._feed is not None and self._log.store is self._feed.store:
            self._log.grow()
        if self._painting is None and self.is_current:
            self._painting = self.set_timer(PAINT_S, self._paint)

    def _paint(self) -> None:
        self._painting = None
        self._show_job()
        self._show_keys()

    @on(JobList.Opened)
    def _open(self, event: JobList.Opened) -> None:
        event.stop()
        self.add_class("-detail")
        self._log.focus()

    @on(events.DescendantFocus)
    def _offer_keys(self) -> None:
        self._show_keys()

    # -------------------------------------------------------------------------------------------------------- keys

    def action_back(self) -> None:
        """Out of the search, then out of the log, then out of the screen."""
        if self._search.display:
            self._search.display = False
            self._log.end_search()
            self._log.focus()
        elif self._log.needle:
            self._log.end_search()
            self._show_job()
        elif self.focused is not self._list and not self.has_class("-empty"):
            self.remove_class("-detail")
            self.call_after_refresh(self._list.focus)
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)

    def action_scope(self) -> None:
        """The session's jobs, or all."""
        self._board.scope = "account" if self._board.scope == "session" else "session"
        self._show()

    def action_mark(self) -> None:
        """Marks the job for a comparison."""
        if self._list.cursor and not self._board.mark(self._list.cursor):
            self.notify(f"At most {MARKS_AT_MOST} jobs can be compared at once.", severity="warning", markup=False)
        self._show()

    def action_compare(self) -> None:
        """Compares the marked jobs, or the marked ones and the chosen one."""
        keys = list(self._board.marks)
        if len(keys) == 1 and self._list.cursor and self._list.cursor not in keys:
            keys.append(self._list.cursor)
        if len(keys) < 2:
            self.notify(
                keymap_of(self).tell("Mark two to five jobs with {jobs.mark} first."), severity="warning", markup=False
            )
        else:
            self._comparing = True
            self.app.push_screen(CompareScreen(self._board, keys), self._end_comparison)

    def _end_comparison(self, _nothing: None) -> None:
        self._comparing = False

    def action_load(self) -> None:
        """More about the load and the labels, or less."""
        self._detailed = not self._detailed
        self._show_job()

    def action_chart(self, step: int) -> None:
        """Another curve."""
        self._charts.step(step)

    def action_log_scale(self) -> None:
        """A logarithmic axis, or a plain one."""
        self._charts.toggle_log()

    # ------------------------------------------------------------------------------------------------------ search

    def action_search(self) -> None:
        """Opens the search field."""
        if self._feed is not None:
            self.add_class("-detail")
            self._search.display = True
            self._search.value = self._log.needle
            self._search.focus()

    @on(Input.Submitted)
    def _find(self, event: Input.Submitted) -> None:
        event.stop()
        self._search.display = False
        self._log.focus()
        self._log.end_search()
        if event.value and self._feed is not None:
            self.run_worker(self._search_log(self._feed, event.value), name="searching the log", exit_on_error=False)

    async def _search_log(self, feed: JobFeed, text: str) -> None:
        self._searching += 1
        mine = self._searching
        numbers = await asyncio.to_thread(feed.store.search, text, lambda: mine != self._searching)
        if mine == self._searching and feed is self._feed:
            self._log.show_finds(text, numbers)
            if not numbers:
                self.notify(f"{text!r} is not in the log.", markup=False)
            self._show_job()

    def action_next(self, step: int) -> None:
        """Goes to another line that was found."""
        self._log.next_find(step)
        self._show_job()

    # ----------------------------------------------------------------------------------------- doing something to it

    def action_cancel_job(self) -> None:
        """Asks, then cancels."""
        if (info := self._info) is not None:
            self._deeds.cancel(info)

    def action_browse(self) -> None:
        """Opens the job's page."""
        if (info := self._info) is not None:
            self._deeds.browse(info)

    def action_copy(self, what: str) -> None:
        """Copies the id, or the address."""
        if (info := self._info) is not None:
            self._deeds.copy(info.ref.id if what == "id" else info.url or info.log_path)

    def action_rerun(self) -> None:
        """Lets the person edit the script and puts the request into the prompt."""
        if (info := self._info) is not None:
            self._deeds.rerun(info, self._take_request)

    def _take_request(self, prompt: str | None) -> None:
        if prompt is not None:
            self.dismiss(prompt)

    def action_export(self) -> None:
        """Asks where to, then writes the log."""
        self._deeds.export(self._feed)
