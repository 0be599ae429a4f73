"""The conversation in a log, message by message, with what the events around a message tell about it: for exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ml_intern.core.context.manager import parse_record
from ml_intern.core.context.messages import Message
from ml_intern.core.context.repair import PairTracker
from ml_intern.sessions.pieces import OpenReply
from ml_intern.sessions.summary import Summary, string, whole

_GLIMPSED = 100
"""Characters of the beginning that a compaction leaves at least."""


@dataclass(slots=True)
class Entry:
    """One message.

    Attributes:
        message: As the model saw it.
        time: When it came in, ISO 8601 in UTC.
        seq: The event it stands in.
        ok: Of a tool result, whether the call succeeded; None of anything else.
        model: Of a reply, the model that gave it.
        usage: Of a reply, its `llm_call` event; empty when there is none.
        undone: Whether a person took it back.
    """

    message: Message
    time: str
    seq: int
    ok: bool | None = None
    model: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    undone: bool = False

    def without_result(self, stub: Message) -> Entry:
        """What stands for the result that a call of this reply never had."""
        return Entry(stub, self.time, self.seq, ok=False)


@dataclass(slots=True)
class Conversation:
    """A session as a conversation.

    Attributes:
        summary: The session at a glance.
        version: Version of the program that began it.
        entries: Messages in the order in which they came in, those that were compacted away or undone included.
        events: The events as plain objects, without those of the history.
    """

    summary: Summary
    version: str = ""
    entries: list[Entry] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> list[Entry]:
        """What a person let stand."""
        return [entry for entry in self.entries if not entry.undone]

    @property
    def paired(self) -> list[Entry]:
        """The same with a result for every call, as traces must have it: a killed run leaves calls without one."""
        tracker, found = PairTracker(), list[Entry]()
        asked = Entry(Message("user"), "", 0)
        for entry in self.kept:
            admitted = tracker.admit(entry.message)
            found += [asked.without_result(stub) for stub in admitted[:-1]]
            if admitted or entry.message.role == "assistant":  # one of nothing but thoughts is told as well
                found.append(replace(entry, message=admitted[-1]) if admitted else entry)
            asked = entry if entry.message.tool_calls else asked
        return [*found, *map(asked.without_result, tracker.stubs())]


def conversation_of(session_id: str, events: Iterable[dict[str, Any]]) -> Conversation:
    """The conversation that events come to."""
    conversation = Conversation(Summary(session_id))
    teller = _Teller(conversation)
    for event in _ended(events):
        conversation.summary.take(event)
        teller.take(event)
        if event.get("type") != "history":
            conversation.events.append(event)
    if conversation.summary.status == "running":
        conversation.summary.status = "interrupted"
    return conversation


def _ended(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events, and what is left of a reply within which they end."""
    reply, last = OpenReply(), {}
    for last in events:
        reply.take(last)
        yield last
    for left in reply.left():
        yield {**left.model_dump(mode="json"), **{key: last.get(key) for key in ("seq", "time", "session_id")}}


class _Teller:
    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._current: list[Entry] = []
        self._outcomes: dict[str, bool] = {}
        self._call: Mapping[str, Any] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "session_started":
                self._conversation.version = string(event.get("version"))
            case "tool_output":
                self._outcomes[string(event.get("tool_call_id"))] = event.get("success") is True
            case "llm_call" if event.get("kind") == "main":
                self._call = event
            case "history":
                self._change(event)

    def _change(self, event: Mapping[str, Any]) -> None:
        if event.get("op") == "truncate":
            keep = whole(event.get("keep"))
            for entry in self._current[keep:]:
                entry.undone = True
            del self._current[keep:]
            return
        records = event.get("messages")
        messages = (
            [parse_record(record) for record in records or () if isinstance(record, dict)]
            if isinstance(records, list)
            else []
        )
        if event.get("op") == "replace":
            self._replace([message for message in messages if message], event)
        else:
            self._current += [self._add(message, event) for message in messages if message]

    def _replace(self, messages: Iterable[Message], event: Mapping[str, Any]) -> None:
        """After a compaction: most messages are known already, and only new ones are a part of what happened."""
        known = list(self._current)
        self._current = []
        for message in messages:
            same = next((entry for entry in known if entry.message == message), None)
            if same is not None:
                known.remove(same)
            elif cut := self._shortened(known, message):
                known.remove(cut)
                same = cut
            self._current.append(same or self._add(message, event))

    @staticmethod
    def _shortened(known: Iterable[Entry], message: Message) -> Entry | None:
        """The same message as it was before a compaction has cut it, if that is what happened."""
        return next((entry for entry in known if _is_cut_from(message, entry.message)), None)

    def _add(self, message: Message, event: Mapping[str, Any]) -> Entry:
        entry = Entry(message, string(event.get("time")), whole(event.get("seq")))
        if message.role == "tool":
            entry.ok = self._outcomes.get(message.tool_call_id or "")
        elif message.role == "assistant":
            entry.usage, self._call = self._call, {}
            entry.model = string(entry.usage.get("model")) or self._conversation.summary.model
        self._conversation.entries.append(entry)
        return entry


def _is_cut_from(message: Message, whole: Message) -> bool:
    """Whether a message is what a compaction has left of another: the result of the same call, a prompt without its
    images, a glimpse of what was attached to one."""
    if (message.role, message.kind) != (whole.role, whole.kind):
        return False
    if message.role == "tool":
        return message.tool_call_id == whole.tool_call_id
    if message.kind == "attached":
        return whole.content[:_GLIMPSED] in message.content
    return bool(whole.images) and not message.images and message.content.startswith(whole.content)
