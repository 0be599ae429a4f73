"""Drives a real agent, with real tools and a real model client, against the scripted model server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ml_intern.core.agent import Agent
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    TURN_ENDS,
    ApprovalDecision,
    ApprovalRequired,
    ErrorEvent,
    EventBase,
    ExecApproval,
    Mode,
    Operation,
    ToolOutput,
    UserInput,
)
from ml_intern.core.settings import LLMSettings, Settings
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.run import Run
from ml_intern.wiring import Wired, assemble
from tests.support.llm_server import Received, ScriptedLLM

EventT = TypeVar("EventT", bound=EventBase)

FAST = LLMSettings(retry_base_s=0.01, retry_max_s=0.05)
MODEL = "vllm/scripted"


class Harness:
    """An agent at work, and everything it told.

    Args:
        server: Its model.
        directory: A directory of its own; the workspace is `work` in it.
        tools: Tools beside the built-in ones.
        mode: Approval mode.
        cap: Spending cap in dollars.
        model: Model id.
        stream: Whether replies are streamed.
        settings: Other settings.
    """

    def __init__(
        self,
        server: ScriptedLLM,
        directory: Path,
        *,
        tools: Iterable[ToolSpec] = (),
        mode: Mode = "yolo",
        cap: float | None = None,
        model: str = MODEL,
        stream: bool = True,
        **settings: Any,
    ) -> None:
        self.workspace = directory / "work"
        self.workspace.mkdir(parents=True, exist_ok=True)
        settings.setdefault("llm", FAST)
        wired = assemble(
            Run(
                Settings(model_name=model, mode=mode, stream=stream, max_cost_usd=cap, **settings),
                places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
                workspace=self.workspace,
                env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(directory)},
                extra_tools=tuple(tools),
            )
        )
        self._watch(wired, server)

    @classmethod
    def around(cls, wired: Wired, server: ScriptedLLM) -> Self:
        """A harness around an agent that was put together elsewhere."""
        harness = cls.__new__(cls)
        harness.workspace = wired.agent.session.workspace
        harness._watch(wired, server)
        return harness

    def _watch(self, wired: Wired, server: ScriptedLLM) -> None:
        self.server = server
        self.events: list[EventBase] = []
        self.wired = wired
        self.agent: Agent = wired.agent
        self.agent.events.subscribe(self._take)
        self._arrived = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(self.agent.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.agent.shut_down()
        if self._serving is not None:
            await asyncio.wait_for(self._serving, 5)
        await self.wired.aclose()

    def _take(self, event: EventBase) -> None:
        self.events.append(event)
        self._arrived.set()

    # ------------------------------------------------------------------------------------------------- doing

    def submit(self, operation: Operation) -> None:
        """Hands the agent an operation."""
        self.agent.submit(operation)

    async def prompt(self, text: str = "go", timeout: float = 15.0) -> list[EventBase]:
        """Runs a turn; gives its events, the end event last."""
        start = len(self.events)
        self.submit(UserInput(text=text))
        end = await self.ended(start, timeout)
        return self.events[start : self.events.index(end, start) + 1]

    async def ended(self, start: int = 0, timeout: float = 15.0) -> EventBase:
        """Waits for the end of a turn after event number `start`."""
        end: EventBase = await self.until(is_end, start, timeout)
        return end

    async def until(self, wanted: Callable[[Any], bool], start: int = 0, timeout: float = 15.0) -> Any:
        """Waits for the first event after number `start` that is wanted."""

        async def search() -> EventBase:
            position = start
            while True:
                self._arrived.clear()
                for event in self.events[position:]:
                    if wanted(event):
                        return event
                position = len(self.events)
                await self._arrived.wait()

        return await asyncio.wait_for(search(), timeout)

    async def approval(self, start: int = 0) -> ApprovalRequired:
        """Waits until something is to be approved."""
        event = await self.until(lambda event: isinstance(event, ApprovalRequired), start)
        assert isinstance(event, ApprovalRequired)
        return event

    def decide(self, *decisions: ApprovalDecision) -> None:
        """Answers the pending approval."""
        self.submit(ExecApproval(approvals=decisions))

    # ----------------------------------------------------------------------------------------------- looking

    def all(self, kind: type[EventT]) -> list[EventT]:
        """All events of a type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def last(self, kind: type[EventT]) -> EventT:
        """The newest event of a type."""
        return self.all(kind)[-1]

    def outputs(self) -> dict[str, ToolOutput]:
        """Tool outputs by call id."""
        return {event.tool_call_id: event for event in self.all(ToolOutput)}

    def request(self, number: int) -> Received:
        """The number-th chat request, from 1."""
        return self.server.requests[number - 1]

    def tool_results(self, number: int) -> list[str]:
        """Texts of the tool messages in the number-th request."""
        return [message["content"] for message in self.request(number).messages if message["role"] == "tool"]


def is_end(event: Any) -> bool:
    """Whether an event ends a turn."""
    return event.type in TURN_ENDS and not (isinstance(event, ErrorEvent) and not event.ends_turn)


class Anything(Params):
    """Parameters of a test's own tool."""

    value: str = ""


def tool(
    name: str, handler: Callable[[Any, ToolContext], Any], *, assess: Any = None, params: type[Params] = Anything
) -> ToolSpec:
    """A tool of a test's own."""

    async def run(arguments: Any, context: ToolContext) -> ToolResult:
        result = handler(arguments, context)
        if asyncio.iscoroutine(result):
            result = await result
        return result if isinstance(result, ToolResult) else ToolResult(str(result))

    return ToolSpec(name, f"Test tool {name}.", params, run, assess)
