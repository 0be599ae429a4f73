"""The way to the Hugging Face Hub: the official client in threads, and its many errors as one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

from ml_intern.core.llm.routing import find_hf_token
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.threads import in_thread, stream_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from huggingface_hub import HfApi

T = TypeVar("T")

HubProblem = Literal[
    "no_token", "token", "forbidden", "gated", "no_repo", "no_revision", "no_file", "missing", "exists", "billing",
    "rate_limit", "refused", "offline", "server",
]  # fmt: skip
"""Kinds of failure that call for different next steps."""

_KINDS_BY_STATUS: dict[int, HubProblem] = {
    401: "token", 402: "billing", 403: "forbidden", 404: "missing", 409: "exists", 429: "rate_limit",
}  # fmt: skip


class HubError(Exception):
    """A call to the Hub failed; the text is a sentence for people and models.

    Attributes:
        kind: What sort of failure it is.
        status: HTTP status, 0 when there was no answer.
    """

    def __init__(self, kind: HubProblem, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


@dataclass(frozen=True, slots=True)
class Account:
    """Who a token belongs to.

    Attributes:
        name: The user.
        orgs: Organisations of the user, sorted.
    """

    name: str
    orgs: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Whom jobs and repositories may belong to, the user first."""
        return (self.name, *self.orgs)


class HubClient:
    """Calls the Hub for one person.

    Args:
        env: Environment of the run: `HF_ENDPOINT`, and where the token is found.

    Attributes:
        endpoint: Base URL of the Hub, without a slash at the end.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.endpoint = Endpoints(env).url("hub")
        self._api: HfApi | None = None
        self._account: Account | None = None
        self._asking = asyncio.Lock()

    @property
    def token(self) -> str:
        """The Hugging Face token, or an empty string. Looked up at each use: a login may come later."""
        return find_hf_token(self._env)

    def web_url(self, repo_id: str, repo_type: str = "model", *, path: str = "") -> str:
        """Where a browser shows a repository, or `path` in it (`tree/main`, `discussions/3`)."""
        prefix = "" if repo_type == "model" else f"{repo_type}s/"
        return f"{self.endpoint}/{prefix}{repo_id}" + (f"/{quote(path)}" if path else "")

    async def call(self, work: Callable[[HfApi], T]) -> T:
        """The result of a function over the official client, run in a thread.

        Raises:
            HubError: The call failed.
        """
        return await in_thread(lambda: self._mapped(work), name="hub")

    async def stream(self, work: Callable[[HfApi], Iterator[T]]) -> AsyncGenerator[T, None]:
        """Items of an iterator over the official client as they come.

        Raises:
            HubError: The call failed.
        """

        def produce() -> Iterator[T]:
            try:
                yield from work(self.api())
            except Exception as error:
                raise hub_error(error, self.endpoint) from error

        async for item in stream_in_thread(produce, name="hub stream"):
            yield item

    async def account(self) -> Account:
        """Who the token belongs to; asked once.

        Raises:
            HubError: There is no token, the Hub does not accept it, or cannot be reached.
        """
        async with self._asking:
            if self._account is None:
                if not self.token:
                    raise HubError("no_token", "This needs a Hugging Face token: set HF_TOKEN or run `hf auth login`.")
                self._account = _account(await self.call(lambda api: api.whoami()))
            return self._account

    def api(self) -> HfApi:
        """The official client. Imports it: call this in a thread when something is on the screen."""
        # The library reads these once, at its import; its own parts (sandboxes, downloads) go by them.
        os.environ.setdefault("HF_ENDPOINT", self.endpoint)
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_EXPERIMENTAL_WARNING", "1")
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its warnings would go to the terminal
        from huggingface_hub import HfApi

        token = self.token
        if self._api is None or self._api.token != (token or False):
            # False: without a token of ours the client must not go and find one by itself.
            self._api = HfApi(endpoint=self.endpoint, token=token or False)
        return self._api

    def _mapped(self, work: Callable[[HfApi], T]) -> T:
        try:
            return work(self.api())
        except HubError:
            raise
        except Exception as error:
            raise hub_error(error, self.endpoint) from error


def hub_error(error: Exception, endpoint: str) -> HubError:
    """One failure of the official client in our words."""
    if isinstance(error, HubError):
        return error
    from huggingface_hub import errors

    status = int(getattr(getattr(error, "response", None), "status_code", 0) or 0)
    said = str(getattr(error, "server_message", "") or "").strip()
    kinds: tuple[tuple[type[BaseException], HubProblem], ...] = (
        (errors.GatedRepoError, "gated"),
        (errors.RepositoryNotFoundError, "no_repo"),
        (errors.RevisionNotFoundError, "no_revision"),
        (errors.EntryNotFoundError, "no_file"),
        (errors.LocalTokenNotFoundError, "no_token"),
    )
    for kind_of_error, kind in kinds:
        if isinstance(error, kind_of_error):
            return HubError(kind, said or _first_line(error), status)
    if status >= 500:
        return HubError("server", f"The Hub answered with an error ({status}): {said or 'no reason given'}.", status)
    if status:
        return HubError(_KINDS_BY_STATUS.get(status, "refused"), said or _first_line(error), status)
    if isinstance(error, ValueError | TypeError):
        return HubError("refused", _first_line(error))
    return HubError("offline", f"{endpoint} cannot be reached ({_first_line(error)}).")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _account(answer: Mapping[str, Any]) -> Account:
    orgs = sorted(str(org["name"]) for org in answer.get("orgs") or () if org.get("name"))
    return Account(str(answer["name"]), tuple(orgs))
