"""Does the work of `hf_repo_git`, and says beforehand whom a change concerns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from ml_intern.core.approvals.effects import READS_ONLY, Assessment, Effect
from ml_intern.core.artifacts import Artifacts, record
from ml_intern.core.display import DisplayBlock, TableBlock, TextBlock
from ml_intern.core.protocol import ArtifactEvent, ArtifactState
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.repos import pulls
from ml_intern.tools.repos.artifacts import publish
from ml_intern.tools.repos.common import Repo, RepoError, count_text, explained, failed, owner_is_me, size_text
from ml_intern.tools.repos.git_params import READS, GitParams

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_CHANGES = frozenset({"create_branch", "create_tag", "create_pr", "comment_pr", "close_pr", "change_pr_status"})
"""What only its owner notices in a repository of one's own; in other people's it is a word to them."""
_DESTROYS = frozenset({"delete_branch", "delete_tag"})


def _what(params: GitParams, *, private: bool) -> str:
    """What an operation does, as a person is asked about it."""
    repo, number = params.repo, f"#{params.pr_num}"
    shown = "private" if private else "public"
    gate = {"auto": "gates {}, access by itself", "manual": "gates {}, access by hand", "false": "ends the gate of {}"}
    match params.operation:
        case "create_repo":
            return f"creates the {shown} {repo}"
        case "update_repo":
            steps = [f"makes {{}} {'private' if params.private else 'PUBLIC'}"] if params.private is not None else []
            steps += [gate[params.gated]] if params.gated else []
            return " and ".join(steps).format(repo, repo)
        case "delete_repo":
            return f"deletes the {repo} for good, with its history"
        case "move_repo":
            return f"moves {repo} to {params.new_repo_id}"
        case "create_branch" | "delete_branch":
            return f"{params.operation.removesuffix('_branch')}s branch {params.branch} of {repo}"
        case "create_tag" | "delete_tag":
            return f"{params.operation.removesuffix('_tag')}s tag {params.tag} of {repo}"
        case "create_pr":
            return f"opens a pull request in {repo}"
        case "comment_pr":
            return f"comments on {number} of {repo}"
        case "merge_pr":
            return f"merges {number} into {repo}"
        case "close_pr":
            return f"closes {number} of {repo}"
        case _:
            return f"sets {number} of {repo} to {params.new_status}"


class GitOperations:
    """The tool over a client."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    # ------------------------------------------------------------------------------------------- before it runs

    async def assess(self, params: GitParams, context: ToolContext) -> Assessment:
        """What a call would do."""
        if params.operation in READS:
            return READS_ONLY
        try:
            params.check()
        except RepoError:  # told by the call itself, which does nothing
            return READS_ONLY
        private = self._private(params, context)
        effect = await self._effect(params, context)
        shown, checks = await self._shown(params)
        return Assessment(
            frozenset({effect}),
            (_what(params, private=private),),
            subject=f"{params.operation} {params.repo_id}",
            editable={"comment_pr": "comment", "create_pr": "description"}.get(params.operation, ""),
            display=(TextBlock(text=_account(params, private), title=params.operation), *shown),
            checks=checks,
        )

    @staticmethod
    def _private(params: GitParams, context: ToolContext) -> bool:
        return context.settings.hub.private if params.private is None else params.private

    async def _effect(self, params: GitParams, context: ToolContext) -> Effect:
        if params.operation == "delete_repo":
            # As for `hf repo delete`: nothing brings it back. What the session has made itself it may clear away.
            known = context.state.get(Artifacts).find(params.repo.type, params.repo.id)
            return Effect.DESTROY if known is not None and known.state == "created" else Effect.CATASTROPHIC
        if params.operation in _DESTROYS:
            return Effect.DESTROY
        if params.operation in _CHANGES and await owner_is_me(self._hub, params.repo):
            return Effect.CHANGE
        return Effect.PUBLISH

    async def _shown(self, params: GitParams) -> tuple[tuple[DisplayBlock, ...], tuple[tuple[bool, str], ...]]:
        """What a person should see of the thing that is changed; nothing when it cannot be looked up."""
        try:
            if params.operation == "merge_pr":
                details = await pulls.fetch_pull(params, self._hub)
                clash = pulls.conflicts(details)
                said = TextBlock(text="\n".join(pulls.head(details)), title=f"#{details.num}")
                diff = TextBlock(text=details.diff or "(no changes)", language="diff", title="changes")
                return (said, diff), ((clash == "none", f"conflicts: {clash}"),)
            if params.operation == "delete_repo":
                return (await self._hub.call(lambda api: _contents(api, params.repo)),), ()
        except HubError:  # the call itself will say so
            pass
        return (), ()

    # --------------------------------------------------------------------------------------------------- running

    async def handle(self, params: GitParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        operations: dict[str, Callable[[GitParams, ToolContext], Awaitable[ToolResult]]] = {
            "create_branch": self._create_branch,
            "delete_branch": self._delete_branch,
            "create_tag": self._create_tag,
            "delete_tag": self._delete_tag,
            "create_pr": self._create_pr,
            "merge_pr": self._merge_pr,
            "close_pr": self._set_status,
            "change_pr_status": self._set_status,
            "comment_pr": self._comment_pr,
            "create_repo": self._create_repo,
            "update_repo": self._update_repo,
            "delete_repo": self._delete_repo,
            "move_repo": self._move_repo,
        }
        try:
            params.check()
            match params.operation:
                case "list_refs":
                    return await self._list_refs(params)
                case "list_prs":
                    return await pulls.list_pulls(params, self._hub)
                case "get_pr":
                    return await pulls.show_pull(params, self._hub)
            if not self._hub.token:
                raise RepoError("This needs a Hugging Face token: set HF_TOKEN or run `hf auth login`.")
            return await operations[params.operation](params, context)
        except RepoError as error:
            return failed(error)
        except HubError as error:
            return failed(await self._explain(error, params))

    async def _explain(self, error: HubError, params: GitParams) -> RepoError:
        if error.kind == "exists":
            return RepoError(f"{error}. Pass exist_ok=true where that is fine, or take another name.")
        if error.kind == "missing" and params.pr_num is not None:
            return RepoError(f"{params.repo} has no pull request #{params.pr_num}. list_prs shows them.")
        if error.kind == "missing" and params.operation in {"delete_branch", "delete_tag"}:
            return RepoError(f"{params.repo} has no {params.branch or params.tag!r}. list_refs shows what there is.")
        if error.kind == "forbidden" and params.operation == "create_repo":
            return RepoError(
                f"Your token may not create {params.repo}: {error}. Use a namespace you may write to, or a token with "
                f"write permission ({self._hub.endpoint}/settings/tokens)."
            )
        revision = params.from_rev or params.revision
        return await explained(error, self._hub, params.repo, revision=revision, writing=params.operation not in READS)

    def _url(self, params: GitParams, path: str = "") -> str:
        return self._hub.web_url(params.repo_id, params.repo_type, path=path)

    # ------------------------------------------------------------------------------------------ branches and tags

    async def _list_refs(self, params: GitParams) -> ToolResult:
        refs = await self._hub.call(lambda api: api.list_repo_refs(params.repo_id, repo_type=params.repo_type))
        lines = [f"{params.repo} has {count_text(len(refs.branches), 'branch', 'branches')}:"]
        lines += [f"  {ref.name} {ref.target_commit[:12]}" for ref in refs.branches]
        lines.append(f"and {count_text(len(refs.tags), 'tag')}{':' if refs.tags else '.'}")
        lines += [f"  {ref.name} {ref.target_commit[:12]}" for ref in refs.tags]
        rows = [("branch", ref.name, ref.target_commit[:12]) for ref in refs.branches]
        rows += [("tag", ref.name, ref.target_commit[:12]) for ref in refs.tags]
        table = TableBlock(columns=("kind", "name", "commit"), rows=tuple(rows), title=str(params.repo))
        return ToolResult("\n".join(lines), display=(table,))

    async def _create_branch(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        await self._hub.call(
            lambda api: api.create_branch(
                params.repo_id,
                branch=params.branch,
                revision=params.from_rev or None,
                repo_type=params.repo_type,
                exist_ok=params.exist_ok,
            )
        )
        start = params.from_rev or "main"
        return ToolResult(
            f"Branch {params.branch} of {params.repo} begins at {start}. {self._url(params, f'tree/{params.branch}')}"
        )

    async def _delete_branch(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        await self._hub.call(
            lambda api: api.delete_branch(params.repo_id, branch=params.branch, repo_type=params.repo_type)
        )
        return ToolResult(f"Deleted branch {params.branch} of {params.repo}.")

    async def _create_tag(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        await self._hub.call(
            lambda api: api.create_tag(
                params.repo_id,
                tag=params.tag,
                tag_message=params.tag_message or None,
                revision=params.revision or None,
                repo_type=params.repo_type,
                exist_ok=params.exist_ok,
            )
        )
        at = params.revision or "main"
        return ToolResult(f"Tagged {at} of {params.repo} as {params.tag}. {self._url(params, f'tree/{params.tag}')}")

    async def _delete_tag(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        await self._hub.call(lambda api: api.delete_tag(params.repo_id, tag=params.tag, repo_type=params.repo_type))
        return ToolResult(f"Deleted tag {params.tag} of {params.repo}.")

    # ---------------------------------------------------------------------------------------------- pull requests

    async def _create_pr(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        made = await self._hub.call(
            lambda api: api.create_pull_request(
                params.repo_id, params.title, description=params.description or None, repo_type=params.repo_type
            )
        )
        return ToolResult(
            f"Opened draft pull request #{made.num} of {params.repo}: {made.url}\nIt is empty. Add commits with "
            f"hf_repo_files upload and revision={made.git_reference}, then change_pr_status to open."
        )

    async def _merge_pr(self, params: GitParams, context: ToolContext) -> ToolResult:
        details = await pulls.fetch_pull(params, self._hub)
        if details.conflicting_files:
            raise RepoError(
                f"#{params.pr_num} of {params.repo} cannot be merged: conflicts in {pulls.conflicts(details)}. Bring "
                f"{details.git_reference} up to date first."
            )
        await self._hub.call(
            lambda api: api.merge_pull_request(
                params.repo_id, params.number, comment=params.comment or None, repo_type=params.repo_type
            )
        )
        await publish(self._hub, context, self._artifact(params.repo, "updated"))
        return ToolResult(f"Merged #{params.pr_num} into {params.repo}. {self._thread(params)}")

    async def _set_status(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        new: Literal["open", "closed"] = "closed" if params.operation == "close_pr" else params.new_status or "open"
        await self._hub.call(
            lambda api: api.change_discussion_status(
                params.repo_id, params.number, new, comment=params.comment or None, repo_type=params.repo_type
            )
        )
        return ToolResult(f"#{params.pr_num} of {params.repo} is {new} now. {self._thread(params)}")

    async def _comment_pr(self, params: GitParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        await self._hub.call(
            lambda api: api.comment_discussion(
                params.repo_id, params.number, params.comment, repo_type=params.repo_type
            )
        )
        return ToolResult(f"Commented on #{params.pr_num} of {params.repo}. {self._thread(params)}")

    def _thread(self, params: GitParams) -> str:
        return self._url(params, f"discussions/{params.pr_num}")

    # ----------------------------------------------------------------------------------------------- repositories

    async def _create_repo(self, params: GitParams, context: ToolContext) -> ToolResult:
        private = self._private(params, context)

        def create(api: HfApi) -> tuple[str, bool]:
            there = params.exist_ok and api.repo_exists(params.repo_id, repo_type=params.repo_type)
            made = api.create_repo(
                params.repo_id,
                private=private,
                repo_type=params.repo_type,
                exist_ok=params.exist_ok,
                space_sdk=params.space_sdk if params.repo_type == "space" else None,
            )
            return str(made.repo_id), there

        repo_id, there = await self._hub.call(create)
        repo = Repo(repo_id, params.repo_type)
        url = self._hub.web_url(repo.id, repo.type)
        if there:
            return ToolResult(f"{repo} exists already; nothing was changed. {url}")
        await publish(self._hub, context, self._artifact(repo, "created", private=private))
        return ToolResult(f"Created the {'private' if private else 'public'} {repo}. {url}")

    async def _update_repo(self, params: GitParams, context: ToolContext) -> ToolResult:
        gated: Literal["auto", "manual", False] | None = False if params.gated == "false" else params.gated
        await self._hub.call(
            lambda api: api.update_repo_settings(
                params.repo_id, gated=gated, private=params.private, repo_type=params.repo_type
            )
        )
        changes = []
        if params.private is not None:
            changes.append("private" if params.private else "public")
        if params.gated is not None:
            changes.append("not gated" if params.gated == "false" else f"gated ({params.gated})")
        await publish(self._hub, context, self._artifact(params.repo, "updated", private=params.private))
        return ToolResult(f"{params.repo} is {' and '.join(changes)} now. {self._url(params, 'settings')}")

    async def _delete_repo(self, params: GitParams, context: ToolContext) -> ToolResult:
        await self._hub.call(lambda api: api.delete_repo(params.repo_id, repo_type=params.repo_type))
        record(context, self._artifact(params.repo, "deleted"))
        return ToolResult(f"Deleted {params.repo}.")

    async def _move_repo(self, params: GitParams, context: ToolContext) -> ToolResult:
        await self._hub.call(lambda api: api.move_repo(params.repo_id, params.new_repo_id, repo_type=params.repo_type))
        moved = Repo(params.new_repo_id, params.repo_type)
        record(context, self._artifact(params.repo, "deleted"))
        await publish(self._hub, context, self._artifact(moved, "updated"))
        return ToolResult(f"Moved {params.repo} to {moved.id}. {self._hub.web_url(moved.id, moved.type)}")

    def _artifact(self, repo: Repo, state: ArtifactState, *, private: bool | None = None) -> ArtifactEvent:
        url = self._hub.web_url(repo.id, repo.type)
        return ArtifactEvent(kind=repo.type, id=repo.id, url=url, private=private, state=state, via="hf_repo_git")


def _account(params: GitParams, private: bool) -> str:
    """All that an operation says and sets."""
    lines = [str(params.repo)]
    if params.operation == "create_repo":
        lines.append("private" if private else "public")
    fields = ("space_sdk", "new_repo_id", "branch", "from_rev", "tag", "revision", "tag_message", "gated", "new_status")
    lines += [f"{name}: {value}" for name in fields if (value := getattr(params, name))]
    if params.operation == "update_repo" and params.private is not None:
        lines.append("visibility: private" if params.private else "visibility: PUBLIC")
    if params.title:
        lines += ["", params.title]
    lines += [text for text in (params.description, params.comment) if text]
    return "\n".join(lines)


def _contents(api: HfApi, repo: Repo) -> TableBlock:
    """What would be lost with a repository."""
    info: Any = api.repo_info(repo.id, repo_type=repo.type, files_metadata=True)
    files = list(info.siblings or ())
    total = size_text(sum(entry.size or 0 for entry in files))
    rows = tuple((entry.rfilename, size_text(entry.size)) for entry in files[:200])
    title = f"what is in it: {count_text(len(files), 'file')}, {total}"
    return TableBlock(columns=("file", "size"), rows=rows, title=title)
