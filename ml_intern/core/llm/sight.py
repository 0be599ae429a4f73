"""Which models take images, as their servers have told, and which images a server could not use."""

from __future__ import annotations

from collections.abc import Mapping

from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import Request

_NO_SAY = frozenset({"context_overflow", "rate_limit", "billing", "auth", "content_filter"})


class Sight:
    """Learns from refusals, so that nothing is sent twice that cannot be used.

    A conversation keeps its images: one that a server chokes on would otherwise break every request from then on.
    """

    def __init__(self) -> None:
        self._blind: set[str] = set()
        self._refused: set[str] = set()
        self._accepted: set[str] = set()

    def is_blind(self, model: str) -> bool:
        """Whether the model's server has said that it takes no images."""
        return model in self._blind

    def shown(self, request: Request) -> Mapping[str, str]:
        """The images of a request that may be sent."""
        if request.model in self._blind:
            return {}
        return {file: url for file, url in request.images.items() if file not in self._refused}

    def accepted(self, sent: Mapping[str, str]) -> None:
        """A server has answered a request with these images."""
        self._accepted.update(sent)

    def learn(self, request: Request, sent: Mapping[str, str], error: LLMError) -> str | None:
        """What to leave out after a refusal, as a sentence for a person; None when it was not about images.

        Args:
            request: What was asked.
            sent: The images that were sent with it.
            error: The refusal.
        """
        if not sent or error.kind in _NO_SAY:
            return None
        from ml_intern.core.llm.wordings import image_verdict  # long patterns, of which most sessions need none

        verdict = image_verdict(error.detail)
        if verdict is None:
            return None
        if verdict == "unwanted":
            self._blind.add(request.model)
            return f"{request.model} takes no images; it is told their names only."
        new = set(sent) - self._accepted or set(sent)
        self._refused |= new
        names = {image.name for message in request.messages for image in message.images if image.file in new}
        return f"The server could not use {', '.join(sorted(names)) or 'an image'}; it is left out."
