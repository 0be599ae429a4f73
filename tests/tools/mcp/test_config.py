from __future__ import annotations

from typing import Any

import pytest

from ml_intern.core.config import ConfigError
from ml_intern.tools.mcp.config import ProgramServer, RemoteServer, parse_servers
from ml_intern.tools.mcp.link import headers_for, is_on_hub

SECRET = "sk-do-not-show-me"


def complaint(name: str, entry: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_servers({name: entry})
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_both_kinds_are_read_with_their_defaults() -> None:
    servers = parse_servers(
        {
            "time": {"command": "uvx", "args": ["mcp-server-time"], "env": {"TZ": "UTC"}, "cwd": "~"},
            "docs": {"url": "https://example.com/mcp", "headers": {"X": "y"}, "timeout_s": 5},
        }
    )

    assert servers["time"] == ProgramServer(command="uvx", args=("mcp-server-time",), env={"TZ": "UTC"}, cwd="~")
    assert servers["docs"] == RemoteServer(url="https://example.com/mcp", headers={"X": "y"}, timeout_s=5)
    assert servers["docs"].transport == "http"


@pytest.mark.parametrize(
    ("words", "transport"),
    [({"type": "sse"}, "sse"), ({"type": "streamable-http"}, "http"), ({"transport": "streamableHttp"}, "http")],
)
def test_the_words_of_other_clients_are_understood(words: dict[str, str], transport: str) -> None:
    (server,) = parse_servers({"docs": {"url": "https://example.com/mcp", **words}}).values()

    assert server.transport == transport


def test_a_disabled_server_is_checked_and_left_out() -> None:
    assert parse_servers({"docs": {"url": "https://example.com/mcp", "disabled": True}}) == {}
    assert "comand" in complaint("docs", {"url": "https://x.org", "disabled": True, "comand": "x"})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, 'mcpServers.notes needs either "command" (a program to start) or "url" (an address).'),
        ({"command": "x", "url": "https://x.org"}, "either"),
        ({"command": "x", "argz": [SECRET]}, "mcpServers.notes: unknown key argz; the nearest known one is args."),
        ({"command": "x", "args": SECRET}, "mcpServers.notes.args:"),
        ({"command": "x", "env": {"KEY": 5}}, "mcpServers.notes.env.KEY:"),
        ({"command": ""}, "mcpServers.notes.command:"),
        ({"url": f"ftp://{SECRET}/"}, "mcpServers.notes.url: an address begins with http:// or https://"),
        ({"url": f"https://{SECRET}\\@huggingface.co/"}, "mcpServers.notes.url:"),
        ({"url": "https://x.org", "headers": {"A": f"{SECRET}\nB: c"}}, "the header 'A' holds a line break"),
        ({"url": "https://x.org", "transport": "carrier pigeon"}, "mcpServers.notes.transport:"),
        ({"command": "x", "timeout_s": 0}, "mcpServers.notes.timeout_s:"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_server_and_shows_no_value(
    entry: dict[str, Any], expected: str
) -> None:
    text = complaint("notes", entry)

    assert expected in text
    assert SECRET not in text


def test_names_that_would_give_the_same_tools_are_refused() -> None:
    with pytest.raises(ConfigError, match="rename one"):
        parse_servers({"my notes": {"command": "x"}, "my_notes": {"command": "y"}})
    assert "letters" in complaint("…", {"command": "x"})


# ----------------------------------------------------------------------------------------------- who gets the token


@pytest.mark.parametrize(
    ("url", "endpoint", "trusted"),
    [
        ("https://huggingface.co/mcp", "", True),
        ("https://HuggingFace.co:443/mcp?login", "", True),
        ("http://huggingface.co/mcp", "", False),
        ("https://huggingface.co:8443/mcp", "", False),
        ("https://huggingface.co.evil.org/mcp", "", False),
        ("https://evil.org/huggingface.co", "", False),
        ("https://huggingface.co@evil.org/mcp", "", False),
        ("https://x.hf.space/mcp", "", False),
        ("https://hub.company.org/mcp", "https://hub.company.org", True),
        ("https://huggingface.co/mcp", "https://hub.company.org", False),
        ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000", True),
        ("http://127.0.0.1:8001/mcp", "http://127.0.0.1:8000", False),
        ("http://hub.company.org/mcp", "http://hub.company.org", False),
    ],
)
def test_only_the_host_of_the_hub_is_trusted(url: str, endpoint: str, trusted: bool) -> None:
    env = {"HF_TOKEN": "hf_x", "HF_ENDPOINT": endpoint, "HOME": "/nonexistent"}

    assert is_on_hub(url, env) is trusted
    assert headers_for(RemoteServer(url=url), env) == ({"Authorization": "Bearer hf_x"} if trusted else {})


def test_a_configured_authorization_is_kept() -> None:
    server = RemoteServer(url="https://huggingface.co/mcp", headers={"authorization": "Basic abc"})

    assert headers_for(server, {"HF_TOKEN": "hf_x"}) == {"authorization": "Basic abc"}
