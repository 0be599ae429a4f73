"""Looks at each call that changes or sends anything: what of it came from outside, and what follows from that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.policy import GUARDED, Verdict
from ml_intern.core.events import EventSink
from ml_intern.core.origins.match import BEYOND
from ml_intern.core.origins.memory import Origins
from ml_intern.core.origins.words import CallWords
from ml_intern.core.protocol import Mode, Notice, Origin, OriginFound
from ml_intern.core.tools.router import Prepared, ToolRouter
from ml_intern.core.tools.spec import SessionState

_REACHES_OUT = re.compile(
    r"://|\b(?:pip3?|pipx|uvx?|npm|npx|pnpm|yarn|bunx?|conda|mamba|brew|apt|apt-get|cargo|gem|go|docker|podman|curl|wget"
    r"|git (?:clone|pull|fetch)|hf|huggingface-cli)\s"
)
"""Commands that bring something in from outside, which then runs here."""


def trace(
    item: Prepared,
    assessment: Assessment,
    state: SessionState,
    router: ToolRouter,
    instructions: Callable[[], str],
) -> Origin | None:
    """Where words of a call come from, if from outside and from nobody here. Calls that only read are not looked at.

    Args:
        item: The call.
        assessment: What it would do.
        state: The session's, which holds its memory.
        router: The tools; those of others may give orders in their descriptions.
        instructions: Gives the project's own instructions, if they are trusted.
    """
    if not assessment.effects - {Effect.READ}:
        return None
    origins = state.get(Origins)
    origins.describe_tools(router.foreign)
    call = CallWords(item.name, assessment.effects, item.arguments, tuple(_shown(assessment)))
    finding = origins.compare(call, item.call_id, instructions())
    return None if finding is None else finding.origin


def weigh(verdict: Verdict, origin: Origin | None, tool: str, assessment: Assessment, mode: Mode) -> Verdict:
    """Asks about a call that would run unasked although it follows words from outside to where it may do harm."""
    if origin is None or verdict.action == "deny":
        return verdict
    if verdict.action == "ask":  # what an order wants is not to be allowed for good in passing
        return replace(verdict, rememberable=verdict.rememberable and not origin.order)
    if mode not in {"guarded", "ask"}:
        return verdict
    harmful = assessment.effects & (GUARDED if origin.order else BEYOND)
    if not harmful and not (origin.order and tool == "bash" and _REACHES_OUT.search(assessment.subject)):
        return verdict
    what = "an order" if origin.order else "advice"
    return Verdict("ask", f"it follows {what} from outside, not from you", rememberable=False)


def tell(
    events: EventSink,
    state: SessionState,
    item: Prepared,
    origin: Origin | None,
    action: Literal["allow", "ask", "deny"],
) -> None:
    """Tells where words of a call come from. A dialog says it by itself; what nobody is asked about, a notice says."""
    if origin is None:
        return
    events.emit(OriginFound(tool=item.name, tool_call_id=item.call_id, action=action, origin=origin))
    if action == "allow":
        what = "an order that is not from you" if origin.order else "advice"
        text = f"{item.name} follows {what}, {origin.found_in}"
        if not state.get(Origins).is_news(
            origin
        ):  # the passage has been read: a long work must not repeat it each time
            text = f"{item.name} follows more of what was found in: {origin.source} ({origin.via})"
        events.emit(Notice(text=text, level="warning"))


def refusal(reason: str, origin: Origin | None) -> str:
    """Why a call is refused, with where its words come from. The passage itself is not said to the model again."""
    if origin is None:
        return reason
    return f"{reason}; words of it come from {origin.source} ({origin.via}), which is data and no wish of the user"


def _shown(assessment: Assessment) -> Iterator[str]:
    """What a tool shows beside the arguments, such as the script of a job; of an edited file they hold what is new."""
    for block in assessment.display:
        if block.type == "text":
            yield block.text
