"""Answers that break off: the connection ends before the answer does."""

from __future__ import annotations

import logging

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class ConnectionCut(Exception):  # noqa: N818 - wanted, not an error
    """Raised inside of an answer that has begun: the server then drops the connection."""


class CutAnswer(Response):
    """Headers that announce a body, and then nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the headers and drops the connection."""
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise ConnectionCut


class _Wanted(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], ConnectionCut))


_WANTED = _Wanted()


def keep_quiet() -> None:
    """Keeps the server from printing a traceback for each cut."""
    logging.getLogger("uvicorn.error").addFilter(_WANTED)
