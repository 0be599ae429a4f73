"""What operations and events have in common: words for states and kinds, and their base classes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Mode = Literal["guarded", "ask", "plan", "yolo"]
PlanStatus = Literal["pending", "in_progress", "completed"]
EndReason = Literal["completed", "max_iterations", "cost_limit", "context_limit"]
SpendingKind = Literal["main", "research", "compaction", "probe", "sampling", "aside", "job", "sandbox"]
Rating = Literal["up", "down", "none"]
AsideState = Literal["asked", "answered", "failed"]
CostState = Literal["promised", "measured", "estimated", "unknown"]
"""How sure a sum is. `promised`: the worst case of what still runs."""
ArtifactKind = Literal["model", "dataset", "space", "bucket", "collection", "job", "sandbox"]
ArtifactState = Literal["created", "updated", "deleted", "found"]
ToolState = Literal["approved", "rejected", "running", "completed", "failed", "cancelled", "abandoned"]


def utc_now() -> str:
    """The present moment as ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class OperationBase(BaseModel):
    """What every operation has in common: it cannot be changed, and nothing unknown may stand in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class EventBase(BaseModel):
    """What every event carries. `seq`, `time` and `session_id` are stamped by the event stream when it is emitted."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    seq: int = 0
    time: str = ""
    session_id: str = ""
