"""Tries a model before it is switched to: whether it answers, and which reasoning effort it takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import Request, Usage

PROBE_TIMEOUT_S = 15.0
_PROBE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Probe:
    """What a trial showed.

    Attributes:
        note: What the user should know, or empty.
        usage: What it cost in tokens; None when it cost nothing.
    """

    note: str = ""
    usage: Usage | None = None


async def probe(client: LLMClient, model: str, effort: str) -> Probe:
    """Sends a one-word request, unless there is nothing to learn from it.

    A hosted model without an effort is taken at its word: the request would cost money and tell nothing.

    Args:
        client: Remembers the effort that was accepted.
        model: Model id.
        effort: The wanted effort; `off` or empty for none.

    Raises:
        LLMError: The model cannot be used; keep the present one.
    """
    note = client.check(model)
    route = client.route(model)
    if route.transport == "practice" or (not route.is_local and effort in {"", "off"}):
        return Probe(note)
    request = Request(
        model,
        (Message("user", "ping"),),
        stream=False,
        effort="" if effort == "off" else effort,
        max_tokens=1 if route.is_local else _PROBE_TOKENS,
        kind="probe",
    )
    notes = [note] if note else []
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reply = await client.ask(request, on_notice=notes.append, retry=False)
    except TimeoutError as error:
        if route.is_local:
            text = f"{route.address} did not answer in {PROBE_TIMEOUT_S:g} s; check the server."
            raise LLMError("timeout", text) from error
        return Probe(_joined(notes, "the model did not answer the trial request in time; it may be busy"))
    except LLMError as error:
        if route.is_local or not error.retryable:
            raise
        return Probe(_joined(notes, f"the trial request failed ({error.message})"))
    return Probe(" ".join(notes), reply.usage)


def _joined(notes: list[str], last: str) -> str:
    return " ".join([*notes, f"{last[0].upper()}{last[1:]}."])
