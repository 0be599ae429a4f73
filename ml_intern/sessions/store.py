"""What people do with whole sessions: name, tag, copy, throw away, bring back."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ml_intern.core.protocol import EventBase, SessionMeta, utc_now
from ml_intern.core.redact import WITHHELD, Redactor
from ml_intern.core.session import new_session_id
from ml_intern.sessions.aside import files_of, put_aside
from ml_intern.sessions.find import TRASH, SessionFile, logs_in, sessions_by_prefix
from ml_intern.sessions.image_files import copy_images
from ml_intern.sessions.lock import SessionInUseError, SessionLock, in_use
from ml_intern.sessions.log import find_session, make_private_directories, read_session
from ml_intern.sessions.replay_cut import cut
from ml_intern.sessions.summary import Summary, whole
from ml_intern.sessions.text import one_line

_TAIL_BYTES = 65_536


class SessionError(Exception):
    """Something that was asked of a session cannot be done. The message is one sentence with the next step."""


class SessionStore:
    """The sessions of a directory as things that can be handled.

    Args:
        directory: Where session logs live.
        redactor: Takes secrets out of what is written.

    Attributes:
        trash: Where deleted sessions wait.
    """

    def __init__(self, directory: Path, redactor: Redactor) -> None:
        self.directory = directory
        self.trash = directory / TRASH
        self.redactor = redactor

    # -------------------------------------------------------------------------------------------------- finding

    def find(self, prefix: str) -> Path:
        """The log of the one session whose id begins like this.

        Raises:
            SessionError: There is none, or there are several.
        """
        return self._only(self.directory, prefix, "session")

    def _only(self, directory: Path, prefix: str, what: str) -> Path:
        found = sessions_by_prefix(directory, prefix) if prefix else []
        if len(found) == 1:
            return found[0]
        if not found:
            known = "`ml-intern sessions list --all` shows them all"
            if what == "session" and prefix and sessions_by_prefix(self.trash, prefix):
                known = f"it is in the trash; `ml-intern sessions restore {prefix}` brings it back"
            raise SessionError(f"There is no {what} whose id begins with {prefix!r}; {known}.")
        some = ", ".join(path.stem for path in found[:5]) + (" …" if len(found) > 5 else "")
        raise SessionError(f"{len(found)} sessions have an id that begins with {prefix!r}: {some}; give more of it.")

    # -------------------------------------------------------------------------------------------------- telling

    def rename(self, path: Path, title: str) -> None:
        """Gives a session a name; an empty one goes back to the first prompt.

        Raises:
            SessionError: It is being written by another process.
        """
        self._tell(path, SessionMeta(title=one_line(title, 200)))

    def tag(self, path: Path, tags: Iterable[str]) -> tuple[str, ...]:
        """Adds tags to a session; one that begins with a hyphen is taken off. Returns all tags.

        Raises:
            SessionError: It is being written by another process.
        """
        kept = dict.fromkeys(summary_of(path).tags)
        for tag in tags:
            if tag.startswith("-"):
                kept.pop(tag[1:], None)
            elif name := one_line(tag, 60):
                kept[name] = None
        self.set_tags(path, kept)
        return tuple(kept)

    def set_tags(self, path: Path, tags: Iterable[str]) -> None:
        """Gives a session these tags and no others.

        Raises:
            SessionError: It is being written by another process.
        """
        self._tell(path, SessionMeta(tags=tuple(one_line(tag, 60) for tag in tags)))

    def _tell(self, path: Path, event: EventBase) -> None:
        """Appends an event. The time of the file stays: it tells when the session was used last."""
        lock = _lock(path, "it can be changed there")
        try:
            about = path.stat()
            seq, torn = _last_seq(path)
            stamped = event.model_copy(update={"seq": seq + 1, "time": utc_now(), "session_id": path.stem})
            line = clean_line(self.redactor, stamped.model_dump(mode="json"))
            with path.open("ab") as file:
                file.write((b"\n" if torn else b"") + line)
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        finally:
            lock.release()

    # -------------------------------------------------------------------------------------------------- copying

    def fork(self, path: Path, *, last_seq: int | None = None) -> Path:
        """Copies a session under a new id, up to an event or the whole of it. The original stays as it is.

        Args:
            path: Its log.
            last_seq: Number of the last event to copy. A turn that is cut off by it ends as interrupted, and calls
                whose result would be missing get one that says so.

        Returns:
            The log of the copy.

        Raises:
            SessionError: There is nothing in it that can be read.
        """
        target = self.new_log(new_session_id(), utc_now())
        events = read_session(path) if last_seq is None else cut(read_session(path, last_seq=last_seq), last_seq)
        origin = {"type": "session_meta", "origin": f"fork of {path.stem}"}
        copied = [{**event, "session_id": target.stem} for event in events]
        if not copied:
            raise SessionError(f"There is nothing in session {path.stem[:8]} that can be read: {path}")
        copy_images(copied, files_of(path), files_of(target))
        self.write(target, [*copied, origin])
        return target

    def new_log(self, session_id: str, started: str) -> Path:
        """Where the log of a new session belongs."""
        return self.directory / started[:4] / started[5:7] / f"{session_id}.jsonl"

    def write(self, path: Path, events: Iterable[Mapping[str, Any]]) -> None:
        """Writes a whole log at once, without secrets: it is there completely or not at all."""
        make_private_directories(path.parent)
        unfinished = path.with_suffix(f".{os.getpid()}")
        seq = 0
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for event in events:
                    seq = max(seq, _seq(event)) if "seq" in event else seq + 1
                    stamp = {"seq": seq, "time": event.get("time") or utc_now(), "session_id": path.stem}
                    file.write(clean_line(self.redactor, {**stamp, **event}, files_of(path)))
            unfinished.replace(path)
        except BaseException:
            if not path.exists():
                shutil.rmtree(files_of(path), ignore_errors=True)
            raise
        finally:
            unfinished.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------- throwing away, bringing back

    def delete(self, path: Path) -> None:
        """Puts a session into the trash. One of the same id that lies there already stays, under another id.

        Raises:
            SessionError: It is being written by another process.
        """
        lock = _lock(path, "leave it first")
        try:
            earlier = find_session(self.trash, path.stem)
            if earlier is not None:
                _move(earlier, earlier.with_stem(self._free_id(path.stem)))
            _move(path, self.trash / path.relative_to(self.directory), files_last=True)
        finally:
            lock.release()

    def restore(self, prefix: str) -> Path:
        """Brings the one session in the trash whose id begins like this back to its place, and returns its log.

        Where there is a session of that id again, it comes back under another one.

        Raises:
            SessionError: There is none, or there are several.
        """
        path = self._only(self.trash, prefix, "session in the trash")
        target = self.directory / path.relative_to(self.trash)
        if find_session(self.directory, path.stem) is not None:
            target = target.with_stem(self._free_id(path.stem))
        _move(path, target)
        return target

    def _free_id(self, session_id: str) -> str:
        """An id like this one that no session has, in the trash or outside of it."""
        others = (f"{session_id[:120]}-{number}" for number in itertools.count(2))
        return next(
            name for name in others if not any(find_session(place, name) for place in (self.directory, self.trash))
        )

    def older_than(self, age: timedelta, *, in_trash: bool = False) -> list[SessionFile]:
        """Sessions that nobody has used for so long, the oldest first; none that is in use."""
        before = (datetime.now(UTC) - age).timestamp() * 1e9
        files = [file for file in logs_in(self.trash if in_trash else self.directory) if file.modified < before]
        return sorted((file for file in files if not in_use(file.path)), key=lambda file: file.modified)

    def destroy(self, path: Path) -> None:
        """Deletes a session in the trash for good."""
        shutil.rmtree(files_of(path), ignore_errors=True)
        path.unlink(missing_ok=True)


def summary_of(path: Path) -> Summary:
    """The summary of a log, read from the beginning.

    Raises:
        OSError: It cannot be read.
    """
    summary = Summary(path.stem)
    for event in read_session(path):
        summary.take(event)
    if summary.status == "running" and not in_use(path):
        summary.status = "interrupted"
    return summary


def clean_line(redactor: Redactor, event: Mapping[str, Any], files: Path | None = None) -> bytes:
    """An event as a line of a log, without secrets; one that cannot be checked says so instead of what it held.

    Args:
        redactor: Takes secrets out.
        event: The event.
        files: Where its large texts are kept; None to leave them in the line.
    """
    clean = redactor.data(dict(event))
    if files is not None and clean is not WITHHELD:
        clean = put_aside(clean, files)
    text = clean if clean is WITHHELD else redactor.text(json.dumps(clean))
    if text is WITHHELD:
        kept = {key: event.get(key) for key in ("seq", "time", "session_id", "type")}
        text = json.dumps({**kept, "withheld": WITHHELD})
    return text.encode() + b"\n"


def _lock(path: Path, advice: str) -> SessionLock:
    try:
        return SessionLock.take(path)
    except SessionInUseError as error:
        raise SessionError(f"Session {path.stem[:8]} is open in another ml-intern; {advice}.") from error


def _last_seq(path: Path) -> tuple[int, bool]:
    """The number of the last event, and whether the file ends in the middle of a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    numbers = [_seq(event) for line in tail.split(b"\n") if (event := _loads(line)) is not None]
    if not numbers:
        numbers = [_seq(event) for event in read_session(path)]
    return max(numbers, default=0), bool(tail) and not tail.endswith(b"\n")


def _loads(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _seq(event: Mapping[str, Any]) -> int:
    return whole(event.get("seq"))


def _move(path: Path, target: Path, *, files_last: bool = False) -> None:
    """Moves a session. When it is killed in between, what lies beside the log is where the session can be used."""
    make_private_directories(target.parent)
    if files_last:
        path.replace(target)
    if files_of(path).is_dir():
        files_of(path).replace(files_of(target))
    if not files_last:
        path.replace(target)
