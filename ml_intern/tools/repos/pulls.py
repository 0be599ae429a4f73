"""Pull requests and discussions in words: lists, one with all that was said and changed."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ml_intern.core.display import TableBlock, TextBlock
from ml_intern.core.tools.fetched import as_data
from ml_intern.core.tools.spec import ToolResult
from ml_intern.services.hub import HubClient
from ml_intern.tools.repos.common import count_text

if TYPE_CHECKING:
    from huggingface_hub import Discussion, DiscussionWithDetails, HfApi

    from ml_intern.tools.repos.git_params import GitParams

_PAGE = 20
_COUNTED = 1000
_TEXT_CHARS = 4000
_DIFF_CHARS = 12_000

_NOUNS = {"pull_request": "pull request", "discussion": "discussion", "all": "pull request or discussion"}
_MANY = {"pull_request": "pull requests", "discussion": "discussions", "all": "pull requests and discussions"}


async def list_pulls(params: GitParams, hub: HubClient) -> ToolResult:
    """A page of the pull requests, and how many there are."""
    kind: Literal["pull_request", "discussion"] | None = None if params.kind == "all" else params.kind
    status: Literal["open", "closed"] | None = None if params.status == "all" else params.status

    def fetch(api: HfApi) -> list[Discussion]:
        found = api.get_repo_discussions(
            params.repo_id,
            repo_type=params.repo_type,
            author=params.author or None,
            discussion_type=kind,
            discussion_status=status,
        )
        wanted = (item for item in found if kind is None or item.is_pull_request == (kind == "pull_request"))
        return list(itertools.islice(wanted, _COUNTED + 1))

    found = await hub.call(fetch)
    which = "" if params.status == "all" else f"{params.status} "
    if not found:
        return ToolResult(f"{params.repo} has no {which}{_NOUNS[params.kind]}.")
    total = count_text(min(len(found), _COUNTED), f"{which}{_NOUNS[params.kind]}", f"{which}{_MANY[params.kind]}")
    if len(found) > _COUNTED:
        total = f"more than {total}"
    page = found[params.offset : params.offset + _PAGE]
    if not page:
        return ToolResult(f"ERROR: {params.repo} has {total}; offset {params.offset} is past them.", ok=False)
    rows = tuple((f"#{item.num}", _kind(item), item.status, item.title, item.author, _day(item)) for item in page)
    lines = [f"{params.repo} has {total}.", *(_line(item) for item in page)]
    following = params.offset + len(page)
    if following < len(found):
        lines.append(f"[… {min(len(found), _COUNTED) - following:,} more; go on with offset={following}]")
    columns = ("number", "kind", "status", "title", "author", "opened")
    return ToolResult("\n".join(lines), display=(TableBlock(columns=columns, rows=rows, title=str(params.repo)),))


def _kind(item: Discussion) -> str:
    return "PR" if item.is_pull_request else "discussion"


def _day(item: Any) -> str:
    return f"{item.created_at:%Y-%m-%d}"


def _line(item: Discussion) -> str:
    return f"#{item.num} [{_kind(item)}, {item.status}] {item.title} (by {item.author}, {_day(item)})"


async def show_pull(params: GitParams, hub: HubClient) -> ToolResult:
    """One pull request or discussion with its text, comments, changed files and diff."""
    details = await fetch_pull(params, hub)
    lines = [*head(details), *_said(details)]
    display: tuple[TextBlock, ...] = (TextBlock(text="\n".join(lines), title=f"#{details.num} {details.title}"),)
    if details.is_pull_request:
        diff = details.diff or ""
        lines += ["", *changed_files(diff)]
        if diff:
            lines += ["", _cut(diff, _DIFF_CHARS, "diff")]
            display = (*display, TextBlock(text=diff[:100_000], language="diff", title="changes"))
    result = as_data(ToolResult("\n".join(lines), display=display), "hf_repo_git")
    if details.is_pull_request and details.status in {"draft", "open"}:
        hint = f"Add commits with hf_repo_files upload and revision={details.git_reference}."
        return replace(result, text=f"{result.text}\n{hint}")
    return result


async def fetch_pull(params: GitParams, hub: HubClient) -> DiscussionWithDetails:
    """One pull request or discussion."""
    return await hub.call(
        lambda api: api.get_discussion_details(params.repo_id, params.number, repo_type=params.repo_type)
    )


def head(details: DiscussionWithDetails) -> list[str]:
    """Number, title, status, who, where, and whether it can be merged."""
    kind = "Pull request" if details.is_pull_request else "Discussion"
    lines = [
        f"{kind} #{details.num}: {details.title}",
        f"status: {details.status} · by {details.author} on {_day(details)} · {details.url}",
    ]
    if details.is_pull_request:
        base = (details.target_branch or "main").removeprefix("refs/heads/")
        lines.append(f"into {base} · conflicts: {conflicts(details)}")
        if details.merge_commit_oid:
            lines.append(f"merged as {details.merge_commit_oid}")
    return lines


def conflicts(details: DiscussionWithDetails) -> str:
    """Files that stand in the way of a merge, in words."""
    found = details.conflicting_files
    if not found:
        return "none"
    return "yes" if found is True else ", ".join(found)


def _said(details: DiscussionWithDetails) -> list[str]:
    """Text, comments, commits and changes of status, oldest first."""
    lines: list[str] = []
    for event in details.events:
        who = f"{event.author}, {_day(event)}"
        content = getattr(event, "content", None)
        if content is not None:
            text = "(hidden)" if getattr(event, "hidden", False) else _cut(content.strip(), _TEXT_CHARS, "comment")
            lines += ["", f"── {who}:", text or "(no text)"]
        elif hasattr(event, "summary"):
            lines += ["", f"── {who}: commit {str(getattr(event, 'oid', ''))[:8]} {event.summary}"]
        elif hasattr(event, "new_status"):
            lines += ["", f"── {who}: status is now {event.new_status}"]
        elif hasattr(event, "new_title"):
            lines += ["", f"── {who}: title is now {event.new_title}"]
    return lines


def changed_files(diff: str) -> list[str]:
    """Files of a diff with the number of lines added and removed."""
    counts: dict[str, list[int]] = {}
    name = ""
    for line in diff.splitlines():
        if match := re.match(r"diff --git a/(.+) b/(.+)", line):
            name = match[2]
            counts[name] = [0, 0]
        elif name and line.startswith("+") and not line.startswith("+++"):
            counts[name][0] += 1
        elif name and line.startswith("-") and not line.startswith("---"):
            counts[name][1] += 1
    if not counts:
        return ["No changed files."]
    lines = [f"{count_text(len(counts), 'changed file')}:"]
    lines += [f"  {path} (+{added} -{removed})" for path, (added, removed) in itertools.islice(counts.items(), 100)]
    return lines


def _cut(text: str, limit: int, what: str) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n[… {len(text) - limit:,} more characters of the {what}]"
