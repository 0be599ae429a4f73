from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.llm.catalog import (
    ASSUMED_LOCAL_WINDOW,
    ASSUMED_WINDOW,
    FRESH_AFTER_FAILURE_S,
    FRESH_S,
    Catalog,
)
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.prices import info_from_table, price_table
from ml_intern.core.llm.routing import resolve
from ml_intern.core.llm.types import Usage
from ml_intern.core.settings import LLMSettings, Settings
from ml_intern.resources import config_path
from tests.core.llm.support import local_env, router_env
from tests.support.llm_server import ScriptedLLM, Step, error

BUNDLED = config_path("models.json")


def offer(provider: str, price: tuple[float, float], window: int, **fields: Any) -> dict[str, Any]:
    pricing = {"input": price[0], "output": price[1]}
    return {"provider": provider, "status": "live", "context_length": window, "pricing": pricing, **fields}


ROUTER_MODELS = [
    {
        "id": "Org/Model",
        "providers": [
            offer("cheap", (1, 2), 8_000, supports_tools=False),
            offer("dear", (3, 9), 16_000, supports_tools=True),
            offer("gone", (9, 99), 1_000, status="error"),
        ],
    },
    {"id": "org/dead", "providers": [offer("gone", (1, 1), 1_000, status="error")]},
    {"id": "org/unpriced", "providers": [{"provider": "x", "status": "live"}]},
]


def catalog(env: dict[str, str] | None = None, user_file: Path | None = None, **llm: Any) -> Catalog:
    return Catalog(Settings(llm=LLMSettings(**llm)), env or {}, BUNDLED, user_file)


async def filled(server: ScriptedLLM) -> Catalog:
    env = router_env(server)
    found = catalog(env)
    pool = HttpPool(5)
    await found.refresh(resolve("org/model", env, Settings()), pool)
    await pool.aclose()
    return found


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "models.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# --------------------------------------------------------------------------------------------------- prices


def test_the_table_prices_cached_tokens_and_long_prompts_apart() -> None:
    facts = info_from_table("gpt-5.5")
    assert facts is not None
    base, long = facts.prices
    assert base.above == 0
    assert long.above > 100_000
    assert long.input > base.input > (base.cache_read or 0) > 0
    small, large = Usage(1000, 10, cached_tokens=400), Usage(long.above + 1, 0)
    assert facts.cost(small) == pytest.approx(600 * base.input + 400 * (base.cache_read or 0) + 10 * base.output)
    assert facts.cost(large) == pytest.approx((long.above + 1) * long.input)


@pytest.mark.parametrize(
    "model",
    ["anthropic/claude-opus-4-6", "openai/gpt-5.5", "gemini/gemini-3.1-pro-preview", "moonshotai/Kimi-K2.6:novita"],
)
def test_suggested_models_have_prices_and_windows_without_network(model: str) -> None:
    known = catalog()
    assert (known.cost(model, Usage(1000, 1000)) or 0) > 0
    assert known.window(model) > 100_000
    assert known.window_source(model) != "assumed"


@pytest.mark.parametrize("model", ["vllm/x", "ollama/y", "demo/first-run"])
def test_local_and_practice_models_cost_nothing(model: str) -> None:
    assert catalog().cost(model, Usage(1000, 1000)) == 0.0


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    assert catalog().cost("org/nobody-knows", Usage(1000, 1000)) is None
    assert catalog().cost("org/nobody-knows", Usage(1000, 1000, cost_usd=0.0)) is None


def test_what_the_provider_reports_counts_unless_it_is_zero() -> None:
    known = catalog()
    assert known.cost("openai/gpt-5.5", Usage(1000, 1000, cost_usd=0.5)) == 0.5
    assert known.cost("openai/gpt-5.5", Usage(1000, 1000, cost_usd=0.0)) == known.cost(
        "openai/gpt-5.5", Usage(1000, 1000)
    )


def test_rows_that_nobody_filled_in_are_no_prices() -> None:
    zero = [
        name
        for name, row in price_table().items()
        if row.get("input_cost_per_token") == 0 == row.get("output_cost_per_token")
    ]
    assert zero
    assert all((facts := info_from_table(name)) and not facts.prices for name in zero)


# -------------------------------------------------------------------------------------------------- windows


def test_windows_that_nobody_knows_are_assumed_small_and_named_so() -> None:
    assert (catalog().window("org/x"), catalog().window("vllm/x")) == (ASSUMED_WINDOW, ASSUMED_LOCAL_WINDOW)
    assert catalog().window_source("org/x") == "assumed"


def test_a_setting_stands_in_only_where_nothing_is_known() -> None:
    known = catalog(context_window=5000)
    assert known.window("vllm/x") == 5000
    assert known.window("openai/gpt-5.5") > 5000


def test_an_overflow_teaches_the_true_window() -> None:
    known = catalog()
    known.learn_window("openai/gpt-5.5", "This model's maximum context length is 8192 tokens.")
    assert known.window("openai/gpt-5.5") == 8192
    known.learn_window("vllm/x", "too long")
    assert known.window("vllm/x") == ASSUMED_LOCAL_WINDOW


@pytest.mark.parametrize(
    ("model", "entry"),
    [("vllm/x", {"id": "x", "max_model_len": 4321}), ("lm_studio/x", {"id": "other", "context_length": 4321})],
)
async def test_a_local_server_is_asked_for_its_window(model: str, entry: dict[str, Any]) -> None:
    async with ScriptedLLM(models=[entry]) as server:
        env = {"LOCAL_LLM_BASE_URL": server.origin}
        known, pool = catalog(env), HttpPool(5)
        await known.refresh(resolve(model, env, Settings()), pool)
        await pool.aclose()
    assert known.window(model) == 4321


@pytest.mark.parametrize(
    ("model", "path", "answer"),
    [
        ("ollama/x", "/api/ps", {"models": [{"name": "x", "context_length": 4321}]}),
        ("lm_studio/x", "/api/v0/models", {"data": [{"id": "y"}, {"id": "x", "loaded_context_length": 4321}]}),
        ("llamacpp/x", "/props", {"default_generation_settings": {"n_ctx": 4321}}),
    ],
)
async def test_each_kind_of_local_server_is_asked_in_its_own_way(model: str, path: str, answer: dict[str, Any]) -> None:
    async with ScriptedLLM() as server:
        server.handlers["GET", path] = lambda _: Step(body=answer)
        env = {"LOCAL_LLM_BASE_URL": server.origin}
        known, pool = catalog(env), HttpPool(5)
        await known.refresh(resolve(model, env, Settings()), pool)
        await pool.aclose()
    assert known.window(model) == 4321


# --------------------------------------------------------------------------------------------- the router's list


async def test_the_router_tells_price_window_and_abilities_per_provider() -> None:
    async with ScriptedLLM(models=ROUTER_MODELS) as server:
        known = await filled(server)
    assert known.window("org/model:dear") == 16_000
    assert known.cost("org/model:dear", Usage(1_000_000, 1_000_000)) == pytest.approx(12.0)
    assert known.window("org/model") == 8_000
    assert known.cost("org/model", Usage(1_000_000, 1_000_000)) == pytest.approx(12.0)
    assert known.cost("org/model:cheapest", Usage(1_000_000, 0)) == pytest.approx(1.0)
    assert known.cost("huggingface/org/model:dear", Usage(0, 1_000_000)) == pytest.approx(9.0)
    assert known.cost("org/unpriced", Usage(1, 1)) is None
    assert server.others[0].headers["authorization"] == "Bearer hf_test_token"


async def test_what_speaks_against_a_model_is_said() -> None:
    async with ScriptedLLM(models=ROUTER_MODELS) as server:
        known = await filled(server)
    assert "did you mean Org/Model?" in known.caution("org/modell")
    assert "No provider" in known.caution("org/dead")
    assert "these do: cheap, dear" in known.caution("org/model:gone")
    assert "cannot call tools" in known.caution("org/model:cheap")
    assert known.caution("org/model:dear") == known.caution("vllm/x") == known.caution("openai/gpt-5.5") == ""
    assert known.near("org/modle") == ["Org/Model"]


async def test_the_list_is_fetched_once_while_fresh_and_kept_when_the_router_fails() -> None:
    now = 0.0
    async with ScriptedLLM(models=ROUTER_MODELS) as server:
        env = router_env(server)
        known = Catalog(Settings(), env, BUNDLED, clock=lambda: now)
        pool, route = HttpPool(5), resolve("org/model", env, Settings())
        assert known.is_stale(route)
        await known.refresh(route, pool)
        now = FRESH_S - 1
        await known.refresh(route, pool)
        assert len(server.others) == 1
        server.handlers["GET", "/v1/models"] = lambda _: error(500)
        now = FRESH_S
        await known.refresh(route, pool)
        assert len(server.others) == 2
        assert not known.is_stale(route)
        now += FRESH_AFTER_FAILURE_S
        assert known.is_stale(route)
        await pool.aclose()
    assert known.window("org/model:dear") == 16_000


@pytest.mark.parametrize("body", ["no json", {"data": 5}, {}, {"data": [3, {"id": "a/b", "providers": [None]}]}])
async def test_a_broken_list_breaks_nothing(body: Any) -> None:
    async with ScriptedLLM() as server:
        server.handlers["GET", "/v1/models"] = lambda _: Step(body=body)
        known = await filled(server)
    assert known.window("a/b") == ASSUMED_WINDOW


# ------------------------------------------------------------------------------------------------- the files


def test_the_users_file_holds_over_every_other_source(tmp_path: Path) -> None:
    record = {"context_window": 777, "input_usd": 1.0, "output_usd": 2.0}
    known = catalog(
        user_file=written(tmp_path, {"models": {"openai/gpt-5.5": record, "vllm/x": {"input_usd": 0, "output_usd": 4}}})
    )
    assert known.window("openai/gpt-5.5") == 777
    assert known.cost("openai/gpt-5.5", Usage(1_000_000, 1_000_000, cost_usd=9.0)) == pytest.approx(3.0)
    assert known.cost("vllm/x", Usage(0, 1_000_000)) == pytest.approx(4.0)
    assert known.warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        "{broken",
        "[]",
        {"models": []},
        {"models": {"a/b": {"input_usd": "much", "output_usd": 1}}},
        {"models": {"a/b": {"context_window": "big"}}},
        {"models": {"a/b": 5}},
    ],
)
def test_a_broken_users_file_is_a_warning_that_names_it(tmp_path: Path, content: Any) -> None:
    path = written(tmp_path, content)
    (warning,) = catalog(user_file=path).warnings
    assert str(path) in warning


def test_a_users_file_that_cannot_be_read_is_a_warning_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    inside, pipe = tmp_path / "file" / "models.json", tmp_path / "pipe"
    assert catalog(user_file=inside).warnings == (f"{inside} is ignored: not a directory.",)
    assert catalog(user_file=pipe).warnings == (f"{pipe} is ignored: no regular file.",)


def test_a_users_file_that_does_not_exist_is_no_matter(tmp_path: Path) -> None:
    assert catalog(user_file=tmp_path / "none.json").warnings == ()


def test_every_suggestion_leads_somewhere() -> None:
    suggestions = catalog().suggestions
    assert len(suggestions) >= 4
    env = {suggestion.key: "k" for suggestion in suggestions}
    for suggestion in suggestions:
        assert resolve(suggestion.id, env, Settings()).api_key == "k"
        assert catalog().info(suggestion.id).tools is True


def test_a_wrong_id_is_compared_with_all_known_ones() -> None:
    known = catalog()
    assert known.near("claude-opus-4.6")[0] == "anthropic/claude-opus-4-6"
    assert known.near("antropic/claude-opus-4-6")[0] == "anthropic/claude-opus-4-6"
    assert "gemini/gemini-3.1-pro-preview" in known.near("gemini-3.1-pro")
    assert known.near("kimi")[0] == "moonshotai/Kimi-K2.6:novita"
    assert known.near("nonsense") == []


async def test_loading_reads_the_table_off_the_loop() -> None:
    await catalog().load()
    assert price_table.cache_info().currsize == 1


def test_the_local_environment_of_the_tests_is_what_it_says() -> None:
    with ScriptedLLM() as server:
        assert resolve("vllm/x", local_env(server), Settings()).base_url == server.url
