"""The token of the Hub while bash, jobs, a sandbox and an MCP server work: nobody has it who was not given it."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import StandInHub
from tests.support.hub.server import Person
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.mcp_bench import program as mcp_program
from tests.support.program import MODEL, Program

WATCH = """
import os, sys, threading

def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        told(f"{arguments[1][0]}:{arguments[1][1]}")
    elif event == "socket.getaddrinfo":
        told(f"{arguments[0]}:{arguments[1]}")

def told(address):
    with open(os.environ["WATCH_FILE"], "a") as file:
        file.write(address + "\\n")

sys.addaudithook(note)
"""
"""Imported by each Python of a run before anything else: notes which addresses are looked up and connected to."""


@pytest.fixture
def token() -> str:
    # One of its own for each test: other tests run at the same time, and their processes are looked at too.
    return "hf_" + os.urandom(17).hex()


@pytest.fixture
def hub(tmp_path: Path, token: str) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub", tokens={token: Person("mia", ("acme",))}) as running:
        yield running


TWIN_LOOKS = 50
"""A process is a fork of its parent until it runs its own program: on a busy machine for some looks, never for long."""


class Sightings:
    """Which processes bear a text on their command line or in their environment, looked for again and again."""

    def __init__(self, secret: str, given: int) -> None:
        self._secret, self._given = secret.encode(), given
        self.commands: set[str] = set()
        self.bearers: set[str] = set()
        self._twins: Counter[int] = Counter()

    def look(self) -> None:
        """Looks at all processes of this person once."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:  # it has ended, or is somebody else's
                continue
            said = command.replace(b"\0", b" ").decode(errors="replace")
            self.commands.add(said)
            bears = self._secret in command or (self._secret in environment and int(entry.name) != self._given)
            if bears and not self._is_starting(int(entry.name), command):
                self.bearers.add(said.replace(self._secret.decode(), "TOKEN"))

    def _is_starting(self, pid: int, command: bytes) -> bool:
        """Whether it is a child of the program that is about to become something else, which may take a moment."""
        with contextlib.suppress(OSError):
            if command == Path(f"/proc/{self._given}/cmdline").read_bytes():
                self._twins[pid] += 1
                return self._twins[pid] < TWIN_LOOKS
        return False

    def saw(self, text: str) -> bool:
        """Whether a process with this on its command line has lived."""
        return any(text in command for command in self.commands)


def job(seconds: str, **arguments: Any) -> dict[str, Any]:
    return call("hf_jobs", {"operation": "run", "command": ["sleep", seconds], **arguments}, id=f"j{seconds}")


def bash(seconds: str) -> dict[str, Any]:
    return call("bash", {"command": f"sleep {seconds}"}, id=f"b{seconds}")


ON_THIS_MACHINE = (
    ("bash", bash("1.31")),
    ("a job on the Hub", job("1.32")),
    ("a job on this machine", job("1.33", hardware_flavor="local")),
)
IN_A_SANDBOX = (("bash", bash("1.41")), ("a job on the Hub", job("1.42")))


@pytest.mark.parametrize(
    ("flags", "calls"), [((), ON_THIS_MACHINE), (("--sandbox-tools",), IN_A_SANDBOX)], ids=["local", "sandbox"]
)
def test_the_token_is_nowhere_but_with_the_program_and_its_hub(
    flags: tuple[str, ...], calls: tuple[tuple[str, dict[str, Any]], ...], tmp_path: Path, hub: StandInHub, token: str
) -> None:
    addresses = tmp_path / "addresses"
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    with ScriptedLLM(tools(*(made for _, made in calls)), text("Done.")) as server:
        env = {**hub.env(), "LOCAL_LLM_BASE_URL": server.url}
        watching = {"PYTHONPATH": str(tmp_path / "watch"), "WATCH_FILE": str(addresses)}
        program = Program(tmp_path, **env, **watching)
        program.configure(mcpServers={"notes": mcp_program()})
        with program.started_anew(*MODEL, *flags, "go") as process:
            seen, deadline = Sightings(token, process.pid), time.monotonic() + 25
            while process.poll() is None:
                assert time.monotonic() < deadline
                seen.look()
                time.sleep(0.02)  # not to wait for anything: how often it is looked
            told = process.communicate()[0] + process.communicate()[1]
        assert process.returncode == 0, told.decode()
        assert token.encode() not in told
        for name, made in calls:
            command = made["function"]["arguments"]
            assert seen.saw(f"sleep 1.{command.partition('1.')[2][:2]}"), f"{name} was not seen at work"
        assert seen.saw("mcp_program.py")
        assert seen.bearers == set()
        sent = [str(item.headers) + str(item.body) for item in server.requests]
        assert sent
        assert not any(token in item for item in sent)
    assert {item.token for item in hub.requests("/api/jobs", "POST")} == {token}
    kept = [path for path in (program.home, program.workdir) for path in path.rglob("*") if path.is_file()]
    assert [path for path in kept if token.encode() in path.read_bytes()] == []
    spoken_to = set(addresses.read_text().split())
    assert f"127.0.0.1:{hub.port}" in spoken_to
    assert {address.rpartition(":")[0] for address in spoken_to} <= {"127.0.0.1", "localhost"}
    ports = {int(address.rpartition(":")[2]) for address in spoken_to}
    assert ports == {hub.port, int(server.origin.rpartition(":")[2])}
