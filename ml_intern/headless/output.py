"""What goes to standard output, in the format that was asked for."""

from __future__ import annotations

import json
from typing import Literal, Protocol

from pydantic_core import PydanticSerializationError

from ml_intern.core.plain_text import plain
from ml_intern.core.protocol import EventBase
from ml_intern.core.redact import Redactor
from ml_intern.headless.outcome import Outcome
from ml_intern.headless.streams import Stream


class Output(Protocol):
    """A format."""

    def event(self, event: EventBase) -> None:
        """Takes an event as it happens."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Takes the outcome, after the last event."""
        ...


class TextOutput:
    """The answer, and nothing else."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def event(self, event: EventBase) -> None:
        """Nothing is shown before the answer is known to be the answer."""

    def finish(self, outcome: Outcome) -> None:
        """Writes the answer, if there is one."""
        if outcome.result:
            self._stream.write_line(plain(outcome.result).rstrip("\n"))


class JSONOutput:
    """One object at the end."""

    def __init__(self, stream: Stream, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def event(self, event: EventBase) -> None:
        """The object says it all."""

    def finish(self, outcome: Outcome) -> None:
        """Writes the object."""
        self._stream.write_line(json.dumps(self._redactor.data(outcome.as_object())))


class StreamJSONOutput:
    """One event a line, as they happen. The exact history stays in the session log; here it would only repeat them."""

    def __init__(self, stream: Stream, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def event(self, event: EventBase) -> None:
        """Writes the event."""
        if getattr(event, "type", "") == "history":
            return
        try:
            line = event.model_dump_json()
        except PydanticSerializationError:  # a lone surrogate: no UTF-8, but JSON can escape it
            line = json.dumps(event.model_dump())
        self._stream.write_line(self._redactor.text(line))

    def finish(self, outcome: Outcome) -> None:
        """The events have said it all."""


def create_output(kind: Literal["text", "json", "stream-json"], stream: Stream, redactor: Redactor) -> Output:
    """The output for a value of `--output`."""
    if kind == "json":
        return JSONOutput(stream, redactor)
    if kind == "stream-json":
        return StreamJSONOutput(stream, redactor)
    return TextOutput(stream)
