from __future__ import annotations

import re
from pathlib import Path

from tests.tui.playback import played_app
from tests.tui.review_story import story, write_log
from tests.tui.stage import Stage, on_stage
from tests.tui.test_snapshots import worked


async def letter_before(stage: Stage, text: str) -> str:
    """The letter that covers the beginning of a row whose rest is this text."""
    covered = re.compile(rf" (\S) {re.escape(text)}")
    await stage.until(lambda: covered.search(stage.screen) is not None, f"a letter on {text!r}")
    found = covered.search(stage.screen)
    assert found is not None
    return found[1]


async def test_letters_lead_to_panes_tabs_and_tool_calls(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (120, 40)) as stage:
        await stage.sees("claude-opus")
        worked(agents[0])
        await stage.sees("done · 3 model calls")
        await stage.type("draft")
        await stage.press("f6")
        await stage.press(await letter_before(stage, "hat ──"))
        await stage.until(lambda: getattr(app.focused, "id", "") == "transcript", "the chat to have the focus")
        await stage.press("alt+j")
        await stage.press(await letter_before(stage, "f_inspect_dataset"))
        await stage.sees("4,212 rows", "esc close")
        await stage.press("escape", "f6", "escape")
        assert "go there" not in stage.screen
        assert app.main_screen._composer.prompt.text == "draft"


async def test_letters_lead_to_tabs_where_one_pane_is_shown(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app, (60, 20)) as stage:
        await stage.sees("claude-opus")
        await stage.press("f6")
        await stage.press(await letter_before(stage, "lan "))
        await stage.until(lambda: app.screen.has_class("show-plan"), "the plan")
        await stage.press("f6", "f6")
        assert "go there" not in stage.screen
        await stage.press("f6", "Z", "1")
        assert "go there" in stage.screen
        await stage.pilot.resize_terminal(80, 24)
        await stage.sees_no_more("go there")


async def test_a_letter_opens_a_session_and_works_while_it_is_reviewed(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    write_log(tmp_path / "home" / "sessions", story())
    async with on_stage(app, (120, 40)) as stage:
        await stage.sees("claude-opus")
        await stage.press("f2")
        await stage.sees("No sessions in this directory")
        await stage.press("a")
        await stage.sees("oday 13:00")
        await stage.press("f6")
        await stage.press(await letter_before(stage, "oday 13:00"))
        await stage.sees("review ·")
        await stage.press("f6")
        await stage.press(await letter_before(stage, "lan ·"))
        await stage.until(lambda: getattr(app.focused, "id", "") == "plan", "the plan to have the focus")
