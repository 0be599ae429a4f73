"""The tool calls of one reply: prepared, decided, asked about, run side by side, each result told at once.

However a batch ends (done, interrupted, abandoned), every call of the reply gets exactly one result.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.core.approvals.asking import Asked, Asker
from ml_intern.core.approvals.edits import is_dearer, printable, with_note
from ml_intern.core.approvals.effects import READS_ONLY, Assessment
from ml_intern.core.approvals.pending import NOTHING_SAID, Answer, PendingApprovals
from ml_intern.core.approvals.policy import Verdict
from ml_intern.core.approvals.remember import remember
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventSink
from ml_intern.core.image_store import ImageStore
from ml_intern.core.images import ImageRef
from ml_intern.core.llm.types import RawToolCall
from ml_intern.core.origins.memory import FEEDBACK
from ml_intern.core.origins.watch import refusal, tell, trace, weigh
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    ApprovalResolved,
    Origin,
    Spoken,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolState,
    ToolStateChange,
)
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.spending import Spending
from ml_intern.core.stopping import Stops
from ml_intern.core.tools.router import Prepared, Refused, ToolRouter
from ml_intern.core.tools.spec import ToolContext, ToolResult

if TYPE_CHECKING:
    from ml_intern.core.subagent import Assignment

log = logging.getLogger(__name__)

STOP_GRACE_S = 0.2
"""How long an interrupt waits for tools to stop what they started; slower ones finish stopping in the background."""


@dataclass(frozen=True, slots=True)
class ToolHost:
    """What tool calls run with.

    Attributes:
        router: The tools.
        settings: Configuration.
        env: Environment of child processes.
        spill_dir: Directory for long outputs of a session, by its id.
        images: Where images of a session are kept.
        instructions: What the project's own instructions say, if the person trusts them; else an empty text.
    """

    router: ToolRouter
    settings: Settings
    env: Mapping[str, str]
    spill_dir: Callable[[str], Path]
    images: ImageStore
    instructions: Callable[[], str] = lambda: ""


@dataclass(slots=True)
class Outcome:
    """The one result of a call, and what the guards need to know of it."""

    call: RawToolCall
    arguments: dict[str, Any]
    result: ToolResult
    malformed: bool = False
    seconds: float = 0.0


Delegate = Callable[[ToolContext, "Assignment"], Awaitable[ToolResult]]
"""Lets a sub-agent work for the call whose context is given."""


@dataclass(slots=True)
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
    """

    calls: tuple[RawToolCall, ...]
    session: Session
    host: ToolHost
    events: EventSink
    pending: PendingApprovals
    spending: Spending
    on_result: Callable[[Message], None]
    delegate: Delegate | None = None
    asker: Asker | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    new_prompt: Spoken | None = None
    _arguments: dict[str, dict[str, Any]] = field(default_factory=dict)
    _recorded: int = 0
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _began: dict[str, float] = field(default_factory=dict)
    _contexts: dict[str, ToolContext] = field(default_factory=dict)

    async def run(self) -> None:
        """Runs the batch to its end. When cancelled, call `stop` next."""
        prepared = [self._announce(call) for call in self.calls]
        runnable = [item for item in prepared if isinstance(item, Prepared)]
        allowed: list[Prepared] = []
        asked: list[Asked] = []
        for item in runnable:
            decision = await self._decide(item)
            if isinstance(decision, Asked):
                asked.append(decision)
            elif decision:
                allowed.append(item)
        await self._run_all(allowed)
        if asked:
            await self._ask(asked)

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
        for call in self.calls:
            if call.id not in self.outcomes:
                seconds = time.monotonic() - self._began[call.id] if call.id in self._began else 0.0
                self._finish(call.id, self._stub(call.id, by, because), "cancelled", seconds)

    def _stub(self, call_id: str, by: str, because: str) -> ToolResult:
        """The result of a call that an interrupt kept from finishing, or from starting at all."""
        if call_id not in self._running:
            return ToolResult(f"Not executed: {because or f'{by} interrupted the turn first'}.", ok=False)
        return self._cut_off(call_id, f"Interrupted by {by} before it had finished.")

    def _cut_off(self, call_id: str, why: str) -> ToolResult:
        """The result of a call that was ended while it ran: with what it had found."""
        text = f"{why} What it had done so far is not undone."
        self.spending.keep(call_id)
        context = self._contexts.get(call_id)
        found = context.salvage() if context is not None and context.salvage is not None else ""
        return ToolResult(f"{text}\n\n{found}" if found else text, ok=False)

    def ordered(self) -> list[Outcome]:
        """Outcomes in call order."""
        return [self.outcomes[call.id] for call in self.calls if call.id in self.outcomes]

    # ------------------------------------------------------------------------------------------ before running

    def _announce(self, call: RawToolCall) -> Prepared | Refused:
        prepared = self.host.router.prepare(call)
        self._arguments[call.id] = prepared.arguments
        self.events.emit(ToolCallEvent(tool=call.name, arguments=prepared.arguments, tool_call_id=call.id))
        if isinstance(prepared, Refused):
            self._finish(call.id, ToolResult(prepared.text, ok=False), "failed", malformed=prepared.malformed)
        return prepared

    async def _decide(self, item: Prepared) -> bool | Asked:
        """True: run it. False: it was refused and has its result. Otherwise a person is asked."""
        assessment = await self._assess(item)
        if assessment is None:
            return False
        origin = self._trace(item, assessment)
        verdict = weigh(self._verdict(item.name, assessment), origin, item.name, assessment, self.session.mode)
        tell(self.events, self.session.state, item, origin, verdict.action)
        if verdict.action == "ask":
            return Asked(item, assessment, verdict, origin)
        if verdict.action == "deny":
            self._refuse(item.call_id, refusal(verdict.reason, origin))
            return False
        self.spending.reserve(item.call_id, item.name, assessment.cost)
        return True

    def _verdict(self, tool: str, assessment: Assessment) -> Verdict:
        if self.asker is not None:
            return self.asker.gate(tool, assessment)
        return self.session.policy.decide(tool, assessment, self.session.mode, self.session.budget)

    def _trace(self, item: Prepared, assessment: Assessment) -> Origin | None:
        return trace(item, assessment, self.session.state, self.host.router, self.host.instructions)

    async def _assess(self, item: Prepared) -> Assessment | None:
        """The tool's account of the call; None when it could not give one, and the call has failed."""
        if item.spec.assess is None:
            return READS_ONLY
        try:
            answer = item.spec.assess(item.params, self._context(item))
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:  # the border of foreign code: what cannot be judged is not run
            log.exception("the effects of a call of %s could not be determined", item.name)
            text = f"ERROR: {item.name} was NOT executed: what it would do could not be determined ({error})."
            self._finish(item.call_id, ToolResult(text, ok=False), "failed")
            return None

    def _refuse(self, call_id: str, reason: str) -> None:
        text = f"Refused, NOT executed: {reason}. Do not try the same thing in another way; say what you need instead."
        self._finish(call_id, ToolResult(text, ok=False), "rejected")

    # ------------------------------------------------------------------------------------------------- asking

    async def _ask(self, asked: list[Asked]) -> None:
        """Asks until everything is decided, then runs what may run. What a person edited may have to be asked again."""
        approved: list[Prepared] = []
        while asked:
            answer = await self._wait_for_answer(asked)
            if answer.message is not None:
                self.new_prompt = answer.message
                self._abandon(asked)
                break
            asked = await self._take_answer(asked, answer, approved)
        await self._run_all(approved)

    async def _wait_for_answer(self, asked: list[Asked]) -> Answer:
        pause = self.asker.pause if self.asker is not None else nullcontext
        with pause():
            async with self.pending.turn() as wanted:
                return await self._put_to_person(asked) if wanted else Answer({}, NOTHING_SAID)

    async def _put_to_person(self, asked: list[Asked]) -> Answer:
        ids = [item.prepared.call_id for item in asked]
        spent, cap = self.session.budget.totals.committed_usd, self.session.budget.cap_usd
        waiting = asyncio.create_task(self.pending.wait(ids))
        await asyncio.sleep(0)  # an answer may come from within the event's delivery: be waiting before it is sent
        items = tuple(item.as_item(self.asker, self.session.policy) for item in asked)
        self.events.emit(ApprovalRequired(tools=items, count=len(items), spent_usd=spent, cap_usd=cap))
        try:
            answer = await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            self.events.emit(ApprovalResolved(tool_call_ids=tuple(ids), how="withdrawn"))
            raise
        how = "decided" if answer.message is None else "abandoned"
        self.events.emit(ApprovalResolved(tool_call_ids=tuple(ids), how=how))
        return answer

    def _abandon(self, asked: list[Asked]) -> None:
        for item in asked:
            text = "Abandoned, NOT executed: the user went on with a new message instead of deciding."
            self._finish(item.prepared.call_id, ToolResult(text, ok=False), "abandoned")

    async def _take_answer(self, asked: list[Asked], answer: Answer, approved: list[Prepared]) -> list[Asked]:
        """Adds the calls that may run to `approved`; gives those that must be asked about again."""
        again: list[Asked] = []
        for item in asked:
            call_id = item.prepared.call_id
            decision = answer.decisions.get(call_id) or ApprovalDecision(tool_call_id=call_id, approved=False)
            if not decision.approved:
                self._reject(item.prepared, decision)
                continue
            decided = await self._approve(item, decision)
            if isinstance(decided, Asked):
                again.append(decided)
            elif decided is not None:
                approved.append(decided)
        return again

    def _reject(self, item: Prepared, decision: ApprovalDecision) -> None:
        feedback = printable(decision.feedback)
        if decision.by == "program":
            self._refuse(item.call_id, feedback or "nobody can be asked")
            return
        text = f"Rejected by the user, NOT executed: {item.name}."
        if feedback:
            text += f"{FEEDBACK}{feedback}"
        self._finish(item.call_id, ToolResult(text, ok=False), "rejected")

    async def _approve(self, asked: Asked, decision: ApprovalDecision) -> Prepared | Asked | None:
        """The call as approved, edits included; or as it must be asked about again; None when it has its result."""
        shown, edited = asked, bool(decision.edited_arguments)
        if edited:
            changed = await self._edit(asked, decision)
            if changed is None:
                return None
            asked = changed
        item, assessment = asked.prepared, asked.assessment
        verdict = self._verdict(item.name, assessment)
        # Asked again now that the calls before it hold their reservations: over the cap is only what was shown as such.
        over = verdict.over_cap and not shown.verdict.over_cap
        if verdict.action == "deny" or (over and not edited):
            self._refuse(item.call_id, verdict.reason)
            return None
        if edited and (over or is_dearer(assessment.cost, shown.assessment.cost, decision.edited_usd)):
            reason = f"with your changes it costs more than was shown; {verdict.reason}".removesuffix("; ")
            return replace(asked, verdict=replace(verdict, action="ask", reason=reason))
        if decision.remember:
            await remember(self.session.policy, item.name, assessment, decision, self.events)
        self.spending.reserve(item.call_id, item.name, assessment.cost)
        self._state(item.call_id, item.name, "approved")
        return with_note(item, asked.before) if asked.before is not None else item

    async def _edit(self, asked: Asked, decision: ApprovalDecision) -> Asked | None:
        """The call with the person's edits, assessed anew; None when they do not fit, and the call has failed."""
        item = asked.prepared
        arguments = {**item.arguments, **decision.edited_arguments}
        edited = self.host.router.prepare_arguments(item.call_id, item.name, arguments)
        if isinstance(edited, Refused):
            text = f"{edited.text}\n(The user had edited the arguments.)"
            self._finish(item.call_id, ToolResult(text, ok=False), "failed")
            return None
        self._arguments[item.call_id] = arguments
        assessment = await self._assess(edited)
        if assessment is None:
            return None
        before = item.arguments if asked.before is None else asked.before
        origin = self._trace(edited, assessment)
        return replace(asked, prepared=edited, assessment=assessment, origin=origin, before=before)

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
        context = self._contexts[item.call_id] = self._context(item)
        self._state(item.call_id, item.name, "running")
        began = self._began[item.call_id] = time.monotonic()
        stops = self.session.state.get(Stops)
        try:
            with stops.offered(item.call_id) if self.asker is None else nullcontext():
                result = await self.host.router.run(item, context)
        except asyncio.CancelledError:
            context.cancelled.set()
            if not stops.was_stopped(item.call_id):
                raise
            result = self._cut_off(item.call_id, "Stopped by the user before it had finished, while the turn goes on.")
            self._finish(item.call_id, result, "cancelled", time.monotonic() - began)
        else:
            self._finish(item.call_id, result, "completed" if result.ok else "failed", time.monotonic() - began)

    def _context(self, item: Prepared) -> ToolContext:
        def show(line: str) -> None:
            self.events.emit(ToolLog(tool=item.name, log=line, tool_call_id=item.call_id))

        def set_state(state: str, *, job_url: str | None = None, display: Any = ()) -> None:
            self.events.emit(
                ToolStateChange(
                    tool=item.name, tool_call_id=item.call_id, state=state, job_url=job_url, display=tuple(display)
                )
            )

        context = ToolContext(
            call_id=item.call_id,
            session_id=self.session.id,
            workspace=self.session.workspace,
            spill_dir=self.host.spill_dir(self.session.id),
            settings=self.host.settings,
            env=self.host.env,
            state=self.session.state,
            log=show,
            set_state=set_state,
            emit=self.events.emit,
            pay_as=partial(self.spending.pay_as, item.call_id),
            pay_later=self.spending.pay_later,
            measure=self.spending.measure,
            rent=partial(self.spending.rent, item.call_id),
            keep_image=self._keep_image,
        )
        if self.delegate is not None:
            context.delegate = partial(self.delegate, context)
        return context

    async def _keep_image(self, name: str, data: bytes) -> ImageRef:
        return await asyncio.to_thread(self.host.images.keep, self.session.id, name, data)

    # ------------------------------------------------------------------------------------------------- ending

    def _state(self, call_id: str, tool: str, state: ToolState) -> None:
        self.events.emit(ToolStateChange(tool=tool, tool_call_id=call_id, state=state))

    def _finish(
        self, call_id: str, result: ToolResult, state: ToolState, seconds: float = 0.0, *, malformed: bool = False
    ) -> None:
        """Gives a call its one result: told at once, into the history as soon as all calls before it have theirs."""
        if call_id in self.outcomes:
            return
        call = next(call for call in self.calls if call.id == call_id)
        self.outcomes[call_id] = Outcome(call, self._arguments.get(call_id, {}), result, malformed, seconds)
        self.spending.settle(call_id, call.name, result)
        log.info("tool %s %s after %.2f s, %d characters", call.name, state, seconds, len(result.text))
        self.events.emit(
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
        self._state(call_id, call.name, state)
        self._record()

    def _record(self) -> None:
        while self._recorded < len(self.calls) and (done := self.outcomes.get(self.calls[self._recorded].id)):
            self._recorded += 1
            result, call = done.result, done.call
            text = result.text or "(no output)"
            self.on_result(Message("tool", text, tool_call_id=call.id, name=call.name, images=result.images))
