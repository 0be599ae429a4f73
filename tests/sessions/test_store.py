from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import Notice
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import SessionSettings, Settings
from ml_intern.run import Run
from ml_intern.sessions.find import logs_in
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.lock import SessionInUseError, SessionLock, in_use
from ml_intern.sessions.log import SessionLog, read_session
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionError, SessionStore, summary_of
from ml_intern.wiring import assemble
from tests.sessions.support import CANARY, answer, output, prompt, record, whole_session
from tests.support.harness import MODEL, Harness
from tests.support.llm_server import ScriptedLLM, text


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", Redactor())


@pytest.fixture
def log(store: SessionStore) -> Path:
    return record(store.directory, "abcdef", *whole_session())


def test_session_is_found_by_any_beginning_that_fits_it_alone(store: SessionStore, log: Path) -> None:
    other = record(store.directory, "abcxyz", *prompt("go"))
    longer = record(store.directory, "abcdef-2", *prompt("go"))
    assert store.find("abcx") == other
    assert store.find("abcdef") == log
    assert store.find("abcdef-") == longer
    for wrong, words in (("abc", "3 sessions"), ("zzz", "no session"), ("", "no session")):
        with pytest.raises(SessionError, match=words):
            store.find(wrong)


def test_name_and_tags_are_events_of_the_log(store: SessionStore, log: Path) -> None:
    before, time = log.read_bytes(), log.stat().st_mtime_ns
    store.rename(log, "A  better\nname")
    assert store.tag(log, ["good", "lr", "good"]) == ("good", "lr")
    assert store.tag(log, ["-lr", "new"]) == ("good", "new")
    assert log.read_bytes().startswith(before)
    assert log.stat().st_mtime_ns == time
    summary = summary_of(log)
    assert (summary.title, summary.tags) == ("A better name", ("good", "new"))
    numbers = [event["seq"] for event in read_session(log)]
    assert numbers == sorted(set(numbers))
    assert restore(log).last_seq == numbers[-1]
    store.rename(log, "")
    assert summary_of(log).title == "Train a classifier"


def test_name_goes_behind_a_torn_line(store: SessionStore, log: Path) -> None:
    with log.open("ab") as file:
        file.write(b'{"seq": 99, "type": "user_mess')
    store.rename(log, "Named")
    assert summary_of(log).title == "Named"


def test_copy_is_a_session_of_its_own(store: SessionStore, log: Path) -> None:
    before = log.read_bytes()
    copy = store.fork(log)
    assert copy.stem != log.stem
    assert log.read_bytes() == before
    assert restore(copy).records == restore(log).records
    assert {event["session_id"] for event in read_session(copy)} == {copy.stem}
    assert summary_of(copy).origin == "fork of abcdef"
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_log_without_an_event_is_not_copied(store: SessionStore, log: Path) -> None:
    log.write_bytes(b"\xff\n" * 9)
    with pytest.raises(SessionError, match="nothing in session abcdef"):
        store.fork(log)
    assert [file.path for file in logs_in(store.directory)] == [log]


def test_copy_can_end_at_an_event(store: SessionStore) -> None:
    log = record(store.directory, "two", *prompt("first"), *answer("one"), *prompt("second"), *answer("two"))
    (end,) = [event["seq"] for event in read_session(log) if event.get("final_response") == "one"]
    copy = restore(store.fork(log, last_seq=end))
    assert [message["content"] for message in copy.records] == ["first", "one"]


def test_deleted_session_comes_back_with_all_its_files(store: SessionStore) -> None:
    log = record(store.directory, "big", *prompt("go"), *output("1", "bash", "x" * 90_000))
    events = list(read_session(log))
    index = SessionIndex(store.directory)
    store.delete(log)
    index.refresh()
    assert index.list() == []
    assert not log.exists()
    with pytest.raises(SessionError, match="in the trash"):
        store.find("big")
    assert store.restore("bi") == log
    assert list(read_session(log)) == events
    with pytest.raises(SessionError, match="in the trash"):
        store.restore("big")


def test_of_sessions_with_the_same_id_none_is_ever_written_over(store: SessionStore) -> None:
    def made(title: str) -> Path:
        return record(store.directory, "abcdef", *prompt(title), *output("1", "bash", title * 30_000))

    for title in ("first", "second"):
        store.delete(made(title))
    assert {summary_of(file.path).title for file in logs_in(store.trash)} == {"first", "second"}
    third = made("third")
    back = store.restore("abcdef")
    assert (summary_of(back).title, back.stem) == ("second", "abcdef-3")
    assert [event["output"] for event in read_session(back) if event["type"] == "tool_output"] == ["second" * 30_000]
    assert summary_of(store.restore("abcdef-2")).title == "first"
    assert summary_of(third).title == "third"


def test_old_sessions_are_those_nobody_has_used(store: SessionStore, log: Path) -> None:
    old, busy = (record(store.directory, name, *prompt("go")) for name in ("old", "busy"))
    for path in (old, busy):
        os.utime(path, (1e9, 1e9))
    lock = SessionLock.take(busy)
    assert [file.path for file in store.older_than(timedelta(days=90))] == [old]
    lock.release()
    store.delete(old)
    (file,) = store.older_than(timedelta(days=90), in_trash=True)
    store.destroy(file.path)
    assert not list(store.trash.rglob("*.jsonl"))


@pytest.mark.parametrize("keep_days", [90, None])
async def test_a_start_throws_away_what_is_old_only_where_that_is_wanted(
    store: SessionStore, tmp_path: Path, keep_days: int | None
) -> None:
    old, busy, young = (record(store.directory, name, *prompt("go")) for name in ("old", "busy", "young"))
    for path in (old, busy):
        os.utime(path, (1e9, 1e9))
    lock = SessionLock.take(busy)
    settings = Settings(model_name=MODEL, sessions=SessionSettings(keep_days=keep_days))
    places = replace(find_places({"ML_INTERN_HOME": str(tmp_path / "home")}), sessions=store.directory)
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    async with ScriptedLLM(text("hello")) as server:
        env["LOCAL_LLM_BASE_URL"] = server.url
        wired = assemble(Run(settings, places=places, workspace=tmp_path, env=env, lasts=True))
        async with Harness.around(wired, server) as agent:
            if keep_days:
                told = await agent.until(lambda event: isinstance(event, Notice) and "trash" in event.text)
                assert "Put 1 session that was not used for 90 days into the trash" in told.text
            await agent.prompt("hello")
    lock.release()
    assert {path.exists() for path in (busy, young)} == {True}
    assert old.exists() == (keep_days is None)
    assert bool(list(store.trash.rglob("old.jsonl"))) == bool(keep_days)


def test_secret_in_a_name_is_not_kept(store: SessionStore, log: Path) -> None:
    store.rename(log, f"HF_TOKEN={CANARY}")
    assert CANARY not in log.read_text()


# ---------------------------------------------------------------------------------------------------------- locks

HOLDER = """
import sys
from pathlib import Path
from ml_intern.sessions.lock import SessionLock
lock = SessionLock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_log_has_one_writer_and_a_killed_one_leaves_no_lock(store: SessionStore, log: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert in_use(log)
        for change in (lambda: store.rename(log, "x"), lambda: store.delete(log), lambda: store.tag(log, ["x"])):
            with pytest.raises(SessionError, match="open in another ml-intern"):
                change()
        later = SessionLog(store.directory, Redactor(), "1", lambda _: None)
        with pytest.raises(SessionInUseError):
            later.claim("abcdef")
        assert summary_of(store.fork(log)).turns == 1
        holder.kill()
    assert not in_use(log)
    store.rename(log, "free again")


def test_claiming_a_session_leaves_its_file_as_it_is(store: SessionStore, log: Path) -> None:
    before, time = log.read_bytes(), log.stat().st_mtime_ns
    claimed = SessionLog(store.directory, Redactor(), "1", lambda _: None)
    claimed.claim("abcdef")
    assert in_use(log)
    claimed.close()
    assert not in_use(log)
    assert (log.read_bytes(), log.stat().st_mtime_ns) == (before, time)


# --------------------------------------------------------------------------------------------------- large outputs


def test_large_text_lies_beside_the_log_once_and_is_read_in_its_place(store: SessionStore) -> None:
    text = "line \u2028 ü\n" * 20_000
    log = record(store.directory, "big", *prompt("go"), *output("1", "bash", text + CANARY))
    (file,) = log.with_suffix(".files").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert CANARY not in file.read_text()
    assert max(map(len, log.read_bytes().splitlines())) < 2_000
    (shown,) = [event["output"] for event in read_session(log) if event["type"] == "tool_output"]
    assert shown.startswith(text)
    assert restore(log).records[-1]["content"] == shown
    copy = store.fork(log)
    assert max(map(len, copy.read_bytes().splitlines())) < 2_000
    assert restore(copy).records[-1]["content"] == shown
    file.unlink()
    (gone,) = [event["output"] for event in read_session(log) if event["type"] == "tool_output"]
    assert "cannot be read" in gone
