from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    EVENT,
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    EventBase,
    HistoryRecord,
    Interrupted,
    NewComplete,
    Notice,
    Ready,
    SessionResumed,
    ShutdownEvent,
    ToolOutput,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.log import SessionLog, find_session, read_session

TOKEN = "hf_" + "Ab1" * 12


class Conversation:
    """An event stream with its log, and what was told to the person."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[str] = []
        self.events = EventStream("first-session")
        self.log = SessionLog(directory, Redactor(["correct-horse-battery"]), "1.2.3", self.problems.append)
        self.events.subscribe(self.log)

    def files(self) -> list[Path]:
        return sorted(self.directory.rglob("*.jsonl"))

    def types(self) -> list[str]:
        (path,) = self.files()
        return [event["type"] for event in read_session(path)]


@pytest.fixture
def conversation(tmp_path: Path) -> Iterator[Conversation]:
    made = Conversation(tmp_path / "sessions")
    yield made
    made.log.close()


def ready() -> Ready:
    return Ready(tool_count=7, model="vllm/a", workdir="/data/project")


def test_opening_and_leaving_makes_no_file(conversation: Conversation) -> None:
    for event in (ready(), Notice(text="hello"), HistoryRecord(op="append", messages=({"role": "system"},))):
        conversation.events.emit(event)
    conversation.events.emit(ShutdownEvent())
    assert not conversation.directory.exists()


def test_first_prompt_begins_the_file_with_what_came_before(conversation: Conversation) -> None:
    conversation.events.emit(ready())
    conversation.events.emit(Notice(text="hello"))
    conversation.events.emit(UserMessage(content="go"))
    assert conversation.types() == ["session_started", "ready", "notice", "user_message"]


def test_first_line_tells_what_the_session_is(conversation: Conversation) -> None:
    conversation.events.emit(ready())
    prompt = conversation.events.emit(UserMessage(content="go"))
    (path,) = conversation.files()
    header = next(read_session(path))
    assert header == {
        "seq": 0,
        "time": header["time"],
        "session_id": "first-session",
        "type": "session_started",
        "schema_version": 1,
        "directory": "/data/project",
        "model": "vllm/a",
        "version": "1.2.3",
    }
    assert path.name == "first-session.jsonl"
    assert path.relative_to(conversation.directory).parts[:2] == (prompt.time[:4], prompt.time[5:7])


def test_file_and_its_directories_belong_to_the_user_alone(conversation: Conversation) -> None:
    conversation.events.emit(UserMessage(content="go"))
    (path,) = conversation.files()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for directory in (path.parent, path.parent.parent, conversation.directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_event_is_in_the_file_when_later_consumers_hear_of_it(conversation: Conversation) -> None:
    seen: list[bool] = []

    def check(event: EventBase) -> None:
        last = list(read_session(conversation.files()[0]))[-1]
        seen.append(last["seq"] == event.seq)

    conversation.events.subscribe(check)
    for number in range(5):
        conversation.events.emit(UserMessage(content=f"prompt {number}"))
    assert seen == [True] * 5


def test_logged_events_come_back_equal(conversation: Conversation) -> None:
    sent = [
        conversation.events.emit(event)
        for event in (
            UserMessage(content='line\nbreak \u2028 \x85 emoji 🤗 quote " backslash \\ nul \x00'),
            ToolOutput(tool="bash", tool_call_id="1", output="[/bold] \x1b[31mred", success=False),
            HistoryRecord(op="append", messages=({"role": "user", "content": "x"},)),
            TurnComplete(reason="completed", final_response="done", iterations=1, cost_usd=0.5, tokens=3),
        )
    ]
    (path,) = conversation.files()
    assert [EVENT.validate_python(event) for event in read_session(path)][1:] == sent


def test_pieces_of_a_reply_are_kept_and_passed_over_once_it_is_whole(conversation: Conversation) -> None:
    begun = ["session_started", "user_message"]
    conversation.events.emit(UserMessage(content="go"))
    for piece in ("he", "llo"):
        conversation.events.emit(AssistantChunk(content=piece))
    assert conversation.types() == [*begun, "assistant_chunk", "assistant_chunk"]
    conversation.events.emit(AssistantStreamEnd())
    conversation.events.emit(Notice(text="between"))
    assert conversation.types()[2:] == ["assistant_chunk", "assistant_chunk", "assistant_stream_end", "notice"]
    conversation.events.emit(AssistantMessage(content="hello"))
    assert conversation.types() == [*begun, "assistant_stream_end", "notice", "assistant_message"]
    (path,) = conversation.files()
    kept = [event["type"] for event in read_session(path, pieces=True)]
    assert kept == [*begun, *["assistant_chunk"] * 2, "assistant_stream_end", "notice", "assistant_message"]
    assert [event["type"] for event in read_session(path, last_seq=3)] == [*begun, *["assistant_chunk"] * 2]


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ([AssistantStreamEnd(discarded=True), Notice(text="again")], 0),
        ([AssistantStreamEnd(), AssistantMessage(content="he", partial=True), Interrupted()], 1),
        ([AssistantStreamEnd(), Interrupted()], 1),
        ([SessionResumed(messages=1, model="vllm/a"), UserMessage(content="go on"), AssistantMessage(content="x")], 1),
    ],
)
def test_pieces_are_passed_over_only_where_something_else_says_the_same(
    conversation: Conversation, end: list[EventBase], kept: int
) -> None:
    events = [UserMessage(content="go"), AssistantChunk(content="he"), *end, UserMessage(content="next")]
    for event in events:
        conversation.events.emit(event)
    assert conversation.types().count("assistant_chunk") == kept
    assert conversation.types()[-1] == "user_message"


def test_secrets_never_reach_the_file(conversation: Conversation) -> None:
    text = f'export HF_TOKEN="{TOKEN}" # correct-horse-battery, max_token: 512, pad_token = eos_token'
    conversation.events.emit(UserMessage(content=text))
    arguments = json.dumps({"command": text})
    call = {"role": "assistant", "tool_calls": [{"function": {"arguments": arguments}}]}
    conversation.events.emit(HistoryRecord(op="append", messages=(call,)))
    written = conversation.files()[0].read_text()
    assert TOKEN not in written
    assert "correct-horse" not in written
    assert "max_token: 512, pad_token = eos_token" in written
    *_, last = read_session(conversation.files()[0])
    command = json.loads(last["messages"][0]["tool_calls"][0]["function"]["arguments"])["command"]
    assert command.startswith('export HF_TOKEN="[REDACTED')


def test_lone_surrogates_are_kept_as_escapes(conversation: Conversation) -> None:
    conversation.events.emit(UserMessage(content="bad \ud800 name"))
    *_, last = read_session(conversation.files()[0])
    assert last["content"] == "bad \ud800 name"


def test_new_session_goes_to_a_file_of_its_own(conversation: Conversation) -> None:
    conversation.events.emit(ready())
    conversation.events.emit(UserMessage(content="one"))
    conversation.events.session_id = "second-session"
    conversation.events.emit(NewComplete(previous_session_id="first-session"))
    assert [path.stem for path in conversation.files()] == ["first-session"]
    conversation.events.emit(UserMessage(content="two"))
    first, second = conversation.files()
    assert [event["type"] for event in read_session(first)] == ["session_started", "ready", "user_message"]
    assert [event["type"] for event in read_session(second)] == ["session_started", "new_complete", "user_message"]
    assert next(read_session(second))["model"] == "vllm/a"


def test_resumed_session_goes_on_in_its_file_once_something_is_said(conversation: Conversation) -> None:
    conversation.events.emit(UserMessage(content="one"))
    (path,) = conversation.files()
    before = path.read_bytes()
    conversation.log.close()
    later = Conversation(conversation.directory)
    later.events.emit(ready())
    later.events.emit(SessionResumed(messages=1, model="vllm/a"))
    assert path.read_bytes() == before
    later.events.emit(UserMessage(content="two"))
    assert path.read_bytes().startswith(before)
    assert later.types() == ["session_started", "user_message", "ready", "session_resumed", "user_message"]
    later.log.close()


def test_line_torn_by_a_crash_does_not_spoil_the_next(conversation: Conversation) -> None:
    conversation.events.emit(UserMessage(content="one"))
    (path,) = conversation.files()
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "type": "user_mess')
    conversation.log.close()
    later = Conversation(conversation.directory)
    later.events.emit(UserMessage(content="two"))
    assert [event.get("content") for event in read_session(path)] == [None, "one", "two"]
    later.log.close()


def test_log_cut_at_any_byte_gives_all_whole_lines(conversation: Conversation, tmp_path: Path) -> None:
    for number in range(3):
        conversation.events.emit(UserMessage(content=f"prompt {number} ü"))
    whole = conversation.files()[0].read_bytes()
    last_line = whole.rstrip(b"\n").rfind(b"\n") + 1
    cut = tmp_path / "cut.jsonl"
    for end in range(last_line, len(whole) - 1):
        cut.write_bytes(whole[:end])
        assert len(list(read_session(cut))) == 3


def test_reader_passes_over_what_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    good = {"type": "from_the_future", "text": "a\u2028b"}
    lines = [json.dumps(good, ensure_ascii=False).encode(), b"", b"\0" * 50, b"[1, 2]", b"\xff\xfe", b'"text"', b"{"]
    path.write_bytes(b"\n".join([*lines, b"\0\0" + json.dumps(good).encode()]))
    assert list(read_session(path)) == [good, good]


def test_sessions_are_found_by_id_in_any_month(tmp_path: Path) -> None:
    path = tmp_path / "2031" / "02" / "abc.jsonl"
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_session(tmp_path, "abc") == path
    assert find_session(tmp_path, "ab") is None
    for dangerous in ("../abc", "", "a/b", "*", ".hidden"):
        with pytest.raises(ValueError, match="not a session id"):
            find_session(tmp_path, dangerous)


def test_unwritable_place_is_reported_once_and_nothing_is_lost(conversation: Conversation) -> None:
    conversation.directory.parent.mkdir(exist_ok=True)
    conversation.directory.write_text("a file where the directory should be")
    for number in range(3):
        conversation.events.emit(UserMessage(content=f"prompt {number}"))
    (problem,) = conversation.problems
    assert "cannot be saved" in problem
    conversation.directory.unlink()
    conversation.events.emit(UserMessage(content="prompt 3"))
    assert [event.get("content") for event in read_session(conversation.files()[0])][1:] == [
        f"prompt {number}" for number in range(4)
    ]
    assert "saved again" in conversation.problems[1]


def test_problem_told_as_an_event_comes_after_the_event_that_met_it(tmp_path: Path) -> None:
    events = EventStream("s")
    log = SessionLog(tmp_path / "file", Redactor(), "1", lambda text: void(events.emit(Notice(text=text))))
    (tmp_path / "file").write_text("in the way")
    seen: list[int] = []
    events.subscribe(log)
    events.subscribe(lambda event: seen.append(event.seq))
    events.emit(UserMessage(content="a"))
    events.emit(UserMessage(content="b"))
    assert seen == [1, 2, 3]


def void(_value: object) -> None:
    return


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import UserMessage
from ml_intern.core.redact import Redactor
from ml_intern.sessions.log import SessionLog

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
problems = []
events = EventStream("s")
events.subscribe(SessionLog(Path(sys.argv[1]), Redactor(), "1", problems.append))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(6):
    events.emit(UserMessage(content=f"{number} " + "x" * 300))
assert len(problems) == 1, problems
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
events.emit(UserMessage(content="6"))
assert len(problems) == 2, problems
"""


def test_line_cut_by_a_full_disk_is_completed_later(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], check=True, timeout=20)
    (path,) = tmp_path.rglob("*.jsonl")
    lines = path.read_bytes().splitlines()
    contents = [json.loads(line).get("content", "") for line in lines]
    assert [content[:1] for content in contents] == ["", "0", "1", "2", "3", "4", "5", "6"]


KILLED = """
import sys
from pathlib import Path
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import UserMessage
from ml_intern.core.redact import Redactor
from ml_intern.sessions.log import SessionLog

events = EventStream("s")
events.subscribe(SessionLog(Path(sys.argv[1]), Redactor(), "1", print))
events.subscribe(lambda event: print(event.seq, flush=True))
while True:
    events.emit(UserMessage(content="x" * 500))
"""


def test_killed_process_loses_nothing_that_was_shown(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 50:
            process.kill()
            break
    shown = [50, *(int(line) for line in process.stdout.read().splitlines() if line)]
    process.stdout.close()
    process.wait(timeout=10)
    (path,) = tmp_path.rglob("*.jsonl")
    kept = [event["seq"] for event in read_session(path)]
    assert kept == list(range(len(kept)))
    assert kept[-1] >= max(shown[:-1], default=50)


def test_event_costs_no_more_after_thousands(conversation: Conversation) -> None:
    def cost(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            conversation.events.emit(UserMessage(content="a prompt of ordinary length: 100 words or so " * 10))
        return (time.process_time() - start) / count

    cost(100)
    first = cost(300)
    cost(2000)
    assert cost(300) < max(4 * first, 0.001)


def test_no_handle_is_left_open(tmp_path: Path) -> None:
    def handles() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = handles()
    conversation = Conversation(tmp_path / "s")
    conversation.events.emit(UserMessage(content="x"))
    conversation.log.close()
    assert handles() == before
