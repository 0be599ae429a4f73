"""What is asked of a model and what comes back, whichever way it is reached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ml_intern.core.context.messages import Message, ToolCall

CallKind = Literal["main", "research", "compaction", "probe", "sampling", "aside"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply as the provider counted them.

    Attributes:
        estimated: The provider sent no usage; the figures are ours.
        cost_usd: Cost as reported by the provider, if it reports one.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cost_usd: float | None = None

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a model.

    Attributes:
        model: Full id as the user gave it (`vllm/x`, `anthropic/claude-…`).
        messages: The conversation, system message first.
        tools: Tools in the OpenAI function format.
        stream: Whether deltas are wanted as they come.
        effort: Reasoning effort, or empty for none.
        max_tokens: Upper limit of the reply, or None for the provider's own.
        kind: What the call is for; goes into the ledger.
        session_id: Sent as a header or cache key where the provider knows one.
        images: Data URLs of the images that are shown, by the names of their files. An image of a message that is not
            among them is named only.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    stream: bool = True
    effort: str = ""
    max_tokens: int | None = None
    kind: CallKind = "main"
    session_id: str = ""
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawToolCall:
    """A tool call as the model wrote it; `arguments` may be anything."""

    id: str
    name: str
    arguments: str

    def as_history(self, arguments: str) -> ToolCall:
        """The call with arguments that are known to be a JSON object."""
        return ToolCall(self.id, self.name, arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply.

    Attributes:
        content: The answer text.
        reasoning: Reasoning text, if the provider shows it.
        tool_calls: Calls in the order the model made them.
        finish_reason: `stop`, `tool_calls`, `length`, `content_filter`, ... as the provider said.
        usage: Tokens.
        provider: Fields to be replayed (see `Message.provider`).
        model: Id of the model that answered, as the provider reports it.
        latency_ms: From sending the request to the end of the reply.
    """

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[RawToolCall, ...] = ()
    finish_reason: str = ""
    usage: Usage = Usage()
    provider: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a reply as it arrives.

    Attributes:
        kind: `restart` voids every piece so far: the attempt broke off and is made again.
        text: The piece.
        index: Which tool call a `tool_name` or `tool_arguments` piece belongs to.
    """

    kind: Literal["text", "reasoning", "tool_name", "tool_arguments", "restart"]
    text: str = ""
    index: int = 0


Chunk = dict[str, Any]
"""One OpenAI-shaped `chat.completion.chunk` as a plain dict."""


class Transport(Protocol):
    """A way to reach a model. Does one attempt; retrying is the client's business.

    A reply that was not streamed comes as one chunk whose `delta` is the whole message.
    """

    def send(self, request: Request) -> AsyncIterator[Chunk]:
        """Yields the reply's chunks.

        Raises:
            LLMError: Typed by exception and HTTP status. A stream that breaks off raises one of kind `stream_cut`.
        """
        ...

    async def aclose(self) -> None:
        """Closes connections."""
        ...


OnDelta = Callable[[Delta], None]
OnNotice = Callable[[str], None]
"""Takes a sentence for a person: a retry and its reason, a healed parameter."""


class LLM(Protocol):
    """What the turn loop needs of a model: one method that asks, retries and gives a whole reply."""

    async def ask(self, request: Request, on_delta: OnDelta | None = None, on_notice: OnNotice | None = None) -> Reply:
        """The reply to a request.

        Args:
            request: What to ask.
            on_delta: Called with each piece as it streams in.
            on_notice: Called before each wait for another attempt.

        Raises:
            LLMError: No reply could be had.
        """
        ...

    def takes_images(self, model: str) -> bool | None:
        """Whether a model takes images; None when nobody knows, so that it has to be tried."""
        ...

    async def aclose(self) -> None:
        """Closes connections."""
        ...
