"""The context manager: what the model sees, always a valid request, its size always known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from ml_intern.core.context.messages import Message
from ml_intern.core.context.meter import UsageMeter
from ml_intern.core.context.repair import PairTracker
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.images import ImageRef
from ml_intern.core.llm.types import Usage
from ml_intern.core.llm.usage import tokens_of_tools
from ml_intern.core.protocol import HistoryRecord

log = logging.getLogger(__name__)

OnChange = Callable[[HistoryRecord], object]


class ContextManager:
    """The history of one conversation under its system prompt.

    Each message is counted once, when it comes in; nothing that happens per step looks at the whole history again.

    Args:
        system_prompt: Sent before everything else; never part of `messages`.
        counter: Counts tokens.
        on_change: Told of every change of the history, for the session log.

    Attributes:
        misses: Compactions in a row that gained too little.
    """

    def __init__(self, system_prompt: str, counter: TokenCounter, *, on_change: OnChange | None = None) -> None:
        self._counter = counter
        self._on_change = on_change
        self._messages: list[Message] = []
        self._sizes: list[int] = []
        self._own = 0
        self._tools: Sequence[Mapping[str, Any]] = ()
        self._pairs = PairTracker()
        self._reply_due: Usage | None = None
        self.clear(system_prompt)

    # -------------------------------------------------------------------------------------------------- looking

    @property
    def messages(self) -> tuple[Message, ...]:
        """The history without the system prompt."""
        return tuple(self._messages)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens of each message by our own count."""
        return tuple(self._sizes)

    @property
    def tokens(self) -> int:
        """Tokens of the next request: what the provider counted last, and an estimate of what was added since."""
        return self._meter.tokens(self._own)

    @property
    def fixed_tokens(self) -> int:
        """The part of `tokens` that no compaction can shrink: the system prompt, tool definitions, formats."""
        return self._meter.fixed

    @property
    def counter(self) -> TokenCounter:
        """What counts the tokens of this conversation."""
        return self._counter

    def request_messages(self) -> tuple[Message, ...]:
        """System prompt and history as the next request sends them; calls without a result get a stub."""
        return (self._system, *self._messages, *self._pairs.stubs())

    def count(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of each of these messages; those of the history are not counted again."""
        known = {id(message): size for message, size in zip(self._messages, self._sizes, strict=True)}
        return [known.get(id(message)) or self._counter.message(message) for message in messages]

    async def count_well(self) -> None:
        """Goes over to counting with a vocabulary, if there is one, and counts what is there anew, all in a thread."""
        if self._counter.exact or not await self._counter.warm():
            return
        counted = self.messages
        sizes = await asyncio.to_thread(lambda: [self._counter.message(message) for message in counted])
        if counted == self.messages[: len(counted)]:
            before = self._own
            self._sizes[: len(sizes)] = sizes
            self._own = sum(self._sizes)
            self._meter.recounted(self._counter.message(self._system), before, self._own)

    # ------------------------------------------------------------------------------------------------- changing

    def append(self, message: Message) -> None:
        """Adds a message.

        A message that follows calls without results brings stubs for them; a result that no call waits for, and a reply
        that says nothing, are left out.
        """
        if message.is_prompt:
            self.misses = 0  # a person who goes on gets a fresh chance
        if added := self._add(message):
            self._report("append", added)

    def record_usage(self, usage: Usage) -> None:
        """Takes the provider's count of the last request and its reply. Call it before the reply is appended.

        Figures that are an estimate themselves serve once, to learn what is sent beside the messages.
        """
        if usage.prompt_tokens <= 0 or (usage.estimated and self._meter.measured):
            return
        self._meter.measure(usage.total, self._own)
        self._reply_due = usage

    def expect_tools(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """Reckons with the definitions of tools that go along, as long as no provider has counted them."""
        if not self._meter.measured and tools is not self._tools:
            self._tools = tools
            self._meter.expect(tokens_of_tools(tools))

    def undo(self) -> tuple[int, str]:
        """Takes back the last prompt and all that followed it. See `rewind`."""
        return self.rewind(-1)

    @property
    def prompts(self) -> tuple[str, ...]:
        """What people have said, as far as it still stands in the history, oldest first."""
        return tuple(message.content for message in self._messages if message.is_prompt)

    def images_of(self, prompt: int) -> tuple[ImageRef, ...]:
        """The images that went with a prompt, by its index into `prompts`; none when there is no such prompt."""
        asked = [message for message in self._messages if message.is_prompt]
        return asked[prompt].images if -len(asked) <= prompt < len(asked) else ()

    def rewind(self, prompt: int) -> tuple[int, str]:
        """Takes back a prompt and all that followed it.

        Args:
            prompt: Index into `prompts`; negative counts from the end.

        Returns:
            How many messages went, and the prompt's text; `(0, "")` when there is no such prompt.
        """
        positions = [index for index, message in enumerate(self._messages) if message.is_prompt]
        if not -len(positions) <= prompt < len(positions):
            return 0, ""
        position = positions[prompt]
        text, removed = self._messages[position].content, len(self._messages) - position
        self._truncate(position)
        return removed, text

    def clear(self, system_prompt: str) -> None:
        """Begins a fresh conversation. Nothing is reported: it has a log of its own, and the old one stays as it is."""
        self._system = Message("system", system_prompt)
        self._meter = UsageMeter(self._counter.message(self._system))
        self._messages, self._sizes, self._own = [], [], 0
        self._tools = ()
        self._pairs.restart()
        self._reply_due = None
        self.misses = 0

    def load(self, records: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
        """Continues an earlier conversation from its message records (see `Message.record` and `fold`).

        Reported as one `replace`, and only when the history differs from the records: then the log must learn it too.

        Returns:
            How many messages were restored and how many records were dropped because they make no sense.
        """
        self.clear(self._system.content)
        dropped = changed = 0
        for record in records:
            message = parse_record(record)
            added = () if message is None else self._add(message)
            dropped += not added
            changed += added != (message,)
        if changed:
            self._report("replace", self._messages)
        return len(self._messages), dropped

    def replace(self, messages: Sequence[Message]) -> None:
        """Sets the whole history, after a compaction."""
        sizes = self.count(messages)
        known = {id(message): size for message, size in zip(messages, sizes, strict=True)}
        self._messages, self._sizes, self._own = [], [], 0
        self._pairs.restart()
        for message in messages:
            self._admit(message, known)
        self._meter.shrunk(self._own)
        self._reply_due = None
        self._report("replace", self._messages)

    # --------------------------------------------------------------------------------------------------- within

    def _add(self, message: Message) -> tuple[Message, ...]:
        before = self._own
        added = self._admit(message, {})
        if self._reply_due is not None and added:
            self._settle_reply(self._reply_due, message, before)
        return added

    def _admit(self, message: Message, known: Mapping[int, int]) -> tuple[Message, ...]:
        admitted = self._pairs.admit(message)
        for each in admitted:
            size = known.get(id(each)) or self._counter.message(each)
            self._messages.append(each)
            self._sizes.append(size)
            self._own += size
        return admitted

    def _settle_reply(self, usage: Usage, message: Message, before: int) -> None:
        """The provider has counted its reply already: what was just added is that reply, or the reply was not kept."""
        self._reply_due = None
        if message.role != "assistant":
            self._meter.measure(usage.prompt_tokens, before)
            return
        # Reasoning that nobody will send back does not take room in the next request.
        hidden = 0 if message.reasoning or message.provider else usage.reasoning_tokens
        self._meter.measure(usage.total - hidden, self._own)

    def _truncate(self, keep: int) -> None:
        del self._messages[keep:], self._sizes[keep:]
        self._own = sum(self._sizes)
        self._pairs.restart()
        self._meter.shrunk(self._own)
        self._reply_due = None
        self._report("truncate", (), keep)

    def _report(self, op: Literal["append", "replace", "truncate"], messages: Sequence[Message], keep: int = 0) -> None:
        if self._on_change is not None:
            records = tuple(message.record() for message in messages)
            self._on_change(HistoryRecord(op=op, messages=records, keep=keep))


def parse_record(record: Mapping[str, Any]) -> Message | None:
    """A message from its record; None when it is no message of a history."""
    try:
        message = Message.from_record(dict(record))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        log.warning("a record of the history makes no sense and is dropped: %r", error)
        return None
    texts = [message.role, message.kind, message.content, message.reasoning]
    texts += [message.tool_call_id or "", message.name or ""]
    texts += [text for call in message.tool_calls for text in (call.id, call.name, call.arguments)]
    fits = all(isinstance(text, str) for text in texts) and message.role in {"user", "assistant", "tool"}
    return message if fits and isinstance(message.provider, dict) else None


def fold(changes: Iterable[HistoryRecord]) -> list[dict[str, Any]]:
    """The message records that a session's history records come to, for `ContextManager.load`."""
    records: list[dict[str, Any]] = []
    for change in changes:
        if change.op == "append":
            records.extend(change.messages)
        elif change.op == "replace":
            records = list(change.messages)
        else:
            del records[change.keep :]
    return records
