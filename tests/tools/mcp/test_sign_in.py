from __future__ import annotations

import asyncio
import json
import socket
import stat
import urllib.request
from pathlib import Path

import pytest
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from ml_intern.tools.mcp.vault import FILE, Vault
from tests.support.mcp_bench import McpBench
from tests.support.mcp_oauth import Browser, SignInServer

pytestmark = pytest.mark.xdist_group("mcp")

WANTED = "The MCP server closed cannot be used: it wants you to sign in. Do it in the app: /mcp, then s."


def kept(directory: Path) -> Path:
    return directory / "config" / FILE


async def test_a_server_that_wants_a_sign_in_says_where_to_do_it_and_opens_nothing(tmp_path: Path) -> None:
    with SignInServer() as server:
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            assert mcp.told == [(WANTED, True)]
            assert mcp.only.state == "sign_in"
            assert server.people.clients == {}
            assert not kept(tmp_path).exists()


async def test_after_a_sign_in_the_tools_work_and_a_later_run_needs_none(tmp_path: Path) -> None:
    with SignInServer() as server:
        browser = Browser()
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            assert await mcp.hub.sign_in("closed", browser.open) == ""
            assert mcp.only.state == "connected"
            assert str(kept(tmp_path)) in mcp.only.signed_in
            assert (await mcp.call("closed__secret")).text == "the door is open"
            await mcp.until(lambda: "You are signed in." in "".join(browser.pages))
        (visited,) = browser.visited
        assert "code_challenge_method=S256" in visited
        assert "state=" in visited
        assert stat.S_IMODE(kept(tmp_path).stat().st_mode) == 0o600
        async with McpBench(tmp_path / "later", {"closed": {"url": server.url}}, config=tmp_path / "config") as mcp:
            await mcp.settled()
            assert (await mcp.call("closed__secret")).text == "the door is open"
        assert len(browser.visited) == 1
        assert len(server.people.clients) == 1


async def test_an_expired_token_is_renewed_without_a_person(tmp_path: Path) -> None:
    with SignInServer() as server:
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            await mcp.hub.sign_in("closed", Browser().open)
        record = json.loads(json.loads(kept(tmp_path).read_text())[server.url])
        record["expires_at"] = 1.0
        kept(tmp_path).write_text(json.dumps({server.url: json.dumps(record)}))
        server.people.grants.clear()
        async with McpBench(tmp_path / "later", {"closed": {"url": server.url}}, config=tmp_path / "config") as mcp:
            await mcp.settled()
            assert (await mcp.call("closed__secret")).text == "the door is open"
        assert server.people.renewed == 1


async def test_a_sign_in_that_was_taken_back_is_asked_for_again(tmp_path: Path) -> None:
    with SignInServer() as server:
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            await mcp.hub.sign_in("closed", Browser().open)
        server.people.forget()
        async with McpBench(tmp_path / "later", {"closed": {"url": server.url}}, config=tmp_path / "config") as mcp:
            await mcp.settled()
            assert mcp.told == [(WANTED, True)]
            assert await mcp.hub.sign_in("closed", Browser().open) == ""
            assert (await mcp.call("closed__secret")).ok


async def test_a_person_who_says_no_stays_outside(tmp_path: Path) -> None:
    with SignInServer() as server:
        server.people.refuses = True
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            assert "access_denied" in await mcp.hub.sign_in("closed", Browser().open)
            assert mcp.only.state in {"sign_in", "failed"}
            assert mcp.router.names == ()


async def test_where_programs_cannot_register_the_reason_is_told_and_a_configured_client_gets_in(
    tmp_path: Path,
) -> None:
    with SignInServer(registers=False) as server:
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            problem = await mcp.hub.sign_in("closed", Browser().open)
            assert "egistration" in problem
            assert "sign in" not in problem
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        back = AnyUrl(f"http://127.0.0.1:{port}/callback")
        server.people.clients["known"] = OAuthClientInformationFull(
            client_id="known", client_secret="s", redirect_uris=[back], token_endpoint_auth_method="client_secret_post"
        )
        oauth = {"client_id": "known", "client_secret": "s", "callback_port": port}
        async with McpBench(tmp_path / "later", {"closed": {"url": server.url, "oauth": oauth}}) as mcp:
            await mcp.settled()
            assert await mcp.hub.sign_in("closed", Browser().open) == ""
            assert (await mcp.call("closed__secret")).ok


async def test_the_secret_of_a_client_goes_to_no_other_authorization_server_than_before(tmp_path: Path) -> None:
    with SignInServer(registers=False) as server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server.people.clients["known"] = OAuthClientInformationFull(
            client_id="known",
            client_secret="s",
            redirect_uris=[AnyUrl(f"http://127.0.0.1:{port}/callback")],
            token_endpoint_auth_method="client_secret_post",
        )
        oauth = {"client_id": "known", "client_secret": "s", "callback_port": port}
        first = {
            "issuer": "https://login.example/",
            "authorization_endpoint": "https://login.example/authorize",
            "token_endpoint": "https://login.example/token",
        }
        Vault(tmp_path / "config", lambda: None).write(server.url, json.dumps({"server": first, "port": port}))
        async with McpBench(tmp_path, {"closed": {"url": server.url, "oauth": oauth}}) as mcp:
            await mcp.settled()
            browser = Browser()
            assert "egistration" in await mcp.hub.sign_in("closed", browser.open)
            assert browser.visited == []
            assert server.people.grants == {}
            await mcp.hub.sign_out("closed")
            assert await mcp.hub.sign_in("closed", browser.open) == ""


async def test_a_sign_out_forgets_what_was_kept(tmp_path: Path) -> None:
    with SignInServer() as server:
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            await mcp.hub.sign_in("closed", Browser().open)
            assert (await mcp.call("closed__secret")).ok
            await mcp.hub.sign_out("closed")
            await mcp.until(lambda: mcp.only.state == "sign_in")
            assert mcp.router.names == ()
            assert not kept(tmp_path).exists()


async def test_an_answer_of_somebody_else_is_not_taken_for_the_browsers(tmp_path: Path) -> None:
    with SignInServer() as server:
        links: list[str] = []
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            signing_in = asyncio.create_task(mcp.hub.sign_in("closed", links.append))
            await mcp.until(lambda: bool(links))
            back = links[0].split("redirect_uri=")[1].split("&")[0].replace("%3A", ":").replace("%2F", "/")
            for target in (f"{back}?code=x&state=guessed", f"{back}?code=x", back.replace("callback", "favicon.ico")):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    await asyncio.to_thread(urllib.request.urlopen, target)
            assert not signing_in.done()
            Browser().open(links[0])
            assert await signing_in == ""


async def test_a_sign_in_that_is_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    with SignInServer() as server:
        links: list[str] = []
        async with McpBench(tmp_path, {"closed": {"url": server.url}}) as mcp:
            await mcp.settled()
            signing_in = asyncio.create_task(mcp.hub.sign_in("closed", links.append))
            await mcp.until(lambda: bool(links))
            signing_in.cancel()
            with pytest.raises(asyncio.CancelledError):
                await signing_in
            assert mcp.only.state == "disabled"
            await mcp.hub.enable("closed")
            await mcp.until(lambda: mcp.only.state == "sign_in")


# -------------------------------------------------------------------------------------------------------- the vault


class Ring:
    """A keyring that can be locked, and has room for so many characters."""

    def __init__(self, room: int = 10_000) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.room = room
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise RuntimeError("locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked or len(password) > self.room:
            raise RuntimeError("no")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


def test_secrets_are_kept_in_the_keyring_and_no_file_is_made(tmp_path: Path) -> None:
    ring = Ring()
    vault = Vault(tmp_path, lambda: ring)
    assert vault.write("https://x.org", "s3cret") == "in the system's keyring"
    assert vault.read("https://x.org") == "s3cret"
    assert list(tmp_path.iterdir()) == []
    vault.delete("https://x.org")
    assert vault.read("https://x.org") == ""
    vault.delete("https://x.org")


@pytest.mark.parametrize("ring", [Ring(room=3), None])
def test_where_no_keyring_keeps_it_a_file_does_and_that_is_said(tmp_path: Path, ring: Ring | None) -> None:
    vault = Vault(tmp_path / "config", lambda: ring)
    place = vault.write("a", "long secret")
    assert str(tmp_path / "config" / FILE) in place
    assert "no keyring works" in place
    vault.write("b", "another one")
    assert (vault.read("a"), vault.read("b")) == ("long secret", "another one")
    assert stat.S_IMODE((tmp_path / "config" / FILE).stat().st_mode) == 0o600
    vault.delete("a")
    assert (vault.read("a"), vault.read("b")) == ("", "another one")
    vault.delete("b")
    assert list((tmp_path / "config").iterdir()) == []


def test_a_locked_keyring_and_a_damaged_file_hold_nothing(tmp_path: Path) -> None:
    ring = Ring()
    ring.locked = True
    (tmp_path / FILE).write_text("{")
    vault = Vault(tmp_path, lambda: ring)
    assert vault.read("a") == ""
    assert str(tmp_path) in vault.write("a", "x")
    assert vault.read("a") == "x"
