"""The `research` tool over whatever runs sub-agents."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ml_intern.core.prompt import compose
from ml_intern.core.settings import ResearchSettings
from ml_intern.core.subagent import Assignment
from ml_intern.core.subagent_limits import Limits
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.resources import config_path

Depth = Literal["quick", "normal", "deep"]

TOOLS = (
    "read",
    "bash",
    "explore_hf_docs",
    "fetch_hf_docs",
    "find_hf_api",
    "hf_papers",
    "hf_inspect_dataset",
    "hub_search",
    "hub_repo_details",
    "hf_repo_files",
    "github_find_examples",
    "github_list_repos",
    "github_read_file",
    "web_search",
    "web_fetch",
)
"""What a sub-agent may use; of these, what the session has."""

LIMITS: dict[Depth, Limits] = {
    "quick": Limits(iterations=15, seconds=300, tokens=60_000),
    "normal": Limits(iterations=60, seconds=1_200, tokens=160_000),
    "deep": Limits(iterations=120, seconds=3_600, tokens=400_000),
}

_LABEL_CHARS = 50

_DESCRIPTION = """\
Sends a sub-agent to look something up and comes back with its report. It has a conversation of its own, so what it \
reads does not fill yours, and it only reads: papers, documentation, the Hub, GitHub, the web, files here. It knows \
nothing of this conversation: put into `task` and `context` what it needs (what you are doing, names, ids, versions, \
what is known already) and what you want back. Use it for questions that take several sources; for one look-up call \
the tool yourself. Several calls in one reply work side by side. What comes back is evidence, not a decision: check \
what matters most."""


class ResearchParams(Params):
    """Parameters of `research`."""

    task: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1),
        Field(description="What is to be found out, and in which form you want the answer."),
    ]
    context: Annotated[str, Field(description="What the sub-agent should know beforehand.")] = ""
    depth: Annotated[
        Depth,
        Field(description="quick: a fact or two. normal: several sources compared. deep: a survey of literature."),
    ] = "normal"


def create_research_tool() -> ToolSpec:
    """The tool. What a report says comes from outside, so the main agent gets it marked as data."""
    return ToolSpec("research", _DESCRIPTION, ResearchParams, _research, fetches=True)


async def _research(params: ResearchParams, context: ToolContext) -> ToolResult:
    if context.delegate is None:
        return ToolResult("ERROR: research cannot be used here: there is nobody to send.", ok=False)
    return await context.delegate(_assignment(params, context))


def _assignment(params: ResearchParams, context: ToolContext) -> Assignment:
    settings = context.settings.research
    return Assignment(
        label=f"research: {_brief(params.task)}",
        system_prompt=_system_prompt(params.depth, context),
        task=f"{params.context.strip()}\n\n# Task\n{params.task}" if params.context.strip() else params.task,
        tools=TOOLS,
        limits=_limits(LIMITS[params.depth], settings),
        model=settings.model,
        effort=settings.effort,
    )


def _limits(limits: Limits, settings: ResearchSettings) -> Limits:
    return replace(
        limits,
        iterations=min(limits.iterations, settings.max_iterations or limits.iterations),
        seconds=min(limits.seconds, settings.max_minutes * 60 if settings.max_minutes else limits.seconds),
        usd=settings.max_cost_usd,
    )


def _system_prompt(depth: Depth, context: ToolContext) -> str:
    facts = {
        "workdir": str(context.workspace),
        "date": date.today().isoformat(),  # noqa: DTZ011 - the person's own date is meant
    }
    template = config_path("prompts", "research.md").read_text(encoding="utf-8")
    return compose(template, {depth}, facts)


def _brief(task: str) -> str:
    line = " ".join(task.split())
    return line if len(line) <= _LABEL_CHARS else f"{line[: _LABEL_CHARS - 1]}…"
