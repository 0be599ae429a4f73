from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ml_intern.services.http import Fetch, FetchError, HttpService, retry_after
from tests.support.web import WebServer, in_turn, page


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[HttpService]:
    service = HttpService(tmp_path / "cache", backoff_s=0.01)
    yield service
    await service.aclose()


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
    assert retry_after({"retry-after": "soon"}) == 0.0
    assert retry_after({}) == 0.0
