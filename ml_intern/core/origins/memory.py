"""What came from outside in a session and what the person has said, so that a call can be compared with both.

All of it is learnt from events: live as they are told, and after a resume from the log.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, TypeVar

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.origins.flat import flat, lower
from ml_intern.core.origins.match import BEYOND, Finding, Source, of_instructions, of_orders
from ml_intern.core.origins.naming import name_of
from ml_intern.core.origins.orders import Order, orders_in
from ml_intern.core.origins.pieces import WORD, find_whole, telling
from ml_intern.core.origins.words import CallWords
from ml_intern.core.protocol import (
    AssistantMessage,
    EventBase,
    Origin,
    OriginFound,
    PlanUpdate,
    QuestionResolved,
    SubagentEvent,
    ToolCallEvent,
    ToolOutput,
    ToolStateChange,
    UserMessage,
)
from ml_intern.core.tools.output import spill_name
from ml_intern.core.tools.spec import ToolSpec

MAX_CHARS = 5_000_000
MAX_PIECES = 200_000
MAX_ORDER_CHARS = 1_000_000
MAX_SAID_CHARS = 500_000
MAX_CALLS = 500

FEEDBACK = " User feedback: "
"""Stands in a rejected call's result before what the person had to say."""

_Thing = TypeVar("_Thing")

_OPENING = re.compile(r'<fetched by="([^"\n]{1,200})" mark="([0-9a-f]{1,64})">\n')
_OF_THIS_MACHINE = frozenset({"bash", "read"})
"""Their output may hold what somebody else wrote. Only orders in it count: one's own files advise all the time."""
_TRUSTED = frozenset({"skill"})
_WRITERS = frozenset({"write", "edit"})


@dataclass(slots=True)
class _Voice:
    """All that somebody said."""

    texts: deque[str] = field(default_factory=deque)
    words: set[str] = field(default_factory=set)
    chars: int = 0

    def add(self, text: str) -> None:
        small = lower(flat(text[:MAX_SAID_CHARS]))
        self.texts.append(small)
        self.words.update(WORD.findall(small))
        self.chars += len(small)
        while self.chars > MAX_SAID_CHARS and len(self.texts) > 1:
            self.chars -= len(self.texts.popleft())

    def says(self, piece: str) -> bool:
        if piece.isalnum():
            return piece in self.words
        return any(find_whole(text, piece) >= 0 for text in self.texts)


class _Recent(dict[str, _Thing]):
    """What is known about the last few calls or files, by their names."""

    def __setitem__(self, name: str, thing: _Thing) -> None:
        super().__setitem__(name, thing)
        while len(self) > MAX_CALLS:
            del self[next(iter(self))]


class Origins:
    """The memory of one session, its sub-agents included. It is bounded, and no model has a part in it.

    Args:
        max_chars: Characters from outside that are kept; the oldest texts go first, but their orders stay.
    """

    def __init__(self, max_chars: int = MAX_CHARS) -> None:
        self._max_chars = max_chars
        self._number = 0
        self._person = _Voice()
        self._trusted = ("", _Voice())
        self._plans: list[tuple[int, str]] = []
        self._first: dict[str, Source | int] = {}  # where a piece was seen first; a number: the agent named it then
        self._kept: deque[tuple[Source | int, tuple[str, ...]]] = deque()
        self._chars = 0
        self._orders: deque[tuple[Source, Order]] = deque()
        self._order_chars = 0
        self._calls: _Recent[ToolCallEvent] = _Recent()
        self._rejections: _Recent[str] = _Recent()
        self._findings: _Recent[Finding] = _Recent()
        self._carried: _Recent[Finding] = _Recent()
        self._described: _Recent[str] = _Recent()
        self._spilled: _Recent[str] = _Recent()
        self._told: _Recent[bool] = _Recent()

    @property
    def chars(self) -> int:
        """How many characters from outside are kept."""
        return self._chars

    # ------------------------------------------------------------------------------------------------- learning

    def take(self, event: EventBase) -> None:
        """Learns from an event."""
        match event:
            case UserMessage():
                self._person.add(event.content)
                for attachment in event.attached:  # put in front of the agent, but not said by the person
                    source = Source(attachment.label.partition(" · ")[0], "attached", self._next(), local=True)
                    self._keep_orders(source, flat(attachment.text))
            case QuestionResolved() if event.how == "answered":
                self._person.add(f"{event.text}\n" + "\n".join(event.choices))
            case AssistantMessage():
                self._hear_agent(event.content)
            case PlanUpdate():
                self._plans.append((self._next(), lower(flat("\n".join(item.content for item in event.plan)))))
                del self._plans[:-50]
            case ToolCallEvent():
                self._begin(event)
            case ToolOutput():
                self._end(event)
            case OriginFound():
                self._carry_on(event)
            case ToolStateChange():
                self._moved(event.tool_call_id, event.state)
            case SubagentEvent():
                self.take(event.event)

    def describe_tools(self, tools: Iterable[ToolSpec]) -> None:
        """Learns what foreign tools say of themselves: such a description speaks to the model as any page does."""
        for tool in tools:
            if self._described.get(tool.name) != tool.description:
                self._described[tool.name] = tool.description
                said = "\n".join((tool.description, *_texts(tool.schema())))
                self._keep_orders(
                    Source("description of the tool", tool.name, 0), flat(said)
                )  # it was there before all

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _begin(self, event: ToolCallEvent) -> None:
        self._calls[event.tool_call_id] = event
        self._hear_agent("\n".join(_texts(event.arguments)))

    def _hear_agent(self, text: str) -> None:
        """What the agent names before any text from outside does is its own."""
        if text:
            self._see(self._next(), telling(lower(flat(text[:MAX_SAID_CHARS]))))

    def _end(self, event: ToolOutput) -> None:
        call = self._calls.get(event.tool_call_id)
        arguments = call.arguments if call is not None else {}
        found = tuple(_fetched(event.output))
        for via, text in found:
            self._hear_source(Source(name_of(via, arguments), via, self._next(), flat(text)))
            self._spilled[spill_name(f"{via}-{event.tool_call_id}")] = name_of(via, arguments)
        if found:
            return
        if event.tool in _TRUSTED and event.success:
            self._person.add(event.output)
        elif event.tool in _OF_THIS_MACHINE:
            self._hear_machine(event, arguments)
        elif not event.success and FEEDBACK in event.output:
            self._rejections[event.tool_call_id] = event.output.partition(FEEDBACK)[2]

    def _hear_machine(self, event: ToolOutput, arguments: Mapping[str, Any]) -> None:
        whole = self._spilled.get(PurePath(str(arguments.get("path", ""))).name) if event.tool == "read" else None
        if whole is not None:  # the rest of a fetched text that was too long for the context
            self._hear_source(Source(whole, event.tool, self._next(), flat(event.output)))
            return
        source = Source(name_of(event.tool, arguments), event.tool, self._next(), local=True)
        self._keep_orders(source, flat(event.output))

    def _hear_source(self, source: Source) -> None:
        self._keep_orders(source, source.text)
        self._chars += len(source.text)
        self._see(source, telling(lower(source.text)))

    def _keep_orders(self, source: Source, text: str) -> None:
        kept = replace(source, text="")
        for order in orders_in(text, lower(text)):
            self._orders.append((kept, order))
            self._order_chars += len(order.text)
        while self._order_chars > MAX_ORDER_CHARS and len(self._orders) > 1:
            self._order_chars -= len(self._orders.popleft()[1].text)

    def _see(self, source: Source | int, pieces: Iterable[str]) -> None:
        new = tuple(piece for piece in pieces if piece not in self._first)
        self._first.update(dict.fromkeys(new, source))
        if new or isinstance(source, Source):
            self._kept.append((source, new))
        while (self._chars > self._max_chars or len(self._first) > MAX_PIECES) and len(self._kept) > 1:
            old, gone = self._kept.popleft()
            self._chars -= len(old.text) if isinstance(old, Source) else 0
            for piece in gone:
                del self._first[piece]

    def _moved(self, call_id: str, state: str) -> None:
        if state == "approved" and (finding := self._findings.pop(call_id, None)):
            for piece in finding.pieces:  # the person has read where it comes from, and wants it
                self._person.add(piece)
        if (text := self._rejections.pop(call_id, "")) and state == "rejected":
            self._person.add(text)

    def is_news(self, origin: Origin) -> bool:
        """Whether a person is told of this source for the first time."""
        key = f"{origin.via} {origin.source} {origin.order}"
        known, self._told[key] = key in self._told, True
        return not known

    # ------------------------------------------------------------------------------------------------ comparing

    def compare(self, call: CallWords, call_id: str, trusted: str = "") -> Finding | None:
        """Where words of a call come from, if from outside and from nobody here.

        Args:
            call: The call.
            call_id: Its id.
            trusted: Instructions of the project, if the person trusts them.
        """
        if trusted != self._trusted[0]:
            self._trusted = (trusted, _Voice())
            self._trusted[1].add(trusted)
        finding = of_orders(call, self._orders, self._said) if self._orders else None
        finding = finding or self._carry(call)
        if finding is None and call.effects & BEYOND and Effect.COMPUTE not in call.effects:
            finding = of_instructions(call, self._first, self._said)
        if finding is not None:
            self._findings[call_id] = finding
        return finding

    def _carry_on(self, event: OriginFound) -> None:
        """What was written into a file by an order is still that order when the file is run."""
        call = self._calls.get(event.tool_call_id)
        path = str(call.arguments.get("path", "")) if call is not None and call.tool in _WRITERS else ""
        if path and event.origin.order:
            pieces = self._findings[event.tool_call_id].pieces if event.tool_call_id in self._findings else ()
            self._carried[PurePath(path).name.lower()] = Finding(event.origin, pieces)

    def _carry(self, call: CallWords) -> Finding | None:
        """The order by which a file was written that the call names."""
        names = self._carried.keys() & {PurePath(piece).name for piece in call.loose}
        finding = self._carried[min(names)] if names else None
        known = finding is not None and finding.pieces and all(self._said(piece, 0) for piece in finding.pieces)
        return None if known else finding

    def _said(self, piece: str, number: int) -> bool:
        if self._person.says(piece) or self._trusted[1].says(piece):
            return True
        first = self._first.get(piece)
        if isinstance(first, int) and first < number:
            return True  # the agent had named it before
        return any(at < number and find_whole(text, piece) >= 0 for at, text in self._plans)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _fetched(output: str) -> Iterator[tuple[str, str]]:
    """The marked blocks of an output, each with the tool that brought it."""
    at = 0
    while opening := _OPENING.search(output, at):
        end = output.find(f'\n</fetched mark="{opening[2]}">', opening.end())
        at = end if end >= 0 else len(output)
        yield opening[1], output[opening.end() : at]
