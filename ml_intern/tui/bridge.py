"""The bridge between the agent and the screen: runs the one, feeds the other.

The agent lives on the app's event loop. Its events become Textual messages for the main screen; pieces of a reply and
log lines are gathered first, since a message for each of them would cost more than showing them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_intern.tui import messages
from ml_intern.tui.setup import Setup, setup_from

if TYPE_CHECKING:
    from ml_intern.core.agent import Agent
    from ml_intern.options import Options
    from ml_intern.wiring import Wired

log = logging.getLogger(__name__)

_AT_ONCE = frozenset(
    {
        "user_message",
        "approval_required",
        "approval_resolved",
        "turn_complete",
        "interrupted",
        "error",
        "ready",
        "shutdown",
    }
)
"""What a person waits for, or what ends something, is shown without waiting for more."""

GATHER_S = 0.033
"""Pieces that come faster than this are shown together. The first one after a pause is shown at once."""


Connect = Callable[["Options"], "Wired"]
"""Builds an agent. Called in a thread, since it imports the whole core."""

Post = Callable[[messages.AgentMessage], object]


def connect(options: Options) -> Wired:
    """The real agent.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    from ml_intern.wiring import build

    return build(options)


@dataclass(slots=True)
class _Gathered:
    """Consecutive pieces that will be shown together."""

    key: tuple[Any, ...]
    make: Callable[[str], messages.AgentMessage]
    texts: list[str] = field(default_factory=list)


class Bridge:
    """Runs one agent.

    Args:
        post: Takes messages for the screen.
        options: Flags of this run.
        connect: Builds the agent.
    """

    def __init__(self, post: Post, options: Options, connect: Connect = connect) -> None:
        self.options = options
        self._post = post
        self._connect = connect
        self._agent: Agent | None = None
        self._gathered: list[_Gathered] = []
        self._timer: asyncio.TimerHandle | None = None
        self._shown_at = 0.0

    async def serve(self) -> None:
        """Builds the agent and runs it until it is shut down. A fault of the agent is told once, in words.

        Raises:
            ConfigError: The configuration cannot be used.
        """
        wired, setup = await asyncio.to_thread(self._build)
        # Start-up ran without garbage collection; what it has made stays, and need not be looked at again.
        gc.freeze()
        gc.enable()
        self._agent = wired.agent
        unsubscribe = wired.agent.events.subscribe(self._on_event)
        self._post(messages.AgentBuilt(setup))
        for event in wired.earlier:  # a resumed session looks as it did: its past comes the way it came then
            self._on_event(event)
        try:
            await wired.agent.run()
        except Exception as error:  # the worker's edge: whatever breaks the agent, the app stays usable
            log.exception("the agent stopped")
            self._flush()
            self._post(messages.AgentLost(f"The agent stopped ({type(error).__name__}: {error})."))
        finally:
            self._agent = None
            unsubscribe()
            await wired.aclose()

    def _build(self) -> tuple[Wired, Setup]:
        wired = self._connect(self.options)
        return wired, setup_from(wired)

    def send(self, kind: str, **fields: Any) -> bool:
        """Hands the agent an operation of this type. False when there is no agent."""
        if self._agent is None:
            return False
        from ml_intern.core.protocol import OPERATION

        self._agent.submit(OPERATION.validate_python({"type": kind, **fields}))
        return True

    async def close(self) -> None:
        """Stops the agent: the running turn is interrupted, its children end, the log is closed."""
        if self._agent is not None:
            await self._agent.shut_down()

    # ------------------------------------------------------------------------------------------------- events

    def _on_event(self, event: Any) -> None:
        match event.type:
            case "assistant_chunk":
                kind, at = event.kind, event.time
                self._gather(("reply", kind), lambda text: messages.ReplyText(text, kind, at), event.content)
            case "tool_log":
                call_id, tool = event.tool_call_id, event.tool
                lines = event.log.rstrip("\n") + "\n"
                self._gather(("log", call_id), lambda text: messages.ToolLogged(call_id, tool, text), lines)
            case kind:
                if make := _FAMILIES.get(kind):
                    message = make(event)
                    self._gather((kind, event.seq), lambda _text: message)
                if kind in _AT_ONCE:
                    self._flush()

    def _gather(self, key: tuple[Any, ...], make: Callable[[str], messages.AgentMessage], text: str = "") -> None:
        last = self._gathered[-1] if self._gathered else None
        if last is None or last.key != key:
            last = _Gathered(key, make)
            self._gathered.append(last)
        last.texts.append(text)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._shown_at + GATHER_S), self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._gathered:
            return
        self._shown_at = asyncio.get_running_loop().time()
        gathered, self._gathered = self._gathered, []
        for piece in gathered:
            self._post(piece.make("".join(piece.texts)))


def _error(event: Any) -> messages.AgentMessage:
    return messages.TurnEnded(event) if event.ends_turn else messages.Noticed(event.error, "error", event)


def _compacted(event: Any) -> messages.AgentMessage:
    if event.new_tokens < event.old_tokens:
        text = f"Context compacted: {event.old_tokens:,} tokens are now {event.new_tokens:,}."
    else:
        text = f"The model found the conversation too long; its {event.old_tokens:,} tokens are sent once more."
    return messages.Noticed(text, "info", event)


_FAMILIES: dict[str, Callable[[Any], messages.AgentMessage]] = {
    "ready": messages.SessionChanged,
    "model_changed": messages.SessionChanged,
    "mode_changed": messages.SessionChanged,
    "context_usage": messages.SessionChanged,
    "session_resumed": messages.SessionChanged,
    "shutdown": messages.SessionChanged,
    "processing": messages.TurnStarted,
    "turn_complete": messages.TurnEnded,
    "interrupted": messages.TurnEnded,
    "error": _error,
    "user_message": messages.PromptEntered,
    "assistant_message": messages.ReplyWhole,
    "assistant_stream_end": lambda event: messages.ReplyEnded(event.discarded),
    "tool_call": messages.ToolCalled,
    "tool_state_change": messages.ToolMoved,
    "tool_output": messages.ToolFinished,
    "approval_required": messages.ApprovalAsked,
    "approval_resolved": messages.ApprovalSettled,
    "plan_update": messages.PlanChanged,
    "undo_complete": messages.Undone,
    "new_complete": messages.Begun,
    "notice": lambda event: messages.Noticed(event.text, event.level, event),
    "compacted": _compacted,
}
