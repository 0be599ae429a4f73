"""Server-sent events, as far as model servers use them: the data of each event, and nothing else."""

from __future__ import annotations

MAX_EVENT_BYTES = 64 * 1024 * 1024


class SSEParser:
    """Turns bytes, split anywhere, into the data of whole events.

    Lines end with LF or CRLF. Comments and fields other than `data` are skipped; several data lines of one event are
    joined by newlines. Bytes are decoded only once a line is whole, so that a character may be split between reads.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[str]:
        """Takes the next bytes; returns the data of the events they complete.

        Raises:
            ValueError: One event is larger than any reply can be.
        """
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        events: list[str] = []
        for line in lines:
            content = line.rstrip(b"\r")
            if content.startswith(b"data:"):
                self._data.append(content[5:].removeprefix(b" "))
                self._size += len(content)
            elif not content and self._data:
                events.append(self._dispatch())
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError("an event is too large")
        return events

    def close(self) -> list[str]:
        """The event at the end of the stream that no blank line completed, if there is one."""
        events = self.feed(b"\n") if self._rest else []
        return [*events, self._dispatch()] if self._data else events

    def _dispatch(self) -> str:
        data = b"\n".join(self._data).decode("utf-8", "replace")
        self._data, self._size = [], 0
        return data
