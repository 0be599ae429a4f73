from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import TextBlock
from ml_intern.core.settings import ContextSettings
from ml_intern.core.tools.spec import ToolContext
from ml_intern.tools.mcp.config import ProgramServer
from ml_intern.tools.mcp.process import Host, ServerProcess
from ml_intern.tools.mcp.server import Patience
from tests.support.harness import tool
from tests.support.mcp_bench import QUICK, McpBench, program
from tests.support.processes import alive, gone

pytestmark = pytest.mark.xdist_group("mcp")


# ------------------------------------------------------------------------------------------------------- results


async def test_tools_arrive_in_the_router_and_answer(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("chatty")}) as mcp:
        await mcp.settled()
        assert mcp.told == [(f"The MCP server notes is connected: {len(mcp.router.names)} tools.", False)]
        assert mcp.only.tools == mcp.router.names
        wire = {item["function"]["name"]: item["function"] for item in mcp.router.wire()}
        assert wire["notes__echo"]["description"] == "Does echo."
        assert wire["notes__echo"]["parameters"]["properties"] == {"text": {"type": "string"}}

        said, failed = await mcp.call("notes__echo", text="hello"), await mcp.call("notes__fail")
        assert (said.text, said.ok) == ("hello", True)
        assert (failed.text, failed.ok) == ("the disk is full", False)
        assert (await mcp.call("notes__structured")).text == '{"rows": 3}'
        assert (await mcp.call("notes__both")).text == '{"rows": 3}'
        assert (await mcp.call("notes__echo", text="")).text == "(no output)"


async def test_what_is_no_text_is_described_and_kept_in_files(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        kept = mcp.bench.spill_dir
        assert (await mcp.call("notes__blocks")).text.split("\n") == [
            "first",
            f"[image, image/png, 3 kB: kept in {kept}/notes-call-1-1.png]",
            f"[audio, audio/wav, 3 bytes: kept in {kept}/notes-call-1-2.wav]",
            "[resource: a.csv, file:///a.csv, the table]",
            "[file:///b.txt]",
            "inside b",
            f"[file:///c.bin, binary data, 3 bytes: kept in {kept}/notes-call-1-3.bin]",
        ]
        assert (kept / "notes-call-1-1.png").read_bytes() == b"ABC" * 1000


async def test_a_long_result_is_cut_and_kept_whole_in_a_file(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        mcp.bench.settings = mcp.bench.settings.model_copy(update={"context": ContextSettings(tool_output_chars=5000)})
        result = await mcp.call("notes__large")
        assert result.ok
        assert len(result.text) < 6000
        assert result.text.startswith("headxxx")
        assert result.text.endswith("xxxtail")
        (kept,) = mcp.bench.spill_dir.iterdir()
        assert kept.stat().st_size == 500_008


async def test_a_message_without_bounds_ends_the_server_and_not_us(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        result = await mcp.call("notes__large", text=str(17 * 2**20))
        assert not result.ok
        assert "more than 16 MB" in result.text
        assert (await mcp.call("notes__echo", text="back")).text == "back"


async def test_progress_and_messages_are_shown_with_their_call(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        assert (await mcp.call("notes__tell", text="\x1b[31mnow")).text == "told"
        assert mcp.bench.logged == ["1 of 4: begun", "warning: careful now"]


async def test_questions_of_a_server_get_a_clear_answer(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        assert json.loads((await mcp.call("notes__ask_person")).text) == {"action": "decline"}
        why = "the server asked for input, which was declined (nobody is here to answer): your password?"
        assert mcp.bench.logged == [f"notice: {why}"]
        assert "not supported" in json.loads((await mcp.call("notes__ask_model")).text)["message"].lower()
        (root,) = json.loads((await mcp.call("notes__ask_roots")).text)["roots"]
        assert root["uri"] == mcp.bench.workspace.as_uri()


# ------------------------------------------------------------------------------------------------- names, effects


async def test_names_fit_every_provider_and_are_unique(tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text(json.dumps(["a.b/c", "a b c", "ü" * 40, "x" * 100, "x" * 99, "echo", "echo"]))
    async with McpBench(tmp_path, {"my notes!": program("names", names)}) as mcp:
        await mcp.settled()
        tools = mcp.router.names
        assert all(len(name) <= 64 and name.isascii() for name in tools)
        assert all(character.isalnum() or character in "_-" for name in tools for character in name)
        assert len(set(tools)) == len(tools) == 20 + 6
        assert "my_notes___echo" in tools
        assert "my_notes___a_b_c" in tools


async def test_a_built_in_keeps_its_name(tmp_path: Path) -> None:
    def built_in(_arguments: object, _context: ToolContext) -> str:
        return "built in"

    async with McpBench(tmp_path, {"notes": program()}, builtins=(tool("notes__echo", built_in),)) as mcp:
        await mcp.settled()
        assert (await mcp.call("notes__echo")).text == "built in"
        (other,) = [name for name in mcp.router.names if name.startswith("notes__echo_")]
        assert (await mcp.call(other, text="foreign")).text == "foreign"


async def test_effects_follow_what_the_server_says_of_its_tools(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        assert mcp.assess("notes__echo").effects == {Effect.READ}
        unsaid = mcp.assess("notes__slow", text="1")
        assert unsaid.effects == {Effect.EXTERNAL}
        assert unsaid.subject == '{"text": "1"}'
        assert unsaid.display == (TextBlock(text='{\n  "text": "1"\n}', language="json", title="notes: slow"),)
        crash = mcp.assess("notes__crash")
        assert crash.effects == {Effect.EXTERNAL, Effect.DESTROY}
        assert crash.reasons == ("the MCP server notes says that this may destroy something",)


async def test_a_tool_that_no_model_could_be_told_of_is_left_out(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("bad-schema")}) as mcp:
        await mcp.settled()
        assert "notes__echo" in mcp.router.names
        assert not {"notes__bad", "notes__huge"} & set(mcp.router.names)


async def test_a_changed_list_is_looked_at_again(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        before = mcp.router.wire()
        await mcp.call("notes__grow")
        await mcp.until(lambda: "notes__grown" in mcp.router.names)
        assert (await mcp.call("notes__grown")).text == "new"
        assert len(mcp.router.wire()) == len(before) + 1
        assert len(mcp.told) == 1


# ------------------------------------------------------------------------------------------------------- secrets


async def test_a_server_gets_no_variable_that_was_not_written_down_for_it(tmp_path: Path) -> None:
    env = {"HF_TOKEN": "hf_secret", "OPENAI_API_KEY": "sk-secret", "MY_SETTING": "1"}
    async with McpBench(tmp_path, {"notes": program(env={"NOTES_KEY": "given"})}, env=env) as mcp:
        await mcp.settled()
        seen = json.loads((await mcp.call("notes__environment")).text)
        assert seen["env"]["NOTES_KEY"] == "given"
        assert seen["env"]["HOME"] == str(mcp.bench.home)
        assert not set(env) & set(seen["env"])
        assert "secret" not in json.dumps(seen)
        assert seen["cwd"] == str(mcp.bench.workspace)


# ------------------------------------------------------------------------------------------------- cancel, timeout


async def test_a_cancelled_call_is_cancelled_at_the_server_too(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program()}) as mcp:
        await mcp.settled()
        running = asyncio.create_task(mcp.call("notes__slow"))
        await mcp.call("notes__echo", text="the one before is on its way")
        started = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.monotonic() - started < 0.3
        assert (await mcp.call("notes__cancellations")).text == "1"


async def test_a_call_that_takes_too_long_fails_and_the_server_stays(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program(timeout_s=0.2)}) as mcp:
        await mcp.settled()
        result = await mcp.call("notes__slow")
        assert not result.ok
        assert "did not answer within 0.2 s" in result.text
        assert "mcpServers.notes.timeout_s" in result.text
        assert (await mcp.call("notes__echo", text="still here")).text == "still here"


# ---------------------------------------------------------------------------------------------------------- death


async def test_death_in_a_call_fails_that_call_and_the_next_one_finds_a_new_server(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program(), "other": program()}) as mcp:
        await mcp.settled(2)
        waiting = asyncio.create_task(mcp.call("notes__slow"))
        neighbour = asyncio.create_task(mcp.call("other__slow", text="0.3"))
        crash = await mcp.call("notes__crash")
        assert not crash.ok
        assert "the program ended with exit code 3: MemoryError: no more." in crash.text
        assert not (await waiting).ok
        assert (await mcp.call("notes__echo", text="back")).text == "back"
        assert (await neighbour).text == "awake"
        assert len(mcp.told) == 2


async def test_a_slip_in_a_result_costs_that_call_alone(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("slips")}) as mcp:
        await mcp.settled()
        async with asyncio.timeout(10):
            results = [
                await mcp.call("notes__slip", text=kind) for kind in ("number", "words", "block", "bare", "pattern")
            ]
        assert [result.ok for result in results] == [False, False, False, True, True]
        assert results[0].text == results[1].text
        assert results[0].text.endswith("the server sent an answer that the protocol does not know")
        assert "slip was carried out, but its result is none that the protocol knows" in results[2].text
        assert results[3].text == "right"
        assert len([line for line in mcp.hub.journal("notes") if "connected: 1 tools" in line]) == 1


async def test_a_server_that_does_not_come_back_answers_with_a_failure(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("once", tmp_path / "lived"), "other": program()}) as mcp:
        await mcp.settled(2)
        await mcp.call("notes__crash")
        await mcp.settled(3)
        assert mcp.told[2][1]
        assert "cannot be used: the program ended with exit code 1: it has been here before." in mcp.told[2][0]
        result = await mcp.call("notes__echo", text="anyone?")
        assert not result.ok
        assert "is not connected: the program ended" in result.text
        assert "NOT executed" in result.text
        assert (await mcp.call("other__echo", text="fine")).text == "fine"
        (tmp_path / "lived").unlink()
        assert (await mcp.call("notes__echo", text="mended")).text == "mended"
        assert len(mcp.told) == 4


async def test_servers_that_cannot_start_are_told_with_the_reason_and_hurt_nobody(tmp_path: Path) -> None:
    servers = {
        "dead": program("die"),
        "missing": {"command": "no-such-program-anywhere"},
        "homeless": program(cwd=str(tmp_path / "nowhere")),
        "mute": program("mute"),
        "good": program(),
    }
    patience = Patience(connect_s=1.5, attempts=1)
    async with McpBench(tmp_path, servers, patience=patience) as mcp:
        await mcp.settled(5)
        told = {text.split()[3]: (text, bad) for text, bad in mcp.told}
        reason = "the program ended with exit code 1: ModuleNotFoundError: No module named 'numpy'"
        assert told["dead"] == (f"The MCP server dead cannot be used: {reason}.", True)
        assert "there is no program named no-such-program-anywhere" in told["missing"][0]
        assert "there is no directory" in told["homeless"][0]
        assert "did not answer within 1.5 s" in told["mute"][0]
        assert told["good"][1] is False
        assert {status.name: status.state for status in mcp.hub.status()} == {
            name: "connected" if name == "good" else "failed" for name in servers
        }


async def test_a_server_that_says_nothing_is_given_up_after_the_last_attempt(tmp_path: Path) -> None:
    patience = Patience(connect_s=0.3, attempts=2, backoff_s=0.02, proven_s=0.1)
    async with McpBench(tmp_path, {"mute": program("mute")}, patience=patience) as mcp:
        await mcp.settled()
        assert mcp.only.state == "failed"
        assert mcp.only.problem == "it did not answer within 0.3 s"


async def test_what_a_server_writes_to_its_standard_error_is_in_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", logger="ml_intern.tools.mcp")
    async with McpBench(tmp_path, {"notes": program("chatty")}) as mcp:
        await mcp.settled()
        await mcp.until(lambda: "MCP server notes: secret-free chatter" in caplog.text)
    assert "wrote a line that is no message: Welcome to my server!" in caplog.text
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------------ no orphans


async def test_closing_ends_the_program_and_what_it_has_started(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("family", tmp_path / "pids")}) as mcp:
        await mcp.settled()
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(alive(pid) for pid in pids)
        started = time.monotonic()
    assert time.monotonic() - started < 1.0
    await gone(pids, 1)


async def test_a_program_that_will_not_end_is_ended(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("stubborn", tmp_path / "pid")}) as mcp:
        await mcp.settled()
        started = time.monotonic()
    assert time.monotonic() - started < 2.0
    await gone([int((tmp_path / "pid").read_text())], 1)


_FLOOD = """
import os, pathlib, sys, time
os.set_blocking(1, False)
full = 0
while True:
    try:
        full = full * (os.write(1, b'{"jsonrpc": "2.0", "method": "notifications/message"}\\n' * 1000) == 0)
    except BlockingIOError:
        full += 1
        full == 10 and pathlib.Path(sys.argv[1]).touch()
        time.sleep(0.01)
"""


def test_a_server_whose_flood_nobody_reads_ends_without_a_word_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    full = tmp_path / "full"
    config = ProgramServer(command=sys.executable, args=("-c", _FLOOD, str(full)))
    host = Host({"PATH": os.environ["PATH"]}, tmp_path)

    async def one_session() -> None:
        async with asyncio.timeout(20), ServerProcess("flood", config, host, lambda _: None).streams():
            while not full.exists():
                await asyncio.sleep(0.01)
        await host.guard.aclose()

    asyncio.run(one_session())
    gc.collect()
    assert complaints == []


async def test_closing_while_it_is_being_connected_to_ends_it_too(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"notes": program("family", tmp_path / "pids", "mute")}) as mcp:
        await mcp.until(lambda: (tmp_path / "pids").exists() and " " in (tmp_path / "pids").read_text())
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    await gone(pids, 1)
    assert mcp.told == []


async def test_twenty_servers_at_once(tmp_path: Path) -> None:
    servers = {f"s{number}": program() for number in range(20)}
    async with McpBench(tmp_path, servers, patience=QUICK) as mcp:
        await mcp.settled(20)
        answers = await asyncio.gather(*(mcp.call(f"{name}__echo", text=name) for name in servers))
        assert [answer.text for answer in answers] == list(servers)
        pids = [json.loads((await mcp.call(f"{name}__environment")).text)["pid"] for name in servers]
        started = time.monotonic()
    assert time.monotonic() - started < 3.0
    await gone(pids, 1)
