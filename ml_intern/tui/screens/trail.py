"""The trail with all the room there is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._static import Static

from ml_intern.core.trail import Trail
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.source_list import NOTHING_YET, SourceList
from ml_intern.tui.widgets.text import count

KEYS = (("{move}", "choose"), ("{item.open}", "open"), ("{item.copy}", "copy link"), ("{back}", "back"))


class TrailScreen(Dialog[None]):
    """Lists the sources, newest first, and grows while it is open.

    Args:
        trail: The trail, kept up to date by whoever holds it.
    """

    HELP = (
        "What the agent and its sub-agents have looked into: what it is, which parts were read, in which step of the "
        "plan, by whom. {item.open:2} opens it in a browser, {item.copy} copies its address. {pane.trail} shows the "
        "trail beside the conversation."
    )
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "cancel"), bind("leave", "cancel")]

    def __init__(self, trail: Trail) -> None:
        super().__init__()
        self._trail = trail

    def compose(self) -> ComposeResult:
        """The list, or why there is none; the keys."""
        with Vertical(id="trail-dialog", classes="dialog"):
            yield Static(NOTHING_YET, id="trail-none", markup=False)
            yield SourceList(id="trail-list")
            yield KeyBar(KEYS, id="trail-keys")

    def on_mount(self) -> None:
        """Begins at the newest."""
        self.show_sources()
        self.query_one(SourceList).focus()

    def show_sources(self) -> None:
        """Shows the trail as it is now; the source under the cursor stays under it."""
        sources = self._trail.sources
        listed = self.query_one(SourceList)
        listed.show_sources(sources)
        listed.display = bool(sources)
        self.query_one("#trail-keys", KeyBar).show(KEYS if sources else KEYS[-1:])
        self.query_one("#trail-none").display = not sources
        entitle(self.query_one("#trail-dialog"), f"trail · {count(len(sources), 'source')}" if sources else "trail")
