"""The one composition root: options and settings in, an agent with all its parts out."""

from __future__ import annotations

import asyncio
import contextlib
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
from ml_intern.core.calls.host import ToolHost
from ml_intern.core.config_desk import ConfigDesk
from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.display import DatasetBlock
from ml_intern.core.events import EventStream
from ml_intern.core.image_store import ImageStore
from ml_intern.core.llm.catalog import Catalog
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.origins.memory import Origins
from ml_intern.core.places import Places
from ml_intern.core.protocol import EventBase, Notice
from ml_intern.core.redact import Redactor
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.skills import Skills
from ml_intern.core.turn import TurnRunner
from ml_intern.options import Options
from ml_intern.resources import config_path
from ml_intern.run import Run, settle
from ml_intern.sessions.log import SessionLog
from ml_intern.tools.mentions import MentionReader
from ml_intern.tools.registry import Services, preview_dataset
from ml_intern.tools.repos.found import ArtifactWatch

if TYPE_CHECKING:
    from ml_intern.services.notifier import Notifier
    from ml_intern.tools.mcp.config import ServerConfig


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
    return assemble(settle(options, env))


def assemble(run: Run) -> Wired:
    """Puts the parts of a run together.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    return _Assembly(run).wired()


class _Assembly:
    """The parts of one run, each made of those above it."""

    def __init__(self, run: Run) -> None:
        servers = parts.mcp_servers(run.settings)
        server_names = parts.mcp_server_names(servers)
        self.catalog = Catalog(run.settings, run.env, config_path("models.json"), run.places.config / "models.json")
        self.llm = LLMClient(run.settings, run.env, self.catalog)
        self.run, self.model_problem, model_notes = _with_usable_model(run, self.llm)
        self.tools = parts.toolbox(self.run)
        self.briefing = parts.briefing(self.run, self.tools)
        self.redactor = Redactor.from_env(run.env)
        self.events = EventStream("")
        self.pending = PendingApprovals()
        self.session = self._new_session()
        self.warnings = self._collect_warnings(model_notes, server_names)
        self.session_log = SessionLog(run.places.sessions, self.redactor, __version__, on_problem=self._tell)
        self.notifier = parts.notifier(self.tools.services, self.redactor)
        self._connect_events()
        self.images = ImageStore(self.session_log.files_of if run.settings.save_sessions else self._outputs_of)
        self.host = self._new_host()
        self.runner = self._new_runner()
        self.beside = self._new_beside(servers)
        self.agent = self._new_agent()
        self.rules = RuleDesk(self.session, self.host, server_names)

    def wired(self) -> Wired:
        """What front ends get of it."""
        run, tools = self.run, self.tools
        return Wired(
            agent=self.agent,
            settings=run.settings,
            places=run.places,
            env=run.env,
            llm=self.llm,
            catalog=self.catalog,
            session_log=self.session_log,
            services=tools.services,
            beside=self.beside,
            notifier=self.notifier,
            skills=tools.skills,
            config=run.config_desk or ConfigDesk(run.places, run.env, run.user_file),
            images=self.images,
            preview_dataset=partial(preview_dataset, tools.services, run.workspace),
            rules=self.rules,
            warnings=self.warnings,
            model_problem=self.model_problem,
            suggestion=run.suggestion,
            earlier=() if run.saved is None else tuple(run.saved.events),
        )

    # ------------------------------------------------------------------------------------------------ the session

    def _new_session(self) -> Session:
        settings, workspace = self.run.settings, self.run.workspace
        rules = RuleFile(self.run.places, self.run.user_file, self.redactor.text)
        session = Session(
            workspace=workspace,
            model=settings.model_name,
            context=ContextManager(self.briefing.system_prompt(), TokenCounter(), on_change=self.events.emit),
            policy=Policy(settings.approvals, workspace, rules),
            budget=Budget(settings.max_cost_usd),
            effort=settings.reasoning_effort,
            mode=settings.mode,
            stream=settings.stream,
        )
        self.events.session_id = session.id
        return session

    def _collect_warnings(self, model_notes: Iterable[str], server_names: Iterable[str]) -> tuple[str, ...]:
        of_skills = self.tools.skills.find().warnings
        of_rules = problems(self.session.policy, self.tools.router.names, server_names)
        told = (*self.run.warnings, *model_notes, *self.catalog.warnings, self.briefing.hint, *of_skills, *of_rules)
        return tuple(filter(None, told))

    def _connect_events(self) -> None:
        """Lets everything that follows the session hear of it, the log first."""
        events, session, saved = self.events, self.session, self.run.saved
        if self.run.settings.save_sessions:
            events.subscribe(self.session_log)
        if saved is not None:
            if self.run.settings.save_sessions:
                resuming.claim(self.session_log, saved)
            resuming.take_up(session, events, saved)  # mending an old history is an event that the log must hear of
        events.subscribe(lambda event: session.state.get(Origins).take(event))
        endpoint = self.tools.services.hub.endpoint
        events.subscribe(ArtifactWatch(endpoint, lambda: session.state.get(Artifacts), events.emit))
        if self.notifier is not None:
            events.subscribe(self.notifier)

    def _tell(self, text: str, bad: bool = True) -> None:
        self.events.emit(Notice(text=text, level="warning" if bad else "info"))

    def _outputs_of(self, session_id: str) -> Path:
        return self.run.places.cache / "outputs" / session_id

    # ------------------------------------------------------------------------------- the agent, and what is beside it

    def _new_host(self) -> ToolHost:
        return ToolHost(
            self.tools.router,
            self.run.settings,
            self.run.child_env,
            self._outputs_of,
            self.images,
            lambda: self.briefing.instructions,
        )

    def _new_runner(self) -> TurnRunner:
        runner = TurnRunner(
            self.session,
            self.llm,
            self.catalog,
            self.host,
            self.events,
            self.pending,
            self.run.settings,
            self.redactor,
            mentions=MentionReader(Path(self.run.env.get("HOME") or Path.home()), self.redactor.text),
        )
        saved = self.run.saved
        if saved is not None and (reply := saved.open_reply):
            runner.take_up(reply.text, reply.heard, saved.model, paid=reply.paid)
        return runner

    def _new_beside(self, servers: dict[str, ServerConfig]) -> Beside:
        around = Around(
            run=self.run,
            tools=self.tools,
            runner=self.runner,
            llm=self.llm,
            catalog=self.catalog,
            events=self.events,
            pending=self.pending,
            redactor=self.redactor,
            tell=self._tell,
        )
        return Beside(around, servers)

    def _new_agent(self) -> Agent:
        return Agent(
            self.runner,
            self.events,
            self.pending,
            system_prompt=self.briefing.system_prompt,
            try_model=partial(parts.probe_model, self.llm),
            preload=self.llm.preload,
            trust_project=self.briefing.trust,
            questions=self.tools.services.questions,
            uploader=self.beside.upload,
            share=self.beside.share,
            reopen=self._reopen,
            on_ready=self.beside.begin,
            default_cap_usd=self.run.default_cap_usd,
            tool_count=len(self.tools.router.names),
            notes=self.warnings,
        )

    async def _reopen(self, prefix: str) -> str:
        """Makes the running session an earlier one. See `Reopen`."""
        return await resuming.reopen(
            prefix,
            places=self.run.places,
            runner=self.runner,
            events=self.events,
            session_log=self.session_log if self.run.settings.save_sessions else None,
            system_prompt=self.briefing.system_prompt,
            usable=lambda model: not _look_at(self.llm, model)[0],
        )


def _with_usable_model(run: Run, llm: LLMClient) -> tuple[Run, str, tuple[str, ...]]:
    """The run with a model that can be used, if there is one; what is wrong with it; and what to tell of that."""
    model, other = run.settings.model_name, run.other_model
    problem, note = _look_at(llm, model)
    if not problem or other in ("", model):
        return run, problem, (note,)
    told = f"Going on with {other}, not with {model}: {problem}"
    problem, note = _look_at(llm, other)
    return replace(run, settings=run.settings.model_copy(update={"model_name": other})), problem, (told, note)


def _look_at(llm: LLMClient, model: str) -> tuple[str, str]:
    """What keeps a model from being used, and what a person should know about one that can be."""
    try:
        return "", llm.check(model)
    except LLMError as error:
        return error.message, ""
