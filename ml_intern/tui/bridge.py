"""The bridge between the agent and the screen: runs the one, feeds the other.

The agent lives on the app's event loop. Its events become Textual messages for the main screen; log lines are gathered
first, since a message for each of them would cost more than showing them. Pieces of a reply come gathered.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_intern.tui import messages
from ml_intern.tui.families import log_lines, message_of
from ml_intern.tui.setup import Setup, setup_from

if TYPE_CHECKING:
    from ml_intern.core.agent import Agent
    from ml_intern.options import Options
    from ml_intern.wiring import Wired

log = logging.getLogger(__name__)

_AT_ONCE = frozenset(
    {
        "user_message",
        "assistant_chunk",
        "approval_required",
        "approval_resolved",
        "question_asked",
        "question_resolved",
        "turn_complete",
        "interrupted",
        "error",
        "ready",
        "shutdown",
    }
)
"""What a person waits for, or what ends something, is shown without waiting for more."""

_NESTED = frozenset({"subagent", "subagent_state"})

END_PATIENCE_S = 1.0
"""How long the agent may take to end after its turn."""
RENTAL_PATIENCE_S = 12.0
"""How long it may take beyond that to give back what costs money by the hour."""

GATHER_S = 0.033
"""Lines that come faster than this are shown together. The first one after a pause is shown at once."""
NESTED_S = 0.15
"""The same for what happens within sub-agents: with eight of them at work nobody follows every line."""


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
        self._agents: set[str] = set()  # calls that sub-agents work for
        self._timer: asyncio.TimerHandle | None = None
        self._shown_at = 0.0
        self._wired: Wired | None = None
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Builds the agent and runs it until it is shut down. A fault of the agent is told once, in words.

        Raises:
            ConfigError: The configuration cannot be used.
        """
        wired, setup = await asyncio.to_thread(self._build)
        # Start-up ran without garbage collection; what it has made stays, and need not be looked at again.
        gc.freeze()
        gc.enable()
        self._agent, self._wired = wired.agent, wired
        unsubscribe = wired.agent.events.subscribe(self._on_event, passing=True)
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
            self._ended.set()

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

    def describe(self, title: str | None, tags: tuple[str, ...] | None) -> bool:
        """Gives the running session a title or tags; None leaves them. False when there is no agent."""
        if self._agent is None:
            return False
        from ml_intern.core.protocol import SessionMeta

        self._agent.events.emit(SessionMeta(title=title, tags=tags))
        return True

    async def close(self) -> None:
        """Stops the agent: the running turn is interrupted, its children end, the log is closed."""
        if self._agent is None or self._wired is None:
            return
        await self._agent.shut_down()
        if not await self._has_ended(END_PATIENCE_S) and self._wired.renting:
            self._post(messages.Noticed("Ending the sandbox …", "info"))
            await self._wired.give_back(RENTAL_PATIENCE_S)
            await self._has_ended(END_PATIENCE_S)

    async def _has_ended(self, patience_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), patience_s)
        return self._ended.is_set()

    # ------------------------------------------------------------------------------------------------- events

    def _on_event(self, event: Any) -> None:
        match event.type:
            case "tool_log":
                call_id, tool = event.tool_call_id, event.tool
                self._gather(
                    ("log", call_id),
                    lambda text: messages.ToolLogged(call_id, tool, text),
                    log_lines(event),
                    pause_s=NESTED_S if call_id in self._agents else GATHER_S,
                )
            case "tool_drafts":  # each tells all there is, so only the last one counts
                if self._gathered and self._gathered[-1].key == ("drafts",):
                    self._gathered.pop()
                self._gather(("drafts",), lambda _text: messages.CallsDrafted(event))
            case "subagent" if event.event.type == "tool_log":
                log = event.event
                nested_id, nested = log.tool_call_id, log.tool
                self._gather(
                    ("log", nested_id),
                    lambda text: messages.ToolLogged(nested_id, nested, text),
                    log_lines(log),
                    pause_s=NESTED_S,
                )
            case kind:
                if kind == "subagent_state":
                    self._agents.add(event.agent_id)
                if message := message_of(event):
                    nested = kind in _NESTED or (kind == "llm_call" and event.kind == "research")
                    pause_s = NESTED_S if nested else GATHER_S
                    self._gather((kind, event.seq), lambda _text: message, pause_s=pause_s)
                if kind in _AT_ONCE:
                    self._flush()

    def _gather(
        self,
        key: tuple[Any, ...],
        make: Callable[[str], messages.AgentMessage],
        text: str = "",
        *,
        pause_s: float = GATHER_S,
    ) -> None:
        last = self._gathered[-1] if self._gathered else None
        if last is None or last.key != key:
            last = _Gathered(key, make)
            self._gathered.append(last)
        last.texts.append(text)
        loop = asyncio.get_running_loop()
        due = max(loop.time(), self._shown_at + pause_s)
        if self._timer is not None and due < self._timer.when():
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(due, self._flush)

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
