"""`github_find_examples`, `github_list_repos` and `github_read_file`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.github import Blob, GitHub, GitHubError, split_repo
from ml_intern.services.http import FetchError, HttpService
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner, Threads
from ml_intern.tools.github.notebook import notebook_markdown
from ml_intern.tools.github.ranking import Example, find_examples

READ_LINES = 300
LINE_CHARS = 2000
MOST_PAGES = 20
PER_PAGE = 100
MOST_ENTRIES = 500

_EXAMPLES = """\
Finds working example files in a GitHub repository, the canonical scripts first: read one before you write code \
against a library. Then github_read_file."""
_REPOS = "Lists the repositories of a GitHub user or organisation, the most starred first."
_READ = """\
Reads a file of a GitHub repository (notebooks as markdown without outputs), or lists a directory. Shows 300 lines \
unless told otherwise; go on with line_start."""


class ExamplesParams(Params):
    """What a call of `github_find_examples` may say."""

    repo: Annotated[str, Field(min_length=1, description="Repository: name, owner/name, or its address.")]
    keyword: Annotated[str, Field(description="What the example is about, for example sft or grpo vllm.")] = ""
    org: Annotated[str, Field(description="Owner, where `repo` names none.")] = "huggingface"
    max_results: Annotated[int, Field(ge=1, le=200)] = 30
    min_score: Annotated[int, Field(ge=0, le=100, description="How well a name must fit the keyword.")] = 60


class ReposParams(Params):
    """What a call of `github_list_repos` may say."""

    owner: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    owner_type: Literal["user", "org"] = "org"
    sort: Literal["stars", "forks", "updated", "created"] = "stars"
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=200)] = 30


class ReadParams(Params):
    """What a call of `github_read_file` may say."""

    repo: Annotated[str, Field(min_length=1, description="owner/name, or the address of a file on github.com.")]
    path: Annotated[str, Field(description="Path in the repository; empty for its root.")] = ""
    ref: Annotated[str, Field(description="Branch, tag or commit.")] = ""
    line_start: Annotated[int, Field(ge=1)] | None = None
    line_end: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> ReadParams:
        if self.line_start and self.line_end and self.line_start > self.line_end:
            raise ValueError("line_start must not be greater than line_end")
        return self


Work = Callable[[Any, ToolContext], Awaitable[ToolResult]]


def create_github_tools(http: HttpService, endpoints: Endpoints, runner: Runner | None = None) -> list[ToolSpec]:
    """The three tools over one client; `runner` goes through long lists and notebooks."""
    github = GitHub(http, endpoints)
    aside = runner or Threads()

    async def examples(params: ExamplesParams, context: ToolContext) -> ToolResult:
        return await _find_examples(github, aside, params, context)

    async def repos(params: ReposParams, context: ToolContext) -> ToolResult:
        return await _list_repos(github, params, context)

    async def read(params: ReadParams, context: ToolContext) -> ToolResult:
        return await _read_file(github, aside, params, context)

    return [
        ToolSpec("github_find_examples", _EXAMPLES, ExamplesParams, _honest(examples), fetches=True),
        ToolSpec("github_list_repos", _REPOS, ReposParams, _honest(repos), fetches=True),
        ToolSpec("github_read_file", _READ, ReadParams, _honest(read), fetches=True),
    ]


def _honest(work: Work) -> Work:
    async def handle(params: Any, context: ToolContext) -> ToolResult:
        try:
            return await work(params, context)
        except (GitHubError, FetchError) as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        except WorkError as error:
            return ToolResult(f"ERROR: What GitHub sent {error}.", ok=False)

    return handle


# ---------------------------------------------------------------------------------------------------------- examples


async def _find_examples(github: GitHub, aside: Runner, params: ExamplesParams, context: ToolContext) -> ToolResult:
    given = params.repo if "/" in params.repo else f"{params.org}/{params.repo}"
    repo, ref, _ = split_repo(given)
    try:
        ref = ref or await github.default_branch(repo, context.log)
        tree = await github.tree(repo, ref, context.log)
        found = await aside.run(find_examples, tree, params.keyword, params.min_score, params.max_results)
    except GitHubError as error:
        if error.kind != "missing":
            raise
        return await _similar(github, repo, error, context)
    about = f" for {params.keyword!r}" if params.keyword else ""
    notes = ["GitHub left files out of the list: the repository is too large."] if found.cut_short else []
    if not found.count:
        hint = "Try other words, or list a directory with github_read_file."
        return ToolResult("\n".join([f"{repo} has no example files{about}. {hint}", *notes]))
    shown = len(found.best)
    lines = [f"{repo} at {ref}: {shown} of {found.count} example files{about}, the best first.", *notes]
    for number, example in enumerate(found.best, 1):
        lines += ["", *_example(number, example, repo, ref)]
    return ToolResult("\n".join(lines))


def _example(number: int, example: Example, repo: str, ref: str) -> list[str]:
    path = example.file.path
    return [
        f"{number}. {path}  ({example.file.size:,} bytes)",
        f'   github_read_file: repo="{repo}", path="{path}"' + (f', ref="{ref}"' if ref != "main" else ""),
    ]


async def _similar(github: GitHub, repo: str, error: GitHubError, context: ToolContext) -> ToolResult:
    owner, _, name = repo.partition("/")
    found = await github.similar(owner, name, context.log)
    lines = [f"ERROR: {error}"]
    if found:
        lines.append(f"Repositories of {owner} with a similar name:")
        lines += [
            f"- {item.get('full_name')}  ★ {int(item.get('stargazers_count') or 0):,}  "
            f"{str(item.get('description') or '')[:100]}"
            for item in found
        ]
    return ToolResult("\n".join(lines), ok=False)


# -------------------------------------------------------------------------------------------------------------- repos


async def _list_repos(github: GitHub, params: ReposParams, context: ToolContext) -> ToolResult:
    found, whole = await _all_repos(github, params, context)
    if params.sort in ("stars", "forks"):
        key = {"stars": "stargazers_count", "forks": "forks_count"}[params.sort]
        found.sort(key=lambda item: int(item.get(key) or 0), reverse=params.order == "desc")
    shown = found[: params.limit]
    if not shown:
        return ToolResult(f"{params.owner} has no public repositories.")
    count = f"{len(found):,}" if whole else f"{len(found):,} or more"
    lines = [f"{params.owner}: {len(shown)} of {count} repositories by {params.sort}, {params.order}ending."]
    for item in shown:
        lines += ["", *_repo(item)]
    return ToolResult("\n".join(lines))


async def _all_repos(github: GitHub, params: ReposParams, context: ToolContext) -> tuple[list[dict[str, Any]], bool]:
    """Repositories of an owner: as many as are needed, or all where GitHub does not sort them itself."""
    kind = "orgs" if params.owner_type == "org" else "users"
    query = {"per_page": str(PER_PAGE)}
    if params.sort in ("updated", "created"):
        query |= {"sort": params.sort, "direction": params.order}
    found: list[dict[str, Any]] = []
    for page in range(1, MOST_PAGES + 1):
        try:
            part = await github.json(f"{kind}/{params.owner}/repos", {**query, "page": str(page)}, progress=context.log)
        except GitHubError as error:
            if error.kind != "missing" or page > 1 or kind == "users":
                raise
            kind = "users"  # an owner that is no organisation may be a person
            part = await github.json(f"{kind}/{params.owner}/repos", {**query, "page": str(page)}, progress=context.log)
        found += [item for item in part if isinstance(item, dict)]
        if len(part) < PER_PAGE:
            return found, True
        if params.sort in ("updated", "created") and len(found) >= params.limit:
            return found, False
        context.log(f"{len(found)} repositories so far")
    return found, False


def _repo(item: Mapping[str, Any]) -> list[str]:
    marks = [word for word in ("archived", "fork") if item.get(word)]
    facts = [
        f"★ {int(item.get('stargazers_count') or 0):,}",
        f"forks {int(item.get('forks_count') or 0):,}",
        str(item.get("language") or "no language"),
        f"updated {str(item.get('pushed_at') or item.get('updated_at') or '?')[:10]}",
        *marks,
    ]
    lines = [f"{item.get('full_name')}  {' · '.join(facts)}"]
    if item.get("description"):
        lines.append(f"   {str(item['description'])[:200]}")
    topics = [str(topic) for topic in item.get("topics") or ()][:5]
    return [*lines, f"   topics: {', '.join(topics)}"] if topics else lines


# --------------------------------------------------------------------------------------------------------------- file


async def _read_file(github: GitHub, aside: Runner, params: ReadParams, context: ToolContext) -> ToolResult:
    repo, ref, path = split_repo(params.repo)
    path, ref = params.path.strip("/") or path, params.ref or ref
    blob = await github.read(repo, path, ref, context.log)
    where = f"{repo}/{path}".rstrip("/") + (f" at {ref}" if ref else "")
    if blob.text is None:
        return ToolResult(_directory(where, blob))
    text = blob.text
    if path.endswith(".ipynb"):  # which may be megabytes of pictures
        text = await aside.run(notebook_markdown, text)
    return _lines(where, text, params)


def _directory(where: str, blob: Blob) -> str:
    shown = blob.entries[:MOST_ENTRIES]
    left = len(blob.entries) - len(shown)
    return "\n".join(
        [f"{where} is a directory with {len(blob.entries)} entries:", *shown, *([f"… and {left} more"] if left else [])]
    )


def _lines(where: str, text: str, params: ReadParams) -> ToolResult:
    lines = text.splitlines()
    total = len(lines)
    if not total:
        return ToolResult(f"{where} is empty.")
    start = params.line_start or 1
    if start > total:
        return ToolResult(f"ERROR: {where} has {total:,} lines; there is no line {start:,}.", ok=False)
    end = min(total, params.line_end or start + READ_LINES - 1)
    cut = [line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}…" for line in lines[start - 1 : end]]
    head = f"{where}: lines {start:,} to {end:,} of {total:,}"
    rest = [f"[{total - end:,} lines more: go on with line_start={end + 1}]"] if end < total else []
    return ToolResult("\n".join([head, "", *cut, *rest]))
