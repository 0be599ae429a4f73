"""Answers what servers ask of the person and of the model, under the approvals and the budget of the session."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from ml_intern.core.approvals.asking import NO_OFFER, offer_of
from ml_intern.core.approvals.effects import Assessment, Cost, Effect
from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.approvals.policy import Verdict
from ml_intern.core.approvals.remember import remember
from ml_intern.core.context.messages import Message
from ml_intern.core.context.tokens import estimate
from ml_intern.core.display import TextBlock
from ml_intern.core.events import EventStream
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import LLM, Request, Usage
from ml_intern.core.protocol import (
    ApprovalItem,
    ApprovalRequired,
    ApprovalResolved,
    Notice,
    QuestionAsked,
    QuestionOption,
    Spoken,
)
from ml_intern.core.questions import Answered, Questions
from ml_intern.core.session import Session
from ml_intern.core.spending import ModelFacts, Spending
from ml_intern.tools.mcp.asking import Declined, Sample, Sampled
from ml_intern.tools.mcp.forms import Field, WrongAnswer

SAMPLING = "mcp_sampling"
"""What rules call it: `mcp_sampling` or `mcp_sampling(server)`."""

LEAVE_OUT = "leave it out"
_TRIES = 3


class Desk:
    """Implements `Attendant` for one session.

    Args:
        session: Whose model, mode, policy and budget it is.
        llm: The model.
        facts: Prices.
        spending: Where a reply is paid.
        events: Where a request is told.
        pending: Where it waits for a decision.
        questions: Where the person is asked something.
        attended: Whether somebody is there to answer.
        go_on: Takes a prompt that was entered in place of a decision.
    """

    def __init__(
        self,
        session: Session,
        llm: LLM,
        facts: ModelFacts,
        spending: Spending,
        events: EventStream,
        pending: PendingApprovals,
        *,
        questions: Questions,
        attended: bool,
        go_on: Callable[[Spoken], None],
    ) -> None:
        self._session = session
        self._llm = llm
        self._facts = facts
        self._spending = spending
        self._events = events
        self._pending = pending
        self._questions = questions
        self._attended = attended
        self._go_on = go_on
        self._one_by_one = asyncio.Lock()

    # -------------------------------------------------------------------------------------------------- the model

    async def sample(self, server: str, sample: Sample) -> Sampled:
        """A reply of the session's model, if the person or a rule allows it and the cap has room."""
        async with self._one_by_one:
            model, tokens = self._session.model, _tokens(sample)
            await self._allow(server, sample, self._assess(server, sample, model, tokens))
            if objection := self._spending.objection(model, tokens):
                raise Declined(objection)
            return await self._reply(sample, model, tokens)

    def _assess(self, server: str, sample: Sample, model: str, tokens: int) -> Assessment:
        worst = self._facts.charge(model, Usage(prompt_tokens=tokens, completion_tokens=sample.max_tokens)).usd
        texts = [f"[system]\n{sample.system}"] if sample.system else []
        texts += [f"[{role}]\n{text}" for role, text in sample.messages]
        return Assessment(
            effects=frozenset({Effect.EXTERNAL}),
            reasons=(f"the MCP server {server} wants a reply of {model}, which it will read and you pay for",),
            cost=Cost(worst, f"about {tokens:,} tokens in, {sample.max_tokens:,} out at most"),
            subject=server,
            display=(TextBlock(text="\n\n".join(texts), title=f"what {server} asks {model}"),),
        )

    async def _allow(self, server: str, sample: Sample, assessment: Assessment) -> None:
        """Returns when it is allowed.

        Raises:
            Declined: It is not.
        """
        session = self._session
        # Where nobody looks on, a mode that asks for nothing is no answer: only a rule is.
        mode = session.mode if self._attended or session.mode == "plan" else "ask"
        verdict = session.policy.decide(SAMPLING, assessment, mode, session.budget)
        if verdict.action == "allow":
            return
        if verdict.action == "deny":
            raise Declined(verdict.reason)
        if not self._attended:
            rule = f"the rule `{SAMPLING}({server})` under approvals.allow would allow it"
            raise Declined(f"nobody is here to allow it; {rule}")
        if self._pending.open:
            raise Declined("something else waits for the person")
        await self._ask_person(server, sample, assessment, verdict)

    async def _ask_person(self, server: str, sample: Sample, assessment: Assessment, verdict: Verdict) -> None:
        request_id = f"mcp-{uuid.uuid4().hex}"
        offer = offer_of(self._session.policy, SAMPLING, assessment) if verdict.rememberable else NO_OFFER
        item = ApprovalItem(
            tool=SAMPLING,
            arguments={"server": server, "max_tokens": sample.max_tokens},
            tool_call_id=request_id,
            reason=verdict.reason,
            estimated_cost_usd=assessment.cost.usd,
            cost_note=assessment.cost.note,
            rememberable=offer.allowance != "",
            allowance=offer.allowance,
            rule=offer.rule,
            standing=offer.standing,
            subject=assessment.subject,
            effects=tuple(assessment.effects),
            display=assessment.display,
        )
        budget = self._session.budget
        waiting = asyncio.create_task(self._pending.wait([request_id]))
        await asyncio.sleep(0)  # an answer may come from within the event's delivery: be waiting before it is sent
        spent = budget.totals.committed_usd
        self._events.emit(ApprovalRequired(tools=(item,), count=1, spent_usd=spent, cap_usd=budget.cap_usd))
        try:
            answer = await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            self._events.emit(ApprovalResolved(tool_call_ids=(request_id,), how="withdrawn"))
            raise
        how = "decided" if answer.message is None else "abandoned"
        self._events.emit(ApprovalResolved(tool_call_ids=(request_id,), how=how))
        if answer.message is not None:
            self._go_on(answer.message)
        decision = answer.decisions.get(request_id)
        if decision is None or not decision.approved:
            said = f": {decision.feedback}" if decision is not None and decision.feedback else ""
            raise Declined(f"the person said no{said}")
        if decision.remember:
            await remember(self._session.policy, SAMPLING, assessment, decision, self._events)

    async def _reply(self, sample: Sample, model: str, tokens: int) -> Sampled:
        system = (Message("system", sample.system),) if sample.system else ()
        messages = tuple(
            Message("assistant" if role == "assistant" else "user", text) for role, text in sample.messages
        )
        request = Request(
            model,
            (*system, *messages),
            stream=False,
            max_tokens=sample.max_tokens,
            kind="sampling",
            session_id=self._session.id,
        )
        try:
            reply = await self._llm.ask(request, on_notice=self._notice)
        except LLMError as error:
            raise Declined(f"the model could not be asked: {error.message}") from error
        except asyncio.CancelledError:
            usage = Usage(prompt_tokens=tokens, estimated=True)  # what was sent is paid for, whoever hears the answer
            self._spending.book_call(model, usage, "sampling", finish_reason="broken_off")
            raise
        self._spending.book_call(model, reply.usage, "sampling", reply.latency_ms, reply.finish_reason)
        return Sampled(reply.content, reply.model or model, reply.finish_reason)

    def _notice(self, text: str) -> None:
        self._events.emit(Notice(text=text))

    # ------------------------------------------------------------------------------------------------- the person

    async def fill_in(self, server: str, message: str, fields: tuple[Field, ...]) -> dict[str, Any]:
        """Asks for one field after the other; without fields, for a yes."""
        head = f"The MCP server {server} asks: {message}"
        async with self._one_by_one:
            if not fields:
                await self._put(head, ("yes", "no"), wanted="yes")
                return {}
            answers: dict[str, Any] = {}
            for number, field in enumerate(fields, 1):
                place = f" ({number} of {len(fields)})" if len(fields) > 1 else ""
                found, value = await self._fill(f"{head}\n\n{_describe(field)}{place}", field)
                if found:
                    answers[field.name] = value
            return answers

    async def visit(self, server: str, message: str, url: str) -> None:
        """Shows an address; the person opens it, or does not."""
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise Declined("its address is not safe to open")
        text = f"The MCP server {server} asks you to open an address in your browser: {message}\n\n{url}"
        async with self._one_by_one:
            await self._put(
                f"{text}\n\nOpen it only if you trust the host.", ("I have opened it", "no"), wanted="I have"
            )

    async def _put(self, text: str, options: tuple[str, ...], *, wanted: str) -> None:
        answered = await self._question(text, tuple(QuestionOption(label=label) for label in options))
        if not any(said.startswith(wanted) for said in (*answered.choices, answered.text.strip())):
            raise Declined("the person said no")

    async def _fill(self, text: str, field: Field) -> tuple[bool, Any]:
        """Whether the field was filled in, and with what."""
        options = [QuestionOption(label=label) for label in field.labels]
        if field.default is not None and not field.labels:
            options.append(QuestionOption(label=str(field.default), description="what the server proposes"))
        if not field.required:
            options.append(QuestionOption(label=LEAVE_OUT))
        problem = ""
        for _ in range(_TRIES):
            answered = await self._question(
                f"{text}{problem}", tuple(options), multiple=field.kind == "choices", free_text=not field.labels
            )
            said = tuple(filter(None, (*answered.choices, answered.text.strip())))
            if not field.required and LEAVE_OUT in said:
                return False, None
            try:
                return True, field.chosen(said) if field.labels else field.value(said[-1])
            except WrongAnswer as wrong:
                problem = f"\n\nThat does not fit: {wrong}."
        raise Declined("the answers did not fit")

    async def _question(
        self, text: str, options: tuple[QuestionOption, ...], *, multiple: bool = False, free_text: bool = False
    ) -> Answered:
        """The answer, which is not empty.

        Raises:
            Declined: There is none.
        """
        if not self._attended:
            raise Declined("nobody is here to answer")
        question = QuestionAsked(
            question_id=f"mcp-{uuid.uuid4().hex}",
            question=text,
            options=options,
            multiple=multiple,
            free_text=free_text or not options,
        )
        answered = await self._questions.ask(question, self._events.emit)
        if answered.how != "answered" or not (answered.choices or answered.text.strip()):
            raise Declined("the person does not want to answer")
        return answered


def _tokens(sample: Sample) -> int:
    return estimate("\n".join((sample.system, *(text for _, text in sample.messages)))) + 8 * len(sample.messages)


def _describe(field: Field) -> str:
    return f"{field.label}: {field.help}" if field.help else field.label
