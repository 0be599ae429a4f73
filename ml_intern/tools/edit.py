"""The `edit` tool: one piece of text in a file becomes another, and nothing else changes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal

from pydantic import Field

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.paths import resolved
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.tools.file_state import ReadFiles
from ml_intern.tools.files import (
    assess_path,
    change_file,
    diff_block,
    failed,
    file_key,
    off_loop,
    with_advice,
)
from ml_intern.tools.matching import EXACT, NOTES, Found, Match, Reindent, find, nearest_line
from ml_intern.tools.text_files import FileError, decode, encode, load, locate, with_line_ends

_DESCRIPTION = """\
Changes a part of a text file that was read before: `old_str` is replaced by `new_str`. `old_str` must be copied from \
the file without line numbers, and with enough around it to be found only once; or set replace_all. With mode \
append_after or prepend_before `old_str` stays and `new_str` is put directly after or before it, so give it its own \
line breaks."""

_LINE_NUMBER = re.compile(r"\s*\d+\t")


class EditParams(Params):
    """Parameters of `edit`."""

    path: str = Field(description="Absolute, or relative to the workspace")
    old_str: str = Field(description="Text as it stands in the file")
    new_str: str = Field(description="Text to put there")
    replace_all: bool = Field(False, description="Change every place where old_str is found")
    mode: Literal["replace", "append_after", "prepend_before"] = "replace"


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text of a file, at how many places it differs, and how `old_str` was found."""

    text: str
    places: int
    level: int


def create_edit_tool() -> ToolSpec:
    """The `edit` tool."""
    return ToolSpec(
        "edit", _DESCRIPTION, EditParams, edit_file, assess=assess_edit, exclusive=lambda params: file_key(params.path)
    )


async def assess_edit(params: EditParams, context: ToolContext) -> Assessment:
    """Where the change would be made, and the change itself."""
    return await asyncio.to_thread(_assess, params, context)


def _assess(params: EditParams, context: ToolContext) -> Assessment:
    assessment = assess_path(params.path, context, {Effect.CHANGE}, "edits")
    try:
        path = locate(params.path, context.workspace)
        old, _ = decode(load(path), path)
        edited = apply(old, params, path)
    except FileError:  # the call itself will say so
        return assessment
    return replace(assessment, editable="new_str", display=(diff_block(path, old, edited.text, all_of_it=True),))


async def edit_file(params: EditParams, context: ToolContext) -> ToolResult:
    """Makes the change."""
    try:
        path = await asyncio.to_thread(lambda: resolved(locate(params.path, context.workspace)))
        async with context.state.get(ReadFiles).lock(path):
            return await off_loop(lambda: _edit(path, params, context))
    except FileError as error:
        return failed(error)


def _edit(path: Path, params: EditParams, context: ToolContext) -> ToolResult:
    check_params(params)
    data = load(path)
    context.state.get(ReadFiles).require_fresh(path)
    old, form = decode(data, path)
    edited = apply(old, params, path)
    change_file(path, encode(edited.text, form), context)
    return done(path, old, edited)


def check_params(params: EditParams) -> None:
    """Refuses a change that would change nothing, before anything is looked at.

    Raises:
        FileError: It would.
    """
    if params.mode == "replace" and params.old_str == params.new_str:
        raise FileError("old_str and new_str are the same, so there is nothing to change.")


def done(path: PurePath, old: str, edited: Edited) -> ToolResult:
    """The result of a change that was made."""
    places = "1 place" if edited.places == 1 else f"{edited.places} places"
    note = f" (old_str was found {NOTES[edited.level]})" if edited.level != EXACT else ""
    text = with_advice(f"Edited {path} at {places}{note}.", path, edited.text)
    return ToolResult(text, display=(diff_block(path, old, edited.text),))


def apply(text: str, params: EditParams, path: PurePath) -> Edited:
    """Makes the change in a text.

    Raises:
        FileError: It cannot be told what is to be changed.
    """
    if not params.old_str:
        if text:
            raise FileError(f"old_str is empty, but {path} is not. Copy the text to change from the file.")
        return Edited(params.new_str, 1, EXACT)
    found = find(text, params.old_str)
    matches = _chosen(text, found, params, path)
    for match in reversed(matches):
        text = _changed(text, match, params)
    return Edited(text, len(matches), found.level)


def _chosen(text: str, found: Found, params: EditParams, path: PurePath) -> list[Match]:
    if not found.matches:
        raise FileError(f"old_str was not found in {path}.{_why_not_found(text, params.old_str)}")
    if params.replace_all:
        return _not_overlapping(found.matches)
    if len(found.matches) > 1:
        lines = ", ".join(str(text.count("\n", 0, match.start) + 1) for match in found.matches[:8])
        how = f" {NOTES[found.level]}" if found.level != EXACT else ""
        raise FileError(
            f"old_str was found {len(found.matches)} times in {path}{how} (at lines {lines}). Add lines around it "
            "until it is found once, or set replace_all."
        )
    return list(found.matches)


def _not_overlapping(matches: tuple[Match, ...]) -> list[Match]:
    chosen: list[Match] = []
    for match in matches:
        if not chosen or match.start >= chosen[-1].end:
            chosen.append(match)
    return chosen


def _why_not_found(text: str, piece: str) -> str:
    lines = [line for line in piece.split("\n") if line.strip()]
    if lines and all(_LINE_NUMBER.match(line) for line in lines):
        return " It holds the line numbers that read shows; leave them and the tab after them out."
    if near := nearest_line(text, piece):
        return f" The nearest to its first line is line {near[0]}: {near[1][:200]!r}. Read the file there and copy it."
    return " Read the file again and copy the text from it."


def _changed(text: str, match: Match, params: EditParams) -> str:
    new = params.new_str.replace("\r\n", "\n")
    start, end = match.start, match.end
    if params.mode == "append_after":
        start = end
    elif params.mode == "prepend_before":
        end = start
    if match.indents:
        begins_line = match.whole_lines if start == match.start else text[:start].endswith("\n")
        new = Reindent(match.indents).text(new, from_line_start=begins_line)
    return text[:start] + with_line_ends(new, _line_end_near(text, match)) + text[end:]


def _line_end_near(text: str, match: Match) -> str:
    """The end of line that is used where the match is; files with both kinds exist."""
    at = text.find("\n", match.start)
    if at < 0:
        at = text.rfind("\n")
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"
