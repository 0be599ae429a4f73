"""Going on with a saved session: which one, with what of its choices, and under whose hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ml_intern.core.artifacts import Artifacts
from ml_intern.core.config import ConfigError
from ml_intern.core.events import EventStream
from ml_intern.core.origins.memory import Origins
from ml_intern.core.places import Places
from ml_intern.core.plan import Plan
from ml_intern.core.protocol import Notice
from ml_intern.core.session import Session
from ml_intern.core.settings import Effort, Settings
from ml_intern.options import Options

if TYPE_CHECKING:
    from ml_intern.core.turn import TurnRunner
    from ml_intern.sessions.log import SessionLog
    from ml_intern.sessions.restore import SavedSession


def saved_session(options: Options, places: Places, workdir: Path) -> SavedSession | None:
    """The session that `--resume` or `--continue` names.

    Raises:
        ConfigError: There is no such session, several fit, or nothing of it can be read.
    """
    if options.resume is None and not options.continue_latest:
        return None
    from ml_intern.sessions.restore import latest_session

    if options.continue_latest:
        latest = latest_session(places.sessions, workdir)
        if latest is None:
            raise ConfigError(f"There is no earlier session in {workdir} to continue.")
        return _read(latest)
    return _named(places, options.resume or "")


def _named(places: Places, prefix: str) -> SavedSession:
    """The one session whose id begins with `prefix`.

    Raises:
        ConfigError: There is no such session, several fit, or nothing of it can be read.
    """
    from ml_intern.sessions.find import sessions_by_prefix
    from ml_intern.sessions.restore import title_of
    from ml_intern.sessions.text import one_line

    found = sessions_by_prefix(places.sessions, prefix)
    if len(found) == 1 and prefix:
        return _read(found[0])
    if not found:
        what = f"whose id begins with {prefix!r}" if prefix else "to resume"
        raise ConfigError(f"There is no session {what}; `ml-intern sessions list --all` shows them all.")
    newest = "; ".join(f"{path.stem[:8]} {one_line(title_of(path), 40)}" for path in found[:5])
    raise ConfigError(f"Name one session with --resume ID. The newest: {newest}.")


def _read(path: Path) -> SavedSession:
    from ml_intern.sessions.restore import restore

    try:
        saved = restore(path)
    except OSError as error:
        raise ConfigError(f"Session {path.stem[:8]} cannot be read ({error.strerror or error}): {path}") from error
    if not saved.says_something:
        raise ConfigError(
            f"Session {saved.id[:8]} cannot be gone on with: its log holds nothing that can be read. "
            f"It stays as it is: {path}"
        )
    return saved


def workspace_of(saved: SavedSession, otherwise: Path) -> tuple[Path, str]:
    """Where a session goes on, and what is to be told of that."""
    if saved.elsewhere not in {"", str(otherwise)} and not saved.directory:
        told = f"This session was imported and goes on in {otherwise}; --workdir names another directory"
        return otherwise, f"{told} (it worked in {saved.elsewhere})."
    directory = Path(saved.directory)
    if not directory.is_absolute():  # a trace of another program need not name one
        return otherwise, ""
    if directory.is_dir():
        return directory.resolve(), ""
    return otherwise, f"This session worked in {directory}, which is gone; it goes on in {otherwise}."


def damage_of(saved: SavedSession) -> str:
    """What to tell of parts of a log that cannot be read; empty when there are none."""
    if not saved.unreadable:
        return ""
    parts = "1 entry" if saved.unreadable == 1 else f"{saved.unreadable:,} entries"
    return f"{parts} of this session's log cannot be read and {'is' if saved.unreadable == 1 else 'are'} left out."


def as_it_was(settings: Settings, saved: SavedSession, options: Options) -> Settings:
    """The settings with the choices that were made in a session, but for those that the command line names.

    Where nobody can answer, the mode is not the session's: what it asked there would be asked in vain.
    """
    before: dict[str, Any] = {}
    if saved.model and options.model is None:
        before["model_name"] = saved.model
    if saved.effort in get_args(Effort) and options.effort is None:
        before["reasoning_effort"] = saved.effort
    if saved.mode and options.mode is None and not options.headless:
        before["mode"] = saved.mode
    return settings.model_copy(update=before)


def claim(session_log: SessionLog, saved: SavedSession) -> None:
    """Makes this process the one that writes the log of a resumed session.

    Raises:
        ConfigError: Another process does, or has done so since the session was read.
    """
    from ml_intern.sessions.lock import SessionChangedError, SessionInUseError

    short = saved.id[:8]
    try:
        session_log.claim(saved.id, saved.size)
    except SessionInUseError as error:
        text = f"Session {short} is open in another ml-intern; leave it there, or work on a copy of it"
        raise ConfigError(f"{text}: `ml-intern sessions fork {short}`.") from error
    except SessionChangedError as error:
        raise ConfigError(f"Another ml-intern has just gone on with session {short}; resume it once more.") from error


def take_up(session: Session, events: EventStream, saved: SavedSession) -> None:
    """Makes a fresh session the continuation of a saved one. Its choices came with the settings: see `as_it_was`."""
    session.id = events.session_id = saved.id
    events.continue_from(saved.last_seq)
    session.context.load(saved.records)
    session.state.get(Plan).items = saved.plan
    session.budget.ledger = saved.ledger
    session.turns = saved.turns
    artifacts, origins = session.state.get(Artifacts), session.state.get(Origins)
    for event in (*saved.answers, *saved.events):
        artifacts.take(event)
        origins.take(event)


async def reopen(
    prefix: str,
    *,
    places: Places,
    runner: TurnRunner,
    events: EventStream,
    session_log: SessionLog | None,
    system_prompt: Callable[[], str],
    usable: Callable[[str], bool],
) -> str:
    """Makes the running session an earlier one of the same directory, with its model and effort; the mode stays.

    Args:
        prefix: The beginning of its id.
        places: Where sessions are kept.
        runner: Runs the session's turns.
        events: Where it is told of.
        session_log: Keeps it; None where sessions are not kept.
        system_prompt: Makes its system prompt.
        usable: Whether a model can be used.

    Returns:
        Why that cannot be, or an empty text.
    """
    session = runner.session
    try:
        saved = await asyncio.to_thread(_named, places, prefix)
        if saved.id == session.id:
            return "That session is the present one."
        there, moved = await asyncio.to_thread(workspace_of, saved, session.workspace)
        if there not in (session.workspace, session.workspace.resolve()):
            return f"That session works in {there}; `ml-intern --resume {saved.id[:8]}` goes on with it there."
        if session_log is not None:
            claim(session_log, saved)
    except (ConfigError, OSError) as error:
        return str(error)
    await session.restart(system_prompt())
    take_up(session, events, saved)
    for note in filter(None, (moved, damage_of(saved))):
        events.emit(Notice(text=note, level="warning"))
    if usable(saved.model):
        session.model = saved.model
    if saved.effort in get_args(Effort):
        session.effort = saved.effort
    runner.take_over()
    if reply := saved.open_reply:
        runner.take_up(reply.text, reply.heard, saved.model, paid=reply.paid)
    return ""
