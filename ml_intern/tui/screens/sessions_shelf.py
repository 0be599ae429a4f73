"""The sessions that a screen lists, in memory, so that a filter answers between two key presses."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

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


class Entry(NamedTuple):
    """A session, and the text it is filtered by."""

    session: Summary
    text: str


class _Narrowed(NamedTuple):
    """What a filter has let through.

    Attributes:
        directory: Of which directory; None for all.
        words: By which words.
        fitting: What fits, newest first.
        whole: Whether that is all there is.
    """

    directory: str | None
    words: Sequence[str]
    fitting: Sequence[Entry]
    whole: bool

    def holds(self, directory: str | None, words: Iterable[str]) -> bool:
        """Whether all that fits these words is in it."""
        return self.directory == directory and all(any(word in longer for longer in words) for word in self.words)


def entries_of(sessions: Iterable[Summary]) -> list[Entry]:
    """What a shelf takes. Thousands of them take a while; make them in a thread."""
    return [_entry(session) for session in sessions]


def _entry(session: Summary) -> Entry:
    session.directory, session.model = sys.intern(session.directory), sys.intern(session.model)
    session.prompt = session.prompt[:PROMPT_CHARS]
    tags = " ".join([f"#{tag}" for tag in session.tags])
    parts = (session.name, session.prompt, tags, session.model, session.directory, STATUS_WORDS[session.status])
    return Entry(session, "\n".join(parts).casefold())


class Shelf:
    """Sessions by id, listed newest first."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._counts: Counter[str] = Counter()
        self._ordered: list[Entry] | None = None
        self._narrowed: _Narrowed | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, session_id: str) -> Summary | None:
        """A session."""
        entry = self._entries.get(session_id)
        return entry.session if entry is not None else None

    def put(self, entries: Iterable[Entry]) -> None:
        """Takes sessions in; a known one takes the place of what was known of it."""
        for entry in entries:
            if known := self._entries.get(entry.session.id):
                self._counts[known.session.directory] -= 1
            self._entries[entry.session.id] = entry
            self._counts[entry.session.directory] += 1
        self._ordered = self._narrowed = None

    def drop(self, ids: Iterable[str]) -> None:
        """Forgets sessions."""
        for session_id in ids:
            if known := self._entries.pop(session_id, None):
                self._counts[known.session.directory] -= 1
        self._ordered = self._narrowed = None

    def count(self, directory: str) -> int:
        """How many there are of a directory."""
        return self._counts[directory]

    def select(self, directory: str | None, words: str, also: Collection[str] = ()) -> list[Summary]:
        """The sessions that fit.

        Args:
            directory: Only those that worked there; None for all.
            words: Only those with all these words in title, prompt, tags, model, directory or status, in any case.
            also: Ids of sessions that fit whatever their words are.
        """
        fitting, whole = self._fitting(directory, words.casefold().split())
        if also and not whole:
            fitting = self._with(fitting, also, directory)
        return [entry[0] for entry in fitting]

    def _fitting(self, directory: str | None, words: Sequence[str]) -> tuple[Sequence[Entry], bool]:
        """The sessions with all these words, and whether those are all. One more letter looks only at what fitted."""
        known = self._narrowed
        if known is None or not known.holds(directory, words):
            entries = self._in_order()
            here = entries if directory is None else [entry for entry in entries if entry[0].directory == directory]
            known = _Narrowed(directory, (), here, whole=True)
        fitting = known.fitting
        for word in words:
            if word not in known.words:
                fitting = [entry for entry in fitting if word in entry[1]]
        self._narrowed = _Narrowed(directory, words, fitting, known.whole and len(fitting) == len(known.fitting))
        return fitting, self._narrowed.whole

    def _with(self, fitting: Sequence[Entry], also: Collection[str], directory: str | None) -> Sequence[Entry]:
        known = {entry[0].id for entry in fitting}
        found = (self._entries.get(session_id) for session_id in also if session_id not in known)
        more = [entry for entry in found if entry and directory in (None, entry.session.directory)]
        return sorted([*fitting, *more], key=_ended, reverse=True) if more else fitting

    def _in_order(self) -> list[Entry]:
        if self._ordered is None:
            self._ordered = sorted(self._entries.values(), key=_ended, reverse=True)
        return self._ordered


def _ended(entry: Entry) -> str:
    return entry.session.ended
