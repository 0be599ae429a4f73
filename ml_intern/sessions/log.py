"""The session log: every event of a conversation, one JSON object a line, appended as it happens.

The file is the session: it is readable at every moment, loses at most the line being written when the process is
killed, and what a person has seen is already in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError

from ml_intern.core.protocol import (
    BROKEN_OFF,
    AssistantMessage,
    EventBase,
    HistoryRecord,
    LLMCall,
    ModelChanged,
    Ready,
    SessionResumed,
    SessionStarted,
    utc_now,
)
from ml_intern.core.redact import WITHHELD, Redactor
from ml_intern.sessions.aside import LARGE_TEXT, bring_back, files_of, put_aside
from ml_intern.sessions.lock import SessionChangedError, SessionLock
from ml_intern.sessions.pieces import HEAD_BYTES, without_superfluous

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1

_PRELUDE = frozenset(
    {
        "context_usage",
        "error",
        "interrupted",
        "mode_changed",
        "model_changed",
        "new_complete",
        "notice",
        "plan_update",
        "ready",
        "session_meta",
        "session_resumed",
        "shutdown",
        "undo_complete",
    }
)
"""What can happen before anyone has said anything. A file begins, and is gone on with, with the first event of another
kind."""

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")

_BLANK = b"\0 \t\r\n"

_SEQ = re.compile(rb'"seq"\s{0,4}:\s{0,4}(\d{1,18})')

OnProblem = Callable[[str], None]
"""Takes a sentence for a person. It is called while an event is being delivered, so it must not block."""


class SessionLog:
    """Consumer of an event stream that keeps each session in a file of its own: `YYYY/MM/<session_id>.jsonl`.

    Nothing is created before a conversation has begun, so opening and leaving the app leaves no trace. When the disk is
    full or gone, lines wait in memory and go out with the next event that finds it again; the agent works on.

    Args:
        directory: Where session logs live; made on first use, for the user alone.
        redactor: Takes secrets out of every line.
        version: The program's version, for the first line of each file.
        on_problem: Hears when events cannot be saved, and when they can again. Told once, not for each event.
    """

    def __init__(self, directory: Path, redactor: Redactor, version: str, on_problem: OnProblem) -> None:
        self._directory = directory
        self._redactor = redactor
        self._version = version
        self._on_problem = on_problem
        self._session_id = ""
        self._workdir = ""
        self._model = ""
        self._first_time = ""
        self._begun = False
        self._handle: int | None = None
        self._lock: SessionLock | None = None
        self._failing = False
        self._mid_line = False
        self._waiting: deque[bytes] = deque()
        self.path: Path | None = None
        """The file of the running session, once there is one."""

    def __call__(self, event: EventBase) -> None:
        """Takes the next event; when it returns, the event is in the file, or waits in memory if that cannot be."""
        if event.session_id != self._session_id:
            self._turn_to(event.session_id)
        self._learn(event)
        kind: str = getattr(event, "type", "")
        if not self._begun and not self._is_prelude(kind, event):
            self._begin()
        self._waiting.append(self._line(event))
        if self._begun:
            self._write_out()

    def claim(self, session_id: str, size: int | None = None) -> None:
        """Keeps the log of an earlier session for this process before there is anything to write.

        Args:
            session_id: The session.
            size: Bytes of the log when it was read; None when it was not.

        Raises:
            SessionInUseError: Another process writes it.
            SessionChangedError: Another process has written it since it was read.
        """
        path = find_session(self._directory, session_id)
        lock = None if path is None else SessionLock.take(path)
        if lock is not None and path is not None and size not in (None, path.stat().st_size):
            lock.release()
            raise SessionChangedError(path)
        self._turn_to(session_id)
        self._lock = lock

    def files_of(self, session_id: str) -> Path:
        """Where what belongs to a session lies beside its log, whether that has begun or not. Can be asked in threads.

        Raises:
            ValueError: The id holds characters that no session id has.
        """
        running = session_id == self._session_id
        path = (self.path if running else None) or find_session(self._directory, session_id)
        started = self._first_time if running and self._first_time else utc_now()
        return files_of(path or self._place(started, session_id))

    def close(self) -> None:
        """Gives the file back. Later events open it again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # ------------------------------------------------------------------------------------------------- sessions

    def _turn_to(self, session_id: str) -> None:
        if self._begun and self._waiting:
            self._write_out()  # the last chance of what the old file did not take
        self.close()
        self._waiting.clear()
        self._session_id, self._first_time = session_id, ""
        self._begun, self._mid_line, self.path = False, False, None

    def _learn(self, event: EventBase) -> None:
        self._first_time = self._first_time or event.time or utc_now()
        match event:
            case Ready():
                self._model, self._workdir = event.model, event.workdir
            case ModelChanged() | SessionResumed():
                self._model = event.model

    @staticmethod
    def _is_prelude(kind: str, event: EventBase) -> bool:
        match event:  # where these come first they mend what a killed run has left: no reason yet to touch its file
            case HistoryRecord():
                roles = {message.get("role") for message in event.messages}
                return event.op == "replace" or (event.op == "append" and roles <= {"system", "assistant"})
            case AssistantMessage():
                return event.partial
            case LLMCall():
                return event.finish_reason == BROKEN_OFF and event.kind == "main"
        return kind in _PRELUDE

    def _begin(self) -> None:
        self._begun = True
        self.path = find_session(self._directory, self._session_id)
        if self.path is None:
            started = self._first_time
            self.path = self._place(started, self._session_id)
            header = SessionStarted(
                time=started,
                session_id=self._session_id,
                schema_version=SCHEMA_VERSION,
                directory=self._workdir,
                model=self._model,
                version=self._version,
            )
            self._waiting.appendleft(self._line(header))

    def _place(self, started: str, session_id: str) -> Path:
        return self._directory / started[:4] / started[5:7] / f"{_checked_id(session_id)}.jsonl"

    # ---------------------------------------------------------------------------------------------------- lines

    def _line(self, event: EventBase) -> bytes:
        try:
            text = event.model_dump_json()
        except PydanticSerializationError:  # a lone surrogate: no UTF-8, but JSON can escape it
            text = json.dumps(event.model_dump())
        if len(text) > LARGE_TEXT and self.path is not None:
            text = self._without_large_texts(event, text, self.path)
        clean = self._redactor.text(text)
        if clean is WITHHELD:
            kept = {key: getattr(event, key, None) for key in ("seq", "time", "session_id", "type")}
            clean = json.dumps({**kept, "withheld": WITHHELD})
        return clean.encode() + b"\n"

    def _without_large_texts(self, event: EventBase, text: str, path: Path) -> str:
        """The event with its large texts, free of secrets, in files of their own. They are there before it is."""
        clean = self._redactor.data(event.model_dump())
        if clean is WITHHELD:
            return text  # what follows withholds it too, or can check it in this form
        try:
            return json.dumps(put_aside(clean, files_of(path)))
        except OSError as error:
            log.warning("a large text stays in its line, %s cannot be written: %s", files_of(path), error)
            return text

    def _write_out(self) -> None:
        try:
            if self._handle is None:
                self._handle = self._open()
            while self._waiting:
                line = self._waiting[0]
                written = os.write(self._handle, line)
                self._mid_line = written < len(line)
                if self._mid_line:  # the disk is nearly full; the rest of the line goes first as soon as it can
                    self._waiting[0] = line[written:]
                else:
                    self._waiting.popleft()
        except OSError as error:
            self.close()
            self._report(error)
        else:
            self._report(None)

    def _report(self, error: OSError | None) -> None:
        if self._failing == (error is not None):
            return
        self._failing = error is not None
        if error is None:
            self._on_problem("The session is being saved again; nothing was lost.")
            return
        log.error("cannot write %s: %s", self.path, error)
        reason = (error.strerror or str(error)).lower()
        self._on_problem(f"The session cannot be saved ({reason}: {self.path}); events are kept in memory meanwhile.")

    def _open(self) -> int:
        path = self.path
        if path is None:
            raise FileNotFoundError("no session has begun")
        make_private_directories(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            self._lock = self._lock or SessionLock.take(path)
        except OSError:
            os.close(handle)
            raise
        if os.lseek(handle, 0, os.SEEK_END) and not self._mid_line:
            os.lseek(handle, -1, os.SEEK_END)
            if os.read(handle, 1) != b"\n":  # a killed process left half a line; the next one must not run into it
                self._waiting.appendleft(b"\n")
        return handle


def make_private_directories(path: Path) -> None:
    """Makes a directory and its missing parents for this user alone; those that exist stay as they are."""
    if path.is_dir():
        return
    make_private_directories(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def _checked_id(session_id: str) -> str:
    if not _SAFE_ID.match(session_id):
        raise ValueError(f"not a session id: {session_id!r}")
    return session_id


# ---------------------------------------------------------------------------------------------------------- reading


def find_session(directory: Path, session_id: str) -> Path | None:
    """The log of a session, wherever in the years and months it lies; None when there is none.

    Raises:
        ValueError: The id holds characters that no session id has.
    """
    return next(iter(sorted(directory.glob(f"[0-9]*/[0-9]*/{_checked_id(session_id)}.jsonl"))), None)


def read_session(
    path: Path,
    *,
    pieces: bool = False,
    last_seq: int | None = None,
    on_damage: Callable[[], object] = lambda: None,
) -> Iterator[dict[str, Any]]:
    """The events of a log, oldest first, as plain objects; types this version does not know included.

    Lines that are no JSON objects - the torn last one after a crash, runs of NUL after a power cut - are passed over.
    Texts that are kept beside the log are put back in their places.

    Args:
        path: The log.
        pieces: Also give the pieces of replies that became whole, or were taken back.
        last_seq: End with the event of this number, as if the log did.
        on_damage: Called for each line that is passed over, but for an empty or a torn one: nothing of these was shown.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        # binary, so that only \n ends a line: U+2028 and the like belong to the text
        lines: Iterable[bytes] = file if last_seq is None else takewhile(lambda line: _seq_of(line) <= last_seq, file)
        for line in lines if pieces else without_superfluous(lines):
            if (event := parse_line(line, path)) is not None:
                yield event
            elif line.endswith(b"\n") and line.strip(_BLANK):
                on_damage()


def _seq_of(line: bytes) -> int:
    found = _SEQ.search(line, 0, HEAD_BYTES)
    return int(found[1]) if found else 0


def parse_line(line: bytes, path: Path, limit: int | None = None) -> dict[str, Any] | None:
    """The event in one line of the log at `path`; None when there is none. See `bring_back` for `limit`."""
    try:
        event = json.loads(line.strip(_BLANK).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type", ""), str):
        return None
    resolved: dict[str, Any] = bring_back(event, files_of(path), limit) if b'"$file"' in line else event
    return resolved
