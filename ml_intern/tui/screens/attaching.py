"""Attaching to the next prompt: images from files, from what is pasted or dropped, and from the clipboard."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from ml_intern.services.threads import in_thread
from ml_intern.tui.entries import Picture
from ml_intern.tui.pictures import PictureError, keep_pasted, picture_of, pictures_in
from ml_intern.tui.setup import Setup
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.composer import Composer
from ml_intern.tui.widgets.file_finder import as_mention
from ml_intern.tui.widgets.paste import may_be_pictures

if TYPE_CHECKING:
    from ml_intern.core.images import ImageRef
    from ml_intern.core.protocol import UndoComplete

PASTE_WITHIN_S = 1.0
"""How long a paste waits for a disk that is slow; then it is text."""
NOTHING = "There is no image on the clipboard. Text is pasted with your terminal's own key."


class Attaching:
    """Acts for the main screen.

    Args:
        screen: Carries the workers and tells what went wrong.
        composer: Gets what is attached.
        setup: What is known of the agent.
        state: The session.
    """

    def __init__(
        self,
        screen: Screen[Any],
        composer: Composer,
        setup: Callable[[], Setup],
        state: Callable[[], SessionState],
    ) -> None:
        self._screen = screen
        self._composer = composer
        self._setup = setup
        self._state = state
        self._pasted = 0
        composer.prompt.take_paste = self._take_paste

    def take(self, path: str) -> None:
        """Attaches a file by its path, or the image on the clipboard when there is none."""
        if path:
            self._start(self._attach_file(path))
        else:
            self.paste()

    def paste(self) -> None:
        """Attaches the image on the clipboard; without one pastes the text that was copied in the app."""
        self._start(self._attach_clipboard())

    def give_back(self, event: UndoComplete) -> None:
        """Puts a prompt that was taken back, and its images, into the prompt unless something is there."""
        if (event.prompt or event.images) and not self._composer.prompt.text:
            self._composer.prompt.fill(event.prompt)
            self.attach_kept(event.images)

    def attach_kept(self, images: Sequence[ImageRef]) -> None:
        """Attaches images that the session has kept."""
        if images:
            self._start(self._attach_kept(images))

    def look_at_model(self) -> None:
        """Finds out whether the model takes images, if there are any."""
        if self._composer.has_pictures:
            self._start(self._tell_if_blind())

    def _start(self, work: Any) -> None:
        self._screen.run_worker(work, name="attaching", exit_on_error=False)

    async def _take_paste(self, text: str) -> bool:
        """Attaches the images that a pasted text names. False when it is just text."""
        if not may_be_pictures(text):
            return False
        try:
            async with asyncio.timeout(PASTE_WITHIN_S):
                pictures = await in_thread(lambda: pictures_in(text), name="looking at dropped files")
        except TimeoutError:
            return False
        except PictureError as error:
            self._warn(str(error))
            return False
        for picture in pictures:
            self._composer.attach(picture)
        self.look_at_model()
        return bool(pictures)

    async def _attach_file(self, typed: str) -> None:
        workspace = Path(self._state().workdir or ".")
        try:
            picture = await in_thread(lambda: _picture_at(workspace, typed), name="looking at a file")
            if picture is None:
                self._composer.prompt.insert(f"{as_mention(typed)} ")
                return
            self._composer.attach(picture)
            await self._tell_if_blind()
        except (PictureError, OSError, ValueError, RuntimeError) as error:  # or a name that no system can have
            why = str(error)
            if not isinstance(error, PictureError):
                why = f"{typed}: {(getattr(error, 'strerror', '') or str(error)).lower()}."
            self._warn(why)
            if not self._composer.prompt.text:
                self._composer.prompt.fill(f"/attach {typed}")

    async def _attach_clipboard(self) -> None:
        from ml_intern.services.clipboard_image import ClipboardError, clipboard_image

        app, prompt = self._screen.app, self._composer.prompt
        problem = NOTHING
        try:
            if data := await clipboard_image(os.environ):
                await self._keep(data)
                return
        except ClipboardError as error:
            problem = str(error)
        except PictureError as error:
            self._warn(str(error))
            return
        if app.clipboard:
            prompt.action_paste()
        else:
            self._warn(problem)

    async def _keep(self, data: bytes) -> None:
        directory = self._setup().pasted
        if directory is None:
            raise PictureError("The agent is still starting; try again in a moment.")
        number = self._pasted = self._pasted + 1
        self._composer.attach(await in_thread(lambda: keep_pasted(data, directory, number), name="keeping an image"))
        await self._tell_if_blind()

    async def _attach_kept(self, images: Sequence[ImageRef]) -> None:
        path_of, session = self._setup().image_path, self._state().session_id
        if path_of is None:
            return
        for image in images:
            try:
                path = path_of(session, image)
                self._composer.attach(await in_thread(partial(picture_of, path, image.name), name="finding an image"))
            except (PictureError, ValueError) as error:
                self._warn(str(error))
        await self._tell_if_blind()

    async def _tell_if_blind(self) -> None:
        model = self._state().model
        if not model:
            return  # it is looked at again when there is one
        takes = await in_thread(lambda: self._setup().takes_images(model), name="looking up the model")
        self._composer.tell_blind(f"{model} takes no images; it is told their names" if takes is False else "")

    def _warn(self, text: str) -> None:
        self._screen.notify(text, severity="warning", markup=False)


def _picture_at(workspace: Path, typed: str) -> Picture | None:
    """The image at a path as it was typed; None when something else is there.

    Raises:
        OSError: Nothing is there, or it cannot be looked at.
        PictureError: The image cannot be attached.
    """
    from ml_intern.core.images import SNIFFED_BYTES, kind_of

    path = Path(os.path.normpath(workspace / Path(typed).expanduser()))
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file")
    if path.is_dir():
        return None
    if not path.is_file():
        raise PictureError(f"{path.name} is no file.")
    with path.open("rb") as file:
        is_image = bool(kind_of(file.read(SNIFFED_BYTES)))
    return picture_of(path) if is_image else None
