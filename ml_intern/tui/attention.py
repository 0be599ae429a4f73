"""What a person who looks elsewhere should hear of, in a few words: something waits, failed, or is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_intern.tui import messages
from ml_intern.tui.state import TURN_ENDS
from ml_intern.tui.widgets.text import count, duration, money, one_line

if TYPE_CHECKING:
    from ml_intern.core import protocol

LONG_TURN_S = 10.0
"""A turn that ends sooner was waited for."""
TEXT_CHARS = 200


@dataclass(frozen=True, slots=True)
class News:
    """Something to be told.

    Attributes:
        title: What it is, in a few words.
        text: More about it, on one line; may be empty.
        waits: The agent waits for an answer.
    """

    title: str
    text: str = ""
    waits: bool = False


class Attention:
    """Picks what is worth a call out of what the agent tells.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()

    def take(self, message: messages.AgentMessage) -> News | None:
        """What a person should hear of this, if anything."""
        match message:
            case messages.TurnStarted():
                self._began = self._clock()
            case messages.ApprovalAsked(event=event):
                first = event.tools[0]
                usd = sum(item.estimated_cost_usd or 0.0 for item in event.tools)
                costs = f" · at most {money(usd)}" if usd else ""
                more = f" and {count(event.count - 1, 'more call')}" if event.count > 1 else ""
                return News("needs your approval", _short(f"{first.tool}: {first.reason}{more}{costs}"), waits=True)
            case messages.QuestionPut(event=event):
                return News("has a question", _short(event.question), waits=True)
            case messages.TurnEnded(event=event):
                return self._end_of_turn(event)
            case messages.AgentLost(text=text):
                return News("the agent stopped", _short(text))
        return None

    def _end_of_turn(self, event: protocol.TurnComplete | protocol.Interrupted | protocol.ErrorEvent) -> News | None:
        if event.type == "error":
            return News("the turn failed", _short(event.error))
        took = self._clock() - self._began
        if event.type != "turn_complete" or (event.reason == "completed" and took < LONG_TURN_S):
            return None
        end = TURN_ENDS.get(event.reason, event.reason)
        return News(f"{end} after {duration(took)}", _short(event.final_response))


def _short(text: str) -> str:
    return one_line(text, TEXT_CHARS)
