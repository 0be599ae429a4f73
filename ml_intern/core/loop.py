"""Takes the replies of a model into a conversation and acts on them, until one of them is the final answer.

The main agent and its sub-agents go round the same loop; what differs is the conversation, the tools and the limits.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from ml_intern.core.calls.batch import STOP_GRACE_S, CallBatch
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventSink
from ml_intern.core.exchange import Conversation, Exchange
from ml_intern.core.guards import GuardNotice, Guards
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import RawToolCall, Reply
from ml_intern.core.protocol import AssistantMessage, Notice, PlanItem, Spoken

BatchOf = Callable[[tuple[RawToolCall, ...]], CallBatch]
"""Makes the batch that runs the calls of one reply."""


class Stuck(Exception):  # noqa: N818 - control flow, not an error
    """The work cannot go on, for a reason that is neither the model's error nor ours."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class CallIds:
    """The ids of all tool calls of a session. Some servers number the calls of every reply from zero.

    Args:
        taken: Ids that are in use already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, ids: Iterable[str]) -> None:
        """Adds ids that are in use too."""
        self._taken.update(ids)

    def distinct(self, calls: Sequence[RawToolCall]) -> tuple[RawToolCall, ...]:
        """The calls under ids that name one call for good."""
        named = []
        for call in calls:
            fits = call.id and call.id not in self._taken
            named.append(call if fits else replace(call, id=f"call_{uuid.uuid4().hex}"))
            self._taken.add(named[-1].id)
        return tuple(named)


class Loop:
    """One conversation at work.

    Args:
        conversation: What is talked about.
        exchange: Asks its model.
        events: Where everything is told.
        ids: The ids that calls have in this session.
        batch_of: Makes the batch for the calls of a reply.
        on_prompt: Takes a prompt that came in place of an approval.
        plan: The plan that an answer should not leave unfinished.

    Attributes:
        answer: The final answer, in pieces where it was cut off and continued.
        batch: The tool calls that run.
    """

    def __init__(
        self,
        conversation: Conversation,
        exchange: Exchange,
        events: EventSink,
        ids: CallIds,
        *,
        batch_of: BatchOf,
        on_prompt: Callable[[Spoken], Awaitable[None]],
        plan: Callable[[], Sequence[PlanItem]] = lambda: (),
    ) -> None:
        self.answer: list[str] = []
        self.batch: CallBatch | None = None
        self._conversation = conversation
        self._exchange = exchange
        self._events = events
        self._ids = ids
        self._batch_of = batch_of
        self._on_prompt = on_prompt
        self._plan = plan
        self._guards = Guards()

    def begin(self) -> None:
        """Forgets what was going on: somebody has spoken."""
        self.answer.clear()
        self.batch = None
        self._guards.begin_turn()
        self._exchange.begin_turn()

    async def take(self, reply: Reply) -> bool:
        """Takes a reply into the history and acts on it. True when it was the final answer.

        Raises:
            Stuck: The model goes round in circles or says nothing.
            LLMError: The provider withheld the reply.
        """
        if reply.tool_calls and reply.finish_reason == "length":
            self._record(reply, calls=())
            self._apply(self._guards.truncated_calls([call.name for call in reply.tool_calls]), kind="truncated")
            return False
        if reply.tool_calls:
            self.answer.clear()  # an answer that was cut off and left for more work is not the final one
            await self._run_calls(reply, self._ids.distinct(reply.tool_calls))
            return False
        return self._take_text(reply)

    def take_last(self, reply: Reply) -> None:
        """Takes a reply that ends the work, whatever it is."""
        self._record(reply, calls=())

    async def stop(self, grace_s: float = STOP_GRACE_S, by: str = "the user", because: str = "") -> None:
        """After an interrupt or a fault: tools stopped, what was said kept and paid for, every call answered."""
        said = self._exchange.give_up()
        if self.batch is not None:
            await self.batch.stop(grace_s, by, because)
            self.batch = None
        self.keep_unfinished(said)

    def keep_unfinished(self, said: str) -> None:
        """Keeps what was said of a reply that broke off."""
        if said:
            self._conversation.context.append(Message("assistant", said))
            self._events.emit(AssistantMessage(content=self._exchange.clean(said), partial=True))

    # ------------------------------------------------------------------------------------------------- within

    def _take_text(self, reply: Reply) -> bool:
        if not reply.content.strip():
            return self._take_nothing(reply)
        self._record(reply, calls=())
        if reply.finish_reason == "length":
            self.answer.append(reply.content)
            if notice := self._guards.truncated_text():
                self._apply(notice)
                return False
            text = "The answer was cut off at the model's output limit. Say `continue` to get the rest."
            self._events.emit(Notice(text=text, level="warning"))
            return True
        if reply.finish_reason == "content_filter":
            text = "The provider's content filter cut the answer short. Rephrase the prompt or choose another /model."
            self._events.emit(Notice(text=text, level="warning"))
        elif notice := self._guards.unfinished_plan(self._plan()):
            self._apply(notice)
            return False
        self.answer.append(reply.content)
        return True

    def _take_nothing(self, reply: Reply) -> bool:
        if reply.finish_reason == "content_filter":
            text = "The provider's content filter withheld the reply. Rephrase the prompt or choose another /model."
            raise LLMError("content_filter", text)
        if self.answer:
            return True
        if notice := self._guards.empty_reply():
            self._apply(notice)
            return False
        text = "The model sent empty replies: no text, no tool call. Send the prompt again or choose another /model."
        raise Stuck("empty_reply", text)

    def _record(self, reply: Reply, calls: Sequence[RawToolCall]) -> None:
        if reply.content.strip() or calls:
            self._conversation.context.append(
                Message(
                    "assistant",
                    reply.content,
                    tool_calls=tuple(call.as_history(_object_text(call.arguments)) for call in calls),
                    reasoning=reply.reasoning,
                    provider=reply.provider,
                )
            )
        if reply.content.strip() or reply.reasoning:
            clean = self._exchange.clean
            self._events.emit(AssistantMessage(content=clean(reply.content), reasoning=clean(reply.reasoning)))

    def _apply(self, notice: GuardNotice, kind: str = "repetition") -> None:
        """Tells the model, in a message that counts as nobody's prompt, and the person; ends what was told in vain."""
        if notice.stop:
            raise Stuck(kind, notice.notice_for_person)
        self._conversation.context.append(Message("user", notice.text_for_model, kind="guard"))
        self._events.emit(Notice(text=notice.notice_for_person, level="warning"))

    async def _run_calls(self, reply: Reply, calls: tuple[RawToolCall, ...]) -> None:
        self._record(reply, calls)
        batch = self.batch = self._batch_of(calls)
        await batch.run()
        self.batch = None
        if batch.new_prompt is not None:
            await self._on_prompt(batch.new_prompt)
        for notice in self._guards.after_calls(batch.ordered()):
            self._apply(notice)


def _object_text(arguments: str) -> str:
    """Arguments as the history keeps them: as they were if they are a JSON object, else an empty one."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return "{}"
    return arguments if isinstance(value, dict) else "{}"
