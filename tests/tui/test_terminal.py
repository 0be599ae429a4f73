from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.support.program import Program

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """The program in a terminal of 80 by 24, and what that terminal shows."""

    def __init__(self, program: Program, *arguments: str) -> None:
        command, *rest = program.command(*arguments)
        env = {**program.env, "TERM": "xterm-256color"}
        self.process = pexpect.spawn(command, rest, env=env, cwd=program.workdir, dimensions=(24, 80), encoding="utf-8")
        self.written = ""
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.Stream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self._screen.display)

    def sees(self, *texts: str, timeout: float = 15.0) -> None:
        self.until(lambda: all(text in self.text for text in texts), f"{texts} to show", timeout)

    def until(self, holds: Callable[[], bool], what: str, timeout: float = 15.0) -> None:
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for {what}; the screen:\n{self.text}"
            self.read(0.05)

    def read(self, timeout: float) -> bool:
        """Takes in what was painted. False at the end."""
        try:
            text = self.process.read_nonblocking(65_536, timeout)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.written += text
        # pyte does not know private parameters of these two, which carry no text.
        self._stream.feed(re.sub(r"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?\d+\$p", "", text))
        return True

    def ended(self) -> int | None:
        """Waits for the end of the program and gives its exit code."""
        deadline = time.monotonic() + 10
        while self.read(0.05):
            assert time.monotonic() < deadline, f"it did not end; the screen:\n{self.text}"
        self.process.wait()
        code: int | None = self.process.exitstatus
        return code

    def is_restored(self) -> bool:
        left = self.written.rfind(LEAVE_SCREEN) > self.written.rfind(ENTER_SCREEN)
        cursor = self.written.rfind("\x1b[?25h") > self.written.rfind("\x1b[?25l")
        mouse = self.written.rfind("\x1b[?1003l") >= self.written.rfind("\x1b[?1003h")
        return left and cursor and mouse


@contextmanager
def opened(directory: Path, *arguments: str) -> Iterator[Terminal]:
    terminal = Terminal(Program(directory), *arguments)
    try:
        yield terminal
    finally:
        terminal.process.close(force=True)


def test_keys_typed_during_the_start_reach_the_prompt(tmp_path: Path) -> None:
    with opened(tmp_path, "--demo") as terminal:
        terminal.sees("starting")
        terminal.process.send("early")
        terminal.sees("› early", "demo/first-run")
        assert terminal.text.count("early") == 1  # in the prompt, and not echoed by the terminal beside it
        terminal.process.send("\x03\x03")
        assert terminal.ended() == 0
        assert terminal.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_app_politely(tmp_path: Path, number: signal.Signals) -> None:
    with opened(tmp_path, "--demo") as terminal:
        terminal.sees("demo/first-run")
        terminal.process.kill(number)
        assert terminal.ended() == 130
        assert terminal.is_restored()


def test_a_signal_during_the_start_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path, "--demo") as terminal:
        terminal.until(lambda: ENTER_SCREEN in terminal.written, "the first frame")
        terminal.process.kill(signal.SIGTERM)
        assert terminal.ended() == 130
        assert terminal.is_restored()


def test_a_broken_configuration_is_one_line_in_the_terminal(tmp_path: Path) -> None:
    program = Program(tmp_path)
    broken = program.home / "broken.json"
    broken.write_text('{"mode": ')
    program.env["ML_INTERN_CLI_CONFIG"] = str(broken)
    terminal = Terminal(program)
    assert terminal.ended() == 2
    assert terminal.is_restored()
    last = terminal.written.rpartition(LEAVE_SCREEN)[2]
    assert "broken.json is not valid JSON" in last
    assert "Traceback" not in terminal.written
