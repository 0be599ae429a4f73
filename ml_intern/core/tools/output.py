"""Keeps tool output within what a context can hold; nothing is lost, the whole of it goes to a file."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from pathlib import Path

from ml_intern.core.tools.spec import ToolResult

log = logging.getLogger(__name__)

HEAD_SHARE = 0.25


def shorten(text: str, limit: int, where: str, *, head_share: float = HEAD_SHARE) -> str:
    """Head and tail of a text that is longer than `limit` characters, with a line between that says what is missing.

    Args:
        text: Any text.
        limit: Characters to keep.
        where: Where the whole text is, for that line; empty when it is nowhere.
        head_share: Share of the limit that its beginning gets.
    """
    if len(text) <= limit:
        return text
    head = int(limit * head_share)
    tail = limit - head
    place = f" The whole output is in {where}: page through it with read." if where else ""
    marker = f"\n\n[… {len(text) - limit:,} of {len(text):,} characters left out here.{place} …]\n\n"
    return text[:head] + marker + text[-tail:]


async def cap_output(result: ToolResult, limit: int, spill_dir: Path, name: str) -> ToolResult:
    """The result with its text within the limit; a longer one is kept whole in a file under `spill_dir`.

    Texts up to a tenth over the limit pass: tools that cut their own output add a line of explanation to it.
    """
    if len(result.text) <= limit * 1.1:
        return result
    where = await asyncio.to_thread(_spill, result.text, spill_dir, name)
    return replace(result, text=shorten(result.text, limit, where))


def spill_name(name: str) -> str:
    """The file that the whole output of a call is kept in; `name` is that of the tool and the id of the call."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80]}.txt"


def _spill(text: str, spill_dir: Path, name: str) -> str:
    path = spill_dir / spill_name(name)
    try:
        spill_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        log.warning("long output could not be kept in %s: %s", path, error)
        return ""
    return str(path)
