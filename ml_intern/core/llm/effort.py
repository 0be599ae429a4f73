"""Reasoning effort: the levels, and what each model turned out to accept."""

from __future__ import annotations

_CASCADES = {
    "max": ("xhigh", "high", "medium", "low"),
    "xhigh": ("high", "medium", "low"),
    "high": ("medium", "low"),
    "medium": ("low",),
    "minimal": ("low",),
}
"""What to try, in order, when a level is refused."""


class EffortMemory:
    """What each model accepts, learned from refusals and remembered for the session.

    A refusal is healed once: later requests for the same level send what was accepted at once.
    """

    def __init__(self) -> None:
        self._accepted: dict[tuple[str, str], str] = {}

    def level(self, model: str, wanted: str) -> str:
        """The level to send: the wanted one until it was refused, `""` for none."""
        return self._accepted.get((model, wanted), "" if wanted == "off" else wanted)

    def learn(self, model: str, wanted: str, refused: str, words: str) -> str | None:
        """Takes note of a refusal.

        Args:
            model: Model id.
            wanted: The level that was asked for.
            refused: The level that was sent and refused.
            words: What the server said.

        Returns:
            A sentence for a person, or None when nothing was sent that could be left out.
        """
        if not refused:
            return None
        if (now := self.level(model, wanted)) != refused:
            # Another request has met the same refusal in the meantime.
            return self._sentence(model, refused, now)
        from ml_intern.core.llm.wordings import effort_verdict

        drop = effort_verdict(words) == "drop"
        following = () if drop else _CASCADES.get(refused, ())
        accepted = following[0] if following else ""
        self._accepted[(model, wanted)] = accepted
        return self._sentence(model, refused, accepted)

    @staticmethod
    def _sentence(model: str, refused: str, accepted: str) -> str:
        if accepted:
            return f"{model} does not take the reasoning effort `{refused}`; trying `{accepted}`."
        return f"{model} takes no reasoning effort; going on without."
