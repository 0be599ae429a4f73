from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from textual.events import Key, Paste

from ml_intern.core.file_index import best_files, list_files, matching_files
from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.tui.stage import Stage, on_stage, real_app

GREETING = "Ask for machine-learning work"


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def prompt_text(stage: Stage) -> str:
    return stage.app.main_screen._composer.prompt.text


async def test_what_is_typed_does_not_wait_for_the_next_beat_of_the_screen(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            app, delays = stage.app, []
            for _ in range(20):
                app.painted.clear()
                app.main_screen.query_one("#transcript").refresh()
                await app.painted.wait()
                app.painted.clear()
                began = time.monotonic()
                app.post_message(Key("x", "x"))
                await app.painted.wait()
                delays.append(time.monotonic() - began)
            assert sorted(delays)[5] < 0.012, "else it takes 17 to 33 ms"


# ------------------------------------------------------------------------------------------------------- files


def test_a_repository_tells_which_files_are_ignored(tmp_path: Path) -> None:
    put(tmp_path, "train.py", "data/big.bin", "src/model.py", "notes/private.txt")
    (tmp_path / ".gitignore").write_text("data/\n")
    (tmp_path / ".ignore").write_text("notes/\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert list_files(tmp_path) == [".gitignore", ".ignore", "src/", "train.py", "src/model.py"]


def test_elsewhere_hidden_files_environments_and_caches_are_left_out(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.py",
        ".secret",
        "node_modules/x.js",
        "mine/pyvenv.cfg",
        "mine/lib.py",
        "b/__pycache__/c.pyc",
        "b/c.py",
    )
    assert list_files(tmp_path) == ["a.py", "b/", "b/c.py"]


def test_names_rank_before_parts_of_paths_and_scattered_letters() -> None:
    paths = ["train/other.txt", "t/r/a/i/n.txt", "src/pretrain.py", "src/train.py", "README.md"]
    found = matching_files("train", paths)
    assert best_files("train", found, 3) == ["src/train.py", "train/other.txt", "src/pretrain.py"]
    assert "t/r/a/i/n.txt" in found
    assert "README.md" not in found
    assert matching_files("RDM", paths) == ["README.md"]


async def test_a_file_is_offered_after_an_at_sign_and_put_in_as_a_path(tmp_path: Path) -> None:
    put(tmp_path / "work", "src/train_model.py", "src/other.py", "my notes.txt")
    with ScriptedLLM(text("read")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("look at @trmod")
            await stage.sees("▸ src/train_model.py")
            assert "other.py" not in stage.screen
            await stage.press("enter")
            await stage.until(lambda: prompt_text(stage) == "look at @src/train_model.py ", "the path")
            await stage.type("@notes")
            await stage.sees("▸ my notes.txt")
            await stage.press("tab")
            await stage.until(lambda: prompt_text(stage).endswith('@"my notes.txt" '), "the quoted path")
            await stage.press("enter")
            await stage.sees("read", "+ src/train_model.py · 1 line", "+ my notes.txt · 1 line")
            said, attached = server.requests[0].messages[-2:]
            assert said["content"] == 'look at @src/train_model.py @"my notes.txt"'
            assert '<attached_file path="src/train_model.py">' in str(attached["content"])


async def test_tab_goes_into_a_folder_and_enter_takes_it(tmp_path: Path) -> None:
    put(tmp_path / "work", "my data/deep/one.csv", "my data/two.csv")
    with ScriptedLLM(text("seen")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("@mydat")
            await stage.sees("▸ my data/")
            await stage.press("tab")
            await stage.sees('› @"my data/', "my data/two.csv")
            await stage.type("deep")
            await stage.sees("▸ my data/deep/")
            await stage.press("enter")
            await stage.until(lambda: prompt_text(stage) == '@"my data/deep/" ', "the folder")


async def test_a_file_that_is_typed_in_full_is_sent_at_once(tmp_path: Path) -> None:
    put(tmp_path / "work", "a.py")
    with ScriptedLLM(text("seen")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("@a.py")
            await stage.sees("▸ a.py")
            await stage.press("enter")
            await stage.sees("seen", "+ a.py · 1 line")


async def test_what_the_index_leaves_out_is_found_folder_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path, "work/a.py", "work/.hidden/inner.txt", "beside/plot one.csv", "beside/other.csv")
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("@../beside/pl1")
            assert "beside/" not in stage.screen.replace("@../beside", "")
            await stage.press("backspace")
            await stage.sees("▸ ../beside/plot one.csv")
            assert "other.csv" not in stage.screen
            await stage.press("tab", "ctrl+u")
            await stage.type("@.hidden/")
            await stage.sees("▸ .hidden/inner.txt")
            await stage.press("ctrl+u")
            await stage.type("@~/")
            await stage.sees("▸ ~/beside/")


async def test_a_hundred_thousand_files_do_not_hold_up_keys(tmp_path: Path) -> None:
    with ScriptedLLM(text("fine")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            finder = stage.app.main_screen._composer._files
            finder._paths = [f"package_{n % 300}/module_{n}.py" for n in range(100_000)]
            finder._indexed_root, finder._indexed_at = finder.root, time.monotonic()
            await stage.type("@module_99999")
            await stage.sees("▸ package_99/module_99999.py")


# ------------------------------------------------------------------------------------------ history and editor


async def test_earlier_prompts_are_searched_while_typing(tmp_path: Path) -> None:
    with ScriptedLLM(text("first"), text("second")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("train a small model")
            await stage.sees("first", "done")
            await stage.enter("list the data sets")
            await stage.sees("second")
            await stage.press("ctrl+r")
            await stage.sees("earlier prompts")
            await stage.type("small")
            await stage.press("enter")
            await stage.until(lambda: prompt_text(stage) == "train a small model", "the earlier prompt")


async def test_without_earlier_prompts_the_search_says_so(tmp_path: Path) -> None:
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("ctrl+r")
            await stage.sees("no earlier prompts")


async def test_without_an_editor_the_person_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("kept")
            await stage.press("ctrl+g")
            await stage.sees("Set EDITOR")
            assert prompt_text(stage) == "kept"


# ------------------------------------------------------------------------------------------------------ pastes


async def test_a_large_paste_is_one_line_in_the_prompt_and_is_sent_whole(tmp_path: Path) -> None:
    pasted = "\n".join(f"line {n}" for n in range(214))
    with ScriptedLLM(text("thanks")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("explain ")
            stage.app.post_message(Paste(pasted))
            await stage.sees("explain [pasted text #1: 214 lines]")
            await stage.press("enter")
            await stage.sees("thanks")
            assert server.requests[0].messages[-1]["content"] == f"explain {pasted}"


async def test_a_small_paste_stays_as_it_is(tmp_path: Path) -> None:
    with ScriptedLLM(text("ok")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            stage.app.post_message(Paste("one\ntwo"))
            await stage.until(lambda: prompt_text(stage) == "one\ntwo", "the paste")


async def test_the_sign_of_a_large_paste_goes_as_a_whole_and_comes_back_as_a_whole(tmp_path: Path) -> None:
    pasted = "\n".join(f"line {n}" for n in range(20))
    with ScriptedLLM(text("ok")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("see ")
            stage.app.post_message(Paste(pasted))
            await stage.sees("see [pasted text #1: 20 lines]")
            await stage.press("backspace")
            assert prompt_text(stage) == "see "
            await stage.press("ctrl+z")
            await stage.press("home", "right", "right", "right", "right", "delete")
            assert prompt_text(stage) == "see "
            await stage.press("ctrl+z", "enter")
            await stage.sees("ok", "done")
            assert server.requests[0].messages[-1]["content"] == f"see {pasted}"


async def test_what_is_pasted_while_another_part_has_the_focus_goes_to_the_prompt(tmp_path: Path) -> None:
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("alt+2", "tab")
            assert stage.app.focused is not stage.app.main_screen._composer.prompt
            stage.app.post_message(Paste("a path"))
            await stage.until(lambda: prompt_text(stage) == "a path", "the paste")
            await stage.type(" and more")
            assert prompt_text(stage) == "a path and more"


# ----------------------------------------------------------------------------------------------------- editing


async def test_a_backslash_before_enter_begins_a_new_line(tmp_path: Path) -> None:
    with ScriptedLLM(text("ok")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("one\\")
            await stage.press("enter")
            await stage.type("two")
            await stage.press("shift+enter")
            await stage.type("three")
            await stage.press("ctrl+j")
            assert prompt_text(stage) == "one\ntwo\nthree\n"
            await stage.type("C:\\\\")
            await stage.press("enter")
            await stage.sees("ok")
            assert server.requests[0].messages[-1]["content"] == "one\ntwo\nthree\nC:\\\\"


async def test_a_command_keeps_the_backslash_of_its_lines(tmp_path: Path) -> None:
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("!echo o\\")
            await stage.enter("ne")
            await stage.sees("one", "exit code 0")


async def test_what_replaced_the_text_can_be_undone(tmp_path: Path) -> None:
    with ScriptedLLM(text("first")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("earlier")
            await stage.sees("first", "done")
            await stage.type("half a thought")
            await stage.press("up")
            assert prompt_text(stage) == "earlier"
            await stage.press("ctrl+z")
            assert prompt_text(stage) == "half a thought"
            await stage.press("ctrl+y")
            assert prompt_text(stage) == "earlier"


# --------------------------------------------------------------------------------------------- commands of one's own


async def test_a_command_of_ones_own_is_shown_and_its_output_goes_with_the_next_prompt(tmp_path: Path) -> None:
    with ScriptedLLM(text("I see")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("!echo a$((40+2))b; exit 3")
            await stage.sees("a42b", "exit code 3", "attached", "exit 3 · 1 line")
            assert server.requests == []
            await stage.enter("what is this")
            await stage.sees("I see")
            said, attached = (str(message["content"]) for message in server.requests[0].messages[-2:])
            assert said == "what is this"
            assert '<command_output command="echo a$((40+2))b; exit 3" exit_code="3">\na42b\n' in attached
            assert attached.endswith("\n</command_output>")
            assert "attached" not in stage.screen
            assert "+ ! echo a$((40+2))b; exit 3 · exit 3 · 1 line" in stage.screen


async def test_an_attached_output_can_be_removed(tmp_path: Path) -> None:
    with ScriptedLLM(text("fine")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("!echo secret")
            await stage.sees("attached")
            await stage.press("backspace")
            await stage.sees_no_more("attached")
            await stage.enter("hello")
            await stage.sees("fine")
            assert server.requests[0].messages[-1]["content"] == "hello"


async def test_escape_stops_a_command_of_ones_own_and_all_it_started(tmp_path: Path) -> None:
    with ScriptedLLM(text("unused")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("!sleep 60 & echo pid $! > pid; echo begun; wait")
            await stage.sees("begun", "esc stops it")
            await stage.press("escape")
            await stage.sees("stopped")
            pid = (tmp_path / "work" / "pid").read_text().split()[1]
            stat = Path(f"/proc/{pid}/stat")
            await stage.until(lambda: not stat.exists() or " Z " in stat.read_text(), "the child to end")
