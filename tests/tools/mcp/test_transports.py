from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.mcp_bench import LIBRARY, McpBench
from tests.support.mcp_http import HttpServer

pytestmark = pytest.mark.xdist_group("mcp")


@contextmanager
def served(transport: str, port: int = 0) -> Iterator[int]:
    command = [sys.executable, str(LIBRARY), transport, str(port)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def everything_works(mcp: McpBench) -> None:
    await mcp.settled()
    assert (await mcp.call("lib__add", a=1, b=2)).text == "3"
    wrong = await mcp.call("lib__add", a="one")
    assert not wrong.ok
    assert "valid integer" in wrong.text
    assert not (await mcp.call("lib__broken")).ok
    assert len((await mcp.call("lib__large")).text) > 20_000
    assert (await mcp.call("lib__slow", seconds=0)).text == "done"
    assert "1 of 2: half" in mcp.bench.logged
    await mcp.call("lib__grow")
    await mcp.until(lambda: "lib__plus" in mcp.router.names)
    running = asyncio.create_task(mcp.call("lib__slow", seconds=30))
    mcp.bench.logged.clear()
    await mcp.until(lambda: "1 of 2: half" in mcp.bench.logged)
    started = time.monotonic()
    running.cancel()
    await asyncio.wait({running})
    assert time.monotonic() - started < 0.3
    assert (await mcp.call("lib__plus", a=2, b=2)).text == "4"


async def test_a_program_made_with_the_library(tmp_path: Path) -> None:
    async with McpBench(tmp_path, {"lib": {"command": sys.executable, "args": [str(LIBRARY), "stdio"]}}) as mcp:
        await everything_works(mcp)


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_server_at_an_address_and_its_return_from_the_dead(tmp_path: Path, transport: str) -> None:
    with served(transport) as port:
        path = "sse" if transport == "sse" else "mcp"
        entry = {"url": f"http://127.0.0.1:{port}/{path}", "transport": transport, "headers": {"X-Mine": "yes"}}
        async with McpBench(tmp_path, {"lib": entry}) as mcp:
            await everything_works(mcp)
            sent = json.loads((await mcp.call("lib__credentials")).text)
            assert sent["x-mine"] == "yes"
            died = await mcp.call("lib__die")
            assert not died.ok
            assert "broke off during this call" in died.text
            gone = await mcp.call("lib__add", a=1, b=2)
            assert not gone.ok
            assert "cannot be reached" in gone.text
            with served(transport, port):
                assert (await mcp.call("lib__add", a=1, b=2)).text == "3"


# -------------------------------------------------------------------------------------------------- the older kind


async def test_a_server_that_has_forgotten_the_session_is_connected_to_again(tmp_path: Path) -> None:
    with HttpServer() as server:
        async with McpBench(tmp_path, {"old": {"url": server.url}}) as mcp:
            await mcp.settled()
            assert (await mcp.call("old__look")).text == "look"
            server.session = "two"
            assert not (await mcp.call("old__look")).ok
            assert (await mcp.call("old__look")).text == "look"
            assert server.calls == ["look", "look"]


@pytest.mark.parametrize(
    ("status", "key", "reason"),
    [
        (401, "", "it wants you to sign in. Do it in the app: /mcp, then s."),
        (401, "Bearer old", "refused the credentials (HTTP 401)"),
        (403, "", "refused access"),
        (404, "", "nothing at this address"),
    ],
)
async def test_a_refusal_is_told_in_words_and_not_tried_again(
    tmp_path: Path, status: int, key: str, reason: str
) -> None:
    with HttpServer() as server:
        server.status = status
        entry = {"url": server.url, "headers": {"Authorization": key} if key else {}}
        async with McpBench(tmp_path, {"old": entry}) as mcp:
            await mcp.settled()
            assert mcp.told[0][1]
            assert reason in mcp.told[0][0]
            assert len(server.seen) <= 2  # the two ways to begin


# ------------------------------------------------------------------------------------------------------ the token


async def test_the_token_goes_to_the_host_of_the_hub_and_to_no_other(tmp_path: Path) -> None:
    with HttpServer("look", "hf_jobs", "hf_whoami") as hub, HttpServer("look", "hf_jobs") as stranger:
        env = {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": hub.origin}
        servers = {"hf": {"url": hub.url}, "other": {"url": stranger.url}}
        async with McpBench(tmp_path, servers, env=env) as mcp:
            await mcp.settled(2)
            await mcp.call("hf__look")
            await mcp.call("other__look")
            assert {headers.get("authorization") for headers in hub.seen} == {"Bearer hf_secret"}
            assert stranger.seen
            assert not [headers for headers in stranger.seen if "hf_secret" in str(headers)]
            # Those of the Hub's tools that there are built-in ones for would go around prices and the cap.
            assert set(mcp.router.names) == {"hf__look", "other__look", "other__hf_jobs"}


async def test_a_redirect_to_another_host_does_not_take_the_token_along(tmp_path: Path) -> None:
    with HttpServer() as hub, HttpServer() as stranger:
        hub.location = stranger.url
        env = {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": hub.origin}
        async with McpBench(tmp_path, {"hf": {"url": hub.url}}, env=env) as mcp:
            await mcp.settled()
            assert mcp.told[0][1]
            assert stranger.seen == []


def flood(kind: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an answer that there is no room for."""
    if kind == "event":
        return b"data: " + b"x" * 65_536, {"content-type": "text/event-stream"}
    if kind == "endless":
        return b"[" * 65_536, {"content-type": "application/json"}
    body = gzip.compress(bytes(40_000_000))
    body = gzip.compress(body) if kind == "gzip, gzip" else body
    return body, {"content-type": "application/json", "content-encoding": kind, "content-length": str(len(body))}


@pytest.mark.parametrize("kind", ["endless", "event", "gzip", "gzip, gzip"])
async def test_a_server_cannot_send_more_in_a_message_than_there_is_room_for(kind: str, tmp_path: Path) -> None:
    said = "something packed as gzip, gzip" if kind == "gzip, gzip" else "a message of more than 16 MB"
    with HttpServer() as server:
        async with McpBench(tmp_path, {"flood": {"url": server.url}}) as mcp:
            await mcp.settled()
            server.odd = flood(kind)
            tracemalloc.start()
            result = await mcp.call("flood__look")
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert not result.ok
            assert f"broke off during this call: it sent {said}" in result.text
            assert peak < 120_000_000
            server.odd = None
            assert (await mcp.call("flood__look")).text == "look", "it is connected to again"
