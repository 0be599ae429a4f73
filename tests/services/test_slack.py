from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ml_intern.core.protocol import (
    ApprovalItem,
    ApprovalRequired,
    ErrorEvent,
    EventBase,
    Processing,
    TurnComplete,
)
from ml_intern.core.settings import MessagingSettings, SlackDestination
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.notifier import Notifier
from ml_intern.services.slack import Slack, messaging_from, mrkdwn
from ml_intern.tools.notify import create_notify_tool
from tests.support.tools import Bench, validated
from tests.support.web import WebServer, in_turn, page


class StandInSlack:
    """Slack's endpoint on a server; what was posted."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        web.handlers["/api/chat.postMessage"] = self.accept

    async def accept(self, request: Request) -> Response:
        return JSONResponse({"ok": True, "ts": "1"})

    @property
    def posted(self) -> list[dict[str, object]]:
        return [json.loads(item.body) for item in self.web.asked]


@pytest.fixture
def slack() -> Iterator[StandInSlack]:
    with WebServer() as web:
        yield StandInSlack(web)


@pytest.fixture
async def client(tmp_path: Path, slack: StandInSlack) -> AsyncIterator[Slack]:
    http = HttpService(tmp_path / "cache")
    yield Slack(http, Endpoints({"SLACK_API_URL": f"{slack.web.url}/api"}), delays_s=(0.001, 0.001, 0.001))
    await http.aclose()


OPEN = SlackDestination(token="xoxb-1", channel="C1", allow_agent_tool=True, allow_auto_events=True, username="intern")
SHUT = SlackDestination(token="xoxb-2", channel="C2")
SETTINGS = MessagingSettings(enabled=True, destinations={"team": OPEN, "boss": SHUT})


def mask(text: str) -> str:
    return text.replace("hf_secret", "***")


# ------------------------------------------------------------------------------------------------------------ the tool


async def test_a_message_goes_to_the_destinations_that_are_open(
    client: Slack, slack: StandInSlack, tmp_path: Path
) -> None:
    tool = create_notify_tool(client, SETTINGS, mask)
    assert tool is not None
    result = await Bench.at(tmp_path).run(
        tool, destinations=[" team ", "team"], message="**done** with hf_secret", title="Training", severity="success"
    )
    assert (result.ok, result.text) == (True, "team: sent")
    (posted,) = slack.posted
    assert posted["channel"] == "C1"
    assert posted["username"] == "intern"
    assert posted["text"] == "*[SUCCESS] Training*\n*done* with ***\nsession: session"
    assert (posted["mrkdwn"], posted["unfurl_links"]) == (True, False)
    assert slack.web.asked[0].headers["authorization"] == "Bearer xoxb-1"


@pytest.mark.parametrize("name", ["boss", "nobody"])
async def test_other_destinations_are_refused_without_a_request(
    name: str, client: Slack, slack: StandInSlack, tmp_path: Path
) -> None:
    tool = create_notify_tool(client, SETTINGS, mask)
    assert tool is not None
    result = await Bench.at(tmp_path).run(tool, destinations=["team", name], message="hello")
    assert not result.ok
    assert f"{name} is not open" in result.text
    assert slack.posted == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"destinations": [], "message": "x"},
        {"destinations": [" "], "message": "x"},
        {"destinations": ["team"], "message": " "},
        {"destinations": ["team"], "message": "x", "severity": "loud"},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, object], client: Slack) -> None:
    tool = create_notify_tool(client, SETTINGS, mask)
    assert tool is not None
    with pytest.raises(ValueError, match=r"destinations|message|severity"):
        validated(tool, wrong)


def test_without_a_destination_that_is_open_there_is_no_tool(client: Slack) -> None:
    assert create_notify_tool(client, MessagingSettings(), mask) is None
    assert create_notify_tool(client, MessagingSettings(enabled=True, destinations={"boss": SHUT}), mask) is None


async def test_trouble_that_passes_is_waited_out_and_trouble_that_stays_is_told(
    client: Slack, slack: StandInSlack, tmp_path: Path
) -> None:
    tool = create_notify_tool(client, SETTINGS, mask)
    assert tool is not None
    bench = Bench.at(tmp_path)
    limited = page('{"ok": false, "error": "ratelimited"}', kind="application/json")
    slack.web.handlers["/api/chat.postMessage"] = in_turn(
        page("", status=503), page("", status=429, retry_after="0.01"), limited, slack.accept
    )
    assert (await bench.run(tool, destinations=["team"], message="x")).ok
    assert len(slack.web.asked) == 4
    slack.web.handlers["/api/chat.postMessage"] = page("no", status=403, kind="text/plain")
    refused = await bench.run(tool, destinations=["team"], message="x")
    assert refused.text == "team: failed (Slack refuses the message (403 no).)"
    assert len(slack.web.asked) == 5
    wrong = page('{"ok": false, "error": "channel_not_found"}', kind="application/json")
    slack.web.handlers["/api/chat.postMessage"] = wrong
    assert "channel_not_found" in (await bench.run(tool, destinations=["team"], message="x")).text
    assert len(slack.web.asked) == 6


# ----------------------------------------------------------------------------------------------------------- by itself


async def test_what_needs_a_person_is_told_by_itself_and_nothing_is_lost_at_the_end(
    client: Slack, slack: StandInSlack
) -> None:
    notifier = Notifier(client, SETTINGS, mask)
    item = ApprovalItem(tool="hf_jobs", arguments={}, tool_call_id="1", reason="rents a10g-small for up to 2 h")
    told: list[EventBase] = [
        Processing(),
        ApprovalRequired(tools=(item,), count=1),
        ErrorEvent(error="The model hf_secret is gone." + "x" * 600, kind="auth"),
        ErrorEvent(error="not the end", kind="usage", ends_turn=False),
        TurnComplete(reason="cost_limit", final_response="half", iterations=1, cost_usd=1, tokens=1),
    ]
    for event in told:
        notifier(event.model_copy(update={"session_id": "0123456789"}))
    await notifier.aclose()
    texts = [str(posted["text"]) for posted in slack.posted]
    assert [text.splitlines()[0] for text in texts] == [
        "*[WARNING] 1 call waits for approval (hf_jobs)*",
        "*[ERROR] The turn failed*",
        "*[WARNING] Stopped: cost limit*",
    ]
    assert "hf_jobs: rents a10g-small for up to 2 h" in texts[0]
    assert "The model *** is gone." in texts[1]
    assert len(texts[1]) < 600
    assert texts[0].endswith("session: 01234567")
    assert {posted["channel"] for posted in slack.posted} == {"C1"}


async def test_only_the_events_that_were_chosen_are_told(client: Slack, slack: StandInSlack) -> None:
    some = MessagingSettings(enabled=True, auto_event_types=("error",), destinations={"team": OPEN})
    notifier = Notifier(client, some, mask)
    notifier(TurnComplete(reason="completed", final_response="x", iterations=1, cost_usd=0, tokens=1))
    await notifier.aclose()
    assert slack.posted == []


async def test_a_dead_slack_disturbs_nobody(tmp_path: Path) -> None:
    with WebServer() as gone:
        url = gone.url
    http = HttpService(tmp_path / "cache")
    notifier = Notifier(Slack(http, Endpoints({"SLACK_API_URL": url}), delays_s=()), SETTINGS, mask)
    notifier(ErrorEvent(error="x", kind="auth"))
    await asyncio.wait_for(notifier.aclose(), 5)
    await http.aclose()


# --------------------------------------------------------------------------------------------------------- the settings


def test_the_environment_names_a_destination_unless_the_configuration_has_it() -> None:
    env = {"SLACK_BOT_TOKEN": "xoxb", "SLACK_CHANNEL": "C9", "ML_INTERN_SLACK_AUTO_EVENTS": "error, turn_complete"}
    made = messaging_from(MessagingSettings(), env)
    assert made.enabled
    assert made.auto_event_types == ("error", "turn_complete")
    assert (made.destinations["slack.default"].channel, made.destinations["slack.default"].allow_agent_tool) == (
        "C9",
        True,
    )
    mine = MessagingSettings(enabled=True, destinations={"slack.default": SHUT})
    assert messaging_from(mine, env).destinations["slack.default"].channel == "C2"
    assert messaging_from(MessagingSettings(), {**env, "ML_INTERN_SLACK_NOTIFICATIONS": "0"}) == MessagingSettings()
    shy = messaging_from(MessagingSettings(), {**env, "ML_INTERN_SLACK_ALLOW_AGENT_TOOL": "no"})
    assert not shy.destinations["slack.default"].allow_agent_tool


def test_messaging_without_anybody_to_tell_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="names nobody"):
        MessagingSettings(enabled=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Title\n**bold** and *it* and ***both***", "*Title*\n*bold* and _it_ and *_both_*"),
        ("[link](https://x.org/a) ~~no~~", "<https://x.org/a|link> ~no~"),
        ("`a * b` and ```\n**x** <y>\n```", "`a * b` and ```\n**x** &lt;y&gt;\n```"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("> said\n2 * 3 * 4", "> said\n2 * 3 * 4"),
    ],
)
def test_markdown_becomes_the_markup_of_slack(text: str, said: str) -> None:
    assert mrkdwn(text) == said
