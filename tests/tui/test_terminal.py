from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ml_intern.tui.background import ASK
from tests.support.program import Program
from tests.support.terminal import ENTER_SCREEN, LEAVE_SCREEN, Terminal, opened


def test_the_theme_follows_a_light_terminal_and_its_keys_are_read_as_they_are_meant(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo", "--theme", "auto")) as terminal:
        terminal.until(lambda: ASK in terminal.written, "the question for the background")
        terminal.process.send("ear\x1b]11;rgb:fafa/f9f9/f6f6\x1b\\ly\x1b[?1;2c")
        terminal.sees("› early", "demo/first-run")
        assert "48;5;231" in terminal.written  # nearly white, the ground of the light theme
        terminal.process.send("\x1b\rand late\x1b5")  # how terminals send Alt+Enter and Alt+5
        terminal.sees("looked into nothing yet", "› early\n   and late")
        terminal.process.send("\x03\x03")
        assert terminal.ended() == 0
        assert terminal.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_app_politely(tmp_path: Path, number: signal.Signals) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo")) as terminal:
        terminal.sees("demo/first-run")
        terminal.process.kill(number)
        assert terminal.ended() == 130
        assert terminal.is_restored()


def test_a_signal_during_the_start_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo")) as terminal:
        terminal.until(lambda: ENTER_SCREEN in terminal.written, "the first frame")
        terminal.process.kill(signal.SIGTERM)
        assert terminal.ended() == 130
        assert terminal.is_restored()


def test_a_broken_configuration_is_one_line_in_the_terminal(tmp_path: Path) -> None:
    program = Program(tmp_path)
    broken = program.home / "broken.json"
    broken.write_text('{"mode": ')
    program.env["ML_INTERN_CLI_CONFIG"] = str(broken)
    with opened(program, program.command()) as terminal:
        assert terminal.ended() == 2
        assert terminal.is_restored()
        last = terminal.written.rpartition(LEAVE_SCREEN)[2]
        assert "broken.json is not valid JSON" in last
        assert "Traceback" not in terminal.written


def test_a_terminal_that_vanishes_during_a_turn_ends_the_app(tmp_path: Path) -> None:
    program = Program(tmp_path)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        program.command("--demo"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**program.env, "TERM": "xterm-256color"},
        cwd=program.workdir,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        painted = b""
        while b"demo/first-run" not in painted:
            painted += os.read(ours, 65_536)
        os.write(ours, b"\r")
        while b"working" not in painted:
            painted += os.read(ours, 65_536)
        os.close(ours)
        assert process.wait(timeout=60) != 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _pid_of_app(terminal: Terminal) -> int:
    guard = terminal.process.pid
    return int(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()[0])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the app below its guard in /proc")
def test_the_terminal_is_given_back_when_the_app_is_killed(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo")) as terminal:
        terminal.sees("demo/first-run")
        os.kill(_pid_of_app(terminal), signal.SIGKILL)
        assert terminal.ended() == 128 + signal.SIGKILL
        assert terminal.is_restored()
        assert "`ml-intern --continue` goes on with it" in terminal.written.rpartition(LEAVE_SCREEN)[2]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the app below its guard in /proc")
def test_suspending_the_app_suspends_what_the_shell_has_started(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo")) as terminal:
        terminal.sees("demo/first-run")
        os.kill(_pid_of_app(terminal), signal.SIGTSTP)
        terminal.until(lambda: _state(terminal.process.pid) == "T", "the guard to stop")
        terminal.until(terminal.is_restored, "the terminal to be as the shell needs it")
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.until(lambda: not terminal.is_restored(), "the app to come back")
        terminal.send("still here")
        terminal.sees("› still here")
        terminal.send("\x03\x03")
        assert terminal.ended() == 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, program.command("--demo")) as terminal:
        terminal.sees("demo/first-run")
        os.write(terminal.process.child_fd, b"\x1b[M \xff\xfe")  # a mouse report of the oldest kind, far to the right
        terminal.sees("demo/first-run")
        terminal.send("typed")
        terminal.sees("› typed")
        terminal.send("\x03\x03")
        assert terminal.ended() == 0


HANGS = """
import sys
from ml_intern.options import Options
from ml_intern.tui.app import MLInternApp
from ml_intern.tui.early.guard import guarded

class Hanging(MLInternApp):
    def action_help(self):
        while True:
            pass

def run():
    app = Hanging(Options(demo=True))
    app.run()
    return app.return_code or 0

sys.exit(guarded(run))
"""


def test_ctrl_c_twice_leaves_an_app_that_hangs(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with opened(program, [sys.executable, "-c", HANGS]) as terminal:
        terminal.sees("demo/first-run")
        terminal.send("\x1bOP")  # F1
        stacks = program.home / "logs" / "stalls.log"
        terminal.until(lambda: stacks.is_file() and "action_help" in stacks.read_text(), "the stacks of the stall")
        terminal.send("\x03\x03")
        assert terminal.ended() == 128 + signal.SIGKILL
        assert terminal.is_restored()
