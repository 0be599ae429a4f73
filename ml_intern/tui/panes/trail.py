"""The trail beside the conversation: what the agent and its sub-agents have looked into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._static import Static

from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.source_list import NOTHING_YET, SourceList
from ml_intern.tui.widgets.text import count

if TYPE_CHECKING:
    from ml_intern.core.trail import Source


class TrailPane(Vertical):
    """Shows the sources of the session, the newest first. Out of sight it only counts them."""

    HELP = (
        "What the agent and its sub-agents have looked into: what it is, which parts were read, in which step of the "
        "plan, by whom. {move} choose, {item.open:2} opens it in a browser, {item.copy} copies its address; /trail "
        "shows the same with more room. {pane.maximise} gives the pane all the room."
    )
    BINDINGS: ClassVar[list[BindingType]] = [bind("pane.maximise", "maximise")]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = "trail"
        self._sources: Sequence[Source] = ()
        self._stale = True

    def compose(self) -> ComposeResult:
        """What stands there while there are no sources, and the list."""
        yield Static(NOTHING_YET, id="source-list-empty", markup=False)
        yield SourceList(id="source-list")

    @property
    def summary(self) -> str:
        """How many sources there are."""
        return count(len(self._sources), "source") if self._sources else ""

    def show_sources(self, sources: Sequence[Source]) -> None:
        """Shows these, given oldest first."""
        self._sources, self._stale = sources, True
        entitle(self, f"trail · {self.summary}" if sources else "trail")
        if self.display and self.size:
            self._fill()

    def on_show(self, _event: events.Show) -> None:
        """Catches up with what came out of sight."""
        self._fill()

    def action_maximise(self) -> None:
        """Gives the pane all the room, or takes it back."""
        self.post_message(messages.Maximise("trail"))

    def _fill(self) -> None:
        if not self._stale:
            return
        self._stale = False
        listed = self.query_one(SourceList)
        listed.show_sources(self._sources)
        listed.display = bool(self._sources)
        self.query_one("#source-list-empty").display = not self._sources
