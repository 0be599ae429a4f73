"""What happened beside the conversation and the model should know: a job that ended while nobody waited for it."""

from __future__ import annotations


class ModelNotes:
    """Sentences for the model of one session, which come with its next request in a message that is nobody's prompt."""

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def add(self, text: str) -> None:
        """Takes a sentence."""
        self._waiting.append(text)

    def take(self) -> str:
        """All that was not delivered yet, or an empty string."""
        waiting, self._waiting = self._waiting, []
        return "\n".join(waiting)
