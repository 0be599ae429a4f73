from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.hub import StandInHub
from tests.support.hub.jobs_container import has_namespaces
from tests.support.hub.jobs_run import Job
from tests.support.hub_client import until
from tests.support.processes import alive

# The client of sandboxes reads where the Hub is when it is imported, so each of these runs in a process of its own.
_FRAME = """
import json, sys, time
from huggingface_hub import HfApi, Sandbox
from huggingface_hub.errors import SandboxCommandError, SandboxError
def tell(**facts):
    print(json.dumps(facts), flush=True)
def failure(work):
    try:
        work()
    except SandboxError as error:
        return str(error)
"""

needs_own_files = pytest.mark.skipif(
    not has_namespaces(), reason="this system does not let processes have a file system of their own"
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as hub:
        yield hub


class Client:
    """A program that uses the official client; each `tell` of it is one `facts`."""

    def __init__(self, hub: StandInHub, source: str) -> None:
        env = {"PATH": "/usr/bin:/bin", **hub.env()}
        command = [sys.executable, "-W", "error", "-c", _FRAME + source]
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def facts(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the program ended with {self._process.wait(10)}"
        facts: dict[str, Any] = json.loads(line)
        return facts

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        with self._process as process:
            process.communicate(timeout=20)
        assert process.returncode == 0

    def abandon(self) -> None:
        with self._process as process:
            process.kill()


@pytest.fixture
def run(hub: StandInHub) -> Callable[[str], dict[str, Any]]:
    def run(source: str) -> dict[str, Any]:
        client = Client(hub, source)
        facts = client.facts()
        client.end()
        return facts

    return run


Run = Callable[[str], dict[str, Any]]


def only(jobs: list[Job]) -> Job:
    assert len(jobs) == 1
    return jobs[0]


def test_commands_run_and_tell_their_output_and_outcome(run: Run) -> None:
    facts = run("""
with Sandbox.create(env={"GIVEN": "env"}, secrets={"HIDDEN": "secret"}) as sandbox:
    live = []
    line = "echo $GIVEN $HIDDEN $MORE [$SBX_TOKEN$HF_TOKEN]; echo problem >&2; exit 3"
    plain = sandbox.run(line, env={"MORE": 1}, check=False, on_stdout=live.append)
    listed = sandbox.run([sys.executable, "-c", "import sys; print(sys.argv[1], sys.stdin.read())", "a b"], stdin="c")
    killed = sandbox.run("kill -9 $$", check=False)
    error = failure(lambda: sandbox.run("exit 4"))
    tell(plain=[plain.exit_code, plain.stdout, plain.stderr], live="".join(live), listed=listed.stdout,
         killed=[killed.exit_code, killed.signal], error=error)
""")
    assert facts["plain"] == [3, "env secret 1 []\n", "problem\n"]
    assert facts["live"] == "env secret 1 []\n"
    assert facts["listed"] == "a b c\n"
    assert facts["killed"] == [None, 9]
    assert "4" in facts["error"]


def test_output_arrives_while_the_command_runs(hub: StandInHub) -> None:
    client = Client(hub, """
with Sandbox.create() as sandbox:
    sandbox.files.mkdir("/gates")
    tell(id=sandbox.id)
    sys.stdin.readline()
    sandbox.run("echo first; cat gate; echo second", cwd="/gates", on_stdout=lambda text: tell(text=text))
""")  # fmt: skip
    gate = hub.sandboxes.path(client.facts()["id"], "/gates/gate")
    subprocess.run(["mkfifo", gate], check=True)
    client.go_on()
    assert client.facts()["text"] == "first\n"
    gate.write_text("opened\n")
    assert client.facts()["text"].startswith("opened\n")
    client.end()


def test_a_command_is_stopped_with_its_children_when_its_time_is_over(hub: StandInHub, run: Run) -> None:
    facts = run("""
sandbox = Sandbox.create()
late = sandbox.run("sleep 1000 & echo $! $$; sleep 1000", timeout=0.2, check=False)
tell(pids=late.stdout.split(), timed_out=late.timed_out, duration=late.duration_ms, code=late.exit_code)
""")
    assert (facts["timed_out"], facts["code"]) == (True, None)
    assert 200 <= facts["duration"] < 5000
    until(lambda: not any(alive(int(pid)) for pid in facts["pids"]))


def test_a_command_ends_though_something_it_left_behind_holds_its_output(run: Run) -> None:
    facts = run("""
with Sandbox.create() as sandbox:
    tell(output=sandbox.run("sleep 1000 & echo done").stdout)
""")
    assert facts["output"] == "done\n"


def test_files_can_be_written_read_listed_and_deleted(hub: StandInHub, run: Run) -> None:
    facts = run("""
sandbox = Sandbox.create()
files = sandbox.files
files.write("/app/src/train.py", "print('trained')", mode="0755")
files.mkdir("/app/out/deep")
big = bytes(range(256)) * 20_000
files.write("/app/out/model.bin", big + b"tail")
files.write("/app/out/model.bin", big)
whole = files.read("/app/out/model.bin") == big
stat = files.stat("/app/src/train.py")
listed = [(entry.name, entry.path, entry.type) for entry in files.list("/app/out")]
refused = [failure(lambda: files.read("/app/missing")), failure(lambda: files.delete("/app/out")),
           failure(lambda: files.read_text("/app"))]
files.delete("/app/out/model.bin")
files.delete("/app/out", recursive=True)
tell(id=sandbox.id, text=files.read_text("app/src/train.py"), whole=whole, listed=listed, refused=refused,
     stat=[stat.size, stat.mode, stat.type, stat.mtime_ms], left=[entry.name for entry in files.list("/app")],
     exists=[files.exists("/app/src"), files.exists("/app/out")])
""")
    assert facts["text"] == "print('trained')"
    assert facts["whole"] is True
    assert facts["listed"] == [["deep", "/app/out/deep", "dir"], ["model.bin", "/app/out/model.bin", "file"]]
    assert facts["stat"][:3] == [16, "0755", "file"]
    assert abs(facts["stat"][3] / 1000 - time.time()) < 60
    missing, full, directory = facts["refused"]
    assert "(404): no such file or directory: /app/missing" in missing
    assert "(400): directory not empty: /app/out" in full
    assert "(400): is a directory: /app" in directory
    assert facts["left"] == ["src"]
    assert facts["exists"] == [True, False]
    assert hub.sandboxes.path(facts["id"], "/app/src/train.py").read_text() == "print('trained')"


@needs_own_files
def test_commands_and_files_mean_the_same_absolute_paths(run: Run) -> None:
    facts = run("""
with Sandbox.create() as sandbox, Sandbox.create() as other:
    sandbox.files.write("/app/a", "1")
    missing = failure(lambda: other.run("true", cwd="/app"))
    line = "cat /app/a; echo; pwd; echo 2 > /tmp/b; echo 3 > ~/c; ln -s /app/a link; ls /"
    seen = sandbox.run(line, cwd="/app").stdout
    read = [sandbox.files.read_text(path) for path in ("/tmp/b", "/root/c", "/app/link")]
    tell(seen=seen.split(), read=read, elsewhere=other.files.exists("/tmp/b"), missing=missing,
         kinds=[entry.type for path in ("/app", "/usr/share") for entry in sandbox.files.list(path)[:2]],
         system=[failure(lambda: sandbox.files.write("/usr/x", "1")), sandbox.run("touch /usr/x", check=False).stderr])
""")
    assert facts["seen"][:2] == ["1", "/app"]
    assert {"app", "tmp", "usr"} <= set(facts["seen"])
    assert facts["read"] == ["2\n", "3\n", "1"]
    assert facts["elsewhere"] is False
    assert "cwd does not exist: /app" in facts["missing"]
    assert facts["kinds"][:2] == ["file", "symlink"]
    assert len(facts["kinds"]) == 4
    assert all("ead-only file system" in text for text in facts["system"])


def test_background_processes_are_listed_and_killed(hub: StandInHub, run: Run) -> None:
    facts = run("""
sandbox = Sandbox.create()
process = sandbox.run(["sleep", "1000"], background=True)
ended = sandbox.run("exit 5", background=True)
while any(item.running for item in sandbox.processes() if item.id == ended.id):
    time.sleep(0.01)
before = [(item.pid == process.pid, item.running, item.exit_code) for item in sandbox.processes()]
tell(pid=process.pid, before=before, killed=[process.kill(), process.kill(), ended.kill()],
     after=[item.running for item in sandbox.processes()])
""")
    assert facts["before"] == [[True, True, None], [False, False, 5]]
    assert facts["killed"] == [True, False, False]
    assert facts["after"] == [False, False]
    assert not alive(facts["pid"])


def test_a_server_inside_is_reached_from_outside(hub: StandInHub, run: Run) -> None:
    facts = run("""
import httpx, socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with Sandbox.create() as sandbox:
    sandbox.files.write("/app/index.html", "hello from inside")
    dead = httpx.get(sandbox.proxy_url_for(port, scheme="http://"), headers=sandbox.proxy_headers).status_code
    sandbox.run([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], cwd="/app", background=True)
    direct = sandbox._server.base_url.replace("--49983.", f"--{port}.") + "/index.html"
    for url in (sandbox.proxy_url_for(port, "/index.html", scheme="http://"), direct):
        while (answer := httpx.get(url, headers=sandbox.proxy_headers)).status_code == 502:
            time.sleep(0.02)
        assert answer.text == "hello from inside", answer.text
    stranger = httpx.get(direct).status_code
    tell(dead=dead, stranger=stranger, missing=httpx.get(direct + "x", headers=sandbox.proxy_headers).status_code)
""")
    assert facts == {"dead": 502, "stranger": 401, "missing": 404}


def test_only_those_who_hold_its_token_get_in(hub: StandInHub, run: Run) -> None:
    facts = run(
        "tell(id=(sandbox := Sandbox.create()).id, url=sandbox._server.base_url, headers=sandbox.proxy_headers)"
    )
    right = facts["headers"]

    def answer(path: str, headers: dict[str, str]) -> int:
        return httpx.get(facts["url"] + path, headers=headers, trust_env=False).status_code

    assert answer("/v1/processes", right) == 200
    assert answer("/v1/processes", right | {"X-Sandbox-Token": ""}) == 401
    assert answer("/v1/processes", right | {"X-Sandbox-Token": "guessed"}) == 401
    assert answer("/v1/processes", right | {"Authorization": ""}) == 401
    assert answer("/health", right | {"Authorization": "Bearer hf_wrong"}) == 401
    assert answer("/v1/nothing", right) == 404
    assert right["X-Sandbox-Token"] not in json.dumps(hub.jobs.get(facts["id"]).answer())


def test_a_sandbox_is_found_again_by_its_id_and_by_its_labels(hub: StandInHub, run: Run) -> None:
    facts = run("""
first = Sandbox.create(namespace="acme", labels={"ml-intern-session": "s1"}, forward_hf_token=True)
first.files.write("/app/kept", "kept")
first.close()
again = Sandbox.connect(first.id, namespace="acme")
tell(id=first.id, text=again.files.read_text("/app/kept"), token=bool(again.run("echo $HF_TOKEN").stdout.strip()),
     found=[job.id for job in HfApi().list_jobs(labels={"ml-intern-session": "s1"}, namespace="acme")])
""")
    assert facts["text"] == "kept"
    assert facts["token"] is True
    assert facts["found"] == [facts["id"]] == [job.id for job in hub.sandboxes.running()]


def test_killing_a_sandbox_ends_everything_in_it(hub: StandInHub, run: Run) -> None:
    facts = run("""
sandbox = Sandbox.create()
pids = [sandbox.run("sleep 1000", background=True).pid, int(sandbox.run("setsid sleep 1000 & echo $!").stdout)]
sandbox.kill()
gone = failure(lambda: Sandbox.connect(sandbox.id))
tell(pids=pids, gone=gone)
""")
    assert not any(alive(pid) for pid in facts["pids"])
    assert "is not running (status: CANCELED)" in facts["gone"]
    assert [job.stage for job in hub.sandboxes.all()] == ["CANCELED"]


def test_no_process_of_a_sandbox_outlives_the_server(tmp_path: Path) -> None:
    with StandInHub(tmp_path / "hub") as hub:
        client = Client(hub, """
sandbox = Sandbox.create()
tell(pid=sandbox.run("sleep 1000", background=True).pid)
sandbox.run("echo $$; exec sleep 1000", on_stdout=lambda text: tell(pid=int(text)))
""")  # fmt: skip
        pids = [client.facts()["pid"], client.facts()["pid"]]
    client.abandon()
    until(lambda: not any(alive(pid) for pid in pids))


def test_an_idle_sandbox_ends_by_itself_but_not_while_something_runs_in_it(hub: StandInHub, run: Run) -> None:
    facts = run("""
busy, idle = Sandbox.create(idle_timeout=1), Sandbox.create(idle_timeout=1)
busy.run("sleep 1000", background=True)
while HfApi().inspect_job(job_id=idle.id, namespace="mia").status.stage == "RUNNING":
    time.sleep(0.05)
tell(idle=idle.id, busy=busy.id)
""")
    assert hub.jobs.get(facts["idle"]).stage == "COMPLETED"
    assert hub.jobs.get(facts["busy"]).stage == "RUNNING"


def test_a_sandbox_that_never_gets_ready_is_cancelled_by_the_client(hub: StandInHub, run: Run) -> None:
    hub.sandboxes.healthy = False
    facts = run("tell(error=failure(lambda: Sandbox.create(start_timeout=0.5)))")
    assert "did not become ready" in facts["error"]
    assert only(hub.sandboxes.all()).stage == "CANCELED"


def test_a_sandbox_whose_job_fails_at_the_start_says_why(hub: StandInHub, run: Run) -> None:
    hub.sandboxes.fail_starts = 1
    facts = run("tell(error=failure(lambda: Sandbox.create(start_timeout=20)))")
    assert "terminated during startup (status: ERROR, message: Job failed with exit code: 1)" in facts["error"]
    assert hub.sandboxes.fail_message in facts["error"]
    assert only(hub.sandboxes.all()).stage == "ERROR"


def test_a_command_breaks_off_when_its_machine_dies(hub: StandInHub) -> None:
    client = Client(hub, """
import httpx
sandbox = Sandbox.create()
try:
    sandbox.run("echo $$; exec sleep 1000", on_stdout=lambda text: tell(id=sandbox.id, pid=int(text)))
except (SandboxError, httpx.HTTPError) as error:
    tell(error=repr(error))
tell(after=failure(lambda: sandbox.run("true")))
""")  # fmt: skip
    facts = client.facts()
    hub.sandboxes.die(facts["id"], "Job failed with exit code: 137")
    assert "RemoteProtocolError" in client.facts()["error"]
    assert "404" in client.facts()["after"]
    client.end()
    assert not alive(facts["pid"])
    assert hub.jobs.get(facts["id"]).message == "Job failed with exit code: 137"


def test_a_control_server_can_break_while_its_job_runs_on(hub: StandInHub) -> None:
    client = Client(hub, """
sandbox = Sandbox.create()
tell(id=sandbox.id)
sys.stdin.readline()
tell(error=failure(lambda: sandbox.run("true")))
""")  # fmt: skip
    sandbox_id = client.facts()["id"]
    hub.sandboxes.break_server(sandbox_id)
    client.go_on()
    assert "502" in client.facts()["error"]
    client.end()
    assert hub.jobs.get(sandbox_id).stage == "RUNNING"


def test_commands_can_be_slow_to_start(hub: StandInHub, run: Run) -> None:
    hub.sandboxes.exec_delay_s = 0.4
    facts = run("""
with Sandbox.create() as sandbox:
    since = time.monotonic()
    sandbox.run("true")
    tell(seconds=time.monotonic() - since)
""")
    assert facts["seconds"] >= 0.4


def test_a_command_goes_on_when_its_caller_goes_away(hub: StandInHub, run: Run) -> None:
    facts = run("""
import os
sandbox = Sandbox.create()
sandbox.files.mkdir("/app")
sandbox.run("echo begun; sleep 0.2; yes | head -c 1000000; echo over > over", cwd="/app", on_stdout=lambda text: (
    tell(id=sandbox.id), os._exit(0)))
""")
    until(lambda: hub.sandboxes.path(facts["id"], "/app/over").exists())
