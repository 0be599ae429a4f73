"""What `ml-intern sessions` prints: JSON for programs, lines that fit the terminal for people."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TextIO

from ml_intern.core.plain_text import plain
from ml_intern.core.redact import Redactor
from ml_intern.sessions.index import Found
from ml_intern.sessions.summary import Summary, milliseconds
from ml_intern.sessions.text import directory_name, fit, one_line

_ID_LENGTH = 8
_NARROWEST_TITLE = 20
_UNLIMITED = 100_000


class Printer:
    """Standard output, as people or programs want it.

    Args:
        stream: Where it goes.
        redactor: Takes secrets out of every line.
        as_json: Whether a program reads it.

    Attributes:
        columns: Width of a line; practically unlimited where there is no terminal.
        bold: Whether the stream shows bold text.
    """

    def __init__(self, stream: TextIO, redactor: Redactor, *, as_json: bool) -> None:
        terminal = stream.isatty()
        self.as_json = as_json
        self.columns = shutil.get_terminal_size().columns if terminal or os.environ.get("COLUMNS") else _UNLIMITED
        self.bold = terminal and not os.environ.get("NO_COLOR")
        self._stream = stream
        self._redactor = redactor

    def answer(self, data: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Prints the data for a program, or the lines for a person."""
        if self.as_json:
            self._write(json.dumps(self._redactor.data(data), ensure_ascii=False) + "\n")
        else:
            self._write("".join(f"{self._redactor.text(line)}\n" for line in lines()))

    def text(self, text: str) -> None:
        """Prints a document as it is."""
        self._write(text)

    def _write(self, text: str) -> None:
        # As bytes: an encoding that the terminal's locale cannot express must not stop it.
        try:
            self._stream.buffer.write(text.encode("utf-8", "replace"))
            self._stream.buffer.flush()
        except OSError as error:
            error.filename = "standard output"
            raise


def list_lines(sessions: Sequence[Summary], columns: int, *, everywhere: bool) -> Iterator[str]:
    """A table of sessions, as wide as the terminal at most."""
    if not sessions:
        return
    length = _id_length(sessions)
    for session in sessions:
        where = f"{one_line(directory_name(session.directory), 16):<16}  " if everywhere else ""
        facts = f"{session.id[:length]}  {local_time(session.ended)}  {session.status:<11}  "
        figures = f"{session.turns:>3} {'turn ' if session.turns == 1 else 'turns'}  ${session.cost_usd:>7.2f}  "
        tags = "".join(f" #{tag}" for tag in session.tags)
        yield fit_last(facts, [figures, where], plain(session.title) + tags, columns)


def fit_last(facts: str, optional: Sequence[str], title: str, columns: int) -> str:
    """A line whose last cell gets the rest of the width; what else there is gives way to it."""
    kept = list(optional)
    while kept and columns - len(facts) - sum(map(len, kept)) < _NARROWEST_TITLE:
        kept.pop()
    head = facts + "".join(kept)
    return fit(head + title, columns).rstrip() if columns < _UNLIMITED else head + title


def found_lines(found: Sequence[Found], columns: int, *, bold: bool) -> Iterator[str]:
    """Two lines for each session: what it is, and where the words stand."""
    length = _id_length([each.session for each in found])
    for each in found:
        session = each.session
        yield fit_last(f"{session.id[:length]}  {local_time(session.ended)}  ", [], plain(session.title), columns)
        room = columns - 4 if columns < _UNLIMITED else len(each.snippet)
        yield "    " + _emphasised(each, room, bold=bold)


def local_time(time: str) -> str:
    """A time as people here read it."""
    ms = milliseconds(time)
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M") if ms else " " * 16


def _emphasised(found: Found, room: int, *, bold: bool) -> str:
    text = fit(found.snippet, room).rstrip()
    if not bold:
        return text
    for start, end in sorted(found.marks, reverse=True):
        if end < len(text):
            text = f"{text[:start]}\x1b[1m{text[start:end]}\x1b[22m{text[end:]}"
    return text


def _id_length(sessions: Sequence[Summary]) -> int:
    """As much of the ids as tells those apart that are shown."""
    ids = [session.id for session in sessions]
    longest = max(map(len, ids), default=_ID_LENGTH)
    return next(
        (length for length in range(_ID_LENGTH, longest) if len({name[:length] for name in ids}) == len(ids)), longest
    )
