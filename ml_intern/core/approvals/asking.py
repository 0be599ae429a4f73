"""What a person is asked about a call, and on whose behalf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.approvals.policy import Policy, Verdict
from ml_intern.core.approvals.rules import Rule
from ml_intern.core.protocol import ApprovalItem, Origin

if TYPE_CHECKING:
    from ml_intern.core.tools.router import Prepared


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf calls are made, where that is not the main agent.

    Attributes:
        name: What a person is told.
        gate: Decides in place of the session's policy.
        pause: Surrounds every wait for a person, whose time is not the agent's.
    """

    name: str
    gate: Callable[[str, Assessment], Verdict]
    pause: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a person may allow beyond the one call.

    Attributes:
        allowance: In words; empty when there is nothing to offer.
        rule: As a rule that they may change; empty when it means the call to the letter.
        standing: Whether it may be kept for later sessions.
    """

    allowance: str = ""
    rule: str = ""
    standing: bool = False


NO_OFFER = Offer()


def offer_of(policy: Policy, tool: str, assessment: Assessment) -> Offer:
    """What to offer to a person who is asked about a call that may be remembered."""
    if assessment.cost.usd is None:
        return NO_OFFER
    rule: Rule | None = policy.suggest(tool, assessment)
    if rule is None:
        return Offer("this very call")
    for_good = policy.keeper is not None and not policy.objection(rule, tool, assessment, for_good=True)
    return Offer(rule.shown, rule.shown, for_good)


@dataclass(slots=True)
class Asked:
    """A call that waits for a person.

    Attributes:
        origin: Where words of it come from, if from outside.
        before: The model's own arguments, once the person has edited them.
    """

    prepared: Prepared
    assessment: Assessment
    verdict: Verdict
    origin: Origin | None = None
    before: Mapping[str, Any] | None = None

    def as_item(self, asker: Asker | None, policy: Policy) -> ApprovalItem:
        """The call as a person is asked about it."""
        item, assessment, reason = self.prepared, self.assessment, self.verdict.reason
        offer = offer_of(policy, item.name, assessment) if self.verdict.rememberable else NO_OFFER
        return ApprovalItem(
            tool=item.name,
            arguments=item.arguments,
            tool_call_id=item.call_id,
            reason=f"{asker.name}: {reason}" if asker is not None else reason,
            estimated_cost_usd=assessment.cost.usd,
            cost_note=assessment.cost.note,
            editable=assessment.editable,
            rememberable=offer.allowance != "",
            allowance=offer.allowance,
            rule=offer.rule,
            standing=offer.standing,
            subject=assessment.subject if offer.rule else "",
            effects=tuple(sorted(assessment.effects)),
            display=assessment.display,
            checks=assessment.checks,
            compute=assessment.compute,
            origin=self.origin,
        )
