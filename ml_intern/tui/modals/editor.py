"""Editing a text in the person's own editor, with the app out of the way."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

SUFFIXES = {"script": ".py", "command": ".sh"}


def edit_outside(app: App[object], text: str, kind: str) -> str | None:
    """Opens `$VISUAL` or `$EDITOR` on the text. None when that was not possible; the person is told why."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        app.notify("Set EDITOR to the name of your editor to use it here.", severity="warning", markup=False)
        return None
    with tempfile.TemporaryDirectory(prefix="ml-intern-edit-") as directory:
        path = Path(directory) / f"{kind or 'text'}{SUFFIXES.get(kind, '.txt')}"
        path.write_text(text, encoding="utf-8")
        try:
            with app.suspend():
                code = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
            edited = path.read_text(encoding="utf-8")
        except (OSError, ValueError, SuspendNotSupported) as error:
            app.notify(f"{editor} could not be used: {error}", severity="warning", markup=False)
            return None
    if code != 0:
        app.notify(f"{editor} ended with code {code}; the text stays as it was.", severity="warning", markup=False)
        return None
    # Editors end a file with a newline; one that was not there before is not an edit.
    return edited.removesuffix("\n") if not text.endswith("\n") else edited
