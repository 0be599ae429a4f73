from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from ml_intern.services.http import FetchError, HttpService
from tests.support.web import WebServer, page


async def test_bodies_come_packed_in_any_of_the_usual_ways(web: WebServer, http: HttpService) -> None:
    words = b"words " * 50_000
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = {
        "gzip": gzip.compress(words),
        "X-GZip, identity": gzip.compress(words),
        "deflate": zlib.compress(words),
        "Deflate": raw.compress(words) + raw.flush(),
        "identity": words,
    }
    for number, (encoding, body) in enumerate(packed.items()):
        web.handlers[f"/{number}"] = page(body, content_encoding=encoding)
        for ttl_s in (0.0, 60.0, 60.0):
            assert (await http.get(f"{web.url}/{number}", ttl_s=ttl_s)).body == words
    assert web.asked[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("gzip", "longer than 1 MB"), ("gzip, gzip", "packed as gzip, gzip"), ("br", "packed as br"), ("deflate", "1 MB")],
)
async def test_a_few_bytes_never_become_gigabytes(encoding: str, said: str, web: WebServer, http: HttpService) -> None:
    nothing = bytes(30_000_000)
    bomb = zlib.compress(nothing) if encoding == "deflate" else gzip.compress(nothing)
    web.handlers["/a"] = page(bomb, content_encoding=encoding)
    await http.get(f"{web.url}/b")  # imports what it takes
    tracemalloc.start()
    with pytest.raises(FetchError, match=said):
        await http.get(f"{web.url}/a", max_bytes=1_000_000, attempts=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


async def test_a_body_that_cannot_be_unpacked_is_a_failure(web: WebServer, http: HttpService) -> None:
    packed = gzip.compress(" ".join(map(str, range(5000))).encode())
    web.handlers["/a"] = page(packed[:5000] + b"damage" * 9 + packed[5000:], content_encoding="gzip")
    with pytest.raises(FetchError, match="cannot be read: it sent something damaged"):
        await http.get(f"{web.url}/a")
    assert len(web.asked) == 1


@pytest.mark.parametrize("charset", ["idna", "punycode", "undefined", "unicode_escape", "utf-7", "base64", "no such"])
async def test_a_charset_that_no_page_is_written_in_is_taken_for_utf8(
    charset: str, web: WebServer, http: HttpService
) -> None:
    web.handlers["/a"] = page("grün", content_type=f"text/html; charset={charset}")
    assert (await http.get(f"{web.url}/a")).text == "grün"


async def test_json_without_end_is_a_failure_in_words(web: WebServer, http: HttpService) -> None:
    web.handlers["/a"] = page("[" * 200_000, status=500, kind="application/json")
    answer = await http.get(f"{web.url}/a", attempts=1)
    with pytest.raises(FetchError, match="not JSON"):
        answer.json()
    assert answer.reason()
