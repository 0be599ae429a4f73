"""Messages to Slack: destinations from settings and environment, Slack's own markup, a few patient attempts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from ml_intern.core.settings import MessagingSettings, SlackDestination
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService

Severity = Literal["info", "success", "warning", "error"]

DELAYS_S = (1.0, 2.0, 4.0)
"""Waits between attempts; what Slack asks for with Retry-After beats them."""
MOST_CHARS = 39_000
_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class SlackError(Exception):
    """A message was not delivered; the text says why."""


def messaging_from(settings: MessagingSettings, env: Mapping[str, str]) -> MessagingSettings:
    """The settings with the destination that the environment names, unless the configuration has one of that name."""
    token = env.get("SLACK_BOT_TOKEN", "").strip()
    channel = (env.get("SLACK_CHANNEL_ID") or env.get("SLACK_CHANNEL") or "").strip()
    if not (token and channel and _flag(env, "ML_INTERN_SLACK_NOTIFICATIONS", True)):
        return settings
    name = env.get("ML_INTERN_SLACK_DESTINATION", "").strip() or "slack.default"
    made = SlackDestination(
        token=token,
        channel=channel,
        allow_agent_tool=_flag(env, "ML_INTERN_SLACK_ALLOW_AGENT_TOOL", True),
        allow_auto_events=_flag(env, "ML_INTERN_SLACK_ALLOW_AUTO_EVENTS", True),
    )
    update: dict[str, object] = {"enabled": True, "destinations": {name: made, **settings.destinations}}
    named = [part.strip() for part in env.get("ML_INTERN_SLACK_AUTO_EVENTS", "").split(",") if part.strip()]
    if named:
        update["auto_event_types"] = tuple(dict.fromkeys(named))
    return MessagingSettings.model_validate({**settings.model_dump(), **update})


class Slack:
    """Sends messages.

    Args:
        http: Fetches.
        endpoints: Where Slack is.
        delays_s: Waits between attempts.
    """

    def __init__(self, http: HttpService, endpoints: Endpoints, delays_s: Sequence[float] = DELAYS_S) -> None:
        self._http = http
        self._endpoints = endpoints
        self._delays_s = tuple(delays_s)

    async def send(
        self, destination: SlackDestination, message: str, *, title: str = "", severity: Severity = "info",
        about: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Posts one message.

        Raises:
            SlackError: It was refused, or could not be delivered.
        """
        url = self._endpoints.url("slack", "chat.postMessage")
        body: dict[str, object] = {
            "channel": destination.channel,
            "text": text_of(message, title, severity, about or {}),
            "mrkdwn": True,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        body |= {key: value for key in ("username", "icon_emoji") if (value := getattr(destination, key))}
        headers = {"Authorization": f"Bearer {destination.token}"}
        request = Fetch(url, method="POST", json=body, headers=headers, timeout_s=10.0, attempts=1)
        for delay in (*self._delays_s, None):
            failure, asked = await self._attempt(request)
            if failure is None:
                return
            if delay is None:
                raise failure
            await asyncio.sleep(asked or delay)

    async def _attempt(self, request: Fetch) -> tuple[SlackError | None, float]:
        """One attempt: nothing when it succeeded, else a passing failure and how long to stay away.

        Raises:
            SlackError: A failure that stays.
        """
        try:
            answer = await self._http.fetch(request)
            said = answer.json() if answer.ok else {}
        except FetchError as error:
            return SlackError(str(error)), min(error.retry_after_s, 60.0)
        if answer.status >= 500:
            return SlackError(f"Slack answered {answer.status}."), 0.0
        if not answer.ok:
            raise SlackError(f"Slack refuses the message ({answer.status} {answer.reason()}).")
        if isinstance(said, dict) and said.get("ok"):
            return None, 0.0
        reason = str(said.get("error") or "no reason given") if isinstance(said, dict) else "no reason given"
        if reason == "ratelimited":
            return SlackError("Slack takes no more messages for now."), 0.0
        raise SlackError(f"Slack refuses the message ({reason}).")


def text_of(message: str, title: str, severity: Severity, about: Mapping[str, str]) -> str:
    """A message as Slack shows it: severity and title, the text, and what it is about."""
    head = f"[{severity.upper()}] {title}".strip()
    lines = [f"*{head}*", mrkdwn(message)[:MOST_CHARS], *(f"{name}: {value}" for name, value in about.items())]
    return "\n".join(filter(None, lines))


_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_BOLD = "\x00b\x00"


def mrkdwn(text: str) -> str:
    """Markdown in Slack's own markup; code stays as it is."""
    parts = _CODE.split(text)
    return "".join(_escape(part) if index % 2 else _prose(part) for index, part in enumerate(parts))


def _escape(text: str) -> str:
    return re.sub(r"&(?!amp;|lt;|gt;)", "&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def _prose(text: str) -> str:
    quotes = re.compile(r"^&gt; ?", re.MULTILINE)
    text = quotes.sub("> ", _escape(text))
    text = re.sub(r"!?\[([^\]\n]+)\]\((https?://[^\s)]+)\)", r"<\2|\1>", text)
    text = re.sub(r"^#{1,6}\s+(.+?)\s*#*$", rf"{_BOLD}\1{_BOLD}", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*\*(?=\S)(.+?)(?<=\S)\*\*\*", rf"{_BOLD}_\1_{_BOLD}", text)
    text = re.sub(r"\*\*(?=\S)(.+?)(?<=\S)\*\*|__(?=\S)(.+?)(?<=\S)__", lambda m: f"{_BOLD}{m[1] or m[2]}{_BOLD}", text)
    text = re.sub(r"(?<![*\w])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![*\w])", r"_\1_", text)
    text = re.sub(r"~~(?=\S)(.+?)(?<=\S)~~", r"~\1~", text)
    return text.replace(_BOLD, "*")


def _flag(env: Mapping[str, str], name: str, default: bool) -> bool:
    return _FLAGS.get(env.get(name, "").strip().lower(), default)
