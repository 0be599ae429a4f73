"""Makes events of the lines of a log, and keeps account of what cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from ml_intern.core.protocol import EVENT, AssistantChunk, Event, EventBase
from ml_intern.sessions.log import parse_line

log = logging.getLogger(__name__)

PREVIEW_BYTES = 16_384
"""So much of a text that lies beside the log is read for a list."""

_KNOWN = frozenset(model.model_fields["type"].default for model in get_args(get_args(Event)[0]))


@dataclass(slots=True)
class Damage:
    """What of a log cannot be read.

    Attributes:
        lines: Lines that are no event.
        unknown: Events of kinds that this version does not know.
        withheld: Events that could not be checked for secrets when they were written.
        torn: The last line is cut off.
    """

    lines: int = 0
    unknown: int = 0
    withheld: int = 0
    torn: bool = False

    @property
    def text(self) -> str:
        """A sentence for a person; empty when nothing is missing."""
        parts = [
            _counted(self.lines, "line of this log cannot be read", "lines of this log cannot be read"),
            "its last line is cut off" if self.torn else "",
            _counted(self.unknown, "event is of a kind unknown to this version", "events are of unknown kinds"),
            _counted(self.withheld, "event was withheld when it was written", "events were withheld when written"),
        ]
        said = "; ".join(part for part in parts if part)
        return f"Not all of it is here: {said}. The rest is shown." if said else ""


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}" if number else ""


class EventParser:
    """Makes the events of one log.

    Args:
        path: The log.

    Attributes:
        damage: What of it cannot be read, as far as it is known by now.
    """

    def __init__(self, path: Path) -> None:
        self.damage = Damage()
        self._path = path
        self._bad: set[int] = set()

    def event(self, at: int, raw: bytes) -> EventBase | None:
        """The event of a line, its large texts cut to a preview; None when it cannot be read.

        Args:
            at: Index of the line, which counts as damage once.
            raw: Its bytes.
        """
        if b'"$file"' not in raw:
            try:
                return EVENT.validate_json(raw)
            except ValidationError:
                pass  # a lone surrogate, a run of NUL, or no event: the slower way tells
        whole = parse_line(raw, self._path, PREVIEW_BYTES)
        try:
            return EVENT.validate_python(whole)
        except ValidationError as error:
            if at not in self._bad:
                self._bad.add(at)
                self._note(whole, error)
            return None

    def pieces(self, at: int, raw: bytes) -> Iterator[EventBase]:
        """Pieces in a row, those of one kind put together."""
        events = (self.event(at, line) for line in raw.splitlines(keepends=True))
        pieces = (event for event in events if isinstance(event, AssistantChunk))
        for _, same in groupby(pieces, key=lambda piece: piece.kind):
            first, *more = same
            text = "".join(piece.content for piece in (first, *more))
            yield first.model_copy(update={"content": text, "seq": more[-1].seq if more else first.seq})

    def _note(self, raw: dict[str, object] | None, error: ValidationError) -> None:
        kind = (raw or {}).get("type")
        log.info("%s: an event of type %s is not understood (%s)", self._path, kind, error.error_count())
        if raw is not None and "withheld" in raw:
            self.damage.withheld += 1
        elif raw is not None and kind not in _KNOWN:
            self.damage.unknown += 1
        else:
            self.damage.lines += 1
