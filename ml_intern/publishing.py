"""Publishes finished sessions as traces in a data set of the person's own on the Hub: when asked to, without secrets.

A session is published when it has ended: at the end of the program for a moment, else at the next start. What cannot be
checked for secrets stays here. Nothing runs outside of this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ml_intern.core.config import ConfigError
from ml_intern.core.places import Places
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import SharingSettings
from ml_intern.core.user_config import save_user_setting
from ml_intern.services.hub import HubClient, HubError
from ml_intern.sessions.exports import ExportError, export
from ml_intern.sessions.find import SessionFile, logs_in
from ml_intern.sessions.lock import in_use
from ml_intern.sessions.store import summary_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

log = logging.getLogger(__name__)

Action = Literal["status", "on", "off", "public", "private"]
Tell = Callable[[str, bool], None]

LEAVING_S = 8.0
"""How long the end of the program may wait for a session to be published."""
DELAYS_S = (1.0, 2.0)

_CARD = """\
---
pretty_name: ml-intern sessions
language: en
license: other
task_categories:
- text-generation
tags:
- agent-traces
- coding-agent
- ml-intern
configs:
- config_name: default
  data_files:
  - split: train
    path: sessions/**/*.jsonl
---

# Sessions of ml-intern

Each file is one session of an ML engineer in the terminal: what was asked, what it answered, which tools it called and
what they returned, one line a message, as `sessions/YYYY-MM-DD/<session id>.jsonl`.

**Read before you make this public.** Known shapes of tokens, keys and passwords were taken out before the upload, and a
session that could not be checked was not uploaded. Nobody has read the rest: it holds your prompts, your code, names of
files, and what tools printed.
"""


@dataclass(frozen=True, slots=True)
class _Told:
    """A sentence for the person, and whether it is bad news."""

    text: str
    bad: bool = False


class _OpenToAllError(Exception):
    """Everybody can read the data set, and the person has not said here that everybody may."""


class Publisher:
    """Publishes the sessions of one person.

    Args:
        hub: The way to the Hub.
        places: Where sessions and the configuration are.
        redactor: Knows the secrets of this run.
        settings: Whether and where to.
        tell: Takes a sentence, and whether it is bad news.
        delays_s: Waits between attempts.
        leaving_s: How long the end of the program may wait.
    """

    def __init__(
        self,
        hub: HubClient,
        places: Places,
        redactor: Redactor,
        settings: SharingSettings,
        tell: Tell,
        delays_s: tuple[float, ...] = DELAYS_S,
        leaving_s: float = LEAVING_S,
    ) -> None:
        self._hub = hub
        self._places = places
        self._redactor = redactor
        self._settings = settings
        self._tell = tell
        self._delays_s = delays_s
        self._leaving_s = leaving_s
        self._enabled = settings.enabled
        self._book = _Book(places.sessions / "published.json")
        self._working = asyncio.Lock()
        self._pass: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------------- by itself

    def start(self) -> None:
        """Begins to publish, in the background, what an earlier run could not."""
        if self._enabled:
            self._pass = asyncio.create_task(self._publish_pending())

    async def aclose(self, session: Path | None) -> None:
        """Publishes the session that has just ended, for a moment; what is not done then is done at the next start.

        Args:
            session: Its log, or None when there is none.
        """
        if self._pass is not None:
            self._pass.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pass
        if not self._enabled or session is None:
            return
        # What fails is tried again at the next start, which tells why.
        with contextlib.suppress(TimeoutError, HubError, ExportError, OSError, _OpenToAllError):
            async with asyncio.timeout(self._leaving_s):
                await self._publish(await asyncio.to_thread(_file, session))

    async def _publish_pending(self) -> None:
        try:
            pending = await asyncio.to_thread(self._pending)
        except OSError as error:
            log.warning("sessions to publish could not be looked for: %s", error)
            return
        done = 0
        for number, file in enumerate(pending, 1):
            if number == 1:
                self._tell(f"Publishing {_count(len(pending))} of earlier runs in the background.", False)
            try:
                done += await self._publish(file)
            except (ExportError, OSError) as error:
                self._tell(str(error), True)
            except _OpenToAllError as error:
                self._tell(str(error), True)
                return
            except HubError as error:
                self._tell(f"Sessions could not be published ({error}); this is tried again at the next start.", True)
                return
        if done:
            self._tell(f"{_count(done)} published in {await self._repo()}.", False)

    def _pending(self) -> list[SessionFile]:
        """Logs that have changed since they were published, the oldest first; none from before it was switched on."""
        since = self._book.since_ns
        found = [file for file in logs_in(self._places.sessions) if file.modified >= since]
        changed = [file for file in found if self._book.size(file.path.stem) != file.size]
        return sorted((file for file in changed if not in_use(file.path)), key=lambda file: file.modified)

    async def _publish(self, file: SessionFile) -> bool:
        """Publishes one session. False when there is nothing to publish."""
        async with self._working:
            summary = await asyncio.to_thread(summary_of, file.path)
            if not summary.turns or summary.model.startswith("demo/"):
                self._book.note(file.path.stem, file.size, "")
                return False
            text = await asyncio.to_thread(export, file.path, self._settings.format, self._redactor)
            repo = await self._repo()
            if not self._book.open_to_all and await self._is_private(repo) is False:
                raise _OpenToAllError(
                    f"Nothing is published: {repo} is PUBLIC, so everybody could read your sessions. Close it with "
                    "`/share-traces private`, or say `/share-traces public` if everybody may."
                )
            path = f"sessions/{summary.started[:10]}/{summary.id}.jsonl"
            await self._patiently(lambda api: _upload(api, repo, path, text, summary.id))
            self._book.note(summary.id, file.size, path)
            return True

    async def _patiently(self, work: Callable[[HfApi], Any]) -> Any:
        for delay in (*self._delays_s, None):
            try:
                return await self._hub.call(work)
            except HubError as error:
                if delay is None or error.kind not in ("offline", "server", "rate_limit"):
                    raise
                await asyncio.sleep(delay)
        return None

    async def _repo(self) -> str:
        return self._settings.repo.format(hf_user=(await self._hub.account()).name)

    # ------------------------------------------------------------------------------------------------- by a person

    async def carry_out(self, action: Action) -> tuple[str, bool]:
        """Does what `/share-traces` asks for. Gives a sentence and whether it is bad news."""
        work: Mapping[str, Callable[[], Awaitable[_Told]]] = {
            "status": self._status,
            "on": self._switch_on,
            "off": self._switch_off,
            "public": lambda: self._show(public=True),
            "private": lambda: self._show(public=False),
        }
        try:
            told = await work[action]()
        except (HubError, ConfigError) as error:
            return str(error), True
        return told.text, told.bad

    async def _status(self) -> _Told:
        if not self._enabled:
            return _Told(
                "Sessions stay on this machine. `/share-traces on` publishes them to a private data set of yours."
            )
        repo = await self._repo()
        private = await self._is_private(repo)
        if private is None:
            return _Told(f"Sessions are published to {repo} when they end; it is made with the first one.")
        seen = "private" if private else "PUBLIC"
        url = self._hub.web_url(repo, "dataset")
        return _Told(f"Sessions are published to {url} when they end; it is {seen}, {self._book.count} are there.")

    async def _is_private(self, repo: str) -> bool | None:
        """Whether only its owner sees the data set; None when there is none yet."""
        try:
            return bool((await self._hub.call(lambda api: api.dataset_info(repo))).private)
        except HubError as error:
            if error.kind != "no_repo":
                raise
            return None

    async def _switch_on(self) -> _Told:
        repo = await self._repo()  # first of all: without an account there is nowhere to publish to
        if await self._is_private(repo) is False:
            return _Told(
                f"{repo} is there already and PUBLIC: everybody could read your sessions. Close it with "
                "`/share-traces private` before `/share-traces on`; `/share-traces public` opens it again.",
                bad=True,
            )
        save_user_setting(self._places, "sharing.enabled", True)
        self._book.begin()
        self._enabled = True
        return _Told(
            f"From now on sessions are published to {repo} when they end; it is private. `/share-traces off` stops it."
        )

    async def _switch_off(self) -> _Told:
        save_user_setting(self._places, "sharing.enabled", False)
        self._enabled = False
        return _Told("Sessions stay on this machine from now on. What was published is still on the Hub.")

    async def _show(self, *, public: bool) -> _Told:
        repo = await self._repo()

        def change(api: HfApi) -> None:
            api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
            api.update_repo_settings(repo, repo_type="dataset", private=not public)

        await self._patiently(change)
        self._book.open_up(everybody=public)
        seen = "PUBLIC: everybody can read it" if public else "private"
        return _Told(f"{self._hub.web_url(repo, 'dataset')} is now {seen}.")


class _Book:
    """Which sessions were published as they are now, in a file beside them.

    Args:
        path: The file; a damaged one means that nothing was published.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._items: dict[str, dict[str, Any]] | None = None
        self._since = ""
        self._open = False

    @property
    def open_to_all(self) -> bool:
        """Whether the person has said that everybody may read what is published."""
        self._read()
        return self._open

    def open_up(self, *, everybody: bool) -> None:
        """Writes down who may read what is published."""
        self._read()
        self._open = everybody
        self._write()

    @property
    def since_ns(self) -> int:
        """When publishing was switched on, in nanoseconds since 1970."""
        self._read()
        with contextlib.suppress(ValueError):
            return int(datetime.fromisoformat(self._since).timestamp() * 1e9)
        self.begin()  # switched on in the configuration file: from now on
        return self.since_ns

    @property
    def count(self) -> int:
        """How many sessions were published."""
        return sum(1 for item in self._read().values() if item.get("path"))

    def size(self, session_id: str) -> int:
        """Bytes of a session's log when it was published, -1 when it was not."""
        size = self._read().get(session_id, {}).get("size")
        return size if isinstance(size, int) else -1

    def note(self, session_id: str, size: int, path: str) -> None:
        """Writes down that a session is published, or (with an empty path) that there is nothing to publish in it."""
        self._read()[session_id] = {"size": size, "path": path}
        self._write()

    def begin(self) -> None:
        """Writes down that publishing begins now."""
        self._read()
        self._since = datetime.now(UTC).isoformat()
        self._write()

    def _read(self) -> dict[str, dict[str, Any]]:
        if self._items is None:
            self._items = {}
            with contextlib.suppress(OSError, ValueError, AttributeError):
                found = json.loads(self._path.read_text(encoding="utf-8"))
                self._since, self._open = str(found.get("since") or ""), found.get("open") is True
                items = found.get("sessions") or {}
                self._items = {str(key): value for key, value in items.items() if isinstance(value, dict)}
        return self._items

    def _write(self) -> None:
        text = json.dumps({"since": self._since, "open": self._open, "sessions": self._items or {}}, indent=1)
        scratch = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            scratch.write_text(text, encoding="utf-8")
            scratch.chmod(0o600)
            scratch.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)


def _upload(api: HfApi, repo: str, path: str, text: str, session_id: str) -> None:
    """One commit with the session, and with the card where there is none yet. Never changes who may see it."""
    from huggingface_hub import CommitOperationAdd

    api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
    operations = [CommitOperationAdd(path, text.encode())]
    if not api.file_exists(repo, "README.md", repo_type="dataset"):
        operations.append(CommitOperationAdd("README.md", _CARD.encode()))
    api.create_commit(repo, operations, commit_message=f"Add session {session_id[:8]}", repo_type="dataset")


def _file(path: Path) -> SessionFile:
    about = path.stat()
    return SessionFile(str(path), about.st_size, about.st_mtime_ns)


def _count(number: int) -> str:
    return "1 session" if number == 1 else f"{number} sessions"
