"""`!command`: runs what the person typed, shows it in the chat, and offers its output to the agent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.screen import Screen

from ml_intern.services.person_shell import run_command
from ml_intern.tui.entries import Output
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.panes.chat import ChatPane, Level
from ml_intern.tui.widgets.text import clean_output

if TYPE_CHECKING:
    from textual.worker import Worker

    from ml_intern.tui.widgets.block_list import BlockId

KEPT_CHARS = 30_000
SHOWN_LINES = 20
SHOWN_CHARS = 4_000
PAINT_S = 0.1
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


class PersonShell:
    """Runs one command at a time.

    Args:
        screen: Carries the worker.
        chat: Shows the command and the end of its output.
        attach: Takes what a finished command put out.
    """

    def __init__(self, screen: Screen[None], chat: ChatPane, attach: Callable[[Output], None]) -> None:
        self._screen = screen
        self._chat = chat
        self._attach = attach
        self._worker: Worker[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a command runs."""
        return self._worker is not None and not self._worker.is_finished

    @property
    def _running(self) -> str:
        return f"running · {keymap_of(self._screen).fill('{interrupt} stops it')}"

    def start(self, command: str, workspace: Path) -> None:
        """Runs a command in the workspace."""
        row = self._chat.show_output(f"! {command}\n{self._running}")
        self._worker = self._screen.run_worker(
            self._run(command, workspace, row), name="your command", group="your command", exit_on_error=False
        )

    def stop(self) -> None:
        """Ends the command and all it started."""
        if self._worker is not None:
            self._worker.cancel()

    async def _run(self, command: str, workspace: Path, row: BlockId) -> None:
        began = time.monotonic()
        painted = 0.0
        kept = _Kept()

        def show(end: str, level: Level = "info") -> None:
            self._chat.show_output("\n".join(filter(None, (f"! {command}", kept.tail(), end))), level, row)

        def take(piece: str) -> None:
            nonlocal painted
            kept.add(piece)
            if time.monotonic() - painted >= PAINT_S:
                painted = time.monotonic()
                show(self._running)

        try:
            code = await run_command(command, workspace, take)
        except asyncio.CancelledError:
            show("stopped", "warning")
            raise
        except OSError as error:
            show(f"could not be run: {error}", "error")
            return
        show(f"exit code {code} · {time.monotonic() - began:.1f} s", "warning" if code else "info")
        self._attach(Output(command, kept.text(), code))


class _Kept:
    """The beginning and the end of an output, however long it is."""

    def __init__(self) -> None:
        self._head = self._tail = ""
        self._lost = 0

    def add(self, piece: str) -> None:
        """Takes the next piece."""
        half = KEPT_CHARS // 2
        room = half - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        self._lost += max(0, len(self._tail) - half)
        self._tail = self._tail[-half:]

    def text(self) -> str:
        """What was kept, without what steers a terminal."""
        gap = f"\n[… {self._lost} characters left out …]\n" if self._lost else ""
        return _ESCAPES.sub("", f"{self._head}{gap}{self._tail}").strip("\n")

    def tail(self) -> str:
        """The last few lines."""
        lines = clean_output((self._head + self._tail)[-SHOWN_CHARS:]).strip("\n").split("\n")
        return "\n".join(lines[-SHOWN_LINES:])
