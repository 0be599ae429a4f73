from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.services.docs import Docs, DocsError
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.search_index import SearchIndex
from tests.support.web import WebServer, page


@pytest.fixture
def docs(tmp_path: Path, web: WebServer, http: HttpService) -> Iterator[Docs]:
    index = SearchIndex(tmp_path / "search.db")
    yield Docs(http, Endpoints({"HF_ENDPOINT": web.url}), index)
    index.close()


@pytest.mark.parametrize(
    "place", ["https://huggingface.co", "https://hf.co", "http://www.huggingface.co", "HTTPS://HF.co"]
)
async def test_pages_of_the_hub_are_read_where_the_hub_is(place: str, docs: Docs, web: WebServer) -> None:
    web.handlers["/docs/trl/x.md"] = page("words", kind="text/markdown")
    assert await docs.read(f"{place}/docs/trl/x?a=1#top", lambda _: None) == (f"{web.url}/docs/trl/x.md?a=1", "words")


@pytest.mark.parametrize(
    "url",
    ["https://hf.co.evil.example/docs/x", "https://huggingface.co@evil.example/docs/x", "http://[::1#x", "//hf.co/x"],
)
async def test_what_is_not_on_the_hub_is_refused(url: str, docs: Docs, web: WebServer) -> None:
    with pytest.raises(DocsError, match="is not documentation of Hugging Face"):
        await docs.read(url, lambda _: None)
    assert web.asked == []
