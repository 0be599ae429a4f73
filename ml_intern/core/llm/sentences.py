"""What a person reads when a model could not answer: one sentence that ends with the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_intern.core.llm.errors import ErrorKind
    from ml_intern.core.llm.routing import Route

HF_BILLING_URL = "https://huggingface.co/settings/billing"

_MAX_QUOTE = 240


def sentence(kind: ErrorKind, status: int | None, detail: str, route: Route) -> str:
    """The sentence for an error of this kind, with the server's own words where they help."""
    address = f"T{route.address[1:]}" if route.address.startswith("the ") else route.address
    where = f"{address} ({status})" if status else address
    said = f": {quote(detail)}" if detail else ""
    match kind:
        case "auth":
            return _auth_sentence(where, said if status == 403 else "", route)
        case "billing":
            return _billing_sentence(where, route)
        case "model_not_found":
            return (
                f"{where} does not know the model {route.model}{said}; "
                "check its name and the address, or choose another with /model."
            )
        case "provider_unsupported":
            return (
                f"The chosen provider does not serve {route.model}{said}; "
                "drop the part after the colon or choose another model with /model."
            )
        case "rate_limit":
            return f"{where} limits the rate of requests{said}; wait a moment or choose another model with /model."
        case "server":
            return f"{where} failed{said}; try again later or choose another model with /model."
        case "timeout":
            return f"{where} did not answer in time; try again or choose another model with /model."
        case "context_overflow":
            return f"The conversation is longer than {route.model} takes{said}."
        case "effort_unsupported":
            return f"{where} refused the reasoning effort{said}; set another with /effort."
        case "thinking_signature":
            return f"{where} refused the replayed reasoning{said}; begin afresh with /new or choose another /model."
        case "content_filter":
            return f"A content filter at {where} refused the request{said}; rephrase it or choose another /model."
        case _:
            if status and (status < 400 or status == 405):
                return f"{where} refused the request{said}; {address_step(route)}."
            return f"{where} refused the request{said}; choose another model with /model if it stays so."


def address_step(route: Route) -> str:
    """What to do about an address that is not the right one."""
    from ml_intern.core.llm.providers import LOCAL_SERVERS, SHARED_URL_VARIABLE

    server = LOCAL_SERVERS.get(route.provider)
    return f"correct the address in {server.url_variable} or {SHARED_URL_VARIABLE}" if server else "check the address"


def _auth_sentence(where: str, said: str, route: Route) -> str:
    """About a refused key; `said` where the server may have more to say: a key can be valid and not enough."""
    names = " or ".join(route.key_names[:2])
    if said and route.api_key:
        holder = names or f"the credentials of {route.provider}"
        return f"{where} refused access{said}; check what {holder} may do, or choose another model with /model."
    if route.is_router:
        return f"{where} refused the Hugging Face token; set a valid HF_TOKEN or run `hf auth login`."
    if not names:
        return f"{where} refused the credentials; check those of {route.provider} or choose another model with /model."
    if not route.api_key:
        return f"{where} wants a key{said}; set {names}."
    return f"{where} refused the key; set a valid one in {names} or choose another model with /model."


def _billing_sentence(where: str, route: Route) -> str:
    if route.is_router:
        return (
            f"The Hugging Face credits for model calls are used up; add credits at {HF_BILLING_URL} "
            "or choose another model with /model."
        )
    return (
        f"{where} wants payment: the account has no credit left; add credit there "
        f"(for Hugging Face: {HF_BILLING_URL}) or choose another model with /model."
    )


def quote(detail: str) -> str:
    """A server's words, short enough for a sentence and without its final full stop."""
    short = detail if len(detail) <= _MAX_QUOTE else f"{detail[:_MAX_QUOTE].rstrip()}…"
    return short.rstrip(".")
