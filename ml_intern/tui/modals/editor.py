"""Editing a text in the person's own editor, with the app out of the way."""

from __future__ import annotations

from textual.app import App, SuspendNotSupported

from ml_intern.services.person_editor import EditorError, edit_text, find_editor


def edit_outside(app: App[object], text: str, kind: str) -> str | None:
    """Opens the person's editor on the text. None when that was not possible; the person is told why."""
    try:
        editor = find_editor()
        with app.suspend():
            return edit_text(editor, text, kind)
    except (EditorError, SuspendNotSupported) as error:
        app.notify(str(error), severity="warning", markup=False)
        return None
