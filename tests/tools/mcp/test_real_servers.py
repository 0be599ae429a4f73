from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.tools.mcp.asking import Sample, Sampled
from ml_intern.tools.mcp.forms import Field
from ml_intern.tools.mcp.server import Patience
from tests.support.llm_server import ScriptedLLM, silent_before_headers
from tests.support.mcp_bench import McpBench
from tests.support.mcp_registry import NotInstalledError, node_servers, python_servers
from tests.support.processes import alive, children, gone
from tests.support.program import MODEL, Program
from tests.support.web import WebServer, page

pytestmark = pytest.mark.xdist_group("mcp-real")

SLOW = Patience(connect_s=60.0, reconnect_s=10.0, attempts=2, backoff_s=0.1, relist_s=0.1)


@pytest.fixture(scope="session")
def python(pytestconfig: pytest.Config) -> Path:
    try:
        return python_servers(pytestconfig.cache.mkdir("mcp-servers"))
    except NotInstalledError as error:
        pytest.skip(f"the Python servers cannot be installed: {error}")


@pytest.fixture(scope="session")
def node(pytestconfig: pytest.Config) -> Path:
    try:
        return node_servers(pytestconfig.cache.mkdir("mcp-servers"))
    except NotInstalledError as error:
        pytest.skip(f"the npm servers cannot be installed: {error}")


class Helpful:
    """Answers everything; remembers what it was asked."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.forms: list[tuple[Field, ...]] = []

    async def sample(self, server: str, sample: Sample) -> Sampled:
        self.samples.append(sample)
        return Sampled("a short answer", "vllm/scripted", "stop")

    async def fill_in(self, server: str, message: str, fields: tuple[Field, ...]) -> dict[str, Any]:
        self.forms.append(fields)
        return {field.name: "Ada" for field in fields if field.kind == "text" and field.required}

    async def visit(self, server: str, message: str, url: str) -> None:
        raise AssertionError(url)


# ---------------------------------------------------------------------------------------------------------- Python


async def test_the_time_server(tmp_path: Path, python: Path) -> None:
    entry = {"command": str(python / "mcp-server-time"), "args": ["--local-timezone", "UTC"]}
    async with McpBench(tmp_path, {"time": entry}, patience=SLOW) as mcp:
        await mcp.settled()
        assert set(mcp.router.names) == {"time__get_current_time", "time__convert_time"}
        now = await mcp.call("time__get_current_time", timezone="Europe/Paris")
        assert now.ok
        assert json.loads(now.text)["timezone"] == "Europe/Paris"
        wrong = await mcp.call("time__get_current_time", timezone="Moon/Crater")
        assert not wrong.ok
        assert "Moon/Crater" in wrong.text


async def test_the_git_server_sees_the_repository_it_was_given(tmp_path: Path, python: Path) -> None:
    repository = tmp_path / "repository"
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C", str(repository)]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "notes.txt").write_text("one\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "the first words"], check=True)
    entry = {"command": str(python / "mcp-server-git"), "args": ["--repository", str(repository)]}
    async with McpBench(tmp_path, {"git": entry}, patience=SLOW) as mcp:
        await mcp.settled()
        told = await mcp.call("git__git_log", repo_path=str(repository))
        assert "the first words" in told.text
        assert mcp.assess("git__git_log", repo_path=str(repository)).effects == {Effect.READ}
        assert Effect.EXTERNAL in mcp.assess("git__git_add", repo_path=str(repository), files=[]).effects
        outside = await mcp.call("git__git_status", repo_path=str(tmp_path))
        assert not outside.ok


async def test_the_fetch_server_reads_a_page(tmp_path: Path, python: Path) -> None:
    text = "<html><body><article><h1>Hello</h1><p>A page of words.</p></article></body></html>"
    with WebServer({"/page": page(text)}) as web:
        command = str(python / "mcp-server-fetch")
        options = ["--ignore-robots-txt", "--allow-private-ips"]
        async with McpBench(tmp_path, {"fetch": {"command": command, "args": options}}, patience=SLOW) as mcp:
            await mcp.settled()
            fetched = await mcp.call("fetch__fetch", url=f"{web.url}/page")
            assert fetched.ok, fetched.text
            assert "A page of words." in fetched.text


async def test_real_servers_leave_no_process_behind(tmp_path: Path, python: Path) -> None:
    entry = {"command": str(python / "mcp-server-time")}
    before = children(os.getpid())
    async with McpBench(tmp_path, {"one": entry, "two": entry}, patience=SLOW) as mcp:
        await mcp.settled(2)
        started = [pid for pid in children(os.getpid()) - before if alive(pid)]
        assert len(started) >= 2
    await gone(started, 5)


# ------------------------------------------------------------------------------------------------------------- npm


async def everything(mcp: McpBench, attendant: Helpful) -> None:
    """What the server that has everything offers, and what it asks."""
    await mcp.settled()
    assert (await mcp.call("all__echo", message="hello")).text == "Echo: hello"
    picture = await mcp.call("all__get-tiny-image")
    assert "[image, image/png," in picture.text
    (kept,) = mcp.bench.spill_dir.glob("*.png")
    assert kept.read_bytes().startswith(b"\x89PNG")
    structured = await mcp.call("all__get-structured-content", location="Chicago")
    assert structured.text.count("temperature") == 1
    mcp.bench.logged.clear()
    slow = await mcp.call("all__trigger-long-running-operation", duration=1, steps=4)
    assert slow.ok
    assert any("of 4" in line for line in mcp.bench.logged)
    links = await mcp.call("all__get-resource-links", count=2)
    assert links.text.count("[resource: ") == 2
    sampled = await mcp.call("all__trigger-sampling-request", prompt="say it shortly", maxTokens=20)
    assert "a short answer" in sampled.text
    assert attendant.samples[-1].max_tokens == 20
    asked = await mcp.call("all__trigger-elicitation-request")
    assert asked.ok
    assert attendant.forms[-1]


async def test_the_server_that_has_everything_over_stdio(tmp_path: Path, node: Path) -> None:
    attendant = Helpful()
    entry = {"command": str(node / "mcp-server-everything"), "args": ["stdio"]}
    env = {"PATH": os.environ["PATH"]}
    async with McpBench(tmp_path, {"all": entry}, patience=SLOW, attendant=attendant, env=env) as mcp:
        await everything(mcp, attendant)
        running_call = asyncio.create_task(mcp.call("all__trigger-long-running-operation", duration=30, steps=30))
        mcp.bench.logged.clear()
        await mcp.until(lambda: bool(mcp.bench.logged))
        running_call.cancel()
        await asyncio.wait({running_call}, timeout=1)
        assert running_call.cancelled()
        assert (await mcp.call("all__echo", message="still here")).ok


@contextmanager
def served(node: Path, transport: str) -> Iterator[str]:
    """The server that has everything at an address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(node / "mcp-server-everything"), {"http": "streamableHttp"}.get(transport, transport)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "PORT": str(port)}, **quiet) as process:
        try:
            yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"
        finally:
            process.kill()


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_the_server_that_has_everything_at_an_address(tmp_path: Path, node: Path, transport: str) -> None:
    attendant = Helpful()
    patience = Patience(connect_s=20.0, attempts=40, backoff_s=0.01, relist_s=0.1)
    with served(node, transport) as url:
        entry = {"url": url, "transport": transport}
        async with McpBench(tmp_path, {"all": entry}, patience=patience, attendant=attendant) as mcp:
            await everything(mcp, attendant)


async def test_the_filesystem_server_stays_in_the_workspace(tmp_path: Path, node: Path) -> None:
    inside = tmp_path / "home" / "project"
    entry = {"command": str(node / "mcp-server-filesystem"), "args": [str(inside)]}
    async with McpBench(tmp_path, {"files": entry}, patience=SLOW) as mcp:
        await mcp.settled()
        (tmp_path / "secret.txt").write_text("s3cret")
        path = str(inside / "note.txt")
        wrote = await mcp.call("files__write_file", path=path, content="words")
        assert wrote.ok, wrote.text
        assert (inside / "note.txt").read_text() == "words"
        assert (await mcp.call("files__read_text_file", path=path)).text == "words"
        outside = await mcp.call("files__read_text_file", path=str(tmp_path / "secret.txt"))
        assert not outside.ok
        assert "s3cret" not in outside.text
        assert mcp.assess("files__read_text_file", path=path).effects == {Effect.READ}
        assert Effect.DESTROY in mcp.assess("files__write_file", path=path, content="").effects


async def test_a_server_without_its_interpreter_says_so(tmp_path: Path, node: Path) -> None:
    entry = {"command": str(node / "mcp-server-everything"), "env": {"PATH": str(tmp_path)}}
    async with McpBench(tmp_path, {"all": entry}, patience=Patience(attempts=1)) as mcp:
        await mcp.settled()
        assert mcp.told[0][1]
        assert "node" in mcp.told[0][0]
        assert shutil.which("node") is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_real_server_outlives_a_run_however_it_ends(
    tmp_path: Path, python: Path, node: Path, number: signal.Signals
) -> None:
    servers = {
        "time": {"command": str(python / "mcp-server-time")},
        "all": {"command": str(node / "mcp-server-everything")},
    }
    async with ScriptedLLM(silent_before_headers()) as server:
        run = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url, PATH=os.environ["PATH"])
        run.configure(mcpServers=servers)
        with run.started(*MODEL, "go") as process:
            async with asyncio.timeout(30):
                while len(started := children(process.pid)) < 3:  # both, and the one that watches over them
                    await asyncio.sleep(0.05)
            os.kill(process.pid, number)
            await gone(sorted(started), 10)
