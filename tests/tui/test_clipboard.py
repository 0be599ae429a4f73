from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ml_intern.core.protocol import AssistantMessage, Notice, Processing, UserMessage
from ml_intern.tui.clipboard import CHUNK, LARGEST, clipboard_sequence, keep_in_file
from ml_intern.tui.widgets.transcript import Transcript
from tests.tui.playback import played_app
from tests.tui.stage import on_stage

PLAIN = "\x1b]52;c;Z3LDvG4=\x07"  # "grün"
TWO_BLOCKS = "Try\n\n```python\nfirst = 1\n```\n\nor\n\n~~~\nsecond\n\n  indented\n~~~\n"


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)


def test_a_plain_terminal_is_given_the_text_as_it_is() -> None:
    assert clipboard_sequence("grün", {"TERM": "xterm-256color"}) == PLAIN


def test_tmux_is_given_the_text_and_something_to_pass_on() -> None:
    wrapped = "\x1bPtmux;\x1b\x1b]52;c;Z3LDvG4=\x07\x1b\\"
    assert clipboard_sequence("grün", {"TERM": "screen-256color", "TMUX": "/tmp/tmux,1,0"}) == PLAIN + wrapped


def test_screen_is_given_pieces_that_it_passes_on() -> None:
    assert clipboard_sequence("grün", {"TERM": "screen"}) == f"\x1bP{PLAIN}\x1b\\"
    pieces = clipboard_sequence("x" * 1_000, {"TERM": "xterm", "STY": "1.pts"}).split("\x1b\\")
    assert pieces.pop() == ""
    assert len(pieces) > 1
    assert all(piece.startswith("\x1bP") and len(piece) <= CHUNK + 2 for piece in pieces)
    whole = "".join(piece[2:] for piece in pieces)
    assert base64.b64decode(whole.removeprefix("\x1b]52;c;").removesuffix("\x07")) == b"x" * 1_000


def test_what_a_terminal_would_not_take_is_not_sent() -> None:
    assert clipboard_sequence("x" * LARGEST, {}) != ""
    assert clipboard_sequence("x" * (LARGEST + 1), {}) == ""
    assert clipboard_sequence("x", {"TERM": "linux"}) == ""


def test_a_kept_copy_replaces_the_one_before_and_is_private(tmp_path: Path) -> None:
    keep_in_file("a longer text", tmp_path / "state")
    path = keep_in_file("short", tmp_path / "state")
    assert path.read_text() == "short"
    assert path.stat().st_mode & 0o077 == 0


async def test_keys_and_commands_copy_messages_and_code(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        events = agents[0].events
        events.play(UserMessage(content="go"), Processing(), AssistantMessage(content=TWO_BLOCKS))
        await stage.sees("indented")
        app.main_screen.query_one(Transcript).focus()
        await stage.press("ctrl+k")
        await stage.sees("Copied the newest code block.")
        assert app.clipboard == "second\n\n  indented"
        await stage.press("ctrl+k")
        await stage.sees("Copied code block 2 from the end.")
        assert app.clipboard == "first = 1"
        await stage.press("ctrl+k")
        await stage.sees("There is no earlier code block.")
        await stage.press("ctrl+y")
        await stage.sees("Copied the answer.")
        assert app.clipboard == TWO_BLOCKS.strip("\n")
        app.main_screen.query_one("#prompt").focus()
        await stage.enter("/copy all")
        await stage.sees("Copied the conversation.")
        assert app.clipboard.startswith("you:\ngo\n\nml-intern:\nTry")
        await stage.enter("/copy everything")
        await stage.sees("/copy takes last, code, error, all")


async def test_a_text_too_large_for_the_terminal_is_kept_in_a_file(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        text = "word " * 20_000
        agents[0].events.play(UserMessage(content="go"), Processing(), AssistantMessage(content=text))
        await stage.sees("word word")
        await stage.enter("/copy")
        await stage.sees("The terminal does not take the last answer; it is in")
        assert next(tmp_path.rglob("copied.txt")).read_text() == text
        assert app.clipboard == text


async def test_keys_go_from_error_to_error(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        events = agents[0].events
        filling = "\n\n".join(f"line {number}" for number in range(60))
        events.play(UserMessage(content="go"), Processing())
        for name in ("first", "second"):
            events.play(Notice(text=f"{name} fault", level="error"), AssistantMessage(content=filling))
        await stage.sees("line 59")
        app.main_screen.query_one(Transcript).focus()
        await stage.press("left_curly_bracket")
        await stage.sees("second fault")
        await stage.press("left_curly_bracket")
        await stage.sees("first fault")
        await stage.press("right_curly_bracket")
        await stage.sees("second fault")
