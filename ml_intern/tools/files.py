"""The `read` and `write` tools."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import BinaryIO, TextIO, TypeVar

from pydantic import Field

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.paths import Surroundings, resolved
from ml_intern.core.display import DiffBlock
from ml_intern.core.image_store import read_image
from ml_intern.core.images import SNIFFED_BYTES, ImageError, human_size, kind_of
from ml_intern.core.snapshots import FileSnapshots
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.tools import python_checks
from ml_intern.tools.file_state import Fingerprint, ReadFiles
from ml_intern.tools.text_files import (
    SNIFF_BYTES,
    FileError,
    Form,
    decode,
    encode,
    exists,
    expand_home,
    form_of,
    line_end,
    load,
    locate,
    not_utf8,
    regular_file,
    store,
    with_line_ends,
)

Done = TypeVar("Done")

READ_OUTPUT_SCALE = 2.0
"""A read may be this many times as long as other output: what a file says in its middle is not to be left out."""

_DEFAULT_LINES = 2000
_MAX_LINE_CHARS = 4000
_COUNT_CHARS = 64 * 2**20
_BLOCK_CHARS = 2**20
_WHOLE_DIFF_CHARS = 40_000
_MAX_DIFF_LINES = 1000
_DIFF_CONTEXT = 3

_READ_DESCRIPTION = """\
Reads a text file, with line numbers. Up to 2000 lines at once; go on with `offset` and `limit`. A file must be read \
before it is overwritten or edited. The numbers and the tab after them are not part of the file. An image (PNG, JPEG, \
GIF, WebP), a plot for example, is shown to you if you take images."""

_WRITE_DESCRIPTION = """\
Writes a whole text file, and makes the directories it needs. An existing file must have been read before. To change \
a part of a file use edit."""


class ReadParams(Params):
    """Parameters of `read`."""

    path: str = Field(description="Absolute, or relative to the workspace")
    offset: int = Field(1, description="Line to begin at, from 1")
    limit: int = Field(_DEFAULT_LINES, description="Number of lines")


class WriteParams(Params):
    """Parameters of `write`."""

    path: str = Field(description="Absolute, or relative to the workspace")
    content: str = Field(description="All of the file's text")


def create_file_tools() -> list[ToolSpec]:
    """`read` and `write`."""
    return [
        ToolSpec("read", _READ_DESCRIPTION, ReadParams, read_file, assess=assess_read, output_scale=READ_OUTPUT_SCALE),
        ToolSpec(
            "write",
            _WRITE_DESCRIPTION,
            WriteParams,
            write_file,
            assess=assess_write,
            exclusive=lambda params: file_key(params.path),
        ),
    ]


# ----------------------------------------------------------------------------------------- shared by write and edit


def file_key(path: str) -> str:
    """Calls that change the same file wait for each other."""
    return f"file:{expand_home(path.strip())}"


def failed(error: FileError) -> ToolResult:
    """The result of a call that a file stood in the way of."""
    return ToolResult(f"ERROR: {error}", ok=False)


async def off_loop(work: Callable[[], Done]) -> Done:
    """Does work on files in a thread. An interrupt waits a moment for it: a change is whole or was not made."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=0.2)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the loop does not report it as lost
        raise


def change_file(path: Path, data: bytes, context: ToolContext) -> None:
    """Replaces a file's content, keeping how it was, and remembers what it is now. `path` has its links followed."""
    snapshots = context.state.get(FileSnapshots)
    snapshots.keep(path, context.spill_dir / "snapshots")
    store(path, data)
    snapshots.wrote(path, data)
    context.state.get(ReadFiles).remember(path, Fingerprint.at(path))


def assess_path(path: str, context: ToolContext, effects: set[Effect], verb: str) -> Assessment:
    """What using a path would do beyond the `effects` of the tool itself."""
    try:
        place = locate(path, context.workspace)
    except FileError:
        return Assessment(frozenset({Effect.READ}), subject=path)  # refused by the tool, nothing will happen
    around = Surroundings.of(context.workspace, Path(context.env.get("HOME") or Path.home()))
    reasons = []
    if around.secret(place):
        effects = effects | {Effect.CREDENTIALS}
        reasons.append(f"{verb} secrets ({path})")
    if Effect.CHANGE in effects:
        if not around.inside(place):
            effects = effects | {Effect.OUTSIDE}
            reasons.append(f"{verb} {resolved(place)}, outside the workspace")
        elif ".git" in resolved(place).parts:
            effects = effects | {Effect.OUTSIDE}
            reasons.append(f"{verb} git's own files, which can make it run programs")
        if around.starts_by_itself(place):
            effects = effects | {Effect.SCHEDULE}
            reasons.append(f"{verb} {resolved(place)}, which sets up something that runs by itself")
    subject = str(place.relative_to(context.workspace)) if place.is_relative_to(context.workspace) else str(place)
    return Assessment(frozenset(effects), tuple(reasons), subject=subject)


def diff_block(path: PurePath, old: str, new: str, *, all_of_it: bool = False) -> DiffBlock:
    """A change to show: the whole file while it is small, else the changed lines and some around them.

    Args:
        path: The file.
        old: Its text before.
        new: Its text after.
        all_of_it: Nothing that changes is left out, however much it is: somebody decides on it.
    """
    old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if len(old) + len(new) <= _WHOLE_DIFF_CHARS:
        return DiffBlock(path=str(path), old=old, new=new)
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    ends = 0
    while ends < min(len(before), len(after)) - same and before[-1 - ends] == after[-1 - ends]:
        ends += 1
    first = max(0, same - _DIFF_CONTEXT)
    shown = "".join if all_of_it else _clipped
    return DiffBlock(
        path=str(path),
        old=shown(before[first : len(before) - max(0, ends - _DIFF_CONTEXT)]),
        new=shown(after[first : len(after) - max(0, ends - _DIFF_CONTEXT)]),
        first_line=first + 1,
    )


def _clipped(lines: list[str]) -> str:
    shown = [
        line if len(line) <= _MAX_LINE_CHARS else line[:_MAX_LINE_CHARS] + "…\n" for line in lines[:_MAX_DIFF_LINES]
    ]
    if len(lines) > _MAX_DIFF_LINES:
        shown.append(f"… {len(lines) - _MAX_DIFF_LINES:,} more lines\n")
    return "".join(shown)


def with_advice(text: str, path: PurePath, content: str) -> str:
    """A result with what the author of the file should know."""
    found = python_checks.advice(path, content)
    return "\n".join([text, *(f"Note: {sentence}" for sentence in found)])


# ------------------------------------------------------------------------------------------------------------- read


async def assess_read(params: ReadParams, context: ToolContext) -> Assessment:
    """Reading is free everywhere, except for secrets."""
    return await asyncio.to_thread(assess_path, params.path, context, {Effect.READ}, "reads")


async def read_file(params: ReadParams, context: ToolContext) -> ToolResult:
    """Reads a part of a text file, with memory that does not depend on the file's size; or looks at an image."""
    try:
        path = locate(params.path, context.workspace)
        found = await asyncio.to_thread(_read, path, *read_range(params, context))
    except FileError as error:
        return failed(error)
    if isinstance(found, bytes):
        return await show_image(path, found, context)
    text, seen = found
    context.state.get(ReadFiles).remember(resolved(path), seen)
    return ToolResult(text)


async def show_image(path: PurePath, data: bytes, context: ToolContext) -> ToolResult:
    """The result of reading an image file."""
    try:
        image = await context.keep_image(path.name, data)
    except ImageError as error:
        return ToolResult(f"ERROR: {error}", ok=False)
    return ToolResult(f"{image.label} {path}, {human_size(image.size)}", images=(image,))


def _read(path: Path, offset: int, limit: int, budget: int) -> tuple[str, Fingerprint] | bytes:
    regular_file(path)
    try:
        with path.open("rb") as file:
            is_image = bool(kind_of(file.read(SNIFFED_BYTES)))
        return read_image(path, path.name) if is_image else read_lines(path, offset, limit, budget)
    except ImageError as error:
        raise FileError(str(error)) from error
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_range(params: ReadParams, context: ToolContext) -> tuple[int, int, int]:
    """First line, number of lines and characters that a read may give."""
    limit = params.limit if params.limit > 0 else _DEFAULT_LINES
    budget = int(context.settings.context.tool_output_chars * READ_OUTPUT_SCALE)
    return max(1, params.offset), min(limit, _DEFAULT_LINES), budget


def read_lines(path: Path, offset: int, limit: int, budget: int) -> tuple[str, Fingerprint]:
    """Lines of a text file with their numbers, within a budget of characters, and as what the file was seen.

    Raises:
        FileError: It cannot be read, is no text, or `offset` is past its end.
    """
    regular_file(path)
    try:
        with path.open("rb") as file:
            seen = Fingerprint.of(file)
            return numbered(path, file, offset, limit, budget), seen
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error


def numbered(path: PurePath, file: BinaryIO, offset: int, limit: int, budget: int) -> str:
    """Lines of an open text file with their numbers, within a budget of characters. Closes the file.

    Raises:
        FileError: It is no text, or `offset` is past its end.
    """
    form = form_of(file.read(SNIFF_BYTES), path)
    file.seek(len(form.mark))
    try:
        with io.TextIOWrapper(file, encoding=form.encoding) as reader:
            return _numbered(path, reader, offset, limit, budget)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error


def _numbered(path: PurePath, reader: TextIO, offset: int, limit: int, budget: int) -> str:
    for skipped in range(offset - 1):
        if _next_line(reader) is None:
            raise FileError(f"{path} has {_lines(skipped)}; offset {offset:,} is past its end.")
    shown: list[str] = []
    while len(shown) < limit and budget > 0 and (line := _next_line(reader)) is not None:
        shown.append(f"{offset + len(shown):6d}\t{line}")
        budget -= len(shown[-1]) + 1
    if not shown:
        if offset > 1:
            raise FileError(f"{path} has {_lines(offset - 1)}; offset {offset:,} is past its end.")
        return f"({path} is empty)"
    more = _count_lines(reader)
    following = offset + len(shown)
    return "\n".join(shown) + (f"\n\n[… {more}; go on with offset={following}]" if more else "")


def _next_line(reader: TextIO) -> str | None:
    """The next line without its end, capped; None at the end of the file."""
    line = reader.readline(_MAX_LINE_CHARS + 1)
    if not line:
        return None
    if line.endswith("\n") or len(line) <= _MAX_LINE_CHARS:
        return line.removesuffix("\n")
    left_out = len(line) - _MAX_LINE_CHARS
    rest = line
    while rest and not rest.endswith("\n"):
        rest = reader.readline(_BLOCK_CHARS)
        left_out += len(rest.removesuffix("\n"))
    cut = line[:_MAX_LINE_CHARS]
    return f"{cut}… ({left_out:,} more characters in this line)" if left_out else cut


def _lines(count: int, which: str = "") -> str:
    return f"{count:,}{which} {'line' if count == 1 else 'lines'}"


def _count_lines(reader: TextIO) -> str:
    """How many lines are left, in words; empty when there are none."""
    lines = chars = 0
    last = "\n"
    while chars < _COUNT_CHARS:
        try:
            block = reader.read(_BLOCK_CHARS)
        except UnicodeDecodeError:
            return f"at least {lines:,} more lines, some of which are not UTF-8 text"
        if not block:
            break
        lines += block.count("\n")
        chars += len(block)
        last = block[-1]
    else:
        return f"more than {lines:,} more lines"
    lines += last != "\n"
    return _lines(lines, " more") if lines else ""


# ------------------------------------------------------------------------------------------------------------ write


async def assess_write(params: WriteParams, context: ToolContext) -> Assessment:
    """Where the file would go, and how it would differ."""
    return await asyncio.to_thread(_assess_write, params, context)


def _assess_write(params: WriteParams, context: ToolContext) -> Assessment:
    assessment = assess_path(params.path, context, {Effect.CHANGE}, "writes")
    old = ""
    try:
        path = locate(params.path, context.workspace)
        if exists(path):
            old = decode(load(path), path)[0]
    except FileError:  # nothing to compare with, or the call will be refused
        path = Path(params.path)
    shown = diff_block(path, old, params.content, all_of_it=True)
    return replace(assessment, editable="content", display=(shown,))


async def write_file(params: WriteParams, context: ToolContext) -> ToolResult:
    """Replaces or makes a file."""
    try:
        path = await asyncio.to_thread(lambda: resolved(locate(params.path, context.workspace)))
        async with context.state.get(ReadFiles).lock(path):
            return await off_loop(lambda: _write(path, params.content, context))
    except FileError as error:
        return failed(error)


def _write(path: Path, content: str, context: ToolContext) -> ToolResult:
    replaced = exists(path)
    old = ""
    if replaced:
        regular_file(path)
        context.state.get(ReadFiles).require_fresh(path)
        try:
            old, form = decode(load(path), path)
        except FileError:  # too large or no text: it is replaced whole all the same
            data = encode(content, Form())
        else:
            content = with_line_ends(content, "\r\n") if line_end(old) == "\r\n" else content
            data = encode(content, form)
            if old == content:
                return ToolResult(f"{path} already has exactly this content; nothing was written.")
    else:
        data = encode(content, Form())
    change_file(path, data, context)
    return written(path, old, content, len(data), replaced=replaced)


def written(path: PurePath, old: str, content: str, size: int, *, replaced: bool) -> ToolResult:
    """The result of a write that was done.

    Args:
        path: The file.
        old: Its text before, empty when there was none.
        content: Its text now.
        size: Its bytes now.
        replaced: Whether there was a file before.
    """
    text = f"{'Replaced' if replaced else 'Created'} {path} ({_lines(len(content.splitlines()))}, {size:,} bytes)."
    return ToolResult(with_advice(text, path, content), display=(diff_block(path, old, content),))
