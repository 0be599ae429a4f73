"""Parts of a session. What many sessions never use is imported only where one asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
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
from ml_intern.run import Run
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.where import late_backend, places_for
from ml_intern.tools.registry import Services, create_builtin_tools
from ml_intern.tools.skill import create_skill_tool

if TYPE_CHECKING:
    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.core.llm.probe import Probe
    from ml_intern.services.notifier import Notifier
    from ml_intern.services.search_index import SearchIndex
    from ml_intern.tools.mcp.config import ServerConfig
    from ml_intern.tools.sandbox.access import Sandboxes


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a run, and what they work with.

    Attributes:
        router: The tools.
        services: What they share.
        skills: What the `skill` tool can load.
        local: Jobs on this machine.
    """

    router: ToolRouter
    services: Services
    skills: Skills
    local: JobsBackend


def toolbox(run: Run) -> Toolbox:
    """The built-in tools, and those that the run brings."""
    hub = HubClient(run.env)
    local = late_backend(("local",), partial(local_jobs, run))
    jobs = jobs_backend(run, hub, local)
    services = Services(
        jobs=jobs,
        hub=hub,
        http=HttpService(run.places.cache / "http", max_wait_s=run.settings.web.max_wait_s),
        index=Once(partial(search_index, run.places)),
        env=run.env,
        messaging=messaging(run.settings, run.env),
        sandboxes=sandboxes(run, hub, jobs) if run.settings.tool_runtime == "sandbox" else None,
        questions=Questions(attended=not run.headless),
    )
    skills = Skills(config_path("skills"), run.places.config, run.workspace)
    tools = (*create_builtin_tools(services), create_skill_tool(skills), *run.extra_tools)
    return Toolbox(router(run, tools), services, skills, local)


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


def local_jobs(run: Run) -> JobsBackend:
    """Jobs on this machine."""
    from ml_intern.tools.jobs.local import LocalBackend

    jobs = run.settings.jobs
    return LocalBackend(run.places.jobs, run.child_env, cpu_slots=jobs.local_cpu_slots, memory_gb=jobs.local_memory_gb)


def jobs_backend(run: Run, hub: HubClient, local: JobsBackend) -> JobsBackend:
    """Where jobs go; made when more is wanted of it than what it is about."""
    names = places_for(run.settings.jobs, hub.token, run.child_env)
    if names == ("local",):
        return local

    def make() -> JobsBackend:
        from ml_intern.tools.jobs.choice import backend_of

        return backend_of(names, run.settings.jobs, hub, local, run.child_env, run.places.jobs / "slurm")

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


def sandboxes(run: Run, hub: HubClient, jobs: JobsBackend) -> Sandboxes:
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
    agency = Agency(hub, run.settings.sandbox, partial(rentable, jobs))
    try:
        agency.flavor("")
    except SandboxError as error:
        raise ConfigError(f"sandbox.flavor: {error}") from error
    return Sandboxes(agency, resumed=run.resumed)


def router(run: Run, tools: Iterable[ToolSpec]) -> ToolRouter:
    """The tools, with their schemas as they were kept."""
    schemas = Schemas(run.places.cache / "tool-schemas.json", program_stamp())
    made = ToolRouter(list(tools), parallel=run.settings.tools.parallel, schemas=schemas)
    schemas.keep()
    return made


def briefing(run: Run, tools: Toolbox) -> Briefing:
    """What the model is told before anything is said."""
    return Briefing(
        config_path("prompts", "system.md").read_text(encoding="utf-8"),
        lambda: tools.router.names,
        workspace=run.workspace,
        config=run.places.config,
        headless=run.headless,
        runtime=run.settings.tool_runtime,
        skills=tools.skills,
        sandbox_workdir=run.settings.sandbox.workdir,
    )
