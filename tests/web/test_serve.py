from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.program import Program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(home: Path, *flags: str) -> Iterator[str]:
    """A server of the practice session; gives the address that it prints."""
    program = Program(home)
    argv = program.command("serve", "--port", str(free_port()), *flags)
    with subprocess.Popen(argv, env=program.env, cwd=program.workdir, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        try:
            yield found[0]
        finally:
            process.terminate()
            process.wait(10)


async def connected(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    async with asyncio.timeout(20):
        while True:
            try:
                return await session.get(url)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_the_app_is_in_the_page_answers_keys_and_ends_with_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as url:
        base = url.partition("/?")[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            page = await connected(browser, url)
            text = await page.text()
            assert page.status == 200
            assert "key=" not in str(page.url)
            assert f"ws://{base.removeprefix('http://')}/ws" in text
            assert "googleapis" not in text
            async with browser.ws_connect(f"{base}/ws?width=100&height=30", headers={"Origin": base}) as terminal:
                await seen(terminal, "The practice session")
                await terminal.send_json(["stdin", "/help"])
                await seen(terminal, "keys and commands")
        await gone(base, tmp_path)


async def seen(terminal: aiohttp.ClientWebSocketResponse, wanted: str) -> None:
    shown = ""
    async with asyncio.timeout(30):
        async for message in terminal:
            if message.type == aiohttp.WSMsgType.BINARY:
                shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", message.data[5:].decode("utf-8", "replace"))
            if wanted in shown:
                return
    raise AssertionError(shown[-2000:])


async def gone(base: str, home: Path) -> None:
    """Waits until no app runs in this home any more."""
    async with asyncio.timeout(20):
        while [path for path in Path("/proc").glob("[0-9]*/environ") if is_app_in(path, home)]:
            await asyncio.sleep(0.05)


def is_app_in(environ: Path, home: Path) -> bool:
    try:
        return b"TEXTUAL_DRIVER=" in environ.read_bytes() and str(home).encode() in environ.read_bytes()
    except OSError:
        return False


async def test_without_the_key_or_from_another_site_there_is_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as url:
        base = url.partition("/?")[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            assert (await connected(browser, base)).status == 403
            page = await browser.get(url)
            assert page.status == 200
            for answer in (*page.history, page):
                assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-store"
            assert (await browser.get(base, headers={"Host": "evil.example"})).status == 403
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await browser.ws_connect(f"{base}/ws", headers={"Origin": "http://evil.example"})
            assert caught.value.status == 403


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "0"], "0 is no port"),
        (["--mode", "brave"], "there is no mode 'brave'"),
        (["--demo", "do this"], "no prompt or command"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_served(flags: list[str], said: str, tmp_path: Path) -> None:
    done = Program(tmp_path).run("serve", *flags)
    assert done.code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = Program(tmp_path).run("serve", "--port", str(taken.getsockname()[1]))
    assert done.code == 1
    assert "try another --port" in done.stderr
