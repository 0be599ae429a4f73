from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ErrorEvent,
    Notice,
    Ready,
    Resume,
    Rewind,
    SessionResumed,
    Trust,
    Undo,
    UndoComplete,
)
from ml_intern.core.settings import Settings
from ml_intern.run import Run
from ml_intern.sessions.find import sessions_by_prefix
from ml_intern.sessions.lock import in_use
from ml_intern.sessions.restore import latest_session, restore
from ml_intern.wiring import assemble
from tests.sessions.support import prompt as asked
from tests.sessions.support import record
from tests.support.harness import FAST, MODEL, Harness, tool
from tests.support.llm_script import Step
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.processes import alive, gone


async def test_rewinding_goes_back_to_any_prompt_and_gives_its_text(tmp_path: Path) -> None:
    async with ScriptedLLM(*map(text, "abcd")) as server, Harness(server, tmp_path) as agent:
        for prompt in ("one", "two", "three"):
            await agent.prompt(prompt)
        agent.submit(Rewind(prompt=1))
        done = await agent.until(lambda event: isinstance(event, UndoComplete))
        assert (done.prompt, done.removed_messages) == ("two", 4)
        await agent.prompt("two, in other words")
        contents = [message["content"] for message in agent.request(4).messages[1:]]
        assert contents == ["one", "a", "two, in other words"]


async def test_rewinding_to_a_prompt_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a"), text("b")) as server, Harness(server, tmp_path) as agent:
        await agent.prompt("one")
        agent.submit(Rewind(prompt=7))
        done = await agent.until(lambda event: isinstance(event, UndoComplete))
        assert done.removed_messages == 0
        await agent.prompt("two")
        assert [message["content"] for message in agent.request(2).messages[1:]] == ["one", "a", "two"]


async def test_a_projects_instructions_are_read_only_once_it_is_trusted(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    workspace.mkdir()
    (workspace / "AGENTS.md").write_text("Always use tabs.")
    async with ScriptedLLM(text("a"), text("b"), text("c")) as server:
        async with Harness(server, tmp_path) as agent:
            await agent.prompt("one")
            assert "tabs" not in str(agent.request(1).messages)
            assert "/trust" in " ".join(agent.last(Ready).notes)
            agent.submit(Trust())
            await agent.until(lambda event: isinstance(event, Notice) and "trusted" in event.text)
            await agent.prompt("two")
            assert agent.request(1).messages[0] == agent.request(2).messages[0]
            assert "Always use tabs." in agent.request(2).messages[-2]["content"]
        async with Harness(server, tmp_path) as agent:
            await agent.prompt("three")
            assert "Always use tabs." in agent.request(3).messages[0]["content"]
            assert not agent.last(Ready).notes


async def test_a_resumed_session_sends_exactly_what_the_old_one_would_have(tmp_path: Path) -> None:
    script = (tools(call("echo", {"value": "x"}), content="looking"), text("found"), text("more"), text("again"))
    own = [tool("echo", lambda p, _: f"got {p.value}")]
    places = find_places({"ML_INTERN_HOME": str(tmp_path / "home")})
    async with ScriptedLLM(*script) as server:
        async with Harness(server, tmp_path, tools=own) as agent:
            await agent.prompt("one")
            session_id = agent.agent.session.id
            last_seq = agent.events[-1].seq
        path = latest_session(places.sessions, tmp_path / "work")
        assert path is not None
        assert sessions_by_prefix(places.sessions, session_id[:8]) == [path]
        before = path.read_bytes()
        saved = restore(path)
        wired = assemble(
            Run(
                Settings(model_name=MODEL, mode="yolo", llm=FAST),
                places=places,
                workspace=tmp_path / "work",
                env={"LOCAL_LLM_BASE_URL": server.url},
                extra_tools=own,
                saved=saved,
            )
        )
        async with Harness.around(wired, server) as resumed:
            assert path.read_bytes() == before
            await resumed.prompt("two")
            assert resumed.agent.session.id == session_id
            assert resumed.events[0].seq > last_seq - 1
            # The system prompt is this run's; the conversation is the old one's, with the answer and the new prompt.
            old = server.requests[1].messages[1:]
            assert server.requests[2].messages[1:] == [
                *old,
                {"role": "assistant", "content": "found"},
                {"role": "user", "content": "two"},
            ]
        assert path.read_bytes().startswith(before)
        assert restore(path).turns == 2
        assert server.violations == []


async def test_an_earlier_session_takes_the_place_of_the_present_one(tmp_path: Path) -> None:
    script = (text("yes").usage(900, 100), text("again"), text("once more"))
    own = [tool("echo", lambda *_: "x")]
    places = find_places({"ML_INTERN_HOME": str(tmp_path / "home")})
    prices = tmp_path / "home" / "config" / "models.json"
    prices.parent.mkdir(parents=True)
    prices.write_text('{"models": {"vllm/scripted": {"input_usd": 100, "output_usd": 100}}}')
    async with ScriptedLLM(*script) as server:
        async with Harness(server, tmp_path, tools=own) as agent:
            await agent.prompt("one")
            first = agent.agent.session.id
        async with Harness(server, tmp_path, tools=own) as agent:
            await agent.prompt("elsewhere")
            second = agent.agent.session.id
            agent.submit(Resume(session_id="zzz"))
            told = await agent.until(lambda event: isinstance(event, ErrorEvent))
            assert "'zzz'" in told.error
            record(places.sessions, "elsewhere", *asked("x"), directory=str(tmp_path))
            agent.submit(Resume(session_id="elsewhere"))
            told = await agent.until(lambda event: isinstance(event, ErrorEvent) and "'zzz'" not in event.error)
            assert told.error.startswith(f"That session works in {tmp_path}; `ml-intern --resume elsewher`")
            lost = record(places.sessions, "gone", *asked("y"), directory="/nonexistent")
            agent.submit(Resume(session_id="gone"))
            told = await agent.until(lambda event: isinstance(event, Notice) and "which is gone" in event.text)
            assert agent.agent.session.id == lost.stem
            agent.submit(Resume(session_id=first[:8]))
            resumed = await agent.until(lambda event: isinstance(event, SessionResumed) and event.session_id == first)
            assert (resumed.session_id, resumed.messages, agent.agent.session.id) == (first, 2, first)
            assert agent.agent.session.budget.totals.spent_usd == pytest.approx(0.1)
            await agent.prompt("two")
            assert [message["content"] for message in agent.request(3).messages[1:]] == ["one", "yes", "two"]
            numbers = [event.seq for event in agent.events]
            assert numbers == sorted(set(numbers))
        turns = {path.stem: restore(path).turns for path in (tmp_path / "home").rglob("*.jsonl")}
        assert turns == {first: 2, second: 1, "elsewhere": 1, "gone": 1}
        assert not in_use(sessions_by_prefix(places.sessions, first)[0])
        assert server.violations == []


async def test_a_session_killed_within_a_turn_reads_back_as_interrupted(tmp_path: Path) -> None:
    own = [tool("echo", lambda *_: "x")]
    places = find_places({"ML_INTERN_HOME": str(tmp_path / "home")})
    script = (tools(call("echo", {}, id="c1")), text("done"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=own) as agent:
        await agent.prompt("one")
        path = latest_session(places.sessions, tmp_path / "work")
        assert path is not None
        lines = path.read_bytes().splitlines(keepends=True)
        called = next(number for number, line in enumerate(lines) if b'"tool_call"' in line)
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(b"".join(lines[: called + 1]) + lines[called + 1][:20])
    saved = restore(torn)
    assert getattr(saved.events[-1], "type", "") == "interrupted"
    assert saved.records[-1]["role"] == "assistant"


async def test_files_that_were_changed_since_a_prompt_can_go_back_with_it(tmp_path: Path) -> None:
    def write(name: str, content: str) -> Step:
        return tools(call("write", {"path": name, "content": content}))

    script = (
        write("a.txt", "first"),
        text("one done"),
        tools(call("read", {"path": "kept.txt"}), call("read", {"path": "mine.txt"})),
        tools(
            call("write", {"path": "a.txt", "content": "second"}),
            call("write", {"path": "new.txt", "content": "new"}),
            call("write", {"path": "mine.txt", "content": "agent's"}),
        ),
        text("two done"),
    )
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        (agent.workspace / "kept.txt").write_text("kept")
        (agent.workspace / "mine.txt").write_text("before")
        await agent.prompt("one")
        await agent.prompt("two")
        assert (agent.workspace / "a.txt").read_text() == "second"
        (agent.workspace / "mine.txt").write_text("the person's own change")
        agent.submit(Rewind(prompt=1, restore_files=True))
        done = await agent.until(lambda event: isinstance(event, UndoComplete))
        assert sorted(Path(name).name for name in done.restored_files) == ["a.txt", "new.txt"]
        assert (agent.workspace / "a.txt").read_text() == "first"
        assert not (agent.workspace / "new.txt").exists()
        assert (agent.workspace / "mine.txt").read_text() == "the person's own change"
        assert len(done.kept_files) == 1
        assert "mine.txt" in done.kept_files[0]
        agent.submit(Rewind(prompt=0, restore_files=True))
        await agent.until(lambda event: isinstance(event, UndoComplete) and event.prompt == "one")
        assert not (agent.workspace / "a.txt").exists()


async def test_undo_leaves_files_alone(tmp_path: Path) -> None:
    script = (tools(call("write", {"path": "a.txt", "content": "first"})), text("done"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        await agent.prompt("one")
        agent.submit(Undo())
        await agent.until(lambda event: isinstance(event, UndoComplete))
        assert (agent.workspace / "a.txt").read_text() == "first"


async def test_what_bash_left_running_stops_with_the_session(tmp_path: Path) -> None:
    script = (tools(call("bash", {"command": "sleep 60 & echo $!"}, id="c1")), text("done"))
    async with ScriptedLLM(*script) as server:
        async with Harness(server, tmp_path) as agent:
            await agent.prompt("one")
            pid = int(agent.outputs()["c1"].output.split()[0])
            assert alive(pid)
        await gone([pid])
