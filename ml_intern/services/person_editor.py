"""The person's own editor on a text."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

SUFFIXES = {"script": ".py", "command": ".sh"}


class EditorError(Exception):
    """The text could not be edited. The message is one sentence for a person."""


def find_editor() -> str:
    """The person's editor.

    Raises:
        EditorError: None is named.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise EditorError("Set EDITOR to the name of your editor to use it here.")
    return editor


def edit_text(editor: str, text: str, kind: str) -> str:
    """The text as it is when the editor has ended. The terminal must be free for it. Blocks meanwhile.

    Args:
        editor: Its command line.
        text: What to begin with.
        kind: What it is, for the file's name: `script`, `command`, or anything else.

    Raises:
        EditorError: The editor failed, or its file could not be read.
    """
    with tempfile.TemporaryDirectory(prefix="ml-intern-edit-") as directory:
        path = Path(directory) / f"{kind or 'text'}{SUFFIXES.get(kind, '.txt')}"
        path.write_text(text, encoding="utf-8")
        try:
            code = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
            edited = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise EditorError(f"{editor} could not be used: {error}") from error
    if code != 0:
        raise EditorError(f"{editor} ended with code {code}; the text stays as it was.")
    # Editors end a file with a newline; one that was not there before is not an edit.
    return edited.removesuffix("\n") if not text.endswith("\n") else edited
