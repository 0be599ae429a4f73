from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_intern.core.redact import Redactor
from ml_intern.sessions.exports import FORMATS, export
from ml_intern.sessions.find import SessionFile
from ml_intern.sessions.log import read_session
from ml_intern.sessions.reader import read_on
from ml_intern.sessions.restore import restore
from tests.sessions.support import record, whole_session


def known(path: Path) -> SessionFile:
    about = path.stat()
    return SessionFile(str(path), about.st_size, about.st_mtime_ns)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return record(tmp_path / "sessions", "one", *whole_session())


def test_log_cut_at_any_byte_of_its_last_records_keeps_all_earlier_events(log: Path, tmp_path: Path) -> None:
    data = log.read_bytes()
    lines = data.splitlines(keepends=True)
    whole = list(read_session(log))
    cut = tmp_path / "cut.jsonl"
    for end in range(sum(map(len, lines[:-3])), len(data)):
        cut.write_bytes(data[:end])
        complete = data[: end + 1].count(b"\n")  # a line that only lacks its end is whole as well
        assert list(read_session(cut)) == whole[:complete]
        assert len(read_on(known(cut), None).texts) >= 4
    assert restore(cut).turns == 1


def test_log_that_grows_byte_by_byte_is_read_like_a_whole_one(log: Path, tmp_path: Path) -> None:
    data = log.read_bytes()
    growing = tmp_path / log.name
    portion, texts = None, []
    for end in [*range(0, len(data), 97), len(data)]:
        growing.write_bytes(data[:end])
        portion = read_on(known(growing), portion)
        texts += portion.texts
    at_once = read_on(known(log), None)
    assert portion is not None
    assert (portion.summary, texts) == (at_once.summary, at_once.texts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_never_break_reading_and_spoil_only_their_own_line(log: Path, data: st.DataObject) -> None:
    original = log.read_bytes()
    whole = list(read_session(log))
    place = data.draw(st.integers(0, len(original) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte not in {10, original[place]}))
    damaged = log.with_name("damaged.jsonl")
    damaged.write_bytes(original[:place] + bytes([value]) + original[place + 1 :])
    line = original[:place].count(b"\n")
    kept = list(read_session(damaged))
    assert kept[:line] == whole[:line]
    assert original[place] == 10 or kept[len(kept) - (len(whole) - line - 1) :] == whole[line + 1 :]
    assert restore(damaged).records is not None
    assert read_on(known(damaged), None).summary.row()["id"] == "damaged"
    form = data.draw(st.sampled_from(FORMATS))
    assert isinstance(export(damaged, form, Redactor()), str)
