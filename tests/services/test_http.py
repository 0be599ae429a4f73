from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ml_intern.services.addresses import Network, is_public
from ml_intern.services.http import Fetch, FetchError, HttpService, retry_after
from tests.support.web import WebServer, in_turn, page


async def test_an_answer_has_status_text_and_where_it_came_from(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = page("grün", kind="text/plain; charset=utf-8")
    answer = await http.get(f"{web.url}/a", params={"q": "two words"})
    assert (answer.status, answer.text, answer.cached) == (200, "grün", False)
    assert answer.url == f"{web.url}/a?q=two+words"


async def test_a_fresh_answer_is_not_asked_for_again_not_even_by_the_next_start(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/a"] = page("one")
    first = await http.get(f"{web.url}/a", ttl_s=60)
    again = await http.get(f"{web.url}/a", ttl_s=60)
    await http.aclose()
    later = HttpService(tmp_path / "cache")
    third = await later.get(f"{web.url}/a", ttl_s=60)
    await later.aclose()
    assert [first.cached, again.cached, third.cached] == [False, True, True]
    assert third.text == "one"
    assert len(web.asked) == 1


async def test_answers_go_stale(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = in_turn(page("one"), page("two"))
    await http.get(f"{web.url}/a", ttl_s=0.001)
    await asyncio.sleep(0.01)  # longer than the answer stays fresh
    assert (await http.get(f"{web.url}/a", ttl_s=0.001)).text == "two"


async def test_an_etag_saves_the_body_and_is_asked_about_each_time(web: WebServer, http: HttpService) -> None:
    async def tree(request: Request) -> Response:
        if request.headers.get("if-none-match") == '"v1"':
            return Response(status_code=304, headers={"ETag": '"v1"'})
        return Response("a tree", headers={"ETag": '"v1"', "Cache-Control": "no-cache"})

    web.handlers["/tree"] = tree
    texts = [(await http.get(f"{web.url}/tree", ttl_s=None)).text for _ in range(2)]
    assert texts == ["a tree", "a tree"]
    assert [item.headers.get("if-none-match") for item in web.asked] == [None, '"v1"']


async def test_what_one_token_may_see_is_not_served_to_another(web: WebServer, http: HttpService) -> None:
    async def mine(request: Request) -> Response:
        return Response(f"for {request.headers.get('authorization', 'nobody')}")

    web.handlers["/mine"] = mine
    ask = [{"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}, {}, {"Authorization": "Bearer a"}]
    texts = [(await http.get(f"{web.url}/mine", ttl_s=60, headers=headers)).text for headers in ask]
    assert texts == ["for Bearer a", "for Bearer b", "for nobody", "for Bearer a"]
    assert len(web.asked) == 3


@pytest.mark.parametrize("damage", ["no database", "other tables"])
async def test_a_cache_that_cannot_be_used_is_begun_anew(damage: str, web: WebServer, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    if damage == "no database":
        (place / "answers.db").write_bytes(b"no database" * 500)
    else:
        with contextlib.closing(sqlite3.connect(place / "answers.db")) as db:
            db.execute("CREATE TABLE entries (something TEXT)")
    web.handlers["/a"] = page("one")
    http = HttpService(place)
    assert [(await http.get(f"{web.url}/a", ttl_s=60)).cached for _ in range(2)] == [False, True]
    assert (place / "answers.damaged").exists()
    await http.aclose()


async def test_a_place_where_nothing_can_be_kept_costs_nothing_but_requests(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    web.handlers["/a"] = page("one")
    http = HttpService(tmp_path / "cache")
    assert [(await http.get(f"{web.url}/a", ttl_s=60)).cached for _ in range(2)] == [False, False]
    await http.aclose()


async def test_the_cache_does_not_grow_beyond_its_size(web: WebServer, tmp_path: Path) -> None:
    web.handlers["/*"] = page("x" * 50_000)
    http = HttpService(tmp_path / "cache", cache_bytes=400_000)
    for number in range(20):
        assert len((await http.get(f"{web.url}/{number}", ttl_s=60)).body) == 50_000
    await http.aclose()
    assert (tmp_path / "cache" / "answers.db").stat().st_size < 600_000


async def test_failures_are_not_kept(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = in_turn(page("gone", status=404), page("back"))
    assert (await http.get(f"{web.url}/a", ttl_s=60)).status == 404
    assert (await http.get(f"{web.url}/a", ttl_s=60)).text == "back"


async def test_a_rate_limit_is_waited_for_as_long_as_asked_and_the_wait_is_told(
    web: WebServer, http: HttpService
) -> None:
    web.handlers["/a"] = in_turn(page("slow down", status=429, retry_after="0.05"), page("fine"))
    told: list[str] = []
    assert (await http.get(f"{web.url}/a", progress=told.append)).text == "fine"
    assert len(told) == 1
    assert "takes no more requests" in told[0]


async def test_a_rate_limit_longer_than_one_may_wait_fails_at_once(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = page("slow down", status=429, retry_after="3600")
    with pytest.raises(FetchError, match="takes no more requests for another 3600 s") as caught:
        await http.get(f"{web.url}/a")
    assert (caught.value.kind, caught.value.retry_after_s) == ("rate_limit", 3600.0)
    assert len(web.asked) == 1


async def test_a_limit_that_stays_ends_within_the_wait_that_is_configured(web: WebServer, tmp_path: Path) -> None:
    web.handlers["/a"] = page("slow down", status=429, retry_after="0.1")
    http, told = HttpService(tmp_path / "cache", max_wait_s=0.25), list[str]()
    with pytest.raises(FetchError, match="takes no more requests"):
        await http.get(f"{web.url}/a", progress=told.append)
    assert (len(web.asked), len(told)) == (3, 2)
    await http.aclose()


async def test_a_server_in_trouble_is_asked_again_and_its_last_word_is_the_answer(
    web: WebServer, http: HttpService
) -> None:
    web.handlers["/mended"] = in_turn(page("", status=503), page("", status=500), page("fine"))
    web.handlers["/broken"] = page('{"error": "no more disk"}', status=503, kind="application/json")
    assert (await http.get(f"{web.url}/mended")).text == "fine"
    answer = await http.get(f"{web.url}/broken")
    assert (answer.status, answer.reason()) == (503, "no more disk")
    assert web.paths().count("/broken") == 4


async def test_silence_ends_at_the_time_limit(web: WebServer, http: HttpService) -> None:
    async def silent(request: Request) -> Response:
        await asyncio.sleep(30)
        return Response("too late")

    web.handlers["/a"] = silent
    with pytest.raises(FetchError, match=r"did not answer within 0\.1 seconds"):
        await http.get(f"{web.url}/a", timeout_s=0.1, attempts=1)


async def test_a_dead_server_is_named(http: HttpService) -> None:
    with WebServer() as gone:
        url = gone.url
    with pytest.raises(FetchError, match="cannot be reached") as caught:
        await http.get(url, attempts=2)
    assert caught.value.kind == "offline"


async def test_a_body_without_end_is_cut_off(web: WebServer, http: HttpService) -> None:
    async def endless(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65_536
                await asyncio.sleep(0)  # else it goes on for ever with nobody there, and keeps the server from ending

        return StreamingResponse(chunks())

    web.handlers["/a"] = endless
    with pytest.raises(FetchError, match="longer than 1 MB"):
        await http.get(f"{web.url}/a", max_bytes=1_000_000)


@pytest.mark.parametrize(
    "target", ["http://[::1", "http://x:abc/", "http://127.0.0.1:99999/", "http://xn--a/", "?\x7f"]
)
async def test_a_redirect_or_an_address_that_is_none_is_a_failure_in_words(
    target: str, web: WebServer, http: HttpService
) -> None:
    web.handlers["/a"] = page("", status=302, location=target)
    for url in (f"{web.url}/a", target):
        for public_only in (False, True) if url == target else (False,):
            with pytest.raises(FetchError):
                await http.get(url, attempts=1, public_only=public_only)


async def test_redirects_are_followed_but_credentials_stay_with_their_host(web: WebServer, http: HttpService) -> None:
    with WebServer({"/b": page("elsewhere")}) as other:

        async def away(request: Request) -> Response:
            return RedirectResponse(f"{other.url}/b")

        async def nearby(request: Request) -> Response:
            return RedirectResponse("/c")

        web.handlers |= {"/away": away, "/near": nearby, "/c": page("here")}
        headers = {"Authorization": "Bearer secret"}
        assert (await http.get(f"{web.url}/away", headers=headers)).text == "elsewhere"
        assert (await http.get(f"{web.url}/near", headers=headers)).text == "here"
        assert "authorization" not in other.asked[0].headers
        assert web.asked[-1].headers["authorization"] == "Bearer secret"


async def test_a_circle_of_redirects_ends(web: WebServer, http: HttpService) -> None:
    async def around(request: Request) -> Response:
        return RedirectResponse("/a")

    web.handlers["/a"] = around
    with pytest.raises(FetchError, match="redirects too often"):
        await http.get(f"{web.url}/a")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://localhost/x", "http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]/"],
)
async def test_addresses_of_this_machine_and_private_networks_are_refused(url: str, http: HttpService) -> None:
    with pytest.raises(FetchError) as caught:
        await http.get(url, public_only=True)
    assert caught.value.kind == "refused_address"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "https://", "nonsense"])
async def test_what_is_no_web_address_is_refused(url: str, http: HttpService) -> None:
    with pytest.raises(FetchError, match="no web address"):
        await http.get(url, public_only=True)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "100.64.0.1", "169.254.169.254", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1",
        "::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_an_address_that_leads_inside_is_not_public_whatever_it_is_wrapped_in(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_are() -> None:
    assert all(map(is_public, ("1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::")))


class Names:
    """A resolver whose answers are written down; the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        left = self.answers[host.partition(".")[0]]
        return left.pop(0) if len(left) > 1 else left[0]


async def test_a_name_that_changes_its_meaning_is_connected_to_where_it_was_looked_at(
    web: WebServer, tmp_path: Path
) -> None:
    async def onwards(request: Request) -> Response:
        return RedirectResponse("/inside")

    web.handlers |= {"/page": page("the public one"), "/on": onwards}
    names = Names(rebind=[["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"]], mixed=[["127.0.0.1", "127.0.0.2"]])
    outside = Network(names, lambda address: address == "127.0.0.1")  # here loopback plays the public network
    http = HttpService(tmp_path / "cache", network=outside)
    # Nobody but our resolver knows the name, so an answer can only come from the address that was looked at.
    answer = await http.get(f"http://rebind.test:{web.port}/page", public_only=True)
    assert answer.text == "the public one"
    assert web.asked[0].headers["host"] == f"rebind.test:{web.port}"
    assert names.asked == ["rebind.test"]
    for url in (f"http://rebind.test:{web.port}/on", f"http://mixed.test:{web.port}/page"):
        with pytest.raises(FetchError, match="of a private network"):
            await http.get(url, public_only=True)
    assert web.paths() == ["/page", "/on"]
    await http.aclose()


async def test_a_redirect_leads_from_a_public_page_to_no_other_place_inside(web: WebServer, tmp_path: Path) -> None:
    outside = Network(Names(shop=[["127.0.0.1"]], inside=[["127.0.0.2"]]), lambda address: address == "127.0.0.1")
    http = HttpService(tmp_path / "cache", network=outside)
    for target in ("inside.test", "user:word@inside.test"):

        async def away(request: Request, target: str = target) -> Response:
            return RedirectResponse(f"http://{target}:{web.port}/keys")

        web.handlers["/out"] = away
        with pytest.raises(FetchError, match=r"inside\.test is an address of this machine or of a private network"):
            await http.get(f"http://shop.test:{web.port}/out", public_only=True)
    assert web.paths() == ["/out", "/out"]
    await http.aclose()


async def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine_nor_against_the_rules(
    web: WebServer, http: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nround")
        writer.close()

    web.handlers["/page"] = page("directly")
    async with await asyncio.start_server(relay, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "elsewhere.test")
        assert (await http.get(f"{web.url}/page")).text == "directly"
        assert (await http.get("http://far.test/a", ttl_s=60)).text == "round"
        assert (await http.get("http://far.test/b", public_only=True)).text == "round"
        for url, kind in (
            ("http://10.0.0.1/page", "refused_address"), ("http://localhost/page", "refused_address"),
            ("http://intranet/page", "offline"), ("http://elsewhere.test/page", "offline"),
        ):  # fmt: skip
            with pytest.raises(FetchError) as caught:
                await http.get(url, public_only=True, attempts=1)
            assert caught.value.kind == kind
    assert lines == [b"GET http://far.test/a HTTP/1.1", b"GET http://far.test/b HTTP/1.1"]


async def test_a_proxy_that_cannot_be_used_is_named(http: HttpService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "carrier-pigeon://roof:1")
    with pytest.raises(FetchError, match="The proxy roof:1 cannot be used"):
        await http.get("http://far.test/", attempts=1)


async def test_one_host_is_asked_a_few_things_at_a_time(web: WebServer, http: HttpService) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return Response("x")

    web.handlers["/*"] = slow
    await asyncio.gather(*(http.get(f"{web.url}/{number}") for number in range(40)))
    assert 2 <= web.busiest <= 8


async def test_posts_carry_json_and_are_never_kept(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = page('{"ok": true}', kind="application/json")
    for _ in range(2):
        answer = await http.fetch(Fetch(f"{web.url}/a", method="POST", json={"n": 1}))
        assert answer.json() == {"ok": True}
    assert [item.body for item in web.asked] == [b'{"n":1}', b'{"n":1}']


async def test_a_page_instead_of_json_is_a_failure_in_words(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = page("<html>block page</html>")
    with pytest.raises(FetchError, match="not JSON"):
        (await http.get(f"{web.url}/a")).json()


def test_the_time_to_wait_is_read_in_all_its_forms() -> None:
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": formatdate(1_000_030, usegmt=True)}, now=lambda: 1_000_000.0) == 30.0
    limited = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000060"}
    assert retry_after(limited, now=lambda: 1_000_000.0) == 60.0
    for senseless in ("soon", "nan", "-7"):
        assert retry_after({"retry-after": senseless}) == 0.0
    assert retry_after({"retry-after": "inf"}) == retry_after(limited | {"x-ratelimit-reset": "9" * 30}) == 1e8
    assert retry_after({}) == 0.0
