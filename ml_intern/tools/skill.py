"""The `skill` tool: loads the instructions of a skill into the conversation."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field, StringConstraints

from ml_intern.core.display import TextBlock
from ml_intern.core.skills import FILE, SkillError, Skills
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec

_DESCRIPTION = """\
Loads a skill: instructions for one kind of work, with the files that belong to it. The system prompt lists the skills \
by name. Load one before you begin work that it fits, and follow it as far as it fits. With `file` it gives one of the \
skill's own files instead."""


class SkillParams(Params):
    """Parameters of `skill`."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="Name of the skill, as the system prompt lists it"
    )
    file: str = Field("", description="One of its files, by the path that loading the skill names")


def create_skill_tool(skills: Skills) -> ToolSpec:
    """The `skill` tool. It only reads, and only what is in the folder of a skill.

    Args:
        skills: What there is.
    """

    async def load(params: SkillParams, _context: ToolContext) -> ToolResult:
        try:
            return await asyncio.to_thread(_load, skills, params)
        except SkillError as error:
            return ToolResult(f"ERROR: Nothing was loaded: {error}.", ok=False)

    return ToolSpec("skill", _DESCRIPTION, SkillParams, load, output_scale=2.0)


def _load(skills: Skills, params: SkillParams) -> ToolResult:
    skill = skills.get(params.name)
    if params.file:
        return ToolResult(skill.file(params.file))
    body, files = skill.body(), skill.files()
    text = f"# Skill: {skill.name}\n\n{body}"
    if files:
        listed = "\n".join(f"- {name}" for name in files)
        text += f"\n\n# Its files\nIn {skill.folder}; load one with `file`:\n{listed}"
    shown = TextBlock(text=body, language="markdown", title=f"{skill.name} · {skill.source} · {skill.folder / FILE}")
    return ToolResult(text, display=(shown,))
