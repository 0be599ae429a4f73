"""The tool-calls pane: one entry for each call, with its state, time and live output."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from ml_intern.tui import messages
from ml_intern.tui.widgets.tool_list import ToolList
from ml_intern.tui.widgets.tool_model import ToolEntry


class ToolCallsPane(Vertical):
    """Shows the calls of the conversation.

    Args:
        clock: Seconds since the epoch.
    """

    HELP = (
        "The tool calls: ○ asked for, ▸ running, ✓ done, ✗ failed, ⊘ rejected or stopped; then the tool, what it was "
        "called with, and how long it took. ↑ and ↓ choose one, Enter or Ctrl+O shows it in full."
    )

    def __init__(self, clock: Callable[[], float] = time.time, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = "tool calls"
        self._list = ToolList(clock=clock, id="tool-list")

    def compose(self) -> ComposeResult:
        """The list."""
        yield self._list

    @property
    def summary(self) -> str:
        """How many calls there are, and how many run."""
        return self._list.summary

    @property
    def chosen(self) -> str:
        """Id of the call under the cursor, or empty."""
        return self._list.cursor

    def entry(self, tool_call_id: str) -> ToolEntry | None:
        """What is known about a call."""
        return self._list.entry(tool_call_id)

    def take(self, message: messages.AgentMessage) -> None:
        """Shows what concerns tool calls."""
        calls = self._list
        match message:
            case messages.ToolCalled(event=event):
                calls.call_started(event.tool_call_id, event.tool, event.arguments)
            case messages.ToolLogged(tool_call_id=str(call_id), text=text):
                calls.call_log(call_id, text)
            case messages.ToolMoved(event=event):
                if event.display and (entry := calls.entry(event.tool_call_id)):
                    entry.show(event.display)
                calls.call_state(event.tool_call_id, event.state)
            case messages.ApprovalAsked(event=event):
                for item in event.tools:
                    calls.call_state(item.tool_call_id, "waiting")
            case messages.ToolFinished(event=event):
                calls.call_finished(event.tool_call_id, event.success, event.output, event.duration_s, event.display)
            case messages.Begun():
                self.clear()
            case _:
                return
        self.border_title = f"tool calls · {calls.summary}" if calls.summary else "tool calls"

    def clear(self) -> None:
        """Forgets all calls."""
        self._list.clear()
        self.border_title = "tool calls"

    @on(ToolList.Opened)
    def _open(self, event: ToolList.Opened) -> None:
        event.stop()
        self.post_message(messages.OpenCall(event.call_id))
