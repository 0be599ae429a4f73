"""The system prompt: one template, composed from what this session can really do.

The result is made once for a session and stays the same byte for byte, so that providers can cache it.
"""

from __future__ import annotations

import platform
from collections.abc import Collection
from datetime import date
from pathlib import PurePath


def compose(template: str, flags: Collection[str], facts: dict[str, str]) -> str:
    """Keeps the parts of a template whose flag is set, and fills in the facts.

    A part begins with a line `@when FLAG` and ends with a line `@end`; parts do not nest. `{name}` stands for a fact.

    Args:
        template: Text of the template.
        flags: What holds: names of tools, `headless`, `local`, `sandbox`, `skills`.
        facts: Values for the placeholders.

    Raises:
        ValueError: A part is not closed, or closed twice.
    """
    kept: list[str] = []
    keeping, inside = True, False
    for line in template.splitlines():
        if line.startswith("@when "):
            if inside:
                raise ValueError(f"`{line}` begins inside another part")
            inside, keeping = True, line.removeprefix("@when ").strip() in flags
        elif line.strip() == "@end":
            if not inside:
                raise ValueError("`@end` without `@when`")
            inside, keeping = False, True
        elif keeping:
            kept.append(line)
    if inside:
        raise ValueError("the last `@when` has no `@end`")
    text = "\n".join(kept)
    for name, value in facts.items():
        text = text.replace("{" + name + "}", value)
    return text.strip()


def system_prompt(
    template: str, tools: Collection[str], *, workspace: PurePath, headless: bool, runtime: str, skills: str = ""
) -> str:
    """The system prompt of a new session.

    Args:
        template: Text of `configs/prompts/system.md` or a user's own.
        tools: Names of the registered tools; parts about others are left out.
        workspace: Directory the tools work in, on this machine or in the sandbox.
        headless: Whether nobody can answer.
        runtime: `local` or `sandbox`.
        skills: One line for each skill that can be loaded.
    """
    flags = {*tools, runtime} | ({"headless"} if headless else set()) | ({"skills"} if skills else set())
    facts = {
        "workdir": str(workspace),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": date.today().isoformat(),  # noqa: DTZ011 - the person's own date is meant
        "skills": skills,
    }
    return compose(template, flags, facts)
