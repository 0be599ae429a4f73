"""Long texts in parts that fit into a context, with the way to the next one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ml_intern.core.tools.spec import Params, ToolResult

MOST_CHARS = 20_000


class PageParams(Params):
    """Parameters of a tool that shows a long text in parts."""

    offset: Annotated[int, Field(ge=0, description="Character to begin at.")] = 0
    limit: Annotated[int, Field(ge=500, le=MOST_CHARS, description="Most characters to return.")] = 12_000
    find: Annotated[
        str, Field(description="Begin shortly before these words instead (letter case does not matter).")
    ] = ""


def part(text: str, params: PageParams, *, where: str, head: tuple[str, ...] = (), kind: str = "") -> ToolResult:
    """The part of a text that was asked for.

    Args:
        text: The whole text.
        params: Which part.
        where: What the text is, for failures.
        head: Lines that go before it.
        kind: What is said of its size, for example `pdf, 9 pages`.
    """
    total, start = len(text), params.offset
    if params.find:
        found = text.lower().find(params.find.lower(), start)
        if found < 0:
            return ToolResult(f"ERROR: {where} does not say {params.find!r} after character {start:,}.", ok=False)
        start = max(start, text.rfind("\n", 0, max(0, found - 300)) + 1)
    if total and start >= total:
        return ToolResult(f"ERROR: {where} has {total:,} characters; there is nothing from {start:,} on.", ok=False)
    end = min(total, start + params.limit)
    size = f"{kind}, {total:,} characters" if kind else f"{total:,} characters"
    span = size if start == 0 and end == total else f"{size}; here {start:,} to {end:,}"
    rest = f"\n\n[{total - end:,} characters more: go on with offset={end}]" if end < total else ""
    return ToolResult("\n".join([*head, span]) + "\n\n" + (text[start:end] or "(empty)") + rest)
