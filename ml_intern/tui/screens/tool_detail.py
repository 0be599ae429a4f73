"""One tool call in full: what it was called with, what came of it, with search."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._input import Input

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.detail import ToolDetail
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import count
from ml_intern.tui.widgets.tool_model import ToolEntry

TITLE = "tool call"
TRANSCRIPT_KEY = ("{detail.transcript}", "transcript")
KEYS = (
    ("{move}", "scroll"),
    ("{detail.input}", "input"),
    TRANSCRIPT_KEY,
    ("{detail.output}", "output"),
    ("{find}", "search"),
    ("{find.next} {find.before}", "next, previous find"),
    ("{back}", "close"),
)


class ToolDetailScreen(Dialog[None]):
    """Shows a call over the panes.

    Args:
        entry: The call.
    """

    HELP = (
        "All of one tool call. {detail.input} and {detail.output} go to input and output, {detail.transcript} to what "
        "a sub-agent did for it; {find} searches, {find.next} and {find.before} go from one find to the next."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "cancel"),
        bind("call", "cancel"),
        bind("find", "search"),
        bind("find.next", "next(1)"),
        bind("find.before", "next(-1)"),
    ]

    def __init__(self, entry: ToolEntry) -> None:
        super().__init__()
        self._entry = entry

    def compose(self) -> ComposeResult:
        """The call, the search field, the keys."""
        with Vertical(id="tool-detail", classes="dialog") as frame:
            frame.border_title = TITLE
            yield ToolDetail(id="tool-detail-body")
            yield Input(id="tool-detail-search", placeholder="search", compact=True)
            keys = [key for key in KEYS if key != TRANSCRIPT_KEY or self._entry.nested]
            yield KeyBar(keys, id="tool-detail-keys")

    def on_mount(self) -> None:
        """Begins at the top."""
        self._body = self.query_one(ToolDetail)
        self._search = self.query_one(Input)
        self._search.display = False
        self._body.show_entry(self._entry)
        self._body.focus()

    def action_back(self) -> None:
        """Leaves the search, then the screen."""
        if self._search.display:
            self._search.display = False
            self._body.search("")
            self._body.focus()
        else:
            self.dismiss(None)

    def action_search(self) -> None:
        """Opens the search field."""
        self._search.display = True
        self._search.focus()

    @on(Input.Submitted)
    def _find(self, event: Input.Submitted) -> None:
        event.stop()
        found = self._body.search(event.value)
        self._tell(found)
        self._body.focus()

    def action_next(self, step: int) -> None:
        """Goes to another find."""
        self._body.search_next(step)

    def _tell(self, found: int) -> None:
        title = f"{TITLE} · {count(found, 'find') if found else 'not found'}"
        self.query_one("#tool-detail", Vertical).border_title = title
