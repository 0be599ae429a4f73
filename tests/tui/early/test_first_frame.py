from __future__ import annotations

import itertools
import os
import sys
from functools import partial
from pathlib import Path

import pexpect
import pytest

from tests.support.program import Program
from tests.support.terminal import Terminal, opened

APP, READY = "1 chat", "ctx"
"""What only the app paints, and what it paints when the agent is there."""
SIZE = (60, 20)
TRUE = {"COLORTERM": "truecolor"}


def started(terminal: Terminal) -> None:
    terminal.until(lambda: "›" in terminal.text, "the first frame")


def prompt(terminal: Terminal) -> str:
    return terminal.text.splitlines()[-2].removeprefix(" ›").strip()


def shows(terminal: Terminal, text: str) -> bool:
    return prompt(terminal).replace(" ", "") == text  # the emulator has a space behind a wide character


@pytest.mark.parametrize(
    ("env", "flags", "typed", "shown", "rows"),
    [
        (TRUE, (), f"fix 日本 é\x7fe, {'and more than fits ' * 4}here", "here", 2),
        (TRUE, ("--theme", "ml-intern-light"), "\x1b[200~one\rtwo\x1b[201~\nthree four\x17", "three", 3),
        ({}, (), "the first\rthe second", "second", 1),
        (TRUE, ("--theme", "ml-intern-contrast"), "high", "high", 1),
        (TRUE, ("--theme", "ml-intern-contrast-light"), "high", "high", 1),
        (TRUE, ("--theme", "ml-intern-ansi"), "the first\rplain", "plain", 1),
        ({"NO_COLOR": "1"}, (), "the first\rplain", "plain", 1),
    ],
    ids=["dark", "light", "256 colours", "contrast", "contrast-light", "the terminal's colours", "no colours"],
)
def test_the_apps_first_frame_shows_the_prompt_as_it_was(
    tmp_path: Path, env: dict[str, str], flags: tuple[str, ...], typed: str, shown: str, rows: int
) -> None:
    program = Program(tmp_path, **env)
    with opened(program, program.command(*flags), SIZE) as terminal:
        started(terminal)
        terminal.send(typed)
        terminal.until(lambda: shown in terminal.text and " four" not in terminal.text, "what was typed")
        assert APP not in terminal.text
        lines = [-2 - number for number in range(rows)]
        early, differing = [terminal.cells(line) for line in lines], []

        def painted() -> bool:
            if [terminal.cells(line) for line in lines] != early:
                differing.append(terminal.text)
            return APP in terminal.text

        terminal.until(painted, "the app")
        assert differing == []
        assert ("queued  the first" in terminal.text) == ("the first" in typed)


def test_whatever_is_typed_at_any_moment_of_the_start_is_there_at_once_and_stays(tmp_path: Path) -> None:
    program = Program(tmp_path, **TRUE)
    with opened(program, program.command("--demo"), (250, 20)) as terminal:
        started(terminal)
        gone = ("x\x7f", "\x1b[I", "日\x7f", "\x1b[200~y\x1b[201~\x7f")
        keys = itertools.cycle(("a", *gone, "日", *gone, "bc", *gone, "\x1b[200~paste\x1b[201~", *gone, "é"))
        meant = {"\x1b[200~paste\x1b[201~": "paste", **dict.fromkeys(gone, "")}
        typed, shown, shrunk = "", "", []
        while READY not in terminal.text and len(typed) < 200:
            key = next(keys)
            for byte in key.encode():
                os.write(terminal.process.child_fd, bytes([byte]))
            typed += meant.get(key, key)
            terminal.until(partial(shows, terminal, typed), typed)
            if not prompt(terminal).startswith(shown[:-1]):
                shrunk.append(prompt(terminal))
            shown = prompt(terminal)
        terminal.sees(READY)
        assert shrunk == []
        assert shows(terminal, typed)
        assert len(typed) > 8
        terminal.send("\x03\x03")
        assert terminal.ended() == 0
        assert terminal.is_restored()


def test_keys_that_only_the_app_knows_wait_for_it(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo"), SIZE) as terminal:
        started(terminal)
        terminal.send("ac\x1b[Db")
        terminal.until(lambda: prompt(terminal) == "ac", "the simple keys")
        assert APP not in terminal.text
        terminal.sees("› abc", READY)


def test_the_first_frame_follows_the_size_of_the_terminal(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo"), SIZE) as terminal:
        started(terminal)
        terminal.send("early")
        terminal.sees("› early")
        terminal.resize(40, 10)
        terminal.until(lambda: prompt(terminal) == "early", "the prompt in its new place")
        assert APP not in terminal.text
        terminal.sees("› early", READY)


@pytest.mark.parametrize(("keys", "code"), [("ab\x15\x04", 0), ("ab\x03", 130)])
def test_the_keys_that_leave_do_so_before_the_app_is_up(tmp_path: Path, keys: str, code: int) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo"), SIZE) as terminal:
        started(terminal)
        terminal.send(keys)
        assert terminal.ended() == code
        assert APP not in terminal.written
        assert terminal.is_restored()


def test_an_app_that_cannot_be_imported_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "broken" / "textual").mkdir(parents=True)
    (tmp_path / "broken" / "textual" / "__init__.py").write_text("import time\ntime.sleep(0.2)\nraise OSError('cut')\n")
    program = Program(tmp_path, PYTHONPATH=str(tmp_path / "broken"))
    with opened(program, program.command("--demo"), SIZE) as terminal:
        started(terminal)
        terminal.send("lost")
        assert terminal.ended() == 1
        assert "it broke (OSError: cut)" in terminal.text
        assert terminal.is_restored()


def test_a_page_in_a_browser_gets_no_first_frame(tmp_path: Path) -> None:
    code = "from ml_intern.tui.early.frame import FirstFrame; frame = FirstFrame(); frame.show(); frame.close()"
    for driver, painted in ((None, True), ("textual.drivers.web_driver:WebDriver", False)):
        env = {**os.environ, **({"TEXTUAL_DRIVER": driver} if driver else {})}
        shown = pexpect.run(f'{sys.executable} -c "{code}"', env=env)
        assert bool(shown) is painted
