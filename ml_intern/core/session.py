"""What one conversation is: its id, its place, its choices, what the model sees and what it has cost."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.plan import Plan
from ml_intern.core.protocol import Mode, PlanItem
from ml_intern.core.tools.spec import SessionState

if TYPE_CHECKING:
    from ml_intern.core.context.manager import ContextManager


def new_session_id() -> str:
    """A fresh, unguessable session id."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class Session:
    """One conversation. The agent changes it; front ends only look.

    Attributes:
        id: Names the session and its log.
        workspace: Directory the tools work in.
        model: Full id of the model in use.
        effort: Reasoning effort, `off` for none.
        mode: Approval mode.
        stream: Whether replies are streamed.
        context: What the model sees.
        budget: Money.
        policy: Approval policy, with what was allowed for this session.
        state: Per-session memory of the tools.
        turns: Turns that have ended.
    """

    workspace: Path
    model: str
    context: ContextManager
    policy: Policy
    budget: Budget
    effort: str = "off"
    mode: Mode = "guarded"
    stream: bool = True
    id: str = field(default_factory=new_session_id)
    state: SessionState = field(default_factory=SessionState)
    turns: int = 0

    @property
    def plan(self) -> tuple[PlanItem, ...]:
        """The plan as the agent last wrote it."""
        return self.state.get(Plan).items

    async def restart(self, system_prompt: str) -> None:
        """Becomes a fresh conversation under a new id; model, effort, mode and cap stay."""
        self.id = new_session_id()
        self.context.clear(system_prompt)
        await self.state.release()
        self.budget.restart()
        self.policy.restart()
        self.turns = 0
