"""Why a model could not answer, as one typed error with a sentence a person can act on."""

from __future__ import annotations

from typing import Literal

ErrorKind = Literal[
    "auth",
    "billing",
    "model_not_found",
    "provider_unsupported",
    "rate_limit",
    "server",
    "timeout",
    "connection",
    "stream_cut",
    "context_overflow",
    "effort_unsupported",
    "thinking_signature",
    "content_filter",
    "bad_request",
    "no_key",
    "no_model",
    "internal",
]


class LLMError(Exception):
    """No reply.

    Attributes:
        kind: What went wrong, decided from exception type and HTTP status first and the body's words last.
        message: One sentence for a person, with the next step.
        status: HTTP status, if there was one.
        retry_after: Seconds the server asked to wait, if it did.
        detail: The server's own words, redacted, for the log and for learning limits from them.
        partial: Text that had arrived before a stream broke off.
    """

    RETRYABLE = frozenset({"rate_limit", "server", "timeout", "connection", "stream_cut"})

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        detail: str = "",
        partial: str = "",
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.detail = detail
        self.partial = partial

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in self.RETRYABLE
