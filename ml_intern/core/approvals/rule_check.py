"""Finds rules that do not do what was meant: of unknown tools, and those that others keep from being heard."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

from ml_intern.core.approvals.policy import Policy, RuleKind
from ml_intern.core.approvals.rules import Rule

ORDER: tuple[RuleKind, ...] = ("deny", "ask", "allow")
"""In which rules are heard."""
OTHER_SUBJECTS = ("mcp_sampling",)
"""What rules may speak of that is no tool of the model."""


def problem_of(kind: RuleKind, rule: Rule, policy: Policy, tools: Sequence[str], servers: Iterable[str] = ()) -> str:
    """Why a standing rule has no effect or another one than it seems to have; empty when it is fine.

    Args:
        kind: Its kind.
        rule: The rule.
        policy: Where it stands.
        tools: Names of the tools there are.
        servers: MCP servers whose tools may still come.
    """
    if rule.problem:
        return rule.problem
    if unknown := _unknown(rule, tools, servers):
        return unknown
    if kind != "allow" and rule.max_usd is not None:
        return f"it speaks of cheap calls only, up to ${rule.max_usd:.2f}"
    for before in ORDER[: ORDER.index(kind)]:
        if hidden := next((other for other in policy.standing(before) if _includes(other, rule)), None):
            return f"it is never reached: `{before} {hidden.text}` comes before it"
    return ""


def problems(policy: Policy, tools: Sequence[str], servers: Iterable[str] = ()) -> list[str]:
    """What is wrong with the standing rules, in sentences for a person."""
    servers = tuple(servers)
    rules = [(kind, rule) for kind in ORDER for rule in policy.standing(kind)]
    told = [(kind, rule, problem_of(kind, rule, policy, tools, servers)) for kind, rule in rules]
    return [f"The rule `{rule.text}` under approvals.{kind}: {problem}." for kind, rule, problem in told if problem]


def _unknown(rule: Rule, tools: Sequence[str], servers: Iterable[str]) -> str:
    known = (*tools, *OTHER_SUBJECTS)
    if any(fnmatch.fnmatchcase(name, rule.tool) for name in known):
        return ""
    server, separator, _ = rule.tool.partition("__")
    if separator and any(fnmatch.fnmatchcase(name, server) for name in servers):
        return ""  # its tools are known once it is connected
    near = difflib.get_close_matches(rule.tool, known, n=1)
    return f"there is no tool named {rule.tool}{f'; did you mean {near[0]}' if near else ''}"


def _includes(wide: Rule, narrow: Rule) -> bool:
    """Whether everything that one rule speaks of is spoken of by another. Says no where it cannot tell."""
    if wide.problem or not fnmatch.fnmatchcase(narrow.tool, wide.tool) or set(wide.tool) & set("?["):
        return False
    if wide.max_usd is not None and (narrow.max_usd is None or narrow.max_usd > wide.max_usd):
        return False
    if wide.pattern is None or wide.pattern == narrow.pattern:
        return True
    if narrow.pattern is None or set(wide.pattern) & set("?["):
        return False
    return fnmatch.fnmatchcase(narrow.pattern, wide.pattern) or (
        wide.pattern.endswith(" *") and narrow.pattern == wide.pattern[:-2]
    )
