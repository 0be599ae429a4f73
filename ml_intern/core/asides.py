"""Questions beside the conversation: answered from what the model knows of it, and never a part of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from itertools import count

from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventStream
from ml_intern.core.exchange import Exchange
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import LLM, Usage
from ml_intern.core.protocol import BROKEN_OFF, UNANSWERED, AsideEvent, AsideState, Notice
from ml_intern.core.session import Session
from ml_intern.core.spending import Spending

log = logging.getLogger(__name__)

_ASKED = """\
[Aside] The user asks something beside the work, which goes on. Answer from what you know of this conversation, in a \
few sentences, in words only: no tool call will be carried out, and neither question nor answer stays in the \
conversation.

{question}"""
_NO_WORDS = "The model wanted to use tools instead of answering. Ask again as a prompt, when the turn has ended."


class Asides:
    """Asks the model on the side, while a turn runs or between two.

    Args:
        session: The conversation.
        exchange: Makes its requests.
        llm: The model.
        spending: The bill and its cap.
        events: Where questions and answers are told.
    """

    def __init__(self, session: Session, exchange: Exchange, llm: LLM, spending: Spending, events: EventStream) -> None:
        self._session = session
        self._exchange = exchange
        self._llm = llm
        self._spending = spending
        self._events = events
        self._numbers = count(1)
        self._running: set[asyncio.Task[None]] = set()

    def ask(self, question: str) -> None:
        """Begins to ask. The answer is an event."""
        task = asyncio.create_task(self._ask(question, f"{self._session.turns}.{next(self._numbers)}"))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Gives up what was not answered yet."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _ask(self, question: str, number: str) -> None:
        asked = AsideEvent(aside_id=number, question=question)
        self._events.emit(asked)
        try:
            answer, state = await self._answer(question)
        except asyncio.CancelledError:
            self._tell(asked, UNANSWERED, "failed")
            raise
        except LLMError as error:
            answer, state = error.message, "failed"
        except Exception as error:  # a task's edge: what fails on the side must not fail in silence
            log.exception("an aside failed")
            answer, state = f"{type(error).__name__}: {error}. The log file has the details.", "failed"
        self._tell(asked, self._exchange.clean(answer), state)

    def _tell(self, asked: AsideEvent, answer: str, state: AsideState) -> None:
        self._events.emit(asked.model_copy(update={"state": state, "answer": answer}))

    def _notice(self, text: str) -> None:
        self._events.emit(Notice(text=text))

    async def _answer(self, question: str) -> tuple[str, AsideState]:
        request = await self._exchange.request()
        asked = Message("user", _ASKED.format(question=question))
        tokens = self._session.context.tokens + self._session.context.counter.message(asked)
        if objection := self._spending.objection(request.model, tokens):
            return f"Not asked: {objection}. Raise the cap with --max-cost.", "failed"
        # With the same tools as always, so that what the provider keeps of the conversation counts here too.
        aside = replace(request, messages=(*request.messages, asked), kind="aside")
        try:
            reply = await self._llm.ask(aside, None, self._notice)
        except asyncio.CancelledError:
            usage = Usage(prompt_tokens=tokens, estimated=True)  # what was sent is paid for, whoever hears the answer
            self._spending.book_call(request.model, usage, "aside", finish_reason=BROKEN_OFF)
            raise
        self._spending.book_call(request.model, reply.usage, "aside", reply.latency_ms, reply.finish_reason)
        return (reply.content, "answered") if reply.content.strip() else (_NO_WORDS, "failed")
