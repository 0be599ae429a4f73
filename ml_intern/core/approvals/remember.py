"""What becomes of "do not ask again": kept for the session, or written down for good."""

from __future__ import annotations

import asyncio

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.approvals.rules import Rule
from ml_intern.core.config import ConfigError
from ml_intern.core.events import EventSink
from ml_intern.core.protocol import ApprovalDecision, Notice


async def remember(
    policy: Policy, tool: str, assessment: Assessment, decision: ApprovalDecision, events: EventSink
) -> None:
    """Takes in that a person wants to be asked no more about the like of a call they approve.

    A rule that would not do what the person was shown is not taken over, and they are told.

    Args:
        policy: Decides from now on.
        tool: The tool.
        assessment: What the call does, edits included.
        decision: What the person said.
        events: Where it is told.
    """
    rule = Rule.of(decision.rule) if decision.rule else policy.suggest(tool, assessment)
    named = bool(decision.rule) or decision.always
    if named and (why := _objection(policy, tool, assessment, rule, for_good=decision.always)):
        events.emit(Notice(text=f"Approved once. Nothing more was allowed: {why}.", level="warning"))
        return
    if decision.always and rule is not None:
        events.emit(await _keep(policy, tool, assessment, rule))
    else:
        policy.allow_in_session(tool, assessment, rule)


def _objection(policy: Policy, tool: str, assessment: Assessment, rule: Rule | None, *, for_good: bool) -> str:
    if rule is None:
        return "there is no rule that says so"
    return policy.objection(rule, tool, assessment, for_good=for_good)


async def _keep(policy: Policy, tool: str, assessment: Assessment, rule: Rule) -> Notice:
    """Writes a rule down, and says what became of it."""
    if policy.keeper is None:
        problem = "Rules cannot be kept here."
    else:
        try:
            await asyncio.to_thread(policy.keeper.add, "allow", rule.shown)
        except ConfigError as error:
            problem = str(error)
        else:
            policy.add_standing("allow", Rule.of(rule.shown))
            where = f"{policy.keeper.file}; /allowed lists such rules and takes them back"
            return Notice(text=f"Allowed from now on, in later sessions too: `{rule.shown}` ({where}).")
    policy.allow_in_session(tool, assessment, rule)
    return Notice(text=f"`{rule.shown}` counts in this session only: {problem}", level="warning")
