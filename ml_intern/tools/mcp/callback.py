"""Where the browser comes back to after a sign-in: a server on loopback that hears one answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

PATH = "/callback"
_MAX_LINE = 16_384
_READ_S = 10.0
_DONE = "You are signed in. Close this page and go back to ml-intern."
_FAILED = "The sign-in did not work out. Go back to ml-intern; it says why."


class SignInError(Exception):
    """A sign-in did not come to its end. The message is one sentence for a person."""


class Callback:
    """Listens as long as the block lasts.

    Args:
        port: Wanted port of 127.0.0.1; 0, or one that is taken: any free one.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._state = ""
        self._server: asyncio.Server | None = None
        self._answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    @property
    def port(self) -> int:
        """The port it listens at."""
        return self._port

    @property
    def url(self) -> str:
        """The address the browser is sent to."""
        return f"http://127.0.0.1:{self._port}{PATH}"

    def expect(self, authorization_url: str) -> None:
        """Takes from now on the answer to this request, and no other."""
        self._state = parse_qs(urlsplit(authorization_url).query).get("state", [""])[0]

    async def answer(self) -> dict[str, str]:
        """The parameters the browser brought back.

        Raises:
            SignInError: The person declined, or the server refused.
        """
        answer = await self._answer
        if "code" not in answer:
            reason = answer.get("error_description") or answer.get("error") or "it sent no code"
            raise SignInError(f"the sign-in was refused: {reason[:300]}")
        return answer

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=_MAX_LINE)
        except OSError:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_LINE)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._answer.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_READ_S):
                request = await reader.readuntil(b"\r\n\r\n")
            status, text = self._take(request.split(b"\r\n", 1)[0].decode("latin-1"))
            body = f"<!doctype html><meta charset=utf-8><title>ml-intern</title><p>{text}</p>".encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()

    def _take(self, request_line: str) -> tuple[str, str]:
        """Status and text of the page. Other pages of the browser can come here too, so the state must be right."""
        method, target, _ = request_line.split(" ", 2)
        parts = urlsplit(target)
        answer = {name: values[0] for name, values in parse_qs(parts.query).items()}
        known = bool(self._state) and secrets.compare_digest(answer.get("state", "").encode(), self._state.encode())
        if method != "GET" or parts.path != PATH or not known:
            return "404 Not Found", "There is nothing here."
        if not self._answer.done():
            self._answer.set_result(answer)
        return "200 OK", _DONE if "code" in answer else _FAILED
