"""What servers write into the bodies of their errors, as words."""

from __future__ import annotations

import ast
import re
from html import unescape
from json import JSONDecodeError, JSONDecoder

_MAX_PAGE = 4_000
_UNSEEN = re.compile(r"<(script|style)\b[^>]*>[^<]*(?:</\1\s*>)?", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>?")
_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)


def words_of(body: str) -> tuple[str, str]:
    """The human text in an error body and its code, from the shapes that servers use."""
    body = _decoded(body)
    if body.lstrip()[:1] == "<":
        return _words_of_page(body), ""
    start = body.find("{")
    try:
        data = JSONDecoder().raw_decode(body, start)[0] if start >= 0 else None
    except (JSONDecodeError, RecursionError):
        return body, ""
    if not isinstance(data, dict):
        return body, ""
    error = data.get("error", data)
    if not isinstance(error, dict):
        return str(error), ""
    words = error.get("message") or error.get("detail") or error.get("error") or body
    code = " ".join(str(error[key]) for key in ("code", "type") if error.get(key))
    return words if isinstance(words, str) else str(words), code


def _decoded(body: str) -> str:
    """The text within the Python notation of bytes, in which some libraries pass a body on."""
    body = body.strip()
    if not _BYTES.fullmatch(body):
        return body
    try:
        raw = ast.literal_eval(body)
    except (ValueError, SyntaxError):
        return body
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else body


def _words_of_page(page: str) -> str:
    """The words of a web page, such as proxies send, without its markup."""
    return unescape(_TAG.sub(" ", _UNSEEN.sub(" ", page[:_MAX_PAGE]))).strip()
