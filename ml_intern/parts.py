"""Parts of a session. What many sessions never use is imported only where one asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.briefing import Briefing
from ml_intern.core.config import ConfigError
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.once import Once
from ml_intern.core.places import Places
from ml_intern.core.questions import Questions
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import MessagingSettings, Settings
from ml_intern.core.skills import Skills
from ml_intern.core.tools.router import ToolRouter
from ml_intern.core.tools.schemas import Schemas, program_stamp
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.resources import config_path
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.where import late_backend, places_for
from ml_intern.tools.registry import Services

if TYPE_CHECKING:
    from ml_intern.core.jobs import JobsBackend
    from ml_intern.core.llm.probe import Probe
    from ml_intern.services.notifier import Notifier
    from ml_intern.services.search_index import SearchIndex
    from ml_intern.sessions.restore import SavedSession
    from ml_intern.tools.mcp.config import ServerConfig
    from ml_intern.tools.sandbox.access import Sandboxes


def mcp_servers(settings: Settings) -> dict[str, ServerConfig]:
    """The MCP servers of the configuration, by name, disabled ones included.

    Raises:
        ConfigError: An entry is wrong.
    """
    if not settings.mcpServers:
        return {}
    from ml_intern.tools.mcp.config import parse_servers

    return parse_servers(settings.mcpServers, keep_disabled=True)


def mcp_server_names(servers: Mapping[str, ServerConfig]) -> tuple[str, ...]:
    """Their names as they stand in the names of their tools."""
    if not servers:
        return ()
    from ml_intern.tools.mcp.config import safe_name

    return tuple(map(safe_name, servers))


def search_index(places: Places) -> SearchIndex:
    """Documentation that has been fetched, searchable."""
    from ml_intern.services.search_index import SearchIndex

    return SearchIndex(places.cache / "search.db")


def local_jobs(settings: Settings, places: Places, env: Mapping[str, str]) -> JobsBackend:
    """Jobs on this machine."""
    from ml_intern.tools.jobs.local import LocalBackend

    jobs = settings.jobs
    return LocalBackend(places.jobs, env, cpu_slots=jobs.local_cpu_slots, memory_gb=jobs.local_memory_gb)


def jobs_backend(
    settings: Settings, hub: HubClient, local: JobsBackend, places: Places, env: Mapping[str, str]
) -> JobsBackend:
    """Where jobs go; made when more is wanted of it than what it is about."""
    names = places_for(settings.jobs, hub.token, env)
    if names == ("local",):
        return local

    def make() -> JobsBackend:
        from ml_intern.tools.jobs.choice import backend_of

        return backend_of(names, settings.jobs, hub, local, env, places.jobs / "slurm")

    return late_backend(names, make)


def messaging(settings: Settings, env: Mapping[str, str]) -> MessagingSettings:
    """Who may be told of a session from outside of it, with what the environment names."""
    if not env.get("SLACK_BOT_TOKEN"):
        return settings.messaging
    from ml_intern.services.slack import messaging_from

    return messaging_from(settings.messaging, env)


def notifier(services: Services, redactor: Redactor) -> Notifier | None:
    """Tells people who are away; None where nobody wants to be told."""
    if not services.messaging.enabled:
        return None
    from ml_intern.services.notifier import Notifier
    from ml_intern.services.slack import Slack

    return Notifier(Slack(services.http, Endpoints(services.env)), services.messaging, redactor.text)


async def probe_model(llm: LLMClient, model: str, effort: str) -> Probe:
    """Tries a model before it is switched to. See `TryModel`."""
    from ml_intern.core.llm.probe import probe

    return await probe(llm, model, effort)


def sandboxes(settings: Settings, hub: HubClient, jobs: JobsBackend, saved: SavedSession | None) -> Sandboxes:
    """Where the tools act in sandbox runtime.

    Raises:
        ConfigError: There is no account that could pay for it, or no such hardware.
    """
    from ml_intern.tools.rented import rentable
    from ml_intern.tools.sandbox.access import Sandboxes
    from ml_intern.tools.sandbox.agency import Agency, SandboxError

    if not hub.token:
        raise ConfigError(
            "Sandbox tools need a Hugging Face token: set HF_TOKEN or run `hf auth login`, or use --local-tools."
        )
    agency = Agency(hub, settings.sandbox, partial(rentable, jobs))
    try:
        agency.flavor("")
    except SandboxError as error:
        raise ConfigError(f"sandbox.flavor: {error}") from error
    return Sandboxes(agency, resumed=saved.id if saved is not None else "")


def services(
    settings: Settings,
    places: Places,
    env: Mapping[str, str],
    hub: HubClient,
    jobs: JobsBackend,
    sandboxes: Sandboxes | None,
    *,
    attended: bool,
) -> Services:
    """What the tools share."""
    return Services(
        jobs=jobs,
        hub=hub,
        http=HttpService(places.cache / "http", max_wait_s=settings.web.max_wait_s),
        index=Once(partial(search_index, places)),
        env=env,
        messaging=messaging(settings, env),
        sandboxes=sandboxes,
        questions=Questions(attended=attended),
    )


def router(tools: Iterable[ToolSpec], settings: Settings, places: Places) -> ToolRouter:
    """The tools, with their schemas as they were kept."""
    schemas = Schemas(places.cache / "tool-schemas.json", program_stamp())
    made = ToolRouter(list(tools), parallel=settings.tools.parallel, schemas=schemas)
    schemas.keep()
    return made


def briefing(
    settings: Settings, places: Places, workspace: Path, router: ToolRouter, skills: Skills, *, headless: bool
) -> Briefing:
    """What the model is told before anything is said."""
    return Briefing(
        config_path("prompts", "system.md").read_text(encoding="utf-8"),
        lambda: router.names,
        workspace=workspace,
        config=places.config,
        headless=headless,
        runtime=settings.tool_runtime,
        skills=skills,
        sandbox_workdir=settings.sandbox.workdir,
    )
