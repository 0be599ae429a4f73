"""The data set viewer's API: splits, sizes, features, rows and statistics without downloading the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService, Progress

FRESH_S = 300.0
_CARD = "&".join(f"expand={name}" for name in ("cardData", "downloads", "gated", "lastModified", "private", "tags"))
"""Not its list of files too, which may be megabytes long."""
_NOT_READY = frozenset({"ResponseNotReady", "ResponseAlreadyComputedError", "ResponseNotFound"})


class DatasetError(Exception):
    """A service did not give what was asked for; the text is its reason.

    Attributes:
        status: HTTP status, 0 without an answer.
        code: The service's own name for the failure, or empty.
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def not_ready(self) -> bool:
        """Whether the service is still working on an answer."""
        return self.code in _NOT_READY or self.status == 501


@dataclass(frozen=True, slots=True)
class DatasetsServer:
    """A client.

    Attributes:
        http: Fetches.
        endpoints: Where the services are.
    """

    http: HttpService
    endpoints: Endpoints

    async def ask(self, path: str, params: Mapping[str, str | int], progress: Progress) -> dict[str, Any]:
        """An answer of the viewer's API (`splits`, `info`, `first-rows`, ...).

        Raises:
            DatasetError: There is none.
        """
        return await self._json(self.endpoints.url("datasets_server", path), params, progress)

    async def card(self, dataset: str, progress: Progress) -> dict[str, Any]:
        """What the Hub knows about a data set: licence, gating, tags.

        Raises:
            DatasetError: There is no such data set, or it may not be seen.
        """
        return await self._json(self.endpoints.url("hub", f"api/datasets/{dataset}?{_CARD}"), {}, progress)

    async def _json(self, url: str, params: Mapping[str, str | int], progress: Progress) -> dict[str, Any]:
        request = Fetch(
            url, params=params, headers=self.endpoints.hf_headers(url), ttl_s=FRESH_S, attempts=2, progress=progress
        )
        try:
            answer = await self.http.fetch(request)
            if not answer.ok:
                code = answer.headers.get("x-error-code", "")
                reason = answer.reason() or answer.headers.get("x-error-message", "") or f"status {answer.status}"
                raise DatasetError(reason, answer.status, code)
            found = answer.json()
        except FetchError as error:
            raise DatasetError(str(error)) from error
        if not isinstance(found, dict):
            raise DatasetError("the answer is not what was expected")
        return found
