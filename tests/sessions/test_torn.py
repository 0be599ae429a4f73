"""Damaged files: whatever was torn off or flipped, nothing fails and no earlier event is lost."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    EventBase,
    Processing,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.exports import FORMATS, export
from ml_intern.sessions.find import logs_in
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.log import SessionLog, read_session
from ml_intern.sessions.reader import read_on
from ml_intern.sessions.replay import Recording
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionStore, summary_of
from tests.sessions.support import prompt, record, whole_session

PIECES: list[EventBase] = [
    AssistantChunk(content="Let me see.", kind="reasoning"),
    *(AssistantChunk(content=piece) for piece in ("It is ", "0.93, ", "ü🤗.")),
]
WHOLE: list[EventBase] = [AssistantStreamEnd(), AssistantMessage(content="It is 0.93, ü🤗.", reasoning="Let me see.")]


@pytest.fixture(params=["at its end", "within a reply", "with a reply"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    more: list[EventBase] = {"at its end": [], "within a reply": PIECES, "with a reply": [*PIECES, *WHOLE]}[
        request.param
    ]
    return record(tmp_path / "sessions", "one", *whole_session(), *(prompt("And now?") if more else []), *more)


def look(path: Path) -> None:
    """Everything that reads a log reads this one."""
    saved = restore(path)
    assert saved.id == path.stem
    assert summary_of(path).row()["id"] == path.stem
    recording = Recording.open(path)
    assert len(recording) >= 0
    (file,) = [file for file in logs_in(path.parents[2]) if file.path == path]
    assert read_on(file, None).summary.id == path.stem


def test_a_log_torn_at_any_byte_of_its_last_three_records_reads_resumes_and_goes_on(log: Path) -> None:
    data = log.read_bytes()
    whole = list(read_session(log, pieces=True))
    lines = data.splitlines(keepends=True)
    for end in range(sum(map(len, lines[:-3])), len(data) + 1):
        log.write_bytes(data[:end])
        complete = data[: end + 1].count(b"\n")  # a line that only lacks its end is whole as well
        assert list(read_session(log, pieces=True)) == whole[:complete], end
        look(log)
        if end % 5 == 0:
            assert goes_on(log) == whole[:complete], end


def goes_on(path: Path) -> list[dict[str, object]]:
    """Appends to a log as a resumed session does, and gives the events that were there before."""
    stream = EventStream(path.stem)
    stream.continue_from(1_000)
    writer = SessionLog(path.parents[2], Redactor(), "1", print)
    writer.claim(path.stem)
    stream.subscribe(writer)
    stream.emit(UserMessage(content="And then?"))
    stream.emit(Processing())
    writer.close()
    events = list(read_session(path, pieces=True))
    assert [event["type"] for event in events[-2:]] == ["user_message", "processing"]
    return events[:-2]


def test_flipped_bytes_spoil_their_own_lines_and_nothing_else(log: Path) -> None:
    chance = random.Random(11)
    data = log.read_bytes()
    whole = list(read_session(log, pieces=True))
    for number in range(300):
        damaged = bytearray(data)
        places = sorted(chance.sample(range(len(data)), chance.choice((1, 1, 2, 8))))
        for place in places:
            damaged[place] ^= 1 << chance.randrange(8)
        log.write_bytes(damaged)
        hit = {data[:place].count(b"\n") for place in places}
        kept = list(read_session(log, pieces=True))
        breaks = bytes(damaged).count(b"\n") != len(whole) or any(data[place] == 10 for place in places)
        if not breaks:
            assert all(event in kept for at, event in enumerate(whole) if at not in hit), number
        assert kept[: min(hit)] == whole[: min(hit)]
        look(log)
        form = FORMATS[number % len(FORMATS)]
        assert isinstance(export(log, form, Redactor()), str)


def test_a_list_of_damaged_logs_shows_each_of_them(tmp_path: Path) -> None:
    chance = random.Random(5)
    index = SessionIndex(tmp_path / "sessions")
    for number in range(40):
        path = record(tmp_path / "sessions", f"s{number:02}", *whole_session())
        data = bytearray(path.read_bytes())
        for _ in range(chance.choice((0, 1, 20, 300))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.randrange(len(data))])
    index.refresh()
    assert len(index.list()) == 40
    assert index.refresh() == 0


def test_a_damaged_index_is_never_trusted_and_never_in_the_way(tmp_path: Path) -> None:
    chance = random.Random(3)
    index = SessionIndex(tmp_path / "sessions")
    for number in range(6):
        record(tmp_path / "sessions", f"s{number}", *whole_session(f"prompt {number}"))
    index.refresh()
    good = tmp_path / "good.sqlite"
    shutil.copy(index.path, good)
    size = good.stat().st_size
    for number in range(150):
        data = bytearray(good.read_bytes())
        for _ in range(chance.choice((1, 10, 200))):
            data[chance.randrange(size)] ^= 1 << chance.randrange(8)
        index.path.write_bytes(data)
        index.list()
        index.search("classifier accuracy")
        index.search("accur")
        index.get("s3")
        index.refresh()
        assert len(index.list()) <= 6, number


def test_a_torn_session_can_be_named_copied_deleted_and_brought_back(log: Path, tmp_path: Path) -> None:
    log.write_bytes(log.read_bytes()[:-25])
    kept = list(read_session(log, pieces=True))
    store = SessionStore(tmp_path / "sessions", Redactor())
    store.rename(log, "Torn")
    assert summary_of(log).title == "Torn"
    assert list(read_session(log, pieces=True))[: len(kept)] == kept
    assert summary_of(store.fork(log)).turns == summary_of(log).turns >= 1
    store.delete(log)
    assert list(read_session(store.restore("one")))[: len(kept)] == kept
