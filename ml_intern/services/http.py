"""The one HTTP client of all services: waits that are told, limits for each host, bodies with an end, a cache."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ml_intern.core.lean import skip_unused_parts
from ml_intern.services.addresses import AddressError, Network, UnknownHostError, is_loopback, proxy_for
from ml_intern.services.bodies import ENCODINGS, PackedError, TooLongError, body_of, text_of
from ml_intern.services.endpoints import NOWHERE, origin_of
from ml_intern.services.http_cache import CACHE_BYTES, PERSONAL, caching_of, with_cache
from ml_intern.services.markup import link_to

if TYPE_CHECKING:
    import httpx

PER_HOST = 8
"""Requests to one host at the same time."""
ATTEMPTS = 4
MAX_BODY_BYTES = 20_000_000
LONGEST_WAIT_S = 60.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 8

FailureKind = Literal[
    "offline", "timeout", "rate_limit", "too_large", "unreadable", "refused_address", "redirects", "server",
]  # fmt: skip
Progress = Callable[[str], None]


class FetchError(Exception):
    """There is no answer to show; the text is a sentence that names the host.

    Attributes:
        kind: What went wrong.
        retry_after_s: How long the server asks to stay away, 0 when it did not say.
    """

    def __init__(self, kind: FailureKind, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, good or bad.

    Attributes:
        url: Where it came from at last, after redirects.
        status: HTTP status.
        headers: Response headers, names in lower case.
        body: The whole body.
        cached: Whether it came from the disk.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    cached: bool = False

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, in the encoding that its headers or the page itself name, else UTF-8; never fails."""
        return text_of(self.body, self.headers.get("content-type", ""))

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            FetchError: It is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise FetchError("server", f"{host_of(self.url)} answered with something that is not JSON.") from error

    def reason(self) -> str:
        """What the server says about a failure, in one line of at most 200 characters."""
        with contextlib.suppress(ValueError, AttributeError, RecursionError):
            said = json.loads(self.body)
            for key in ("error", "message", "detail"):
                if isinstance(said, dict) and isinstance(said.get(key), str):
                    return " ".join(said[key].split())[:200]
        return " ".join(self.text[:400].split())[:200] if "html" not in self.headers.get("content-type", "") else ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request.

    Attributes:
        url: Where to.
        method: `GET`, `POST`, `HEAD`.
        params: Query parameters.
        headers: Further headers. An `Authorization` never follows a redirect to another host.
        json: Body of a POST.
        ttl_s: Seconds for which an answer is fresh; None: the server's headers decide; 0: never from the cache.
        timeout_s: Limit for one attempt, from connecting to the last byte.
        max_bytes: A longer body is an error.
        attempts: Attempts in all.
        max_wait_s: Longest time spent waiting because the server asks for it; None: as the client is set.
        public_only: Refuse addresses of this machine and of private networks, on every hop.
        progress: Told of waits and repeated attempts.
    """

    url: str
    method: str = "GET"
    params: Mapping[str, str | int | float] | None = None
    headers: Mapping[str, str] | None = None
    json: Any = None
    ttl_s: float | None = 0.0
    timeout_s: float = 30.0
    max_bytes: int = MAX_BODY_BYTES
    attempts: int = ATTEMPTS
    max_wait_s: float | None = None
    public_only: bool = False
    progress: Progress = lambda _: None


class HttpService:
    """Fetches for all tools of a session.

    Args:
        cache: Directory for kept answers.
        backoff_s: Wait before the second attempt; doubled for each further one.
        network: Looks names up.
        cache_bytes: Most that is kept on disk.
        max_wait_s: Longest time that one request spends waiting for a server that asks to come back later.
    """

    def __init__(
        self,
        cache: Path,
        *,
        backoff_s: float = 1.0,
        network: Network | None = None,
        cache_bytes: int = CACHE_BYTES,
        max_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._cache = cache
        self._backoff_s = backoff_s
        self._network = network or Network()
        self._cache_bytes = cache_bytes
        self._max_wait_s = max_wait_s
        self._clients: dict[tuple[str, bool, bool, bool], httpx.AsyncClient] = {}
        self._making = asyncio.Lock()
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(PER_HOST))

    async def get(self, url: str, **options: Any) -> Answer:
        """The answer to a GET; see `Fetch` for the options.

        Raises:
            FetchError: There is none.
        """
        return await self.fetch(Fetch(url, **options))

    async def fetch(self, request: Fetch) -> Answer:
        """The answer to a request, whatever its status.

        Raises:
            FetchError: There is none: no connection, too slow, too long, or the server keeps asking to wait.
        """
        host = host_of(request.url)
        longest = self._max_wait_s if request.max_wait_s is None else request.max_wait_s
        waited = 0.0
        for attempt in range(1, request.attempts + 1):
            last = attempt == request.attempts
            try:
                async with self._slots[host], asyncio.timeout(request.timeout_s):
                    answer = await self._follow(request)
            except TimeoutError:
                failure = FetchError("timeout", f"{host} did not answer within {request.timeout_s:g} seconds.")
                asked = 0.0
            except FetchError as error:
                if error.kind not in ("offline", "server"):
                    raise
                failure, asked = error, 0.0
            else:
                if answer.status not in (429, 502, 503, 504) and not (answer.status == 500 and not last):
                    return answer
                asked = retry_after(answer.headers)
                if answer.status != 429 and last:
                    return answer
                failure = _rate_limited(host, asked) if answer.status == 429 else _broken(host, answer.status)
            pause = asked or self._backoff_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            if last or waited + pause > longest:
                raise failure
            request.progress(f"{failure} Trying again in {pause:.0f} s." if pause >= 1 else f"{failure} Trying again.")
            waited += pause
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def aclose(self) -> None:
        """Closes connections and the cache."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    # -------------------------------------------------------------------------------------------- one attempt

    async def _follow(self, request: Fetch) -> Answer:
        """One request with its redirects, each hop checked by itself."""
        skip_unused_parts()
        import httpx

        url, method, body = request.url, request.method, request.json
        headers = dict(request.headers or {})
        params = dict(request.params) if request.params else None
        for _ in range(_MOST_REDIRECTS):
            try:
                address = await self._public_address(url) if request.public_only else ""
                if origin_of(url) == NOWHERE:
                    raise FetchError("refused_address", f"{url!r} is no address.")
                answer = await self._once(request, method, url, params, headers, body, address)
            except httpx.TimeoutException as error:
                raise TimeoutError from error
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
                raise FetchError("refused_address", f"{url!r} is no address.") from error
            except httpx.HTTPError as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                raise FetchError("offline", f"{host_of(url)} cannot be reached ({reason}).") from error
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target:
                return answer
            before, url, params = url, link_to(url, target), None
            if origin_of(url) != origin_of(before):
                headers = {name: value for name, value in headers.items() if name.lower() not in PERSONAL}
            if answer.status == 303 or (method == "POST" and answer.status in (301, 302)):
                method, body = "GET", None
        raise FetchError("redirects", f"{host_of(request.url)} redirects too often.")

    async def _once(
        self, request: Fetch, method: str, url: str, params: Any, headers: dict[str, str], body: Any, address: str
    ) -> Answer:
        client = await self._client(url, cached=request.ttl_s != 0.0)
        built = client.build_request(method, url, params=params, headers=headers, json=body)
        full_url = str(built.url)
        built.extensions["caching"] = caching_of(request.ttl_s, method, full_url, headers)
        built.extensions["timeout"] = {"connect": min(15.0, request.timeout_s), "pool": request.timeout_s}
        if address:
            built.extensions["sni_hostname"] = built.url.host
            built.url = built.url.copy_with(host=address)  # the Host header still says the name
        response = await client.send(built, stream=True)
        packing = response.headers.get("content-encoding", "")
        try:
            came = await body_of(response.aiter_raw(), packing, request.max_bytes)
        except TooLongError:
            size = f"{request.max_bytes / 1e6:g} MB"
            raise FetchError("too_large", f"{url} is longer than {size}, the most that is fetched.") from None
        except PackedError as error:
            raise FetchError("unreadable", f"{host_of(url)} cannot be read: {error}.") from error
        finally:
            await response.aclose()
        answered = {name.lower(): value for name, value in response.headers.items()}
        cached = bool(response.extensions.get("caching", {}).get("from_cache"))
        return Answer(full_url, response.status_code, answered, came, cached)

    async def _public_address(self, url: str) -> str:
        """The address that was looked at, to connect to that and no other: a name may stand for another in a moment.

        Empty where a proxy connects for us. It looks names up itself, and perhaps alone; which of them it reaches is up
        to those who run it.
        """
        proxied = bool(proxy_for(url))
        try:
            address = await self._network.public_address(url)
        except AddressError as error:
            raise FetchError("refused_address", str(error)) from error
        except UnknownHostError as error:
            if proxied and "." in (urlsplit(url).hostname or ""):
                return ""
            raise FetchError("offline", str(error)) from error
        return "" if proxied else address

    async def _client(self, url: str, *, cached: bool) -> httpx.AsyncClient:
        kind = (proxy_for(url), urlsplit(url).scheme == "https", is_loopback(url), cached)
        if kind not in self._clients:
            async with self._making:
                if kind not in self._clients:
                    # Imports and certificates take a good tenth of a second.
                    self._clients[kind] = await asyncio.to_thread(self._make, *kind)
        return self._clients[kind]

    def _make(self, proxy: str, secure: bool, local: bool, cached: bool) -> httpx.AsyncClient:
        import httpx

        from ml_intern import __version__

        try:  # plain HTTP needs no certificates
            wire: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(
                verify=secure, proxy=proxy or None, trust_env=not local
            )
        except (ImportError, ValueError) as error:  # a kind of proxy that needs another package, or that there is not
            raise FetchError("offline", f"The proxy {host_of(proxy)} cannot be used: {error}.") from error
        return httpx.AsyncClient(
            transport=with_cache(wire, self._cache, self._cache_bytes, MAX_BODY_BYTES) if cached else wire,
            headers={"User-Agent": f"ml-intern/{__version__}", "Accept-Encoding": ENCODINGS},
            follow_redirects=False,
        )


def host_of(url: str) -> str:
    """The host of an address, for people."""
    with contextlib.suppress(ValueError):
        return urlsplit(url).netloc.rpartition("@")[2] or url
    return url


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float:
    """Seconds that a server asks to stay away (`Retry-After` as seconds or as a date, GitHub's reset time), or 0."""
    said = headers.get("retry-after", "").strip()
    if said:
        with contextlib.suppress(ValueError):
            return _bounded(float(said))
        with contextlib.suppress(ValueError, TypeError):
            return _bounded(email.utils.parsedate_to_datetime(said).timestamp() - now())
    if headers.get("x-ratelimit-remaining") == "0":
        with contextlib.suppress(ValueError):
            return _bounded(float(headers.get("x-ratelimit-reset", "")) - now())
    return 0.0


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), 1e8)  # what is beyond is no time that anybody could tell


def _rate_limited(host: str, asked: float) -> FetchError:
    when = f" for another {asked:.0f} s" if asked else ""
    return FetchError("rate_limit", f"{host} takes no more requests{when}.", asked)


def _broken(host: str, status: int) -> FetchError:
    return FetchError("server", f"{host} answered with an error ({status}).")
