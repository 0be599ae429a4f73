from __future__ import annotations

import base64
from pathlib import Path

import pytest
from textual.events import Paste

from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.support.pictures import png
from tests.tui.stage import Stage, on_stage, real_app

GREETING = "Ask for machine-learning work"


def prompt_text(stage: Stage) -> str:
    return stage.app.main_screen._composer.prompt.text


def shown_images(server: ScriptedLLM, request: int = 0) -> list[bytes]:
    urls = [
        part["image_url"]["url"]
        for message in server.requests[request].messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    return [base64.b64decode(url.split(",", 1)[1]) for url in urls]


def program(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


# ------------------------------------------------------------------------------------------------ dropped files


@pytest.mark.parametrize("how", ["as it is", "quoted", "escaped", "address"])
async def test_an_image_that_is_dropped_is_attached_and_sent(tmp_path: Path, how: str) -> None:
    image = tmp_path / "my plot.png"
    image.write_bytes(png(64, 48))
    dropped = {
        "as it is": f"{image}",
        "quoted": f"'{image}' ",
        "escaped": str(image).replace(" ", "\\ "),
        "address": image.as_uri() + "\n",
    }[how]
    with ScriptedLLM(text("a plot")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(dropped))
            await stage.type("what is this")
            await stage.sees("image  my plot.png  64×48 · ", "⌫ remove", "› what is this")
            await stage.press("enter")
            await stage.sees("a plot", "+ image my plot.png 64×48 · ")
            assert "⌫ remove" not in stage.screen
            assert shown_images(server) == [image.read_bytes()]


async def test_several_images_go_at_once_and_without_words(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.png" for name in "ab"]
    for grey, path in enumerate(paths):
        path.write_bytes(png(grey=grey))
    with ScriptedLLM(text("two plots")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(" ".join(map(str, paths))))
            await stage.sees("a.png", "b.png")
            stage.app.post_message(Paste(str(paths[0])))
            await stage.press("enter")
            await stage.sees("two plots", "+ image a.png", "+ image b.png")
            assert shown_images(server) == [path.read_bytes() for path in paths]


@pytest.mark.parametrize(
    "pasted",
    [
        "plot.png",
        "see {tmp}/plot.png",
        "{tmp}/plot.png\nand {tmp}/plot.png",
        "{tmp}/none.png",
        "{tmp}/text.png",
        "~nobody-of-that-name/plot.png",
        "file://[/plot.png",
        "{tmp}/" + "x" * 300 + ".png",
    ],
)
async def test_a_paste_that_only_speaks_of_an_image_stays_text(tmp_path: Path, pasted: str) -> None:
    (tmp_path / "plot.png").write_bytes(png())
    (tmp_path / "text.png").write_text("no image")
    said = pasted.format(tmp=tmp_path)
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(said))
            await stage.until(lambda: prompt_text(stage) == said, "the text")
            assert "remove" not in stage.screen


async def test_a_name_is_shown_as_text_whatever_it_holds(tmp_path: Path) -> None:
    name = "[red]x [@click=quit]👍🏽日本語 " + "w" * 90 + ".png"
    (tmp_path / name).write_bytes(png())
    with ScriptedLLM(text("fine")) as server:
        async with on_stage(real_app(server, tmp_path), (60, 20)) as stage:
            await stage.sees("vllm/scripted")
            stage.app.post_message(Paste(str(tmp_path / name)))
            await stage.sees("image  [red]x [@click=quit]👍🏽日本語", "⌫ remove")
            await stage.press("enter")
            await stage.sees("fine", "+ image [red]x [@click=quit]👍🏽日本語")
            assert stage.row("+ image").endswith("…")


async def test_an_attachment_is_removed_by_its_key_and_by_a_click(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(png(grey=ord(name)))
    with ScriptedLLM(text("fine")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            for name in "abc":
                stage.app.post_message(Paste(str(tmp_path / f"{name}.png")))
                await stage.sees(f"{name}.png")
            await stage.type("x")
            await stage.press("home", "backspace")
            await stage.sees_no_more("c.png")
            await stage.pilot.click("#attached", offset=(4, 0))
            await stage.sees_no_more("a.png")
            assert "b.png" in stage.screen
            await stage.press("backspace")
            await stage.sees_no_more("b.png")
            await stage.press("enter")
            await stage.sees("fine")
            assert server.requests[0].messages[-1]["content"] == "x"


async def test_an_image_that_is_too_large_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(png(padding=4_000_000))
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(str(tmp_path / "big.png")))
            await stage.sees("big.png is too large: 4.0 MB", "Make it smaller", f"› {tmp_path}/big.png")


async def test_a_model_that_takes_no_images_is_named_beside_them(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/plot.png").write_bytes(png())
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path, model_name="openai/gpt-3.5-turbo")) as stage:
            await stage.sees(GREETING, "gpt-3.5-turbo")
            await stage.enter("/attach plot.png")
            await stage.sees("plot.png", "openai/gpt-3.5-turbo takes no images")
            await stage.resize(60, 20)
            await stage.sees("plot.png", "not shown to this model")


# ------------------------------------------------------------------------------------------ commands and clipboard


async def test_attach_takes_images_and_mentions_other_files(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/my plot.png").write_bytes(png())
    (tmp_path / "work/my notes.txt").write_text("hello")
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("/attach 'my plot.png'")
            await stage.sees("image  my plot.png  8×6")
            await stage.enter("/attach my notes.txt")
            await stage.until(lambda: prompt_text(stage) == '@"my notes.txt" ', "the mention")
            await stage.press("ctrl+u")
            await stage.enter("/attach none.png")
            await stage.sees("none.png: there is no such file.", "› /attach none.png")


async def test_a_command_leaves_what_is_attached(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(png())
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(str(tmp_path / "plot.png")))
            await stage.sees("plot.png")
            await stage.enter("/status")
            await stage.sees("context", "plot.png")


CLIPBOARDS = {
    "wayland": (
        {"WAYLAND_DISPLAY": "wayland-0"},
        "wl-paste",
        'case "$*" in *list*) echo text/html; echo image/png;; *image/png*) cat "$HERE/shot";; esac',
    ),
    "x11": (
        {"DISPLAY": ":0"},
        "xclip",
        'case "$*" in *TARGETS*) echo image/png;; *image/png*) cat "$HERE/shot";; esac',
    ),
    "pngpaste": ({}, "pngpaste", 'cat "$HERE/shot"'),
    "macos": ({}, "osascript", 'printf "«data PNGf"; od -An -v -tx1 "$HERE/shot" | tr -d " \\n"; echo "»"'),
}


@pytest.mark.parametrize("desktop", CLIPBOARDS)
async def test_the_image_on_the_clipboard_is_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desktop: str
) -> None:
    env, name, script = CLIPBOARDS[desktop]
    (tmp_path / "shot").write_bytes(png(20, 10))
    program(tmp_path / "bin", name, script)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    for key, value in {**env, "HERE": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}.items():
        monkeypatch.setenv(key, value)
    with ScriptedLLM(text("a screenshot")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("look: ")
            await stage.press("ctrl+v")
            await stage.sees("image  clipboard-1.png  20×10 · ", "› look:")
            await stage.press("enter")
            await stage.sees("a screenshot", "+ image clipboard-1.png 20×10")
            assert shown_images(server) == [png(20, 10)]


async def test_without_an_image_on_the_clipboard_what_the_app_copied_is_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "wl-paste", "exit 1")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("ctrl+v")
            await stage.sees("There is no image on the clipboard.")
            stage.app.copy_to_clipboard("copied here")
            await stage.press("ctrl+v")
            await stage.until(lambda: prompt_text(stage) == "copied here", "the text")


async def test_where_nothing_can_read_the_clipboard_the_person_is_told_what_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("/attach")
            await stage.sees("read with wl-paste", "wl-clipboard")
            monkeypatch.delenv("WAYLAND_DISPLAY")
            await stage.enter("/attach")
            await stage.sees("There is no clipboard with")


# ---------------------------------------------------------------------------------------------------- afterwards


async def test_what_is_taken_back_comes_back_with_its_images(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(png(30, 20))
    with ScriptedLLM(text("a plot"), text("again a plot")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(str(tmp_path / "plot.png")))
            await stage.enter("what is this")
            await stage.sees("a plot", "done")
            (tmp_path / "plot.png").unlink()
            await stage.enter("/undo")
            await stage.sees("image  plot.png  30×20 · ", "› what is this")
            await stage.press("enter")
            await stage.sees("again a plot")
            assert shown_images(server, 1) == [png(30, 20)]


async def test_an_earlier_prompt_that_is_sent_anew_keeps_its_images_and_gives_back_what_was_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "plot.png").write_bytes(png(30, 20))
    (tmp_path / "other.png").write_bytes(png(9, 9))
    with ScriptedLLM(text("a plot"), text("a finer plot")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste(str(tmp_path / "plot.png")))
            await stage.enter("what is this")
            await stage.sees("a plot", "done")
            stage.app.post_message(Paste(str(tmp_path / "other.png")))
            await stage.type("draft")
            await stage.sees("other.png")
            await stage.press("tab", "e")
            await stage.sees("an earlier prompt", "image  plot.png  30×20", "› what is this")
            assert "other.png" not in stage.screen
            await stage.press("escape")
            await stage.sees("image  other.png", "› draft")
            await stage.press("tab", "e")
            await stage.sees("image  plot.png")
            await stage.enter(" again")
            await stage.sees("a finer plot", "what is this again", "+ image plot.png")
            assert shown_images(server, 1) == [png(30, 20)]
            assert "what is this again" in str(server.requests[1].messages[1]["content"])
