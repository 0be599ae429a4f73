from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.display import JobCard
from ml_intern.core.images import ImageRef
from ml_intern.core.protocol import (
    ApprovalItem,
    ApprovalRequired,
    ArtifactEvent,
    AsideEvent,
    AssistantChunk,
    Attachment,
    Compacted,
    ErrorEvent,
    EventBase,
    Expense,
    Feedback,
    HistoryRecord,
    Interrupted,
    ModeChanged,
    ModelChanged,
    Notice,
    Origin,
    OriginFound,
    PlanItem,
    PlanUpdate,
    SessionMeta,
    SubagentEvent,
    ToolCallEvent,
    ToolStateChange,
    UndoComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.exports import FORMATS, export
from ml_intern.sessions.find import SessionFile
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.log import read_session
from ml_intern.sessions.reader import read_on
from ml_intern.sessions.replay import Recording
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionStore
from tests.sessions.support import call, output, record, whole_session, with_odd_values


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


def story() -> list[EventBase]:
    """Events of all kinds that those who read logs look into."""
    card = JobCard(job_id="j", backend="hub", stage="ERROR")
    asked = ApprovalItem(tool="bash", arguments={}, tool_call_id="c1", reason="deletes")
    image = ImageRef(file="a.png", name="a", media="image/png", width=1, height=1, size=1)
    return [
        *whole_session(),
        UserMessage(content="q", images=(image,), attached=(Attachment(label="a", text="b"),)),
        *call("c9", "hf_jobs", "{}", {"operation": "run", "script": "x"}),
        *output("c9", "hf_jobs", "o", stage="RUNNING"),
        ToolStateChange(tool="hf_jobs", tool_call_id="c9", state="rejected", display=(card,)),
        ApprovalRequired(tools=(asked,), count=1),
        Notice(text="n"),
        PlanUpdate(plan=(PlanItem(id="1", content="x", status="pending"),)),
        SessionMeta(title="t", tags=("a",), origin="x"),
        Feedback(message_seq=3, rating="up"),
        Expense(kind="job", what="hf_jobs", ref="j", cost_usd=1.0, state="estimated"),
        ArtifactEvent(kind="model", id="m", state="created"),
        SubagentEvent(agent_id="a", event=ToolCallEvent(tool="x", arguments={}, tool_call_id="n")),
        AsideEvent(aside_id="a", question="q", state="answered", answer="y"),
        OriginFound(tool="bash", tool_call_id="c1", action="ask", origin=Origin(source="s", via="v", passage="p")),
        UndoComplete(removed_messages=1),
        Compacted(old_tokens=1, new_tokens=1),
        HistoryRecord(op="replace", messages=({"role": "user", "content": "s", "kind": "summary"},)),
        HistoryRecord(op="truncate", keep=3),
        ModelChanged(model="m", effort="low"),
        ModeChanged(mode="plan"),
        ErrorEvent(error="e", kind="k"),
        Interrupted(),
        AssistantChunk(content="half", kind="text"),
    ]


def test_odd_values_anywhere_in_a_log_break_no_reader(tmp_path: Path) -> None:
    log = record(tmp_path / "sessions", "one", *story())
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    events = {(event["type"], event.get("op")): event for event in lines}
    odd = [json.dumps(value) for event in events.values() for value in with_odd_values(event)]
    log.write_text("".join(f"{line}\n" for line in [*map(json.dumps, events.values()), *odd]))
    saved = restore(log)
    context = ContextManager("system", TokenCounter())
    assert context.load(saved.records)[1] == 0
    assert saved.last_seq < 2**62
    index = SessionIndex(log.parents[2])
    assert index.refresh() == 1
    assert [session.id for session in index.list()] == ["one"]
    assert len(Recording.open(log)) > 0
    assert restore(SessionStore(log.parents[2], Redactor()).fork(log)).records == saved.records
    for form in FORMATS:
        assert isinstance(export(log, form, Redactor()), str)


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
