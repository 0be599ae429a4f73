"""Takes in what a person says: the words, the images and files that go with them, as messages and as an event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_intern.core.context.messages import Message
from ml_intern.core.image_store import ImageStore
from ml_intern.core.images import MAX_IMAGES, MAX_TOTAL, ImageError, ImageRef
from ml_intern.core.protocol import Attachment, ImageFile, Spoken, UserMessage
from ml_intern.core.session import Session
from ml_intern.core.tools.spec import SessionState

log = logging.getLogger(__name__)

WITH_IT = "[Context] The user attached this to the message above:"


@dataclass(frozen=True, slots=True)
class Mentioned:
    """What the words of a prompt name as `@path`.

    Attributes:
        attached: Contents of files and folders.
        images: Image files.
        problems: Why something that was named does not go along, a sentence each.
    """

    attached: tuple[Attachment, ...] = ()
    images: tuple[ImageFile, ...] = ()
    problems: tuple[str, ...] = ()


Mentions = Callable[[str, Path, SessionState], Mentioned]
"""Finds what a text names, in a workspace, and notes in the session's memory what was read. Blocks."""


def no_mentions(_text: str, _workspace: Path, _state: SessionState) -> Mentioned:
    """Nothing, where nobody looks."""
    return Mentioned()


@dataclass(frozen=True, slots=True)
class Heard:
    """A prompt with all that goes with it."""

    text: str
    images: tuple[ImageRef, ...] = ()
    attached: tuple[Attachment, ...] = ()
    problems: tuple[str, ...] = ()

    def messages(self) -> list[Message]:
        """It as the model gets it."""
        said = [Message("user", self.text, images=self.images)]
        if self.attached:
            texts = "\n\n".join(attachment.text for attachment in self.attached)
            said.append(Message("user", f"{WITH_IT}\n\n{texts}", kind="attached"))
        return said

    def event(self, *, steered: bool) -> UserMessage:
        """It as it is told."""
        return UserMessage(content=self.text, steered=steered, images=self.images, attached=self.attached)


class Hearing:
    """Looks up what goes with a prompt.

    Args:
        session: The conversation.
        images: Where its images are kept.
        mentions: Finds what the words name.
    """

    def __init__(self, session: Session, images: ImageStore, mentions: Mentions) -> None:
        self._session = session
        self._images = images
        self._mentions = mentions

    async def take(self, spoken: Spoken) -> Heard:
        """The prompt with what goes with it. Most prompts are words alone and need no look at the disk."""
        if not spoken.images and "@" not in spoken.text:
            return Heard(spoken.text, attached=spoken.attached)
        return await asyncio.to_thread(self._look, spoken)

    def _look(self, spoken: Spoken) -> Heard:
        named = self._mentions(spoken.text, self._session.workspace, self._session.state)
        images, problems = self._keep([*spoken.images, *named.images])
        return Heard(spoken.text, images, (*spoken.attached, *named.attached), (*named.problems, *problems))

    def _keep(self, files: Sequence[ImageFile]) -> tuple[tuple[ImageRef, ...], list[str]]:
        kept: dict[str, ImageRef] = {}
        problems: list[str] = []
        for file in files:
            try:
                image = self._images.keep_file(self._session.id, Path(file.path), file.name)
            except ImageError as error:
                problems.append(str(error))
                continue
            if image.file in kept:
                continue
            if len(kept) >= MAX_IMAGES or sum(each.size for each in kept.values()) + image.size > MAX_TOTAL:
                text = f"{image.name} does not go along: {MAX_IMAGES} images and {MAX_TOTAL / 1e6:.0f} MB are the most "
                problems.append(f"{text}that one prompt can hold.")
            else:
                kept[image.file] = image
        return tuple(kept.values()), problems
