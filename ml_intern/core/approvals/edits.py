"""What a person adds to a call before deciding it: changes, whether to ask again, and what the model is told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.tools.router import Prepared
from ml_intern.core.tools.spec import ToolContext, ToolResult

A_CENT = 0.01
"""Prices are shown in cents: a difference below one is none."""

SHORT_CHARS = 60
"""Values up to this length are told as they were and are; of longer ones only that they changed."""


def with_note(item: Prepared, before: Mapping[str, Any]) -> Prepared:
    """The call, its result beginning with a line that says what the person changed.

    Args:
        item: The call as edited.
        before: The arguments as the model wrote them.
    """
    edited = changes(before, item.arguments)
    note = f"[The user edited {edited} before approving; this is the result of the edited version.]"
    handler = item.spec.handler

    async def annotated(params: Any, context: ToolContext) -> ToolResult:
        result = await handler(params, context)
        return replace(result, text=f"{note}\n{result.text}")

    return replace(item, spec=replace(item.spec, handler=annotated))


def is_dearer(cost: Cost, shown: Cost, edited_usd: float | None) -> bool:
    """Whether an edited call may cost more than the person knew when they approved it."""
    known = shown.usd if edited_usd is None else edited_usd
    if cost.usd is None:
        return shown.usd is not None
    return known is not None and cost.usd > known + A_CENT


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The arguments that differ: `script, hardware_flavor ("t4-small", was "a10g-small")`."""
    names = [name for name in after if after[name] != before.get(name)]
    return ", ".join(_change(name, before.get(name), after[name]) for name in names) or "nothing"


def _change(name: str, old: Any, new: Any) -> str:
    was = "not set" if old in (None, "") else _short(old)
    now = "not set" if new in (None, "") else _short(new)
    return f"{name} ({now}, was {was})" if was and now else name


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHORT_CHARS else ""


def printable(text: str) -> str:
    """A person's words without control characters, their case kept."""
    return "".join(char for char in text if char in "\n\t" or ord(char) >= 32).strip()
