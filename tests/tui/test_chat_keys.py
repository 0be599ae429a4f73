from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.events import AppBlur, AppFocus

from ml_intern.core.protocol import (
    AssistantMessage,
    ErrorEvent,
    Feedback,
    Processing,
    Rewind,
    ToolCallEvent,
    TurnComplete,
    UserInput,
    UserMessage,
)
from ml_intern.tui.following import Place as FilePlace
from ml_intern.tui.following import can_browse, editor_command, place_of, repository_url
from ml_intern.tui.widgets.transcript import Transcript
from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.tui.glass import GlassApp, check_bytes
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app

DONE = TurnComplete(reason="completed", final_response="", iterations=1, cost_usd=0.0, tokens=1)


@asynccontextmanager
async def conversation(
    directory: Path, *answers: str, size: tuple[int, int] = (150, 40)
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        for number, answer in enumerate(answers, 1):
            agents[0].events.play(UserMessage(content=f"question {number}"), Processing())
            agents[0].events.play(AssistantMessage(content=answer), DONE)
        await stage.until(lambda: len(app.main_screen.query_one(Transcript)) >= 3 * len(answers), "all of it")
        yield stage, agents[0]


def bar(stage: Stage) -> list[str]:
    """The rows of the message at hand."""
    rows = [row.split("││")[0].strip("│ ") for row in stage.screen.split("\n") if "│ ┃ " in row]
    return [row.removeprefix("┃").strip() for row in rows]


# ------------------------------------------------------------------------------------------------------------ search


@pytest.mark.parametrize("size", [(60, 20), (150, 40)])
async def test_ctrl_f_searches_from_the_prompt_and_escape_leads_back(tmp_path: Path, size: tuple[int, int]) -> None:
    answers = [f"The needle of {number}.\n\n" + "word " * 400 for number in range(6)]
    async with conversation(tmp_path, *answers, size=size) as (stage, _):
        await stage.type("half a prompt")
        await stage.press("alt+2")
        await stage.press("ctrl+f")
        await stage.type("needle of")
        await stage.sees("/ needle of", "6 of 6", "The needle of 5.")
        await stage.press("up", "up")
        await stage.sees("4 of 6", "The needle of 3.")
        await stage.press("enter", "enter", "enter")
        await stage.sees("1 of 6", "The needle of 0.", "stay here")
        await stage.press("escape")
        await stage.sees("n N next, previous", "The needle of 0.")
        await stage.press("n")
        await stage.sees("2 of 6", "The needle of 1.")
        await stage.press("N", "N")
        await stage.sees("6 of 6")
        await stage.press("ctrl+f")
        await stage.type("nothing like it")
        await stage.sees("nothing found")
        await stage.press("escape")
        await stage.sees_no_more("nothing found")
        await stage.press("ctrl+f", "n", "escape")
        await stage.sees_no_more("/ n")
        await stage.press("alt+1", "escape")
        await stage.sees("› half a prompt")


async def test_what_is_typed_after_the_key_belongs_to_the_search_however_fast_it_comes(tmp_path: Path) -> None:
    async with conversation(tmp_path, "a needle") as (stage, _):
        await stage.press("tab")
        await stage.type("/needle")
        await stage.sees("/ needle", "1 of 1")
        await stage.press("escape", "escape")
        await stage.type("/fi")
        await stage.sees("/find [text]")
        await stage.enter("nd needle")
        await stage.sees("/ needle", "1 of 1")


# ------------------------------------------------------------------------------------------- the message at hand


async def test_keys_act_on_the_message_at_hand_which_a_bar_marks(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one", "two", "three") as (stage, _):
        assert bar(stage) == []
        await stage.press("tab")
        await stage.until(lambda: bar(stage) == ["three"])
        await stage.press("left_parenthesis", "shift+up")
        await stage.until(lambda: bar(stage) == ["two"])
        await stage.press("y")
        await stage.sees("Copied the answer.")
        assert stage.app.clipboard == "two"
        await stage.press("shift+up", "y")
        await stage.sees("Copied your prompt.")
        assert stage.app.clipboard == "question 2"
        await stage.press("shift+tab")
        await stage.until(lambda: bar(stage) == [])


async def test_after_a_click_letters_are_typed(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one") as (stage, _):
        await stage.pilot.click("#transcript", offset=(30, 12))
        await stage.type("eye to eye")
        await stage.sees("› eye to eye")


async def test_an_earlier_prompt_is_edited_and_sent_anew(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one", "two", "three") as (stage, agent):
        await stage.type("a draft")
        await stage.press("shift+tab", "shift+tab", "shift+tab")
        stage.app.main_screen.query_one(Transcript).focus()
        await stage.press("left_parenthesis", "left_parenthesis", "e")
        await stage.sees("› question 2", "an earlier prompt", "go back there and send")
        await stage.press("escape")
        await stage.sees("› a draft")
        await stage.sees_no_more("an earlier prompt")
        stage.app.main_screen.query_one(Transcript).focus()
        await stage.press("e")
        await stage.type(" again")
        assert [operation.type for operation in agent.operations if operation.type != "interrupt"] == []
        await stage.press("enter")
        await stage.sees_no_more("an earlier prompt")
        assert agent.operations[-2:] == [Rewind(prompt=-2), UserInput(text="question 2 again")]


async def test_a_prompt_that_is_sent_anew_takes_the_place_of_what_followed(tmp_path: Path) -> None:
    with ScriptedLLM(text("one"), text("two"), text("three")) as server:
        async with on_stage(real_app(server, tmp_path), (120, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("first")
            await stage.sees("one", "done")
            await stage.enter("second")
            await stage.sees("two")
            await stage.until(lambda: not stage.app.main_screen.state.running)
            stage.app.main_screen.query_one(Transcript).focus()
            await stage.press("left_square_bracket", "left_square_bracket", "e")
            await stage.sees("› first", "an earlier prompt")
            await stage.type(" of all")
            await stage.press("enter")
            await stage.sees("first of all", "three")
            await stage.until(lambda: not stage.app.main_screen.state.running)
            assert "two" not in stage.screen
            assert [message["content"] for message in server.requests[-1].messages[1:]] == ["first of all"]


async def test_a_prompt_cannot_be_edited_while_a_turn_runs(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one") as (stage, agent):
        agent.events.play(UserMessage(content="more"), Processing())
        await stage.sees("esc interrupt")
        await stage.press("tab", "e")
        await stage.sees("A turn is running.")
        assert "an earlier prompt" not in stage.screen


# ---------------------------------------------------------------------------------------------------------- feedback


async def test_an_answer_is_rated_in_the_log_and_on_the_screen_and_stays_so(tmp_path: Path) -> None:
    with ScriptedLLM(text("one"), text("two")) as server:
        async with on_stage(real_app(server, tmp_path), (120, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("first")
            await stage.sees("one", "done")
            stage.app.main_screen.query_one(Transcript).focus()
            await stage.press("minus")
            await stage.sees("▼ poor answer")
            await stage.press("plus")
            await stage.sees("▲ good answer")
            await stage.press("plus")
            await stage.sees_no_more("good answer")
            await stage.press("plus")
            await stage.sees("▲ good answer")
            await stage.press("left_parenthesis", "plus")
            await stage.sees("Only answers are rated.")
        (log,) = (tmp_path / "home").glob("sessions/*/*/*.jsonl")
        events = [json.loads(line) for line in log.read_text().splitlines()]
        (answer,) = [event["seq"] for event in events if event["type"] == "assistant_message"]
        ratings = [(event["message_seq"], event["rating"]) for event in events if event["type"] == "feedback"]
        assert ratings == [(answer, rating) for rating in ("down", "up", "none", "up")]


async def test_a_rating_is_shown_where_the_same_events_come_from_a_log(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one", "two") as (stage, agent):
        answers = [block for block in stage.app.main_screen.query_one(Transcript).blocks if block.plain == "one"]
        agent.events.play(Feedback(message_seq=answers[0].seq, rating="down"))  # type: ignore[attr-defined]  # an answer
        await stage.sees("▼ poor answer")
        assert stage.screen.index("one") < stage.screen.index("poor answer") < stage.screen.index("question 2")


# ------------------------------------------------------------------------------------------------------------ errors


async def test_an_error_tells_what_to_do_and_its_details_are_copied_from_anywhere(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one") as (stage, agent):
        await stage.press("f8")
        await stage.sees("No turn has failed.")
        cause = "No connection to http://localhost:8000 (refused; twice)"
        agent.events.play(UserMessage(content="go"), Processing())
        agent.events.play(ErrorEvent(error=f"{cause}; start the server or correct the address.", kind="connection"))
        await stage.sees(f"✗ {cause}.", "next: Start the server or correct the address.", "F8 copies", "failed")
        await stage.press("f8")
        await stage.sees("Copied the error with its details.")
        copied = stage.app.clipboard.split("\n")
        assert copied[0].startswith("time: 2026-01-01T12:00:")
        assert copied[1].startswith("session: 5e551017-")
        assert copied[2:4] == ["model: anthropic/claude-opus-4-6", "kind: connection"]
        assert copied[-1] == f"error: {cause}; start the server or correct the address."
        agent.events.play(Processing(), ErrorEvent(error="It broke.", kind="internal"))
        await stage.sees("✗ It broke.", "next: Send the prompt again. If it fails again, report it with the details.")
        await stage.press("tab", "y")
        assert stage.app.clipboard.endswith("error: It broke.")


# ------------------------------------------------------------------------------------------------------------- links

SAYS = (
    "See https://example.org/a?b=1 and [the card](https://huggingface.co/me/notes), `work/train.py:2`, "
    "[away](../secret.txt), [data](datasets/me/notes), `gone.py`"
)


async def test_keys_that_find_nothing_say_so(tmp_path: Path) -> None:
    async with conversation(tmp_path, "hello") as (stage, _):
        await stage.press("tab")
        for key, told in (
            ("{", "There is no error before this."),
            ("}", "There is no error after this."),
            ("t", "There are no thoughts in view."),
            ("ctrl+o", "There is no tool call yet."),
        ):
            await stage.press(key)
            await stage.sees(told)


async def test_links_in_view_are_opened_by_keys_with_their_targets_in_sight(tmp_path: Path) -> None:
    async with conversation(tmp_path, SAYS) as (stage, _):
        await stage.press("tab", "o")
        await stage.sees(
            "links in view", "https://example.org/a?b=1", "the card", "leads to https://huggingface.co/me/notes"
        )
        await stage.type("card")
        await stage.press("enter")
        await stage.until(lambda: stage.app.opened == ["https://huggingface.co/me/notes"])
        await stage.press("o")
        await stage.sees("links in view")
        await stage.press("escape", "escape")
        await stage.enter("/links")
        await stage.sees("links in view")
        await stage.type("example")
        await stage.press("ctrl+y")
        await stage.sees("Copied the link.")
        assert stage.app.clipboard == "https://example.org/a?b=1"


async def test_a_click_opens_what_says_where_it_leads_and_shows_the_rest_first(tmp_path: Path) -> None:
    async with conversation(tmp_path, "https://example.org/a and [the card](https://huggingface.co/me/notes)") as (
        stage,
        _,
    ):
        row = next(at for at, line in enumerate(stage.screen.split("\n")) if "https://example.org/a" in line)
        column = stage.screen.split("\n")[row].index("the card")
        await stage.pilot.click(offset=(6, row))
        await stage.until(lambda: stage.app.opened == ["https://example.org/a"])
        await stage.pilot.click(offset=(column + 1, row))
        await stage.sees("open link", "leads to https://huggingface.co/me/notes")
        assert len(stage.app.opened) == 1
        await stage.press("y")
        await stage.until(lambda: stage.app.opened[1:] == ["https://huggingface.co/me/notes"])


async def test_a_file_opens_in_the_editor_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    with ScriptedLLM(
        text("I wrote `train.py:2` and [away](../secret.txt) and [data](datasets/me/notes), `gone.py`")
    ) as server:
        async with on_stage(real_app(server, tmp_path), (120, 40)) as stage:
            (tmp_path / "work" / "train.py").write_text("a\nb\n")
            (tmp_path / "secret.txt").write_text("s")
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("train.py", "done")
            stage.app.main_screen.query_one(Transcript).focus()
            for typed in ("train", "away", "data", "gone"):
                await stage.press("o")
                await stage.sees("links in view")
                await stage.type(typed)
                await stage.press("enter")
                match typed:
                    case "train":  # no editor is set: its path is of use all the same
                        await stage.sees("set EDITOR")
                        assert stage.app.clipboard == str(tmp_path / "work" / "train.py")
                    case "away":
                        await stage.sees("open link", "secret.txt")
                        await stage.press("n")
                    case "data":
                        await stage.sees("open link", "/datasets/me/notes")
                        await stage.press("n")
                    case _:
                        await stage.sees("There is no file gone.py in")
            assert stage.app.opened == []


def test_a_place_in_a_file_is_found_and_told_whether_it_is_in_the_workspace(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.py").write_text("x")
    (work / "odd.py:12").write_text("x")
    (tmp_path / "out.py").write_text("x")
    (work / "link.py").symlink_to(tmp_path / "out.py")
    assert place_of("a.py:12", work) == FilePlace(work / "a.py", 12, True)
    assert place_of("a.py#L7", work) == FilePlace(work / "a.py", 7, True)
    assert place_of("odd.py:12", work) == FilePlace(work / "odd.py:12", 0, True)
    assert place_of("link.py", work) == FilePlace(tmp_path / "out.py", 0, False)
    assert place_of(str(tmp_path / "out.py"), work) == FilePlace(tmp_path / "out.py", 0, False)
    for nothing in ("b.py", ".", "/dev/null", "a\0b", "x" * 5_000, "~nobody-here/x.py"):
        assert place_of(nothing, work) is None


@pytest.mark.parametrize(
    ("editor", "line", "command"),
    [
        ("vim", 3, ["vim", "+3", "/w/a b.py"]),
        ("/usr/bin/code --wait", 3, ["/usr/bin/code", "--wait", "--goto", "/w/a b.py:3"]),
        ("hx", 3, ["hx", "/w/a b.py:3"]),
        ("nano -l", 0, ["nano", "-l", "/w/a b.py"]),
    ],
)
def test_editors_are_told_the_line(editor: str, line: int, command: list[str]) -> None:
    assert editor_command(editor, FilePlace(Path("/w/a b.py"), line, True)) == command


@pytest.mark.parametrize(
    ("env", "platform", "can"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "w", "SSH_CONNECTION": "x"}, "linux", True),
        ({"SSH_CONNECTION": "x"}, "darwin", False),
        ({}, "darwin", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({"TEXTUAL_DRIVER": "web"}, "linux", True),
    ],
)
def test_a_browser_is_opened_only_where_it_is_seen(env: dict[str, str], platform: str, can: bool) -> None:
    assert can_browse(env, platform) is can


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("me/notes", "https://hub.test/me/notes"),
        ("datasets/me/notes", "https://hub.test/datasets/me/notes"),
        ("models/me/m-1.2", "https://hub.test/me/m-1.2"),
        ("../me", ""),
        ("me", ""),
        ("a/b/c/d", ""),
        ("me/no tes", ""),
    ],
)
def test_a_repository_is_told_from_a_path(target: str, url: str) -> None:
    assert repository_url(target, {"HF_ENDPOINT": "https://hub.test/"}) == url


async def test_a_call_of_a_file_tool_leads_to_the_file(tmp_path: Path) -> None:
    async with conversation(tmp_path, "one") as (stage, agent):
        call = {"path": "src/train.py", "content": "a\nb\n"}
        agent.events.play(Processing(), ToolCallEvent(tool="write", arguments=call, tool_call_id="c"))
        await stage.sees("write  src/train.py  +2")
        await stage.press("tab", "o")
        await stage.sees("links in view", "src/train.py")


# -------------------------------------------------------------------------------------------------- the terminal


async def test_looking_at_another_window_and_back_paints_nothing_and_keys_go_where_they_went(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, kind=GlassApp)
    assert isinstance(app, GlassApp)
    async with on_stage(app, (120, 40), headless=False) as stage:
        await stage.sees("claude-opus")
        for number in range(300):
            agents[0].events.play(UserMessage(content=f"question {number}"), AssistantMessage(content="answer"))
        await stage.sees("question 299")
        await stage.pilot.pause()
        app.take_written()
        for event in (AppBlur(), AppFocus(), AppBlur(), AppFocus()):
            app.post_message(event)
        await stage.pilot.pause()
        assert app.take_written() == ""
        assert app.app_focus
        await stage.type("still here")
        await stage.sees("› still here")


async def test_the_terminal_is_told_of_a_link_only_where_its_target_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    app, agents = played_app(tmp_path, kind=GlassApp)
    assert isinstance(app, GlassApp)
    async with on_stage(app, (100, 40), headless=False) as stage:
        await stage.sees("claude-opus")
        long = "https://example.org/" + "a" * 150
        said = f"https://a.test/x [https://good.test](https://evil.test) [c](https://c.test) `d.py` {long}"
        agents[0].events.play(UserMessage(content="https://p.test?"), AssistantMessage(content=said))
        wanted = {"https://a.test/x", "https://p.test", long}
        await stage.until(lambda: check_bytes(app.written) == wanted, "these links and no others")
