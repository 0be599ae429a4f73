"""What the screen needs to know about a freshly built agent, as plain data and two callables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.tui.history import PromptHistory, history_file

if TYPE_CHECKING:
    from ml_intern.wiring import Wired


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model a person may choose.

    Attributes:
        id: Model id.
        note: Its name, and where it was found or what it needs.
        usable: Nothing is missing.
        local: A server on this machine has it.
    """

    id: str
    note: str
    usable: bool
    local: bool = False


FindModels = Callable[[], Awaitable[list[ModelOffer]]]


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
        bell: Whether to ring when an approval waits.
        history: Earlier prompts of this directory.
        find_models: Looks for models: servers on this machine first, then those with a key, then the rest.
    """

    model_problem: str = ""
    suggestion: str = ""
    grace_s: float = 0.4
    bell: bool = True
    history: PromptHistory = field(default_factory=PromptHistory)
    find_models: FindModels = no_models


def setup_from(wired: Wired) -> Setup:
    """The facts about an agent that was just built. Reads the prompt history, so call it in a thread."""
    from ml_intern.core.redact import Redactor

    workspace = Path(wired.agent.session.workspace)
    state_dir = wired.places.sessions.parent / "history"
    # A practice workspace is new every time; its prompts are remembered for this run only.
    path = None if wired.suggestion else history_file(state_dir, workspace)
    return Setup(
        model_problem=wired.model_problem,
        suggestion=wired.suggestion,
        grace_s=wired.settings.ui.approval_grace_s,
        bell=wired.settings.ui.bell,
        history=PromptHistory(path, Redactor.from_env(wired.env).text),
        find_models=lambda: _find_models(wired),
    )


async def _find_models(wired: Wired) -> list[ModelOffer]:
    from ml_intern.core.llm.local_servers import find_local_servers

    servers = await find_local_servers(wired.env)
    found = [
        ModelOffer(model, f"{server.label} on this machine", usable=True, local=True)
        for server in servers
        for model in server.models
    ]
    suggested = [
        _offer(wired, suggestion.id, suggestion.label, suggestion.key) for suggestion in wired.catalog.suggestions
    ]
    return [*found, *sorted(suggested, key=lambda offer: not offer.usable)]


def _offer(wired: Wired, model: str, label: str, key: str) -> ModelOffer:
    from ml_intern.core.llm.errors import LLMError

    try:
        note = wired.llm.check(model)
    except LLMError:
        return ModelOffer(model, f"{label} · needs {key}" if key else label, usable=False)
    return ModelOffer(model, f"{label} · {note}" if note else label, usable=True)
