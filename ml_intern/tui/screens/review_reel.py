"""The panes of a session at any of its steps: what they show is folded from its events, from the nearest step that is
remembered."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from copy import copy
from typing import Any, NamedTuple

from ml_intern.sessions.replay import Recording
from ml_intern.tui import messages
from ml_intern.tui.families import message_of
from ml_intern.tui.panes.chat import ChatPane, ChatSnapshot
from ml_intern.tui.panes.plan import PlanPane, Step
from ml_intern.tui.panes.tool_calls import ToolCallsPane
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.call_list import ToolSnapshot
from ml_intern.tui.widgets.text import timestamp

EVERY = 200
"""Steps from one that is remembered to the next,"""
AT_MOST = 100
"""but no more of them than this in a session."""
SLICE = 100
"""Steps that are folded in one go."""
GLANCE = 200
"""So many steps show what a person sees of a session without moving."""
PREVIEW_CHARS = 4_000
"""So much of an output is kept in the list; the rest is read when the call is opened."""


_LASTING = frozenset(
    {
        *("ready", "model_changed", "mode_changed", "context_usage", "processing"),
        *("turn_complete", "interrupted", "error", "approval_required", "approval_resolved"),
    }
)
"""The last event of each of these says how things stand, however long ago it was."""
_PLANS = frozenset({"plan_update"})
"""All of these do: they tell since when a step has been under way."""
_OF_NO_PANE = frozenset({"ready", "context_usage", "llm_call", "expense", "artifact"})
"""Many, and only the status line tells of them."""


# Other keys work here than in the live panes; the help is that of the screen.


class _Chat(ChatPane):
    HELP = ""

    def take(self, message: messages.AgentMessage) -> None:
        """A whole reply stands where it became whole, whether one has come past its pieces or straight to it."""
        if isinstance(message, messages.ReplyWhole) and not message.event.partial:
            self.drop_reply()
        super().take(message)


class _Tools(ToolCallsPane):
    HELP = ""


class _Plan(PlanPane):
    HELP = ""


class _Frame(NamedTuple):
    """Everything as it was at a step."""

    chat: ChatSnapshot
    tools: ToolSnapshot
    plan: tuple[Step, ...]
    state: SessionState
    time: str


class Moment:
    """The time in a session: that of the event that was taken in last."""

    def __init__(self) -> None:
        self.time = ""

    def __call__(self) -> float:
        """It, in seconds since the epoch."""
        return timestamp(self.time)


class Reel:
    """Moves panes to a step of a session.

    Args:
        recording: The session.
        now: The clock of the panes.

    Attributes:
        step: Where the panes are; -1 before the first.
        state: What the status line says there.
    """

    def __init__(self, recording: Recording, now: Moment | None = None) -> None:
        self.recording = recording
        self.step = -1
        self.state = SessionState(model=recording.model)
        self.now = now or Moment()
        self.chat = _Chat(greets=False, clock=self.now, id="chat")
        self.tools = _Tools(self.now, live=False, id="tools")
        self.plan = _Plan(self.now, live=False, id="plan")
        self._line = 0
        self._steps: list[int] = []
        self._frames: list[_Frame] = []

    def glance(self, step: int) -> None:
        """Shows what led to a step last, and how things stand there. Quick, however long the session is; only `adopt`
        may follow.

        Raises:
            OSError: The log cannot be read any more.
        """
        first = step - GLANCE
        if first >= 0:
            self._line = self.recording.stops[first]
            for event in self.recording.events_of(_PLANS, _LASTING, self._line):
                self.state.apply(event)
                if (message := message_of(event)) is not None:
                    self.plan.take(message)
                    if isinstance(message, messages.TurnStarted):
                        self.chat.take(message)
            if not self.recording.metered:
                self.state.cost_usd = sum(line.usd for line in self.recording.lines[: self._line])
        self._fold(step)

    def adopt(self, other: Reel) -> None:
        """Takes over what another one remembers of the session, and is where that is; before it, within a reply."""
        self._steps, self._frames = other._steps, other._frames
        if other.chat.within_reply:
            self._restore(len(self._frames) - 1)
        else:
            self._show(other._frame(), other.step)

    def go(self, step: int) -> None:
        """Brings the panes to a step at once.

        Raises:
            OSError: The log cannot be read any more.
        """
        for _ in self.approach(step):
            pass

    def approach(self, step: int) -> Iterator[int]:
        """Brings the panes to a step, and gives the step they are at after each short while, for others to breathe.

        Raises:
            OSError: The log cannot be read any more.
        """
        nearest = bisect_right(self._steps, step) - 1
        if step < self.step or (nearest >= 0 and self._steps[nearest] > self.step):
            self._restore(nearest)
        every = max(EVERY, len(self.recording) // AT_MOST)
        while self.step < step:
            following = (self._steps[-1] if self._steps else -1) + every
            following = max(following, self.step + 1)  # where one was due there was half a reply
            target = min(step, self.step + SLICE, following)
            self._fold(target)
            if target == following and not self.chat.within_reply:
                self._steps.append(target)
                self._frames.append(self._frame())
            yield target
        self.tell_time()

    def tell_time(self) -> None:
        """The clock has moved, or the panes have come onto a screen: they say what they otherwise would not."""
        for pane in (self.tools, self.plan):
            pane.tell_time()

    def _fold(self, step: int) -> None:
        stop = self.recording.stops[step]
        for event in self.recording.events(self._line, stop):
            self._take(event)
        self.step, self._line = step, stop

    def _take(self, event: Any) -> None:
        self.now.time = event.time or self.now.time
        self.state.apply(event)
        if event.type == "llm_call" and not self.recording.metered:
            self.state.cost_usd += event.cost_usd or 0.0
        elif event.type == "tool_output" and len(event.output) > PREVIEW_CHARS:
            event = event.model_copy(update={"output": event.output[:PREVIEW_CHARS]})
        if event.type not in _OF_NO_PANE and (message := message_of(event)) is not None:
            for pane in (self.chat, self.tools, self.plan):
                pane.take(message)

    def _frame(self) -> _Frame:
        return _Frame(
            self.chat.snapshot(), self.tools.snapshot(), self.plan.snapshot(), copy(self.state), self.now.time
        )

    def _restore(self, index: int) -> None:
        """The frame with an index; the beginning when it is negative."""
        if index < 0:
            self.chat.begin_afresh(practice=False)
            self.tools.clear()
            self.plan.clear()
            self.state = SessionState(model=self.recording.model)
            self.step, self._line, self.now.time = -1, 0, ""
            return
        self._show(self._frames[index], self._steps[index])

    def _show(self, frame: _Frame, step: int) -> None:
        self.chat.restore(frame.chat)
        self.tools.restore(frame.tools)
        self.plan.restore(frame.plan)
        self.state, self.now.time = copy(frame.state), frame.time
        self.step, self._line = step, self.recording.stops[step]
