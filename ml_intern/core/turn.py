"""One turn: ask the model, run its calls, repeat, until it answers or a limit ends it.

Whatever happens, a turn ends with exactly one of `turn_complete`, `error` and `interrupted`, and leaves a history that
is a valid request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.asides import Asides
from ml_intern.core.calls.batch import CallBatch
from ml_intern.core.calls.host import ToolHost
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventStream
from ml_intern.core.exchange import Exchange, TurnEnd
from ml_intern.core.hearing import Heard, Hearing, Mentions, no_mentions
from ml_intern.core.ledger import Totals
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import LLM, RawToolCall
from ml_intern.core.loop import CallIds, Loop, Stuck
from ml_intern.core.notes import ModelNotes
from ml_intern.core.once import Once
from ml_intern.core.protocol import (
    DraftCall,
    EndReason,
    ErrorEvent,
    Interrupted,
    Notice,
    Processing,
    Spoken,
    ToolDrafts,
    TurnComplete,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.snapshots import FileSnapshots
from ml_intern.core.spending import ModelFacts, Spending

if TYPE_CHECKING:
    from ml_intern.core.subagent import Assignment, Subagents
    from ml_intern.core.tools.spec import ToolContext, ToolResult

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Progress:
    """What the running turn has done so far.

    Attributes:
        before: What had been spent when it began.
        tokens_before: What model calls had taken when it began.
        iterations: Model calls so far.
    """

    before: Totals = field(default_factory=Totals)
    tokens_before: int = 0
    iterations: int = 0


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
        redactor: Takes secrets out of what is told of replies.
        today: The person's date.
        mentions: Finds what a prompt names as `@path`.
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
        redactor: Redactor,
        today: Callable[[], date] = date.today,
        mentions: Mentions = no_mentions,
    ) -> None:
        self.session = session
        self.steering: deque[Spoken] = deque()
        self.interrupted_because = ""
        self.spending = Spending(session, facts, events, settings.money)
        self.exchange = Exchange(
            session,
            llm,
            facts,
            host.router,
            events,
            self.spending,
            settings,
            redactor,
            host.images,
            on_drafts=self._tell_drafts,
        )
        self.asides = Asides(session, self.exchange, llm, self.spending, events)
        self._llm = llm
        self._hearing = Hearing(session, host.images, mentions)
        self._host = host
        self._events = events
        self._pending = pending
        self._settings = settings
        self._now = _Progress()
        self._ids = CallIds()
        self._loop = Loop(
            session,
            self.exchange,
            events,
            self._ids,
            batch_of=self._batch_of,
            on_prompt=self._hear,
            plan=lambda: self.session.plan,
        )
        self._subagents = Once(partial(self._make_subagents, llm, facts, redactor, self._ids))
        self._today = today
        self._told_day = today()
        self.take_over()

    def _tell_drafts(self, calls: tuple[DraftCall, ...]) -> None:
        self._events.mention(ToolDrafts(calls=calls))

    async def run(self, prompt: Spoken) -> None:
        """Runs one turn from a person's prompt to its end event. Cancelling it interrupts the turn."""
        self._now = _Progress(self.session.budget.totals, self.spending.tokens)
        self._loop.begin()
        try:
            await self._deliver_steering()  # left over from a turn that ended before it could hear it
            await self._hear(prompt)
            self._events.emit(Processing())
            reason = await self._go_round()
        except asyncio.CancelledError:
            try:
                await self._loop.stop(because=self.interrupted_because)
            finally:  # somebody may not want to wait for it to stop, and it has ended all the same
                self._events.emit(Interrupted())
        except TurnEnd as end:
            self._events.emit(Notice(text=end.notice, level="warning"))
            self._complete(end.reason)
        except Stuck as fault:
            self._events.emit(ErrorEvent(error=fault.text, kind=fault.kind))
        except LLMError as error:
            self.exchange.drop_partial()
            self._events.emit(ErrorEvent(error=error.message, kind=error.kind))
        except Exception as error:  # the worker's edge: a fault of ours ends the turn, never the app
            log.exception("the turn broke")
            await self._loop.stop()
            text = f"Something broke inside ml-intern ({type(error).__name__}: {error}). The log file has the details."
            self._events.emit(ErrorEvent(error=text, kind="internal"))
        else:
            self._complete(reason)
        finally:
            self.session.turns += 1

    def take_over(self) -> None:
        """Knows what the session has had before: its calls and its spending."""
        self._ids.take(call.id for message in self.session.context.messages for call in message.tool_calls)
        self.spending.take_over()

    def take_up(self, said: str, heard: str, model: str, *, paid: bool) -> None:
        """Leaves the reply within which an earlier run was killed as an interrupt would have left it.

        Args:
            said: The text that had come.
            heard: All that had come, reasoning too.
            model: Who was asked.
            paid: Whether it is on the bill already.
        """
        if not paid:
            self.exchange.bill_unfinished(model, heard)
        self._loop.keep_unfinished(said)
        self._events.emit(Interrupted())

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

    async def _go_round(self) -> EndReason:
        while self._now.iterations < self._settings.max_iterations:
            await self._deliver_steering()
            self._tell_of_a_new_day()
            self._deliver_notes()
            await self.exchange.make_room()
            reply = await self.exchange.ask()
            self._now.iterations += 1
            done = await self._loop.take(reply)
            if reply.tool_calls:
                self.tell_usage()
            if done and not self.steering:
                return "completed"
        limit = self._settings.max_iterations
        calls = f"{limit} model call{'' if limit == 1 else 's'}"
        text = f"Stopped after {calls}, the limit of one turn. Say `continue` to go on."
        raise TurnEnd("max_iterations", text)

    def _complete(self, reason: EndReason) -> None:
        now, totals = self._now, self.session.budget.totals
        self._events.emit(
            TurnComplete(
                reason=reason,
                final_response=self.exchange.clean("".join(self._loop.answer)),
                iterations=now.iterations,
                cost_usd=max(0.0, round(totals.spent_usd - now.before.spent_usd, 6)),
                estimated_usd=max(0.0, round(totals.estimated_usd - now.before.estimated_usd, 6)),
                unpriced_calls=max(0, totals.unknown - now.before.unknown),
                tokens=self.spending.tokens - now.tokens_before,
                history_size=len(self.session.context.messages),
            )
        )

    # --------------------------------------------------------------------------------------------- the history

    async def _hear(self, spoken: Spoken, *, steered: bool = False) -> None:
        try:
            heard = await self._hearing.take(spoken)
        except asyncio.CancelledError:
            self._take_in(Heard(spoken.text, attached=spoken.attached), steered)  # what was said is not to be lost
            raise
        self._take_in(heard, steered)

    def _take_in(self, heard: Heard, steered: bool) -> None:
        self.session.state.get(FileSnapshots).begin_prompt()
        for message in heard.messages():
            self.session.context.append(message)
        self._events.emit(heard.event(steered=steered))
        problems = list(heard.problems)
        if heard.images and self._llm.takes_images(self.session.model) is False:
            problems.append(f"{self.session.model} takes no images: it is told their names only.")
        for problem in problems:
            self._events.emit(Notice(text=problem, level="warning"))

    async def _deliver_steering(self) -> None:
        while self.steering:
            await self._hear(self.steering.popleft(), steered=True)

    def _tell_of_a_new_day(self) -> None:
        """The system prompt names the day the session began, and stays as it is; a later day is told when it comes."""
        today = self._today()
        if today != self._told_day:
            self._told_day = today
            text = f"[Context] The day has changed: it is {today.isoformat()} now."
            self.session.context.append(Message("user", text, kind="context"))

    def _deliver_notes(self) -> None:
        if notes := self.session.state.get(ModelNotes).take():
            self.session.context.append(Message("user", f"[Context] {notes}", kind="context"))

    async def _delegate(self, context: ToolContext, assignment: Assignment) -> ToolResult:
        return await self._subagents().run(context, assignment)

    def _make_subagents(self, llm: LLM, facts: ModelFacts, redactor: Redactor, ids: CallIds) -> Subagents:
        from ml_intern.core.subagent import Subagents

        return Subagents(
            self.session,
            llm,
            facts,
            self._host,
            self._events,
            self._pending,
            self.spending,
            redactor,
            ids,
            on_prompt=self.steering.append,
        )

    def _batch_of(self, calls: tuple[RawToolCall, ...]) -> CallBatch:
        return CallBatch(
            calls,
            self.session,
            self._host,
            self._events,
            self._pending,
            self.spending,
            self.session.context.append,
            delegate=self._delegate,
        )
