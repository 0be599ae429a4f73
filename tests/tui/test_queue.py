from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from textual.events import Paste

from ml_intern.tui.entries import Entry
from ml_intern.tui.waiting import Waiting
from ml_intern.tui.widgets.composer import Composer
from tests.support.llm_script import Gate, call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.support.pictures import png
from tests.tui.stage import Stage, on_stage, real_app

GREETING = "Ask for machine-learning work"


def composer(stage: Stage) -> Composer:
    return stage.app.main_screen._composer


def written(stage: Stage) -> str:
    return composer(stage).prompt.text


def waiting(stage: Stage) -> list[str]:
    return [entry.text for entry in composer(stage).queued]


# ------------------------------------------------------------------------------------------------------- editing


async def test_a_queued_prompt_is_changed_in_its_place_and_what_was_written_comes_back(tmp_path: Path) -> None:
    gate = Gate()
    with ScriptedLLM(text("first").hold(gate), *(text(f"answer {n}") for n in range(3))) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            for later in ("one", "two", "three"):
                await stage.enter(later)
            await stage.type("half a thought")
            await stage.press("alt+up", "alt+up")
            await stage.sees("queued  one", "this one is being edited", "queued  three", "› two")
            await stage.enter(" and a bit")
            await stage.sees("queued  two and a bit", "› half a thought")
            assert waiting(stage) == ["one", "two and a bit", "three"]
            await stage.press("ctrl+u")
            gate.release()
            await stage.sees("answer 2")
            said = [request.messages[-1]["content"] for request in server.requests]
            assert said == ["begin", "one", "two and a bit", "three"]


async def test_walking_through_the_queue_changes_nothing_by_itself(tmp_path: Path) -> None:
    with ScriptedLLM(text("first").hold(Gate())) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            for later in ("one", "two"):
                await stage.enter(later)
            await stage.press("alt+down")
            await stage.type("draft")
            await stage.press(*["alt+up"] * 4)
            assert written(stage) == "one"
            await stage.press("alt+down")
            assert written(stage) == "two"
            await stage.press("alt+down")
            assert written(stage) == "draft"
            assert waiting(stage) == ["one", "two"]


async def test_of_a_long_queue_those_around_the_edited_one_are_listed(tmp_path: Path) -> None:
    with ScriptedLLM(text("first").hold(Gate())) as server:
        async with on_stage(real_app(server, tmp_path), (60, 20)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("begin")
            for number in range(1, 7):
                await stage.enter(f"prompt {number}")
            await stage.sees("queued  4 more before these", "queued  prompt 5", "queued  prompt 6")
            await stage.press("up", *["alt+up"] * 3)
            await stage.sees(
                "queued  2 more before these", "this one is being edited", "queued  prompt 4", "› prompt 3"
            )
            await stage.press("alt+up", "alt+up")
            await stage.sees("this one is being edited", "queued  prompt 2", "queued  prompt 3", "› prompt 1")


async def test_what_is_edited_when_its_turn_comes_goes_when_it_is_done(tmp_path: Path) -> None:
    gate, second = Gate(), Gate()
    with ScriptedLLM(text("first").hold(gate), text("second").hold(second), text("third")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            for later in ("one", "two"):
                await stage.enter(later)
            await stage.press("alt+up", "alt+up")
            gate.release()
            await stage.until(lambda: len(server.requests) == 2, "the next one to be sent")
            assert written(stage) == "one"
            await stage.enter(" later")
            assert waiting(stage) == ["one later"]
            second.release()
            await stage.sees("third")
            said = [request.messages[-1]["content"] for request in server.requests]
            assert said == ["begin", "two", "one later"]


async def test_a_queued_prompt_keeps_its_images(tmp_path: Path) -> None:
    gate = Gate()
    (tmp_path / "plot.png").write_bytes(png())
    with ScriptedLLM(text("first").hold(gate), text("second")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            stage.app.post_message(Paste(str(tmp_path / "plot.png")))
            await stage.enter("what is this")
            await stage.sees("queued  what is this [image plot.png]")
            assert "⌫ remove" not in stage.screen
            await stage.press("up")
            await stage.sees("image  plot.png  8×6", "› what is this")
            await stage.press("enter")
            gate.release()
            await stage.sees("second", "+ image plot.png")
            assert "image_url" in str(server.requests[1].messages[-1]["content"])


# ------------------------------------------------------------------------------------------------- telling it now


async def test_the_running_turn_is_told_at_its_next_step_what_is_written_or_waits(tmp_path: Path) -> None:
    gate = Gate()
    with ScriptedLLM(tools(call("bash", {"command": "true"})).hold(gate), text("heard")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            await stage.enter("use the small model")
            await stage.sees("queued  use the small model", "ctrl+s tell it now")
            await stage.press("ctrl+s")
            await stage.sees_no_more("queued")
            await stage.sees("told  use the small model", "heard at its next step")
            await stage.type("and be brief")
            await stage.press("ctrl+s")
            await stage.sees("told  and be brief")
            assert [entry.text for entry in composer(stage).draft.queue] == ["use the small model", "and be brief"]
            gate.release()
            await stage.sees("heard", "while it was working")
            await stage.sees_no_more("told  ")
            assert not composer(stage).draft
            told = [str(message["content"]) for message in server.requests[1].messages[-2:]]
            assert told == ["use the small model", "and be brief"]


async def test_what_a_turn_was_told_but_has_not_heard_goes_with_the_next_prompt(tmp_path: Path) -> None:
    with ScriptedLLM(text("never").hold(Gate()), text("heard both"), text("never").hold(Gate())) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            await stage.enter("/steer use the small model")
            await stage.sees("told  use the small model", "heard at its next step")
            await stage.press("escape")
            await stage.sees("interrupted", "goes with the next prompt")
            await stage.enter("go on")
            await stage.sees("heard both")
            await stage.sees_no_more("told  ")
            told = [str(message["content"]) for message in server.requests[1].messages[-2:]]
            assert told == ["use the small model", "go on"]
            await stage.enter("begin again")
            await stage.enter("/steer be brief")
            await stage.sees("told  be brief")
            await stage.press("escape")
            await stage.sees("goes with the next prompt")
            await stage.enter("/undo")
            await stage.sees_no_more("told  ")


async def test_without_a_running_turn_it_is_just_sent(tmp_path: Path) -> None:
    with ScriptedLLM(text("hello")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("hi")
            await stage.press("ctrl+s")
            await stage.sees("hello", "done")
            await stage.type("/status")
            await stage.press("escape", "ctrl+s")
            await stage.sees("context")
            assert len(server.requests) == 1


# ---------------------------------------------------------------------------------------------------- the queue itself


@given(st.lists(st.sampled_from(["add", "next", "before", "after", "drop", "send"]), max_size=30))
def test_nothing_is_lost_or_doubled_by_walking(steps: list[str]) -> None:
    queue, current, gone, number = Waiting(), Entry(), list[str](), 0
    for step in steps:
        if step == "add":
            number += 1
            queue.add(current or Entry(str(number)))
            number -= bool(current)
            current = queue.written()
        elif step == "next" and (first := queue.take_next()):
            gone.append(first.text)
        elif step in {"before", "after"}:
            found = (queue.before if step == "before" else queue.after)(current)
            current = current if found is None else found
        elif step == "drop" and queue.entries:
            gone.append(queue.entries[-1].text)
            queue.drop_last()
        elif step == "send" and current:
            gone.append(current.text)
            queue.sent()
            current = queue.written()
    there = [entry.text for entry in (*queue.entries, current) if entry]
    assert sorted([*gone, *there], key=int) == [str(each) for each in range(1, number + 1)]
