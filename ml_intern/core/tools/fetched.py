"""Marks text that comes from outside as data, so that a model can tell it from what the person and the program say."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import replace

from ml_intern.core.display import TextBlock
from ml_intern.core.tools.spec import ToolResult

_KEY = secrets.token_bytes(16)
_MARKED = re.compile(r'<fetched by="[^"\n]*" mark="(\w+)">\n')
_LOOKALIKE = re.compile(r"<(?=\s*/?\s*fetched\b)", re.IGNORECASE)


def without_marks(output: str) -> str:
    """What a person is told of an output: where it is a text between marks, that text."""
    found = _MARKED.match(output)
    return output if found is None else output[found.end() :].removesuffix(f'\n</fetched mark="{found[1]}">')


def as_data(result: ToolResult, tool: str) -> ToolResult:
    """The result with its text between marks that it cannot imitate; a person sees it without them.

    The mark depends on the text and on a key of this process: equal results stay equal, which the guard against
    repetition looks for, and nobody outside can know the mark in advance.
    """
    if not result.text:
        return result
    text = _LOOKALIKE.sub("&lt;", result.text)
    mark = hmac.new(_KEY, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]
    marked = f'<fetched by="{tool}" mark="{mark}">\n{text}\n</fetched mark="{mark}">'
    return replace(result, text=marked, display=result.display or (TextBlock(text=result.text),))
