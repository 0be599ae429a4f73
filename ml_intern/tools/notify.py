"""`notify`: a message to a person who is away, to the destinations that the configuration opens for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.settings import MessagingSettings
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.services.slack import Slack, SlackError

_DESCRIPTION = """\
Sends a message to people outside of this session. Only when the person has asked to be told. Destinations: {names}."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class NotifyParams(Params):
    """What a call of `notify` may say."""

    destinations: Annotated[list[_Text], Field(min_length=1)]
    message: _Text
    title: str = ""
    severity: Literal["info", "success", "warning", "error"] = "info"

    @field_validator("destinations")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(names))


def create_notify_tool(slack: Slack, settings: MessagingSettings, redact: Callable[[str], str]) -> ToolSpec | None:
    """The tool over the destinations that are open to it, or None when there are none.

    Args:
        slack: Sends.
        settings: The destinations.
        redact: Takes secrets out of a text.
    """
    opened = {name: item for name, item in settings.destinations.items() if item.allow_agent_tool}
    if not settings.enabled or not opened:
        return None

    def assess(params: NotifyParams, context: ToolContext) -> Assessment:  # noqa: ARG001 - one shape for all
        subject = ", ".join(params.destinations)
        return Assessment(frozenset({Effect.CHANGE}), (f"sends a message to {subject}",), subject=subject)

    async def handle(params: NotifyParams, context: ToolContext) -> ToolResult:
        if unknown := [name for name in params.destinations if name not in opened]:
            known = ", ".join(opened)
            text = f"ERROR: {', '.join(unknown)} is not open to notify, so nothing was sent. Open: {known}."
            return ToolResult(text, ok=False)
        about = {"session": context.session_id[:8]}
        lines, ok = [], True
        for name in params.destinations:
            message, title = redact(params.message), redact(params.title)
            try:
                await slack.send(opened[name], message, title=title, severity=params.severity, about=about)
            except SlackError as error:
                ok = False
                lines.append(f"{name}: failed ({error})")
            else:
                lines.append(f"{name}: sent")
        return ToolResult("\n".join(lines), ok=ok)

    return ToolSpec("notify", _DESCRIPTION.format(names=", ".join(opened)), NotifyParams, handle, assess=assess)
