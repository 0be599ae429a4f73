"""Brings traces of other programs in as sessions that can be listed, searched, looked at, exported and continued."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_intern.core.protocol import utc_now
from ml_intern.sessions.aside import files_of
from ml_intern.sessions.image_files import copy_images
from ml_intern.sessions.imports.build import Trace, events_of
from ml_intern.sessions.imports.claude import from_claude
from ml_intern.sessions.imports.codex import from_codex
from ml_intern.sessions.imports.snapshot import from_snapshot
from ml_intern.sessions.log import find_session, read_session
from ml_intern.sessions.store import SessionError, SessionStore
from ml_intern.sessions.summary import milliseconds

_NAMESPACE = uuid.UUID("6f1c2f5e-5d0c-4b51-9a3e-0e5c6f6a4d11")
"""Makes ids of imported sessions from theirs: the same trace always becomes the same session."""

Reader = Callable[[list[dict[str, Any]]], Trace | None]
_READERS: tuple[Reader, ...] = (from_snapshot, from_claude, from_codex)


def import_trace(file: Path, store: SessionStore) -> Path:
    """Writes the log of a foreign trace, or of a session of ours from elsewhere, and returns it.

    Raises:
        SessionError: The file is no trace that is known here, holds no messages, or is here already.
        OSError: It cannot be read, or the log not written.
    """
    records, damaged = _records(file)
    ours = next((record for record in records if {"seq", "type", "session_id"} <= record.keys()), None)
    if ours is not None:
        return _import_log(file, str(ours["session_id"] or file.stem), store)
    trace = next((trace for read in _READERS if (trace := read(records)) is not None), None)
    if trace is None:
        kinds = "a session_*.json, a trace of Claude Code or of Codex, or a log of ml-intern"
        raise SessionError(f"{file} is none of the traces that can be imported: {kinds}.")
    if not trace.messages:
        raise SessionError(f"{file} holds no messages.")
    trace.left_out += damaged
    session_id = str(uuid.uuid5(_NAMESPACE, f"{trace.source}:{trace.id or file.stem}"))
    events = events_of(trace)
    return _write(store, session_id, events)


def _import_log(file: Path, session_id: str, store: SessionStore) -> Path:
    damaged = 0

    def count() -> None:
        nonlocal damaged
        damaged += 1

    events = [{**event, "session_id": session_id} for event in read_session(file, on_damage=count)]
    origin = f"imported from {file.name}"
    if damaged:
        origin += f", {damaged:,} of its lines could not be read"
    return _write(store, session_id, [*events, {"type": "session_meta", "origin": origin}], files_of(file))


def _write(store: SessionStore, session_id: str, events: list[dict[str, Any]], files: Path | None = None) -> Path:
    try:
        existing = find_session(store.directory, session_id)
    except ValueError as error:
        raise SessionError(f"The id in this log cannot be used ({error}).") from error
    if existing is not None:
        raise SessionError(f"This trace is here already, as session {session_id}; delete that first to import it anew.")
    path = store.new_log(session_id, _month_of(events))
    if files is not None:
        copy_images(events, files, files_of(path))
    store.write(path, events)
    return path


def _month_of(events: list[dict[str, Any]]) -> str:
    time = str(events[0].get("time") or "")
    return time if milliseconds(time) and time[:4].isdecimal() and time[5:7].isdecimal() else utc_now()


def _records(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a file, which is one JSON document or has one a line; and how many of its lines are none."""
    text = file.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        whole = json.loads(text)
        return ([whole], 0) if isinstance(whole, dict) else ([], 1)
    except (ValueError, RecursionError):
        pass  # one object a line, then
    lines = [line for line in text.split("\n") if line.strip("\0 \t\r")]
    records = [record for line in lines if isinstance(record := _loaded(line), dict)]
    return records, len(lines) - len(records)


def _loaded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
