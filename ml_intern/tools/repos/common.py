"""What the repository tools share: how a repository is named, sizes in words, and failures with the next step."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ml_intern.core.tools.spec import Params, ToolContext, ToolResult
from ml_intern.services.hub import HubClient, HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RepoType = Literal["model", "dataset", "space"]
TYPES: tuple[RepoType, ...] = ("model", "dataset", "space")

OUTPUT_SCALE = 2.0
"""What a file says in its middle is not to be left out of a read."""
_PREFIX = re.compile(r"(?:https?://[^/]+/|hf://)?(?:(dataset|space|model)s/)?", re.IGNORECASE)
_PLACE_IN_REPO = re.compile(r"/(?:tree|blob|resolve|commit|discussions|settings)(?:/.*)?$")


class RepoError(HubError):
    """A call cannot be done; the text says why and what to do next."""

    def __init__(self, message: str) -> None:
        super().__init__("refused", message)


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository.

    Attributes:
        id: `owner/name`, or a bare name for the few that have no owner.
        type: `model`, `dataset` or `space`.
    """

    id: str
    type: RepoType = "model"

    def __str__(self) -> str:
        """The repository in words: `dataset me/notes`."""
        return f"{self.type} {self.id}"

    @property
    def owner(self) -> str:
        """Whose it is; empty for the few repositories without an owner."""
        return self.id.partition("/")[0] if "/" in self.id else ""


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _singular(value: Any) -> Any:
    return _lower(value).removesuffix("s") if isinstance(value, str) else value


def split_address(text: str) -> tuple[str, RepoType | None]:
    """The id in what may be an id, `datasets/owner/name` or the address of a page, and the type it tells."""
    match = _PREFIX.match(text.strip())
    assert match is not None  # every part of it is optional
    named: RepoType | None = match[1].lower() if match[1] else None  # type: ignore[assignment]  # one of the three
    rest = text.strip()[match.end() :]
    if named or "://" in text:
        rest = _PLACE_IN_REPO.sub("", rest)
    return rest.strip("/"), named


class RepoParams(Params):
    """Parameters that name one repository."""

    repo_id: str = Field(description="owner/name")
    repo_type: Annotated[RepoType, BeforeValidator(_singular)] = "model"

    @model_validator(mode="before")
    @classmethod
    def _type_in_the_address(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("repo_id"), str):
            return data
        repo_id, named = split_address(data["repo_id"])
        changed = {**data, "repo_id": repo_id}
        if named:
            changed["repo_type"] = named
        return changed

    @field_validator("repo_id")
    @classmethod
    def _names_one(cls, repo_id: str) -> str:
        if not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)?", repo_id):
            raise ValueError(f"{repo_id!r} is no repository id; it looks like owner/name")
        return repo_id

    @property
    def repo(self) -> Repo:
        """The repository."""
        return Repo(self.repo_id, self.repo_type)


OperationName = BeforeValidator(
    lambda value: re.sub(r"[\s-]+", "_", _lower(value)) if isinstance(value, str) else value
)
"""Operations are taken in any case, with blanks or hyphens between the words."""


def as_list(value: Any) -> Any:
    """A single text as a list of one: models write either."""
    return [value] if isinstance(value, str) else value


def matches(path: str, pattern: str) -> bool:
    """Whether a path is what a pattern names: the path itself, a folder it lies in, or a wildcard over all of it."""
    folder = pattern.strip("/") + "/"
    return path == pattern.strip("/") or path.startswith(folder) or fnmatch.fnmatchcase(path, pattern)


def failed(error: Exception | str) -> ToolResult:
    """The result of a call that could not be done."""
    return ToolResult(f"ERROR: {error}", ok=False)


def size_text(size: float | None) -> str:
    """A number of bytes in words."""
    if size is None:
        return "?"
    if size < 1000:
        return f"{int(size)} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.2f} TB"


def count_text(count: int, what: str, plural: str = "") -> str:
    """A number of things in words."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def quantity(number: float | None) -> str:
    """A large number in short: `7.2B`, `135M`, `12k`."""
    if number is None:
        return "?"
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:g}"


async def owner_is_me(hub: HubClient, repo: Repo) -> bool:
    """Whether a repository belongs to the token's owner alone, and not to an organisation or to somebody else."""
    try:
        account = await hub.account()
    except HubError:
        return False
    return repo.owner == account.name


async def explained(
    error: HubError, hub: HubClient, repo: Repo, *, path: str = "", revision: str = "", writing: bool = False
) -> RepoError:
    """A failure on a repository in words, with the next step.

    Args:
        error: What the Hub client said.
        hub: To look whether the repository is of another type.
        repo: The repository of the call.
        path: The file of the call.
        revision: The revision of the call.
        writing: Whether the call would have changed something.
    """
    match error.kind:
        case "no_repo" | "missing" | "token":
            return RepoError(await _no_repo(error, hub, repo, writing=writing))
        case "gated":
            url = hub.web_url(repo.id, repo.type)
            who = "your account has no access yet" if hub.token else "there is no Hugging Face token"
            return RepoError(f"{repo} is gated, and {who}. A person asks for access at {url}; then try again.")
        case "no_revision":
            return RepoError(f"{repo} has no revision {revision or 'main'!r}. hf_repo_git list_refs lists them.")
        case "no_file":
            where = f" at revision {revision}" if revision and revision != "main" else ""
            return RepoError(f"{repo} has no file {path!r}{where}. Operation list shows what is there.")
        case "refused" if error.status == 412:
            return RepoError(
                f"{repo} has changed since parent_commit, so nothing was written. Read the file again, then write on "
                "top of what is there now."
            )
        case "forbidden" if writing:
            return RepoError(
                f"Your token may not write to {repo}: {error}. It needs write permission there "
                f"({hub.endpoint}/settings/tokens); or propose the change with create_pr=true."
            )
        case _:
            return RepoError(str(error))


async def _no_repo(error: HubError, hub: HubClient, repo: Repo, *, writing: bool) -> str:
    if error.kind == "token" and hub.token and "redential" in str(error):
        return f"The Hub does not accept your token. Make another one at {hub.endpoint}/settings/tokens."
    others = [kind for kind in TYPES if kind != repo.type]
    exist = await asyncio.gather(*(_exists(hub, Repo(repo.id, kind)) for kind in others))
    found = [kind for kind, there in zip(others, exist, strict=True) if there]
    if found:
        return f"There is no {repo}, but a {' and a '.join(found)} of that name: pass repo_type={found[0]}."
    if not hub.token:
        return (
            f"{repo} does not exist, or it is private: there is no Hugging Face token. Check the name, or set HF_TOKEN."
        )
    made = " hf_repo_git create_repo makes one." if writing else ""
    return f"{repo} does not exist, or your account may not see it. Check its name and repo_type.{made}"


async def _exists(hub: HubClient, repo: Repo) -> bool:
    try:
        return await hub.call(lambda api: api.repo_exists(repo.id, repo_type=repo.type))
    except HubError:
        return False


def runs_here(context: ToolContext) -> bool:
    """Whether the file tools act on this machine, so that a local path means what the model thinks it means."""
    return context.settings.tool_runtime == "local"


def head_of(api: HfApi, repo: Repo, revision: str = "") -> str:
    """The commit that a revision stands for."""
    info = api.repo_info(repo.id, repo_type=repo.type, revision=revision or None)
    return str(info.sha or "")
