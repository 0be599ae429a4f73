"""The results of the calls of one reply: exactly one each, told at once, and in call order for the history."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventSink
from ml_intern.core.llm.types import RawToolCall
from ml_intern.core.protocol import ToolOutput, ToolState, ToolStateChange
from ml_intern.core.spending import Spending
from ml_intern.core.tools.spec import ToolResult

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """The one result of a call, and what the guards need to know of it."""

    call: RawToolCall
    arguments: dict[str, Any]
    result: ToolResult
    malformed: bool = False
    seconds: float = 0.0


class Results:
    """Takes the result of each call of a reply.

    Args:
        calls: The calls, in the order the model made them.
        events: Where results are told.
        spending: Where what a call has cost is booked.
        on_result: Takes each tool message for the history, in call order.

    Attributes:
        arguments: What each call is made with, edits included, by its id.
    """

    def __init__(
        self,
        calls: Sequence[RawToolCall],
        events: EventSink,
        spending: Spending,
        on_result: Callable[[Message], None],
    ) -> None:
        self.arguments: dict[str, dict[str, Any]] = {}
        self._calls = {call.id: call for call in calls}
        self._events = events
        self._spending = spending
        self._on_result = on_result
        self._outcomes: dict[str, Outcome] = {}
        self._unrecorded = list(calls)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._outcomes

    def ordered(self) -> list[Outcome]:
        """Outcomes in call order."""
        return [self._outcomes[call_id] for call_id in self._calls if call_id in self._outcomes]

    def tell_state(self, call_id: str, state: ToolState) -> None:
        """Tells where a call stands."""
        self._events.emit(ToolStateChange(tool=self._calls[call_id].name, tool_call_id=call_id, state=state))

    def finish(
        self, call_id: str, result: ToolResult, state: ToolState, seconds: float = 0.0, *, malformed: bool = False
    ) -> None:
        """Gives a call its one result: told at once, into the history as soon as all calls before it have theirs.

        Args:
            call_id: The call; one that has its result keeps it.
            result: What came of it.
            state: How it ended.
            seconds: How long it ran.
            malformed: Whether it could not be understood.
        """
        if call_id in self:
            return
        call = self._calls[call_id]
        self._outcomes[call_id] = Outcome(call, self.arguments.get(call_id, {}), result, malformed, seconds)
        self._spending.settle(call_id, call.name, result)
        log.info("tool %s %s after %.2f s, %d characters", call.name, state, seconds, len(result.text))
        self._events.emit(
            ToolOutput(
                tool=call.name,
                tool_call_id=call_id,
                output=result.text,
                success=result.ok,
                duration_s=round(seconds, 3),
                display=result.display,
                images=result.images,
            )
        )
        self.tell_state(call_id, state)
        self._record()

    def refuse(self, call_id: str, text: str, state: ToolState, *, malformed: bool = False) -> None:
        """Gives a call that is not run the result that says why. See `finish`."""
        self.finish(call_id, ToolResult(text, ok=False), state, malformed=malformed)

    def _record(self) -> None:
        while self._unrecorded and (done := self._outcomes.get(self._unrecorded[0].id)):
            del self._unrecorded[0]
            result, call = done.result, done.call
            text = result.text or "(no output)"
            self._on_result(Message("tool", text, tool_call_id=call.id, name=call.name, images=result.images))
