"""Compaction: makes a conversation fit its window again without losing the thread.

What stays word for word: the system prompt, the first prompt, the last prompt, and the recent end of the history, cut
where no call is parted from its result. What lies between loses its old tool output first; when that is not enough, a
summary takes its place. Nothing here needs more than one prompt, so a turn that lasts all night compacts as often as it
must.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ml_intern.core.context.digest import digest, fit, quotes, record_of, summary_message
from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.messages import Message
from ml_intern.core.context.shrink import excerpt, fair_limit, without_old_output
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.llm.errors import LLMError
from ml_intern.resources import config_path

log = logging.getLogger(__name__)

Ask = Callable[[Sequence[Message], int], Awaitable[str]]
"""Asks a model: messages and the most tokens it may write; gives its text. May raise `LLMError`."""
How = Literal["nothing", "shrunk", "summary", "digest"]

MAX_MESSAGE = 50_000
"""Tokens above which no message is kept whole, however much room there is."""
MAX_MISSES = 2
"""Compactions in a row that may gain too little before the conversation is given up."""

_FULL = 0.9  # share of the window that counts as full
_GOAL = 0.6  # share of what can be filled that may be filled afterwards, so that the next compaction is not at once
_LEAST = 0.1  # share of the window that is left to the history, whatever else is sent
_MOST = 0.65  # share of the history that stays
_MIN_GAIN = 0.1  # share of the history that must go for a compaction to have been worth it
_TAIL = 0.5  # shares of the room: for the recent end, for everything kept word for word, for the summary
_KEPT = 0.75
_SUMMARY = 0.2
_SUMMARY_BOUNDS = (500, 6_000)
_MESSAGE_FLOOR = 1_000
_ASKED_FLOOR = 1_000  # a person's own wish to compact is not worth a model call for less than this
_RECORD = 0.6  # share of the window that the record to be summarised may take
_WORDS_PER_TOKEN = 0.6


class ContextLimitReached(Exception):  # noqa: N818 - a limit, as the end reason `context_limit` calls it
    """The conversation fills the window, and compacting it gained too little twice."""

    def __init__(self, tokens: int, window: int) -> None:
        fills = tokens > window * _FULL  # what a provider refuses may be short by all that is known here
        how = "fills the model's window of" if fills else "was refused as too long for the model, whose window is"
        super().__init__(
            f"The conversation ({tokens:,} tokens) {how} {window:,}, and compacting it gained too little. "
            "Start afresh with /new, or choose a model with a larger window with /model."
        )


@dataclass(frozen=True, slots=True)
class CompactionResult:
    """What a compaction came to.

    Attributes:
        old_tokens: Size before.
        new_tokens: Size after, estimated until the next reply.
        effective: Whether enough was gained to go on.
        how: `shrunk` by placeholders alone, by a model's `summary`, by a mechanical `digest`, or `nothing` was done.
    """

    old_tokens: int
    new_tokens: int
    effective: bool
    how: How


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """Which messages stay and which are summed up, by their index.

    Attributes:
        head: The first prompt.
        middle: What a summary would stand for: whole exchanges only.
        pinned: The last prompt, where it lies before the tail.
        tail: The recent end.
    """

    head: tuple[int, ...]
    middle: tuple[int, ...]
    pinned: tuple[int, ...]
    tail: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """All that stays word for word."""
        return (*self.head, *self.pinned, *self.tail)


def plan_compaction(messages: Sequence[Message], sizes: Sequence[int], *, tail_room: int) -> CompactionPlan:
    """Chooses the cut.

    Args:
        messages: A history whose calls and results are in pairs.
        sizes: Tokens of each message.
        tail_room: Tokens for the recent end. The last exchange stays even if it is larger.
    """
    cut = _cut_index(messages, sizes, tail_room)
    prompts = [index for index, message in enumerate(messages) if message.is_prompt]
    head = tuple(prompts[:1])
    pinned = tuple(index for index in prompts[1:][-1:] if index < cut)
    middle = tuple(index for index in range(cut) if index not in (*head, *pinned))
    tail = tuple(index for index in range(cut, len(messages)) if index not in head)
    return CompactionPlan(head, middle, pinned, tail)


async def compact(
    context: ContextManager,
    ask: Ask,
    *,
    window: int,
    instructions: str = "",
    forced: bool = False,
    asked: bool = False,
) -> CompactionResult:
    """Compacts a conversation. Asks the model at most once, and not at all when old tool output alone makes room.

    Args:
        context: The conversation; changed only when that makes it smaller.
        ask: Asks the model for a summary. When it fails, a mechanical digest takes the summary's place.
        window: Tokens the model takes.
        instructions: What the person wants kept or stressed; always brings a summary.
        forced: The provider found the conversation too long (or a person asked), whatever our own count says.
        asked: A person asked: little is left alone, and gaining nothing is no reason to end anything.

    Raises:
        ContextLimitReached: For the second time in a row too little was gained.
    """
    old = context.tokens
    attempt = _Attempt.begin(context, window, instructions, forced=forced, asked=asked)
    if asked and attempt.middle_size < _ASKED_FLOOR:
        return CompactionResult(old, old, effective=False, how="nothing")
    how, messages = await attempt.run(ask)
    total = sum(context.sizes)
    gained = total - sum(context.count(messages))
    effective = gained > 0 and gained >= _MIN_GAIN * total
    changed = effective or (gained > 0 and not asked)
    if changed:
        context.replace(messages)
    _keep_score(context, window, tried=forced or how in {"summary", "digest"}, effective=effective or asked)
    return CompactionResult(old, context.tokens, effective, how if changed else "nothing")


def _keep_score(context: ContextManager, window: int, *, tried: bool, effective: bool) -> None:
    if effective:
        context.misses = 0
    elif tried or context.tokens > window:
        context.misses += 1
        if context.misses >= MAX_MISSES:
            raise ContextLimitReached(context.tokens, window)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One compaction under way. All sizes are in tokens by our own count.

    Attributes:
        room: What the history may take afterwards.
        kept_room: What the messages that stay word for word may take of it; longer ones are cut.
        record_room: What the record to be summarised may take.
    """

    context: ContextManager
    messages: tuple[Message, ...]
    sizes: tuple[int, ...]
    plan: CompactionPlan
    room: int
    kept_room: int
    record_room: int
    instructions: str

    @classmethod
    def begin(cls, context: ContextManager, window: int, instructions: str, *, forced: bool, asked: bool) -> _Attempt:
        """Sets the goal, as a share of the history, since the provider's tokens need not be ours."""
        tokens, fixed, sizes = context.tokens, context.fixed_tokens, context.sizes
        limit = min(window, tokens) if forced or asked else window
        goal = max((limit * _FULL - fixed) * _GOAL, limit * _LEAST)
        share = min(_MOST, goal / max(1, tokens - fixed))
        room = int(share * sum(sizes))
        # Nothing forces a person who asks to give up parts of what was said last.
        roomy = asked and tokens <= window * _FULL
        kept_room = sum(sizes) if roomy else int(room * _KEPT)
        messages = context.messages
        plan = plan_compaction(messages, sizes, tail_room=int(room * _TAIL))
        return cls(context, messages, sizes, plan, room, kept_room, int(limit * _RECORD), instructions)

    @property
    def counter(self) -> TokenCounter:
        """What counts the tokens."""
        return self.context.counter

    @property
    def middle_size(self) -> int:
        """What a summary would stand for."""
        return sum(self.sizes[index] for index in self.plan.middle)

    async def run(self, ask: Ask) -> tuple[How, list[Message]]:
        """The compacted history and how it came about."""
        kept = self._kept()
        shrunk = self._shrunk(kept)
        fits = sum(self.context.count(shrunk)) <= self.room
        if not self.plan.middle or (fits and not self.instructions):
            return "shrunk", shrunk
        how, summary = await self._summary(ask)
        between = [kept[index] for index in (*self.plan.pinned, *self.plan.tail)]
        return how, [*(kept[index] for index in self.plan.head), summary, *between]

    def _kept(self) -> dict[int, Message]:
        """The messages that stay, each no longer than its fair share of the room."""
        sizes = [self.sizes[index] for index in self.plan.kept]
        limit = min(MAX_MESSAGE, fair_limit(sizes, self.kept_room, _MESSAGE_FLOOR))
        return {index: excerpt(self.messages[index], self.sizes[index], limit) for index in self.plan.kept}

    def _shrunk(self, kept: dict[int, Message]) -> list[Message]:
        """The whole history in its order, old tool output replaced by placeholders."""
        return [
            kept.get(index) or without_old_output(message, self.sizes[index], self.counter)
            for index, message in enumerate(self.messages)
        ]

    async def _summary(self, ask: Ask) -> tuple[How, Message]:
        low, high = _SUMMARY_BOUNDS
        room = min(high, max(low, int(self.room * _SUMMARY)))
        middle = [self.messages[index] for index in self.plan.middle]
        how: How = "summary"
        text = await self._ask_for_summary(ask, middle, room)
        if not text:
            how, text = "digest", digest(middle, room, self.counter)
        said = quotes([message for message in middle if message.is_prompt], room // 2, self.counter)
        return how, summary_message(text, said, len(middle))

    async def _ask_for_summary(self, ask: Ask, middle: Sequence[Message], room: int) -> str:
        """The model's summary, or an empty text when it gave none that is of use."""
        most = 2 * room
        prompt = _prompt().replace("{words}", str(int(room * _WORDS_PER_TOKEN)))
        record = record_of(middle, max(_MESSAGE_FLOOR, self.record_room - most), self.counter)
        first = fit(self.messages[self.plan.head[0]].told, room, self.counter) if self.plan.head else ""
        request = Message("user", _request_text(first, record, self.instructions), kind="context")
        try:
            text = (await ask((Message("system", prompt), request), most)).strip()
        except LLMError as error:
            log.warning("the conversation could not be summarised (%s): %s", error.kind, error.message)
            return ""
        if (size := self.counter.text(text)) > most:
            log.warning("a summary of %d tokens instead of %d is of no use", size, room)
            return ""
        return text


def _cut_index(messages: Sequence[Message], sizes: Sequence[int], room: int) -> int:
    """Where the tail begins: never at a tool result, and never after the last reply's beginning."""
    cut = len(messages)
    taken, replied = 0, False
    for index in range(len(messages) - 1, -1, -1):
        taken += sizes[index]
        if replied and taken > room:
            break
        if messages[index].role != "tool":
            cut = index
            replied = replied or messages[index].role == "assistant"
    return cut


def _request_text(first: str, record: str, instructions: str) -> str:
    wish = f"\n\nThe user asks of this summary in particular: {instructions}" if instructions else ""
    opening = f"The user's first message, which is kept and need not be repeated:\n{first}\n\n" if first else ""
    return f"{opening}The record to summarise:\n<record>\n{record}\n</record>\n\nWrite the note now.{wish}"


@cache
def _prompt() -> str:
    return config_path("prompts", "compaction.md").read_text(encoding="utf-8")
