"""The one composition root: options and settings in, an agent with all its parts out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern import __version__, parts, resuming
from ml_intern.beside import Around, Beside
from ml_intern.core.agent import Agent
from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.desk import RuleDesk
from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.approvals.rule_check import problems
from ml_intern.core.approvals.rule_file import RuleFile
from ml_intern.core.artifacts import Artifacts
from ml_intern.core.briefing import Briefing
from ml_intern.core.calls import ToolHost
from ml_intern.core.child_env import without_secrets
from ml_intern.core.config import BUNDLED, LoadedConfig, load_config
from ml_intern.core.config_desk import ConfigDesk
from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.display import DatasetBlock
from ml_intern.core.env import load_env
from ml_intern.core.events import EventStream
from ml_intern.core.image_store import ImageStore
from ml_intern.core.llm.catalog import Catalog
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.logs import start_logging
from ml_intern.core.origins.memory import Origins
from ml_intern.core.places import Places, find_places
from ml_intern.core.protocol import EventBase, Notice
from ml_intern.core.redact import Redactor
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.skills import Skills
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.core.turn import TurnRunner
from ml_intern.options import Options
from ml_intern.resources import config_path
from ml_intern.services.hub import HubClient
from ml_intern.sessions.log import SessionLog
from ml_intern.tools.jobs.where import late_backend
from ml_intern.tools.mentions import MentionReader
from ml_intern.tools.registry import Services, create_builtin_tools, preview_dataset
from ml_intern.tools.repos.found import ArtifactWatch
from ml_intern.tools.skill import create_skill_tool

if TYPE_CHECKING:
    from ml_intern.services.notifier import Notifier
    from ml_intern.sessions.restore import SavedSession

log = logging.getLogger(__name__)

UNWATCHED_CAP_USD = 10.0
"""Spending cap in dollars where nobody watches and none was given."""


@dataclass(frozen=True, slots=True)
class Wired:
    """An agent and what front ends need beside it.

    Attributes:
        agent: The agent, not running yet.
        settings: The merged configuration.
        places: Where ml-intern keeps its files.
        env: The environment of this run, `.env` included. Holds secrets.
        llm: The way to models.
        catalog: What is known about models.
        session_log: The log of the running session.
        services: What the tools share, for screens that show the same.
        beside: What is made when it is first needed: MCP servers, artifacts, publishing, leftovers.
        notifier: Tells people who are away; None where nobody wants to be told.
        skills: What the `skill` tool can load.
        config: Shows the configuration and changes the user's part of it.
        preview_dataset: Looks into a data set for a person: takes its id or path, config, split, and what is told of
            the progress.
        rules: Shows what is allowed, asked and forbidden, and takes it back.
        warnings: Sentences for a person: odd configuration, ignored files.
        model_problem: Why the configured model cannot be used as things stand, or empty.
        suggestion: A prompt to begin with, in the practice session.
        earlier: What a resumed session has told before, for a screen to show.
        images: The images of sessions.
    """

    agent: Agent
    settings: Settings
    places: Places
    env: Mapping[str, str]
    llm: LLMClient
    catalog: Catalog
    session_log: SessionLog
    services: Services
    beside: Beside
    notifier: Notifier | None
    skills: Skills
    config: ConfigDesk
    images: ImageStore
    preview_dataset: Callable[[str, str, str, Callable[[str], None]], Awaitable[DatasetBlock]]
    rules: RuleDesk
    warnings: tuple[str, ...] = ()
    model_problem: str = ""
    suggestion: str = ""
    earlier: tuple[EventBase, ...] = ()

    @property
    def renting(self) -> bool:
        """Whether something that costs money by the hour has not been given back yet."""
        return self.services.sandboxes is not None and self.services.sandboxes.open

    async def give_back(self, patience_s: float) -> None:
        """Gives back what is paid for by the hour, for a front end that leaves while the agent is held up."""
        releasing = asyncio.create_task(self.agent.session.state.release())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.renting:  # noqa: ASYNC110 - the agent may be giving it back itself, which sends no event
                    await asyncio.sleep(0.05)
        releasing.cancel()

    async def aclose(self) -> None:
        """Closes connections, ends MCP servers, and closes the log. The agent must have been shut down."""
        await self.beside.stop()
        if self.notifier is not None:
            await self.notifier.aclose()
        self.session_log.close()
        await self.beside.publish(self.session_log.path)
        await self.services.aclose()
        await self.llm.aclose()


def build(options: Options, env: Mapping[str, str] | None = None) -> Wired:
    """Everything for one run. Imports the whole core; call it in a thread when something is on the screen.

    Args:
        options: Flags of the run.
        env: Environment variables; the process's own by default.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    workdir = (options.workdir or Path.cwd()).expanduser().absolute()
    loaded_env = load_env(workdir, env)
    places = find_places(loaded_env.values)
    start_logging(places.logs, Redactor.from_env(loaded_env.values).text, debug=options.debug)
    config = load_config(places, loaded_env.values, config_file=options.config, overrides=options.overrides())
    suggestion, saved = "", resuming.saved_session(options, places, workdir)
    configured = config.settings.model_name
    if saved is not None:
        config = replace(config, settings=resuming.as_it_was(config.settings, saved, options))
    if options.demo:
        from ml_intern.core.llm.practice import SUGGESTION, prepare_workspace

        workdir, suggestion = prepare_workspace(places), SUGGESTION
    elif saved is not None and options.workdir is None and Path(saved.directory).is_dir():
        workdir = Path(saved.directory)
    return assemble(
        _for_this_run(config, headless=options.headless, demo=options.demo),
        places=places,
        workspace=workdir,
        env=loaded_env.values,
        headless=options.headless,
        cap_lifted="max_cost_usd" in config.sources,
        warnings=(*loaded_env.warnings, *config.warnings),
        suggestion=suggestion,
        saved=saved,
        model_otherwise=configured,
        look_for_leftovers=not options.demo,
        user_file=config.user_file,
        config_desk=ConfigDesk(places, loaded_env.values, options.config, options.overrides()),
    )


def assemble(
    settings: Settings,
    *,
    places: Places,
    workspace: Path,
    env: Mapping[str, str],
    headless: bool = False,
    cap_lifted: bool = False,
    extra_tools: Iterable[ToolSpec] = (),
    warnings: tuple[str, ...] = (),
    suggestion: str = "",
    saved: SavedSession | None = None,
    model_otherwise: str = "",
    look_for_leftovers: bool = False,
    user_file: Path | None = None,
    config_desk: ConfigDesk | None = None,
) -> Wired:
    """Puts the parts together.

    Args:
        settings: The merged configuration.
        places: Where ml-intern keeps its files.
        workspace: Directory the tools work in.
        env: Environment of this run. Children get it without its secrets.
        headless: Whether nobody can answer.
        cap_lifted: Whether a missing cap was asked for, so that `yolo` does not bring one.
        extra_tools: Tools beside the built-in ones.
        warnings: What was odd in the configuration.
        suggestion: See `Wired`.
        saved: A session to continue.
        model_otherwise: The model to use where the one of `settings` cannot be used; empty for none.
        look_for_leftovers: Whether to ask, some time after the start, what earlier sessions have left running.
        user_file: The user's configuration file in use, where it is not the usual one.
        config_desk: Shows and changes the configuration; by default one that knows of no flags.
    """
    servers = parts.mcp_servers(settings)
    catalog = Catalog(settings, env, config_path("models.json"), places.config / "models.json")
    llm = LLMClient(settings, env, catalog)
    settings, model_problem, told = _with_usable_model(settings, llm, model_otherwise)
    child_env = without_secrets(env, keep=settings.tools.pass_env)
    hub = HubClient(env)
    local = late_backend(("local",), partial(parts.local_jobs, settings, places, child_env))
    jobs = parts.jobs_backend(settings, hub, local, places, child_env)
    sandboxes = parts.sandboxes(settings, hub, jobs, saved) if settings.tool_runtime == "sandbox" else None
    services = parts.services(settings, places, env, hub, jobs, sandboxes, attended=not headless)
    skills = Skills(config_path("skills"), places.config, workspace)
    tools = (*create_builtin_tools(services), create_skill_tool(skills), *extra_tools)
    router = parts.router(tools, settings, places)
    briefing = parts.briefing(settings, places, workspace, router, skills, headless=headless)
    events, redactor = EventStream(""), Redactor.from_env(env)
    session = _new_session(settings, workspace, briefing, events, RuleFile(places, user_file, redactor.text))
    events.session_id = session.id
    names_of_servers = parts.mcp_server_names(servers)
    odd_rules = problems(session.policy, router.names, names_of_servers)
    told = (*warnings, *told, *catalog.warnings, briefing.hint, *skills.find().warnings, *odd_rules)
    warnings = tuple(filter(None, told))

    def tell(text: str, bad: bool = True) -> None:
        events.emit(Notice(text=text, level="warning" if bad else "info"))

    session_log = SessionLog(places.sessions, redactor, __version__, on_problem=tell)
    if settings.save_sessions:
        events.subscribe(session_log)
    if saved is not None:
        if settings.save_sessions:
            resuming.claim(session_log, saved.id)
        resuming.take_up(session, events, saved)  # mending an old history is an event that the log must hear of
    events.subscribe(lambda event: session.state.get(Origins).take(event))
    events.subscribe(ArtifactWatch(services.hub.endpoint, lambda: session.state.get(Artifacts), events.emit))
    notifier = parts.notifier(services, redactor)
    if notifier is not None:
        events.subscribe(notifier)
    pending, outputs = PendingApprovals(), partial(Path, places.cache / "outputs")
    images = ImageStore(session_log.files_of if settings.save_sessions else outputs)
    host = ToolHost(router, settings, child_env, outputs, images, lambda: briefing.instructions)
    mentions = MentionReader(Path(env.get("HOME") or Path.home()), redactor.text)
    runner = TurnRunner(session, llm, catalog, host, events, pending, settings, redactor, mentions=mentions)
    if saved is not None and (reply := saved.open_reply):
        runner.take_up(reply.text, reply.heard, saved.model, paid=reply.paid)
    around = Around(
        settings=settings,
        places=places,
        runner=runner,
        llm=llm,
        catalog=catalog,
        events=events,
        pending=pending,
        services=services,
        router=router,
        local=local,
        redactor=redactor,
        tell=tell,
        attended=not headless,
        lasts=look_for_leftovers,
        resumed=saved.id if saved is not None else "",
        user_file=user_file,
    )
    beside = Beside(around, servers)
    agent = Agent(
        runner,
        events,
        pending,
        system_prompt=briefing.system_prompt,
        try_model=partial(parts.probe_model, llm),
        preload=llm.preload,
        trust_project=briefing.trust,
        questions=services.questions,
        uploader=beside.upload,
        share=beside.share,
        reopen=partial(
            resuming.reopen,
            places=places,
            runner=runner,
            events=events,
            session_log=session_log if settings.save_sessions else None,
            system_prompt=briefing.system_prompt,
            usable=lambda model: not _look_at(llm, model)[0],
        ),
        on_ready=beside.begin,
        default_cap_usd=None if settings.max_cost_usd is None and cap_lifted else UNWATCHED_CAP_USD,
        tool_count=len(router.names),
        notes=warnings,
    )
    return Wired(
        agent=agent,
        settings=settings,
        places=places,
        env=env,
        llm=llm,
        catalog=catalog,
        session_log=session_log,
        services=services,
        beside=beside,
        notifier=notifier,
        skills=skills,
        config=config_desk or ConfigDesk(places, env, user_file),
        images=images,
        preview_dataset=partial(preview_dataset, services, workspace),
        rules=RuleDesk(session, host, names_of_servers),
        warnings=warnings,
        model_problem=model_problem,
        suggestion=suggestion,
        earlier=() if saved is None else tuple(saved.events),
    )


def _with_usable_model(settings: Settings, llm: LLMClient, otherwise: str) -> tuple[Settings, str, tuple[str, ...]]:
    """The settings with a model that can be used, if there is one; what is wrong with it; and what to tell of that."""
    model = settings.model_name
    problem, note = _look_at(llm, model)
    if not problem or otherwise in ("", model):
        return settings, problem, (note,)
    told = f"Going on with {otherwise}, not with {model}: {problem}"
    problem, note = _look_at(llm, otherwise)
    return settings.model_copy(update={"model_name": otherwise}), problem, (told, note)


def _new_session(
    settings: Settings, workspace: Path, briefing: Briefing, events: EventStream, rules: RuleFile
) -> Session:
    return Session(
        workspace=workspace,
        model=settings.model_name,
        context=ContextManager(briefing.system_prompt(), TokenCounter(), on_change=events.emit),
        policy=Policy(settings.approvals, workspace, rules),
        budget=Budget(settings.max_cost_usd),
        effort=settings.reasoning_effort,
        mode=settings.mode,
        stream=settings.stream,
    )


def _for_this_run(config: LoadedConfig, *, headless: bool, demo: bool = False) -> Settings:
    """The settings with what depends on the kind of run, where nobody has settled it.

    A headless run can ask nobody, so its mode is `yolo`; and where nobody watches, there is a spending cap.
    """
    settings = config.settings
    if demo:  # needs no account, so it can rent nothing
        jobs = settings.jobs.model_copy(update={"backend": "local"})
        settings = settings.model_copy(update={"tool_runtime": "local", "jobs": jobs})
    if headless and config.sources.get("mode", BUNDLED) == BUNDLED:
        settings = settings.model_copy(update={"mode": "yolo"})
    if (headless or settings.mode == "yolo") and "max_cost_usd" not in config.sources:
        settings = settings.model_copy(update={"max_cost_usd": UNWATCHED_CAP_USD})
    return settings


def _look_at(llm: LLMClient, model: str) -> tuple[str, str]:
    """What keeps a model from being used, and what a person should know about one that can be."""
    try:
        return "", llm.check(model)
    except LLMError as error:
        return error.message, ""
