"""Sub-agents: a second conversation that works on one assignment for a tool call, with a choice of the tools.

It goes round the same loop as the main agent: its calls pass the same approvals, its spending goes onto the same bill,
and an interrupt stops it the same way. What comes of it is one text, and however it ends, what it has found is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ml_intern.core.approvals.asking import Asker
from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.pending import NOTHING_SAID, PendingApprovals
from ml_intern.core.approvals.policy import Verdict
from ml_intern.core.calls.batch import STOP_GRACE_S, CallBatch
from ml_intern.core.calls.host import ToolHost
from ml_intern.core.context.digest import record_of
from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventStream
from ml_intern.core.exchange import Exchange, TurnEnd
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import LLM, RawToolCall
from ml_intern.core.loop import CallIds, Loop, Stuck
from ml_intern.core.protocol import Spoken, SubagentState
from ml_intern.core.redact import Redactor
from ml_intern.core.session import Session
from ml_intern.core.spending import ModelFacts, Spending
from ml_intern.core.subagent_events import SubagentEvents
from ml_intern.core.subagent_limits import WARN_AT, Gauge, Limits
from ml_intern.core.tools.fetched import as_data
from ml_intern.core.tools.output import shorten
from ml_intern.core.tools.router import ToolRouter
from ml_intern.core.tools.spec import ToolContext, ToolResult

log = logging.getLogger(__name__)

MONEY_SHARE = 0.5
"""Share of what is left under the spending cap that one sub-agent may use: the main agent has to go on afterwards."""
RESULT_CHARS = 8_000
"""Longer tool results are cut in the middle before the sub-agent sees them."""
RESULT_HEAD = 0.6
REPORT_S = 180.0
"""How long the report may take once everything else has ended."""
DIGEST_TOKENS = 3_000

_MODERATE = {"xhigh": "high", "max": "high"}
_READING = frozenset({Effect.READ, Effect.PUBLISH})

State = Literal["running", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a sub-agent is to do.

    Attributes:
        label: What it is for, for people.
        system_prompt: Its system prompt.
        task: Its one prompt.
        tools: Names of the tools it may use, as far as they exist.
        limits: When it has to come to an end.
        model: Model id; empty for the session's.
        effort: Reasoning effort; empty for the session's, `high` at most.
    """

    label: str
    system_prompt: str
    task: str
    tools: tuple[str, ...]
    limits: Limits
    model: str = ""
    effort: str = ""


@dataclass(frozen=True, slots=True)
class _Talk:
    """A sub-agent's own conversation."""

    id: str
    model: str
    effort: str
    stream: bool
    context: ContextManager


@dataclass(frozen=True, slots=True)
class Subagents:
    """Gives tool calls of a session a sub-agent each.

    Attributes:
        session: Whose calls, approvals and money they are.
        llm: The model.
        facts: Prices and window sizes.
        host: Tools and their surroundings.
        events: Where everything is told.
        pending: Where calls wait for approvals.
        spending: The bill and its cap.
        redactor: Takes secrets out of what is told of replies.
        ids: The ids that calls have in this session.
        on_prompt: Takes a prompt that came in place of an approval; it is for the main agent.
    """

    session: Session
    llm: LLM
    facts: ModelFacts
    host: ToolHost
    events: EventStream
    pending: PendingApprovals
    spending: Spending
    redactor: Redactor
    ids: CallIds
    on_prompt: Callable[[Spoken], None]

    async def run(self, context: ToolContext, assignment: Assignment) -> ToolResult:
        """Works on an assignment for the call of this context. An interrupted call salvages what was found."""
        return await _Subagent(self, context, assignment).run()


class _Subagent:
    def __init__(self, parts: Subagents, context: ToolContext, assignment: Assignment) -> None:
        session, self._parts, self._call, self._assignment = parts.session, parts, context, assignment
        self._router: ToolRouter = parts.host.router.subset(assignment.tools)
        self._talk = _Talk(
            session.id,
            assignment.model or session.model,
            assignment.effort or _MODERATE.get(session.effort, session.effort),
            session.stream,
            ContextManager(assignment.system_prompt, session.context.counter),
        )
        self._events = SubagentEvents(parts.events, context.call_id, context.log)
        self._exchange = Exchange(
            self._talk,
            parts.llm,
            parts.facts,
            self._router,
            self._events,
            parts.spending,
            parts.host.settings,
            parts.redactor,
            parts.host.images,
            kind="research",
        )
        self._loop = Loop(
            self._talk,
            self._exchange,
            self._events,
            parts.ids,
            batch_of=self._batch_of,
            on_prompt=self._on_prompt,
        )
        self._gauge = Gauge(assignment.limits, self._allowance())
        self._asker = Asker(f"asked by {assignment.label}", self._gate, self._gauge.clock.pause)
        self._iterations = 0
        self._warned = False

    async def run(self) -> ToolResult:
        """Works until there is a report, a limit is reached or nothing goes any more."""
        self._talk.context.append(Message("user", self._assignment.task))
        self._call.salvage = self._salvage
        self._tell("running")
        try:
            return await self._work()
        except asyncio.CancelledError:
            await self._loop.stop(STOP_GRACE_S / 2)  # whoever cancelled this waits no longer than twice as long
            self._tell("cancelled", "interrupted")
            raise
        except TurnEnd as end:
            return self._fail(end.notice)
        except Stuck as stuck:
            return self._fail(stuck.text)
        except LLMError as error:
            self._exchange.drop_partial()
            return self._fail(f"the model could not be used: {error.message}")
        except Exception as error:  # the edge of the sub-agent: a fault of ours must not cost what it has found
            log.exception("a sub-agent broke")
            await self._loop.stop(STOP_GRACE_S / 2, "a fault of ml-intern")
            return self._fail(f"something broke inside ml-intern ({type(error).__name__}: {error})")

    async def _work(self) -> ToolResult:
        try:
            async with self._gauge.clock.limit():
                while not (over := self._gauge.over(*self._used())):
                    self._warn()
                    reply = await self._exchange.ask()
                    self._iterations += 1
                    if await self._loop.take(reply):
                        return self._complete("".join(self._loop.answer))
                    self._tell("running")
        except TimeoutError:
            over = "its time"
            await self._loop.stop(by="the time limit")
        return await self._wrap_up(over)

    async def _wrap_up(self, over: str) -> ToolResult:
        """Asks for the report, since a limit does not let the work go on."""
        text = f"[Wrap up] You have used up {over}. No tool can be called any more. " + _REPORT_NOW
        self._talk.context.append(Message("user", text, kind="guard"))
        note = f"it had used up {over}"
        if self._talk.context.tokens > 0.97 * self._window:
            await self._exchange.shrink("", forced=True)
        try:
            async with asyncio.timeout(REPORT_S):
                reply = await self._exchange.ask(with_tools=False)
        except TimeoutError:
            await self._loop.stop()
            return self._fail(f"{note}, and the model did not write a report in time")
        self._iterations += 1
        if not reply.content.strip():
            return self._fail(f"{note}, and the model wrote no report")
        self._loop.take_last(reply)
        return self._complete(reply.content, note)

    # ---------------------------------------------------------------------------------------------- the limits

    @property
    def _window(self) -> int:
        return self._parts.facts.window(self._talk.model)

    def _allowance(self) -> float | None:
        """What its model calls may cost: its own limit, and not more than a share of what the session has left."""
        left = self._parts.session.budget.left_usd
        sums = [self._assignment.limits.usd, None if left is None else left * MONEY_SHARE]
        return min((usd for usd in sums if usd is not None), default=None)

    def _used(self) -> tuple[int, int, int, float]:
        return self._iterations, self._talk.context.tokens, self._window, self._exchange.cost_usd

    def _warn(self) -> None:
        if self._warned or not (near := self._gauge.near(*self._used())):
            return
        self._warned = True
        text = f"[Limit] You have used more than {WARN_AT:.0%} of {near}. " + _FINISH_SOON
        self._talk.context.append(Message("user", text, kind="guard"))
        self._call.log(f"more than {WARN_AT:.0%} of {near} is used: told to finish")

    # ------------------------------------------------------------------------------------------------ the calls

    def _batch_of(self, calls: tuple[RawToolCall, ...]) -> CallBatch:
        host, parts = replace(self._parts.host, router=self._router), self._parts
        return CallBatch(
            calls,
            parts.session,
            host,
            self._events,
            parts.pending,
            parts.spending,
            self._take_result,
            asker=self._asker,
        )

    def _take_result(self, message: Message) -> None:
        text = shorten(message.content, RESULT_CHARS, "", head_share=RESULT_HEAD)
        self._talk.context.append(replace(message, content=text))

    def _gate(self, tool: str, assessment: Assessment) -> Verdict:
        """A sub-agent is there to read: what goes further is asked about, or refused where nobody wants to be asked.

        Rules of the configuration hold as they do for the main agent.
        """
        session = self._parts.session
        if not assessment.effects - _READING or session.mode == "plan":
            return session.policy.decide(tool, assessment, session.mode, session.budget)
        verdict = session.policy.decide(tool, assessment, "ask", session.budget)
        if verdict.action == "ask" and session.mode == "yolo":
            reason = f"{self._assignment.label} only reads, and this goes further ({verdict.reason})"
            return replace(verdict, action="deny", reason=reason)
        return verdict

    async def _on_prompt(self, prompt: Spoken) -> None:
        """The person went on with something else: that is for the main agent, and this work ends."""
        if prompt is not NOTHING_SAID:
            self._parts.on_prompt(prompt)
        raise Stuck("abandoned", "the user went on with a new message instead of deciding")

    # -------------------------------------------------------------------------------------------------- the end

    def _complete(self, report: str, note: str = "") -> ToolResult:
        self._tell("completed", note)
        ending = f"\n\n[This ended early: {note}. What it could not look at is missing.]" if note else ""
        return ToolResult(report.strip() + ending)

    def _fail(self, why: str) -> ToolResult:
        self._tell("failed", why)
        return ToolResult(f"ERROR: It ended without a report: {why.rstrip('.')}.\n\n{self._findings()}", ok=False)

    def _salvage(self) -> str:
        """The findings of an interrupted call, marked here as data: such a result comes past whoever does it else."""
        return as_data(ToolResult(self._findings()), "research").text

    def _findings(self) -> str:
        """What was found so far, without a model: the calls with how their results begin, and what was said."""
        record = record_of(self._talk.context.messages[1:], DIGEST_TOKENS, self._talk.context.counter)
        if not record.strip():
            return "It had found nothing until then."
        return f"What it had found until then (a record, not a report):\n\n{record}"

    def _tell(self, state: State, note: str = "") -> None:
        tools, seconds = self._events.calls, self._gauge.clock.seconds
        self._parts.events.emit(
            SubagentState(
                agent_id=self._call.call_id,
                label=self._assignment.label,
                model=self._talk.model,
                state=state,
                tools=tools,
                tokens=self._exchange.tokens,
                cost_usd=round(self._exchange.cost_usd, 6),
                seconds=round(seconds, 1),
                note=note,
            )
        )
        if state == "running":
            return
        said = f"{state}{f' ({note})' if note else ''} · {tools} tool call{'' if tools == 1 else 's'}"
        cost = f" · ${self._exchange.cost_usd:.4f}" if self._exchange.cost_usd else ""
        self._call.log(f"{said} · {self._exchange.tokens:,} tokens{cost} · {seconds:.0f} s")


_REPORT_NOW = (
    "Write your report from what you have seen: what you found, with the source of each point, what you could not "
    "check, and what should be looked at next."
)
_FINISH_SOON = "Make only the calls you still need most, then write your report."
