"""One turn: ask the model, run its calls, repeat, until it answers or a limit ends it.

Whatever happens, a turn ends with exactly one of `turn_complete`, `error` and `interrupted`, and leaves a history that
is a valid request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.calls import CallBatch, ToolHost
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventStream
from ml_intern.core.exchange import Exchange, TurnEnd
from ml_intern.core.guards import GuardNotice, Guards
from ml_intern.core.ledger import Totals
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import LLM, RawToolCall, Reply
from ml_intern.core.protocol import (
    AssistantMessage,
    EndReason,
    ErrorEvent,
    Interrupted,
    Notice,
    Processing,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.snapshots import FileSnapshots
from ml_intern.core.spending import ModelFacts, Spending

log = logging.getLogger(__name__)


class _TurnFault(Exception):  # noqa: N818 - control flow, not an error
    """Ends the turn as failed, for a reason that is neither the model's error nor ours."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


@dataclass(slots=True)
class _Progress:
    """What the running turn has done so far.

    Attributes:
        before: What had been spent when it began.
        answer: The final answer, in pieces where it was cut off and continued.
        batch: The tool calls that run.
    """

    before: Totals = field(default_factory=Totals)
    iterations: int = 0
    answer: list[str] = field(default_factory=list)
    batch: CallBatch | None = None


class TurnRunner:
    """Runs the turns of a session, one at a time.

    Args:
        session: The conversation.
        llm: The model.
        facts: Prices and window sizes.
        host: Tools and their surroundings.
        events: Where everything is told.
        pending: Where a turn waits for approvals.
        settings: Configuration.
        today: The person's date.
    """

    def __init__(
        self,
        session: Session,
        llm: LLM,
        facts: ModelFacts,
        host: ToolHost,
        events: EventStream,
        pending: PendingApprovals,
        settings: Settings,
        today: Callable[[], date] = date.today,
    ) -> None:
        self.session = session
        self.steering: deque[str] = deque()
        self.spending = Spending(session, facts, events, settings.money)
        self.exchange = Exchange(session, llm, facts, host.router, events, self.spending, settings)
        self._host = host
        self._events = events
        self._pending = pending
        self._settings = settings
        self._guards = Guards()
        self._now = _Progress()
        self._call_ids = {call.id for message in session.context.messages for call in message.tool_calls}
        self._today = today
        self._told_day = today()

    async def run(self, prompt: str) -> None:
        """Runs one turn from a person's prompt to its end event. Cancelling it interrupts the turn."""
        self._now = _Progress(self.session.budget.totals)
        self._guards.begin_turn()
        self.exchange.begin_turn()
        self._deliver_steering()  # left over from a turn that ended before it could hear it
        self._hear(prompt)
        self._events.emit(Processing())
        try:
            reason = await self._loop()
        except asyncio.CancelledError:
            await self._stop_everything()
            self._events.emit(Interrupted())
        except TurnEnd as end:
            self._events.emit(Notice(text=end.notice, level="warning"))
            self._complete(end.reason)
        except _TurnFault as fault:
            self._events.emit(ErrorEvent(error=fault.text, kind=fault.kind))
        except LLMError as error:
            self.exchange.drop_partial()
            self._events.emit(ErrorEvent(error=error.message, kind=error.kind))
        except Exception as error:  # the worker's edge: a fault of ours ends the turn, never the app
            log.exception("the turn broke")
            await self._stop_everything()
            text = f"Something broke inside ml-intern ({type(error).__name__}: {error}). The log file has the details."
            self._events.emit(ErrorEvent(error=text, kind="internal"))
        else:
            self._complete(reason)
        finally:
            self.session.turns += 1

    async def compact(self, instructions: str = "") -> None:
        """Compacts because a person asked; says so when there is nothing to gain.

        Raises:
            LLMError: The summarising call failed in a way that no fallback covers.
        """
        before = self.session.context.tokens
        try:
            effective = await self.exchange.shrink(instructions, asked=True)
        except TurnEnd as end:
            self._events.emit(Notice(text=end.notice, level="warning"))
            return
        if not effective:
            text = f"Nothing to compact: the conversation takes {before:,} tokens, and all of them are recent."
            self._events.emit(Notice(text=text))
        self.tell_usage()

    def tell_usage(self) -> None:
        """Tells how full the context is and what was spent."""
        self.spending.tell()

    # --------------------------------------------------------------------------------------------------- loop

    async def _loop(self) -> EndReason:
        while self._now.iterations < self._settings.max_iterations:
            self._deliver_steering()
            self._tell_of_a_new_day()
            await self.exchange.make_room()
            reply = await self.exchange.ask()
            self._now.iterations += 1
            if await self._take(reply) and not self.steering:
                return "completed"
        limit = self._settings.max_iterations
        calls = f"{limit} model call{'' if limit == 1 else 's'}"
        text = f"Stopped after {calls}, the limit of one turn. Say `continue` to go on."
        raise TurnEnd("max_iterations", text)

    async def _take(self, reply: Reply) -> bool:
        """Takes a reply into the history and acts on it. True when it was the final answer."""
        if reply.tool_calls and reply.finish_reason == "length":
            self._record_reply(reply, calls=())
            self._apply(self._guards.truncated_calls([call.name for call in reply.tool_calls]), kind="truncated")
            return False
        if reply.tool_calls:
            self._now.answer.clear()  # an answer that was cut off and left for more work is not the final one
            calls = self._with_unique_ids(reply.tool_calls)
            await self._run_calls(reply, calls)
            return False
        return self._take_text(reply)

    def _take_text(self, reply: Reply) -> bool:
        if not reply.content.strip():
            return self._take_nothing(reply)
        self._record_reply(reply, calls=())
        if reply.finish_reason == "length":
            self._now.answer.append(reply.content)
            if notice := self._guards.truncated_text():
                self._apply(notice)
                return False
            text = "The answer was cut off at the model's output limit. Say `continue` to get the rest."
            self._events.emit(Notice(text=text, level="warning"))
            return True
        if notice := self._guards.unfinished_plan(self.session.plan):
            self._apply(notice)
            return False
        self._now.answer.append(reply.content)
        return True

    def _take_nothing(self, reply: Reply) -> bool:
        if reply.finish_reason == "content_filter":
            text = "The provider's content filter withheld the reply. Rephrase the prompt or choose another /model."
            raise LLMError("content_filter", text)
        if self._now.answer:
            return True
        if notice := self._guards.empty_reply():
            self._apply(notice)
            return False
        text = "The model sent empty replies: no text, no tool call. Send the prompt again or choose another /model."
        raise _TurnFault("empty_reply", text)

    def _complete(self, reason: EndReason) -> None:
        now, totals = self._now, self.session.budget.totals
        self._events.emit(
            TurnComplete(
                reason=reason,
                final_response="".join(now.answer),
                iterations=now.iterations,
                cost_usd=max(0.0, round(totals.spent_usd - now.before.spent_usd, 6)),
                estimated_usd=max(0.0, round(totals.estimated_usd - now.before.estimated_usd, 6)),
                unpriced_calls=max(0, totals.unknown - now.before.unknown),
                tokens=self.exchange.tokens,
                history_size=len(self.session.context.messages),
            )
        )

    # --------------------------------------------------------------------------------------------- the history

    def _hear(self, text: str, *, steered: bool = False) -> None:
        self.session.state.get(FileSnapshots).begin_prompt()
        self.session.context.append(Message("user", text))
        self._events.emit(UserMessage(content=text, steered=steered))

    def _deliver_steering(self) -> None:
        while self.steering:
            self._hear(self.steering.popleft(), steered=True)

    def _tell_of_a_new_day(self) -> None:
        """The system prompt names the day the session began, and stays as it is; a later day is told when it comes."""
        today = self._today()
        if today != self._told_day:
            self._told_day = today
            text = f"[Context] The day has changed: it is {today.isoformat()} now."
            self.session.context.append(Message("user", text, kind="context"))

    def _record_reply(self, reply: Reply, calls: Sequence[RawToolCall]) -> None:
        if reply.content.strip() or calls:
            self.session.context.append(
                Message(
                    "assistant",
                    reply.content,
                    tool_calls=tuple(call.as_history(_object_text(call.arguments)) for call in calls),
                    reasoning=reply.reasoning,
                    provider=reply.provider,
                )
            )
        if reply.content.strip() or reply.reasoning:
            self._events.emit(AssistantMessage(content=reply.content, reasoning=reply.reasoning))

    def _apply(self, notice: GuardNotice, kind: str = "repetition") -> None:
        """Tells the model, in a message that counts as nobody's prompt, and the person; ends what was told in vain."""
        if notice.stop:
            raise _TurnFault(kind, notice.notice_for_person)
        self.session.context.append(Message("user", notice.text_for_model, kind="guard"))
        self._events.emit(Notice(text=notice.notice_for_person, level="warning"))

    def _with_unique_ids(self, calls: Sequence[RawToolCall]) -> tuple[RawToolCall, ...]:
        """Some servers number the calls of every reply from zero; here an id names one call for good."""
        unique = []
        for call in calls:
            named = call if call.id and call.id not in self._call_ids else replace(call, id=f"call_{uuid.uuid4().hex}")
            self._call_ids.add(named.id)
            unique.append(named)
        return tuple(unique)

    async def _run_calls(self, reply: Reply, calls: tuple[RawToolCall, ...]) -> None:
        self._record_reply(reply, calls)
        batch = CallBatch(
            calls, self.session, self._host, self._events, self._pending, self.spending, self.session.context.append
        )
        self._now.batch = batch
        await batch.run()
        self._now.batch = None
        self.tell_usage()
        if batch.new_prompt is not None:
            self._hear(batch.new_prompt)
        for notice in self._guards.after_calls(batch.ordered()):
            self._apply(notice)

    async def _stop_everything(self) -> None:
        """After an interrupt or a fault: tools stopped, what was said kept and paid for, every call answered."""
        said = self.exchange.give_up()
        if self._now.batch is not None:
            await self._now.batch.stop()
            self._now.batch = None
        if said:
            self.session.context.append(Message("assistant", said))
            self._events.emit(AssistantMessage(content=said, partial=True))


def _object_text(arguments: str) -> str:
    """Arguments as the history keeps them: as they were if they are a JSON object, else an empty one."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return "{}"
    return arguments if isinstance(value, dict) else "{}"
