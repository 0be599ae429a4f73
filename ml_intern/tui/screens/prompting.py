"""What fills the prompt from elsewhere: the search through earlier prompts, and the person's own editor."""

from __future__ import annotations

from textual.app import App

from ml_intern.tui.widgets.prompt import Prompt

LABEL_CHARS = 200


def search_history(app: App[object], prompt: Prompt) -> None:
    """Lets the person find an earlier prompt of this directory, the newest first, and puts it into the prompt."""
    entries = prompt.past.newest_first()
    if not entries:
        app.notify("There are no earlier prompts in this directory.", markup=False)
        return
    from ml_intern.tui.modals.pick import Choice, Pick

    def take(number: str | None) -> None:
        if number is not None:
            prompt.fill(entries[int(number)])
            prompt.focus()

    choices = [
        Choice(str(number), " ".join(entry[: 2 * LABEL_CHARS].split())[:LABEL_CHARS] or "…")
        for number, entry in enumerate(entries)
    ]
    app.push_screen(Pick("earlier prompts", choices, names=False), take)


def edit_prompt(app: App[object], prompt: Prompt) -> None:
    """Opens the prompt, with large pastes in full, in the person's own editor."""
    from ml_intern.tui.modals.editor import edit_outside

    edited = edit_outside(app, prompt.whole_text, "prompt")
    if edited is not None and edited != prompt.whole_text:
        prompt.fill(edited)
