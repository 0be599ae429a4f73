from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.sessions.lock import SessionLock
from ml_intern.sessions.log import read_session
from tests.sessions.support import CANARY, prompt, record, whole_session
from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.support.program import MODEL, Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture
def server() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def log(program: Program) -> Path:
    record(program.home / "sessions", "bbbb2222", *prompt("elsewhere"), directory="/data/other")
    return record(program.home / "sessions", "aaaa1111", *whole_session(), directory=str(program.workdir))


def test_list_is_for_people_and_for_programs(program: Program, log: Path) -> None:
    done = program.run("sessions", "list")
    assert (done.code, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("aaaa1111")
    assert "Train a classifier" in line
    rows = json.loads(program.run("sessions", "list", "--all", "--json").stdout)
    assert {row["id"] for row in rows} == {"aaaa1111", "bbbb2222"}
    keys = {"id", "title", "directory", "model", "started", "turns", "cost_usd", "status"}
    assert all(keys <= set(row) for row in rows)


def test_list_fits_the_terminal(program: Program, log: Path) -> None:
    program.env["COLUMNS"] = "50"
    for line in program.run("sessions", "list", "--all").stdout.splitlines():
        assert len(line) <= 50


def test_empty_list_says_where_sessions_are(program: Program, log: Path) -> None:
    done = program.run("sessions", "list", "--workdir", "/", "--json")
    assert done.code == 2  # its own flags stand behind `sessions`
    done = program.run("--workdir", "/", "sessions", "list")
    assert (done.code, done.stdout) == (0, "")
    assert "--all` shows 2 elsewhere" in done.stderr
    assert program.run("--workdir", "/", "sessions", "list", "--json").stdout == "[]\n"


def test_search_looks_everywhere(program: Program, log: Path) -> None:
    rows = json.loads(program.run("sessions", "search", "loss", "0.31", "--json").stdout)
    assert [(row["id"], "loss 0.31" in row["snippet"]) for row in rows] == [("aaaa1111", True)]
    assert "loss 0.31" in program.run("sessions", "search", "loss").stdout
    done = program.run("sessions", "search", "nowhere")
    assert (done.code, done.stdout) == (0, "")


def test_show_and_export_write_nothing_but_the_session(program: Program, log: Path, tmp_path: Path) -> None:
    shown = program.run("sessions", "show", "aa")
    assert shown.stdout == program.run("sessions", "export", "aa", "--format", "markdown").stdout
    assert "Accuracy is" in shown.stdout
    target = tmp_path / "out.html"
    done = program.run("sessions", "export", "aa", "--format", "html", "--to", str(target), "--json")
    assert done.object == {"id": "aaaa1111", "format": "html", "path": str(target)}
    assert target.read_text().startswith("<!doctype html>")
    shown = program.run("sessions", "show", "aa", "--json")
    assert shown.object["events"][-1]["type"] == "turn_complete"


def test_session_is_changed_copied_thrown_away_and_brought_back(program: Program, log: Path) -> None:
    assert program.run("sessions", "rename", "aa", "--json", "--", "--lr", "5e-5").object["title"] == "--lr 5e-5"
    assert program.run("sessions", "rename", "aa", "My", "run", "--json").object["title"] == "My run"
    assert program.run("sessions", "tag", "aa", "x", "y", "--json").object["tags"] == ["x", "y"]
    assert program.run("sessions", "tag", "aa", "--remove", "x", "--json").object["tags"] == ["y"]
    copy = program.run("sessions", "fork", "aa", "--json").object["id"]
    assert program.run("sessions", "delete", "aa", copy, "--json").object == {"deleted": ["aaaa1111", copy]}
    assert json.loads(program.run("sessions", "list", "--json").stdout) == []
    assert program.run("sessions", "restore", "aa", "--json").object == {"restored": ["aaaa1111"]}
    assert program.run("sessions", "prune", "--older-than", "90d", "--json").object["pruned"] == []
    dry = program.run("sessions", "prune", "--older-than", "0d", "--dry-run", "--json").object
    assert (sorted(dry["pruned"]), dry["dry_run"]) == (["aaaa1111", "bbbb2222"], True)
    assert log.exists()
    program.run("sessions", "prune", "--older-than", "0d")
    assert json.loads(program.run("sessions", "list", "--all", "--json").stdout) == []


def test_what_can_be_done_is_done_and_told_and_the_rest_is_named(program: Program, log: Path) -> None:
    lock = SessionLock.take(log)
    try:
        done = program.run("sessions", "delete", "bbbb", "aaaa", "--json")
        assert (done.code, done.object) == (1, {"deleted": ["bbbb2222"]})
        assert "aaaa1111 is open in another ml-intern" in done.stderr
    finally:
        lock.release()
    done = program.run("sessions", "restore", "nope", "bbbb", "--json")
    assert (done.code, done.object) == (1, {"restored": ["bbbb2222"]})
    assert "'nope'" in done.stderr
    assert program.run("sessions", "prune", "--older-than", "999999w", "--json").object["pruned"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "zz"], 1, "no session"),
        (["show", "../../etc"], 1, "no session"),
        (["export", "aa", "--format", "pdf"], 2, "pdf"),
        (["export", "aa", "--to", "/nonexistent/x"], 1, "/nonexistent/x"),
        (["export", "aa", "--to", "/dev/full"], 1, ": /dev/full"),
        (["export", "aa", "--to", "/"], 1, "directory: /"),
        (["import", "/nonexistent/x"], 2, "not a file"),
        (["prune"], 2, "--older-than"),
        (["prune", "--older-than", "soon"], 2, "'soon'"),
        (["list", "--limit", "0"], 2, "'0'"),
        (["frob"], 2, "--help"),
        (["delete"], 2, "ID"),
    ],
)
def test_mistakes_are_one_line_on_stderr(
    program: Program, log: Path, arguments: list[str], code: int, words: str
) -> None:
    done = program.run("sessions", *arguments)
    assert (done.code, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert words in done.stderr


def test_help_lists_the_commands(program: Program) -> None:
    done = program.run("sessions", "--help")
    assert done.code == 0
    for command in (
        "list",
        "search",
        "show",
        "export",
        "import",
        "rename",
        "tag",
        "delete",
        "restore",
        "prune",
        "fork",
    ):
        assert f"    {command} " in done.stdout
    assert not (program.home / "sessions").exists()


def test_run_is_found_from_another_directory_and_gone_on_with(server: ScriptedLLM, tmp_path: Path) -> None:
    program = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url)
    server.then(text("The answer is quokka."), text("Again."))
    assert program.run(*MODEL, "what is it").code == 0
    (path,) = program.logs()
    before = path.read_bytes()
    program.workdir = tmp_path
    (row,) = json.loads(program.run("sessions", "search", "quokka", "--json").stdout)
    lock = SessionLock.take(path)
    refused = program.run(*MODEL, "--resume", row["id"][:8], "and now")
    assert refused.code == 2
    assert "sessions fork" in refused.stderr
    lock.release()
    assert path.read_bytes() == before
    assert program.run(*MODEL, "--resume", row["id"][:8], "and now").code == 0
    (row,) = json.loads(program.run("sessions", "list", "--all", "--json").stdout)
    assert (row["turns"], row["status"]) == (2, "completed")


def test_canary_is_in_no_log_no_index_and_no_export(server: ScriptedLLM, tmp_path: Path) -> None:
    secret = "correct-horse-battery-9"
    program = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url, MY_API_KEY=secret)
    server.then(text(f"I saw {secret} and {CANARY}, max_token: 512"))
    program.run(*MODEL, f"use {CANARY} and {secret}")
    (path,) = program.logs()
    program.run("sessions", "search", "max_token")
    for form in ("markdown", "html", "claude", "sts", "sft"):
        program.run("sessions", "export", path.stem, "--format", form, "--to", str(program.workdir / form))
    files = [each for each in (*program.home.rglob("*"), *program.workdir.rglob("*")) if each.is_file()]
    assert len(files) >= 7
    for file in files:
        data = file.read_bytes()
        assert secret.encode() not in data
        assert b"Zq7Zq7" not in data
    assert any("max_token: 512" in str(event) for event in read_session(path))
