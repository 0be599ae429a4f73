"""What a sub-agent is sent out with."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ml_intern.core.prompt import compose
from ml_intern.core.settings import ResearchSettings
from ml_intern.core.subagent import Assignment
from ml_intern.core.subagent_limits import Limits
from ml_intern.core.tools.spec import ToolContext
from ml_intern.resources import config_path
from ml_intern.tools.research.tool import TOOLS, Depth, ResearchParams

LIMITS: dict[Depth, Limits] = {
    "quick": Limits(iterations=15, seconds=300, tokens=60_000),
    "normal": Limits(iterations=60, seconds=1_200, tokens=160_000),
    "deep": Limits(iterations=120, seconds=3_600, tokens=400_000),
}

_LABEL_CHARS = 50


def assignment(params: ResearchParams, context: ToolContext) -> Assignment:
    """The assignment that a call comes to."""
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
