"""One tool call in full: what it was called with, what came of it, with search."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.detail import ToolDetail
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.search_bar import SearchFrame
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
        "a sub-agent did for it; {find} or {search} searches while you type, {find.next} and {find.before} go on."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "cancel"),
        bind("call", "cancel"),
        bind("find", "search", above=True),
        bind("search", "search_anywhere"),
    ]

    def __init__(self, entry: ToolEntry) -> None:
        super().__init__()
        self._entry = entry

    def compose(self) -> ComposeResult:
        """The call and the keys; the search line comes when it is asked for."""
        with SearchFrame(id="tool-detail", classes="dialog") as frame:
            frame.border_title = TITLE
            yield ToolDetail(id="tool-detail-body")
            keys = [key for key in KEYS if key != TRANSCRIPT_KEY or self._entry.nested]
            yield KeyBar(keys, id="tool-detail-keys")

    def on_mount(self) -> None:
        """Begins at the top."""
        self._frame = self.query_one(SearchFrame)
        self._body = self.query_one(ToolDetail)
        self._frame.search_in(self._body)
        self._body.show_entry(self._entry)
        self._body.focus()

    def action_back(self) -> None:
        """Leaves the search, then the screen."""
        if self._frame.search_open:
            self._frame.end_search()
        else:
            self.dismiss(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a search is typed, keys are text."""
        del parameters
        return action != "search" or isinstance(self.focused, ToolDetail)

    async def action_search(self) -> None:
        """Opens the search line."""
        await self._frame.open_search()

    async def action_search_anywhere(self) -> None:
        """The same, with a key that is never text."""
        await self._frame.open_search()
