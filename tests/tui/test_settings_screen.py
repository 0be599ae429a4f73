from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from ml_intern.core.protocol import ApprovalRequired, Processing
from tests.tui.playback import played_app
from tests.tui.stage import Stage, on_stage
from tests.tui.test_approvals import job

Compare = Callable[..., bool]


def configure(directory: Path, **settings: Any) -> Path:
    path = directory / "home" / "config" / "cli_agent_config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))
    return path


async def open_settings(stage: Stage, words: str = "") -> None:
    await stage.sees("claude-opus")
    await stage.enter(f"/settings {words}".strip())
    await stage.sees("settings  ⌕")


async def until_file(stage: Stage, path: Path, expected: object) -> None:
    await stage.until(lambda: path.is_file() and json.loads(path.read_text()) == expected, f"the file to be {expected}")


async def test_typing_finds_a_switch_that_counts_at_once_and_is_kept(tmp_path: Path) -> None:
    path = configure(tmp_path, stream=False)
    app, agents = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage)
        assert "● show replies as they are written" in stage.screen
        await stage.type("ring the")
        await stage.sees("ring the bell", "Ring the terminal's bell", "counts at once", "comes with ml-intern")
        await stage.press("enter")
        await until_file(stage, path, {"stream": False, "ui": {"bell": False}})
        await stage.sees("● ring the bell", "off", "yours")
        assert "cli_agent_config.json" in "".join(stage.screen.split())  # a long path goes on in the next line
        await stage.press("escape", "escape")
        agents[0].events.play(Processing(), ApprovalRequired(tools=(job("one"),), count=1))
        await stage.sees("why asked")
        assert app.rings == 0


async def test_a_number_is_refused_in_words_until_it_fits(tmp_path: Path) -> None:
    path = configure(tmp_path)
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "tools.parallel")
        await stage.press("enter")
        await stage.sees("A number: at least 1, at most 64.")
        await stage.press("ctrl+u")
        for typed, problem in (("many", "✗ Type a whole number"), ("65", "✗ It must be at least 1, at most 64.")):
            await stage.type(typed)
            await stage.press("enter")
            await stage.sees(problem)
            await stage.press("ctrl+u")
            await stage.sees_no_more("✗")
        await stage.enter("12")
        await until_file(stage, path, {"tools": {"parallel": 12}})
        await stage.sees("calls at the same time: 12 · counts from the next start")


async def test_the_session_takes_over_mode_effort_and_cap(tmp_path: Path) -> None:
    path = configure(tmp_path)
    app, agents = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "max_cost")
        await stage.press("enter")
        await stage.enter("2.5")
        await until_file(stage, path, {"max_cost_usd": 2.5})
        await stage.press("escape")
        await stage.type("approval mode")
        await stage.press("enter")
        await stage.sees("1 guarded", "4 yolo")
        await stage.press("3")
        await until_file(stage, path, {"max_cost_usd": 2.5, "mode": "plan"})
        await stage.press("escape")
        await stage.type("reasoning_effort")
        await stage.press("enter")
        await stage.type("xhigh")
        await stage.press("enter")
        await until_file(stage, path, {"max_cost_usd": 2.5, "mode": "plan", "reasoning_effort": "xhigh"})
        await stage.until(lambda: len(agents[0].operations) == 3, "the operations")
        told = [operation.model_dump(mode="json") for operation in agents[0].operations]
        assert told == [
            {"type": "set_cap", "cap_usd": 2.5},
            {"type": "set_mode", "mode": "plan"},
            {"type": "set_effort", "effort": "xhigh"},
        ]


async def test_a_value_of_ones_own_is_taken_away_again_and_the_others_stay(tmp_path: Path) -> None:
    path = configure(tmp_path, web={"timeout_s": 5, "allow_private": True})
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "web.timeout_s")
        await stage.sees("5 s", "yours", "default 30 s")
        await stage.press("backspace")
        await until_file(stage, path, {"web": {"allow_private": True}})
        await stage.sees("wait for a page: 30 s")
        await stage.press("backspace")
        await stage.sees("does not stand in your file")


async def test_a_list_is_edited_one_entry_a_line(tmp_path: Path) -> None:
    path = configure(tmp_path, approvals={"deny": ["bash(git push *)"]})
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "approvals.deny")
        await stage.press("enter")
        await stage.sees("bash(git push *)", "One entry a line")
        await stage.press("enter")
        await stage.type("web_fetch")
        await stage.press("ctrl+s")
        await until_file(stage, path, {"approvals": {"deny": ["bash(git push *)", "web_fetch"]}})
        await stage.press("escape")
        await stage.type("auto_event")
        await stage.press("enter")
        await stage.sees("Any of")
        await stage.type("s")
        await stage.press("ctrl+s")
        await stage.sees("✗ input should be 'approval_required', 'error' or 'turn_complete'")
        await stage.press("escape")
        assert "messaging" not in json.loads(path.read_text())


async def test_a_variable_stays_a_variable_and_its_value_is_shown_without_secrets(tmp_path: Path) -> None:
    path = configure(tmp_path, jobs={"namespace": "${TEAM}"}, sandbox={"image": "img-${HF_TOKEN}"})
    secret = "hf_" + "a1B2" * 9
    app, _ = played_app(tmp_path, env={"TEAM": "acme", "HF_TOKEN": secret})
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "namespace")
        await stage.sees("acme", "environment", "as ${TEAM}")
        await stage.press("enter")
        await stage.sees("${TEAM}")
        await stage.type("-two")
        await stage.press("enter")
        await until_file(stage, path, {"jobs": {"namespace": "${TEAM}-two"}, "sandbox": {"image": "img-${HF_TOKEN}"}})
        await stage.press("escape")
        await stage.type("sandbox.image")
        await stage.sees("as img-${HF_TOKEN}")
        assert secret not in stage.screen


async def test_hostile_values_are_shown_as_text(tmp_path: Path) -> None:
    hostile = "[/x][red]\x1b[31m\x00\u202e${TEAM}" + "w" * 500
    configure(tmp_path, jobs={"namespace": hostile}, approvals={"deny": [hostile, "[bold"]})
    app, _ = played_app(tmp_path, env={"TEAM": "\x1b]8;;http://x\x07"})
    async with on_stage(app, (60, 20)) as stage:
        await open_settings(stage)
        for words in ("who pays", "always refuse"):
            await stage.type(words)
            await stage.sees("[/x][red]")
            assert "\x1b" not in stage.screen
            await stage.press("enter")
            await stage.sees("leave")
            await stage.press("escape", "escape")


async def test_what_a_flag_has_set_is_said_to_be_so(tmp_path: Path) -> None:
    configure(tmp_path, mode="ask")
    app, _ = played_app(tmp_path, flags={"mode": "plan"})
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "approval mode")
        await stage.sees("plan", "command line", "which beats the file", "In this session it is guarded")


async def test_a_theme_is_previewed_from_the_settings_and_taken_over(tmp_path: Path) -> None:
    path = configure(tmp_path)
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "ui.theme")
        await stage.press("enter")
        await stage.type("contrast-light")
        await stage.until(lambda: app.theme == "ml-intern-contrast-light", "the preview")
        await stage.press("escape")
        await stage.until(lambda: app.theme == "ml-intern-dark", "the theme before")
        assert json.loads(path.read_text()) == {}
        await stage.press("enter")
        await stage.type("contrast-light")
        await stage.press("enter")
        await until_file(stage, path, {"ui": {"theme": "ml-intern-contrast-light"}})
        await stage.until(lambda: app.theme == "ml-intern-contrast-light", "the theme")


async def test_servers_and_keys_have_screens_of_their_own_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    path = configure(tmp_path)
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "keys by action")
        await stage.press("enter")
        await stage.sees("keys  ⌕", "everywhere")
        await stage.press("escape", "escape")
        await stage.type("destinations")
        await stage.press("enter")
        await stage.sees("Destinations are written into")
        await stage.press("escape")
        await stage.type("ui.bell")
        path.write_text("{broken")
        await stage.press("enter")
        await stage.sees("Nothing was changed:", "JSON")
        assert path.read_text() == "{broken"


@pytest.mark.parametrize("size", [(60, 20), (100, 30), (160, 45)], ids=["narrow", "medium", "wide"])
def test_the_settings(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    app, _ = played_app(tmp_path, flags={"mode": "plan"}, env={"TEAM": "acme"})

    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await open_settings(stage)
        await stage.press("down", "down")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=prepare)
