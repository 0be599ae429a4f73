"""The built-in tools, in the order a model sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_intern.core.jobs import JobsBackend
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.hub import HubClient
from ml_intern.tools.edit import create_edit_tool
from ml_intern.tools.files import create_file_tools
from ml_intern.tools.github.tools import create_github_tools
from ml_intern.tools.jobs.tool import create_jobs_tool
from ml_intern.tools.plan import create_plan_tool
from ml_intern.tools.repos.details import create_details_tool
from ml_intern.tools.repos.files import create_files_tool
from ml_intern.tools.repos.git import create_git_tool
from ml_intern.tools.repos.search import create_search_tool
from ml_intern.tools.sandbox import create_sandbox_runtime
from ml_intern.tools.shell import create_bash_tool
from ml_intern.tools.web.fetch import create_web_fetch
from ml_intern.tools.web.search import create_web_search

if TYPE_CHECKING:
    from ml_intern.tools.sandbox.access import Sandboxes


@dataclass(frozen=True, slots=True)
class Services:
    """What the built-in tools share.

    Attributes:
        jobs: Where compute jobs run.
        hub: The way to the Hub.
        http: Fetches from all other services.
        env: Environment of the run, secrets included: values of the secrets that a job names come from here.
        sandboxes: Where bash, read, write and edit act; None: on this machine.
    """

    jobs: JobsBackend
    hub: HubClient
    http: HttpService
    env: Mapping[str, str]
    sandboxes: Sandboxes | None = None


def create_builtin_tools(services: Services) -> list[ToolSpec]:
    """All tools that come with the program."""
    endpoints = Endpoints(services.env)
    return [
        *(_local_tools() if services.sandboxes is None else create_sandbox_runtime(services.sandboxes)),
        create_plan_tool(),
        create_jobs_tool(services.jobs, secrets=services.env),
        create_details_tool(services.hub),
        create_search_tool(services.hub),
        create_files_tool(services.hub),
        create_git_tool(services.hub),
        *create_github_tools(services.http, endpoints),
        create_web_search(services.http, endpoints),
        create_web_fetch(services.http, endpoints),
    ]


def _local_tools() -> list[ToolSpec]:
    return [create_bash_tool(), *create_file_tools(), create_edit_tool()]
