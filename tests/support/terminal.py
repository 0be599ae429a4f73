"""The program in a terminal, as a person has it: a pseudo-terminal, and what that terminal would show."""

from __future__ import annotations

import re
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pexpect
import pyte

from tests.support.program import Program

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
# Private parameters that the emulator does not know, on sequences that carry no text.
_UNKNOWN = re.compile(r"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?\d+\$p")


class Terminal:
    """A running program and what it has painted.

    Args:
        program: Where it runs.
        command: The command line.
        size: Columns and lines.
    """

    def __init__(self, program: Program, command: Sequence[str], size: tuple[int, int] = (80, 24)) -> None:
        columns, lines = size
        name, *rest = command
        env = {**program.env, "TERM": "xterm-256color"}
        self.process = pexpect.spawn(
            name, rest, env=env, cwd=program.workdir, dimensions=(lines, columns), encoding="utf-8"
        )
        self.written = ""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self._screen)

    @property
    def text(self) -> str:
        """The screen, one line per row."""
        return "\n".join(row.rstrip() for row in self._screen.display)

    def cells(self, line: int) -> list[tuple[str, ...]]:
        """A line as it looks: each cell with its character and its colours; a negative one counts from the end."""
        row = self._screen.buffer[line % self._screen.lines]
        cells = (row[column] for column in range(self._screen.columns))
        return [(cell.data, cell.bg, "" if cell.data == " " else f"{cell.fg} {cell.bold}") for cell in cells]

    def send(self, keys: str) -> None:
        """Types."""
        self.process.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size; the program is told."""
        self._screen.resize(lines, columns)
        self.process.setwinsize(lines, columns)

    def sees(self, *texts: str, timeout: float = 15.0) -> None:
        """Waits until all these texts are on the screen."""
        self.until(lambda: all(text in self.text for text in texts), f"{texts} to show", timeout)

    def until(self, holds: Callable[[], bool], what: str, timeout: float = 15.0) -> None:
        """Waits until something holds, which is asked after everything that was painted."""
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
        self._stream.feed(_UNKNOWN.sub("", text))
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
        """Whether the terminal is as a shell needs it: usual screen, cursor, no mouse or paste reports, echo, lines."""
        left = self.written.rfind(LEAVE_SCREEN) > self.written.rfind(ENTER_SCREEN)
        cursor = self.written.rfind("\x1b[?25h") > self.written.rfind("\x1b[?25l")
        reports = all(
            self.written.rfind(f"\x1b[?{mode}l") >= self.written.rfind(f"\x1b[?{mode}h")
            for mode in (1000, 1003, 1006, 2004)
        )
        attributes = termios.tcgetattr(self.process.child_fd)
        lines = bool(attributes[0] & termios.ICRNL) and attributes[3] & termios.ICANON and attributes[3] & termios.ECHO
        return left and cursor and reports and bool(lines)


@contextmanager
def opened(program: Program, command: Sequence[str], size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    """Starts a program in a terminal; it is killed at the end if it still runs."""
    terminal = Terminal(program, command, size)
    try:
        yield terminal
    finally:
        terminal.process.close(force=True)
