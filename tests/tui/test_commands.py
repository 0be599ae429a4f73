from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.tui import messages
from ml_intern.tui.commands import COMMANDS, UsageError, matching, parse
from ml_intern.tui.state import SessionState
from tests.tui.playback import played_app
from tests.tui.stage import on_stage

READY = SessionState(ready=True, model="vllm/x")


@pytest.mark.parametrize("text", ["hello", "what is a/b?", "", "/", "/ spaced", "a /new in the middle"])
def test_other_texts_are_messages(text: str) -> None:
    assert parse(text).command is None
    assert parse(text).text == text


@pytest.mark.parametrize("text", ["/data/train.csv is broken", "/home/ada", "/no/such/path at all"])
def test_a_path_is_a_message(text: str) -> None:
    assert parse(text).text == text


def test_a_path_of_one_part_is_a_message_when_it_exists(tmp_path: Path) -> None:
    first = f"/{tmp_path.parts[1]}"
    assert parse(f"{first} is full").command is None


def test_two_slashes_stand_for_one_of_a_message() -> None:
    entered = parse("//new is a command")
    assert (entered.text, entered.command) == ("/new is a command", None)


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("/new", "new", ""),
        ("/NEW", "new", ""),
        ("/clear", "new", ""),
        ("/cost", "status", ""),
        ("/exit", "quit", ""),
        ("/model  vllm/x ", "model", "vllm/x"),
        ("/compact keep the\nnumbers", "compact", "keep the\nnumbers"),
        ("/compact\nkeep", "compact", "keep"),
    ],
)
def test_commands_are_known_by_name_and_alias(text: str, name: str, argument: str) -> None:
    entered = parse(text)
    assert entered.command is not None
    assert (entered.command.name, entered.text) == (name, argument)


@pytest.mark.parametrize(("text", "near"), [("/modle", "/model"), ("/stats", "/status"), ("/efort", "/effort")])
def test_an_unknown_command_names_near_ones(text: str, near: str) -> None:
    with pytest.raises(UsageError, match=near):
        parse(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("/mode fast", "guarded, ask, plan, yolo"),
        ("/effort huge", "off, minimal"),
        ("/new now", "no argument"),
        ("/upload", "Name a data file or folder"),
    ],
)
def test_a_wrong_argument_says_what_would_be_right(text: str, complaint: str) -> None:
    entered = parse(text)
    assert entered.command is not None
    with pytest.raises(UsageError, match=complaint):
        entered.command.make(entered.text)


def test_a_choice_without_an_argument_opens_a_picker() -> None:
    for name in ("model", "mode", "effort", "theme"):
        command = parse(f"/{name}").command
        assert command is not None
        message = command.make("")
        assert isinstance(message, messages.OpenPicker)
        assert message.subject == name


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("/upload data/train.csv", "data/train.csv"),
        ("/upload '/my data/train.csv'", "/my data/train.csv"),
        (r"/upload /my\ data/train.csv", "/my data/train.csv"),
        ("/upload my data.csv", "my data.csv"),
        ("/upload ada's.csv", "ada's.csv"),
    ],
)
def test_a_path_to_upload_may_be_quoted_or_not(typed: str, path: str) -> None:
    entered = parse(typed)
    assert entered.command is not None
    message = entered.command.make(entered.text)
    assert isinstance(message, messages.Operate)
    assert (message.kind, message.fields) == ("upload", {"path": path})


def test_what_changes_the_conversation_waits_for_the_end_of_the_turn() -> None:
    running = SessionState(ready=True, running=True)
    blocked = {command.name for command in COMMANDS if command.objection(running)}
    assert blocked == {"new", "undo", "rewind", "upload", "trust", "compact", "practice", "share-traces", "sign-in"}
    assert not any(command.objection(READY) for command in COMMANDS)


def test_names_that_begin_with_what_was_typed_come_first() -> None:
    assert [command.name for command in matching("mo")][:2] == ["model", "mode"]
    assert matching("e")[0].name == "effort"
    assert matching("zzz") == []


def test_names_are_unique() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))


def test_the_command_of_exactly_this_name_comes_before_longer_ones() -> None:
    assert [command.name for command in matching("mode")][:2] == ["mode", "model"]
    assert matching("config")[0].name == "settings"


async def test_what_is_offered_ends_with_a_sign_where_there_is_no_room(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app, (60, 20)) as stage:
        await stage.sees("claude-opus")
        await stage.type("/link")
        await stage.sees("▸ /links", "the links in view")
        assert stage.row("▸ /links").endswith("…")


async def test_a_command_that_comes_in_one_burst_with_enter_is_the_one_that_is_run(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        await stage.burst(*"/st")
        await stage.sees("▸ /steer TEXT")
        await stage.burst(*"atus", "enter")
        await stage.sees("context", "cost", "directory")
        assert "Say what the agent should hear" not in stage.screen


@pytest.mark.parametrize("columns", [60, 80, 100])
async def test_a_notice_is_shown_to_its_last_letter(tmp_path: Path, columns: int) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app, (columns, 24)) as stage:
        await stage.sees("claude-opus")
        app.notify("x" * 55 + " " + "y" * 300)
        await stage.sees("x" * 55)
        await stage.until(lambda: stage.screen.count("y") >= 300, "all letters")
