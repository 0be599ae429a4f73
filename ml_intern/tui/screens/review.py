"""The Review screen: a session stepped through in time, in the panes it was seen in, read only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets._static import Static

from ml_intern.sessions.replay import IDLE_S, Recording
from ml_intern.sessions.replay_lines import Mark
from ml_intern.sessions.store import SessionStore
from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import Keymap, bind, bind_number, keymap_of
from ml_intern.tui.modals.pick import Pick
from ml_intern.tui.screens import review_text as words
from ml_intern.tui.screens.paned import PanedScreen
from ml_intern.tui.screens.review_deeds import ReviewDeeds
from ml_intern.tui.screens.review_filter import filter_choices, filtered
from ml_intern.tui.screens.review_player import Player
from ml_intern.tui.screens.review_reading import ReviewReading
from ml_intern.tui.screens.review_reel import Reel
from ml_intern.tui.screens.review_search import ReviewSearch
from ml_intern.tui.widgets.painted import PartsLine
from ml_intern.tui.widgets.search_bar import SearchBar
from ml_intern.tui.widgets.tabs import PaneTabs
from ml_intern.tui.widgets.timeline import Timeline

TABS = {"chat": "#transcript", "tools": "#tool-list", "plan": "#plan"}
LEGEND_FROM = 120
"""Columns from which on there is room to explain the signs."""
MARKS = {"error": Mark.ERROR, "approval": Mark.APPROVAL, "paid": Mark.PAID, "job": Mark.JOB}


class ReviewScreen(PanedScreen):
    """Shows a session at any of its events. The log is only read.

    Args:
        recording: The session.
        store: Makes copies of it.
        seq: Number of the event to begin at; None begins at the end.
        current: Id of the session that runs in this app.
    """

    PANES = TABS
    AUTO_FOCUS = "#transcript"
    HELP = (
        "A session as it was. {review.before} {review.after} go from event to event, {review.turn_before} and "
        "{review.turn_after} from prompt to prompt, {review.error}, {review.approval}, {review.paid} and {review.job} "
        "to the next error, approval, payment and job, with shift to the one before; {review.first} and {review.last} "
        "to the ends. {review.play} plays, {review.faster} and {review.slower} change the speed; pauses of more than "
        f"{IDLE_S:.0f} s are shortened. "
        "{find} searches prompts, answers, commands and outputs, {find.next} and {find.before} go on. {review.filter} "
        "limits the arrows to errors, payments, one tool … {review.fork} goes on from here in a copy, {review.resume} "
        "resumes the session. {move} scroll, {fields} changes the pane, {calls.open} shows a tool call in full."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back", above=True),
        bind("leave", "leave", above=True),
        bind("review.after", "step(1)"),
        bind("review.before", "step(-1)"),
        bind("review.turn_after", "turn(1)"),
        bind("review.turn_before", "turn(-1)"),
        bind("review.first", "edge(-1)"),
        bind("review.last", "edge(1)"),
        bind("review.play", "play"),
        bind("review.faster", "speed(1)"),
        bind("review.slower", "speed(-1)"),
        *(bind(f"review.{mark}", f"mark('{mark}', 1)") for mark in MARKS),
        *(bind(f"review.{mark}_before", f"mark('{mark}', -1)") for mark in MARKS),
        bind("find", "search", above=True),
        bind("find.next", "found(1)", above=True),
        bind("find.before", "found(-1)", above=True),
        bind("review.filter", "filter"),
        bind("review.fork", "fork"),
        bind("review.resume", "resume"),
        bind("call", "open_call"),
        *(bind(f"pane.{name}", f"show_tab('{name}')") for name in TABS),
        *(bind_number(number, f"show_tab('{name}')") for number, name in enumerate(TABS, 1)),
    ]

    def __init__(self, recording: Recording, store: SessionStore, *, seq: int | None = None, current: str = "") -> None:
        super().__init__()
        self.recording = recording
        self._store = store
        self._current = current
        self._reel = Reel(recording)
        self._built = False
        self._fault: OSError | None = None
        self._player = Player(self, recording, self._go)
        self._begin_at = len(recording) - 1 if seq is None else recording.step_of_seq(seq)
        self._reading = ReviewReading(
            self, recording, self._reel, self._go, self._show_lines, self._show_marks, self._lose
        )
        self._search = ReviewSearch(
            self,
            recording,
            self._reel,
            lambda: self.query_one(TABS[self._tabs.active]).focus(),
            self._go_around,
            self._show_lines,
            self._lose,
        )
        self._only: words.Chosen | None = None
        self._deeds = ReviewDeeds(self, recording, store, self._lose)

    def compose(self) -> ComposeResult:
        """The panes of the live session between a status line and the timeline."""
        try:
            self._reading.glance(self._begin_at)
        except OSError as error:
            self._fault = error
        yield PartsLine(id="review-status")
        yield Static(id="review-note", markup=False)
        yield PaneTabs(tuple(TABS), id="tabs")
        with Horizontal(id="panes"):
            yield self._reel.chat
            with Vertical(id="side"):
                yield self._reel.plan
                yield self._reel.tools
        yield self._search.bar
        yield Timeline(id="review-timeline")
        yield PartsLine(id="review-moment")
        yield PartsLine(id="review-keys")

    @property
    def workspace(self) -> Path:
        """Where the session worked."""
        return Path(self._reel.state.workdir or ".")

    @property
    def ready(self) -> bool:
        """All events have been read, so that every moment is near."""
        return self._reading.ready

    def on_mount(self) -> None:
        """Shows the moment at which the review begins; what led there is read afterwards."""
        self._timeline = self.query_one(Timeline)
        self._tabs = self.query_one(PaneTabs)
        if self._fault is not None:
            self.call_after_refresh(self._lose, self._fault)
            return
        self._built = True
        self._show_marks()
        self.action_show_tab("chat")
        self._reel.tell_time()
        self._show_step()
        if not self.ready:
            self.call_after_refresh(self._reading.begin, self._begin_at)

    def on_resize(self) -> None:
        """There is more or less room for words."""
        if self._built:
            self._show_lines()

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.on_resize()

    def on_unmount(self) -> None:
        """A search that runs ends."""
        self._player.stop()
        self._search.stop()

    def _lose(self, error: OSError) -> None:
        self.notify(f"The log cannot be read any more: {error.strerror or error}.", severity="error", markup=False)
        self.dismiss(None)

    # ------------------------------------------------------------------------------------------------------ showing

    def _go(self, step: int) -> None:
        """Shows everything as it was at a step."""
        try:
            self._reel.go(min(max(0, step), len(self.recording) - 1))
        except OSError as error:
            self._lose(error)
            return
        self._show_step()

    def _show_step(self) -> None:
        self._timeline.playhead = self._reel.step
        if not self._player.playing:  # while it plays, a reader who has scrolled up is left alone
            self._reel.chat.follow()
        self._show_lines()

    def _show_lines(self) -> None:
        recording, step = self.recording, self._reel.step
        live = recording.path.stem == self._current
        self.query_one("#review-status", PartsLine).parts = words.status(recording, self._reel.state, live=live)
        note = self.query_one("#review-note", Static)
        if note.content != recording.damage.text:  # the same text again would have everything laid out anew
            note.update(recording.damage.text)
        note.display = bool(recording.damage.text)
        self._tabs.note("tools", self._reel.tools.summary)
        self._tabs.note("plan", self._reel.plan.summary)
        self._search.show_place()
        self.query_one("#review-moment", PartsLine).parts = (
            words.moment(recording, step, self._search.found),
            (
                *(() if self.ready else words.reading(self._reading.share)),
                *(words.pause(recording, step) if self._player.playing else ()),
                *words.chosen(self._only),
                *(words.legend(self._timeline) if self.size.width >= LEGEND_FROM else ()),
            ),
        )
        self._show_keys()

    def _show_keys(self) -> None:
        player = self._player
        parts = words.keys(keymap_of(self), playing=player.playing, speed=player.speed)
        self.query_one("#review-keys", PartsLine).parts = (parts, ())

    def _show_marks(self) -> None:
        kept = set(self._only.steps) if self._only is not None else None
        marks = [
            (step, mark.value)
            for mark, steps in self.recording.marks.items()
            for step in steps
            if kept is None or step in kept
        ]
        if kept is not None:
            marks += [(step, "other") for step in kept - {step for step, _ in marks}]
        self._timeline.show(self.recording.axis, marks, words.times(self.recording))

    # --------------------------------------------------------------------------------------------------- moving about

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While events are read there is nowhere to go; while a search is typed, keys are text."""
        del parameters
        if not self.ready:
            return action in {"back", "leave"}
        return not self._search.typing

    @on(Timeline.Sought)
    def _seek(self, event: Timeline.Sought) -> None:
        event.stop()
        self._player.stop()
        self._go(event.step)

    def action_step(self, direction: int) -> None:
        """The next or previous event, of those that the filter leaves."""
        self._player.stop()
        step = self._reel.step + direction
        if self._only is not None:
            near = self.recording.next_of(self._only.steps, self._reel.step, direction)
            if near is None:
                self.notify(f"Nothing more of {self._only.name} this way. f changes the filter.", markup=False)
            step = self._reel.step if near is None else near
        if step >= len(self.recording):
            self._reading.grow()
        self._go(step)

    def action_turn(self, direction: int) -> None:
        """The next or previous prompt; beyond the last one the end."""
        self._player.stop()
        prompts = self.recording.turns
        step = self.recording.next_of(prompts, self._reel.step, direction)
        self._go((len(self.recording) - 1 if direction > 0 else 0) if step is None else step)

    def action_edge(self, side: int) -> None:
        """The beginning or the end; a session that runs has another end by now."""
        self._player.stop()
        if side > 0:
            self._reading.grow()
        self._go(0 if side < 0 else len(self.recording) - 1)

    def action_mark(self, name: str, direction: int) -> None:
        """The next or previous error, approval, payment or job."""
        self._player.stop()
        mark = MARKS[name]
        steps = self.recording.marks[mark]
        if steps:
            self._go_around(steps, direction)
        else:
            more = f": {words.paid_in_all(self.recording)}" if mark is Mark.PAID else ""
            self.notify(f"{words.NONE_OF[mark]} in this session{more}.", markup=False)

    def _go_around(self, steps: Sequence[int], direction: int) -> None:
        """The next or previous of some steps; beyond the last one the first."""
        self._player.stop()
        step = self.recording.next_of(steps, self._reel.step, direction)
        self._go((steps[0] if direction > 0 else steps[-1]) if step is None else step)

    def action_play(self) -> None:
        """Plays, from the beginning when it is at the end; pauses."""
        if self._player.playing:
            self._player.stop()
        else:
            if self._reel.step == len(self.recording) - 1:
                self._go(0)
            self._player.play(self._reel.step)
        self._show_lines()

    def action_speed(self, direction: int) -> None:
        """Faster or slower."""
        self._player.change_speed(direction)
        self._show_keys()

    def action_show_tab(self, name: str) -> None:
        """Shows one pane where there is room for one only."""
        for tab in TABS:
            self.set_class(tab == name, f"show-{tab}")
        self._tabs.active = name
        self.query_one(TABS[name]).focus()

    # ------------------------------------------------------------------------------------------------ search, filter

    def action_search(self) -> None:
        """Opens the search line."""
        self._player.stop()
        self._search.open()

    @on(SearchBar.Changed)
    def _find(self, event: SearchBar.Changed) -> None:
        event.stop()
        self._search.look_for(event.text.strip())

    @on(SearchBar.Left)
    def _leave_search(self, event: SearchBar.Left) -> None:
        event.stop()
        self._search.end()

    def action_found(self, direction: int) -> None:
        """The next or previous find, around the ends."""
        self._search.step(direction)

    def action_filter(self) -> None:
        """Lets the person choose what the arrows stop at."""
        self._player.stop()
        choices = filter_choices(self.recording, everything=self._only is None)
        self.app.push_screen(Pick("stop at", choices), self._use_filter)

    def _use_filter(self, chosen: str | None) -> None:
        if chosen is None:
            return
        self._only = filtered(self.recording, chosen) if chosen else None
        self._show_marks()
        self._show_lines()

    # ------------------------------------------------------------------------------------------- what is done with it

    @on(messages.OpenCall)
    def _open(self, message: messages.OpenCall) -> None:
        message.stop()
        self._player.stop()
        self._deeds.open_call(message.tool_call_id, self._reel.step, self._reel.tools)

    def action_open_call(self) -> None:
        """The chosen or newest tool call in full."""
        if call_id := self._reel.tools.chosen:
            self.post_message(messages.OpenCall(call_id))

    def action_fork(self) -> None:
        """Goes on from here in a copy."""
        self._player.stop()
        self._deeds.fork(self._reel.step)

    def action_resume(self) -> None:
        """Goes on with the session; from an earlier event in a copy."""
        self._player.stop()
        self._deeds.resume(self._reel.step)

    # ------------------------------------------------------------------------------------------------------- leaving

    def action_back(self) -> None:
        """Out of the search, the filter, the screen."""
        if self._player.playing:
            self.action_play()
        elif self._search.is_open:
            self._search.end()
        elif self._only is not None:
            self._use_filter("")
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Back to where it was opened from."""
        self.dismiss(None)

    @on(events.DescendantFocus)
    def _follow_focus(self) -> None:
        if pane := self.pane_in_focus:
            self._tabs.active = pane
