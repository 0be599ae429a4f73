"""The tool calls of one reply: prepared, decided, asked about, run side by side, each result told at once.

However a batch ends (done, interrupted, abandoned), every call of the reply gets exactly one result.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ml_intern.core.approvals.effects import READS_ONLY, Assessment
from ml_intern.core.approvals.pending import Answer, PendingApprovals
from ml_intern.core.approvals.policy import Verdict
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventStream
from ml_intern.core.llm.types import RawToolCall
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalItem,
    ApprovalRequired,
    ApprovalResolved,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolState,
    ToolStateChange,
)
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.spending import Spending
from ml_intern.core.tools.router import Prepared, Refused, ToolRouter
from ml_intern.core.tools.spec import ToolContext, ToolResult

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
    """

    router: ToolRouter
    settings: Settings
    env: Mapping[str, str]
    spill_dir: Callable[[str], Path]


@dataclass(slots=True)
class Outcome:
    """The one result of a call, and what the guards need to know of it."""

    call: RawToolCall
    arguments: dict[str, Any]
    result: ToolResult
    malformed: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class _Asked:
    """A call that waits for a person."""

    prepared: Prepared
    assessment: Assessment
    verdict: Verdict


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
    """

    calls: tuple[RawToolCall, ...]
    session: Session
    host: ToolHost
    events: EventStream
    pending: PendingApprovals
    spending: Spending
    on_result: Callable[[Message], None]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    new_prompt: str | None = None
    _arguments: dict[str, dict[str, Any]] = field(default_factory=dict)
    _recorded: int = 0
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _began: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Runs the batch to its end. When cancelled, call `stop` next."""
        prepared = [self._announce(call) for call in self.calls]
        runnable = [item for item in prepared if isinstance(item, Prepared)]
        allowed: list[Prepared] = []
        asked: list[_Asked] = []
        for item in runnable:
            decision = await self._decide(item)
            if isinstance(decision, _Asked):
                asked.append(decision)
            elif decision:
                allowed.append(item)
        await self._run_all(allowed)
        if asked:
            await self._ask(asked)

    async def stop(self) -> None:
        """Ends the batch early: running tools are cancelled, and every call without a result gets one that says so."""
        for task in self._running.values():
            if not task.cancelling():  # a second cancellation would break into a tool's own tidying up
                task.cancel()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=STOP_GRACE_S)
        for call in self.calls:
            if call.id not in self.outcomes:
                seconds = time.monotonic() - self._began[call.id] if call.id in self._began else 0.0
                self._finish(call.id, self._stub(call.id), "cancelled", seconds)

    def _stub(self, call_id: str) -> ToolResult:
        """The result of a call that an interrupt kept from finishing, or from starting at all."""
        if call_id not in self._running:
            return ToolResult("Not executed: the user interrupted the turn first.", ok=False)
        text = "Interrupted by the user before it had finished. What it had done so far is not undone."
        self.spending.keep(call_id)
        return ToolResult(text, ok=False)

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

    async def _decide(self, item: Prepared) -> bool | _Asked:
        """True: run it. False: it was refused and has its result. Otherwise a person is asked."""
        assessment = await self._assess(item)
        if assessment is None:
            return False
        verdict = self.session.policy.decide(item.name, assessment, self.session.mode, self.session.budget)
        if verdict.action == "ask":
            return _Asked(item, assessment, verdict)
        if verdict.action == "deny":
            self._refuse(item.call_id, verdict.reason)
            return False
        self.spending.reserve(item.call_id, item.name, assessment.cost)
        return True

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

    async def _ask(self, asked: list[_Asked]) -> None:
        ids = [item.prepared.call_id for item in asked]
        spent, cap = self.session.budget.totals.committed_usd, self.session.budget.cap_usd
        waiting = asyncio.create_task(self.pending.wait(ids))
        await asyncio.sleep(0)  # an answer may come from within the event's delivery: be waiting before it is sent
        items = tuple(self._approval_item(item) for item in asked)
        self.events.emit(ApprovalRequired(tools=items, count=len(items), spent_usd=spent, cap_usd=cap))
        try:
            answer = await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            self.events.emit(ApprovalResolved(tool_call_ids=tuple(ids), how="withdrawn"))
            raise
        how = "decided" if answer.message is None else "abandoned"
        self.events.emit(ApprovalResolved(tool_call_ids=tuple(ids), how=how))
        if answer.message is not None:
            self.new_prompt = answer.message
            self._abandon(asked)
        else:
            await self._carry_out(asked, answer)

    def _approval_item(self, asked: _Asked) -> ApprovalItem:
        item, assessment = asked.prepared, asked.assessment
        return ApprovalItem(
            tool=item.name,
            arguments=item.arguments,
            tool_call_id=item.call_id,
            reason=asked.verdict.reason,
            estimated_cost_usd=assessment.cost.usd,
            cost_note=assessment.cost.note,
            editable=assessment.editable,
            rememberable=asked.verdict.rememberable,
            display=assessment.display,
            checks=assessment.checks,
        )

    def _abandon(self, asked: list[_Asked]) -> None:
        for item in asked:
            text = "Abandoned, NOT executed: the user went on with a new message instead of deciding."
            self._finish(item.prepared.call_id, ToolResult(text, ok=False), "abandoned")

    async def _carry_out(self, asked: list[_Asked], answer: Answer) -> None:
        approved: list[Prepared] = []
        for item in asked:
            call_id = item.prepared.call_id
            decision = answer.decisions.get(call_id) or ApprovalDecision(tool_call_id=call_id, approved=False)
            if not decision.approved:
                self._reject(item.prepared, decision)
            elif prepared := await self._approve(item, decision):
                approved.append(prepared)
        await self._run_all(approved)

    def _reject(self, item: Prepared, decision: ApprovalDecision) -> None:
        feedback = _printable(decision.feedback)
        if decision.by == "program":
            self._refuse(item.call_id, feedback or "nobody can be asked")
            return
        text = f"Rejected by the user, NOT executed: {item.name}."
        if feedback:
            text += f" User feedback: {feedback}"
        self._finish(item.call_id, ToolResult(text, ok=False), "rejected")

    async def _approve(self, asked: _Asked, decision: ApprovalDecision) -> Prepared | None:
        """The call as approved, edits included; None when the edit does not fit or a deny rule stands against it."""
        item, assessment = asked.prepared, asked.assessment
        if decision.edited_arguments:
            edited = await self._edit(item, decision)
            if edited is None:
                return None
            item, assessment = edited
        budget, policy = self.session.budget, self.session.policy
        verdict = policy.decide(item.name, assessment, self.session.mode, budget)
        # Asked again now that the calls before it hold their reservations: over the cap is only what was shown as such.
        if verdict.action == "deny" or (verdict.over_cap and not asked.verdict.over_cap):
            self._refuse(item.call_id, verdict.reason)
            return None
        if decision.remember:
            policy.allow_in_session(item.name, assessment)
        self.spending.reserve(item.call_id, item.name, assessment.cost)
        self._state(item.call_id, item.name, "approved")
        return _with_note(item, decision) if decision.edited_arguments else item

    async def _edit(self, item: Prepared, decision: ApprovalDecision) -> tuple[Prepared, Assessment] | None:
        """The call with the person's edits, assessed anew; None when they do not fit, and the call has failed."""
        arguments = {**item.arguments, **decision.edited_arguments}
        edited = self.host.router.prepare_arguments(item.call_id, item.name, arguments)
        if isinstance(edited, Refused):
            text = f"{edited.text}\n(The user had edited the arguments.)"
            self._finish(item.call_id, ToolResult(text, ok=False), "failed")
            return None
        self._arguments[item.call_id] = arguments
        assessment = await self._assess(edited)
        return None if assessment is None else (edited, assessment)

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
        context = self._context(item)
        self._state(item.call_id, item.name, "running")
        began = self._began[item.call_id] = time.monotonic()
        try:
            result = await self.host.router.run(item, context)
        except asyncio.CancelledError:
            context.cancelled.set()
            raise
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

        return ToolContext(
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
        )

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
            )
        )
        self._state(call_id, call.name, state)
        self._record()

    def _record(self) -> None:
        while self._recorded < len(self.calls) and (done := self.outcomes.get(self.calls[self._recorded].id)):
            self._recorded += 1
            self.on_result(
                Message("tool", done.result.text or "(no output)", tool_call_id=done.call.id, name=done.call.name)
            )


def _with_note(item: Prepared, decision: ApprovalDecision) -> Prepared:
    """The call, its result beginning with a line that tells the model what the person changed."""
    changed = ", ".join(decision.edited_arguments)
    handler = item.spec.handler

    async def annotated(params: Any, context: ToolContext) -> ToolResult:
        result = await handler(params, context)
        note = f"[The user edited {changed} before approving; this is the result of the edited version.]"
        return replace(result, text=f"{note}\n{result.text}")

    return replace(item, spec=replace(item.spec, handler=annotated))


def _printable(text: str) -> str:
    """A person's words without control characters, their case kept."""
    return "".join(char for char in text if char in "\n\t" or ord(char) >= 32).strip()
