"""The reading operations of `hf_repo_files`: list and read."""

from __future__ import annotations

import difflib
import itertools
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ml_intern.core.display import TableBlock, TextBlock
from ml_intern.core.tools.fetched import as_data
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.hub import HubClient
from ml_intern.tools.repos.common import OUTPUT_SCALE, Repo, RepoError, count_text, matches, size_text
from ml_intern.tools.repos.contents import (
    FileFacts,
    describe_binary,
    facts_of,
    find_file,
    looks_binary,
    read_range,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from ml_intern.tools.repos.files import FilesParams

_ENTRIES = 200
_MAX_ENTRIES = 1000
_LOOKED_AT = 20_000
"""Entries of a repository that a listing looks at to tell how many there are."""
_READ_CHARS = 50_000
_SNIFF = 8192
_SHOWN_ROWS = 200

_LANGUAGES = {
    ".py": "python", ".json": "json", ".md": "markdown", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml",
    ".sh": "bash",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    facts: FileFacts | None
    """None of a folder."""

    @property
    def size(self) -> str:
        return "folder" if self.facts is None else size_text(self.facts.size)

    @property
    def line(self) -> str:
        if self.facts is None:
            return f"{self.path}/"
        stored = "" if self.facts.stored == "git" else f", {self.facts.stored}"
        return f"{self.path} ({self.size}{stored})"


# ------------------------------------------------------------------------------------------------------------- list


async def list_files(params: FilesParams, hub: HubClient) -> ToolResult:
    """Files and folders, a page of them."""
    entries, more = await hub.call(lambda api: _entries(api, params))
    repo, where = params.repo, f"/{params.path}" if params.path else ""
    files = [entry for entry in entries if entry.facts is not None]
    limit = min(params.limit or _ENTRIES, _MAX_ENTRIES)
    first = max(0, params.offset)
    page = entries[first : first + limit]
    what = f" that match {', '.join(params.patterns)}" if params.patterns else ""
    if not entries:
        return ToolResult(f"{repo}{where} holds no files{what}.")
    if not page:
        return ToolResult(
            f"ERROR: there are {count_text(len(entries), 'entry', 'entries')}; offset is past them.", False
        )
    total = sum(entry.facts.size for entry in files if entry.facts)
    over = "more than " if more else ""
    folders = len(entries) - len(files)
    counts = f"{over}{count_text(len(files), 'file')}, {count_text(folders, 'folder')}, {over}{size_text(total)}"
    tree = hub.web_url(repo.id, repo.type, path=f"tree/{params.revision or 'main'}{where}")
    lines = [f"{repo}{where}: {counts}{what}. {tree}", *(entry.line for entry in page)]
    following = first + len(page)
    if following < len(entries):
        lines.append(f"[… {len(entries) - following:,} more; go on with offset={following}]")
    rows = tuple((entry.path + ("" if entry.facts else "/"), entry.size) for entry in page[:_SHOWN_ROWS])
    table = TableBlock(columns=("path", "size"), rows=rows, title=f"{repo}{where} · {counts}")
    return ToolResult("\n".join(lines), display=(table,))


def _entries(api: HfApi, params: FilesParams) -> tuple[list[_Entry], bool]:
    """Entries that are wanted, and whether there are more than were looked at.

    Raises:
        RepoError: The path is a file.
    """
    repo, path = params.repo, params.path
    tree = api.list_repo_tree(
        repo.id, path or None, recursive=params.recursive, revision=params.revision or None, repo_type=repo.type
    )
    try:
        found = list(itertools.islice(tree, _LOOKED_AT + 1))
    except Exception:
        if path and (facts := find_file(api, repo, path, params.revision)):
            raise RepoError(f"{path} is a file of {repo} ({size_text(facts.size)}). Operation read shows it.") from None
        raise
    entries = [_Entry(item.path, facts_of(item) if hasattr(item, "size") else None) for item in found[:_LOOKED_AT]]
    return [entry for entry in entries if _wanted(entry, params.patterns)], len(found) > _LOOKED_AT


def _wanted(entry: _Entry, patterns: list[str]) -> bool:
    return not patterns or any(matches(entry.path, pattern) for pattern in patterns)


# ------------------------------------------------------------------------------------------------------------- read


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a text file.

    Attributes:
        start: Byte it begins at.
        end: Byte after its last one.
    """

    facts: FileFacts
    text: str
    start: int
    end: int


async def read_file(params: FilesParams, hub: HubClient, context: ToolContext) -> ToolResult:
    """A part of a text file, or what kind of file it is."""
    if not params.path:
        raise RepoError("read needs `path`. Operation list shows what is there.")
    room = min(_READ_CHARS, int(context.settings.context.tool_output_chars * OUTPUT_SCALE) - 500)
    limit = min(params.limit or room, room)
    found = await hub.call(lambda api: _read(api, params, limit))
    repo = params.repo
    url = hub.web_url(repo.id, repo.type, path=f"blob/{params.revision or 'main'}/{params.path}")
    if isinstance(found, str):
        return ToolResult(f"{found}\n{url}")
    size = size_text(found.facts.size)
    stored = "" if found.facts.stored == "git" else f", stored with {found.facts.stored}"
    whole = found.start == 0 and found.end >= found.facts.size
    part = "" if whole else f", bytes {found.start:,} to {found.end:,} of {found.facts.size:,} (cut)"
    head = f"{params.path} in {repo} ({size}{stored}{part}). {url}"
    if not found.facts.size:
        return ToolResult(f"{head}\n(the file is empty)")
    tail = ""
    if found.end < found.facts.size:
        left = size_text(found.facts.size - found.end)
        tail = f"\n\n[… cut here, {left} more; go on with offset={found.end}, or offset=-{limit} for the end]"
    language = _LANGUAGES.get(PurePosixPath(params.path).suffix.lower(), "")
    shown = TextBlock(text=found.text, language=language, title=params.path + (" (cut)" if not whole else ""))
    data = as_data(ToolResult(found.text), "hf_repo_files").text
    return ToolResult(f"{head}\n\n{data}{tail}", display=(shown,))


def _read(api: HfApi, params: FilesParams, limit: int) -> _Part | str:
    """A part of a file, or a sentence about one that is no text.

    Raises:
        RepoError: There is no such file, or the offset is past its end.
    """
    facts = find_file(api, params.repo, params.path, params.revision)
    if facts is None:
        raise RepoError(_not_there(api, params))
    if facts.named_binary:
        return _binary(api, params.repo, facts, params.revision)
    start = params.offset if params.offset >= 0 else max(0, facts.size + params.offset)
    if start >= facts.size > 0:
        raise RepoError(f"{params.path} has {facts.size:,} bytes; offset {start:,} is past its end.")
    # No character takes more than 4 bytes, so this much holds `limit` of them; it is cut to them below.
    data = read_range(api, params.repo, facts.path, params.revision, start, min(limit * 4, facts.size - start))
    if looks_binary(data[_first_character(data, start) : _SNIFF]):
        return _binary(api, params.repo, facts, params.revision)
    return _part(facts, data, start, limit)


def _part(facts: FileFacts, data: bytes, start: int, limit: int) -> _Part:
    """At most `limit` characters of the data, and whole lines where there is a choice."""
    lead = _first_character(data, start)
    # Bytes that are no UTF-8 are kept as surrogates until the end of the part is known to the byte.
    text = data[lead:].decode("utf-8", "surrogateescape")[:limit]
    end = start + lead + len(text.encode("utf-8", "surrogateescape"))
    if end < facts.size and "\n" in text[len(text) // 2 :]:
        text = text[: text.rindex("\n") + 1]
        end = start + lead + len(text.encode("utf-8", "surrogateescape"))
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _Part(facts, shown, start + lead, end)


def _first_character(data: bytes, start: int) -> int:
    """Where the first whole character begins: an offset may fall into the middle of one."""
    return next((i for i in range(min(4, len(data))) if data[i] & 0xC0 != 0x80), 0) if start else 0


def _binary(api: HfApi, repo: Repo, facts: FileFacts, revision: str) -> str:
    suffix = PurePosixPath(facts.path).suffix or "no ending"
    stored = "" if facts.stored == "git" else f", stored with {facts.stored}"
    head = (
        f"{facts.path} in {repo} is a binary file ({size_text(facts.size)}, {suffix}{stored}); it was not downloaded."
    )
    return "\n".join(filter(None, (head, describe_binary(api, repo, facts, revision))))


def _not_there(api: HfApi, params: FilesParams) -> str:
    tree = api.list_repo_tree(
        params.repo_id, recursive=True, revision=params.revision or None, repo_type=params.repo_type
    )
    names: list[Any] = [item.path for item in itertools.islice(tree, 2000) if hasattr(item, "size")]
    wanted = PurePosixPath(params.path).name
    near = [name for name in names if PurePosixPath(name).name == wanted]
    near += [name for name in difflib.get_close_matches(params.path, names, n=3, cutoff=0.6) if name not in near]
    hint = f" Near it: {', '.join(near[:5])}." if near else " Operation list shows what is there."
    where = f" at revision {params.revision}" if params.revision and params.revision != "main" else ""
    return f"{params.repo} has no file {params.path!r}{where}.{hint}"
