"""The exchange with the model: one request, its reply as it streams in, its price, and the room it needs."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ml_intern.core.context.compaction import ContextLimitReached, compact
from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.messages import Message
from ml_intern.core.drafts import Drafts
from ml_intern.core.events import EventSink
from ml_intern.core.image_store import ImageStore
from ml_intern.core.images import within_limits
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import LLM, CallKind, Delta, Reply, Request, Usage
from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantStreamEnd,
    Compacted,
    DraftCall,
    EndReason,
    Notice,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.core.spending import ModelFacts, Spending
from ml_intern.core.stream_text import Kind, StreamText
from ml_intern.core.tools.router import ToolRouter

log = logging.getLogger(__name__)

MAX_FORCED_COMPACTIONS = 2
"""How often one request may answer a provider's "too long" with a compaction before the turn gives up."""

COUNT_WELL_AT = 0.5
"""Share of the window from which tokens are counted with a real vocabulary instead of an estimate."""


class TurnEnd(Exception):  # noqa: N818 - control flow, not an error
    """A limit ends the turn, wherever it stands."""

    def __init__(self, reason: EndReason, notice: str) -> None:
        super().__init__(notice)
        self.reason: EndReason = reason
        self.notice = notice


class Conversation(Protocol):
    """What is talked about with a model, and with which one: a session, or what a sub-agent has of its own."""

    @property
    def id(self) -> str:
        """Sent along where the provider knows a session."""
        ...

    @property
    def model(self) -> str:
        """Full id of the model in use."""
        ...

    @property
    def effort(self) -> str:
        """Reasoning effort, `off` for none."""
        ...

    @property
    def stream(self) -> bool:
        """Whether replies are streamed."""
        ...

    @property
    def context(self) -> ContextManager:
        """What the model sees."""
        ...


class Exchange:
    """Asks the model on behalf of turns, one request at a time.

    Args:
        session: The conversation.
        llm: The model.
        facts: Prices and window sizes.
        router: The tools the model is offered.
        events: Where everything is told.
        spending: The bill and its cap.
        settings: Configuration.
        redactor: Takes secrets out of what is told of replies.
        images: Where the bytes of the conversation's images are.
        kind: What its calls are for; goes into the ledger.
        on_drafts: Is told of calls while the model still writes them.

    Attributes:
        tokens: What the running turn's calls have taken, prompts and replies together.
        cost_usd: What they have cost, as far as prices are known.
    """

    def __init__(
        self,
        session: Conversation,
        llm: LLM,
        facts: ModelFacts,
        router: ToolRouter,
        events: EventSink,
        spending: Spending,
        settings: Settings,
        redactor: Redactor,
        images: ImageStore,
        kind: CallKind = "main",
        on_drafts: Callable[[tuple[DraftCall, ...]], object] | None = None,
    ) -> None:
        self.tokens = 0
        self.cost_usd = 0.0
        self._kind: CallKind = kind
        self._session = session
        self._llm = llm
        self._facts = facts
        self._router = router
        self._events = events
        self._spending = spending
        self._settings = settings
        self._redactor = redactor
        self._text = StreamText(redactor, self._tell_piece)
        self._images = images
        self._drafts = Drafts(redactor, on_drafts) if on_drafts is not None else None
        self._asked = ""  # the model whose reply streams in
        self._partial: list[str] = []  # its text so far
        self._heard: list[str] = []  # everything it has said, reasoning too
        self._streaming = False
        self._first_piece_at: float | None = None
        self._refusals = 0  # "too long", in a row

    def begin_turn(self) -> None:
        """Forgets the last turn."""
        self.tokens = self._refusals = 0
        self.cost_usd = 0.0

    async def ask(self, *, with_tools: bool = True) -> Reply:
        """One reply, accounted for. "Too long" is answered with a compaction, a bounded number of times.

        Args:
            with_tools: False offers the model no tools, so that it can only write.
        """
        while True:
            began, request = time.monotonic(), await self.request(with_tools=with_tools)
            self._first_piece_at, self._asked = None, request.model
            if log.isEnabledFor(logging.DEBUG):
                log.debug("request: %s", json.dumps([message.record() for message in request.messages]))
            try:
                reply = await self._pay_for(request, self._session.context.tokens)
            except LLMError as error:
                if error.kind != "context_overflow":
                    raise
                self.drop_partial()
                await self._after_overflow(error)
                continue
            self._refusals = 0  # progress: a later refusal is a new one
            self._log_reply(reply, began)
            return reply

    def _log_reply(self, reply: Reply, began: float) -> None:
        """Where the time of a model call went, for the log file."""
        total = time.monotonic() - began
        first = total if self._first_piece_at is None else self._first_piece_at - began
        speed = reply.usage.completion_tokens / max(total - first, 0.001)
        log.info(
            "model call of %s: first piece after %.2f s, %.2f s in all, %d tokens in, %d out (%.0f/s), %s",
            self._session.model,
            first,
            total,
            reply.usage.prompt_tokens,
            reply.usage.completion_tokens,
            speed,
            reply.finish_reason,
        )
        if log.isEnabledFor(logging.DEBUG):
            log.debug("reply: %r", reply)

    async def _pay_for(self, request: Request, prompt_tokens: int) -> Reply:
        """A model call, if the spending cap allows it. Every call of a turn comes this way, and so onto the bill."""
        if objection := self._spending.objection(request.model, prompt_tokens):
            text = f"Stopped at the spending cap: {objection}. Raise it with --max-cost to go on."
            raise TurnEnd("cost_limit", text)
        spoken = request.kind == self._kind
        reply = await self._llm.ask(request, self._on_delta if spoken else None, self._on_notice)
        if spoken:
            self._end_stream()
            self._session.context.record_usage(reply.usage)
        self.bill(request.model, reply.usage, request.kind, reply.latency_ms, reply.finish_reason)
        return reply

    async def request(self, *, with_tools: bool = True) -> Request:
        """The conversation as it stands, as a request.

        Args:
            with_tools: False offers the model no tools, so that it can only write.
        """
        session = self._session
        messages = session.context.request_messages()
        images = await self._shown(session.model, messages)
        return Request(
            model=session.model,
            messages=messages,
            tools=self._router.wire() if with_tools else (),
            stream=session.stream,
            effort="" if session.effort == "off" else session.effort,
            kind=self._kind,
            session_id=session.id,
            images=images,
        )

    async def _shown(self, model: str, messages: Sequence[Message]) -> Mapping[str, str]:
        """The images that go out with these messages, read and encoded only now."""
        images = within_limits([image for message in messages for image in message.images])
        if not images or self._llm.takes_images(model) is False:
            return {}
        return await asyncio.to_thread(self._images.encode, self._session.id, images)

    async def _after_overflow(self, error: LLMError) -> None:
        self._facts.learn_window(self._session.model, error.detail)
        self._refusals += 1
        gained = self._refusals <= MAX_FORCED_COMPACTIONS and await self.shrink("", forced=True)
        # A short conversation has nothing to give up, and the refusal may have been a whim: once more as it is.
        if not gained and self._refusals > 1:
            text = (
                f"The conversation does not fit {self._session.model}, and compacting it did not help: {error.message} "
                "Start afresh with /new or choose a model with a larger window with /model."
            )
            raise TurnEnd("context_limit", text)

    def _on_delta(self, delta: Delta) -> None:
        if self._first_piece_at is None:
            self._first_piece_at = time.monotonic()
        self._heard.append(delta.text)
        if delta.kind == "text" or delta.kind == "reasoning":
            self._streaming = True
            if delta.kind == "text":
                self._partial.append(delta.text)
            if self._session.stream:
                self._text.take(delta.kind, delta.text)
        elif delta.kind == "restart":
            self.drop_partial()
        else:
            self._text.flush()  # a call may take long to be written, and the words before it are whole
            self._draft(delta)

    def _draft(self, delta: Delta) -> None:
        if self._drafts is not None and self._session.stream:
            take = self._drafts.name if delta.kind == "tool_name" else self._drafts.arguments
            take(delta.index, delta.text)

    def _end_drafts(self) -> None:
        if self._drafts is not None:
            self._drafts.end()

    def _tell_piece(self, kind: Kind, text: str) -> None:
        self._events.emit(AssistantChunk(content=text, kind=kind))

    def clean(self, text: str) -> str:
        """What people get to see of a text of the model."""
        return self._redactor.text(text)

    def _on_notice(self, text: str) -> None:
        log.info("notice: %s", text)
        self._events.emit(Notice(text=text, level="warning"))

    def give_up(self) -> str:
        """Ends a reply that is still coming in: what it cost is booked, and its text so far given back."""
        self._text.end()
        self._end_drafts()
        self._bill_unfinished()
        said, streaming = "".join(self._partial), self._streaming
        if streaming:
            self._end_stream()
        return said

    def drop_partial(self) -> None:
        """What a broken-off attempt had said is void, but paid for."""
        self._text.end()
        self._end_drafts()
        self._bill_unfinished()
        if self._streaming and self._session.stream:
            self._events.emit(AssistantStreamEnd(discarded=True))
        self._partial.clear()
        self._streaming = False

    def _end_stream(self) -> None:
        self._text.end()
        self._end_drafts()
        if self._session.stream:
            self._events.emit(AssistantStreamEnd())
        self._partial.clear()
        self._heard.clear()
        self._streaming = False

    def _bill_unfinished(self) -> None:
        self.bill_unfinished(self._asked, "".join(self._heard))
        self._heard.clear()

    def bill_unfinished(self, model: str, heard: str) -> None:
        """Puts a reply that broke off on the bill, as far as it came."""
        if heard:
            context = self._session.context
            self._spending.book_unfinished(model, context.tokens, context.counter.text(heard), self._kind)

    def bill(self, model: str, usage: Usage, kind: CallKind, latency_ms: int = 0, finish_reason: str = "") -> None:
        """Puts a model call on the bill and tells of it."""
        self.tokens += usage.total
        booked = self._spending.book_call(model, usage, kind, latency_ms, finish_reason)
        self.cost_usd += booked.cost_usd or 0.0

    # ---------------------------------------------------------------------------------------------- the window

    async def make_room(self) -> None:
        """Compacts before the window is full."""
        context, window = self._session.context, self._facts.window(self._session.model)
        context.expect_tools(self._router.wire())
        if context.tokens > window * COUNT_WELL_AT and not context.counter.exact:
            await context.count_well()  # half a core-second and 60 MB that most sessions never need
        if context.tokens <= window * self._settings.context.compact_at:
            return
        await self.shrink("")

    async def shrink(self, instructions: str, *, forced: bool = False, asked: bool = False) -> bool:
        """Compacts. False when nothing was gained."""
        context = self._session.context
        old, prompt = context.tokens, context.prompts[-1:]
        try:
            result = await compact(
                context,
                self._summarise,
                window=self._facts.window(self._session.model),
                instructions=instructions,
                forced=forced,
                asked=asked,
            )
        except ContextLimitReached as error:
            raise TurnEnd("context_limit", str(error)) from error
        if forced or result.how != "nothing":  # a provider's refusal is always told, even if there was nothing to give
            self._events.emit(Compacted(old_tokens=old, new_tokens=context.tokens))
        if prompt and context.prompts[-1:] != prompt:
            text = f"The last message ({len(prompt[0]):,} characters) is too long for {self._session.model}: its "
            text += "middle was left out. Put long text into a file and name the file instead."
            self._events.emit(Notice(text=text, level="warning"))
        return result.effective

    async def _summarise(self, messages: Sequence[Message], max_tokens: int | None = None) -> str:
        request = Request(
            model=self._session.model,
            messages=tuple(messages),
            stream=False,
            max_tokens=max_tokens,
            kind="compaction",
            session_id=self._session.id,
        )
        reply = await self._pay_for(request, sum(self._session.context.count(messages)))
        return reply.content
