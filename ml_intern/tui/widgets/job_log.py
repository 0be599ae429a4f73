"""The log of a job: any number of lines, searched, followed and coloured by how bad they are."""

from __future__ import annotations

import re
from typing import ClassVar, Unpack

from textual.binding import BindingType

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.line_store import LineStore
from ml_intern.tui.widgets.lines import Line, Run, chop
from ml_intern.tui.widgets.pieces import Names
from ml_intern.tui.widgets.reader import Reader

CHUNK = 64
"""Lines of one piece."""

_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL)\b|^Traceback \(most recent call last\)|^\s*[\w.]*(?:Error|Exception|Interrupt)(?::|$)"
    r"|CUDA out of memory|\bKilled$"
)
_WARNING = re.compile(r"\bWARN(?:ING)?\b|\w*Warning:")
_FAINT = re.compile(r"\b(?:DEBUG|TRACE)\b|^\s+File \"")


def level_ink(text: str) -> str:
    """The ink of a line by its level: bad lines stand out, those of debugging step back."""
    if _ERROR.search(text):
        return "error"
    if _WARNING.search(text):
        return "warning"
    return "faint" if _FAINT.search(text) else ""


class LogPiece:
    """Some successive lines of a store.

    Args:
        store: Where they are.
        start: Number of the first.
        end: Number after the last.
    """

    __slots__ = ("end", "start", "store")

    def __init__(self, store: LineStore, start: int, end: int) -> None:
        self.store = store
        self.start = start
        self.end = end

    @property
    def plain(self) -> str:
        """The lines."""
        return "\n".join(self.store.read(self.start, self.end))

    def estimate(self, _width: int) -> int:
        """A row each."""
        return self.end - self.start

    def render(self, width: int) -> list[Line]:
        """The lines; what is too long goes on below."""
        return [
            row for text in self.store.read(self.start, self.end) for row in chop([Run(text, level_ink(text))], width)
        ]


class JobLog(Reader[LogPiece]):
    """Shows a store of lines. Stays at the end while the log grows, until the reader scrolls up; End goes back."""

    DEFAULT_CSS = ""
    HELP = "The log of the job. {move} {page} scroll, {jobs.follow} follows what is written."
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("jobs.follow", "scroll_end"),
    ]

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._store: LineStore | None = None
        self._shown_to = 0
        self._finds: list[int] = []
        self._find = -1

    @property
    def store(self) -> LineStore | None:
        """What is shown."""
        return self._store

    def show_store(self, store: LineStore | None) -> None:
        """Shows another log from its end."""
        self._store = store
        self.end_search()
        self._begin_anew()

    def grow(self) -> None:
        """Takes in the lines that the store has got since."""
        store = self._store
        if store is None:
            return
        if self._slots and self._slots[0].piece.start < store.first:
            self._begin_anew()
            return
        if self._slots and (last := self._slots[-1]).piece.end % CHUNK and self._shown_to < len(store):
            last.piece.end = self._shown_to = min(len(store), last.piece.end + CHUNK - last.piece.end % CHUNK)
            self._heights.set(len(self._slots) - 1, max(self._heights[len(self._slots) - 1], last.piece.estimate(0)))
            self.rerender(last.serial)
        while self._shown_to < len(store):
            start = self._shown_to
            self._shown_to = min(len(store), start + CHUNK - start % CHUNK)
            self.add(LogPiece(store, start, self._shown_to))

    def _begin_anew(self) -> None:
        self.cut(0)
        self._shown_to = self._store.first if self._store is not None else 0
        self.grow()
        self.follow()

    # ----------------------------------------------------------------------------------------------------- search

    def show_finds(self, text: str, numbers: list[int]) -> None:
        """Marks a text and goes to the first of these lines from the present place on, or to the last of all."""
        self.needle = text
        self._finds = numbers
        self._find = -1
        if numbers:
            here = self._line_at_top()
            self._find = next((at for at, number in enumerate(numbers) if number >= here), len(numbers) - 1)
            self._show_find()

    def end_search(self) -> None:
        """Marks nothing any more."""
        self.needle = ""
        self._finds, self._find = [], -1

    def next_find(self, step: int) -> tuple[int, int]:
        """Goes to the next or an earlier line that was found. Returns what `found` tells then."""
        if self._finds:
            self._find = (self._find + step) % len(self._finds)
            self._show_find()
        return self.found

    @property
    def found(self) -> tuple[int, int]:
        """Which of the finds is shown, from 1, and how many there are."""
        return self._find + 1, len(self._finds)

    def _line_at_top(self) -> int:
        if not self._slots:
            return 0
        index, _ = self._heights.locate(round(self.scroll_y))
        return self._slots[index].piece.start

    def _show_find(self) -> None:
        number = self._finds[self._find]
        at = number // CHUNK - self._slots[0].piece.start // CHUNK if self._slots else 0
        if 0 <= at < len(self._slots):
            slot = self._slots[at]
            above = LogPiece(slot.piece.store, slot.piece.start, number).render(self.view.width)
            self.show(slot.serial, len(above), margin=self.view.height // 3)
