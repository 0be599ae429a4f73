"""What went wrong with a server, in a few words for a person."""

from __future__ import annotations

from ml_intern.tools.terminal_text import clean

_MAX_CHARS = 500


def cause(error: BaseException) -> BaseException:
    """What lies at the bottom of an error, which the client likes to wrap in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: BaseException) -> str:
    """The cause of an error in words."""
    error = cause(error)
    said = clean(str(error)).strip().rstrip(".")[:_MAX_CHARS]
    kind = type(error).__name__
    if kind in {"ConnectError", "ConnectTimeout"}:
        return "it cannot be reached" + (f" ({said})" if said else "")
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}{f': {error.filename}' if error.filename else ''}"
    return said or kind
