"""The changing operations of `hf_repo_files`: what an upload or a deletion would do, and doing exactly that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.paths import Surroundings
from ml_intern.core.display import DisplayBlock, TableBlock, TextBlock
from ml_intern.core.protocol import ArtifactEvent
from ml_intern.core.redact import Redactor
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.hub import HubClient
from ml_intern.tools.files import diff_block
from ml_intern.tools.repos.artifacts import publish
from ml_intern.tools.repos.common import Repo, RepoError, count_text, head_of, matches, runs_here, size_text
from ml_intern.tools.repos.contents import FileFacts, facts_of, find_file, looks_binary, read_range
from ml_intern.tools.repos.transfer import Item, Order, select, send
from ml_intern.tools.text_files import FileError, locate

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

    from ml_intern.tools.repos.files import FilesParams

_SHOWN_TEXT = 200_000
"""Bytes of a file up to which the dialog shows how it would change."""
_CHECKED_FOR_SECRETS = 5_000_000
_CHECKED_IN_ALL = 64_000_000
_SHOWN_FILES = 1000


@dataclass(frozen=True, slots=True)
class Planned:
    """What a call would do, as a person was shown it; it does that and nothing else.

    Attributes:
        order: What it uploads; None for a deletion.
        doomed: Files it deletes.
        replaced: The one file that an upload of one file replaces, if there is any.
        head: Commit it was planned upon.
        private: Whether only its owner sees the repository.
        left_out: Files of a folder that do not go up, with the reason.
        old: Text of the file an upload replaces; None when that is not known.
        secrets: Why it may give away secrets; empty when nothing hints at it.
    """

    repo: Repo
    head: str
    private: bool | None
    order: Order | None = None
    doomed: tuple[FileFacts, ...] = ()
    replaced: FileFacts | None = None
    left_out: tuple[str, ...] = ()
    old: str | None = None
    secrets: str = ""


# ---------------------------------------------------------------------------------------------------------- planning


async def plan_upload(params: FilesParams, hub: HubClient, context: ToolContext) -> Planned:
    """Finds out what an upload would do. Changes nothing.

    Raises:
        HubError: It cannot be done.
    """
    items, left_out, secrets = await _what_to_send(params, hub, context)
    repo = params.repo
    head, private, replaced, old = await hub.call(lambda api: _state_before(api, params, items))
    default = f"Upload {items[0].path}" if len(items) == 1 else f"Upload {count_text(len(items), 'file')}"
    order = Order(
        repo, items, params.commit_message or default, params.revision, params.parent_commit, params.create_pr
    )
    return Planned(repo, head, private, order=order, replaced=replaced, left_out=left_out, old=old, secrets=secrets)


async def _what_to_send(
    params: FilesParams, hub: HubClient, context: ToolContext
) -> tuple[tuple[Item, ...], tuple[str, ...], str]:
    redactor = Redactor([hub.token])
    if (params.content is None) == (not params.local_path):
        raise RepoError("upload takes either `content` (text) or `local_path` (a file or folder of this machine).")
    if params.content is not None:
        if not params.path:
            raise RepoError("upload of `content` needs `path`: where the file goes in the repository.")
        data = params.content.encode("utf-8", "replace")
        leak = await asyncio.to_thread(_leak, redactor, params.content)
        return (Item(params.path, data, len(data)),), (), f"{params.path} {leak}" if leak else ""
    if not runs_here(context):
        raise RepoError(
            "local_path means this machine, but the file tools act in a sandbox. Upload from there with bash "
            "(`hf upload`), or pass the text as `content`."
        )
    return await asyncio.to_thread(_local_items, params, context, redactor)


def _local_items(
    params: FilesParams, context: ToolContext, redactor: Redactor
) -> tuple[tuple[Item, ...], tuple[str, ...], str]:
    try:
        root = locate(params.local_path, context.workspace)
    except FileError as error:
        raise RepoError(str(error)) from error
    around = Surroundings.of(context.workspace, Path(context.env.get("HOME") or Path.home()))
    if root.is_file():
        name = f"{params.path}{root.name}" if params.path.endswith("/") or not params.path else params.path
        leak = "is a file of secrets" if around.secret(root) else _leak_in_file(redactor, root)
        return (Item(name, root, root.stat().st_size),), (), f"{root.name} {leak}" if leak else ""
    if not root.is_dir():
        raise RepoError(f"There is no file or folder {root}.")
    found = select(root, params.path, ignore=params.ignore_patterns, is_secret=around.secret)
    if not found.items:
        why = f" Left out: {'; '.join(found.left_out)}." if found.left_out else ""
        raise RepoError(f"{root} holds no files to upload.{why}")
    return found.items, found.left_out, _first_leak(redactor, found.items)


def _first_leak(redactor: Redactor, items: tuple[Item, ...]) -> str:
    """The first file that seems to hold a secret, as far as there is time to look."""
    left = _CHECKED_IN_ALL
    for item in items:
        if isinstance(item.source, Path) and item.size <= min(left, _CHECKED_FOR_SECRETS):
            left -= item.size
            if leak := _leak_in_file(redactor, item.source):
                return f"{item.path} {leak}"
    return ""


def _leak(redactor: Redactor, text: str) -> str:
    return "seems to hold a token or key" if redactor.text(text) != text else ""


def _leak_in_file(redactor: Redactor, path: Path) -> str:
    """Why a file should perhaps not go up; large files and those that are no text are not looked into."""
    try:
        if path.stat().st_size > _CHECKED_FOR_SECRETS:
            return ""
        data = path.read_bytes()
    except OSError as error:
        raise RepoError(f"{path} cannot be read: {error.strerror or error}.") from error
    return "" if looks_binary(data[:8192]) else _leak(redactor, data.decode("utf-8", "replace"))


def _state_before(
    api: HfApi, params: FilesParams, items: tuple[Item, ...]
) -> tuple[str, bool | None, FileFacts | None, str | None]:
    """Head, visibility, the one file that would be replaced, and its text (empty: there is none)."""
    repo = params.repo
    info = api.repo_info(repo.id, repo_type=repo.type, revision=params.revision or None)
    facts = find_file(api, repo, items[0].path, params.revision) if len(items) == 1 else None
    old: str | None = None
    if len(items) == 1 and items[0].size <= _SHOWN_TEXT:
        if facts is None:
            old = ""
        elif facts.size <= _SHOWN_TEXT and not facts.named_binary:
            data = read_range(api, repo, facts.path, params.revision, 0, facts.size)
            old = None if looks_binary(data) else data.decode("utf-8", "replace")
    return str(info.sha or ""), info.private, facts, old


async def plan_deletion(params: FilesParams, hub: HubClient) -> Planned:
    """Finds the files that a deletion would take. Changes nothing.

    Raises:
        HubError: Nothing would be deleted.
    """
    patterns = params.patterns or ([params.path] if params.path else [])
    if not patterns:
        raise RepoError("delete needs `patterns`: file paths, folders, or wildcards such as checkpoints/*.")
    repo = params.repo

    def look(api: HfApi) -> tuple[str, bool | None, list[FileFacts]]:
        info = api.repo_info(repo.id, repo_type=repo.type, revision=params.revision or None)
        tree = api.list_repo_tree(repo.id, recursive=True, revision=info.sha, repo_type=repo.type)
        return str(info.sha or ""), info.private, [facts_of(entry) for entry in tree if hasattr(entry, "size")]

    head, private, files = await hub.call(look)
    doomed = tuple(facts for facts in files if any(matches(facts.path, pattern) for pattern in patterns))
    if not doomed:
        raise RepoError(f"No file of {repo} matches {', '.join(patterns)}; nothing was deleted.")
    return Planned(repo, head, private, doomed=doomed)


async def check_unchanged(params: FilesParams, planned: Planned, hub: HubClient) -> None:
    """Looks whether what would be replaced or deleted still is what was shown; days may lie between.

    Raises:
        RepoError: Somebody has changed it.
    """

    def changed(api: HfApi) -> list[str]:
        if params.create_pr or head_of(api, planned.repo, params.revision) == planned.head:
            return []
        if planned.order is None:
            tree = api.list_repo_tree(
                planned.repo.id, recursive=True, revision=params.revision or None, repo_type=planned.repo.type
            )
            now = {facts_of(entry) for entry in tree if hasattr(entry, "size")}
            return [facts.path for facts in planned.doomed if facts not in now]
        items = planned.order.items
        if len(items) > 1 or find_file(api, planned.repo, items[0].path, params.revision) == planned.replaced:
            return []
        return [items[0].path]

    if paths := await hub.call(changed):
        names = f"{', '.join(paths[:5])}{' …' if len(paths) > 5 else ''}"
        raise RepoError(
            f"{names} of {planned.repo} has been changed since this call was made, so nothing was written. Read it "
            "again, then write on top of what is there now."
        )


# --------------------------------------------------------------------------------------------------------- assessing


def assess_upload(params: FilesParams, planned: Planned) -> Assessment:
    """The account of an upload for the policy and the dialog."""
    order = planned.order
    assert order is not None
    effects = {Effect.PUBLISH}
    what = order.items[0].path if len(order.items) == 1 else count_text(len(order.items), "file")
    verb = "proposes" if params.create_pr else "uploads"
    reasons = [f"{verb} {what} ({size_text(order.size)}) to the {_seen_by(planned)} {planned.repo}"]
    checks = []
    if planned.secrets:
        effects.add(Effect.CREDENTIALS)
        reasons.append(f"may give away secrets: {planned.secrets}")
        checks.append((False, planned.secrets))
    if order.parent and not _same_commit(order.parent, planned.head):
        moved = f"the repository has moved on: its head is {planned.head[:8]}, not {order.parent[:8]}; look at it anew"
        checks.append((False, moved))
    return Assessment(
        frozenset(effects),
        tuple(reasons),
        subject=f"upload {planned.repo.id}",
        editable="" if params.content is None else "content",
        display=(_heading(params, planned, order.message), *_shown_upload(planned, order)),
        checks=tuple(checks),
    )


def assess_deletion(params: FilesParams, planned: Planned) -> Assessment:
    """The account of a deletion: each file that would go."""
    files, repo = planned.doomed, planned.repo
    total = size_text(sum(facts.size for facts in files))
    effect, verb = (Effect.PUBLISH, "proposes to delete") if params.create_pr else (Effect.DESTROY, "deletes")
    reason = f"{verb} {count_text(len(files), 'file')} ({total}) of the {_seen_by(planned)} {repo}"
    rows = tuple((facts.path, size_text(facts.size)) for facts in files[:_SHOWN_FILES])
    title = f"to be deleted: {count_text(len(files), 'file')}, {total}"
    if len(files) > _SHOWN_FILES:
        title += f"; the first {_SHOWN_FILES:,} of them"
    table = TableBlock(columns=("file", "size"), rows=rows, title=title)
    heading = _heading(params, planned, _deletion_message(params, planned))
    return Assessment(frozenset({effect}), (reason,), subject=f"delete {repo.id}", display=(heading, table))


def _seen_by(planned: Planned) -> str:
    return {True: "private", False: "public", None: ""}[planned.private]


def _same_commit(short: str, full: str) -> bool:
    return bool(short) and full.startswith(short)


def _heading(params: FilesParams, planned: Planned, message: str) -> TextBlock:
    lines = [
        f"{planned.repo} · {_seen_by(planned)} · {params.revision or 'main'}",
        f"message: {message}",
    ]
    if params.create_pr:
        lines.append("as a pull request: nothing changes until it is merged")
    return TextBlock(text="\n".join(lines), title=f"{params.operation} {planned.repo.id}")


def _shown_upload(planned: Planned, order: Order) -> tuple[DisplayBlock, ...]:
    item = order.items[0]
    if len(order.items) == 1 and (text := _text_of(item)) is not None:
        if planned.old is not None:
            return (diff_block(Path(item.path), planned.old, text, all_of_it=True),)
        return (TextBlock(text=text, title=item.path),)
    rows = tuple((entry.path, size_text(entry.size)) for entry in order.items[:_SHOWN_FILES])
    title = f"{count_text(len(order.items), 'file')}, {size_text(order.size)}"
    if len(order.items) > _SHOWN_FILES:
        title += f"; the first {_SHOWN_FILES:,} of them"
    blocks: list[DisplayBlock] = [TableBlock(columns=("file", "size"), rows=rows, title=title)]
    if planned.left_out:
        blocks.append(TextBlock(text="\n".join(planned.left_out[:100]), title="left out"))
    return tuple(blocks)


def _text_of(item: Item) -> str | None:
    """The text of a file to show; None when it is long or no text."""
    if isinstance(item.source, bytes):
        return item.source.decode("utf-8", "replace")
    if item.size > _SHOWN_TEXT:
        return None
    try:
        data = item.source.read_bytes()
    except OSError:  # the upload itself will say so
        return None
    return None if looks_binary(data) else data.decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------------------------- doing


async def upload(params: FilesParams, planned: Planned, hub: HubClient, context: ToolContext) -> ToolResult:
    """Uploads what was planned."""
    order = planned.order
    assert order is not None
    info = await send(hub, order, context.log)
    what = order.items[0].path if len(order.items) == 1 else count_text(len(order.items), "file")
    if info.oid and info.oid == planned.head and not params.create_pr:
        return ToolResult(f"Nothing has changed: {planned.repo} already holds {what} exactly so. {info.commit_url}")
    done = f"{'Proposed' if params.create_pr else 'Uploaded'} {what} ({size_text(order.size)})"
    lines = [f"{done} {'for' if params.create_pr else 'to'} {planned.repo}. {_address(info)}", _commit_line(info)]
    if len(order.items) == 1 and not params.create_pr:
        place = f"blob/{params.revision or 'main'}/{order.items[0].path}"
        lines.append(f"File: {hub.web_url(planned.repo.id, planned.repo.type, path=place)}")
    lines += [f"Left out: {text}" for text in planned.left_out[:20]]
    if not params.create_pr:
        await publish(hub, context, _artifact(planned, hub, "hf_repo_files"))
    return ToolResult("\n".join(lines), display=_shown_upload(planned, order))


async def delete(params: FilesParams, planned: Planned, hub: HubClient, context: ToolContext) -> ToolResult:
    """Deletes the files that were planned, and no others."""
    repo, message = planned.repo, _deletion_message(params, planned)

    def commit(api: HfApi) -> CommitInfo:
        from huggingface_hub import CommitOperationDelete

        return api.create_commit(
            repo.id,
            [CommitOperationDelete(facts.path, is_folder=False) for facts in planned.doomed],
            commit_message=message,
            repo_type=repo.type,
            revision=params.revision or None,
            create_pr=params.create_pr,
            parent_commit=params.parent_commit or None,
        )

    info = await hub.call(commit)
    count = count_text(len(planned.doomed), "file")
    verb = "Proposed to delete" if params.create_pr else "Deleted"
    names = "\n".join(f"  {facts.path}" for facts in planned.doomed[:50])
    more = f"\n  … {len(planned.doomed) - 50:,} more" if len(planned.doomed) > 50 else ""
    if not params.create_pr:
        await publish(hub, context, _artifact(planned, hub, "hf_repo_files"))
    return ToolResult(f"{verb} {count} of {repo}. {_address(info)}\n{_commit_line(info)}\n{names}{more}")


def _deletion_message(params: FilesParams, planned: Planned) -> str:
    if params.commit_message:
        return params.commit_message
    if len(planned.doomed) == 1:
        return f"Delete {planned.doomed[0].path}"
    return f"Delete {count_text(len(planned.doomed), 'file')} ({', '.join(params.patterns)})"[:200]


def _address(info: CommitInfo) -> str:
    if info.pr_url:
        return f"Pull request #{info.pr_num}: {info.pr_url} (add to it with revision={info.pr_revision})"
    return f"Commit: {info.commit_url}"


def _commit_line(info: CommitInfo) -> str:
    return f"Its id, for parent_commit: {info.oid}" if info.oid else ""


def _artifact(planned: Planned, hub: HubClient, tool: str) -> ArtifactEvent:
    repo = planned.repo
    url = hub.web_url(repo.id, repo.type)
    return ArtifactEvent(kind=repo.type, id=repo.id, url=url, private=planned.private, state="updated", via=tool)
