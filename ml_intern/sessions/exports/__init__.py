"""Sessions in other formats. Secrets are looked for once more on the way out; what cannot be checked does not leave."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_intern.core.redact import WITHHELD, Redactor
from ml_intern.sessions.aside import files_of
from ml_intern.sessions.conversation import Conversation, conversation_of
from ml_intern.sessions.log import read_session

FORMATS = ("markdown", "html", "claude", "sts", "sft")


class ExportError(Exception):
    """A session cannot be exported. The message is one sentence."""


def export(path: Path, form: str, redactor: Redactor) -> str:
    """The text of a session in one of `FORMATS`, without secrets.

    Raises:
        ExportError: It could not be checked for secrets, or nothing of it can be read.
        OSError: The log cannot be read.
    """
    events: list[dict[str, Any]] = []
    for event in read_session(path):
        clean = redactor.data(event)
        if clean is WITHHELD:
            raise _unchecked(path)
        events.append(clean)
    if not events:
        raise ExportError(f"There is nothing in session {path.stem[:8]} that can be read: {path}")
    # Once more: a rendering can put together what stood apart.
    text = redactor.text(_writer(form)(conversation_of(path.stem, events)))
    if text is WITHHELD:
        raise _unchecked(path)
    if form == "html":
        from ml_intern.sessions.exports.html import embed

        return embed(text, files_of(path))
    return text


def save(text: str, target: Path, *, overwrite: bool = True) -> None:
    """Writes an export into a file: all of it, or the file stays as it was.

    Args:
        text: The export.
        target: The file. One that is no regular file, a pipe for example, is written into.
        overwrite: Whether it may be there already.

    Raises:
        OSError: It cannot be written; `filename` is the target.
    """
    try:
        if not overwrite:
            target.touch(exist_ok=False)
        if target.exists() and not target.is_file():
            _write(text, target)
        else:
            _replace(text, target.resolve())  # a link stays one
    except OSError as error:
        error.filename = str(target)  # a full disk names none
        if not overwrite and not isinstance(error, FileExistsError):
            target.unlink(missing_ok=True)
        raise


def _replace(text: str, target: Path) -> None:
    unfinished = target.with_name(f".{target.name[:40]}.{os.getpid()}")
    try:
        _write(text, unfinished)
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    except PermissionError:  # a file that may be written in a directory that may not
        _write(text, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(text: str, target: Path) -> None:
    with target.open("w", encoding="utf-8") as file:
        file.write(text)


def _unchecked(path: Path) -> ExportError:
    return ExportError(f"Session {path.stem[:8]} was not exported: a part of it could not be checked for secrets.")


def _writer(form: str) -> Callable[[Conversation], str]:
    if form == "html":
        from ml_intern.sessions.exports.html import to_html

        return to_html
    if form == "markdown":
        from ml_intern.sessions.exports.markdown import to_markdown

        return to_markdown
    if form == "claude":
        from ml_intern.sessions.exports.claude import to_claude

        return to_claude
    if form == "sts":
        from ml_intern.sessions.exports.sts import to_sts

        return to_sts
    from ml_intern.sessions.exports.sft import to_sft

    return to_sft
