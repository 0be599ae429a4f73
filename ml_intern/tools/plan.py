"""The `plan_tool`: the agent's list of steps, which a person sees beside the conversation."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from ml_intern.core.display import PlanBlock
from ml_intern.core.plan import Plan
from ml_intern.core.protocol import PlanItem, PlanStatus, PlanUpdate
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec

_DESCRIPTION = """\
Keeps the plan of work that the user sees. Use it for anything with three steps or more: write the steps down first, \
mark the one you work on in_progress before you begin it, and completed as soon as it is done and checked. Every call \
replaces the whole plan, so send all steps in order, with the ids they had. An empty list clears the plan."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Todo(BaseModel):
    """One step."""

    # Models write `"id": 1` about as often as `"id": "1"`.
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, defer_build=True)

    id: _Text
    content: _Text = Field(description="What is to be done, in one line")
    status: PlanStatus

    @field_validator("content")
    @classmethod
    def _one_line(cls, content: str) -> str:
        return " ".join("".join(char if char.isprintable() else " " for char in content).split())


class PlanParams(Params):
    """Parameters of `plan_tool`."""

    todos: list[Todo] = Field(description="All steps of the plan, in order")

    @field_validator("todos")
    @classmethod
    def _ids_differ(cls, todos: list[Todo]) -> list[Todo]:
        counts = Counter(todo.id for todo in todos)
        if repeated := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"every step needs an id of its own; used more than once: {', '.join(repeated)}")
        return todos


async def _update_plan(params: PlanParams, context: ToolContext) -> ToolResult:
    plan = context.state.get(Plan)
    plan.items = tuple(PlanItem(id=todo.id, content=todo.content, status=todo.status) for todo in params.todos)
    context.emit(PlanUpdate(plan=plan.items))
    text = plan.text()
    active = sum(item.status == "in_progress" for item in plan.items)
    if active > 1:
        text += f"\nNote: {active} steps are in progress at once; keep one, so that the user sees where you are."
    block = PlanBlock(items=tuple((item.content, item.status) for item in plan.items))
    return ToolResult(text, display=(block,))


def create_plan_tool() -> ToolSpec:
    """The `plan_tool`. It changes nothing but the plan, so no mode asks about it."""
    # One plan, replaced whole: two calls of one reply take effect in their order.
    return ToolSpec("plan_tool", _DESCRIPTION, PlanParams, _update_plan, exclusive=lambda _params: "plan")
