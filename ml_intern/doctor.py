"""`ml-intern doctor`: what is configured and by whom, what is reachable, what is missing, and what things cost.

Nothing here changes anything, spends anything, or prints a secret.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ml_intern import __version__
from ml_intern.core.config import ConfigError, LoadedConfig, load_config
from ml_intern.core.env import LoadedEnv, load_env
from ml_intern.core.llm.catalog import Catalog
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.local_servers import find_local_servers
from ml_intern.core.llm.routing import Route, find_hf_token, resolve, router_base_url
from ml_intern.core.places import Places, find_places
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.exit_codes import FAILURE, OK
from ml_intern.leftovers import create_leftovers
from ml_intern.options import Options
from ml_intern.resources import config_path
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.leftovers import LeftoverError, summary
from ml_intern.tools.mcp.config import ProgramServer, parse_servers

TIMEOUT_S = 2.0
HUB_URL = "https://huggingface.co"

State = Literal["ok", "missing", "failed"]

_KEYS = {
    "HF_TOKEN": "the Hugging Face router, private repositories, jobs on the Hub",
    "ANTHROPIC_API_KEY": "anthropic/… without the router",
    "OPENAI_API_KEY": "openai/… without the router",
    "GEMINI_API_KEY": "gemini/…",
    "GITHUB_TOKEN": "searching and reading GitHub at more than a few requests an hour",
}
_PROGRAMS = {
    "git": "telling what a project is and what changed",
    "uv": "running jobs on this machine that need packages of their own",
}


@dataclass(slots=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: `missing` is a fact and no fault; `failed` is something that was expected to work.
        detail: What was found, or what to do.
        cost: What using it costs, or empty.
    """

    name: str
    state: State
    detail: str
    cost: str = ""


@dataclass(slots=True)
class Report:
    """Everything the doctor found."""

    version: str = __version__
    python: str = field(default_factory=platform.python_version)
    system: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")
    ok: bool = True
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    model: list[Check] = field(default_factory=list)
    services: list[Check] = field(default_factory=list)
    keys: list[Check] = field(default_factory=list)
    programs: list[Check] = field(default_factory=list)
    compute: list[Check] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)


def run(options: Options, *, as_json: bool = False) -> int:
    """Prints the report. The exit code is 0 when the configured model can be used."""
    env = load_env((options.workdir or Path.cwd()).absolute())
    report = asyncio.run(examine(options, env))
    redactor = Redactor.from_env(env.values)
    if as_json:
        text = json.dumps(redactor.data(asdict(report)), indent=2, ensure_ascii=False)
    else:
        text = redactor.text(render(report))
    sys.stdout.write(f"{text}\n")
    return OK if report.ok else FAILURE


async def examine(options: Options, env: LoadedEnv) -> Report:
    """Looks at everything, asking all services at once."""
    places = find_places(env.values)
    report = Report(warnings=list(env.warnings), keys=_keys(env), programs=_programs(), compute=_compute())
    report.places = {name: str(getattr(places, name)) for name in ("config", "sessions", "cache", "logs", "jobs")}
    try:
        overrides = options.overrides()
        config = load_config(places, env.values, config_file=options.config, overrides=overrides)
    except ConfigError as error:
        report.ok = False
        report.problems.append(str(error))
        config = None
    if config is not None:
        report.warnings += [*config.warnings, *_key_problems(config.settings.keys)]
        report.settings = [
            {"key": key, "value": _shown(key, value), "source": source} for key, value, source in config.explain()
        ]
        report.places["configuration file"] = _file_state(config)
    settings = config.settings if config else Settings()
    servers = _mcp_servers(settings, report)
    pool = HttpPool(TIMEOUT_S)
    try:
        (report.model, model_ok), report.services, left = await asyncio.gather(
            _examine_model(settings, env.values, places, pool),
            _examine_services(env.values, pool),
            _leftovers(env.values, places),
        )
    finally:
        await pool.aclose()
    report.services += servers
    report.compute += left
    report.ok = report.ok and model_ok
    return report


# --------------------------------------------------------------------------------------------------------- model


async def _examine_model(
    settings: Settings, env: Mapping[str, str], places: Places, pool: HttpPool
) -> tuple[list[Check], bool]:
    catalog = Catalog(settings, env, config_path("models.json"), places.config / "models.json")
    await catalog.load()
    try:
        route = resolve(settings.model_name, env, settings, catalog.known_models)
    except LLMError as error:
        return [Check(settings.model_name or "none", "failed", error.message)], False
    reached = await _ask_model_server(route, pool)
    if reached.state == "ok":
        await catalog.refresh(route, pool)
    facts = catalog.info(route.model)
    window = Check("context window", "ok", f"{facts.context_window:,} tokens ({facts.source})")
    reached.cost = _price(catalog, route)
    checks = [reached, window]
    if note := route.note or catalog.caution(route.model):
        checks.append(Check("note", "ok", note))
    return checks, reached.state != "failed"


async def _ask_model_server(route: Route, pool: HttpPool) -> Check:
    if route.transport == "practice":
        return Check(route.model, "ok", "built in")
    if route.transport == "litellm":
        return Check(route.model, "ok", f"has a key; {route.address} was not asked")
    headers = {"Authorization": f"Bearer {route.api_key}"} if route.api_key else {}
    state, detail, _ = await _get(pool, f"{route.base_url}/models", headers)
    return Check(route.model, state, f"{route.address}: {detail}")


def _price(catalog: Catalog, route: Route) -> str:
    if route.is_local:
        return "free"
    prices = catalog.info(route.model).prices
    if not prices:
        return "price unknown, so it cannot be held under a cap"
    million = 1_000_000
    return f"${prices[0].input * million:.2f} in, ${prices[0].output * million:.2f} out per million tokens"


# ------------------------------------------------------------------------------------------------------ services


async def _examine_services(env: Mapping[str, str], pool: HttpPool) -> list[Check]:
    hub, router, local = await asyncio.gather(_hub(env, pool), _router(env, pool), _local_servers(env))
    return [hub, router, *local]


async def _hub(env: Mapping[str, str], pool: HttpPool) -> Check:
    url = (env.get("HF_ENDPOINT", "").strip() or HUB_URL).rstrip("/")
    token = find_hf_token(env)
    if not token:
        state, detail, _ = await _get(pool, f"{url}/api/models?limit=1", {})
        return Check("Hugging Face Hub", state, f"{url}: {detail}, not signed in", "free to read")
    state, detail, answer = await _get(pool, f"{url}/api/whoami-v2", {"Authorization": f"Bearer {token}"})
    name = answer.get("name") if isinstance(answer, dict) else None
    return Check(
        "Hugging Face Hub", state, f"{url}: {detail}" + (f", signed in as {name}" if name else ""), "free to read"
    )


async def _router(env: Mapping[str, str], pool: HttpPool) -> Check:
    try:
        url = router_base_url(env)
    except LLMError as error:
        return Check("Hugging Face router", "failed", error.message)
    state, detail, answer = await _get(pool, f"{url}/models", {})
    entries = answer.get("data") if isinstance(answer, dict) else None
    served = f", {len(entries):,} models" if isinstance(entries, list) else ""
    return Check("Hugging Face router", state, f"{url}: {detail}{served}", "by the token, on your Hugging Face bill")


async def _local_servers(env: Mapping[str, str]) -> list[Check]:
    found = await find_local_servers(env, TIMEOUT_S)
    if not found:
        return [Check("model servers here", "missing", "none of Ollama, vLLM, LM Studio and llama.cpp answered")]
    return [Check(server.label, "ok", f"{server.base_url}: {', '.join(server.models[:5])}", "free") for server in found]


async def _leftovers(env: Mapping[str, str], places: Places) -> list[Check]:
    """What earlier sessions have left running, where somebody can be asked."""
    hub = HubClient(env)
    local = LocalBackend(places.jobs, {})
    leftovers = create_leftovers(hub, local, local, places)
    try:
        async with asyncio.timeout(2 * TIMEOUT_S):  # two questions, one after the other
            items = await leftovers.find()
    except (LeftoverError, TimeoutError) as error:
        return [Check("left running", "failed", str(error) or f"no answer within {TIMEOUT_S:g} s")]
    if items:
        return [Check("left running", "failed", f"{summary(items)} `ml-intern leftovers` lists them")]
    asked = "" if hub.token else "; the Hub was not asked, since there is no token"
    return [Check("left running", "ok", f"nothing of earlier sessions{asked}")]


def _mcp_servers(settings: Settings, report: Report) -> list[Check]:
    """What is configured. Nothing is started or asked: a server may be any program."""
    try:
        servers = parse_servers(settings.mcpServers)
    except ConfigError as error:
        report.ok = False
        report.problems.append(str(error))
        return []
    checks = []
    for name in settings.mcpServers:
        config = servers.get(name)
        if config is None:
            checks.append(Check(f"MCP {name}", "missing", "disabled"))
        elif isinstance(config, ProgramServer):
            checks.append(Check(f"MCP {name}", "ok", f"the program {config.command}, not started by doctor"))
        else:
            host = urlsplit(config.url).hostname
            checks.append(Check(f"MCP {name}", "ok", f"{config.transport} at {host}, not asked by doctor"))
    return checks


async def _get(pool: HttpPool, url: str, headers: Mapping[str, str]) -> tuple[State, str, Any]:
    """State, words, and the parsed answer of a GET request."""
    client = await pool.client(url)
    import httpx

    start = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.get(url, headers=dict(headers))
    except TimeoutError:
        return "failed", f"no answer within {TIMEOUT_S:g} s", None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return "failed", f"not reachable ({type(error).__name__})", None
    took = f"{(time.monotonic() - start) * 1000:.0f} ms"
    if response.status_code in {401, 403}:
        return "failed", f"refused the key (HTTP {response.status_code})", None
    if response.status_code >= 400:
        return "failed", f"answered HTTP {response.status_code}", None
    try:
        return "ok", took, json.loads(response.content)
    except ValueError:
        return "failed", "answered, but not in JSON", None


# --------------------------------------------------------------------------------------------------- this machine


def _keys(env: LoadedEnv) -> list[Check]:
    checks = []
    for name, purpose in _KEYS.items():
        if env.values.get(name, "").strip():
            source = str(env.sources[name]) if name in env.sources else "environment"
            checks.append(Check(name, "ok", f"set ({source})"))
        elif name == "HF_TOKEN" and find_hf_token(env.values):
            checks.append(Check(name, "ok", "from the login of this machine"))
        else:
            checks.append(Check(name, "missing", f"not set; needed for {purpose}"))
    return checks


def _programs() -> list[Check]:
    return [
        Check(name, "ok", found) if (found := shutil.which(name)) else Check(name, "missing", f"needed for {purpose}")
        for name, purpose in _PROGRAMS.items()
    ]


def _compute() -> list[Check]:
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GB memory"
    gpu = ", nvidia-smi found" if shutil.which("nvidia-smi") else ", no NVIDIA GPU found"
    return [Check("jobs on this machine", "ok", f"{os.cpu_count()} CPUs{memory}{gpu}", "free")]


def _file_state(config: LoadedConfig) -> str:
    return f"{config.user_file}{'' if config.user_file.exists() else ' (not there; defaults are used)'}"


def _key_problems(chosen: Mapping[str, str]) -> tuple[str, ...]:
    if not chosen:
        return ()
    from ml_intern.tui.keys.choice import read_keys  # brings Textual along

    return read_keys(chosen).problems


def _shown(key: str, value: Any) -> Any:
    """A setting as it may be shown: what a server is started or called with may hold keys of any shape."""
    return sorted(value) if key.startswith("mcpServers.") and isinstance(value, dict) else value


# -------------------------------------------------------------------------------------------------------- printing

_MARKS: Mapping[State, str] = {"ok": "✓", "missing": "–", "failed": "✗"}

_NOT_USABLE = "The configured model cannot be used as things stand; `ml-intern --demo` works without one."


def render(report: Report) -> str:
    """The report for people."""
    lines = [f"ml-intern {report.version} · Python {report.python} · {report.system}"]
    lines += [f"✗ {problem}" for problem in report.problems]
    lines += [f"! {warning}" for warning in report.warnings]
    for title, checks in (
        ("model", report.model),
        ("services", report.services),
        ("keys", report.keys),
        ("programs", report.programs),
        ("compute", report.compute),
    ):
        lines += ["", title, *map(_line, checks)]
    if report.settings:
        width = max(len(row["key"]) for row in report.settings)
        values = [(row["key"], json.dumps(row["value"], ensure_ascii=False), row["source"]) for row in report.settings]
        lines += ["", "configuration", *(f"  {key:<{width}}  {value}  ({source})" for key, value, source in values)]
    lines += ["", "files", *(f"  {name:<18}  {path}" for name, path in report.places.items())]
    lines += ["", "The configured model can be used." if report.ok else _NOT_USABLE]
    return "\n".join(lines)


def _line(check: Check) -> str:
    cost = f" · {check.cost}" if check.cost else ""
    return f"  {_MARKS[check.state]} {check.name:<20}  {check.detail}{cost}"
