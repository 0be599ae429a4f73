from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ml_intern.services.http import HttpService
from tests.support.web import WebServer


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[HttpService]:
    service = HttpService(tmp_path / "cache", backoff_s=0.01)
    yield service
    await service.aclose()
