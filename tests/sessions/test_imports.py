from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.protocol import HistoryRecord
from ml_intern.core.redact import Redactor
from ml_intern.sessions.conversation import Conversation, conversation_of
from ml_intern.sessions.exports import export
from ml_intern.sessions.imports import import_trace
from ml_intern.sessions.imports.build import events_of
from ml_intern.sessions.imports.claude import from_claude
from ml_intern.sessions.imports.codex import from_codex
from ml_intern.sessions.imports.snapshot import from_snapshot
from ml_intern.sessions.log import read_session
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionError, SessionStore
from tests.sessions.support import CANARY, output, record, whole_session, with_odd_values


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", Redactor())


def conversation(path: Path) -> Conversation:
    return conversation_of(path.stem, read_session(path))


def imported(store: SessionStore, tmp_path: Path, *records: Any, name: str = "trace.jsonl") -> Conversation:
    file = tmp_path / name
    file.write_text("\n".join(json.dumps(each) for each in records))
    path = import_trace(file, store)
    saved = restore(path)
    assert saved.unreadable == 0
    manager = ContextManager("system", TokenCounter())
    assert manager.load(saved.records)[1] == 0
    return conversation(path)


def shape(conversation: Conversation) -> list[tuple[str, str]]:
    return [(entry.message.role, entry.message.content) for entry in conversation.entries]


def claude(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    message = {"role": kind, "content": content, **more.pop("message", {})}
    envelope = {"uuid": "u", "parentUuid": None, "sessionId": "s1", "timestamp": "2031-02-03T04:05:06.000Z"}
    return {"type": kind, "message": message, **envelope, "cwd": "/data/p", "version": "2.0.1", **more}


def test_trace_of_claude_code_becomes_a_session(store: SessionStore, tmp_path: Path) -> None:
    found = imported(
        store,
        tmp_path,
        {"type": "summary", "summary": "Fix the loader", "leafUuid": "x"},
        claude("user", "fix it"),
        claude("user", "side talk", isSidechain=True),
        claude(
            "assistant",
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look."}],
            message={"model": "m-1", "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2}},
        ),
        claude("assistant", [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}]),
        claude("user", [{"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}]),
        claude("user", "a reminder", isMeta=True),
        claude("assistant", [{"type": "text", "text": "Fixed."}]),
    )
    assert shape(found) == [
        ("user", "fix it"),
        ("assistant", "I look."),
        ("assistant", ""),
        ("tool", "no"),
        ("user", "a reminder"),
        ("assistant", "Fixed."),
    ]
    summary = found.summary
    assert (summary.title, summary.directory, summary.turns) == ("Fix the loader", "/data/p", 1)
    assert (summary.status, summary.started, summary.errors) == ("completed", "2031-02-03T04:05:06.000Z", 1)
    assert summary.origin == "imported from Claude Code"
    assert found.entries[1].message.reasoning == "hm"
    assert found.entries[4].message.kind == "guard"
    (spent,) = [event for event in found.events if event["type"] == "llm_call"]
    assert (spent["prompt_tokens"], spent["cached_tokens"], spent["completion_tokens"]) == (8, 3, 2)


def test_export_comes_back_as_the_same_conversation(store: SessionStore, tmp_path: Path) -> None:
    path = record(tmp_path / "elsewhere", "one", *whole_session())
    file = tmp_path / "one.jsonl"
    file.write_text(export(path, "claude", Redactor()))
    again = import_trace(file, store)
    before, after = conversation(path), conversation(again)
    assert shape(after) == shape(before)
    assert [entry.time for entry in after.entries] == [entry.time for entry in before.entries]
    assert [entry.ok for entry in after.entries] == [entry.ok for entry in before.entries]


def codex(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": "2031-02-03T04:05:06.000Z", "type": kind, "payload": payload}


def said(role: str, text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "role": role,
        "content": [{"type": f"{'in' if role == 'user' else 'out'}put_text", "text": text}],
    }


CODEX = (
    said("user", "<environment_context>cwd</environment_context>"),
    said("user", "count rows"),
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "use wc"}]},
    {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": '{"command": ["wc", "-l"]}'},
    {"type": "function_call_output", "call_id": "c1", "output": '{"output": "7", "metadata": {"exit_code": 1}}'},
    said("assistant", "Seven rows."),
)


@pytest.mark.parametrize("enveloped", [True, False])
def test_trace_of_codex_becomes_a_session(store: SessionStore, tmp_path: Path, enveloped: bool) -> None:
    head = {"id": "cx-1", "timestamp": "2031-02-03T04:05:06.000Z", "cwd": "/data/q", "cli_version": "0.9"}
    if enveloped:
        records = [
            codex("session_meta", head),
            codex("turn_context", {"cwd": "/data/q", "model": "gpt-x"}),
            codex("event_msg", {"type": "user_message", "message": "count rows"}),
            *(codex("response_item", item) for item in CODEX),
        ]
    else:
        records = [head, *CODEX]
    found = imported(store, tmp_path, *records)
    assert shape(found)[1:] == [("user", "count rows"), ("assistant", ""), ("tool", "7"), ("assistant", "Seven rows.")]
    assert found.entries[0].message.kind == "context"
    assert (found.entries[2].message.reasoning, found.entries[3].ok) == ("use wc", False)
    assert (found.summary.title, found.summary.directory, found.summary.turns) == ("count rows", "/data/q", 1)
    assert found.summary.model == ("gpt-x" if enveloped else "")


def test_snapshot_of_a_session_becomes_a_session(store: SessionStore, tmp_path: Path) -> None:
    made = [{"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}]
    document = {
        "session_id": "old-1",
        "session_start_time": "2031-02-03T04:05:00+00:00",
        "model_name": "org/m",
        "messages": [
            {"role": "system", "content": "be good"},
            {"role": "user", "content": "list"},
            {"role": "assistant", "content": None, "tool_calls": made},
            {"role": "tool", "content": "a.txt", "tool_call_id": "c1", "name": "bash"},
            {"role": "user", "content": "[SYSTEM: do not repeat yourself]"},
            {"role": "assistant", "content": "One file."},
        ],
        "events": [
            {"timestamp": "2031-02-03T04:05:01+00:00", "event_type": "processing", "data": {}},
            {
                "timestamp": "2031-02-03T04:05:02+00:00",
                "event_type": "llm_call",
                "data": {"kind": "main", "cost_usd": 0.25, "prompt_tokens": 9, "completion_tokens": 1},
            },
            {
                "timestamp": "2031-02-03T04:05:03+00:00",
                "event_type": "tool_output",
                "data": {"tool_call_id": "c1", "success": False},
            },
        ],
    }
    found = imported(store, tmp_path, document, name="session_x.json")
    assert shape(found) == [
        ("user", "list"),
        ("assistant", ""),
        ("tool", "a.txt"),
        ("user", "[SYSTEM: do not repeat yourself]"),
        ("assistant", "One file."),
    ]
    assert [entry.time[17:19] for entry in found.entries] == ["01", "02", "03", "03", "03"]
    assert (found.summary.cost_usd, found.summary.turns, found.summary.errors) == (0.25, 1, 1)


def test_log_from_another_machine_keeps_its_id(store: SessionStore, tmp_path: Path) -> None:
    path = record(tmp_path / "elsewhere", "one", *whole_session())
    found = import_trace(path, store)
    assert found.stem == "one"
    assert shape(conversation(found)) == shape(conversation(path))


def test_log_from_another_machine_brings_its_images_and_large_texts_along(store: SessionStore, tmp_path: Path) -> None:
    name, large = f"{'ab' * 20}.png", "line\n" * 20_000
    image = {"file": name, "name": "plot.png", "media": "image/png", "width": 1, "height": 1, "size": 3}
    shown = HistoryRecord(op="append", messages=({"role": "user", "content": "look", "images": [image]},))
    path = record(tmp_path / "elsewhere", "one", shown, *whole_session(), *output("9", "bash", large))
    (path.with_suffix(".files") / name).write_bytes(b"png")
    found = import_trace(path, store)
    assert {each.name for each in found.with_suffix(".files").iterdir()} > {name}
    assert (found.with_suffix(".files") / name).read_bytes() == b"png"
    assert max(map(len, found.read_bytes().splitlines())) < 5_000
    assert restore(found).records == restore(path).records


def test_a_damaged_log_is_imported_as_far_as_it_can_be_read(store: SessionStore, tmp_path: Path) -> None:
    path = record(tmp_path / "elsewhere", "one", *whole_session())
    before = shape(conversation(path))
    path.write_bytes(path.read_bytes().replace(b"{", b"\xff", 1) + b'{"torn')
    found = conversation(import_trace(path, store))
    assert shape(found) == before
    assert (found.summary.id, found.summary.directory) == ("one", "/data/project")
    assert found.summary.origin == "imported from one.jsonl, 1 of its lines could not be read"


def test_what_of_a_trace_makes_no_sense_is_counted(store: SessionStore, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "go"}, {"role": "oracle", "content": "x"}, 7, {"role": "system"}]
    found = imported(store, tmp_path, {"session_id": "s", "messages": messages}, name="session_1.json")
    assert found.summary.origin == "imported from session snapshot, 2 of its entries could not be read"


def test_a_reply_that_claude_code_tells_in_several_lines_is_one(store: SessionStore, tmp_path: Path) -> None:
    def part(block: dict[str, Any], reply_id: str = "msg_1") -> dict[str, Any]:
        usage = {"input_tokens": 10, "output_tokens": 2}
        return claude("assistant", [block], message={"id": reply_id, "model": "m", "usage": usage})

    def calls(*names: str) -> list[dict[str, Any]]:
        return [part({"type": "tool_use", "id": name, "name": "Bash", "input": {}}) for name in names]

    def result(name: str) -> dict[str, Any]:
        return claude("user", [{"type": "tool_result", "tool_use_id": name, "content": name}])

    image = {"type": "image", "source": {"type": "base64", "data": "aaaa"}}
    thought = {"type": "thinking", "thinking": "hm"}
    lines = [claude("user", [image]), part(thought), part({"type": "text", "text": "I look."}), *calls("a", "b")]
    lines += [result("a"), result("b"), *calls("c"), result("c"), part({"type": "text", "text": "Done."}, "msg_2")]
    found = imported(store, tmp_path, *lines)
    assert shape(found) == [
        ("user", "[image]"),
        ("assistant", "I look."),
        ("tool", "a"),
        ("tool", "b"),
        ("assistant", ""),
        ("tool", "c"),
        ("assistant", "Done."),
    ]
    assert [call.id for call in found.entries[1].message.tool_calls] == ["a", "b"]
    assert found.entries[1].message.reasoning == "hm"
    assert [event["prompt_tokens"] for event in found.events if event["type"] == "llm_call"] == [10, 10]


def test_odd_values_anywhere_in_a_trace_are_no_trouble() -> None:
    calls = [{"id": "c", "function": {"name": "bash", "arguments": "{}"}}]
    said = {"role": "assistant", "content": [{"type": "text", "text": "x"}], "tool_calls": calls}
    told = {"timestamp": "2031-02-03T04:05:06Z", "event_type": "llm_call", "data": {"prompt_tokens": 1}}
    use = {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}
    shell = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "k"}
    done = {"type": "function_call_output", "call_id": "k", "output": {"success": False, "content": "x"}}
    for records in (
        [{"session_id": "s", "messages": [said, {"role": "tool", "tool_call_id": "c"}], "events": [told]}],
        [claude("assistant", [use], message={"id": "m", "usage": {"input_tokens": 1}}), {"type": "summary"}],
        [claude("user", [{"type": "tool_result", "tool_use_id": "t", "content": [{"text": "x"}]}])],
        [{"type": "session_meta", "payload": {"id": "1", "cwd": "/x"}}, {"type": "response_item", "payload": shell}],
        [{"type": "reasoning", "summary": [{"text": "x"}]}, shell, done],
    ):
        for odd in with_odd_values(records):
            objects = [each for each in odd if isinstance(each, dict)] if isinstance(odd, list) else []
            for read in (from_snapshot, from_claude, from_codex):
                if trace := read(objects):
                    assert events_of(trace)[0]["type"] == "session_started"


def test_the_same_trace_is_imported_once(store: SessionStore, tmp_path: Path) -> None:
    imported(store, tmp_path, claude("user", "x"))
    with pytest.raises(SessionError, match="here already"):
        imported(store, tmp_path, claude("user", "x"))


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "no json", '{"messages": 3}', '{"messages": []}', '{"type": "user"}']
)
def test_what_is_no_trace_is_refused_in_a_sentence(store: SessionStore, tmp_path: Path, content: str) -> None:
    file = tmp_path / "x"
    file.write_text(content)
    with pytest.raises(SessionError, match=r"none of the traces|holds no messages"):
        import_trace(file, store)
    assert not store.directory.exists()


def test_secrets_of_a_trace_are_left_behind(store: SessionStore, tmp_path: Path) -> None:
    imported(store, tmp_path, claude("user", f"export HF_TOKEN={CANARY}"))
    written = "".join(path.read_text() for path in store.directory.rglob("*.jsonl"))
    assert "export HF_TOKEN" in written
    assert CANARY not in written
