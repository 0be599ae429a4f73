from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_intern.tui.modals.pick import Choice, Pick, fitting
from ml_intern.tui.screens.pickers import effort_picker
from ml_intern.tui.state import SessionState
from tests.support.llm_server import ScriptedLLM, text
from tests.tui.playback import played_app
from tests.tui.stage import on_stage, real_app

NAMES = ("anthropic/claude-opus-4-8", "openai/gpt-5.5", "moonshotai/Kimi-K2.6:novita", "vllm/qwen3")


def found(typed: str, *, letters: bool = True) -> list[str]:
    return [
        choice.value for choice in fitting([Choice(name, help="a model") for name in NAMES], typed, letters=letters)
    ]


@pytest.mark.parametrize(
    ("typed", "first"),
    [("opus", NAMES[0]), ("K2.6 model", NAMES[2]), ("gpt55", NAMES[1]), ("anopus", NAMES[0]), ("vq3", NAMES[3])],
)
def test_a_name_is_found_by_its_words_or_by_scattered_letters(typed: str, first: str) -> None:
    assert found(typed)[0] == first


def test_words_come_before_scattered_letters_and_texts_are_found_by_words_only() -> None:
    assert found("") == list(NAMES)
    assert found("zzz") == []
    assert found("oe", letters=False) == []
    near = fitting([Choice("a-b-c"), Choice("abc")], "abc")
    assert [choice.value for choice in near] == ["abc", "a-b-c"]


async def test_a_number_takes_a_row_as_long_as_nothing_is_typed(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (80, 24)) as stage:
        await stage.sees("claude-opus")
        await stage.enter("/mode")
        await stage.sees("1 guarded", "2 ask", "3 plan", "4 yolo")
        await stage.press("9")
        assert "1 guarded" in stage.screen
        await stage.press("2")
        await stage.until(lambda: bool(agents[0].operations), "the mode")
        assert agents[0].ask("set_mode").model_dump()["mode"] == "ask"
        await stage.enter("/mode")
        await stage.type("yo")
        await stage.sees_no_more("2 ask")
        await stage.press("4")
        await stage.sees("yo4")
        assert [operation.type for operation in agents[0].operations] == ["set_mode"]


@pytest.mark.parametrize("size", [(60, 20), (80, 24)])
async def test_a_long_list_leaves_room_for_its_keys_and_stays_where_it_is_while_it_is_filtered(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        await stage.press("ctrl+p")
        await stage.sees("/compact [what to keep]", "keys and command", "↵ choose", "esc leave")
        edges = [stage.screen.split("\n").index(stage.row(text)) for text in ("─ commands", "↵ choose")]
        await stage.type("qzqzqz")
        await stage.sees("Nothing fits.")
        assert [stage.screen.split("\n").index(stage.row(text)) for text in ("─ commands", "↵ choose")] == edges
        await stage.press("enter")
        assert "Nothing fits." in stage.screen
        await stage.resize(60, 14)
        await stage.sees("↵ choose")


async def test_only_what_can_be_chosen_has_a_number(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    chosen: list[str | None] = []
    rows = [Choice("a", disabled=True), *(Choice(str(number) * 2) for number in range(1, 12))]
    async with on_stage(app, (80, 24)) as stage:
        await stage.sees("claude-opus")
        app.push_screen(Pick("rows", rows), chosen.append)
        await stage.sees("1 11", "9 99", "  1010")
        await stage.press("3")
        assert chosen == ["33"]
        app.push_screen(Pick("texts", rows, names=False), chosen.append)
        await stage.sees("texts")
        await stage.press("3")
        await stage.sees("  33")
        assert "1 11" not in stage.screen


async def test_models_show_what_they_take_and_cost_and_whether_the_key_is_there(tmp_path: Path) -> None:
    facts = {"context_window": 65_536, "input_usd": 2.5, "output_usd": 10, "tools": True, "vision": True}
    suggested = [
        {"id": "openai/gpt-test", "label": "GPT Test", "key": "OPENAI_API_KEY"},
        {"id": "gemini/test", "label": "Gemini Test", "key": "GEMINI_API_KEY"},
    ]
    config = tmp_path / "home" / "config" / "models.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"suggested": suggested, "models": {"openai/gpt-test": facts}}))
    with ScriptedLLM(text("ok"), repeat_last=True) as server:
        app = real_app(server, tmp_path, env={"OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": server.url})
        async with on_stage(app, (120, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("/model")
            await stage.sees("65.5k · $2.5/$10 · tools, images", "needs GEMINI_API_KEY")
            await stage.type("gpttest")
            await stage.sees("GPT Test · OPENAI_API_KEY is there · 65.5k tokens")
            await stage.press("ctrl+u")
            await stage.type("vllm/of-my-own")
            await stage.sees("use this model id")
            await stage.press("enter")
            await stage.sees("vllm/of-my-own")


async def test_efforts_say_what_they_mean_for_the_model(tmp_path: Path) -> None:
    with ScriptedLLM(text("ok"), repeat_last=True) as server:
        async with on_stage(real_app(server, tmp_path), (100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("/effort")
            await stage.sees("5 high", "for vllm/scripted: this model takes no effort, whatever is chosen")


def test_an_effort_that_a_model_refused_says_what_it_takes_instead() -> None:
    state = SessionState(model="openai/some", effort="max")
    picker = effort_picker(state, lambda _model, level: "this model takes high instead" if level == "max" else "")
    assert [choice.help for choice in picker._choices if choice.value in {"high", "max"}] == [
        "thorough",
        "all that the model has · this model takes high instead",
    ]
    assert picker._note == "for openai/some"


async def test_without_a_prompt_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await stage.sees("claude-opus", "The agent's steps appear here.")
        await stage.enter("/rewind")
        await stage.sees("There is no prompt yet to go back to.")
        assert app.screen is app.main_screen
