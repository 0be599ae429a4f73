"""A Jupyter notebook as markdown: its text and its code, without what it printed."""

from __future__ import annotations

import json
from typing import Any

from ml_intern.services.shapes import items, record

_HIDDEN = frozenset({"hide", "hidden", "remove", "hide_input", "remove_cell", "remove-cell"})


def notebook_markdown(text: str) -> str:
    """The cells of a notebook, or the text as it is when it is none."""
    try:
        notebook = json.loads(text)
        cells = notebook.get("cells")
    except (ValueError, AttributeError):
        return text
    if not isinstance(cells, list):
        return text
    language = _language(notebook)
    parts = [_cell(cell, language) for cell in cells if isinstance(cell, dict)]
    return "\n\n".join(part for part in parts if part) or "(a notebook without cells)"


def _cell(cell: dict[str, Any], language: str) -> str:
    tags = items(record(cell.get("metadata")).get("tags"))
    source = cell.get("source") or ""
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if _HIDDEN.intersection(map(str, tags)) or not text.strip():
        return ""
    if cell.get("cell_type") != "code":
        return text.strip("\n")
    fence = "`" * max(3, _longest_ticks(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _language(notebook: dict[str, Any]) -> str:
    kernel = record(record(notebook.get("metadata")).get("kernelspec"))
    return str(kernel.get("language") or "python")


def _longest_ticks(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
