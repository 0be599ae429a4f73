from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.protocol import EventBase, ToolOutput, ToolState, ToolStateChange
from ml_intern.core.redact import Redactor
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.log import read_session
from ml_intern.sessions.replay import IDLE_S, STEP_S, Recording
from ml_intern.sessions.replay_lines import Mark
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionStore
from ml_intern.sessions.summary import Summary
from tests.sessions.support import answer, call, output, prompt, record, whole_session


def line(seq: int, kind: str, second: float = 0.0, /, **fields: Any) -> str:
    time = f"2026-01-01T12:{int(second // 60):02}:{second % 60:06.3f}Z"
    return json.dumps({"seq": seq, "time": time, "session_id": "s", "type": kind, **fields})


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{each}\n" for each in lines))
    return path


def kinds(recording: Recording) -> list[str]:
    return [recording.line(step).kind for step in range(len(recording))]


def test_steps_are_what_a_person_can_see(tmp_path: Path) -> None:
    recording = Recording.open(record(tmp_path, "abc", *whole_session()))
    first = ["ready", "user_message", "llm_call", "assistant_message", "tool_call", "tool_output"]
    assert kinds(recording) == [*first, *first[2:], "llm_call", "assistant_message", "turn_complete"]
    assert recording.title == "Train a classifier"
    assert recording.tools == {"bash": 2}
    assert [recording.line(step).kind for step in recording.marks[Mark.ERROR]] == ["tool_output"]
    assert recording.turns == [1]
    assert recording.damage.text == ""


def stopped(state: ToolState) -> list[EventBase]:
    what = ToolOutput(tool="bash", tool_call_id="c9", output="NOT executed", success=False)
    return [*call("c9", "bash", "{}", {}), what, ToolStateChange(tool="bash", tool_call_id="c9", state=state)]


@pytest.mark.parametrize(("state", "errors"), [("rejected", 0), ("cancelled", 0), ("abandoned", 0), ("failed", 1)])
def test_what_somebody_did_not_want_is_no_error(tmp_path: Path, state: ToolState, errors: int) -> None:
    path = record(tmp_path, "abc", *prompt("Delete it"), *stopped(state))
    assert len(Recording.open(path).marks[Mark.ERROR]) == errors
    index = SessionIndex(tmp_path)
    index.refresh()
    assert [session.errors for session in index.list()] == [errors]


def test_results_of_the_history_belong_to_the_step_before_and_all_else_of_it_to_the_step_after(tmp_path: Path) -> None:
    recording = Recording.open(record(tmp_path, "abc", *whole_session(), *prompt("And now?")))
    kept = {
        step: [each.kind for each in recording.lines[recording.stops[step - 1] if step else 0 : recording.stops[step]]]
        for step in range(len(recording))
    }
    asked = kinds(recording).index("user_message")
    assert kept[asked] == ["history", "user_message", "processing"]
    assert kept[kinds(recording).index("tool_output")] == ["tool_output", "history"]
    assert kept[kinds(recording).index("turn_complete")] == ["turn_complete"]


def test_reading_the_heads_tells_the_same_as_parsing_each_line(tmp_path: Path) -> None:
    path = record(tmp_path, "abc", *whole_session())
    turned = tmp_path / "turned.jsonl"
    events = [json.loads(each) for each in path.read_text().splitlines()]
    turned.write_text("".join(json.dumps(dict(reversed(event.items()))) + "\n" for event in events))
    ours, other = Recording.open(path), Recording.open(turned)
    assert kinds(ours) == kinds(other)
    assert ours.times == other.times
    assert ours.marks == other.marks
    assert [each.seq for each in ours.lines] == [each.seq for each in other.lines]


def test_long_pauses_are_shortened_and_known(tmp_path: Path) -> None:
    notice = {"text": "x", "level": "info"}
    lines = [line(1, "notice", 0, **notice), line(2, "notice", 2, **notice), line(3, "notice", 302, **notice)]
    recording = Recording.open(write(tmp_path / "s.jsonl", *lines, line(4, "notice", 100, **notice)))
    assert recording.axis == pytest.approx([0, 2 + STEP_S, 2 + IDLE_S + 2 * STEP_S, 2 + IDLE_S + 3 * STEP_S])
    assert [recording.pause_s(step) for step in range(4)] == [0.0, 2.0, 300.0, 0.0]


def test_jobs_payments_and_approvals_are_marked_once_for_each_change(tmp_path: Path) -> None:
    def job(seq: int, stage: str) -> str:
        card = {"type": "job", "job_id": "j1", "backend": "hub", "stage": stage}
        return line(seq, "tool_state_change", tool="hf_jobs", tool_call_id="c", state="running", display=[card])

    def call_of(seq: int, usd: float | None) -> str:
        rest = {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0, "latency_ms": 1}
        return line(seq, "llm_call", model="m", kind="main", cost_usd=usd, **rest)

    spent = {"kind": "job", "what": "hf_jobs", "ref": "j1"}
    recording = Recording.open(
        write(
            tmp_path / "s.jsonl",
            *(call_of(seq, 0.001) for seq in range(1, 41)),
            call_of(41, 0.9),
            call_of(42, None),
            line(43, "approval_required", tools=[], count=0),
            line(44, "expense", cost_usd=2.0, state="promised", **spent),
            line(45, "expense", cost_usd=None, state="unknown", **spent),
            line(46, "expense", cost_usd=2.0, state="released", **spent),
            *(job(seq, stage) for seq, stage in enumerate(("SCHEDULING", "RUNNING", "RUNNING", "COMPLETED"), 47)),
        )
    )

    def numbers(mark: Mark) -> list[int]:
        return [recording.line(step).seq for step in recording.marks[mark]]

    assert numbers(Mark.PAID) == [41, 44]
    assert numbers(Mark.APPROVAL) == [43]
    assert numbers(Mark.JOB) == [47, 48, 50]


def test_texts_beside_the_log_are_cut_in_the_list_and_whole_in_the_call(tmp_path: Path) -> None:
    text = "first line\n" + "é" * 200_000
    path = record(tmp_path, "abc", *prompt("go"), *call("c1", "bash", "{}", {}), *output("c1", "bash", text))
    recording = Recording.open(path)
    step = kinds(recording).index("tool_output")
    preview = recording.event(step)
    assert preview is not None
    assert preview.output.startswith("first line")  # type: ignore[attr-defined]  # a tool's output
    assert len(preview.output) < 20_000  # type: ignore[attr-defined]  # a tool's output
    whole = recording.whole_call("c1", len(recording) - 1)
    assert [event.type for event in whole] == ["tool_call", "tool_output"]  # type: ignore[attr-defined]  # events have one
    assert whole[-1].output == text  # type: ignore[attr-defined]  # a tool's output
    assert [event.type for event in recording.whole_call("c1", step - 1)] == ["tool_call"]  # type: ignore[attr-defined]  # events have one


def test_search_looks_at_prompts_answers_commands_and_outputs(tmp_path: Path) -> None:
    recording = Recording.open(record(tmp_path, "abc", *whole_session()))
    found = {text: [recording.line(step).kind for step in recording.search(text)] for text in ("train", "0.31", "0.93")}
    assert found == {
        "train": ["user_message", "tool_call"],
        "0.31": ["tool_output"],
        "0.93": ["assistant_message"],
    }
    assert recording.search("quokka") == recording.search("TRAIN") == []
    assert recording.search("train", lambda: True) == []


def test_a_log_that_grows_is_read_on(tmp_path: Path) -> None:
    path = record(tmp_path, "abc", *whole_session())
    whole = path.read_bytes()
    half = whole.index(b"\n", len(whole) // 2) + 20
    path.write_bytes(whole[:half])
    recording = Recording.open(path)
    assert recording.damage.torn
    before = len(recording)
    path.write_bytes(whole)
    assert recording.add(recording.read_on()) > 0
    assert len(recording) > before
    assert kinds(recording) == kinds(Recording.open(path))
    assert recording.marks == Recording.open(path).marks
    assert recording.add(recording.read_on()) == 0


def test_damage_is_counted_and_passed_over(tmp_path: Path) -> None:
    good = line(1, "user_message", content="hello")
    path = write(
        tmp_path / "s.jsonl",
        line(0, "session_started", schema_version=0, directory="/d", model="m", version="0"),
        good,
        good[:30],
        "\0" * 40,
        line(3, "tool_output", tool="bash", tool_call_id="c"),
        line(4, "telepathy", content="?"),
        line(5, "assistant_message", withheld="[withheld]"),
        line(6, "notice", text="still here", level="info"),
    )
    with path.open("a") as file:
        file.write('{"seq": 7, "ti')
    recording = Recording.open(path)
    told = [event.type for event in recording.events(0, len(recording.lines))]  # type: ignore[attr-defined]  # events have one
    assert told == ["user_message", "notice"]
    damage = recording.damage
    assert (damage.lines, damage.unknown, damage.withheld, damage.torn) == (2, 1, 1, True)
    assert "2 lines of this log cannot be read" in damage.text
    list(recording.events(0, len(recording.lines)))
    assert recording.damage.lines == 2


def test_a_step_is_found_by_the_number_of_an_event(tmp_path: Path) -> None:
    recording = Recording.open(record(tmp_path, "abc", *whole_session()))
    for step in range(len(recording)):
        assert recording.step_of_seq(recording.line(step).seq) == step
    assert recording.step_of_seq(10_000) == len(recording) - 1


# ---------------------------------------------------------------------------------------------------------- cutting


def forked(tmp_path: Path, last_seq: int, *events: Any) -> Path:
    path = record(tmp_path, "abc", *events)
    before = path.read_bytes()
    copy = SessionStore(tmp_path, Redactor()).fork(path, last_seq=last_seq)
    assert path.read_bytes() == before
    return copy


def history(path: Path) -> list[tuple[str, str]]:
    manager = ContextManager("system", TokenCounter())
    saved = restore(path)
    assert saved.unreadable == 0
    assert manager.load(saved.records) == (len(saved.records), 0)
    return [(message.role, message.content) for message in manager.messages]


@pytest.mark.parametrize("step", range(14))
def test_a_session_can_be_cut_after_any_step_and_is_whole_again(tmp_path: Path, step: int) -> None:
    path = record(tmp_path / "one", "abc", *whole_session())
    recording = Recording.open(path)
    copy = forked(tmp_path, recording.last_seq(min(step, len(recording) - 1)), *whole_session())
    summary = Summary(copy.stem)
    for event in read_session(copy):
        summary.take(event)
    assert summary.status == ("completed" if step >= len(recording) - 1 else "interrupted")
    assert summary.origin == "fork of abc"
    roles = [role for role, _ in history(copy)]
    assert roles == ["user", "assistant", "tool", "assistant", "tool", "assistant"][: len(roles)]
    numbers = [event["seq"] for event in read_session(copy)]
    assert numbers == sorted(set(numbers))


def test_a_call_that_ran_gets_a_result_that_says_so_and_one_that_was_done_keeps_its_own(tmp_path: Path) -> None:
    both = [
        *prompt("do both"),
        *call("c1", "bash", "{}", {}),
    ]
    made = [{"id": name, "type": "function", "function": {"name": "bash", "arguments": "{}"}} for name in ("c1", "c2")]
    both[4] = both[4].model_copy(update={"messages": ({"role": "assistant", "content": "", "tool_calls": made},)})
    events = [*both, call("c2", "bash", "{}", {})[-1], output("c1", "bash", "done well")[0]]
    copy = forked(tmp_path, 10_000, *events)
    said = history(copy)
    assert said[2] == ("tool", "done well")
    assert said[3][0] == "tool"
    assert "there is no result" in said[3][1]
    last = [event for event in read_session(copy) if event["type"] in {"tool_state_change", "interrupted"}]
    assert [(event["type"], event.get("tool_call_id")) for event in last] == [
        ("tool_state_change", "c2"),
        ("interrupted", None),
    ]
    assert len({event["time"] for event in last}) == 1


def test_a_cut_at_the_end_of_a_turn_adds_nothing(tmp_path: Path) -> None:
    turn = [*prompt("one"), *answer("1")]
    path = record(tmp_path / "one", "abc", *turn, *prompt("two"), *answer("2"))
    recording = Recording.open(path)
    step = kinds(recording).index("turn_complete")
    copy = forked(tmp_path, recording.last_seq(step), *turn, *prompt("two"), *answer("2"))
    assert history(copy) == [("user", "one"), ("assistant", "1")]
    assert [event["type"] for event in read_session(copy)][-2:] == ["turn_complete", "session_meta"]
