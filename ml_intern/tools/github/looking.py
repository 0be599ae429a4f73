"""Looks around on GitHub: example files, repositories, files and directories."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.github import Blob, GitHub, GitHubError, split_repo
from ml_intern.services.http import FetchError
from ml_intern.services.shapes import count, items, records
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner
from ml_intern.tools.github.notebook import notebook_markdown
from ml_intern.tools.github.ranking import Example, find_examples
from ml_intern.tools.github.tools import ExamplesParams, ReadParams, ReposParams

READ_LINES = 300
LINE_CHARS = 2000
MOST_PAGES = 20
PER_PAGE = 100
MOST_ENTRIES = 500


class Looking:
    """The three tools over a client; `aside` goes through long lists and notebooks."""

    def __init__(self, github: GitHub, aside: Runner) -> None:
        self._github = github
        self._aside = aside

    async def examples(self, params: ExamplesParams, context: ToolContext) -> ToolResult:
        """Does what a call of `github_find_examples` asks for."""
        return await _honest(_find_examples(self._github, self._aside, params, context))

    async def repos(self, params: ReposParams, context: ToolContext) -> ToolResult:
        """Does what a call of `github_list_repos` asks for."""
        return await _honest(_list_repos(self._github, params, context))

    async def read(self, params: ReadParams, context: ToolContext) -> ToolResult:
        """Does what a call of `github_read_file` asks for."""
        return await _honest(_read_file(self._github, self._aside, params, context))


async def _honest(work: Awaitable[ToolResult]) -> ToolResult:
    try:
        return await work
    except (GitHubError, FetchError) as error:
        return ToolResult(f"ERROR: {error}", ok=False)
    except WorkError as error:
        return ToolResult(f"ERROR: What GitHub sent {error}.", ok=False)


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
            f"- {item.get('full_name')}  ★ {count(item.get('stargazers_count')):,}  "
            f"{str(item.get('description') or '')[:100]}"
            for item in found
        ]
    return ToolResult("\n".join(lines), ok=False)


# -------------------------------------------------------------------------------------------------------------- repos


async def _list_repos(github: GitHub, params: ReposParams, context: ToolContext) -> ToolResult:
    found, whole = await _all_repos(github, params, context)
    if params.sort in ("stars", "forks"):
        key = {"stars": "stargazers_count", "forks": "forks_count"}[params.sort]
        found.sort(key=lambda item: count(item.get(key)), reverse=params.order == "desc")
    shown = found[: params.limit]
    if not shown:
        return ToolResult(f"{params.owner} has no public repositories.")
    many = f"{len(found):,}" if whole else f"{len(found):,} or more"
    lines = [f"{params.owner}: {len(shown)} of {many} repositories by {params.sort}, {params.order}ending."]
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
        if not isinstance(part, list):
            raise GitHubError("server", "GitHub answered with something that is no list of repositories.")
        found += records(part)
        if len(part) < PER_PAGE:
            return found, True
        if params.sort in ("updated", "created") and len(found) >= params.limit:
            return found, False
        context.log(f"{len(found)} repositories so far")
    return found, False


def _repo(item: Mapping[str, Any]) -> list[str]:
    marks = [word for word in ("archived", "fork") if item.get(word)]
    facts = [
        f"★ {count(item.get('stargazers_count')):,}",
        f"forks {count(item.get('forks_count')):,}",
        str(item.get("language") or "no language"),
        f"updated {str(item.get('pushed_at') or item.get('updated_at') or '?')[:10]}",
        *marks,
    ]
    lines = [f"{item.get('full_name')}  {' · '.join(facts)}"]
    if item.get("description"):
        lines.append(f"   {str(item['description'])[:200]}")
    topics = [str(topic) for topic in items(item.get("topics"))][:5]
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
