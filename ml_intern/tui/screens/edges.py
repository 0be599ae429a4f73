"""What stands around the panes of the main screen: the status line, the tabs, the keys, and the terminal's title."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.panes.chat import ChatPane
from ml_intern.tui.panes.jobs import JobsPane
from ml_intern.tui.panes.plan import PlanPane
from ml_intern.tui.panes.tool_calls import ToolCallsPane
from ml_intern.tui.panes.trail import TrailPane
from ml_intern.tui.screens.hinting import keys_now
from ml_intern.tui.screens.wording import window_title
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.composer import Composer
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.hints import Hints
from ml_intern.tui.widgets.status_bar import StatusBar
from ml_intern.tui.widgets.tabs import PaneTabs


class Edges:
    """Keeps them true to the session and to what has the focus.

    Args:
        screen: The main screen, with all that is on it.
        state: Gives the session.
        where: Tells what has the focus, as `keys_now` takes it.
    """

    def __init__(self, screen: Screen[Any], state: Callable[[], SessionState], where: Callable[[], str]) -> None:
        self._screen = screen
        self._state = state
        self._where = where
        self._status = screen.query_one(StatusBar)
        self._tabs = screen.query_one(PaneTabs)
        self._chat = screen.query_one(ChatPane)
        self._tools = screen.query_one(ToolCallsPane)
        self._plan = screen.query_one(PlanPane)
        self._jobs = screen.query_one(JobsPane)
        self._trail = screen.query_one(TrailPane)
        self._composer = screen.query_one(Composer)
        self._hints = screen.query_one(Hints)
        self._stale = False
        self._title = ""

    def refresh_soon(self) -> None:
        """Shows what has changed, behind what has come with it: once is enough for a burst."""
        if not self._stale:
            self._stale = True
            self._screen.call_later(self.refresh)

    def refresh(self) -> None:
        """Shows what has changed."""
        self._stale = False
        state = self._state()
        self._status.show(state)
        self._composer.tell_running(state.running, state.told)
        self._show_keys(state)
        self._show_notes()
        if (title := window_title(state)) != self._title:
            self._title = title
            self._screen.post_message(messages.TitleChanged(title))

    def _show_keys(self, state: SessionState) -> None:
        self._hints.show_keys(
            keys_now(
                state,
                self._where(),
                has_text=bool(self._composer.prompt.text),
                has_calls=bool(self._tools.chosen),
                narrow=self._screen.has_class("-narrow"),
                letters=self._chat.takes_letters,
                can_stop=self._tools.can_stop,
            )
        )

    def _show_notes(self) -> None:
        """What goes on in each pane, beside its tab; of those that take the place of another, below that one too."""
        self._tabs.note("tools", self._tools.summary)
        self._tabs.note("plan", self._plan.summary)
        self._tabs.note("jobs", self._jobs.summary)
        self._tabs.note("trail", self._trail.summary)
        keymap = keymap_of(self._screen)
        aside = (("pane.jobs", self._jobs.summary), ("pane.trail", self._trail.summary))
        told = [" · ".join(filter(None, [keymap.shown(pane), text])) for pane, text in aside if text]
        entitle(self._tools, subtitle="   ".join(told))
