from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ml_intern.core.config import ConfigError
from ml_intern.core.protocol import ApprovalDecision, ApprovalRequired, Notice, ToolOutput, TurnComplete, UserInput
from ml_intern.core.settings import ApprovalRules
from tests.support.harness import Harness
from tests.support.llm_server import ScriptedLLM, call, silent_before_headers, text, tools
from tests.support.mcp_bench import program
from tests.support.pictures import png
from tests.support.processes import alive, gone
from tests.support.program import MODEL, Program
from tests.support.tools import within_marks

pytestmark = pytest.mark.xdist_group("mcp")


async def connected(agent: Harness) -> None:
    await agent.until(lambda event: isinstance(event, Notice) and "is connected" in event.text)


async def written(path: Path) -> list[int]:
    async with asyncio.timeout(20):
        while not (path.exists() and " " in path.read_text()):
            await asyncio.sleep(0.01)
    return [int(pid) for pid in path.read_text().split()]


async def test_a_turn_that_begins_before_the_servers_are_there_has_the_other_tools(tmp_path: Path) -> None:
    script = (text("one"), tools(call("notes__echo", {"text": "hi"})), text("two"))
    servers = {"notes": program("after", tmp_path / "now"), "dead": program("die")}
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, mcpServers=servers) as agent:
        await agent.prompt("first")
        (tmp_path / "now").touch()
        await connected(agent)
        await agent.prompt("second")
        names = [[tool["function"]["name"] for tool in request.body["tools"]] for request in server.requests]
        assert "bash" in names[0]
        assert not [name for name in names[0] if name.startswith("notes__")]
        assert "notes__echo" in names[1]
        assert [within_marks(result) for result in agent.tool_results(3)] == ["hi"]


async def test_what_does_not_only_read_is_asked_about_with_its_arguments(tmp_path: Path) -> None:
    script = (tools(call("notes__echo", {"text": "a"}), call("notes__slow", {"text": "0"})), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", mcpServers={"notes": program()}) as agent,
    ):
        await connected(agent)
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        (item,) = asked.tools
        assert (item.tool, item.arguments) == ("notes__slow", {"text": "0"})
        assert item.reason == "the MCP server notes does not say that this only reads"
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True))
        assert isinstance(await agent.ended(), TurnComplete)
        assert [within_marks(output.output) for output in agent.all(ToolOutput)] == ["a", "awake"]


async def test_pictures_that_a_server_gives_are_shown_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(png(64, 48))
    (tmp_path / "broken.png").write_bytes(png(64, 48)[:50])
    names = ("plot.png", "broken.png")
    calls = [call("notes__picture", {"text": str(tmp_path / name)}, id=name) for name in names]
    async with (
        ScriptedLLM(tools(*calls), text("a curve")) as server,
        Harness(server, tmp_path, mcpServers={"notes": program()}) as agent,
    ):
        await connected(agent)
        await agent.prompt("go")
        results = [within_marks(result) for result in agent.tool_results(2)]
        assert all(result.startswith("[image, image/png, ") for result in results)
        shown = agent.request(2).messages[-1]["content"]
        assert [part["type"] for part in shown] == ["text", "text", "image_url"]
        assert shown[1]["text"].endswith("1.png 64×48]")
        assert {output.tool_call_id: len(output.images) for output in agent.all(ToolOutput)} == {
            "plot.png": 1,
            "broken.png": 0,
        }


async def test_a_rule_may_allow_all_tools_of_a_server(tmp_path: Path) -> None:
    rules = ApprovalRules(allow=("notes__*",))
    async with (
        ScriptedLLM(tools(call("notes__slow", {"text": "0"})), text("done")) as server,
        Harness(server, tmp_path, mode="guarded", approvals=rules, mcpServers={"notes": program()}) as agent,
    ):
        await connected(agent)
        await agent.prompt("go")
        assert within_marks(agent.last(ToolOutput).output) == "awake"
        assert agent.all(ApprovalRequired) == []


async def test_plan_mode_refuses_what_does_not_only_read(tmp_path: Path) -> None:
    script = (tools(call("notes__echo", {"text": "a"}), call("notes__slow", {"text": "0"})), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="plan", mcpServers={"notes": program()}) as agent,
    ):
        await connected(agent)
        await agent.prompt("go")
        assert sorted(output.success for output in agent.all(ToolOutput)) == [False, True]


async def test_a_wrong_entry_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    async with ScriptedLLM() as server:
        with pytest.raises(ConfigError, match=r"mcpServers\.notes: unknown key comand"):
            Harness(server, tmp_path, mcpServers={"notes": {"command": "x", "comand": "y"}})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_program_outlives_a_run_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    async with ScriptedLLM(silent_before_headers()) as server:
        run = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url)
        run.configure(mcpServers={"notes": program("family", tmp_path / "pids")})
        with run.started(*MODEL, "go") as process:
            pids = await written(tmp_path / "pids")
            assert all(alive(pid) for pid in pids)
            os.kill(process.pid, number)
            await gone(pids)
