"""What a person is asked about a call, and on whose behalf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.approvals.policy import Allowance, Verdict
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

    def as_item(self, asker: Asker | None) -> ApprovalItem:
        """The call as a person is asked about it."""
        item, assessment, reason = self.prepared, self.assessment, self.verdict.reason
        return ApprovalItem(
            tool=item.name,
            arguments=item.arguments,
            tool_call_id=item.call_id,
            reason=f"{asker.name}: {reason}" if asker is not None else reason,
            estimated_cost_usd=assessment.cost.usd,
            cost_note=assessment.cost.note,
            editable=assessment.editable,
            rememberable=self.verdict.rememberable,
            allowance=Allowance.of(item.name, assessment).describe() if self.verdict.rememberable else "",
            display=assessment.display,
            checks=assessment.checks,
            compute=assessment.compute,
            origin=self.origin,
        )
