"""What models take and cost: litellm's data file, read without importing litellm, and the arithmetic of a reply."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_intern.core.llm.providers import litellm_directory
from ml_intern.core.llm.types import Usage

PRICE_FILE = "model_prices_and_context_window_backup.json"
_PER_MILLION = 1e-6
_TIER = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_CHAT_MODES = frozenset({"chat", "responses"})


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per token, for prompts of more than `above` tokens."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    above: int = 0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; None is unknown.

    Attributes:
        id: Its name where the facts come from.
        context_window: Tokens a prompt may have.
        max_output: Tokens a reply may have.
        prices: By size of the prompt, smallest first; empty when unknown.
        tools: Whether it calls tools.
        reasoning: Whether it takes a reasoning effort.
        vision: Whether it takes pictures.
        source: Where the facts come from, for people.
    """

    id: str
    context_window: int | None = None
    max_output: int | None = None
    prices: tuple[Price, ...] = ()
    tools: bool | None = None
    reasoning: bool | None = None
    vision: bool | None = None
    source: str = ""

    def cost(self, usage: Usage) -> float | None:
        """Dollars of a reply; None when no price is known."""
        if not self.prices:
            return None
        reached = [tier for tier in self.prices if usage.prompt_tokens > tier.above] or self.prices[:1]
        price = reached[-1]
        read = price.input if price.cache_read is None else price.cache_read
        written = price.input if price.cache_write is None else price.cache_write
        plain = max(0, usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens)
        return (
            plain * price.input
            + usage.cached_tokens * read
            + usage.cache_write_tokens * written
            + usage.completion_tokens * price.output
        )


def info_from_record(model: str, record: Mapping[str, Any], source: str) -> ModelInfo:
    """Facts as people write them in `models.json`: prices in dollars per million tokens.

    Raises:
        ValueError: A value is not of its kind; the text names the key.
    """
    prices: tuple[Price, ...] = ()
    if "input_usd" in record or "output_usd" in record:
        read, written = record.get("cache_read_usd"), record.get("cache_write_usd")
        prices = (
            Price(
                _dollars(record, "input_usd"),
                _dollars(record, "output_usd"),
                None if read is None else _dollars(record, "cache_read_usd"),
                None if written is None else _dollars(record, "cache_write_usd"),
            ),
        )
    window = record.get("context_window")
    if window is not None and (not isinstance(window, int) or window < 1):
        raise ValueError(f"context_window of {model} must be a whole number of tokens")
    return ModelInfo(
        model,
        context_window=window,
        max_output=_tokens(record.get("max_output")),
        prices=prices,
        tools=record.get("tools"),
        reasoning=record.get("reasoning"),
        vision=record.get("vision"),
        source=source,
    )


def info_from_router(record: Mapping[str, Any], tag: str) -> ModelInfo:
    """Facts from one entry of the router's catalogue.

    Without a provider in the id the router chooses one; then the dearest live one is assumed for the price and the
    smallest window holds.

    Args:
        record: The catalogue's entry.
        tag: What stands after the colon of the model id: a provider, a way to choose one, or nothing.
    """
    offers = [offer for offer in record.get("providers") or () if isinstance(offer, dict)]
    live = [offer for offer in offers if offer.get("status", "live") == "live"] or offers
    pinned = [offer for offer in live if offer.get("provider") == tag]
    offers = pinned or live
    windows = [window for offer in offers if (window := _tokens(offer.get("context_length")))]
    prices = [price for offer in offers if (price := _router_price(offer))]
    chosen = min if tag == "cheapest" else max
    price = chosen(prices, key=lambda offer: (offer.output, offer.input)) if prices else None
    tools = [offer["supports_tools"] for offer in offers if isinstance(offer.get("supports_tools"), bool)]
    return ModelInfo(
        str(record.get("id", "")),
        context_window=min(windows) if windows else None,
        prices=(price,) if price else (),
        tools=any(tools) if tools else None,
        vision=_takes_pictures(record),
        source="router catalogue",
    )


@functools.cache
def price_table() -> Mapping[str, Mapping[str, Any]]:
    """litellm's raw facts by model name in lower case; empty when its file cannot be read.

    Slow the first time: call it in a thread.
    """
    directory = litellm_directory()
    if directory is None:
        return {}
    try:
        table = json.loads((directory / PRICE_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name.lower(): record for name, record in table.items() if record.get("mode") in _CHAT_MODES}


def info_from_table(name: str) -> ModelInfo | None:
    """Facts of litellm's table on a model, under exactly this name but for letter case."""
    record = price_table().get(name.lower())
    if record is None:
        return None
    return ModelInfo(
        name,
        context_window=_tokens(record.get("max_input_tokens")) or _tokens(record.get("max_tokens")),
        max_output=_tokens(record.get("max_output_tokens")),
        prices=tuple(_table_prices(record)),
        tools=bool(record.get("supports_function_calling")),
        reasoning=bool(record.get("supports_reasoning")),
        vision=bool(record.get("supports_vision")),
        source="price table",
    )


def _takes_pictures(record: Mapping[str, Any]) -> bool | None:
    architecture = record.get("architecture")
    takes = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return "image" in takes if isinstance(takes, list) else None


def _table_prices(record: Mapping[str, Any]) -> Iterator[Price]:
    """The tiers, without those that cost nothing: a zero in the table means that nobody filled it in."""
    suffixes = [(0, "")]
    suffixes += [
        (int(found[1]) * 1000, f"_above_{found[1]}k_tokens") for key in record if (found := _TIER.fullmatch(key))
    ]
    for above, suffix in sorted(suffixes):
        asked, said = (_number(record.get(f"{kind}_cost_per_token{suffix}")) for kind in ("input", "output"))
        if asked is None or said is None or asked + said <= 0:
            continue
        read = _number(record.get(f"cache_read_input_token_cost{suffix}"))
        written = _number(record.get(f"cache_creation_input_token_cost{suffix}"))
        yield Price(asked, said, read or None, written or None, above)


def _router_price(offer: Mapping[str, Any]) -> Price | None:
    pricing = offer.get("pricing")
    if not isinstance(pricing, dict):
        return None
    asked, said = _number(pricing.get("input")), _number(pricing.get("output"))
    if asked is None or said is None or asked + said <= 0:
        return None
    return Price(asked * _PER_MILLION, said * _PER_MILLION)


def _dollars(record: Mapping[str, Any], key: str) -> float:
    value = _number(record.get(key))
    if value is None or value < 0:
        raise ValueError(f"{key} must be a number of dollars per million tokens")
    return value * _PER_MILLION


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _tokens(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value >= 1 else None
