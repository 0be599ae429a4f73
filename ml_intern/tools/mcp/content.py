"""What a call gave back, as text for a model: nothing interpreted, nothing in base64, nothing without bounds.

Pictures and sound are named with their size and the file they are kept in; pictures that a model can be shown come
beside the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_intern.tools.terminal_text import clean

if TYPE_CHECKING:
    from mcp_types import CallToolResult

Keep = Callable[[str, str], str]
"""Keeps bytes in base64 of a media type; tells in words where."""

MAX_CHARS = 600_000
"""More than this of one result is dropped; the caller of tools cuts further, and keeps what it cuts in a file."""


def as_text(result: CallToolResult, keep: Keep) -> str:
    """The blocks of a result, one below the other; its structured form only where no block holds text."""
    parts = [_block(block, keep) for block in result.content]
    has_text = any(block.type == "text" and block.text.strip() for block in result.content)
    if not has_text and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    text = "\n".join(part for part in parts if part)
    dropped = len(text) - MAX_CHARS
    text = clean(text[:MAX_CHARS]).strip("\n")
    if dropped > 0:
        text += f"\n[{dropped:,} further characters of this result were dropped]"
    return text or "(no output)"


def _block(block: Any, keep: Keep) -> str:
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}, {_size(block.data)}: {keep(block.data, block.mime_type)}]"
        case "resource_link":
            words = [block.name, str(block.uri), block.mime_type, block.description]
            return f"[resource: {', '.join(word for word in words if word)}]"
        case _:
            return _resource(block.resource, keep)


def _resource(resource: Any, keep: Keep) -> str:
    text = getattr(resource, "text", None)
    if text is not None:
        return f"[{resource.uri}]\n{text}"
    kind = resource.mime_type or "binary data"
    return f"[{resource.uri}, {kind}, {_size(resource.blob)}: {keep(resource.blob, kind)}]"


def _size(encoded: str) -> str:
    size = len(encoded) * 3 // 4
    return f"{size / 1000:.0f} kB" if size >= 1000 else f"{size} bytes"
