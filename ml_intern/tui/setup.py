"""What the screen needs to know about a freshly built agent, as plain data and two callables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml_intern.tui.drafts import Draft, DraftKeeper
from ml_intern.tui.history import PromptHistory, history_file
from ml_intern.tui.widgets.text import count_short

if TYPE_CHECKING:
    from ml_intern.core.images import ImageRef
    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.core.llm.prices import ModelInfo
    from ml_intern.core.protocol import Leftover
    from ml_intern.core.skills import Skills
    from ml_intern.sessions.store import SessionStore
    from ml_intern.tui.ports import ArtifactCare, ConfigCare, EndLeftover, KeyCare, McpCare, PreviewDataset, RuleCare
    from ml_intern.wiring import Wired


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model a person may choose.

    Attributes:
        id: Model id.
        note: Its name, and where it was found or what it needs.
        usable: Nothing is missing.
        local: A server on this machine has it.
        facts: Window, price and abilities, in a few words.
        detail: The same at length, with its name and its key.
    """

    id: str
    note: str
    usable: bool
    local: bool = False
    facts: str = ""
    detail: str = ""


FindModels = Callable[[], Awaitable[list[ModelOffer]]]


EffortMeaning = Callable[[str, str], str]
"""Says what a reasoning effort means for a model, by the model's id and the level; empty when it is taken as it is."""


async def no_models() -> list[ModelOffer]:
    """None, while nothing is known."""
    return []


@dataclass(frozen=True, slots=True)
class Setup:
    """Facts about this run.

    Attributes:
        model_problem: Why the configured model cannot be used, or empty.
        suggestion: A prompt to begin with, in the practice session.
        grace_s: How long an approval dialog ignores keys.
        bell: Whether the terminal's bell may ring.
        notices: When notices of the desktop are wanted.
        history: Earlier prompts of this directory.
        effort_meaning: See `EffortMeaning`.
        find_models: Looks for models: servers on this machine first, then those with a key, then the rest.
        jobs: Where jobs run, for their hardware and prices; None when nothing can be run.
        sessions: Where session logs live.
        store: Names, copies and throws away sessions; None while there is no agent.
        artifacts: Gives what looks after what the session has made on the Hub.
        end_leftover: Ends what an earlier session has left running; None where nobody looks for that.
        redact: Takes secrets out of a text.
        drafts: Keeps what is written and not sent.
        draft: What an earlier app in this directory has not sent.
        pasted: Where images from the clipboard are kept; None while there is no agent.
        takes_images: Whether a model, by its id, takes images; None when nobody knows. May block.
        image_path: Where an image of a session is, by the session's id. May block.
        trackio: Where trackio keeps the metrics of runs on this machine; None where nobody looks there.
        servers: Gives what looks after MCP servers; None while there is no agent.
        skills: What the agent can load; None while there is no agent.
        config: Shows and changes the configuration; None while there is no agent.
        preview_dataset: Looks into data sets; None while there is no agent.
        rules: Shows what is allowed, asked and forbidden; None while there is no agent.
        sandbox_dir: Where commands start in a sandbox; empty when they run on this machine.
        keys: Checks and keeps keys; None while there is no agent.
    """

    model_problem: str = ""
    suggestion: str = ""
    grace_s: float = 0.4
    bell: bool = True
    notices: Literal["off", "away", "always"] = "away"
    history: PromptHistory = field(default_factory=PromptHistory)
    effort_meaning: EffortMeaning = lambda _model, _level: ""
    find_models: FindModels = no_models
    jobs: JobsBackend | None = None
    sessions: Path | None = None
    store: SessionStore | None = None
    artifacts: Callable[[], ArtifactCare] | None = None
    end_leftover: EndLeftover | None = None
    redact: Callable[[str], str] = str
    drafts: DraftKeeper = field(default_factory=DraftKeeper)
    draft: Draft = field(default_factory=Draft)
    pasted: Path | None = None
    takes_images: Callable[[str], bool | None] = lambda _model: None
    image_path: Callable[[str, ImageRef], Path] | None = None
    trackio: Path | None = None
    servers: Callable[[], McpCare] | None = None
    skills: Skills | None = None
    config: ConfigCare | None = None
    preview_dataset: PreviewDataset | None = None
    rules: RuleCare | None = None
    sandbox_dir: str = ""
    keys: KeyCare | None = None

    @property
    def kept_copies(self) -> Path | None:
        """Where copies go that the terminal does not take; None while there is no agent."""
        return self.sessions.parent if self.sessions is not None else None


def setup_from(wired: Wired) -> Setup:
    """The facts about an agent that was just built. Reads the prompt history and a draft, so call it in a thread."""
    from ml_intern.core.protocol import prepare
    from ml_intern.core.redact import Redactor
    from ml_intern.core.trackio import trackio_directory
    from ml_intern.services.sign_in import KeyDesk
    from ml_intern.sessions.store import SessionStore

    prepare()
    redactor = Redactor.from_env(wired.env)
    redact = redactor.text
    workspace = Path(wired.agent.session.workspace)
    kept = wired.places.sessions.parent
    # A practice workspace is new every time; its prompts are remembered for this run only.
    path = None if wired.suggestion else history_file(kept / "history", workspace)
    drafts = DraftKeeper(None if wired.suggestion else kept / "drafts", workspace, redact)
    return Setup(
        model_problem=wired.model_problem,
        suggestion=wired.suggestion,
        grace_s=wired.settings.ui.approval_grace_s,
        bell=wired.settings.ui.bell,
        notices=wired.settings.ui.notices,
        history=PromptHistory(path, redact),
        effort_meaning=lambda model, level: _effort_meaning(wired, model, level),
        find_models=lambda: _find_models(wired),
        jobs=wired.services.jobs,
        sessions=wired.places.sessions,
        store=SessionStore(wired.places.sessions, redactor),
        artifacts=wired.beside.artifacts,
        end_leftover=_end_leftover(wired),
        redact=redact,
        drafts=drafts,
        draft=drafts.claim(),
        pasted=kept / "pasted",
        takes_images=lambda model: wired.llm.takes_images(model),
        image_path=lambda session_id, image: wired.images.path(session_id, image),
        trackio=trackio_directory(wired.env),
        servers=wired.beside.mcp_admin,
        skills=wired.skills,
        config=wired.config,
        preview_dataset=wired.preview_dataset,
        rules=wired.rules,
        sandbox_dir=wired.settings.sandbox.workdir if wired.settings.tool_runtime == "sandbox" else "",
        keys=KeyDesk(wired.env, wired.places),
    )


def _end_leftover(wired: Wired) -> EndLeftover | None:
    watch = wired.beside.leftovers
    if watch is None:
        return None

    async def end(leftover: Leftover) -> None:
        await watch().end(leftover)

    return end


async def _find_models(wired: Wired) -> list[ModelOffer]:
    from ml_intern.core.llm.local_servers import find_local_servers

    servers = await find_local_servers(wired.env)
    found = [_local_offer(wired, model, server.label) for server in servers for model in server.models]
    suggested = [
        _offer(wired, suggestion.id, suggestion.label, suggestion.key) for suggestion in wired.catalog.suggestions
    ]
    return [*found, *sorted(suggested, key=lambda offer: not offer.usable)]


def _local_offer(wired: Wired, model: str, server: str) -> ModelOffer:
    info, where = wired.catalog.info(model), f"{server} on this machine"
    said = " · ".join(filter(None, [where, "no key, no cost", _long_facts(info)]))
    return ModelOffer(model, where, usable=True, local=True, detail=said)


def _offer(wired: Wired, model: str, label: str, key: str) -> ModelOffer:
    from ml_intern.core.llm.errors import LLMError

    info = wired.catalog.info(model)
    try:
        note = wired.llm.check(model)
    except LLMError:
        return ModelOffer(model, f"{label} · needs {key}" if key else label, usable=False)
    way = note or (f"{key} is there" if key else "")
    said = " · ".join(filter(None, [label, way, _long_facts(info)]))
    return ModelOffer(model, label, usable=True, facts=_short_facts(info), detail=said)


def _short_facts(info: ModelInfo) -> str:
    """`200k · $5/$25 · tools, images`: window, dollars per million in and out, abilities; without what nobody knows."""
    prices = [_per_million(usd) for price in info.prices[:1] for usd in (price.input, price.output)]
    return " · ".join(filter(None, [_window(info), "/".join(prices), _abilities(info)]))


def _long_facts(info: ModelInfo) -> str:
    window = f"{_window(info)} tokens" if _window(info) else ""
    price = next(
        (f"{_per_million(each.input)} in, {_per_million(each.output)} out per million" for each in info.prices), ""
    )
    return " · ".join(filter(None, [window, price, _abilities(info)]))


def _window(info: ModelInfo) -> str:
    return count_short(info.context_window) if info.context_window and info.source != "assumed" else ""


def _per_million(usd: float) -> str:
    return f"${usd * 1e6:.4g}"


def _abilities(info: ModelInfo) -> str:
    able = ["tools"] if info.tools else ["no tools"] if info.tools is False else []
    return ", ".join([*able, *(["images"] if info.vision else [])])


def _effort_meaning(wired: Wired, model: str, level: str) -> str:
    from ml_intern.core.llm.errors import LLMError

    try:
        sent = wired.llm.effort_for(model, "" if level == "off" else level)
    except LLMError:
        return ""
    if level in {"off", sent}:
        return ""
    return f"this model takes {sent} instead" if sent else "this model takes no effort"
