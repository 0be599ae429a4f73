from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from ml_intern.tui.motion import CALM_TICK_S, REDUCED_MOTION_VARIABLE, TICK_S, is_reduced, tick_s
from tests.tui.playback import played_app
from tests.tui.stage import on_stage
from tests.tui.test_settings_screen import configure, open_settings, until_file


@pytest.mark.parametrize(
    ("variable", "chosen", "reduced"),
    [
        ("", "", False),
        ("", "reduced", True),
        ("1", "full", True),
        ("0", "reduced", False),
        ("off", "reduced", False),
        ("yes", "", True),
    ],
)
def test_the_environment_beats_the_configuration(
    monkeypatch: pytest.MonkeyPatch, variable: str, chosen: str, reduced: bool
) -> None:
    monkeypatch.setenv(REDUCED_MOTION_VARIABLE, variable)
    assert is_reduced(chosen) is reduced


async def test_reduced_motion_stills_the_cursor_slows_the_ticks_and_can_be_chosen_at_once(tmp_path: Path) -> None:
    path = configure(tmp_path)
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await open_settings(stage, "ui.motion")
        assert tick_s(app.screen) == TICK_S
        await stage.press("enter", "2")
        await until_file(stage, path, {"ui": {"motion": "reduced"}})
        await stage.until(lambda: app.reduced_motion, "less motion")
        assert app.animation_level == "none"
        assert tick_s(app.screen) == CALM_TICK_S
        await stage.press("escape", "escape", "ctrl+p")
        await stage.sees("/help")
        assert not app.screen.query_one(Input).cursor_blink


async def test_reduced_motion_is_there_from_the_first_frame(tmp_path: Path) -> None:
    configure(tmp_path, ui={"motion": "reduced"})
    app, _ = played_app(tmp_path)
    assert (app.reduced_motion, app.animation_level) == (True, "none")
