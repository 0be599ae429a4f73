from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ml_intern.core.protocol import Processing
from tests.tui.playback import played_app
from tests.tui.stage import Stage, on_stage
from tests.tui.test_settings_screen import configure, until_file

Compare = Callable[..., bool]


async def open_keys(stage: Stage, words: str = "") -> None:
    await stage.sees("claude-opus")
    await stage.enter(f"/keys {words}".strip())
    await stage.sees("keys  ⌕")


async def test_keys_of_the_configuration_count_and_are_named_everywhere(tmp_path: Path) -> None:
    configure(tmp_path, keys={"interrupt": "Ctrl+X", "prompt.send": "alt+s", "prompt.newline": "enter", "/trail": "f9"})
    app, agents = played_app(tmp_path)
    async with on_stage(app, (120, 40)) as stage:
        await stage.sees("claude-opus")
        await stage.type("one")
        await stage.press("enter")
        await stage.type("two")
        await stage.sees("alt+s send")
        await stage.press("alt+s")
        await stage.sees("ctrl+x interrupt")
        assert agents[0].ask("user_input").model_dump()["text"] == "one\ntwo"
        agents[0].events.play(Processing())
        await stage.press("escape", "ctrl+x")
        assert [operation.type for operation in agents[0].operations] == ["user_input", "interrupt"]
        await stage.press("f1")
        await stage.sees("Alt+S sends, Enter begins a new line", "interrupt the turn")
        assert "ctrl+x  " in stage.row("interrupt the turn")
        assert "None" not in stage.screen
        await stage.press("escape", "f9")
        await stage.sees("This session has looked into nothing yet")
        await stage.press("escape", "ctrl+p")
        await stage.type("trail")
        await stage.sees("/trail", "f9")


async def test_what_is_wrong_with_the_keys_is_told_at_the_start_and_the_rest_counts(tmp_path: Path) -> None:
    configure(tmp_path, keys={"interupt": "ctrl+x", "quit": "ctrl+c", "jobs": "f9", "call": "f9"})
    app, _ = played_app(tmp_path)
    async with on_stage(app, (120, 40)) as stage:
        await stage.sees(
            "keys.interupt: there is no such action; the nearest is", "ctrl+c interrupts and quits, always"
        )
        await stage.sees("keys.jobs: f9 also means call")
        await stage.press("f9")
        await stage.sees("jobs   this session")
        await stage.press("ctrl+c", "ctrl+c")
        await stage.until(lambda: app.return_code == 0, "the way out")


async def test_a_new_key_is_pressed_kept_and_counts_at_once(tmp_path: Path) -> None:
    path = configure(tmp_path, stream=False)
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_keys(stage, "spend")
        await stage.press("enter")
        await stage.sees("Press the key for it.")
        await stage.press("f2")
        await stage.sees("! f2 also means sessions", "take f2 all the same")
        await stage.press("ctrl+i")
        await stage.press("f12")
        await until_file(stage, path, {"stream": False, "keys": {"spend": "f12"}})
        await stage.sees("● f12", "It comes with f4.")
        await stage.press("escape", "escape", "f12")
        await stage.sees("1 session", "export CSV")
        await stage.press("f12")
        await stage.sees_no_more("export CSV")
        await stage.press("f4")
        assert "export CSV" not in stage.screen


async def test_a_key_is_reset_and_an_action_left_without_one(tmp_path: Path) -> None:
    path = configure(tmp_path, keys={"spend": "f12", "help": "f10"})
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_keys(stage, "spend")
        await stage.sees("● f12")
        await stage.press("escape", "backspace")
        await until_file(stage, path, {"keys": {"help": "f10"}})
        await stage.press("delete")
        await until_file(stage, path, {"keys": {"help": "f10", "spend": "none"}})
        await stage.sees("● –")
        await stage.press("escape", "escape", "f4")
        assert "export CSV" not in stage.screen
        assert "f4" not in stage.screen


async def test_no_key_is_taken_that_would_lock_a_person_out(tmp_path: Path) -> None:
    path = configure(tmp_path)
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_keys(stage, "copy the selection")
        await stage.press("enter")
        await stage.sees("This key stays")
        await stage.press("escape")
        await stage.type("explain what")
        await stage.press("enter", "h")
        await stage.sees("✗ H is needed for typing there")
        await stage.press("enter")
        await stage.sees("✗ ↵ is needed for typing there")
        await stage.press("f3")
        await stage.sees("f3 also means jobs")
        await stage.press("escape")
        await stage.sees_no_more("also means")
        assert json.loads(path.read_text()) == {}


@pytest.mark.parametrize("size", [(60, 20), (100, 30), (160, 45)], ids=["narrow", "medium", "wide"])
def test_the_keys(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    configure(tmp_path, keys={"jobs": "f9", "commands": "none"})
    app, _ = played_app(tmp_path)

    async def prepare(pilot: Pilot[None]) -> None:
        await open_keys(Stage(app, pilot))
        await pilot.press("down", "down")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=prepare)
