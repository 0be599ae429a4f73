"""The event stream: one producer, many consumers, one order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from ml_intern.core.protocol import EventBase, utc_now

log = logging.getLogger(__name__)

EventT = TypeVar("EventT", bound=EventBase)
Consumer = Callable[[EventBase], None]


class EventSink(Protocol):
    """Where events are told."""

    def emit(self, event: EventT) -> EventT:
        """Tells an event; gives it as it was told."""
        ...


class EventStream:
    """Stamps events and hands each to every consumer, in the order they subscribed, before the next one.

    The session log subscribes first, so an event that is on a screen is already in its file. Consumers are called on
    the event loop and must be quick; one that raises is logged and does not disturb the others. An event that a
    consumer emits is delivered when every consumer has had the one before it.

    Some things are worth telling for a moment only. They are told in passing: without a number, and to those consumers
    alone that ask for it.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._seq = 0
        self._consumers: list[tuple[Consumer, bool]] = []
        self._undelivered: deque[tuple[EventBase, bool]] = deque()

    def subscribe(self, consumer: Consumer, *, passing: bool = False) -> Callable[[], None]:
        """Adds a consumer; the returned function removes it.

        Args:
            consumer: Is called with every event.
            passing: Whether it also wants to hear what is told in passing.
        """
        entry = (consumer, passing)
        self._consumers.append(entry)
        return lambda: self._consumers.remove(entry)

    def continue_from(self, seq: int) -> None:
        """Goes on counting after an earlier part of the same session."""
        self._seq = max(self._seq, seq)

    def emit(self, event: EventT) -> EventT:
        """Stamps the event and delivers it. Returns the stamped event."""
        self._seq += 1
        stamped = event.model_copy(update={"seq": self._seq, "time": utc_now(), "session_id": self.session_id})
        self._append(stamped, passing=False)
        return stamped

    def mention(self, event: EventBase) -> None:
        """Tells an event in passing."""
        if any(passing for _, passing in self._consumers):
            stamped = event.model_copy(update={"time": utc_now(), "session_id": self.session_id})
            self._append(stamped, passing=True)

    def _append(self, event: EventBase, *, passing: bool) -> None:
        self._undelivered.append((event, passing))
        if len(self._undelivered) == 1:
            self._deliver()

    def _deliver(self) -> None:
        while self._undelivered:
            event, passing = self._undelivered[0]
            try:
                for consumer, hears_passing in tuple(self._consumers):
                    if hears_passing or not passing:
                        self._hand_over(event, consumer)
            finally:
                self._undelivered.popleft()

    def _hand_over(self, event: EventBase, consumer: Consumer) -> None:
        try:
            consumer(event)
        except Exception:
            log.exception("an event consumer failed on %s", getattr(event, "type", event))
