"""Earlier sessions by what a person calls them: which log that is, and whether it can be gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_intern.sessions.lock import in_use
from ml_intern.sessions.log import find_session, read_session
from ml_intern.sessions.replay import Recording
from ml_intern.sessions.store import SessionError, SessionStore

NO_STORE = "Sessions cannot be opened before the agent has started. Try again in a moment."


@dataclass(frozen=True, slots=True)
class Resumable:
    """A session that can be gone on with.

    Attributes:
        id: Its whole id.
        practice: It is one of the practice model.
    """

    id: str
    practice: bool


def resumable(store: SessionStore, session_id: str) -> Resumable:
    """Looks whether a session can be continued here. Reads its log's first line; call it in a thread.

    Raises:
        SessionError: It cannot be; the sentence says why and what to do instead.
    """
    path = store.find(session_id)
    if in_use(path):
        text = (
            f"Session {path.stem[:8]} is open in another ml-intern. Leave it there, or review it and go on in a copy."
        )
        raise SessionError(text)
    try:
        first = next(iter(read_session(path)), {})
    except OSError as error:
        raise SessionError(f"Session {path.stem[:8]} cannot be read: {error.strerror or error}.") from error
    return Resumable(path.stem, str(first.get("model", "")).startswith("demo/"))


def open_recording(store: SessionStore, what: str, current: str) -> Recording:
    """The session that a person names. Reads its log; call it in a thread.

    Args:
        store: Where sessions are.
        what: The beginning of an id, the path of a log, or nothing for the current session.
        current: Id of the current session.

    Raises:
        SessionError: There is none, it cannot be read, or nothing has happened in it.
    """
    path = _path_of(store, what.strip(), current)
    try:
        recording = Recording.open(path)
    except OSError as error:
        raise SessionError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not len(recording):
        hint = f"`ml-intern sessions import {path}` brings in a trace of another program" if what else "say something"
        raise SessionError(f"There is no event in {path.name} that could be reviewed; {hint}.")
    return recording


def _path_of(store: SessionStore, what: str, current: str) -> Path:
    if what:
        path = Path(what).expanduser()
        return path if path.suffix and path.is_file() else store.find(what)
    found = find_session(store.directory, current) if current else None
    if found is None:
        raise SessionError("Nothing has been said in this session yet. Name another one: /review ID.")
    return found
