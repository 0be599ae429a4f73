"""The tool calls of one reply: prepared, decided, asked about, run side by side, each result told at once.

However a batch ends (done, interrupted, abandoned), every call of the reply gets exactly one result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from ml_intern.core.approvals.asking import Asked, Asker
from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.calls.approver import Approver
from ml_intern.core.calls.host import Delegate, ToolHost
from ml_intern.core.calls.results import Outcome, Results
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventSink
from ml_intern.core.llm.types import RawToolCall
from ml_intern.core.protocol import Spoken, ToolCallEvent
from ml_intern.core.session import Session
from ml_intern.core.spending import Spending
from ml_intern.core.stopping import Stops
from ml_intern.core.tools.router import Prepared, Refused
from ml_intern.core.tools.spec import ToolContext, ToolResult

STOP_GRACE_S = 0.2
"""How long an interrupt waits for tools to stop what they started; slower ones finish stopping in the background."""


class CallBatch:
    """All tool calls of one reply.

    Args:
        calls: As the model wrote them, with ids that are unique in the conversation.
        session: Whose calls they are.
        host: Tools and their surroundings.
        events: Where everything that happens is told.
        pending: Where the batch waits for a person.
        spending: Where what the calls cost is booked.
        on_result: Takes each tool message for the history, in call order.
        delegate: Gives calls a sub-agent; None for the calls of one.
        asker: Who makes the calls, if it is not the main agent.

    Attributes:
        new_prompt: What the person said in place of deciding about calls.
    """

    def __init__(
        self,
        calls: tuple[RawToolCall, ...],
        session: Session,
        host: ToolHost,
        events: EventSink,
        pending: PendingApprovals,
        spending: Spending,
        on_result: Callable[[Message], None],
        delegate: Delegate | None = None,
        asker: Asker | None = None,
    ) -> None:
        self.new_prompt: Spoken | None = None
        self._calls = calls
        self._session = session
        self._host = host
        self._events = events
        self._spending = spending
        self._delegate = delegate
        self._asker = asker
        self._results = Results(calls, events, spending, on_result)
        self._approver = Approver(session, host, events, pending, spending, self._results, self._context, asker)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._began: dict[str, float] = {}
        self._contexts: dict[str, ToolContext] = {}

    async def run(self) -> None:
        """Runs the batch to its end. When cancelled, call `stop` next."""
        announced = [self._announce(call) for call in self._calls]
        allowed: list[Prepared] = []
        asked: list[Asked] = []
        for item in [one for one in announced if isinstance(one, Prepared)]:
            decision = await self._approver.decide(item)
            if isinstance(decision, Asked):
                asked.append(decision)
            elif decision:
                allowed.append(item)
        await self._run_all(allowed)
        approved, self.new_prompt = await self._approver.ask(asked)
        await self._run_all(approved)

    async def stop(self, grace_s: float = STOP_GRACE_S, by: str = "the user", because: str = "") -> None:
        """Ends the batch early: running tools are cancelled, and every call without a result gets one that says so.

        Args:
            grace_s: How long to wait for tools to stop what they started.
            by, because: Who or what ended it, and why, which those that had not begun are told instead.
        """
        for task in self._running.values():
            if not task.cancelling():  # a second cancellation would break into a tool's own tidying up
                task.cancel()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=grace_s)
        for call in self._calls:
            if call.id not in self._results:
                seconds = time.monotonic() - self._began[call.id] if call.id in self._began else 0.0
                self._results.finish(call.id, self._stub(call.id, by, because), "cancelled", seconds)

    def ordered(self) -> list[Outcome]:
        """Outcomes in call order."""
        return self._results.ordered()

    def _announce(self, call: RawToolCall) -> Prepared | Refused:
        prepared = self._host.router.prepare(call)
        self._results.arguments[call.id] = prepared.arguments
        self._events.emit(ToolCallEvent(tool=call.name, arguments=prepared.arguments, tool_call_id=call.id))
        if isinstance(prepared, Refused):
            self._results.refuse(call.id, prepared.text, "failed", malformed=prepared.malformed)
        return prepared

    def _context(self, item: Prepared) -> ToolContext:
        return self._host.context(item, self._session, self._events, self._spending, self._delegate)

    # ------------------------------------------------------------------------------------------------ running

    async def _run_all(self, items: Iterable[Prepared]) -> None:
        tasks = {item.call_id: asyncio.create_task(self._run_one(item)) for item in items}
        self._running.update(tasks)
        if tasks:
            # Not `gather`: cancelled, it would wait for its tasks, and so for a tool that will not stop.
            await asyncio.wait(tasks.values())
        for task in tasks.values():
            task.result()

    async def _run_one(self, item: Prepared) -> None:
        call_id = item.call_id
        context = self._contexts[call_id] = self._context(item)
        self._results.tell_state(call_id, "running")
        began = self._began[call_id] = time.monotonic()
        stops = self._session.state.get(Stops)
        try:
            with stops.offered(call_id) if self._asker is None else nullcontext():
                result = await self._host.router.run(item, context)
        except asyncio.CancelledError:
            context.cancelled.set()
            if not stops.was_stopped(call_id):
                raise
            result = self._cut_off(call_id, "Stopped by the user before it had finished, while the turn goes on.")
            self._results.finish(call_id, result, "cancelled", time.monotonic() - began)
        else:
            self._results.finish(call_id, result, "completed" if result.ok else "failed", time.monotonic() - began)

    def _stub(self, call_id: str, by: str, because: str) -> ToolResult:
        """The result of a call that an interrupt kept from finishing, or from starting at all."""
        if call_id not in self._running:
            return ToolResult(f"Not executed: {because or f'{by} interrupted the turn first'}.", ok=False)
        return self._cut_off(call_id, f"Interrupted by {by} before it had finished.")

    def _cut_off(self, call_id: str, why: str) -> ToolResult:
        """The result of a call that was ended while it ran: with what it had found."""
        text = f"{why} What it had done so far is not undone."
        self._spending.keep(call_id)
        context = self._contexts.get(call_id)
        found = context.salvage() if context is not None and context.salvage is not None else ""
        return ToolResult(f"{text}\n\n{found}" if found else text, ok=False)
