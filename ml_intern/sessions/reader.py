"""Reads a log from where it was left: what is new for its summary and for the full text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ml_intern.sessions import kinds
from ml_intern.sessions.find import SessionFile
from ml_intern.sessions.log import parse_line
from ml_intern.sessions.query import spaced
from ml_intern.sessions.spend import Spent
from ml_intern.sessions.summary import Summary, docs_of, milliseconds, whole

_PROOF_BYTES = 64
"""So many bytes before the place where reading goes on must be what they were, or the file is another one."""

_TYPE = re.compile(rb'"type"\s{0,4}:\s{0,4}"([a-z_]+)"')
_SAYS_NOTHING = frozenset(
    {
        *(b"history", b"tool_log", b"approval_required", b"approval_resolved"),
        *(kinds.PIECE.encode(), kinds.STREAM_END.encode(), kinds.STATE.encode()),
    }
)
"""Their texts are found in other events, and their lines need not be parsed for a summary; but see `kinds.STOPS`."""
_PIECE = kinds.PIECE.encode()
_STATE = kinds.STATE.encode()
_REPLY_ENDED = frozenset(kind.encode() for kind in kinds.ENDED)


@dataclass(slots=True)
class Portion:
    """What is known of a log up to a place in it.

    Attributes:
        summary: The summary of its events so far.
        read_to: That place, in bytes from the beginning.
        before: The last bytes before it.
        first_ms: Time of the first text, in milliseconds since 1970.
        last_ms: Time of the last text; each text has a millisecond of its own.
        open_at: Where the reply begins within which the log ends, in bytes; 0 when there is none. Its text is the last.
        from_start: Whether this portion began at the beginning of the file.
        texts: Texts for the search as `(milliseconds, kind, seq, text)`, only those of this portion.
        spent: What this portion says was paid.
    """

    summary: Summary
    read_to: int = 0
    before: bytes = b""
    first_ms: int = 0
    last_ms: int = 0
    open_at: int = 0
    from_start: bool = False
    texts: list[tuple[int, str, int, str]] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)


def read_on(file: SessionFile, known: Portion | None) -> Portion:
    """Reads what a log has more than is known of it; the whole of it when it is not the same file any more.

    Raises:
        OSError: The log cannot be read.
    """
    path = file.path
    with path.open("rb") as opened:
        portion = _begin(opened, known)
        if portion is None:
            portion = Portion(Summary(file.id), from_start=True)
            opened.seek(0)
        for line in opened:
            if not _take(portion, line, path, file.modified):
                break
            portion.read_to += len(line)
            portion.before = (portion.before + line[-_PROOF_BYTES:])[-_PROOF_BYTES:]
        if portion.open_at:
            opened.seek(portion.open_at)
            _take_open_reply(portion, _lines_to(opened, portion.read_to), path, file.modified)
    return portion


def _begin(opened: Any, known: Portion | None) -> Portion | None:
    if known is None or not known.read_to:
        return None
    opened.seek(known.read_to - len(known.before))
    same = opened.read(len(known.before)) == known.before
    return replace(known, from_start=False, texts=[], spent=Spent()) if same else None


def _take(portion: Portion, line: bytes, path: Path, modified: int) -> bool:
    """Takes a line in; False when it is the torn end of a log that may still become a whole line."""
    kind = _TYPE.search(line, 0, 256)
    if kind is not None and line.endswith(b"\n"):
        if kind[1] == _PIECE:
            portion.open_at = portion.open_at or portion.read_to
        elif kind[1] in _REPLY_ENDED:
            portion.open_at = 0
        stops = kind[1] == _STATE and kinds.STOPS.search(line) is not None
        if kind[1] in _SAYS_NOTHING and not stops:
            return True
    event = parse_line(line, path)
    if event is None:
        return line.endswith(b"\n")
    portion.summary.take(event)
    portion.spent.take(event)
    _add_texts(portion, event, modified)
    return True


def _add_texts(portion: Portion, event: dict[str, Any], modified: int) -> None:
    for doc_kind, text in docs_of(event):
        if text.strip():
            now = milliseconds(event.get("time")) or modified // 1_000_000
            portion.last_ms = max(now, portion.last_ms + 1)
            portion.first_ms = portion.first_ms or portion.last_ms
            portion.texts.append((portion.last_ms, doc_kind, whole(event.get("seq")), spaced(text)))


def _lines_to(opened: Any, end: int) -> Iterator[bytes]:
    while opened.tell() < end:
        yield opened.readline()


def _take_open_reply(portion: Portion, lines: Iterator[bytes], path: Path, modified: int) -> None:
    """What a reply had said when the log ended within it: nobody will say it again if the run was killed."""
    from ml_intern.sessions.pieces import OpenReply  # most logs end otherwise, and need not wait for the import

    reply = OpenReply()
    last: dict[str, Any] = {}
    for line in lines:
        if event := parse_line(line, path):
            reply.take(event)
            last = event if event.get("type") == kinds.PIECE else last
    if not reply.text.strip():
        portion.open_at = 0
        return
    said = {**last, "type": "assistant_message", "content": reply.text}
    portion.summary.take(said)
    _add_texts(portion, said, modified)
