"""Text files as they are: their encoding, byte order mark, ends of lines, permissions and links survive a change."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath

SNIFF_BYTES = 8192
MAX_EDIT_BYTES = 16 * 2**20
"""Larger files are not loaded whole."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NEAR_ENTRIES = 2000


class FileError(Exception):
    """Something about a file that the model can do something about; the message says what."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the characters of a file are stored.

    Attributes:
        encoding: Name of the codec.
        mark: The byte order mark, or nothing.
    """

    encoding: str = "utf-8"
    mark: bytes = b""


def locate(path: str, workspace: Path) -> Path:
    """The absolute path that a path of the model means, links not yet followed."""
    if not path.strip():
        raise FileError("path is empty. Name a file.")
    if "\0" in path:
        raise FileError("path holds a NUL character. Remove it.")
    return Path(os.path.normpath(workspace / expand_home(path.strip())))


def expand_home(path: str) -> Path:
    """The path with a leading `~` replaced, where there is such a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def exists(path: Path) -> bool:
    """Whether something is at a path.

    Raises:
        FileError: It cannot be told: the name is impossible or a directory is closed to us.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror or error}.") from error
    return True


def regular_file(path: Path) -> os.stat_result:
    """The state of an existing regular file.

    Raises:
        FileError: There is none, or something else is there.
    """
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(path, near_names(path)) from error
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if stat.S_ISDIR(state.st_mode):
        raise is_directory(path)
    if not stat.S_ISREG(state.st_mode):
        raise not_regular(path)
    return state


def missing(path: PurePath, hint: str) -> FileError:
    """What to say where there is no file; the hint begins with a space or is empty."""
    return FileError(f"{path} does not exist.{hint}")


def is_directory(path: PurePath) -> FileError:
    """What to say where a directory is."""
    return FileError(f"{path} is a directory. List it with bash: ls -la {path}")


def not_regular(path: PurePath) -> FileError:
    """What to say where something else is."""
    return FileError(f"{path} is no regular file (a device, pipe or socket).")


def too_large_to_edit(path: PurePath, size: int) -> FileError:
    """What to say about a file of so many bytes."""
    return FileError(f"{path} is too large to edit ({size:,} bytes). Change it with bash, for example with sed -i.")


def near_names(path: Path) -> str:
    """A hint at names that are like a missing one, or at the last part of the path that exists."""
    parent = path.parent
    if not parent.is_dir():
        while not parent.is_dir() and parent != parent.parent:
            parent = parent.parent
        return f" Its directory does not exist either; {parent} does."
    with contextlib.suppress(OSError):
        names = [entry.name for entry, _ in zip(parent.iterdir(), range(_NEAR_ENTRIES), strict=False)]
        return near_hint(path, names)
    return ""


def near_hint(path: PurePath, names: list[str]) -> str:
    """A hint at names in its directory that are like a missing one; empty when there are none."""
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if same_stem := [name for name in names if PurePath(name).stem == path.stem and name not in near]:
        near += same_stem[:2]
    return f" Near it: {', '.join(near)}." if near else ""


def form_of(start: bytes, path: PurePath) -> Form:
    """How a file is stored, by its first bytes.

    Raises:
        FileError: It is no text.
    """
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return Form(encoding, mark)
    if b"\0" in start:
        raise FileError(f"{path} is a binary file. Look at it with bash: file, xxd | head, or a program that reads it.")
    return Form()


def not_utf8(path: PurePath, error: UnicodeDecodeError) -> FileError:
    """What to say about a file whose bytes are not the text they should be."""
    byte = error.object[error.start : error.start + 1].hex()
    return FileError(
        f"{path} is not UTF-8 text (byte 0x{byte}: {error.reason}). If it is text in another encoding, convert a copy "
        f"with bash: iconv -f latin1 -t utf-8 {path.name} > copy"
    )


def decode(data: bytes, path: PurePath) -> tuple[str, Form]:
    """The text of a file, ends of lines untouched, and how it was stored.

    Raises:
        FileError: It is no text, or not in an encoding that can be told for sure.
    """
    form = form_of(data[:SNIFF_BYTES], path)
    try:
        return data[len(form.mark) :].decode(form.encoding), form
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error


def encode(text: str, form: Form) -> bytes:
    """The bytes of a text, stored as the form says.

    Raises:
        FileError: It holds half characters that no file can hold.
    """
    try:
        return form.mark + text.removeprefix("\ufeff" if form.mark else "").encode(form.encoding)
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise FileError(f"the text holds half a character ({half}) that cannot be stored. Write it whole.") from error


def line_end(text: str) -> str:
    """The end of line that most lines of a text have."""
    windows = text.count("\r\n")
    return "\r\n" if windows > text.count("\n") - windows else "\n"


def with_line_ends(text: str, end: str) -> str:
    """The text with all its ends of lines made the same."""
    plain = text.replace("\r\n", "\n")
    return plain if end == "\n" else plain.replace("\n", end)


def load(path: Path) -> bytes:
    """The whole of a file that may be edited.

    Raises:
        FileError: It is missing, no regular file, or too large.
    """
    size = regular_file(path).st_size
    if size > MAX_EDIT_BYTES:
        raise too_large_to_edit(path, size)
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error


def store(path: Path, data: bytes) -> None:
    """Replaces a file's content in one step, so that nobody ever sees half of it. Makes missing directories.

    Args:
        path: Links already followed: the file itself is replaced, with its owner and permissions.
        data: The new content.

    Raises:
        FileError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat() if path.exists() else None
        temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            _write_new(temporary, data, before)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _settle(path.parent)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error


def _write_new(path: Path, data: bytes, like: os.stat_result | None) -> None:
    # A new file gets the permissions that the user's umask leaves; a replaced one those it had.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if like is None else 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if like is not None:
            _take_over(path, like)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _take_over(path: Path, like: os.stat_result) -> None:
    mine = path.stat()
    if hasattr(os, "chown") and (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
        with contextlib.suppress(PermissionError):  # only root can give files away
            os.chown(path, like.st_uid, like.st_gid)
    path.chmod(stat.S_IMODE(like.st_mode))


def _settle(directory: Path) -> None:
    """Makes sure that the new name survives a power cut, where the system lets a directory be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
