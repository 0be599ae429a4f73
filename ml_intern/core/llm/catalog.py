"""What is known about models, from every source there is: windows, prices, abilities, names."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_intern.core.ledger import Charge
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.model_file import Suggestion, read_model_file
from ml_intern.core.llm.prices import ModelInfo, info_from_router, info_from_table, price_table
from ml_intern.core.llm.providers import LOCAL_SERVERS, is_provider
from ml_intern.core.llm.routing import Route, near_matches, router_base_url
from ml_intern.core.llm.types import Usage
from ml_intern.core.settings import Settings

log = logging.getLogger(__name__)

ROUTER_TIMEOUT_S = 5.0
FRESH_S = 300.0
FRESH_AFTER_FAILURE_S = 15.0

ASSUMED_WINDOW = 128_000
ASSUMED_LOCAL_WINDOW = 32_768
"""For models nobody knows. Small on purpose: a window taken for too large ends in refused requests."""

_TABLE_PROVIDERS: Mapping[str, str] = {
    "novita": "novita",
    "together": "together_ai",
    "groq": "groq",
    "cerebras": "cerebras",
    "nebius": "nebius",
    "sambanova": "sambanova",
    "hyperbolic": "hyperbolic",
    "nscale": "nscale",
    "deepinfra": "deepinfra",
    "baseten": "baseten",
    "ovhcloud": "ovhcloud",
    "scaleway": "scaleway",
}
"""The router's names of providers and those in the price table."""


class Catalog:
    """Facts on models.

    For each fact the first source that knows it decides: a window learned from an overflow, the user's `models.json`,
    the bundled one, the local server itself, the router's catalogue, litellm's table, the setting, an assumption.

    Args:
        settings: `llm.context_window` is the last resort for windows.
        env: Environment variables.
        bundled: The bundled `models.json`.
        user_file: The user's own, which need not exist.
        clock: Monotonic seconds; decides when an answer is stale.
    """

    def __init__(
        self,
        settings: Settings,
        env: Mapping[str, str],
        bundled: Path,
        user_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._env = env
        files = [read_model_file(path) for path in (user_file, bundled) if path is not None]
        self._written = [file.models for file in files]
        self.suggestions: tuple[Suggestion, ...] = tuple(entry for file in files for entry in file.suggested)
        self.warnings: tuple[str, ...] = tuple(warning for file in files for warning in file.warnings)
        self._learned: dict[str, int] = {}
        self._told_by_server: dict[str, int] = {}
        self._router: dict[str, dict[str, Any]] = {}
        self._fresh_until: dict[str, float] = {}
        self._refreshing = asyncio.Lock()

    # ------------------------------------------------------------------------------------------------ questions

    def charge(self, model: str, usage: Usage) -> Charge:
        """What one reply costs: told by the provider, or reckoned. Local and practice models cost nothing.

        A provider that tells a cost of nothing has told nothing.
        """
        for facts in self._written_about(model):
            if facts.prices:
                return Charge(facts.cost(usage), "estimated")
        if _is_free(model):
            return Charge(0.0, "measured")
        if usage.cost_usd:
            return Charge(usage.cost_usd, "measured")
        usd = next((facts.cost(usage) for facts in self._facts(model) if facts.prices), None)
        return Charge(usd, "unknown" if usd is None else "estimated")

    def cost(self, model: str, usage: Usage) -> float | None:
        """Dollars of one reply; None when no price is known."""
        return self.charge(model, usage).usd

    def window(self, model: str) -> int:
        """Tokens the model takes; see `window_source` for how sure that is."""
        return self._window(model)[0]

    def window_source(self, model: str) -> str:
        """Where the window comes from, for people; `assumed` when nothing knows it."""
        return self._window(model)[1]

    def learn_window(self, model: str, detail: str) -> None:
        """Reads the true limit out of an overflow message, if it names one."""
        from ml_intern.core.llm.wordings import context_limit_from

        if limit := context_limit_from(detail):
            self._learned[model] = limit

    def info(self, model: str) -> ModelInfo:
        """All facts on a model in one, those of better sources first."""
        merged = ModelInfo(model, context_window=self.window(model), source=self.window_source(model))
        for facts in self._facts(model):
            merged = ModelInfo(
                model,
                context_window=merged.context_window,
                max_output=merged.max_output or facts.max_output,
                prices=merged.prices or facts.prices,
                tools=facts.tools if merged.tools is None else merged.tools,
                reasoning=facts.reasoning if merged.reasoning is None else merged.reasoning,
                vision=facts.vision if merged.vision is None else merged.vision,
                source=merged.source,
            )
        return merged

    def takes_images(self, model: str) -> bool | None:
        """Whether a model takes images; None when no source says so."""
        return False if model.startswith("demo/") else self.info(model).vision

    def known_models(self) -> Iterator[str]:
        """Ids of all models that are known by name: suggested ones, the router's, then those of single providers."""
        yield from (suggestion.id for suggestion in self.suggestions)
        yield from (str(entry["id"]) for entry in self._router.values())
        resold: list[str] = []
        for name, record in price_table().items():
            provider = str(record.get("litellm_provider", ""))
            if provider in {"anthropic", "openai"} and "/" not in name:
                yield f"{provider}/{name}"
            elif name.startswith(f"{provider}/") and is_provider(provider):
                resold.append(name)
        yield from resold

    def near(self, model: str) -> list[str]:
        """Ids that look like this one, best first; at most three."""
        return near_matches(model, self.known_models())

    def caution(self, model: str) -> str:
        """What the router's catalogue holds against a model that is about to be used, or an empty string."""
        entries = self._router
        if not entries or _is_free(model) or is_provider(model.partition("/")[0]):
            return ""
        name, tag = _split_tag(model)
        entry = entries.get(name.lower())
        if entry is None:
            close = near_matches(name, (str(known["id"]) for known in entries.values()))
            hint = f"; did you mean {' or '.join(close)}?" if close else "."
            return f"{name} is not in the router's catalogue{hint}"
        providers = [offer for offer in entry.get("providers") or () if isinstance(offer, dict)]
        live = [str(offer.get("provider")) for offer in providers if offer.get("status", "live") == "live"]
        if not live:
            return f"No provider serves {name} at the moment."
        if tag in {str(offer.get("provider")) for offer in providers} - set(live):
            return f"{tag} does not serve {name} at the moment; these do: {', '.join(live)}."
        return f"{model} cannot call tools." if info_from_router(entry, tag).tools is False else ""

    # --------------------------------------------------------------------------------------------------- sources

    async def load(self) -> None:
        """Reads litellm's table, in a thread; later questions do not touch the disk."""
        await asyncio.to_thread(price_table)

    def is_stale(self, route: Route) -> bool:
        """Whether it is time to ask the server of a route about its models."""
        asked = route.is_router or route.provider in LOCAL_SERVERS
        return asked and self._clock() >= self._fresh_until.get(_source(route), 0.0)

    async def refresh(self, route: Route, pool: HttpPool) -> None:
        """Asks the server of a route, unless that was done lately: for the router's catalogue, or a local window.

        A server that does not answer is no error: what is known stays, and it is asked again soon.
        """
        async with self._refreshing:
            if not self.is_stale(route):
                return
            told = await (self._ask_router(pool, route.api_key) if route.is_router else self._ask_local(pool, route))
            self._fresh_until[_source(route)] = self._clock() + (FRESH_S if told else FRESH_AFTER_FAILURE_S)

    async def _ask_local(self, pool: HttpPool, route: Route) -> bool:
        from ml_intern.core.llm.local_servers import ask_window

        window = await ask_window(pool, route)
        if window:
            self._told_by_server[route.model] = window
        return window is not None

    async def _ask_router(self, pool: HttpPool, token: str) -> bool:
        entries = await self._fetch(pool, token)
        if entries is not None:
            self._router = entries
        return entries is not None

    async def _fetch(self, pool: HttpPool, token: str) -> dict[str, dict[str, Any]] | None:
        try:
            url = f"{router_base_url(self._env)}/models"
        except LLMError:
            return None
        client = await pool.client(url)
        import httpx

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with asyncio.timeout(ROUTER_TIMEOUT_S):
                response = await client.get(url, headers=headers)
            records = json.loads(response.content)["data"] if response.status_code == 200 else None
        except (httpx.HTTPError, TimeoutError, ValueError, LookupError, TypeError) as error:
            log.info("the router's catalogue could not be read: %s", type(error).__name__)
            return None
        if not isinstance(records, list):
            return None
        return {str(record["id"]).lower(): record for record in records if isinstance(record, dict) and "id" in record}

    def _facts(self, model: str) -> Iterator[ModelInfo]:
        """What each source knows, best source first."""
        yield from self._written_about(model)
        name, tag = _split_tag(model.removeprefix("huggingface/"))
        if not _is_free(model) and (entry := self._router.get(name.lower())):
            yield info_from_router(entry, tag)
        for key in _table_names(model):
            if facts := info_from_table(key):
                yield facts
                return

    def _written_about(self, model: str) -> Iterator[ModelInfo]:
        for written in self._written:
            facts = written.get(model) or written.get(_split_tag(model.removeprefix("huggingface/"))[0])
            if facts:
                yield facts

    def _window(self, model: str) -> tuple[int, str]:
        if learned := self._learned.get(model):
            return learned, "the server's own words"
        told = self._told_by_server.get(model)
        server = [ModelInfo(model, context_window=told, source="the server")] if told else []
        for facts in (*self._written_about(model), *server, *self._facts(model)):
            if facts.context_window:
                return facts.context_window, facts.source
        if configured := self._settings.llm.context_window:
            return configured, "llm.context_window"
        return (ASSUMED_LOCAL_WINDOW if _is_free(model) else ASSUMED_WINDOW), "assumed"


def _source(route: Route) -> str:
    """What is asked: the router once for all models, a local server for each."""
    return route.base_url if route.is_router else route.model


def _is_free(model: str) -> bool:
    prefix = model.partition("/")[0]
    return prefix == "demo" or prefix in LOCAL_SERVERS


def _split_tag(model: str) -> tuple[str, str]:
    """A model id without the part after the colon, and that part."""
    name, _, tag = model.partition(":")
    return name, tag


def _table_names(model: str) -> Iterator[str]:
    """Names a model may have in litellm's table, best first."""
    if _is_free(model):
        return
    name, tag = _split_tag(model.removeprefix("huggingface/"))
    prefix, _, rest = name.partition("/")
    if tag and tag in _TABLE_PROVIDERS:
        yield f"{_TABLE_PROVIDERS[tag]}/{name}"
    if prefix in {"anthropic", "openai"}:
        # The router writes versions with a dot where the table has a dash.
        yield from (rest, rest.replace(".", "-"))
    yield model
