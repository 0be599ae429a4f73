"""What a rule means, in words, and whether it can be taken over with the call that is approved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from ml_intern.core.approvals.effects import Assessment, Cost, Effect
from ml_intern.core.approvals.rules import NAMED, PATH_TOOLS, Rule
from ml_intern.core.approvals.suggest import objection_to
from ml_intern.tui.widgets.text import money, one_line

if TYPE_CHECKING:
    from ml_intern.core.protocol import ApprovalItem

_DEEDS = {
    Effect.DESTROY: "deletes",
    Effect.OUTSIDE: "leaves the workspace",
    Effect.PUBLISH: "publishes",
    Effect.CREDENTIALS: "touches credentials",
}


def meaning(rule: Rule, workspace: Path | None = None, *, allows: bool = True) -> str:
    """What a rule speaks of, in words.

    Args:
        rule: The rule.
        workspace: Where the agent works.
        allows: Whether it allows; rules that ask or forbid hold wider.
    """
    what = " ".join(filter(None, (_what(rule, allows), _price(rule))))
    return what + _limits(rule, workspace) if allows else what


def _what(rule: Rule, allows: bool) -> str:
    pattern = one_line(rule.pattern or "", 200)
    if rule.pattern is None:
        return f"every call of {rule.tool}"
    if not rule.wild:
        return {"bash": "this command, to the letter"}.get(rule.tool, f"{rule.tool} of {pattern}, to the letter")
    if rule.tool != "bash":
        return f"{rule.tool} of whatever fits {pattern}"
    if pattern.endswith(" *") and not set(pattern[:-2]) & set("*?["):
        return f"commands that begin with {pattern[:-2]}, {'not' if allows else 'also'} joined with others"
    return f"commands that fit {pattern}"


def _price(rule: Rule) -> str:
    if rule.max_usd is None:
        return ""
    return f"that costs at most {money(rule.max_usd)}" if rule.max_usd else "that costs nothing"


def _limits(rule: Rule, workspace: Path | None) -> str:
    """What a wildcard does not stand for."""
    if not rule.wild or rule.tool not in PATH_TOOLS | {"bash"}:
        return ""
    kept = [_DEEDS[effect] for effect in sorted(NAMED - rule.means(rule.tool, workspace))]
    return f"; never what {_listed(kept)}" if kept else ""


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def objection(item: ApprovalItem, rule: Rule, workspace: Path | None, *, for_good: bool, edited: bool) -> str:
    """Why a rule cannot be taken over with a call; empty when it can. An edited call is judged once it is approved."""
    if not rule.text.strip():
        return "write what is to be allowed"
    if edited:
        return rule.problem or ("" if rule.tool == item.tool else f"it must begin with {item.tool}")
    known = Assessment(frozenset(item.effects), cost=Cost(item.estimated_cost_usd), subject=item.subject)
    return objection_to(rule, item.tool, known, workspace, for_good=for_good)


def verdict(
    item: ApprovalItem, text: str, workspace: Path | None, where: str, *, for_good: bool, edited: bool
) -> Content:
    """What is said below a rule that is being written: what it would allow and how long, or what is wrong with it.

    Args:
        item: The call.
        text: The rule so far.
        workspace: Where the agent works.
        where: The file that rules are kept in.
        for_good: Whether it is to count in later sessions too.
        edited: Whether the call was edited.
    """
    rule = Rule.of(text)
    if why := objection(item, rule, workspace, for_good=for_good, edited=edited):
        return Content.assemble(("✗ ", "$error"), why)
    until = f"in every later session too; written to {where} under approvals.allow" if for_good else "in this session"
    return Content.assemble(("✓ ", "$success"), meaning(rule, workspace), (f" · {until}", "$foreground-muted"))
