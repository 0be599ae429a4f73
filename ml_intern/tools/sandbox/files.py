"""The `read`, `write` and `edit` tools of the sandbox: the local ones' rules and texts, on files of another machine."""

from __future__ import annotations

import io
from pathlib import Path, PurePath, PurePosixPath

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.images import SNIFFED_BYTES, kind_of
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.tools import edit as local_edit
from ml_intern.tools import files as local
from ml_intern.tools.edit import EditParams
from ml_intern.tools.file_state import Fingerprint
from ml_intern.tools.files import READ_OUTPUT_SCALE, ReadParams, WriteParams
from ml_intern.tools.sandbox.access import Sandboxes
from ml_intern.tools.sandbox.machine import Entry, Machine
from ml_intern.tools.text_files import (
    MAX_EDIT_BYTES,
    FileError,
    Form,
    decode,
    encode,
    is_directory,
    line_end,
    missing,
    near_hint,
    not_regular,
    too_large_to_edit,
    with_line_ends,
)

MAX_READ_BYTES = 64 * 2**20

_READ = """\
Reads a text file of the sandbox, with line numbers. Up to 2000 lines at once; go on with `offset` and `limit`. A file \
must be read before it is overwritten or edited. The numbers and the tab after them are not part of the file. An \
image (PNG, JPEG, GIF, WebP), a plot for example, is shown to you if you take images."""
_WRITE = """\
Writes a whole text file in the sandbox, and makes the directories it needs. An existing file must have been read \
before. To change a part of a file use edit."""
_EDIT = """\
Changes a part of a text file in the sandbox that was read before: `old_str` is replaced by `new_str`. `old_str` must \
be copied from the file without line numbers, and with enough around it to be found only once; or set replace_all. \
With mode append_after or prepend_before `old_str` stays and `new_str` is put directly after or before it, so give it \
its own line breaks."""


def create_file_tools(sandboxes: Sandboxes) -> list[ToolSpec]:
    """`read`, `write` and `edit` in the sandbox."""
    tools = _FileTools(sandboxes)
    return [
        ToolSpec("read", _READ, ReadParams, tools.read, tools.assess_read, output_scale=READ_OUTPUT_SCALE),
        ToolSpec("write", _WRITE, WriteParams, tools.write, tools.assess_write, lambda params: _key(params.path)),
        ToolSpec("edit", _EDIT, EditParams, tools.edit, tools.assess_edit, lambda params: _key(params.path)),
    ]


def _key(path: str) -> str:
    return f"sandbox file:{path.strip()}"


class _FileTools:
    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes

    # -------------------------------------------------------------------------------------------------- assessing

    def assess_read(self, params: ReadParams, context: ToolContext) -> Assessment:
        """Reading is free, except for the sandbox."""
        found = Assessment(frozenset({Effect.READ}), subject=params.path)
        return found if _kept_output(params.path, context) else self._sandboxes.with_cost(found, context)

    def assess_write(self, params: WriteParams, context: ToolContext) -> Assessment:
        """What would be written."""
        shown = local.diff_block(PurePosixPath(params.path), "", params.content, all_of_it=True)
        found = Assessment(frozenset({Effect.CHANGE}), subject=params.path, editable="content", display=(shown,))
        return self._sandboxes.with_cost(found, context)

    def assess_edit(self, params: EditParams, context: ToolContext) -> Assessment:
        """What would be changed."""
        shown = local.diff_block(PurePosixPath(params.path), params.old_str, params.new_str, all_of_it=True)
        found = Assessment(frozenset({Effect.CHANGE}), subject=params.path, editable="new_str", display=(shown,))
        return self._sandboxes.with_cost(found, context)

    # --------------------------------------------------------------------------------------------------- running

    async def read(self, params: ReadParams, context: ToolContext) -> ToolResult:
        """Reads a part of a text file."""
        if _kept_output(params.path, context):
            return await local.read_file(params, context)
        return await self._sandboxes.use(context, lambda machine: self._read(machine, params, context))

    async def write(self, params: WriteParams, context: ToolContext) -> ToolResult:
        """Replaces or makes a file."""
        return await self._sandboxes.use(context, lambda machine: self._write(machine, params, context))

    async def edit(self, params: EditParams, context: ToolContext) -> ToolResult:
        """Changes a part of a file."""
        return await self._sandboxes.use(context, lambda machine: self._edit(machine, params, context))

    async def _read(self, machine: Machine, params: ReadParams, context: ToolContext) -> ToolResult:
        path, entry = await _regular(machine, params.path)
        if entry.size > MAX_READ_BYTES:
            raise FileError(
                f"{path} is too large to read at once ({entry.size:,} bytes). Look at parts of it with bash: "
                f"sed -n '1,200p' {path}"
            )
        data = await machine.read(path)
        if kind_of(data[:SNIFFED_BYTES]):
            return await local.show_image(path, data, context)
        text = local.numbered(path, io.BytesIO(data), *local.read_range(params, context))
        seen = _fingerprint(data if entry.size <= MAX_EDIT_BYTES else b"", entry)
        self._sandboxes.keeper(context).seen.remember(path, seen)
        return ToolResult(text)

    async def _write(self, machine: Machine, params: WriteParams, context: ToolContext) -> ToolResult:
        seen = self._sandboxes.keeper(context).seen
        path, entry = await machine.look(machine.path(params.path))
        async with seen.lock(path):
            old, content, form = "", params.content, Form()
            if entry is not None:
                _require_regular(path, entry)
                before = await _content(machine, path, entry)
                seen.require_same(path, _fingerprint(before, entry))
                try:
                    old, form = decode(before, path)
                except FileError:  # too large or no text: it is replaced whole all the same
                    form = Form()
                else:
                    content = with_line_ends(content, "\r\n") if line_end(old) == "\r\n" else content
                    if before and old == content:
                        return ToolResult(f"{path} already has exactly this content; nothing was written.")
            data = encode(content, form)
            await machine.write(path, data)
            self._seen(context, path, data)
        return local.written(path, old, content, len(data), replaced=entry is not None)

    async def _edit(self, machine: Machine, params: EditParams, context: ToolContext) -> ToolResult:
        local_edit.check_params(params)
        seen = self._sandboxes.keeper(context).seen
        path, entry = await _regular(machine, params.path)
        if entry.size > MAX_EDIT_BYTES:
            raise too_large_to_edit(path, entry.size)
        async with seen.lock(path):
            before = await machine.read(path)
            seen.require_same(path, _fingerprint(before, entry))
            old, form = decode(before, path)
            edited = local_edit.apply(old, params, path)
            data = encode(edited.text, form)
            await machine.write(path, data)
            self._seen(context, path, data)
        return local_edit.done(path, old, edited)

    def _seen(self, context: ToolContext, path: PurePath, data: bytes) -> None:
        self._sandboxes.keeper(context).seen.remember(path, Fingerprint.of_content(data))


def _kept_output(path: str, context: ToolContext) -> bool:
    """Whether a path is a long output of this session, which is kept on this machine."""
    return Path(path.strip()).is_relative_to(context.spill_dir) and ".." not in Path(path).parts


async def _regular(machine: Machine, path: str) -> tuple[PurePosixPath, Entry]:
    """An existing regular file, links followed.

    Raises:
        FileError: There is none, or something else is there.
    """
    place, entry = await machine.look(machine.path(path))
    if entry is None:
        raise missing(place, await _hint(machine, place))
    _require_regular(place, entry)
    return place, entry


def _require_regular(path: PurePosixPath, entry: Entry) -> None:
    if entry.is_directory:
        raise is_directory(path)
    if not entry.is_file:
        raise not_regular(path)


async def _hint(machine: Machine, path: PurePosixPath) -> str:
    names = await machine.names(path.parent)
    return near_hint(path, names) if names is not None else f" Its directory {path.parent} does not exist either."


async def _content(machine: Machine, path: PurePosixPath, entry: Entry) -> bytes:
    """The content of a file that is about to be replaced; nothing where it is too large to look at."""
    return await machine.read(path) if entry.size <= MAX_EDIT_BYTES else b""


def _fingerprint(data: bytes, entry: Entry) -> Fingerprint:
    """By its content where that was looked at, else by its time and size."""
    if data or not entry.size:
        return Fingerprint.of_content(data)
    return Fingerprint(entry.modified * 10**9, entry.size)
