"""What a session has put on the Hub, as far as its tools and their output tell.

It comes out of `artifact` events alone, so what is read back from a session's log equals what was kept live.
"""

from __future__ import annotations

from ml_intern.core.protocol import ArtifactEvent, EventBase
from ml_intern.core.tools.spec import ToolContext


class ArtifactError(Exception):
    """An artifact could not be changed; the text is a sentence for people."""


class Artifacts:
    """The artifacts of one session, one entry for each, oldest first."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], ArtifactEvent] = {}

    @property
    def items(self) -> tuple[ArtifactEvent, ...]:
        """All that is known of each, those that were deleted again included."""
        return tuple(self._items.values())

    def find(self, kind: str, artifact_id: str) -> ArtifactEvent | None:
        """What is known of one."""
        return self._items.get((kind, artifact_id))

    def take(self, event: EventBase) -> bool:
        """Takes what an event says of an artifact. False when it says nothing new."""
        if not isinstance(event, ArtifactEvent):
            return False
        known = self._items.get((event.kind, event.id))
        merged = event if known is None else _merged(known, event)
        if known is not None and _facts(merged) == _facts(known):
            return False
        self._items[event.kind, event.id] = merged
        return True


def record(context: ToolContext, event: ArtifactEvent) -> None:
    """Remembers an artifact of the session and tells of it."""
    context.state.get(Artifacts).take(event)
    context.emit(event)


def _merged(known: ArtifactEvent, new: ArtifactEvent) -> ArtifactEvent:
    state = new.state
    if new.state == "found" and known.state != "deleted":
        state = known.state
    elif new.state == "updated" and known.state == "created":
        state = "created"  # what the session has made stays its own, however often it is changed
    return new.model_copy(
        update={
            "state": state,
            "url": new.url or known.url,
            "private": known.private if new.private is None else new.private,
            "size": known.size if new.size is None else new.size,
            "via": known.via if new.state == "found" else new.via or known.via,
        }
    )


def _facts(event: ArtifactEvent) -> dict[str, object]:
    return event.model_dump(exclude={"seq", "time", "session_id"})
