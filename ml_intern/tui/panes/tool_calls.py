"""The tool-calls pane: one entry for each call, with its state, time and live output."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.call_list import ToolSnapshot
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.tool_list import ToolList
from ml_intern.tui.widgets.tool_model import Remark, ToolEntry, figures_of


class ToolCallsPane(Vertical):
    """Shows the calls of the conversation.

    Args:
        clock: Seconds since the epoch.
        live: Time goes on by itself; otherwise `tell_time` says when it has.
    """

    HELP = (
        "The tool calls: ○ asked for, ▸ running, ✓ done, ✗ failed, ⊘ rejected or stopped; then the tool, what it was "
        "called with, and how long it took. ⚑ stands at calls that follow words found outside, and not yours. Those of "
        "a turn stand below the words it began with; a failure stays quiet until it is known that it was not mended. "
        "{calls.up} and {calls.down} choose one, {calls.open} or {call} shows it in full; {calls.fold} opens and "
        "closes what it has told, or a whole turn. {calls.copy} copies the command or path, {calls.copy_output} the "
        "output, {calls.file} opens the file in your editor. {calls.stop} ends a call that runs, and the turn goes on. "
        "{pane.maximise} gives the pane all the room."
    )

    BINDINGS: ClassVar[list[BindingType]] = [bind("pane.maximise", "maximise")]

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        live: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.border_title = "tool calls"
        self._list = ToolList(clock=clock, live=live, id="tool-list")

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
        return self._list.chosen

    @property
    def can_stop(self) -> bool:
        """Whether the call under the cursor can be ended for itself."""
        return self._list.can_stop

    def neighbour(self, tool_call_id: str, step: int) -> ToolEntry | None:
        """The call before or after one; None beyond the ends."""
        return self._list.neighbour(tool_call_id, step)

    def choose(self, tool_call_id: str) -> None:
        """Moves the cursor to a call."""
        self._list.choose(tool_call_id)

    def entry(self, tool_call_id: str) -> ToolEntry | None:
        """What is known about a call."""
        return self._list.entry(tool_call_id)

    def take(self, message: messages.AgentMessage) -> None:
        """Shows what concerns tool calls."""
        calls = self._list
        match message:
            case messages.CallsDrafted(event=event):
                calls.show_drafts(event.calls)
            case messages.ToolCalled(event=event):
                calls.call_started(event.tool_call_id, event.tool, event.arguments)
            case messages.PromptEntered(event=event) if not event.steered:
                calls.turn_began(event.content, event.time)
            case messages.TurnEnded(event=event):
                calls.turn_ended(event.time)
            case messages.ToolLogged(tool_call_id=str(call_id), text=text):
                calls.call_log(call_id, text)
            case messages.ToolMoved(event=event):
                if event.display:
                    calls.call_shows(event.tool_call_id, event.display)
                calls.call_state(event.tool_call_id, event.state)
            case messages.ApprovalAsked(event=event):
                for item in event.tools:
                    calls.call_state(item.tool_call_id, "waiting")
            case messages.OriginTraced(event=event):
                calls.call_follows(event.tool_call_id, event.origin)
            case messages.ToolFinished(event=event):
                calls.call_finished(event.tool_call_id, event.success, event.output, event.duration_s, event.display)
            case messages.SubagentMoved(event=event):
                calls.call_delegates(event.agent_id, figures_of(event))
            case messages.SubagentTold(event=event, inner=inner):
                self._take_nested(event.agent_id, inner)
            case messages.Begun():
                self.clear()
            case _:
                return
        self._entitle()

    def action_maximise(self) -> None:
        """Gives the pane all the room, or takes it back."""
        self.post_message(messages.Maximise("tools"))

    def _take_nested(self, agent_id: str, message: messages.AgentMessage) -> None:
        """What a sub-agent did is shown below the call that it works for."""
        match message:
            case messages.ToolCalled(event=event):
                self._list.call_started(event.tool_call_id, event.tool, event.arguments, parent=agent_id)
            case messages.ReplyWhole(event=event):
                if event.content.strip():
                    self._list.call_says(agent_id, Remark(event.content))
            case messages.Noticed(text=text):
                self._list.call_says(agent_id, Remark(text, notice=True))
            case _:
                self.take(message)

    def clear(self) -> None:
        """Forgets all calls."""
        self._list.clear()
        self._entitle()

    def snapshot(self) -> ToolSnapshot:
        """The pane as it is, for `restore`."""
        return self._list.take_snapshot()

    def restore(self, kept: ToolSnapshot) -> None:
        """The pane as it was."""
        self._list.go_back(kept)
        self._entitle()

    def find(self, text: str) -> None:
        """Marks a text wherever it is visible; an empty one marks nothing."""
        self._list.needle = text

    def tell_time(self) -> None:
        """The clock has moved."""
        self._list.tell_time()
        self._entitle()

    def _entitle(self) -> None:
        if not self.is_attached:  # it costs more than taking an event in, and nobody sees it
            return
        entitle(self, f"tool calls · {self._list.summary}" if self._list.summary else "tool calls")

    @on(ToolList.Opened)
    def _open(self, event: ToolList.Opened) -> None:
        event.stop()
        self.post_message(messages.OpenCall(event.call_id))
