"""Tells people who are away: what needs an answer, what failed, what is done goes to the destinations that want it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from ml_intern.core.protocol import ApprovalRequired, ErrorEvent, EventBase, TurnComplete
from ml_intern.core.settings import MessagingSettings
from ml_intern.services.slack import Severity, Slack, SlackError

log = logging.getLogger(__name__)

ERROR_CHARS = 500
CLOSING_S = 10.0
"""How long the last messages may take when the program ends."""
MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class _News:
    kind: str
    title: str
    text: str
    severity: Severity


class Notifier:
    """A consumer of events that sends some of them on, one after another, in a task of its own.

    Args:
        slack: Sends.
        settings: Which events go where.
        redact: Takes secrets out of a text.
    """

    def __init__(self, slack: Slack, settings: MessagingSettings, redact: Callable[[str], str]) -> None:
        self._slack = slack
        self._settings = settings
        self._redact = redact
        self._queue: asyncio.Queue[tuple[_News, str]] = asyncio.Queue(MOST_WAITING)
        self._task: asyncio.Task[None] | None = None

    def __call__(self, event: EventBase) -> None:
        """Takes an event."""
        news = _news(event)
        if news is None or not self._settings.enabled or news.kind not in self._settings.auto_event_types:
            return
        with contextlib.suppress(asyncio.QueueFull):  # a hundred unsent messages tell enough
            self._queue.put_nowait((news, event.session_id))
        if self._task is None:
            self._task = asyncio.create_task(self._send_all())

    async def aclose(self) -> None:
        """Sends what still waits, for a moment, and ends."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._queue.join()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _send_all(self) -> None:
        while True:
            news, session_id = await self._queue.get()
            try:
                for name, destination in self._settings.destinations.items():
                    if destination.allow_auto_events:
                        await self._send(name, news, session_id)
            finally:
                self._queue.task_done()

    async def _send(self, name: str, news: _News, session_id: str) -> None:
        destination = self._settings.destinations[name]
        try:
            await self._slack.send(
                destination,
                self._redact(news.text),
                title=news.title,
                severity=news.severity,
                about={"session": session_id[:8]},
            )
        except SlackError as error:
            log.warning("nobody was told at %s: %s", name, error)


def _news(event: EventBase) -> _News | None:
    match event:
        case ApprovalRequired():
            tools = ", ".join(sorted({item.tool for item in event.tools}))
            reasons = "\n".join(f"• {item.tool}: {item.reason}" for item in event.tools)
            calls = "1 call waits" if event.count == 1 else f"{event.count} calls wait"
            return _News("approval_required", f"{calls} for approval ({tools})", reasons, "warning")
        case ErrorEvent() if event.ends_turn:
            return _News("error", "The turn failed", event.error[:ERROR_CHARS], "error")
        case TurnComplete():
            done = event.reason == "completed"
            title = "Done" if done else f"Stopped: {event.reason.replace('_', ' ')}"
            return _News("turn_complete", title, event.final_response, "success" if done else "warning")
    return None
