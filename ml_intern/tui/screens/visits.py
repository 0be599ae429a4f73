"""The screens that open over the main one: what they show is kept here, up to date, whether they are open or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from ml_intern.core.trail import Trail
from ml_intern.tui import messages
from ml_intern.tui.books import Books
from ml_intern.tui.screens.configuring import open_allowed, open_configuration
from ml_intern.tui.screens.extensions import open_extensions
from ml_intern.tui.screens.showing import Calls, open_dataset, open_entry

if TYPE_CHECKING:
    from ml_intern.core import protocol
    from ml_intern.tui.panes.tool_calls import ToolCallsPane
    from ml_intern.tui.panes.trail import TrailPane
    from ml_intern.tui.screens.artifacts import ArtifactsScreen
    from ml_intern.tui.screens.choosing import Chooser
    from ml_intern.tui.screens.jobs_watch import JobsWatch
    from ml_intern.tui.screens.tidying import Tidying
    from ml_intern.tui.screens.trail import TrailScreen
    from ml_intern.tui.setup import Setup
    from ml_intern.tui.state import SessionState


class Visits:
    """Opens the screens. They are imported when they are asked for.

    Args:
        screen: The main screen.
        jobs: Opens the Jobs screen.
        chooser: Opens pickers.
        tidying: Asks about what was left running.
        calls: Knows the tool calls.
        trail: Shows what was looked into.
        insert: Puts a text into the prompt.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        screen: Screen[Any],
        jobs: JobsWatch,
        chooser: Chooser,
        tidying: Tidying,
        calls: ToolCallsPane,
        trail: TrailPane,
        insert: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        self._screen = screen
        self._jobs = jobs
        self._chooser = chooser
        self._tidying = tidying
        self._calls = calls
        self._trail_pane = trail
        self._insert = insert
        self._clock = clock
        self.begin_afresh()

    def begin_afresh(self) -> None:
        """Another agent: nothing is known of its session yet."""
        self._books = Books()
        self._trail = Trail()
        self._trail_screen: TrailScreen | None = None
        self._trail_pane.show_sources(self._trail.sources)
        self._made: list[protocol.EventBase] = []
        self._artifacts: ArtifactsScreen | None = None

    def take(self, message: messages.AgentMessage) -> None:
        """Follows what the agent tells."""
        event = message.event
        if event is None:
            return
        self._books.take(event)
        if self._trail.take(event):
            self._trail_pane.show_sources(self._trail.sources)
            if self._trail_screen is not None:
                self._trail_screen.show_sources()
        if isinstance(message, messages.ArtifactChanged):
            self._made.append(event)
            if self._artifacts is not None:
                self._artifacts.take(message.event)
        elif isinstance(message, messages.Begun):
            self._made.clear()

    def open(self, message: messages.Visit, state: SessionState, setup: Setup) -> None:
        """Opens what a message asks for."""
        match message:
            case messages.OpenCall():
                if entry := self._calls.entry(message.tool_call_id):
                    calls = Calls(self._calls.entry, self._calls.neighbour, self._calls.choose, self._clock)
                    open_entry(self._screen.app, entry, calls)
                else:
                    self._screen.notify("There is no tool call yet.", markup=False)
            case messages.ShowDataset():
                open_dataset(self._screen.app, message, setup)
            case messages.OpenJobs():
                self._jobs.open(message.job_id, state.session_id)
            case messages.ShowSpending():
                self._show_spending(state, setup)
            case messages.ShowArtifacts():
                self._show_artifacts(setup)
            case messages.ShowTrail():
                self._show_trail()
            case messages.ShowLeftovers():
                self._tidying.open()
            case messages.ShowServers() | messages.ShowSkills():
                open_extensions(self._screen, message, setup)
            case messages.ShowSettings() | messages.ShowKeys():
                open_configuration(self._screen, message, setup, state)
            case messages.ShowAllowed():
                open_allowed(self._screen, message, setup, state)
            case messages.SignIn():
                self._sign_in(setup)
            case messages.ShowHardware():
                self._chooser.show_hardware(setup.jobs, message.model, self._insert)

    def _show_spending(self, state: SessionState, setup: Setup) -> None:
        from ml_intern.tui.screens.spend import SpendScreen

        self._screen.app.push_screen(SpendScreen(state, self._books, setup.sessions, self._clock))

    def _sign_in(self, setup: Setup) -> None:
        from ml_intern.tui.modals.sign_in import SignIn

        if setup.keys is None:
            self._screen.notify("The agent is still starting. Try again in a moment.", severity="warning")
            return
        keys = setup.keys
        dialog = SignIn(keys.kinds, keys.present, keys.check, keys.keep)
        self._screen.app.push_screen(dialog, self._use_key)

    def _use_key(self, variable: str | None) -> None:
        if variable is not None:
            self._screen.post_message(messages.KeyKept())

    def _show_artifacts(self, setup: Setup) -> None:
        from ml_intern.tui.screens.artifacts import ArtifactsScreen

        self._artifacts = ArtifactsScreen(self._made, setup.artifacts and setup.artifacts(), setup.grace_s)
        self._screen.app.push_screen(self._artifacts)

    def _show_trail(self) -> None:
        from ml_intern.tui.screens.trail import TrailScreen

        self._trail_screen = TrailScreen(self._trail)
        self._screen.app.push_screen(self._trail_screen, self._forget_trail_screen)

    def _forget_trail_screen(self, _closed: None) -> None:
        self._trail_screen = None
