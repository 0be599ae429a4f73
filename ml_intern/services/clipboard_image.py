"""The image on the clipboard of this machine, by the small programs that its desktop has for that."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WANTED = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""Kinds of images, the best first."""
WITHIN_S = 5.0
LARGEST = 32 * 2**20
"""Bytes that are read; what is larger is no screenshot."""
_APPLE = ("osascript", "-e", "get the clipboard as «class PNGf»")
_APPLE_BEGINS, _APPLE_ENDS = "«data PNGf".encode(), "»".encode()


class ClipboardError(Exception):
    """The clipboard cannot be looked at; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class _Program:
    """How a program tells what is on the clipboard.

    Attributes:
        kinds: Lists what there is, one media type a line; empty where it only has images.
        image: Puts the image out; the wanted type replaces `TYPE`.
    """

    kinds: Sequence[str]
    image: Sequence[str]


_WAYLAND = _Program(("wl-paste", "--list-types"), ("wl-paste", "--no-newline", "--type", "TYPE"))
_X11 = _Program(
    ("xclip", "-selection", "clipboard", "-t", "TARGETS", "-o"),
    ("xclip", "-selection", "clipboard", "-t", "TYPE", "-o"),
)
_MACOS = (_Program((), ("pngpaste", "-")), _Program((), _APPLE))


async def clipboard_image(env: Mapping[str, str]) -> bytes | None:
    """The bytes of the image on the clipboard; None when there is none.

    Args:
        env: Environment: where programs are, and which desktop this is.

    Raises:
        ClipboardError: There is no program that could tell, or it does not answer.
    """
    program = _program(env)
    if program is None:
        raise ClipboardError(_missing(env))
    kind = "image/png"
    if program.kinds:
        offered = (await _run(program.kinds, env)).decode("utf-8", "replace").split()
        kind = next((wanted for wanted in WANTED if wanted in offered), "")
    if not kind:
        return None
    return _decoded(await _run([kind if word == "TYPE" else word for word in program.image], env)) or None


def _program(env: Mapping[str, str]) -> _Program | None:
    found = [(env.get("WAYLAND_DISPLAY"), _WAYLAND), (env.get("DISPLAY"), _X11), *((True, each) for each in _MACOS)]
    path = env.get("PATH")
    return next((each for has, each in found if has and shutil.which(each.image[0], path=path)), None)


def _missing(env: Mapping[str, str]) -> str:
    if env.get("WAYLAND_DISPLAY"):
        return "Images on the clipboard are read with wl-paste, which is not installed (package wl-clipboard)."
    if env.get("DISPLAY"):
        return "Images on the clipboard are read with xclip, which is not installed."
    return "There is no clipboard with images here, for example over SSH. /attach PATH takes a file."


async def _run(command: Sequence[str], env: Mapping[str, str]) -> bytes:
    """What a program puts out; nothing when it fails, as it does when nothing is there."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(env),
        )
    except OSError as error:
        raise ClipboardError(f"{command[0]} cannot be run: {error.strerror or error}.") from error
    try:
        async with asyncio.timeout(WITHIN_S):
            data = await _read(process.stdout)
            return data if await process.wait() == 0 else b""
    except TimeoutError as error:
        raise ClipboardError(f"{command[0]} does not answer.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    pieces = bytearray()
    while stream is not None and (piece := await stream.read(65_536)):
        pieces += piece
        if len(pieces) > LARGEST:
            raise ClipboardError(f"What is on the clipboard is larger than {LARGEST // 2**20} MB.")
    return bytes(pieces)


def _decoded(data: bytes) -> bytes:
    """The bytes of an image; AppleScript writes them as hexadecimal digits between its own brackets."""
    text = data.strip()
    if not text.startswith(_APPLE_BEGINS):
        return data
    try:
        return bytes.fromhex(text.removeprefix(_APPLE_BEGINS).removesuffix(_APPLE_ENDS).decode("ascii"))
    except ValueError:
        return b""
