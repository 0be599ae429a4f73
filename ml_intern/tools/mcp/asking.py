"""What a server asks of us while it works on a call: its roots, an answer of the person, a reply of the model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ml_intern.tools.mcp.call_log import CallLog
from ml_intern.tools.mcp.forms import Field, fields_of
from ml_intern.tools.terminal_text import clean

if TYPE_CHECKING:
    import mcp_types

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

MAX_PROMPT_CHARS = 100_000
"""A longer prompt of a server is declined: nobody would read it before allowing it."""
MAX_REPLY_TOKENS = 8192
_MAX_MESSAGE = 4000


class Declined(Exception):  # noqa: N818 - an answer, not an error
    """The person, a rule or the spending cap says no. The message says why, for the server and the log."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server would like a model to answer.

    Attributes:
        system: Its system prompt, or empty.
        messages: Roles and texts.
        max_tokens: Length of the reply.
    """

    system: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the model answered.

    Attributes:
        finish_reason: As the provider said.
    """

    text: str
    model: str
    finish_reason: str


class Attendant(Protocol):
    """Answers for the person and the model. Both methods may be cancelled, which withdraws what was asked."""

    async def sample(self, server: str, sample: Sample) -> Sampled:
        """A reply of the model. Raises `Declined`."""
        ...

    async def fill_in(self, server: str, message: str, fields: tuple[Field, ...]) -> dict[str, Any]:
        """The person's answers, by name of the field. Raises `Declined`."""
        ...

    async def visit(self, server: str, message: str, url: str) -> None:
        """Lets the person open an address. Raises `Declined`."""
        ...


@dataclass(eq=False, slots=True)
class _Running:
    """A call at work, and its time limit, which does not count while a person thinks."""

    log: CallLog
    limit: asyncio.Timeout
    rest_s: float | None = None

    def pause(self) -> None:
        when = self.limit.when()
        if when is not None and not self.limit.expired():
            self.rest_s = when - asyncio.get_running_loop().time()
            self.limit.reschedule(None)

    def resume(self) -> None:
        if self.rest_s is not None and not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time() + self.rest_s)
            self.rest_s = None


class Asking:
    """Hears one server.

    Args:
        name: The server.
        workspace: The one root it is told of.
        attendant: Who answers; None declines everything.
        note: Takes lines for the server's log.
    """

    def __init__(self, name: str, workspace: Path, attendant: Attendant | None, note: Callable[[str], None]) -> None:
        self._name = name
        self._workspace = workspace
        self._attendant = attendant
        self._note = note
        self._running: set[_Running] = set()
        self._open: set[asyncio.Task[Any]] = set()

    @contextmanager
    def during(self, call: CallLog, limit: asyncio.Timeout) -> Iterator[None]:
        """A call is at work. What a server asks at other times is declined, what it still asks at the end withdrawn."""
        running = _Running(call, limit)
        self._running.add(running)
        try:
            yield
        finally:
            self._running.discard(running)
            if not self._running:
                for task in self._open:
                    task.cancel()

    # ------------------------------------------------------------------------------------- called by the client

    async def on_log(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        """A message of the server."""
        text = params.data if isinstance(params.data, str) else str(params.data)
        log.info("MCP server %s says (%s): %s", self._name, params.level, text[:2000])
        self._note(f"{params.level}: {text[:2000]}")
        if len(self._running) == 1:  # the protocol does not say which call a message belongs to
            next(iter(self._running)).log.message(params.level, text)

    async def on_roots(self, context: Any) -> mcp_types.ListRootsResult:  # noqa: ARG002 - called by position
        """Where it may work. Some servers take what they may touch from here: the workspace, and nothing beyond."""
        from mcp_types import ListRootsResult, Root

        return ListRootsResult(roots=[Root(uri=self._workspace.as_uri(), name=self._workspace.name)])

    async def on_elicit(self, context: Any, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:  # noqa: ARG002
        """It would like to know something from the person."""
        from mcp_types import ElicitResult

        message = clean(params.message)[:_MAX_MESSAGE]
        try:
            if params.mode == "url":
                await self._answered(lambda who: who.visit(self._name, message, params.url))
                return ElicitResult(action="accept")
            fields = fields_of(params.requested_schema)
            content = await self._answered(lambda who: who.fill_in(self._name, message, fields))
            return ElicitResult(action="accept", content=content)
        except Declined as declined:
            self._tell(f"the server asked for input, which was declined ({declined}): {message}")
            return ElicitResult(action="decline")
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            return ElicitResult(action="cancel")

    async def on_sample(
        self,
        context: Any,  # noqa: ARG002 - called by position
        params: mcp_types.CreateMessageRequestParams,
    ) -> mcp_types.CreateMessageResult | mcp_types.ErrorData:
        """It would like a model to answer something."""
        from mcp_types import CreateMessageResult, ErrorData, TextContent

        try:
            sample = _sample_of(params)
            reply = await self._answered(lambda who: who.sample(self._name, sample))
        except Declined as declined:
            self._tell(f"the server asked for a reply of the model, which was declined: {declined}")
            return ErrorData(code=-1, message=f"The client declined: {declined}")
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            return ErrorData(code=-1, message="The client withdrew the request.")
        self._tell(f"{reply.model} answered the server: {len(reply.text):,} characters")
        return CreateMessageResult(
            role="assistant",
            content=TextContent(type="text", text=reply.text),
            model=reply.model,
            stop_reason="maxTokens" if reply.finish_reason == "length" else "endTurn",
        )

    # ------------------------------------------------------------------------------------------------- waiting

    async def _answered(self, ask: Callable[[Attendant], Coroutine[Any, Any, Answer]]) -> Answer:
        """The answer; the calls' time limits stand still meanwhile."""
        if self._attendant is None:
            raise Declined("nobody is here to answer")
        if not self._running:
            raise Declined("it did not belong to a call")
        calls = tuple(self._running)
        task = asyncio.create_task(ask(self._attendant))
        if not self._open:
            for call in calls:
                call.pause()
        self._open.add(task)
        try:
            return await task
        finally:
            task.cancel()
            self._open.discard(task)
            if not self._open:
                for call in self._running:
                    call.resume()

    def _tell(self, text: str) -> None:
        self._note(text)
        for call in self._running:
            call.log.message("notice", text)


def _sample_of(params: mcp_types.CreateMessageRequestParams) -> Sample:
    """The request in plain text.

    Raises:
        Declined: It holds pictures or sound, or far too much.
    """
    messages = []
    for message in params.messages:
        blocks = message.content if isinstance(message.content, list) else [message.content]
        texts = [getattr(block, "text", None) for block in blocks]
        if not all(isinstance(text, str) for text in texts):
            raise Declined("only text can be answered")
        messages.append((message.role, clean("\n".join(filter(None, texts)))))
    sample = Sample(clean(params.system_prompt or ""), tuple(messages), min(params.max_tokens, MAX_REPLY_TOKENS))
    if sum(len(text) for _, text in (*sample.messages, ("", sample.system))) > MAX_PROMPT_CHARS:
        raise Declined(f"its prompt has more than {MAX_PROMPT_CHARS:,} characters")
    if not messages or sample.max_tokens < 1:
        raise Declined("it asks for nothing")
    return sample
