"""An editor for what will be run: it shows signs in place of what a terminal could act on, and gives the text back as
it was."""

from __future__ import annotations

from textual import events
from textual.widgets._text_area import TextArea

from ml_intern.tui.widgets.text import unseen

_FIRST_SPARE = 0xE000


class ScriptArea(TextArea):
    """Edits a script.

    An editor that got control characters would pass them to the terminal, and would take form feeds and the like for
    ends of lines. Here each kind of them has a sign while the text is edited.
    """

    _signs: dict[int, str]

    def load_script(self, text: str) -> None:
        """Begins with a text."""
        self._signs = signs_for(text)
        self.load_text(text.translate(self._signs))

    async def _on_key(self, event: events.Key) -> None:
        """Leaves Esc to the dialog around it: an editor in which Tab indents would keep it."""
        if event.key == "escape":
            event.prevent_default()

    @property
    def script(self) -> str:
        """The text as it is now."""
        return self.text.translate({ord(sign): chr(code) for code, sign in self._signs.items()})


def signs_for(text: str) -> dict[int, str]:
    """A sign for each character of a text that cannot be shown, none of them in the text already."""
    found = {char for char in unseen(text) if char != "\t"}
    if "\r" in found and text.count("\r") == text.count("\r\n") == text.count("\n"):
        found.remove("\r")  # the lines of the text end so
    signs: dict[int, str] = {}
    spare = _FIRST_SPARE
    for char in sorted(found):
        picture = chr(0x2400 + ord(char)) if ord(char) < 32 else ""
        if picture and picture not in text:
            signs[ord(char)] = picture
            continue
        while chr(spare) in text:
            spare += 1
        signs[ord(char)] = chr(spare)
        spare += 1
    return signs
