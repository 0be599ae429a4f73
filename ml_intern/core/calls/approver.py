"""Decides which calls may run: what each would do, what the policy says to it, and what a person says who is asked."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

from ml_intern.core.approvals.asking import Asked, Asker
from ml_intern.core.approvals.edits import is_dearer, printable, with_note
from ml_intern.core.approvals.effects import READS_ONLY, Assessment
from ml_intern.core.approvals.pending import NOTHING_SAID, Answer, PendingApprovals
from ml_intern.core.approvals.policy import Verdict
from ml_intern.core.approvals.remember import remember
from ml_intern.core.calls.host import ToolHost
from ml_intern.core.calls.results import Results
from ml_intern.core.events import EventSink
from ml_intern.core.origins.memory import FEEDBACK
from ml_intern.core.origins.watch import refusal, tell, trace, weigh
from ml_intern.core.protocol import ApprovalDecision, ApprovalRequired, ApprovalResolved, Origin, Spoken
from ml_intern.core.session import Session
from ml_intern.core.spending import Spending
from ml_intern.core.tools.router import Prepared, Refused
from ml_intern.core.tools.spec import ToolContext

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Approver:
    """Decides about the calls of one reply. Those that must not run get the result that says so.

    Attributes:
        session: Whose calls they are.
        host: Tools and their surroundings.
        events: Where it is told.
        pending: Where it waits for a person.
        spending: Where the costs of what may run are reserved.
        results: Takes the results of calls that must not run.
        context: Makes what a call is handed.
        asker: Who makes the calls, if it is not the main agent.
    """

    session: Session
    host: ToolHost
    events: EventSink
    pending: PendingApprovals
    spending: Spending
    results: Results
    context: Callable[[Prepared], ToolContext]
    asker: Asker | None = None

    async def decide(self, item: Prepared) -> bool | Asked:
        """True: run it. False: it was refused and has its result. Otherwise a person is to be asked."""
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

    async def ask(self, asked: list[Asked]) -> tuple[list[Prepared], Spoken | None]:
        """Asks until everything is decided. What a person edited may have to be asked again.

        Returns:
            The calls that may run, and what the person said in place of deciding the others.
        """
        approved: list[Prepared] = []
        while asked:
            answer = await self._wait_for_answer(asked)
            if answer.message is not None:
                self._abandon(asked)
                return approved, answer.message
            asked = await self._take_answer(asked, answer, approved)
        return approved, None

    # ------------------------------------------------------------------------------------------------ judging

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
            answer = item.spec.assess(item.params, self.context(item))
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:  # the border of foreign code: what cannot be judged is not run
            log.exception("the effects of a call of %s could not be determined", item.name)
            text = f"ERROR: {item.name} was NOT executed: what it would do could not be determined ({error})."
            self.results.refuse(item.call_id, text, "failed")
            return None

    def _refuse(self, call_id: str, reason: str) -> None:
        text = f"Refused, NOT executed: {reason}. Do not try the same thing in another way; say what you need instead."
        self.results.refuse(call_id, text, "rejected")

    # ------------------------------------------------------------------------------------------------- asking

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
            self.results.refuse(item.prepared.call_id, text, "abandoned")

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
        self.results.refuse(item.call_id, text, "rejected")

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
        self.results.tell_state(item.call_id, "approved")
        return with_note(item, asked.before) if asked.before is not None else item

    async def _edit(self, asked: Asked, decision: ApprovalDecision) -> Asked | None:
        """The call with the person's edits, assessed anew; None when they do not fit, and the call has failed."""
        item = asked.prepared
        arguments = {**item.arguments, **decision.edited_arguments}
        edited = self.host.router.prepare_arguments(item.call_id, item.name, arguments)
        if isinstance(edited, Refused):
            self.results.refuse(item.call_id, f"{edited.text}\n(The user had edited the arguments.)", "failed")
            return None
        self.results.arguments[item.call_id] = arguments
        assessment = await self._assess(edited)
        if assessment is None:
            return None
        before = item.arguments if asked.before is None else asked.before
        origin = self._trace(edited, assessment)
        return replace(asked, prepared=edited, assessment=assessment, origin=origin, before=before)
