"""A session may be cut off anywhere: by a crash, a full disk, a power cut. What is left must be a valid request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.messages import Message
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.protocol import Compacted, ErrorEvent, Undo, UndoComplete
from ml_intern.core.settings import LLMSettings
from ml_intern.sessions.restore import restore
from tests.support.harness import Harness
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM, history_problems
from tests.support.night import PROMPT, Night, tools_of_the_night

WINDOW = 16_000
QUICK = LLMSettings(context_window=WINDOW, retry_base_s=0.001, retry_max_s=0.005, idle_timeout_s=0.5)


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    """The log of a night full of faults, in which the conversation was compacted, and of an undo after it."""
    night = Night(24, window=WINDOW, seldom=12)
    async with (
        ScriptedLLM(night) as server,
        Harness(server, tmp_path, tools=tools_of_the_night(), llm=QUICK) as agent,
    ):
        await agent.prompt(PROMPT)
        assert night.finished
        assert agent.all(Compacted)
        await agent.prompt("And now?")
        agent.submit(Undo())
        await agent.until(lambda event: isinstance(event, UndoComplete))
        await agent.prompt("And then?")
        assert server.violations == []
        assert agent.all(ErrorEvent) == []
        path = agent.wired.session_log.path
    assert path is not None
    return path


def resumed(path: Path) -> ContextManager:
    """The conversation that a resumed session begins with."""
    context = ContextManager("You are a careful engineer.", TokenCounter())
    context.load(restore(path).records)
    return context


def request_problems(context: ContextManager) -> list[str]:
    return history_problems([message.wire() for message in context.request_messages()])


def line_ends(path: Path) -> list[int]:
    """Offsets behind each line."""
    ends = [0]
    for line in path.read_bytes().splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    return ends


def cut_back(path: Path, offsets: Iterable[int]) -> Iterator[int]:
    """Makes the file shorter and shorter, in place, so that what lies beside it stays beside it."""
    for offset in sorted(offsets, reverse=True):
        os.truncate(path, offset)
        yield offset


async def test_a_log_cut_after_any_line_resumes_as_a_valid_request(log: Path) -> None:
    within_calls = 0
    for offset in cut_back(log, line_ends(log)):
        context = resumed(log)
        within_calls += len(context.request_messages()) > len(context.messages) + 1
        assert request_problems(context) == [], f"cut at {offset}"
        context.append(Message("user", "Go on."))
        assert request_problems(context) == [], f"cut at {offset}, with a new prompt"
    assert within_calls > 10


async def test_a_line_that_is_cut_takes_nothing_of_the_lines_before_it_along(tmp_path: Path) -> None:
    script = (tools(call("small", {"value": "a ü b"}), call("small", {"value": "c"}), content="Both."), text("Done."))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=tools_of_the_night()) as agent:
        await agent.prompt()
        path = agent.wired.session_log.path
    assert path is not None
    ends = line_ends(path)
    kept: dict[int, tuple[Message, ...]] = {}
    for offset in cut_back(path, range(ends[-1] + 1)):
        context = resumed(path)
        assert request_problems(context) == [], f"cut at {offset}"
        kept[offset] = context.messages
    assert [message.role for message in kept[ends[-1]]] == ["user", "assistant", "tool", "tool", "assistant"]
    for start, end in pairwise(ends):
        # Without its line break alone a line is still whole.
        assert all(kept[offset] == kept[start] for offset in range(start, end - 1))
        assert kept[end - 1] == kept[end]
