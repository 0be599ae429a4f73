"""Why a model could not answer, as one typed error with a sentence a person can act on."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from json import dumps
from typing import TYPE_CHECKING, Any, Literal

from ml_intern.core.llm.error_bodies import words_of
from ml_intern.core.llm.sentences import address_step, quote, sentence

if TYPE_CHECKING:
    from ml_intern.core.llm.routing import Route

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

_MAX_DETAIL = 2_000
_LITELLM_PREFIX = re.compile(r"^(?:(?:litellm\.)?\w+Error: )*(?:\w+Exception - )?")
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f]+")


class LLMError(Exception):
    """No reply.

    Attributes:
        kind: What went wrong, decided from exception type and HTTP status first and the body's words last.
        message: One sentence for a person, with the next step.
        status: HTTP status, if there was one.
        retry_after: Seconds the server asked to wait, if it did.
        detail: The server's own words, redacted, for the log and for learning limits from them.
        partial: Text that had arrived before a stream broke off.
        unreachable: There was no server to talk to: nothing listens there, or the name does not exist.
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
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.detail = detail
        self.partial = partial
        self.unreachable = unreachable

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in self.RETRYABLE


def from_status(status: int, body: str, headers: Mapping[str, str], route: Route) -> LLMError:
    """The error that an HTTP answer means.

    Args:
        status: HTTP status, 400 or above (or a redirect, which is never followed).
        body: The answer's text.
        headers: The answer's headers.
        route: Where the request went.
    """
    words, code = words_of(body)
    if status < 400 and (target := headers.get("location")):
        words = f"it redirects to {target}"
    detail = _clean(words, route)
    kind = _kind_of(status, f"{code} {detail}")
    return LLMError(
        kind,
        sentence(kind, status, detail, route),
        status=status,
        retry_after=retry_after_from(headers),
        detail=detail,
    )


def from_exception(error: BaseException, route: Route) -> LLMError:
    """The error that an exception of an HTTP client or of litellm means; one of ours is returned as it is."""
    if isinstance(error, LLMError):
        return error
    if found := _transport_fault(error, route):
        return found
    status = getattr(error, "status_code", None)
    text = _text_of(error)
    if kind := _LITELLM_KINDS.get(type(error).__name__):
        detail = _clean(words_of(text)[0], route)
        return LLMError(kind, sentence(kind, status, detail, route), status=status, detail=detail)
    if isinstance(status, int) and status >= 300:
        return from_status(status, text, _headers_of(error), route)
    detail = _clean(text, route)
    quoted = f"{type(error).__name__}: {quote(detail)}"
    return LLMError("internal", f"The request to {route.address} could not be made ({quoted}).", detail=detail)


def from_stream_error(payload: object, route: Route) -> LLMError:
    """The error that an error object inside a running reply means."""
    error = payload if isinstance(payload, dict) else {"message": str(payload)}
    code = str(error.get("code") or error.get("status") or error.get("status_code") or "")
    status = int(code) if re.fullmatch(r"[345]\d\d", code) else None
    detail = _clean(str(error.get("message") or error.get("detail") or error), route)
    kind = _kind_of(status or 400, f"{code} {error.get('type') or ''} {detail}")
    if kind == "server" or (kind == "bad_request" and status is None):
        text = f"The reply from {route.address} broke off with an error: {quote(detail)}."
        return LLMError("stream_cut", text, status=status, detail=detail)
    return LLMError(kind, sentence(kind, status, detail, route), status=status, detail=detail)


def stream_cut(route: Route, why: str, partial: str = "") -> LLMError:
    """A reply that broke off; `why` completes the sentence "The reply from … "."""
    text = f"The reply from {route.address} {why}; send the prompt again or choose another model with /model."
    return LLMError("stream_cut", text, partial=partial)


def timed_out(route: Route, seconds: float, *, connecting: bool = False) -> LLMError:
    """No byte came in time."""
    what = "could not be reached" if connecting else "sent nothing"
    text = f"{route.address} {what} for {seconds:g} s; check the server, or choose another model with /model."
    return LLMError("timeout", text)


def unreachable(route: Route, why: str) -> LLMError:
    """Nobody answers at that address."""
    step = f"start the server or {address_step(route)}" if route.is_local else "check the network and the address"
    return LLMError("connection", f"No connection to {route.address} ({why}); {step}.", detail=why, unreachable=True)


def no_api(route: Route, page: str) -> LLMError:
    """Where a reply was expected came a web page: that address is not the one of an API."""
    detail = _clean(words_of(page)[0], route)
    said = f" ({quote(detail)})" if detail else ""
    text = f"{route.address} answered with a web page{said} and not with a reply; {address_step(route)}."
    return LLMError("bad_request", text, detail=detail)


def retry_after_from(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait, from `Retry-After` as seconds or as a date, or from `retry-after-ms`."""
    lowered = {str(name).lower(): str(value).strip() for name, value in headers.items()}
    if milliseconds := _number(lowered.get("retry-after-ms", "")):
        return milliseconds / 1000
    value = lowered.get("retry-after", "")
    if (seconds := _number(value)) is not None or not value:
        return seconds
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


# ---------------------------------------------------------------------------------------------------- which kind


def _kind_of(status: int, text: str) -> ErrorKind:
    from ml_intern.core.llm import wordings  # long patterns, of which most sessions need none

    if status in {400, 413, 422}:
        return _kind_of_refusal(status, text)
    if status == 402:
        return "billing"
    if status in {401, 403}:
        return "billing" if status == 403 and wordings.is_billing(text) else "auth"
    if status == 404:
        return "provider_unsupported" if wordings.is_unserved(text) else "model_not_found"
    if status == 408:
        return "timeout"
    if status == 429:
        return _kind_of_limit(text)
    if status in {409, 425} or status >= 500:
        # Some servers report a conversation that does not fit as their own failure; repeating it would change nothing.
        return "context_overflow" if status != 409 and wordings.is_overflow(text) else "server"
    return "bad_request"


def _kind_of_refusal(status: int, text: str) -> ErrorKind:
    from ml_intern.core.llm import wordings

    tests: tuple[tuple[Any, ErrorKind], ...] = (
        (wordings.is_overflow, "context_overflow"),
        (wordings.replay_verdict, "thinking_signature"),
        (wordings.effort_verdict, "effort_unsupported"),
        (wordings.is_billing, "billing"),
        (wordings.is_unserved, "provider_unsupported"),
        (wordings.is_unknown_model, "model_not_found"),
        (wordings.is_filtered, "content_filter"),
        (wordings.is_auth, "auth"),
    )
    found = next((kind for test, kind in tests if test(text)), None)
    return found or ("context_overflow" if status == 413 else "bad_request")


def _kind_of_limit(text: str) -> ErrorKind:
    from ml_intern.core.llm import wordings

    if wordings.is_billing(text):
        return "billing"
    # "Too many tokens" is a rate here, but a single request above the rate never gets through by waiting.
    return "context_overflow" if re.search(r"request too large|request_too_large", text.lower()) else "rate_limit"


_LITELLM_KINDS: Mapping[str, ErrorKind] = {
    "ContextWindowExceededError": "context_overflow",
    "ContentPolicyViolationError": "content_filter",
    "PaymentRequiredError": "billing",
    "Timeout": "timeout",
    "LiteLLMUnknownProvider": "model_not_found",
}
"""Exceptions whose class says more than their status."""

_CONNECT_FAULTS = frozenset({"ConnectError", "ClientConnectorError", "ClientConnectorDNSError", "gaierror"})
_TIMEOUT_FAULTS = frozenset({"ReadTimeout", "WriteTimeout", "PoolTimeout", "APITimeoutError", "TimeoutError"})
_BROKEN_FAULTS = frozenset(
    {"RemoteProtocolError", "ReadError", "WriteError", "CloseError", "ServerDisconnectedError", "ClientPayloadError"}
)


def _transport_fault(error: BaseException, route: Route) -> LLMError | None:
    """A fault of the connection, wherever in the chain of causes it is: libraries wrap it in errors of their own."""
    for link in _chain(error):
        name = type(link).__name__
        if isinstance(link, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(link):
            text = (
                f"The certificate of {route.address} was not accepted; check the address and the system's certificates."
            )
            return LLMError("bad_request", text, detail=_clean(str(link), route))
        if name == "ConnectTimeout":
            return LLMError(
                "timeout", f"{route.address} could not be reached in time; check the network and the address."
            )
        if name in _CONNECT_FAULTS or isinstance(link, ConnectionRefusedError):
            return unreachable(route, _reason(link))
        if name in _TIMEOUT_FAULTS:
            return LLMError("timeout", f"{route.address} did not answer in time; try again or choose another /model.")
        if name in _BROKEN_FAULTS or isinstance(link, ConnectionError):
            text = f"The connection to {route.address} broke; check the server and the network."
            return LLMError("connection", text, detail=_clean(str(link), route))
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        original = getattr(link, "original_exception", None)
        links += [original if isinstance(original, BaseException) else None, link.__cause__, link.__context__]


def _reason(error: BaseException) -> str:
    text = " ".join(str(link) for link in _chain(error)).lower()
    if "refused" in text or "all connection attempts failed" in text:
        return "connection refused"
    if any(word in text for word in ("name or service", "nodename", "getaddrinfo", "name resolution")):
        return "the host name is unknown"
    return quote(_CONTROL.sub(" ", str(error))) or "connection failed"


def _text_of(error: BaseException) -> str:
    """What the server said: the body where the library kept it, else its message without the library's own names."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and ("message" in body or "error" in body):
        return dumps(body, default=str)
    return _LITELLM_PREFIX.sub("", str(getattr(error, "message", "") or error))


def _headers_of(error: BaseException) -> Mapping[str, str]:
    for source in (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    ):
        if source:
            return dict(source)
    return {}


# -------------------------------------------------------------------------------------------------- small parts


def _clean(text: str, route: Route) -> str:
    """A server's words as data: no control sequences, not the key, not endless."""
    if route.api_key and len(route.api_key) > 5:
        text = text.replace(route.api_key, "[REDACTED]")
    return " ".join(_CONTROL.sub(" ", text).split())[:_MAX_DETAIL]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
