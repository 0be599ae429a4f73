"""Which rule to offer a person who does not want to be asked about the like of a call again.

The narrowest one that is still useful. Whatever is offered covers the call it is offered for, and never more than a
wildcard may stand for; a person sees it and can change it before it counts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePath

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.rules import NAMED, PATH_TOOLS, Rule, text_of

NEVER_STANDING = frozenset({Effect.DESTROY, Effect.OUTSIDE, Effect.CREDENTIALS, Effect.SCHEDULE, Effect.CATASTROPHIC})
"""What is not to be allowed for good in passing; who wants that writes the rule by hand."""

_DEEDS = {
    Effect.DESTROY: "deletes or overwrites",
    Effect.OUTSIDE: "leaves the workspace",
    Effect.CREDENTIALS: "touches credentials",
    Effect.PUBLISH: "publishes or sends something",
    Effect.SCHEDULE: "goes on by itself",
    Effect.CATASTROPHIC: "could wreck this machine or an account",
}

LONGEST = 400
"""A longer command is remembered to the letter, not shown to be edited."""

_PLAIN = re.compile(r"[^;&|<>`$()\n\\\"'*?\[\]{}~#!]+")
_HAS_DEEDS = frozenset(
    """
    git gh hf huggingface-cli uv pip pip3 pipx poetry pdm rye conda mamba npm yarn pnpm bun cargo go docker podman
    kubectl helm dvc apt apt-get brew make accelerate ruff wandb trackio aws gcloud az systemctl
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
_RUNS = frozenset(
    {
        ("uv", "run"), ("poetry", "run"), ("pdm", "run"), ("rye", "run"), ("pipx", "run"), ("npm", "run"),
        ("yarn", "run"), ("pnpm", "run"), ("bun", "run"), ("go", "run"), ("cargo", "run"), ("accelerate", "launch"),
    }
)  # fmt: skip
_INTERPRETERS = re.compile(r"(?:python|pypy|node|deno|ruby|perl|php|lua|julia|Rscript|bash|sh|zsh|torchrun)[\d.]*")
_RUNS_ANYTHING = frozenset(
    "sudo doas env xargs nohup time timeout nice ionice watch ssh eval exec source parallel npx uvx".split()  # noqa: SIM905
)


def suggestion(tool: str, assessment: Assessment, workspace: Path | None = None) -> Rule | None:
    """The rule to offer; None when it would mean a call to the letter and could not be read at a glance."""
    usd = assessment.cost.usd
    if usd is None or not assessment.subject.isprintable():  # what cannot be seen must not be allowed by a glance
        return None
    max_usd = usd or None
    for pattern in _patterns(tool, assessment):
        rule = Rule.of(text_of(tool, pattern, usd if Effect.COMPUTE in assessment.effects else max_usd))
        if rule.covers(tool, assessment, workspace):
            return rule
    subject = assessment.subject
    if not subject or len(subject) > LONGEST:
        return None
    return Rule.for_exactly(tool, subject, max_usd)


def objection_to(
    rule: Rule, tool: str, assessment: Assessment, workspace: Path | None = None, *, for_good: bool = False
) -> str:
    """Why a rule of a person's cannot be taken over with the call that they approve; empty when it can.

    Args:
        rule: The rule.
        tool: The call's tool.
        assessment: What the call would do.
        workspace: Where the agent works.
        for_good: Whether the rule is to count in later sessions too.
    """
    if rule.problem:
        return rule.problem
    if rule.tool != tool:
        return f"it must begin with {tool}"
    if not rule.covers(tool, assessment, workspace):
        return _misfit(rule, tool, assessment, workspace)
    if not for_good:
        return ""
    if rule.pattern in (None, "*") and rule.max_usd is None and assessment.subject and "__" not in tool:
        return f"it would allow whatever {tool} can do; narrow it down"
    named = assessment.effects | (rule.means(tool, workspace) if rule.wild else frozenset())
    if forbidden := named & NEVER_STANDING:
        return f"what {_DEEDS[min(forbidden)]} is not allowed for good here; write such a rule by hand"
    return ""


def _misfit(rule: Rule, tool: str, assessment: Assessment, workspace: Path | None) -> str:
    usd = assessment.cost.usd
    if rule.max_usd is not None and (usd is None or usd > rule.max_usd):
        return "this call is dearer"
    if rule.covers(tool, replace(assessment, effects=frozenset()), workspace):
        named = assessment.effects & NAMED - rule.means(tool, workspace)
        return f"what {_DEEDS[min(named)]} must be in the rule's own words" if named else "it does not fit this call"
    return "it does not fit this call"


def _patterns(tool: str, assessment: Assessment) -> list[str | None]:
    """What to offer rather than the call to the letter, the best first."""
    if Effect.COMPUTE in assessment.effects or not assessment.subject:
        return [None]
    if assessment.effects & NEVER_STANDING:  # remembered to the letter only
        return []
    if tool == "bash":
        return [f"{beginning} *"] if (beginning := command_beginning(assessment.subject)) else []
    if tool in PATH_TOOLS:
        folder = PurePath(assessment.subject).parent
        return [f"{folder}/**"] if len(folder.parts) > 0 and not folder.is_absolute() else []
    return [None] if Effect.EXTERNAL in assessment.effects and "__" in tool else []


def command_beginning(command: str) -> str:
    """The words that say what a simple command does: `git push`, `pytest`, `python train.py`; empty when none do."""
    if not _PLAIN.fullmatch(command):
        return ""
    words = command.split()
    program = words[0].rpartition("/")[2] if words else ""
    if not program or "=" in words[0] or program in _RUNS_ANYTHING:
        return ""
    if _INTERPRETERS.fullmatch(program):
        wanted = 3 if words[1:2] == ["-m"] else 2
    elif tuple(words[:2]) in _RUNS:
        wanted = 3
    else:
        wanted = 2 if program in _HAS_DEEDS else 1
    taken = words[:wanted]
    options = [word for word in taken[1:] if word.startswith("-") and word != "-m"]
    return "" if len(taken) < wanted or options else " ".join(taken)
