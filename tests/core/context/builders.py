"""Messages and histories for the tests of the context room."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.protocol import HistoryRecord

SYSTEM = "You are a careful engineer."


def prompt(text: str = "train a model") -> Message:
    return Message("user", text)


def says(text: str) -> Message:
    return Message("assistant", text)


def calls(*ids: str, name: str = "bash", arguments: str = '{"command": "true"}', text: str = "") -> Message:
    return Message("assistant", text, tool_calls=tuple(ToolCall(each, name, arguments) for each in ids))


def result(call_id: str, text: str = "ok", name: str = "bash") -> Message:
    return Message("tool", text, tool_call_id=call_id, name=name)


def exchanges(count: int, output: str = "line of output\n", *, start: int = 0) -> list[Message]:
    """A chain of tool calls as one prompt brings it about."""
    chain: list[Message] = []
    for n in range(start, start + count):
        chain += [calls(f"c{n}", arguments=f'{{"command": "step {n}"}}', text=f"Step {n}."), result(f"c{n}", output)]
    return chain


def filled(messages: Sequence[Message], changes: list[HistoryRecord] | None = None) -> ContextManager:
    context = ContextManager(SYSTEM, TokenCounter(), on_change=None if changes is None else changes.append)
    for message in messages:
        context.append(message)
    return context


def problems(messages: Sequence[Message]) -> list[str]:
    """Why a provider would refuse these messages; empty for a valid request."""
    found = [] if messages and messages[0].role == "system" else ["no system message first"]
    due: list[str] = []
    for message in messages[1:]:
        if message.role == "tool":
            if message.tool_call_id in due:
                due.remove(message.tool_call_id)
            else:
                found.append(f"result without a call: {message.tool_call_id}")
            continue
        if due:
            found.append(f"calls without results: {due}")
        due = [call.id for call in message.tool_calls]
        if message.role == "system":
            found.append("a second system message")
        if message.role == "assistant" and not (message.content.strip() or message.tool_calls):
            found.append("an empty reply")
    return [*found, *([f"calls without results: {due}"] if due else [])]


_ids = st.sampled_from(["a", "b", "c", "d"])
_texts = st.text(max_size=40)
any_message = st.one_of(
    st.builds(Message, st.just("user"), _texts, kind=st.sampled_from(["plain", "guard", "summary", "context"])),
    st.builds(
        Message,
        st.just("assistant"),
        _texts,
        tool_calls=st.lists(st.builds(ToolCall, _ids, st.just("bash"), st.just("{}")), max_size=3).map(tuple),
    ),
    st.builds(Message, st.just("tool"), _texts, tool_call_id=_ids, name=st.just("bash")),
)
any_messages = st.lists(any_message, max_size=30)


@st.composite
def histories(draw: st.DrawFn, max_turns: int = 4) -> list[Message]:
    """Valid histories: prompts, replies, calls with their results in any order, guard notices."""
    history: list[Message] = []
    number = 0
    for _ in range(draw(st.integers(1, max_turns))):
        history.append(prompt(draw(st.text(min_size=1, max_size=300))))
        for size in draw(st.lists(st.integers(0, 3), max_size=8)):
            ids = [f"c{number + n}" for n in range(size)]
            number += size
            history.append(calls(*ids, text=draw(st.text(max_size=50)) + "."))
            history += [result(each, draw(st.text(max_size=20)) * draw(st.integers(0, 400))) for each in ids]
            if draw(st.booleans()):
                history.append(Message("user", "a notice", kind="guard"))
    return history
