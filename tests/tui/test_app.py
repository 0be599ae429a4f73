from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml_intern.core.config import ConfigError
from ml_intern.core.protocol import NewComplete, UserInput, UserMessage
from ml_intern.options import Options
from ml_intern.wiring import Wired
from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import played_app
from tests.tui.stage import WatchedApp, on_stage, real_app

HEAVY = ("pydantic", "httpx", "markdown_it", "pygments", "litellm", "mcp", "huggingface_hub", "tiktoken")
OPENED_LATER = (
    *("modals.approvals", "modals.ask", "modals.editor", "modals.hardware", "screens.help", "screens.jobs"),
    *("screens.mcp", "screens.review", "screens.sessions", "screens.spend", "screens.tool_detail", "widgets.detail"),
)


def test_the_apps_first_frame_imports_nothing_heavy_and_nothing_that_is_opened_later() -> None:
    unwanted = (*HEAVY, *(f"ml_intern.tui.{name}" for name in OPENED_LATER))
    code = f"import sys, ml_intern.tui.app; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for name in OPENED_LATER:
        assert importlib.util.find_spec(f"ml_intern.tui.{name}"), f"{name} has moved"


async def test_an_agent_that_breaks_is_told_once_and_the_next_prompt_starts_another(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, faults=[RuntimeError("cable pulled")])
    async with on_stage(app) as stage:
        await stage.sees("The agent stopped (RuntimeError: cable pulled)", "the agent stopped")
        assert stage.screen.count("cable pulled") == 1
        await stage.enter("hello")
        await stage.until(lambda: len(agents) == 2 and bool(agents[1].operations), "the new agent to get the prompt")
        assert agents[1].operations == [UserInput(text="hello")]


async def test_an_agent_that_cannot_be_built_leaves_the_app_usable() -> None:
    def refuse(_options: Options) -> Wired:
        raise OSError("no space left on device")

    async with on_stage(WatchedApp(Options(), refuse)) as stage:
        await stage.sees("no space left on device", "the agent stopped")
        await stage.press("f1")
        await stage.sees("keys", "commands")


async def test_a_broken_configuration_ends_the_app_with_one_sentence() -> None:
    def refuse(_options: Options) -> Wired:
        raise ConfigError("config.json is not valid JSON.")

    app = WatchedApp(Options(), refuse)
    async with on_stage(app) as stage:
        await stage.until(lambda: not app.is_running, "the app to end")
    assert app.return_code == 2
    assert app.farewell == "ml-intern: config.json is not valid JSON."


async def test_a_theme_is_previewed_kept_or_taken_back(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    config = tmp_path / "home" / "config" / "cli_agent_config.json"
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        await stage.enter("/theme")
        await stage.sees("● 1 ml-intern-dark")
        await stage.press("down")
        await stage.until(lambda: app.theme == "ml-intern-light", "the preview")
        await stage.press("escape")
        await stage.until(lambda: app.theme == "ml-intern-dark", "the old theme")
        assert not config.exists()
        await stage.enter("/theme")
        await stage.type("nord")
        await stage.press("enter")
        await stage.until(config.exists, "the theme to be written")
        assert json.loads(config.read_text()) == {"ui": {"theme": "nord"}}
        assert app.theme == "nord"
        await stage.enter("/theme")
        await stage.type("auto")
        await stage.sees("dark or light")
        await stage.press("enter")
        await stage.until(lambda: app.theme == "ml-intern-dark", "what fits the terminal")
        await stage.until(lambda: json.loads(config.read_text()) == {"ui": {"theme": "auto"}}, "the choice to be kept")


async def test_the_kept_theme_is_there_from_the_first_frame(tmp_path: Path) -> None:
    config = tmp_path / "home" / "config" / "cli_agent_config.json"
    config.parent.mkdir(parents=True)
    config.write_text('{"ui": {"theme": "gruvbox"}}')
    app, _ = played_app(tmp_path, theme="")
    assert app.theme == "gruvbox"


@pytest.mark.parametrize("theme", ["no-such-theme"])
async def test_an_unknown_theme_is_named_and_the_default_is_used(tmp_path: Path, theme: str) -> None:
    app, _ = played_app(tmp_path, theme=theme)
    async with on_stage(app) as stage:
        await stage.sees("There is no theme 'no-such-theme'")
        assert app.theme == "ml-intern-dark"


async def test_earlier_prompts_come_back_in_the_next_run(tmp_path: Path) -> None:
    with ScriptedLLM(text("ok"), repeat_last=True) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("remember me")
            await stage.sees("done")
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees("vllm/scripted")
            await stage.type("draft")
            await stage.press("up")
            await stage.sees("› remember me")
            await stage.press("down")
            await stage.sees("› draft")


async def test_a_large_paste_is_taken_whole(tmp_path: Path) -> None:
    from textual.events import Paste

    app, agents = played_app(tmp_path)
    lines = "\n".join(f"row {number}" for number in range(5_000))
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        app.post_message(Paste(lines))
        await stage.sees("[pasted text #1: 5000 lines]")
        await stage.press("enter")
        await stage.until(lambda: bool(agents[0].operations), "the prompt to be sent")
        assert agents[0].operations[0].model_dump()["text"] == lines


async def test_leaving_names_the_session_if_something_was_said(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        assert app.main_screen.farewell == ""
        agents[0].events.play(UserMessage(content="hi"))
        await stage.sees("you")
        await stage.press("ctrl+d")
        await stage.until(lambda: not app.is_running, "the app to end")
    assert app.farewell.startswith("session 5e551017")


async def test_a_new_conversation_has_no_farewell(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        agents[0].events.play(UserMessage(content="hi"), NewComplete(previous_session_id="x"))
        await stage.sees("Ask for machine-learning work")
        assert app.main_screen.farewell == ""
