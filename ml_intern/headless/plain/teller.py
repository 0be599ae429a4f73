"""Tells of events in whole lines: who speaks, what is done, how it ended."""

from __future__ import annotations

from collections.abc import Callable

from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    ContextUsage,
    ErrorEvent,
    EventBase,
    Interrupted,
    ModeChanged,
    ModelChanged,
    NewComplete,
    Processing,
    Ready,
    ToolOutput,
    TurnComplete,
    UndoComplete,
    UserMessage,
)
from ml_intern.core.tools.fetched import without_marks
from ml_intern.headless.outcome import Outcome
from ml_intern.headless.progress import Progress

Say = Callable[[str], None]
ENDS = {
    "max_iterations": "Stopped at the limit of model calls.",
    "cost_limit": "Stopped at the spending cap.",
    "context_limit": "Stopped: the context is full.",
}


class Teller:
    """A consumer of events.

    Args:
        say: Says a line.
        progress: Tells of tools, plans and notices.
    """

    def __init__(self, say: Say, progress: Progress) -> None:
        self._say = say
        self._progress = progress
        self._speaks = False
        self._line = ""
        self._streamed = False
        self.last_output = ""
        self.model = ""
        self.mode = ""
        self.usage: ContextUsage | None = None

    def event(self, event: EventBase) -> None:
        """Tells of one event."""
        match event:
            case AssistantChunk():
                if event.kind == "text":
                    self._stream(event.content)
            case AssistantStreamEnd():
                self._end_line()
                if event.discarded:
                    self._say("That reply broke off and begins anew.")
                    self._streamed = False
            case AssistantMessage():
                self._whole(event.content)
            case ToolOutput():
                self.last_output = without_marks(event.output)
                self._progress.event(event)
            case Ready():
                self.model, self.mode = event.model, event.mode
                self._progress.event(event)
            case ModelChanged():
                self.model = event.model
                self._say(f"model {event.model}{f'. {event.note}' if event.note else ''}")
            case ModeChanged():
                self.mode = event.mode
                self._say(f"mode {event.mode}")
            case ContextUsage():
                self.usage = event
            case _:
                self._tell(event)

    def _tell(self, event: EventBase) -> None:
        match event:
            case UserMessage() if event.steered:
                self._say(f"the agent hears: {event.content}")
            case Processing():
                self._speaks = self._streamed = False
            case TurnComplete():
                self._say(ENDS.get(event.reason, "Done.") + self._costs(event))
            case ErrorEvent() if Outcome.of(event):
                self._say(f"Error: {event.error}")
            case Interrupted():
                self._end_line()
                self._say("Interrupted.")
            case NewComplete():
                self._say("A new conversation begins.")
            case UndoComplete():
                back = f"Taken back: {event.prompt}" if event.removed_messages else "There is nothing to take back."
                self._say(back)
            case _:
                self._progress.event(event)

    def _costs(self, event: TurnComplete) -> str:
        calls = f"{event.iterations} model call{'' if event.iterations == 1 else 's'}"
        return f" {calls}, ${event.cost_usd:.2f}."

    def _begin(self) -> None:
        if not self._speaks:
            self._say("ml-intern:")
            self._speaks = True

    def _stream(self, text: str) -> None:
        self._begin()
        self._streamed = True
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._say(line)

    def _end_line(self) -> None:
        if self._line:
            self._say(self._line)
            self._line = ""

    def _whole(self, content: str) -> None:
        """A reply is complete; it is said now, unless it was said as it came."""
        self._end_line()
        if not self._streamed and content.strip():
            self._begin()
            for line in content.split("\n"):
                self._say(line)
        self._streamed = self._speaks = False
