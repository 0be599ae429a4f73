from __future__ import annotations

import os
import stat
import sys
import threading
import time
from pathlib import Path

import pytest
from textual.events import Paste

from ml_intern.tui.drafts import KEPT_S, Draft, DraftKeeper
from ml_intern.tui.entries import Entry, Output, Picture
from tests.support.llm_script import Gate, text
from tests.support.llm_server import ScriptedLLM
from tests.support.pictures import png
from tests.support.program import MODEL, Program
from tests.support.terminal import opened
from tests.tui.stage import Stage, on_stage, real_app

GREETING = "Ask for machine-learning work"
DRAFT = Draft(
    Entry("half a [pasted text #2: 20 lines]", (Picture("/a.png", "a.png", "8×6 · 71 bytes"), Output("ls", "x", 1))),
    (Entry("one"), Entry("two \ud800 and a lone surrogate")),
    {"[pasted text #2: 20 lines]": "long"},
)


def written(stage: Stage) -> str:
    return stage.app.main_screen._composer.prompt.text


def kept(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))


# --------------------------------------------------------------------------------------------------- the keeping


def test_what_was_left_is_claimed_once_in_its_directory_and_only_when_its_app_is_gone(tmp_path: Path) -> None:
    drafts, here, there = tmp_path / "drafts", tmp_path / "here", tmp_path / "there"
    keeper = DraftKeeper(drafts, here)
    keeper.save(Draft(Entry("older")))
    keeper.save(DRAFT)
    (path,) = kept(drafts)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(drafts.stat().st_mode) == 0o700
    assert not DraftKeeper(drafts, here).claim()
    keeper.close(forget=False)
    assert not DraftKeeper(drafts, there).claim()
    assert DraftKeeper(drafts, here).claim() == DRAFT
    assert not DraftKeeper(drafts, here).claim()
    assert kept(drafts) == []


def test_a_draft_that_was_sent_leaves_nothing(tmp_path: Path) -> None:
    keeper = DraftKeeper(tmp_path / "drafts", tmp_path)
    keeper.save(DRAFT)
    keeper.save(Draft())
    assert kept(tmp_path / "drafts") == []
    keeper.save(DRAFT)
    assert len(kept(tmp_path / "drafts")) == 1


def test_secrets_are_not_written(tmp_path: Path) -> None:
    keeper = DraftKeeper(tmp_path, tmp_path, lambda text: text.replace("hunter2", "[redacted]"))
    sign = "[pasted text #1: 20 lines]"
    keeper.save(
        Draft(
            Entry(f"use hunter2 {sign}", (Output("echo hunter2", "hunter2", 0),)),
            (Entry("hunter2"),),
            {sign: "hunter2"},
        )
    )
    assert "hunter2" not in kept(tmp_path)[0].read_text()


@pytest.mark.parametrize("torn", ['{"prompt": {"te', "[]", '{"prompt": 3, "queue": [{"text": 1}, 4], "pastes": [1]}'])
def test_a_line_that_was_torn_costs_only_itself(tmp_path: Path, torn: str) -> None:
    keeper = DraftKeeper(tmp_path, tmp_path)
    keeper.save(DRAFT)
    keeper.close(forget=False)
    with kept(tmp_path)[0].open("a") as file:
        file.write(torn)
    found = DraftKeeper(tmp_path, tmp_path).claim()
    assert found in (DRAFT, Draft())
    assert found == DRAFT or torn.startswith('{"prompt": 3')


def test_a_file_does_not_grow_without_end_and_an_old_one_is_forgotten(tmp_path: Path) -> None:
    keeper = DraftKeeper(tmp_path, tmp_path)
    for number in range(12):
        keeper.save(Draft(Entry(f"{number}" + "x" * 900_000)))
    path = kept(tmp_path)[0]
    assert path.stat().st_size < 6_000_000
    keeper.save(Draft(Entry("x" * 1_100_000)))
    keeper.close(forget=False)
    old = time.time() - KEPT_S - 60
    os.utime(path, (old, old))
    assert not DraftKeeper(tmp_path, tmp_path).claim()
    assert kept(tmp_path) == []


def test_a_directory_that_cannot_be_written_costs_only_the_keeping(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keeper = DraftKeeper(tmp_path / "file" / "drafts", tmp_path)
    keeper.save(DRAFT)
    keeper.close(forget=True)
    assert not keeper.claim()


# -------------------------------------------------------------------------------------------------------- the app


async def test_what_was_not_sent_is_there_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(png())
    pasted = "\n".join(f"line {n}" for n in range(40))
    with ScriptedLLM(text("first").hold(Gate()), text("second"), text("third")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            await stage.until(lambda: len(server.requests) == 1, "the request")
            await stage.enter("then this")
            stage.app.post_message(Paste(str(tmp_path / "plot.png")))
            await stage.type("explain ")
            stage.app.post_message(Paste(pasted))
            await stage.sees("[pasted text #1: 40 lines]")
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(
                "What was not sent when", "held  then this", "plot.png", "explain [pasted text #1: 40 lines]"
            )
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("enter")
            await stage.sees("second", "done", "held  then this")
            await stage.press("enter")
            await stage.sees("third")
            said = [str(request.messages[-1]["content"]) for request in server.requests[1:]]
            assert pasted.split("\n")[39] in said[0]
            assert said[1] == "then this"
        assert kept(tmp_path / "home" / "drafts") == []
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            assert written(stage) == ""


def test_a_kill_loses_nothing_that_was_written(tmp_path: Path) -> None:
    with ScriptedLLM(text("unused")) as server:
        program = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url)
        command = [sys.executable, "-m", "ml_intern", *MODEL]
        with opened(program, command) as terminal:
            terminal.sees("vllm/scripted")
            terminal.send("a long thought")
            terminal.until(lambda: "a long thought" in drafts_of(program), "the draft to be kept")
            terminal.process.kill(9)
        with opened(program, command) as terminal:
            terminal.sees("vllm/scripted", "› a long thought")


def drafts_of(program: Program) -> str:
    return "".join(path.read_text() for path in kept(program.home / "drafts"))


def test_a_draft_that_is_written_while_the_app_leaves_closes_nobody_elses_file(tmp_path: Path) -> None:
    for _round in range(200):
        keeper = DraftKeeper(tmp_path / "drafts", tmp_path)
        keeper.save(Draft(Entry("a thought")))
        threads = [threading.Thread(target=keeper.save, args=(Draft(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        keeper.close(forget=True)
        ours = os.open(os.devnull, os.O_RDONLY)
        for thread in threads:
            thread.join()
        os.close(ours)  # raises when somebody else has closed it
    assert list((tmp_path / "drafts").iterdir()) == []
