"""Where each service is, and which of them may see the Hugging Face token. Every address can be a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from ml_intern.core.llm.routing import find_hf_token

Service = Literal[
    "hub", "datasets_server", "github", "arxiv", "ar5iv", "semantic_scholar", "gradio_docs", "gradio_search",
    "web_search", "slack",
]  # fmt: skip

_VARIABLES: dict[Service, tuple[str, str]] = {
    "hub": ("HF_ENDPOINT", "https://huggingface.co"),
    "datasets_server": ("HF_DATASETS_SERVER_URL", "https://datasets-server.huggingface.co"),
    "github": ("GITHUB_API_URL", "https://api.github.com"),
    "arxiv": ("ARXIV_BASE_URL", "https://arxiv.org"),
    "ar5iv": ("AR5IV_BASE_URL", "https://ar5iv.labs.arxiv.org"),
    "semantic_scholar": ("SEMANTIC_SCHOLAR_API_URL", "https://api.semanticscholar.org"),
    "gradio_docs": ("GRADIO_DOCS_URL", "https://gradio.app"),
    "gradio_search": ("GRADIO_SEARCH_URL", "https://playground-worker.pages.dev"),
    "web_search": ("WEB_SEARCH_BASE_URL", "https://html.duckduckgo.com/html/"),
    "slack": ("SLACK_API_URL", "https://slack.com/api"),
}
_HUGGING_FACE = frozenset({"huggingface.co", "hf.co", "datasets-server.huggingface.co"})


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The services as an environment names them, looked up at each use.

    Attributes:
        env: Environment of the run.
    """

    env: Mapping[str, str]

    def url(self, service: Service, path: str = "") -> str:
        """Address of a service, or of a path below it."""
        variable, default = _VARIABLES[service]
        base = (self.env.get(variable, "").strip() or default).rstrip("/")
        return f"{base}/{path.lstrip('/')}" if path else base

    def hf_headers(self, url: str) -> dict[str, str]:
        """The Hugging Face token as a header for an address that may see it; nothing for any other address."""
        token = find_hf_token(self.env)
        return {"Authorization": f"Bearer {token}"} if token and self.may_see_hf_token(url) else {}

    def github_headers(self, url: str) -> dict[str, str]:
        """Headers of a request to GitHub, with the token when there is one and the address is GitHub's."""
        token = self.env.get("GITHUB_TOKEN", "").strip()
        said = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token and origin_of(url) == origin_of(self.url("github")):
            said["Authorization"] = f"Bearer {token}"
        return said

    def is_stand_in(self, url: str) -> bool:
        """Whether an address is one that the environment names for a service."""
        named = (self.env.get(variable, "").strip() for variable, _ in _VARIABLES.values())
        return any(origin_of(url) == origin_of(base) for base in named if base)

    def may_see_hf_token(self, url: str) -> bool:
        """Whether an address is Hugging Face's, or a stand-in that the environment names for it."""
        place = origin_of(url)
        if place == NOWHERE:
            return False
        if place in (origin_of(self.url("hub")), origin_of(self.url("datasets_server"))):
            return True
        return place[0] == "https" and place[1] in _HUGGING_FACE and place[2] in (None, 443)


NOWHERE: tuple[str, str, int | None] = ("", "", None)
"""The origin of what is no address."""


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what may see the same credentials; `NOWHERE` of what is no address."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, half an IPv6 address
        return NOWHERE
