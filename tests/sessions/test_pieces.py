"""Replies of which a log holds pieces: those that became whole, and the one within which a run was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    EventBase,
    HistoryRecord,
    Interrupt,
    LLMCall,
    Notice,
    UserInput,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.run import Run
from ml_intern.sessions.exports import FORMATS, export
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.lock import SessionLock
from ml_intern.sessions.log import read_session
from ml_intern.sessions.replay import Recording
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionStore, summary_of
from ml_intern.wiring import assemble
from tests.core.test_money import write_prices
from tests.sessions.support import answer, prompt, record, whole_session
from tests.support.harness import FAST, MODEL, Harness
from tests.support.llm_script import Step, reasoning, text
from tests.support.llm_server import ScriptedLLM

PIECES = [
    AssistantChunk(content="Let me see.", kind="reasoning"),
    AssistantChunk(content="The pangolin "),
    AssistantChunk(content="eats "),
]
KILLED = [*whole_session(), *prompt("And the pangolin?"), *PIECES]


def in_pieces(events: list[EventBase]) -> list[EventBase]:
    """The same events with the replies streamed before they are whole."""
    found: list[EventBase] = []
    for event in events:
        if isinstance(event, AssistantMessage):
            at = max(number for number, each in enumerate(found) if isinstance(each, LLMCall))
            words = event.content.split(" ")
            pieces = [AssistantChunk(content=event.reasoning, kind="reasoning")] if event.reasoning else []
            pieces += [AssistantChunk(content=f"{' ' * bool(number)}{word}") for number, word in enumerate(words)]
            found[at:at] = [*pieces, AssistantStreamEnd()]
        found.append(event)
    return found


# ------------------------------------------------------------------------------------------------- whole replies


def test_pieces_of_whole_replies_change_nothing_that_is_made_of_a_log(tmp_path: Path) -> None:
    plain, streamed = whole_session(), in_pieces(whole_session())
    one, two = record(tmp_path / "one", "abc", *plain), record(tmp_path / "two", "abc", *streamed)
    assert two.read_bytes().count(b"assistant_chunk") > 5
    for form in FORMATS:
        made = [export(path, form, Redactor()) for path in (one, two)]
        assert [each.count("0.93") for each in made] == [made[0].count("0.93")] * 2
        assert made[0].count("\n") == made[1].count("\n")
    indexes = [SessionIndex(path) for path in (tmp_path / "one", tmp_path / "two")]
    for index in indexes:
        index.refresh()
    assert [len(index.search("accuracy")) for index in indexes] == [1, 1]
    first, second = (index.list()[0] for index in indexes)
    assert (first.turns, first.cost_usd, first.status) == (second.turns, second.cost_usd, second.status)
    assert summary_of(one).answer == summary_of(two).answer
    assert restore(one).records == restore(two).records
    kept = [[event.type for event in restore(path).events] for path in (one, two)]  # type: ignore[attr-defined]  # events have one
    assert kept[0] == [kind for kind in kept[1] if kind != "assistant_stream_end"]
    assert b"assistant_chunk" not in SessionStore(tmp_path / "two", Redactor()).fork(two).read_bytes()


def test_a_review_has_the_same_steps_with_and_without_pieces(tmp_path: Path) -> None:
    one = Recording.open(record(tmp_path / "one", "abc", *whole_session()))
    two = Recording.open(record(tmp_path / "two", "abc", *in_pieces(whole_session())))
    kinds = [[recording.line(step).kind for step in range(len(recording))] for recording in (one, two)]
    assert kinds[0] == kinds[1]
    assert one.search("accuracy") == two.search("accuracy")
    told = [event.type for event in two.events(0, len(two.lines))]  # type: ignore[attr-defined]  # events have one
    assert "assistant_chunk" not in told
    assert len(two.lines) < len(one.lines) + 10  # pieces that stand together count as one


def test_a_step_within_a_reply_holds_what_had_come_and_no_more(tmp_path: Path) -> None:
    events = [*prompt("go"), *PIECES, Notice(text="by the way"), AssistantChunk(content="ants."), AssistantStreamEnd()]
    recording = Recording.open(record(tmp_path, "abc", *events, *answer("The pangolin eats ants.")))
    kinds = [recording.line(step).kind for step in range(len(recording))]
    assert kinds == ["ready", "user_message", "notice", "llm_call", "assistant_message", "turn_complete"]

    def said(step: int) -> str:
        told = recording.events(0, recording.stops[step])
        return "".join(event.content for event in told if isinstance(event, AssistantChunk) and event.kind == "text")

    assert [said(step) for step in range(len(recording))] == [
        "",
        "",
        "The pangolin eats ",
        "The pangolin eats ants.",
        "",
        "",
    ]


def test_pieces_stand_in_for_a_whole_reply_that_cannot_be_read(tmp_path: Path) -> None:
    path = record(tmp_path, "abc", *prompt("go"), *PIECES, *answer("The pangolin eats ants."))
    lines = path.read_bytes().splitlines(keepends=True)
    broken = [line.replace(b'"partial":false', b'"partial":fal~e') for line in lines]
    path.write_bytes(b"".join(broken))
    assert [event["type"] for event in read_session(path)].count("assistant_chunk") == 3
    recording = Recording.open(path)
    said = [event.content for event in recording.events(0, len(recording.lines)) if isinstance(event, AssistantChunk)]
    assert said == ["Let me see.", "The pangolin eats "]
    assert "1 line of this log cannot be read" in recording.damage.text


# ---------------------------------------------------------------------------------------------------- half replies


def test_a_half_reply_is_restored_exported_and_forked_as_an_interrupted_one(tmp_path: Path) -> None:
    path = record(tmp_path, "abc", *KILLED)
    saved = restore(path)
    assert (saved.open_reply.text, saved.open_reply.heard) == ("The pangolin eats ", "Let me see.The pangolin eats ")
    assert not saved.open_reply.paid
    *_, third, partial, end = saved.events
    assert isinstance(third, AssistantChunk)
    assert isinstance(partial, AssistantMessage)
    assert (partial.content, partial.partial, end.type) == ("The pangolin eats ", True, "interrupted")  # type: ignore[attr-defined]  # events have one
    for form in ("markdown", "html", "claude", "sts"):
        assert export(path, form, Redactor()).count("The pangolin eats") == 1, form
    store = SessionStore(tmp_path, Redactor())
    whole = restore(store.fork(path)).open_reply
    assert (whole.text, whole.paid) == ("The pangolin eats ", True)  # by the original
    copy = store.fork(path, last_seq=10_000)
    again = restore(copy)
    assert not again.open_reply
    assert again.records[-1] == {"role": "assistant", "content": "The pangolin eats "}
    assert summary_of(copy).answer == "The pangolin eats"


def test_a_fork_within_a_reply_holds_what_had_come(tmp_path: Path) -> None:
    path = record(tmp_path, "abc", *prompt("go"), *PIECES, Notice(text="now"), *answer("The pangolin eats ants."))
    (seq,) = [event["seq"] for event in read_session(path) if event["type"] == "notice"]
    copy = SessionStore(tmp_path, Redactor()).fork(path, last_seq=seq)
    assert [record["content"] for record in restore(copy).records] == ["go", "The pangolin eats "]
    kinds = [event["type"] for event in read_session(copy)]
    assert kinds[-4:] == ["history", "assistant_message", "interrupted", "session_meta"]


@pytest.mark.parametrize(
    ("end", "text_left", "paid"),
    [
        ([AssistantStreamEnd(discarded=True)], "", False),
        ([AssistantStreamEnd()], "The pangolin eats ", False),
        ([AssistantStreamEnd(), answer("x")[0]], "The pangolin eats ", True),
        ([AssistantStreamEnd(), *answer("The pangolin eats ")[:2]], "", False),
        ([HistoryRecord(op="append", messages=({"role": "assistant", "content": "x"},))], "", False),
    ],
)
def test_a_run_killed_at_the_end_of_a_reply_keeps_it_once(
    tmp_path: Path, end: list[EventBase], text_left: str, paid: bool
) -> None:
    saved = restore(record(tmp_path, "abc", *KILLED, *end))
    assert (saved.open_reply.text, saved.open_reply.paid) == (text_left, paid)


def test_a_half_reply_is_a_stop_of_the_review_unless_the_run_goes_on(tmp_path: Path) -> None:
    path = record(tmp_path, "abc", *KILLED)
    recording = Recording.open(path)
    assert recording.line(len(recording) - 1).kind == "assistant_chunk"
    shown = recording.event(len(recording) - 1)
    assert isinstance(shown, AssistantChunk)
    assert shown.content == "The pangolin eats "
    assert recording.search("pangolin eats") == [len(recording) - 1]
    assert recording.last_seq(len(recording) - 1) == max(event["seq"] for event in read_session(path))
    lock = SessionLock.take(path)
    running = Recording.open(path)
    assert running.line(len(running) - 1).kind == "user_message"
    lock.release()


# ---------------------------------------------------------------------------------------------------------- resuming


def killed_copy(agent: Harness, directory: Path) -> Path:
    """The log as a kill would leave it now, in a home of its own."""
    assert agent.wired.session_log.path is not None
    sessions = agent.wired.places.sessions
    copy = directory / "home" / "sessions" / agent.wired.session_log.path.relative_to(sessions)
    copy.parent.mkdir(parents=True)
    shutil.copy(agent.wired.session_log.path, copy)
    return copy


def resumed(server: ScriptedLLM, directory: Path, path: Path) -> Harness:
    wired = assemble(
        Run(
            Settings(model_name=MODEL, mode="yolo", llm=FAST),
            places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
            workspace=directory,
            env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(directory)},
            saved=restore(path),
        )
    )
    return Harness.around(wired, server)


def half() -> Step:
    return (reasoning("Let me see.") + text("It is 0.93, ") + text("as it was.")).stall_after(2)


async def test_a_killed_reply_goes_on_as_an_interrupted_one_would(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_prices(tmp_path / name)
    async with ScriptedLLM(text("Hello."), half(), text("a")) as server, Harness(server, tmp_path / "one") as agent:
        await agent.prompt("one")
        agent.submit(UserInput(text="two"))
        await agent.until(lambda event: isinstance(event, AssistantChunk) and event.kind == "text", len(agent.events))
        copy = killed_copy(agent, tmp_path / "two")
        mark = len(agent.events)
        agent.submit(Interrupt())
        await agent.ended(mark)
        interrupted_bill = agent.last(LLMCall)
        await agent.prompt("three")
        interrupted = agent.request(3).messages[1:]
    assert interrupted[-2] == {"role": "assistant", "content": "It is 0.93, "}
    before, spent = copy.read_bytes(), restore(copy).ledger.totals.spent_usd
    async with ScriptedLLM(text("b"), text("c")) as server, resumed(server, tmp_path / "two", copy) as agent:
        spent = agent.agent.session.budget.totals.spent_usd - spent
        assert copy.read_bytes() == before  # looking at a session changes nothing
        await agent.prompt("three")
        assert agent.request(1).messages[1:] == interrupted
    assert server.violations == []
    events = list(read_session(copy, pieces=True))
    mended = [event for event in events[before.count(b"\n") :] if event["type"] != "context_usage"][:4]
    assert [event["type"] for event in mended] == ["llm_call", "history", "assistant_message", "interrupted"]
    bill = mended[0]
    assert (bill["model"], bill["cost_state"], bill["finish_reason"]) == (MODEL, "estimated", "broken_off")
    assert bill["completion_tokens"] == interrupted_bill.completion_tokens
    assert bill["cost_usd"] == pytest.approx(spent) != 0
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    again = restore(copy)  # and a second time it is there already
    assert not again.open_reply
    assert [record["content"] for record in again.records][-4:] == ["two", "It is 0.93, ", "three", "b"]


async def test_a_reply_that_had_only_been_thought_is_paid_for_and_leaves_no_message(tmp_path: Path) -> None:
    write_prices(tmp_path, "vllm/qwen3")  # the model of that session
    path = record(tmp_path / "home" / "sessions", "abc", *prompt("go"), PIECES[0])
    async with ScriptedLLM(text("b")) as server, resumed(server, tmp_path, path) as agent:
        assert agent.agent.session.budget.totals.estimated_usd > 0
        await agent.prompt("next")
        assert [message["content"] for message in agent.request(1).messages[1:]] == ["go", "next"]
    assert [event["type"] for event in read_session(path)].count("interrupted") == 1
