from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.config import ConfigError
from ml_intern.core.protocol import EventBase, HistoryRecord, ModeChanged, ModelChanged, Ready, SessionMeta
from ml_intern.core.redact import Redactor
from ml_intern.options import Options
from ml_intern.resuming import claim
from ml_intern.run import UNWATCHED_CAP_USD
from ml_intern.sessions.log import SessionLog
from ml_intern.sessions.restore import latest_session, restore
from ml_intern.sessions.store import summary_of
from ml_intern.wiring import Wired, build
from tests.tui.review_story import PAST, prompt, write_log

HOSTED = "anthropic/claude-opus-4-6"


def resumed(directory: Path, *events: EventBase, **options: Any) -> Wired:
    begin(directory, *events)
    return go_on(directory, **options)


def begin(directory: Path, *events: EventBase, workdir: str | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    workdir = str(directory) if workdir is None else workdir
    told: list[EventBase] = [
        Ready(tool_count=20, model="vllm/first", effort="low", mode="ask", workdir=workdir),
        *events,
        *prompt("Hello"),
    ]
    return write_log(directory / "home" / "sessions", [(float(at), event) for at, event in enumerate(told)])


def go_on(directory: Path, **options: Any) -> Wired:
    home = directory / "home"
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "cli_agent_config.json").write_text('{"model_name": "vllm/mine"}', encoding="utf-8")
    env = {
        "ML_INTERN_HOME": str(home),
        "LOCAL_LLM_BASE_URL": "http://127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
    }
    return build(Options(**{"resume": PAST, **options}), env)


def choices(wired: Wired) -> tuple[str, str, str]:
    session = wired.agent.session
    return session.model, session.effort, session.mode


async def test_a_session_goes_on_with_the_model_effort_and_mode_it_ended_with(tmp_path: Path) -> None:
    assert choices(resumed(tmp_path / "as-begun")) == ("vllm/first", "low", "ask")
    changes = (ModelChanged(model="vllm/second", effort="max"), ModeChanged(mode="plan"))
    assert choices(resumed(tmp_path / "changed", *changes)) == ("vllm/second", "max", "plan")


async def test_what_the_command_line_names_comes_before_what_the_session_had(tmp_path: Path) -> None:
    wired = resumed(tmp_path, model="vllm/named", effort="high", mode="guarded")
    assert choices(wired) == ("vllm/named", "high", "guarded")


async def test_a_session_that_went_on_by_itself_is_capped_when_it_does_again(tmp_path: Path) -> None:
    wired = resumed(tmp_path, ModeChanged(mode="yolo"))
    assert wired.agent.session.mode == "yolo"
    assert wired.agent.session.budget.cap_usd == UNWATCHED_CAP_USD


async def test_where_nobody_can_answer_the_mode_is_that_of_the_run(tmp_path: Path) -> None:
    wired = resumed(tmp_path, prompt="go on")
    assert choices(wired) == ("vllm/first", "low", "yolo")


async def test_a_model_that_cannot_be_used_any_more_gives_way_to_the_configured_one(tmp_path: Path) -> None:
    wired = resumed(tmp_path, ModelChanged(model=HOSTED, effort="low"))
    assert choices(wired) == ("vllm/mine", "low", "ask")
    assert not wired.model_problem
    [warning] = [text for text in wired.warnings if "Going on with" in text]
    assert HOSTED in warning
    assert "ANTHROPIC_API_KEY" in warning


@pytest.mark.parametrize("content", [b"", b"\0" * 500, bytes(range(256)) * 9, b'{"type": "of another time"}\n'])
def test_a_log_in_which_nothing_can_be_read_is_said_to_be_one_and_stays_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    log = begin(tmp_path)
    log.write_bytes(content)
    with pytest.raises(ConfigError, match="nothing that can be read") as error:
        go_on(tmp_path)
    assert str(log) in str(error.value)
    assert log.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_that_may_not_be_read_is_said_to_be_one(tmp_path: Path) -> None:
    begin(tmp_path).chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        go_on(tmp_path)
    with pytest.raises(ConfigError, match="no earlier session"):
        go_on(tmp_path, resume=None, continue_latest=True, workdir=tmp_path)


async def test_what_of_a_log_cannot_be_read_is_counted_and_told(tmp_path: Path) -> None:
    odd = HistoryRecord(op="append", messages=({"role": "oracle", "content": "x"}, {"content": 3}))
    log = begin(tmp_path, odd)
    lines = log.read_bytes().splitlines(keepends=True)
    made = [lines[0], b"\xff garbage\n", b"\0\0\0\n", b'{"type": "of another time"}\n', *lines[1:]]
    log.write_bytes(b"".join(made) + b'{"torn": ')
    wired = go_on(tmp_path)
    assert [warning for warning in wired.warnings if "cannot be read" in warning] == [
        "3 entries of this session's log cannot be read and are left out."
    ]
    assert [message.content for message in wired.agent.session.context.messages] == ["Hello"]


async def test_a_session_goes_on_where_it_worked_or_says_that_this_is_gone(tmp_path: Path) -> None:
    here = Path.cwd()
    for number, (workdir, place, told) in enumerate(
        [(tmp_path, tmp_path, False), (tmp_path / "gone", here, True), ("", here, False), ("home", here, False)]
    ):
        directory = tmp_path / str(number)
        begin(directory, workdir=str(workdir))
        wired = go_on(directory)
        assert wired.agent.session.workspace == place
        assert any("which is gone" in warning for warning in wired.warnings) == told


async def test_a_directory_is_the_same_by_whatever_link_it_is_reached(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    log = begin(tmp_path)
    assert go_on(tmp_path, resume=None, continue_latest=True, workdir=link).agent.session.id == log.stem


def test_the_newest_session_of_a_directory_is_found_though_its_first_line_is_damaged(tmp_path: Path) -> None:
    log = begin(tmp_path)
    log.write_bytes(log.read_bytes().replace(b"{", b"[", 1))
    assert latest_session(tmp_path / "home" / "sessions", tmp_path) == log
    assert restore(log).directory == summary_of(log).directory == str(tmp_path)


def test_a_session_that_another_process_has_gone_on_with_meanwhile_is_not_resumed_as_it_was(tmp_path: Path) -> None:
    log = begin(tmp_path)
    saved = restore(log)
    with log.open("ab") as file:
        file.write(b'{"seq": 99, "type": "processing"}\n')
    writer = SessionLog(tmp_path / "home" / "sessions", Redactor(), "1", print)
    with pytest.raises(ConfigError, match="resume it once more"):
        claim(writer, saved)
    claim(writer, restore(log))
    writer.close()


async def test_what_an_imported_session_may_do_and_where_is_decided_here(tmp_path: Path) -> None:
    imported = SessionMeta(origin="imported from theirs.jsonl")
    begin(tmp_path / "one", ModeChanged(mode="yolo"), imported, workdir="/")
    session = go_on(tmp_path / "one").agent.session
    assert session.mode == "guarded"
    assert session.workspace == Path.cwd()
    begin(tmp_path / "two", ModeChanged(mode="yolo"), imported, ModeChanged(mode="ask"), workdir="/")
    assert go_on(tmp_path / "two").agent.session.mode == "ask"  # that was decided here
