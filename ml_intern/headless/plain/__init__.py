"""The conversation line by line: for screen readers, dumb terminals and pipes. No screen, no colours, no motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_intern.options import Options


def run(options: Options) -> int:
    """Talks until the person leaves. Returns the exit code."""
    from ml_intern.headless.plain.session import run_plain

    return run_plain(options)
