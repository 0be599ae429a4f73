"""The sessions that a screen lists, in memory, so that a filter answers between two key presses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from ml_intern.sessions.summary import Summary

STATUS_WORDS = {
    "completed": "done",
    "limit": "cap",
    "error": "error",
    "interrupted": "interrupted",
    "running": "running",
}
PROMPT_CHARS = 400
"""So much of a first prompt is filtered by; the full text finds the rest."""

_Entry = tuple[Summary, str]


class Shelf:
    """Sessions by id, listed newest first."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._ordered: list[_Entry] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, session_id: str) -> Summary | None:
        """A session."""
        entry = self._entries.get(session_id)
        return entry[0] if entry is not None else None

    def put(self, sessions: Iterable[Summary]) -> None:
        """Takes sessions in; a known one takes the place of what was known of it."""
        for session in sessions:
            session.directory, session.model = sys.intern(session.directory), sys.intern(session.model)
            session.prompt = session.prompt[:PROMPT_CHARS]
            self._entries[session.id] = (session, _text_of(session))
        self._ordered = None

    def drop(self, ids: Iterable[str]) -> None:
        """Forgets sessions."""
        for session_id in ids:
            self._entries.pop(session_id, None)
        self._ordered = None

    def count(self, directory: str) -> int:
        """How many there are of a directory."""
        return sum([entry[0].directory == directory for entry in self._entries.values()])

    def select(self, directory: str | None, words: str, also: Mapping[str, object] | None = None) -> list[Summary]:
        """The sessions that fit.

        Args:
            directory: Only those that worked there; None for all.
            words: Only those with all these words in title, prompt, tags, model, directory or status, in any case.
            also: Ids of sessions that fit whatever their words are.
        """
        entries: Sequence[_Entry] = self._in_order()
        if directory is not None:
            entries = [entry for entry in entries if entry[0].directory == directory]
        fitting = entries
        for word in words.casefold().split():
            fitting = [entry for entry in fitting if word in entry[1]]
        if also and fitting is not entries:
            ids = {entry[0].id for entry in fitting}
            fitting = [entry for entry in entries if entry[0].id in ids or entry[0].id in also]
        return [entry[0] for entry in fitting]

    def _in_order(self) -> list[_Entry]:
        if self._ordered is None:
            self._ordered = sorted(self._entries.values(), key=lambda entry: entry[0].ended, reverse=True)
        return self._ordered


def _text_of(session: Summary) -> str:
    tags = " ".join(f"#{tag}" for tag in session.tags)
    parts = (session.name, session.prompt, tags, session.model, session.directory, STATUS_WORDS[session.status])
    return "\n".join(parts).casefold()
