"""The first frame: there before anything is imported, and it shows what is typed until the app is up."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event, RLock, Thread

from ml_intern.options import TYPE_CHECKING
from ml_intern.tui.early.draft import Draft
from ml_intern.tui.early.keys import EarlyKeys
from ml_intern.tui.early.look import AUTO, DEFAULT_THEME, LIGHT_THEME, RESET, Look, broken, cells
from ml_intern.tui.early.output import RESTORE_TITLE, SAVE_TITLE, Forgiving, title_sequence

if TYPE_CHECKING:
    from typing import Any

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?2004h"
LEAVE = "\x1b[?2004l\x1b[?1049l\x1b[?25h"
NAME, STARTING, MARK, QUEUED = "ml-intern", "starting …", "› ", "queued"
PROMPT_ROWS = 8
QUEUE_ROWS = 3
KEPT_BYTES = 1_000_000
"""What is typed beyond this waits in the terminal's own buffer."""
PATIENCE_S = 0.2
"""How long to wait for the terminal to say its colour beyond the import."""
JOIN_S = 1.0
"""How long the end waits for the thread, which a terminal that takes no output may hold up."""
_STOP, _REPAINT = b"s", b"r"

Write = Callable[[str], None]


class FirstFrame:
    """Paints where the prompt will be and what is typed there, until the app's own first frame takes its place.

    A thread reads the terminal and paints while the main thread imports. The app's driver takes over with `hand_over`:
    from then on it tells of keys with `press` and `paste`, until `finish` ends all painting. `close` gives the terminal
    back as it was, whatever happened in between.

    Attributes:
        left: Whether the person left with Ctrl+D before the app was up.
        attributes: The modes of the terminal as they were before; None where there are none.
    """

    def __init__(self) -> None:
        self.left = False
        self.attributes: list[Any] | None = None
        self._open = self._finished = False
        self._lock = RLock()
        self._draft = Draft()
        self._keys = EarlyKeys(self._draft)
        self._look = Look("", {})
        self._asked = False
        self._answered = Event()
        self._write: Write = _write
        self._top = 0
        self._thread: Thread | None = None
        self._orders: tuple[int, int] | None = None

    def show(self, theme: str = DEFAULT_THEME, *, own_keys: bool = False) -> None:
        """Paints and begins to read, if this is a terminal.

        Args:
            theme: The theme of the app. For `auto` the terminal is asked whether it is light or dark.
            own_keys: A person has chosen keys, so that little is known of them.
        """
        there = sys.__stdin__ and sys.__stderr__ and sys.__stdin__.isatty() and sys.__stderr__.isatty()
        if not there or "TEXTUAL_DRIVER" in os.environ:  # there, a page in a browser is the terminal
            return
        self._look = Look(theme, os.environ)
        self._draft.own_keys = own_keys
        self._quiet()
        self._open = True
        atexit.register(self.close)
        self._write(SAVE_TITLE + title_sequence(NAME) + ENTER)
        self.repaint()
        if self.attributes is not None:
            if theme == AUTO:
                self._ask()
            self._listen()

    def close(self) -> None:
        """Gives the terminal back."""
        if not self._open:
            return
        self._open = False
        atexit.unregister(self.close)
        self.finish()
        self._stop(JOIN_S)
        if self.attributes is not None and sys.__stdin__:
            import termios

            with contextlib.suppress(OSError, ValueError, termios.error):  # the terminal may be gone
                termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, self.attributes)
        if sys.__stderr__:
            output = Forgiving(sys.__stderr__)
            output.write(LEAVE + RESTORE_TITLE)
            output.flush()

    # ------------------------------------------------------------------------------------------------- reading

    def hand_over(self, write: Write) -> EarlyKeys:
        """Stops reading, for somebody who reads on: whatever was not read yet is still in the terminal's buffer.

        Args:
            write: Paints from now on.

        Returns:
            All that was read.
        """
        self._stop(None)
        with self._lock:
            self._write = write
        return self._keys

    def is_light(self) -> bool:
        """Whether the terminal's background is light, for `auto`: as it says by now, or before the patience ends."""
        from ml_intern.tui.background import is_light

        if self._asked:
            self._answered.wait(PATIENCE_S)
        with self._lock:
            light = is_light(b"".join(self._keys.pieces), os.environ.get("COLORFGBG", ""))
        self._look = Look(LIGHT_THEME if light else DEFAULT_THEME, os.environ)
        self.repaint()
        return light

    def typed(self, data: bytes) -> bytes:
        """What of the bytes that were read came from the person."""
        if not self._asked:
            return data
        from ml_intern.tui.background import without_answers

        return without_answers(data)

    def resized(self) -> None:
        """Paints anew, soon. May be called by a signal handler."""
        if self._orders is not None:
            with contextlib.suppress(OSError):
                os.write(self._orders[1], _REPAINT)

    def _quiet(self) -> None:
        """No echo, no line editing, no keys for the terminal itself but Ctrl+C; Enter stays Enter."""
        if os.name != "posix" or sys.__stdin__ is None:
            return
        import termios

        descriptor = sys.__stdin__.fileno()
        attributes = termios.tcgetattr(descriptor)
        self.attributes = termios.tcgetattr(descriptor)
        attributes[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.IXOFF)
        attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        nothing = max(0, os.fpathconf(descriptor, "PC_VDISABLE")).to_bytes(1, "little")
        attributes[6][termios.VSUSP] = attributes[6][termios.VQUIT] = nothing
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)

    def _ask(self) -> None:
        from ml_intern.tui.background import ASK

        self._asked = True
        self._write(ASK)

    def _listen(self) -> None:
        self._orders = os.pipe()
        self._thread = Thread(target=self._read, name="early-keys", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._orders is not None
        orders, keyboard = self._orders[0], sys.__stdin__.fileno()  # type: ignore[union-attr]  # it is a terminal
        while self._keys.size < KEPT_BYTES:
            try:
                ready, _, _ = select.select([orders, keyboard], [], [])
                told = os.read(orders, 64) if orders in ready else b""
                if _STOP in told:
                    return
                if told:
                    self.repaint()
                elif not (data := os.read(keyboard, 4096)):
                    return
                else:
                    self.take(data)
            except (OSError, ValueError):  # the terminal is gone, and whoever reads next will find out
                return

    def _stop(self, patience_s: float | None) -> None:
        thread, self._thread = self._thread, None
        if thread is None or self._orders is None:
            return
        os.write(self._orders[1], _STOP)
        thread.join(patience_s)
        if not thread.is_alive():
            orders, self._orders = self._orders, None
            for end in orders:
                os.close(end)

    # ---------------------------------------------------------------------------------------------------- keys

    def take(self, data: bytes) -> None:
        """Takes in bytes of keys."""
        with self._changing():
            self._keys.take(data, time.monotonic())
        if self._asked and not self._answered.is_set():
            self._look_for_answer()
        if self._draft.left and not self.left:
            self.left = True
            os.kill(os.getpid(), signal.SIGINT)

    def _look_for_answer(self) -> None:
        from ml_intern.tui.background import is_answered

        if is_answered(b"".join(self._keys.pieces)):
            self._answered.set()
            self.is_light()

    def press(self, key: str, character: str | None) -> None:
        """Takes in a key, by Textual's name for it."""
        if not self._finished:
            with self._changing():
                self._draft.press(key, character)

    def paste(self, text: str) -> None:
        """Takes in a paste."""
        if not self._finished:
            with self._changing():
                self._draft.paste(text)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        draft = self._draft
        with self._lock:
            before = draft.text, len(draft.sent)
            yield
            if (draft.text, len(draft.sent)) != before:
                self._paint(self._prompt(_size()))

    # ------------------------------------------------------------------------------------------------ painting

    def repaint(self) -> None:
        """Paints all of the frame."""
        size = _size()
        look, left, right = self._look, f" {NAME}", f"{STARTING} "
        base = look.style("foreground")
        gap = " " * (size.columns - cells(left + right))
        status = f"{base} {look.style('accent', bold=True)}{NAME}{base}{gap}{look.style('muted')}{right}"
        with self._lock:
            self._top = size.lines
            self._paint(
                f"{base}\x1b[2J\x1b[H{status}\x1b[{size.lines};1H{base} {look.style('accent')}{STARTING}"
                + self._prompt(size)
            )

    def finish(self) -> None:
        """Ends all painting: the app paints now."""
        with self._lock:
            self._finished = True

    def _paint(self, text: str) -> None:
        if self._open and not self._finished:
            self._write(text + RESET)

    def _prompt(self, size: os.terminal_size) -> str:
        """The rows above the last one, as many as the prompt and the queue need, and as many as they needed before."""
        rows = [*self._queue_rows(size.columns), *self._prompt_rows(size.columns)][-max(1, size.lines - 1) :]
        top = max(1, size.lines - len(rows))
        blank = self._look.style("foreground") + " " * size.columns
        rows = [blank] * (top - min(top, self._top)) + rows
        first, self._top = min(top, self._top), top
        return "".join(f"\x1b[{first + number};1H{row}" for number, row in enumerate(rows))

    def _prompt_rows(self, columns: int) -> list[str]:
        look, room = self._look, columns - len(MARK) - 3  # a margin on each side, and a cell for the cursor
        text = self._broken(room)
        if len(text) > PROMPT_ROWS:
            text = self._broken(room - 1)[-PROMPT_ROWS:]  # the prompt has a scroll bar then
        plain, mark = look.style("foreground", "surface"), look.style("accent", "surface", bold=True)
        rows = []
        for number, line in enumerate(text):
            last = number == len(text) - 1
            cursor = f"{look.cursor()} {plain}" if last else " "
            fill = " " * max(0, room + 1 - cells(line))
            rows.append(f"{plain} {mark}{MARK if not number else ' ' * len(MARK)}{plain}{line}{cursor}{fill}")
        return rows

    def _broken(self, width: int) -> list[str]:
        if width < 1:
            return [""]
        return [row for line in self._draft.text.split("\n") for row in broken(line, width)]

    def _queue_rows(self, columns: int) -> list[str]:
        look = self._look
        plain, label = look.style("foreground"), look.style("warning")
        rows = []
        for text in self._draft.sent[-QUEUE_ROWS:]:
            said = f"  {_cut(' '.join(text.split()), columns - len(QUEUED) - 4)}"
            rows.append(f"{plain} {label}{QUEUED}{plain}{said}{' ' * max(0, columns - 1 - cells(QUEUED + said))}")
        return rows


def _cut(text: str, width: int) -> str:
    """The beginning of a text that fits."""
    return text if cells(text) <= width else f"{(broken(text[:width], max(1, width - 1)) or [''])[0]}…"


def _write(text: str) -> None:
    """Straight to the terminal: other threads may use the stream."""
    data = text.encode("utf-8", "replace")
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be gone
        while data:
            data = data[os.write(sys.__stderr__.fileno(), data) :]  # type: ignore[union-attr]  # see above


def _size() -> os.terminal_size:
    """How large the terminal is, as the app will find it."""
    try:
        told = int(os.environ["COLUMNS"]), int(os.environ["LINES"])
    except (KeyError, ValueError):
        told = 0, 0
    try:
        measured = os.get_terminal_size(sys.__stdout__.fileno())  # type: ignore[union-attr]  # None is an error below
    except (AttributeError, OSError, ValueError):
        measured = os.terminal_size((80, 24))
    return os.terminal_size((told[0] or measured.columns or 80, told[1] or measured.lines or 24))
