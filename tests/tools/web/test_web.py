from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject
from starlette.requests import Request
from starlette.responses import Response

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.settings import WebSettings
from ml_intern.core.tools.spec import ToolResult, ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.tools.web.fetch import create_web_fetch
from ml_intern.tools.web.results import BlockedError, parse_results
from ml_intern.tools.web.search import create_web_search
from ml_intern.tools.web.seen import SeenAddresses
from tests.support.counting import counted_calls
from tests.support.tools import Bench
from tests.support.web import WebServer, page

ARTICLE = """<html><head><title>Warm-up explained</title></head><body>
<nav><a href="/">Home</a> <a href="/blog">Blog</a></nav>
<article><h1>Warm-up explained</h1>
<p>The learning rate rises slowly at first, since the statistics of the optimiser are still unreliable. See
<a href="/details?part=2">the details</a> for how long this should take in practice.</p>
<pre><code>SFTConfig(warmup_ratio=0.03)</code></pre>
<table><tr><th>steps</th><th>loss</th></tr><tr><td>100</td><td>2.1</td></tr></table>
</article><footer>Cookies and imprint</footer></body></html>"""

RESULTS = """<html><body><div id="links">
<div class="result results_links result--ad"><a class="result__a" href="https://duckduckgo.com/y.js?ad_domain=x.org">Buy</a></div>
<div class="result results_links web-result"><h2><a class="result__a"
 href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fhuggingface.co%2Fdocs%2Ftrl%3Fa%3D1&amp;rut=1">TRL &amp; SFT</a></h2>
 <a class="result__snippet" href="x">How to use the <b>SFTTrainer</b>.</a></div>
<div class="result web-result"><a class="result__a" href="https://huggingface.co/docs/trl?a=1">The same again</a></div>
<div class="result web-result"><a class="result__a" href="https://blog.example.org/sft">A blog</a></div>
<div class="result web-result"><a class="result__a" href="https://spam.example.com/sft">Spam</a></div>
<a href="/about">About the engine</a></div></body></html>"""


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[HttpService]:
    service = HttpService(tmp_path / "cache", backoff_s=0.01)
    yield service
    await service.aclose()


class Browser:
    """Both tools in one session."""

    def __init__(self, tmp_path: Path, http: HttpService, search_url: str = "", *, private: bool = True) -> None:
        endpoints = Endpoints({"WEB_SEARCH_BASE_URL": search_url, "HF_TOKEN": "hf_" + "abcdefghij" * 3 + "ABCD"})
        self.bench = Bench.at(tmp_path, web=WebSettings(allow_private=private))
        self.fetch_tool = create_web_fetch(http, endpoints)
        self.search_tool = create_web_search(http, endpoints)

    async def fetch(self, url: str, **arguments: object) -> ToolResult:
        return await self._call(self.fetch_tool, url=url, **arguments)

    async def search(self, query: str, **arguments: object) -> ToolResult:
        return await self._call(self.search_tool, query=query, **arguments)

    async def assess(self, url: str) -> Assessment:
        assert self.fetch_tool.assess is not None
        assert isinstance(self.fetch_tool.parameters, type)
        params = self.fetch_tool.parameters.model_validate({"url": url})
        found = self.fetch_tool.assess(params, self.bench.context())
        assert not isinstance(found, Assessment)
        return await found

    async def _call(self, spec: ToolSpec, **arguments: object) -> ToolResult:
        assert isinstance(spec.parameters, type)
        return await spec.handler(spec.parameters.model_validate(arguments), self.bench.context())


def pdf(*texts: str) -> bytes:
    writer = PdfWriter()
    for text in texts:
        sheet = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        font = DictionaryObject(
            {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1"),
             NameObject("/BaseFont"): NameObject("/Helvetica")}
        )  # fmt: skip
        fonts = DictionaryObject({NameObject("/F1"): font})
        sheet[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        sheet[NameObject("/Contents")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


# ------------------------------------------------------------------------------------------------------ fetching


async def test_a_page_is_its_main_part_as_markdown(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    web.handlers["/post"] = page(ARTICLE)
    result = await Browser(tmp_path, http).fetch(f"{web.url}/post#top")
    assert result.ok
    assert result.text.splitlines()[:2] == [f"{web.url}/post", "Warm-up explained"]
    assert "[the details](" in result.text
    assert "SFTConfig(warmup_ratio=0.03)" in result.text
    assert "| 100 | 2.1 |" in result.text
    assert "imprint" not in result.text


async def test_a_pdf_is_its_words_page_by_page(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    body = pdf("Attention is enough", "Table of results")

    async def paper(request: Request) -> Response:
        return Response(body, media_type="application/octet-stream")

    web.handlers["/paper"] = paper
    result = await Browser(tmp_path, http).fetch(f"{web.url}/paper")
    assert "pdf, 2 pages" in result.text
    assert "[page 2 of 2]\nTable of results" in result.text


async def test_a_page_that_cannot_be_read_does_not_take_the_rest_of_a_pdf_along(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/x"] = page(pdf("first", "broken) Tj 1 0 R (page", "last"), kind="application/pdf")
    result = await Browser(tmp_path, http).fetch(f"{web.url}/x")
    assert "pdf, 3 pages, 1 of which cannot be read" in result.text
    assert "first" in result.text
    assert "[page 3 of 3]\nlast" in result.text


async def test_a_long_page_is_read_in_parts_without_asking_again(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    words = " ".join(f"w{number}" for number in range(20_000))
    web.handlers["/long"] = page(words, kind="text/plain")
    browser, seen, offset = Browser(tmp_path, http), "", 0
    with counted_calls(SeenAddresses.note) as looks:
        while True:
            result = await browser.fetch(f"{web.url}/long", offset=offset, limit=20_000)
            body = result.text.partition("\n\n")[2]
            seen += body.partition("\n\n[")[0]
            if "go on with offset=" not in body:
                break
            offset = int(body.rsplit("offset=", 1)[1].rstrip("]"))
    assert seen == words
    assert looks.total == 1, "a page of megabytes is searched for links once, and not for each of its parts"
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ('<meta charset="iso-8859-1">', "text/html"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">', "text/html"),
        ("", "text/html; charset=ISO-8859-1"),
        ("<meta charset=utf-8>", "text/html; charset=latin-1"),
        ("<meta charset=latin-1>", "text/html; charset=nonsense"),
    ],
)
async def test_a_page_is_read_in_the_encoding_that_is_named_for_it(
    head: str, kind: str, web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    body = f"<html><head>{head}</head><body><p>Über Größen und Maße im Süden.</p></body></html>".encode("latin-1")

    async def answer(request: Request) -> Response:
        return Response(body, headers={"content-type": kind})

    web.handlers["/x"] = answer
    assert "Über Größen und Maße" in (await Browser(tmp_path, http).fetch(f"{web.url}/x")).text


async def test_a_page_of_many_megabytes_is_all_its_words_and_takes_no_minute(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/x"] = page("<html><head><title>Long</title></head><body>" + "<p>words of it</p>\n" * 200_000)
    result = await asyncio.wait_for(Browser(tmp_path, http).fetch(f"{web.url}/x"), 20)
    assert "\nLong\n" in result.text
    assert "2,399,999 characters" in result.text


async def test_words_can_be_jumped_to(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    web.handlers["/long"] = page("\n".join(f"line {number}" for number in range(5000)), kind="text/plain")
    browser = Browser(tmp_path, http)
    result = await browser.fetch(f"{web.url}/long", find="LINE 4000")
    assert "line 4000" in result.text
    assert "line 3000\n" not in result.text
    missing = await browser.fetch(f"{web.url}/long", find="line 6000")
    assert not missing.ok


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (404, "text/plain", "no such page", "answered 404: no such page"),
        (200, "image/png", "\x89PNG\x00\x00", "is image/png"),
        (200, "text/html", "<html><body><script>app()</script></body></html>", "a page without text"),
        (200, "application/pdf", "%PDF-1.4 broken", "The PDF cannot be read"),
        pytest.param(200, "application/pdf", pdf("a) Tj 1 0 R (b"), "The PDF cannot be read", id="pdf"),
    ],
)
async def test_what_cannot_be_read_is_a_failure_that_says_why(
    status: int, kind: str, body: str | bytes, said: str, web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/x"] = page(body, status=status, kind=kind)
    result = await Browser(tmp_path, http).fetch(f"{web.url}/x")
    assert not result.ok
    assert said in result.text


async def test_json_that_is_nested_without_end_is_shown_as_it_is(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/x"] = page("[" * 100_000, kind="application/json")
    result = await Browser(tmp_path, http).fetch(f"{web.url}/x")
    assert result.ok
    assert "text, 100,000 characters" in result.text


@pytest.mark.parametrize("url", ["http://[::1", "http://x:port/", "http://xn--a/"])
async def test_what_is_no_address_is_refused_in_words(url: str, http: HttpService, tmp_path: Path) -> None:
    browser = Browser(tmp_path, http)
    assert (await browser.assess(url)).effects == {Effect.READ}
    assert (await browser.fetch(url)).text == f"ERROR: {url!r} is no address."


async def test_addresses_of_this_machine_are_refused_unless_allowed(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/x"] = page(ARTICLE)
    result = await Browser(tmp_path, http, private=False).fetch(f"{web.url}/x")
    assert not result.ok
    assert "private network" in result.text
    assert web.asked == []


async def test_a_stand_in_that_the_environment_names_may_be_on_this_machine(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/x"] = page(ARTICLE)
    assert (await Browser(tmp_path, http, web.url, private=False).fetch(f"{web.url}/x")).ok


async def test_a_secret_in_an_address_is_not_sent(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    web.handlers["/*"] = page("x")
    browser = Browser(tmp_path, http)
    for spelled in ("hf_" + "abcdefghij" * 3 + "ABCD", "hf%5F" + "abcdefghij" * 3 + "ABCD"):
        result = await browser.fetch(f"{web.url}/?t={spelled}")
        assert result.text == "ERROR: The address holds a secret, so it was not fetched."
    assert web.asked == []


async def test_an_address_that_carries_data_away_is_asked_about_but_a_known_link_is_not(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/post"] = page(ARTICLE)
    browser = Browser(tmp_path, http)
    link = f"{web.url}/details?part=2"
    asked = await browser.assess(link)
    assert asked.effects == {Effect.PUBLISH}
    assert "sends 6 characters" in asked.reasons[0]
    await browser.fetch(f"{web.url}/post")
    assert (await browser.assess(link)).effects == {Effect.READ}
    assert (await browser.assess(f"{web.url}/post")).effects == {Effect.READ}
    assert (await browser.assess(f"{web.url}/{'a' * 300}")).effects == {Effect.PUBLISH}


async def test_a_silent_server_does_not_hold_up_the_loop(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    async def silent(request: Request) -> Response:
        await asyncio.sleep(30)
        return Response("late")

    web.handlers["/x"] = silent
    browser = Browser(tmp_path, http)
    task = asyncio.create_task(browser.fetch(f"{web.url}/x"))
    async with asyncio.timeout(10):
        while not web.asked:
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 0.3)


# ------------------------------------------------------------------------------------------------------ searching


async def test_results_have_title_address_and_snippet_and_no_advertisements(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/html/"] = page(RESULTS)
    result = await Browser(tmp_path, http, f"{web.url}/html/?kl=us-en").search("sft trainer")
    assert result.ok
    assert "1. TRL & SFT\n   https://huggingface.co/docs/trl?a=1\n   How to use the SFTTrainer." in result.text
    assert "2. A blog" in result.text
    assert "Buy" not in result.text
    assert "The same again" not in result.text
    assert "About the engine" not in result.text
    assert web.asked[0].query == "kl=us-en&q=sft+trainer"


async def test_domains_are_filtered_with_their_subdomains(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    web.handlers["/html"] = page(RESULTS)
    browser = Browser(tmp_path, http, f"{web.url}/html")
    only = await browser.search("sft", allowed_domains=["https://EXAMPLE.org/x", "huggingface.co"])
    assert "blog.example.org" in only.text
    assert "spam.example.com" not in only.text
    without = await browser.search("sft", blocked_domains=["example.com", "huggingface.co"])
    assert "1. A blog" in without.text
    assert "huggingface.co" not in without.text
    none = await browser.search("sft", allowed_domains=["nowhere.net"])
    assert "3 others lie outside" in none.text


async def test_eight_results_are_shown_unless_another_number_is_asked_for(
    web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    links = "".join(f'<a class="result__a" href="https://blog.example.org/{number}">Page</a>' for number in range(30))
    web.handlers["/html"] = page(f"<html><body>{links}</body></html>")
    browser = Browser(tmp_path, http, f"{web.url}/html")
    assert (await browser.search("sft")).text.count("Page") == 8
    assert (await browser.search("sft", max_results=20)).text.count("Page") == 20


@pytest.mark.parametrize(
    ("status", "body"),
    [(202, RESULTS), (200, "<html><a href='/captcha'>prove that you are human</a></html>"), (200, ""), (403, "no")],
)
async def test_a_page_that_turns_programs_away_is_a_failure(
    status: int, body: str, web: WebServer, http: HttpService, tmp_path: Path
) -> None:
    web.handlers["/html"] = page(body, status=status)
    result = await Browser(tmp_path, http, f"{web.url}/html").search("sft")
    assert not result.ok
    assert "did not answer with results" in result.text


async def test_finding_nothing_is_an_answer(web: WebServer, http: HttpService, tmp_path: Path) -> None:
    web.handlers["/html"] = page("<html><body><div class='no-results'>No results.</div></body></html>")
    result = await Browser(tmp_path, http, f"{web.url}/html").search("xyzzy")
    assert result.ok
    assert "Nothing was found for 'xyzzy'" in result.text


async def test_a_wrong_address_of_the_engine_is_named(http: HttpService, tmp_path: Path) -> None:
    result = await Browser(tmp_path, http, "not an address").search("sft")
    assert result.text == "ERROR: WEB_SEARCH_BASE_URL is 'not an address', which is no web address."


def test_hostile_markup_does_not_break_the_reader() -> None:
    links = (
        "javascript:x",
        "http://[bad",
        "/l/?uddg=http%3A%2F%2F%5Bbad",
        "/l/?uddg=%23",  # which leads to itself
        "//duckduckgo.com/y.js?uddg=https%3A%2F%2Fx.org",
    )
    for markup in (
        "<",
        "<a class=result__a>",
        "\0" * 50,
        *(f"<a class='result__a' href='{link}'>t</a>" for link in links),
    ):
        try:
            assert parse_results(markup, "https://x.org") == []
        except BlockedError:
            continue
