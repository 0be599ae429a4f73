"""The built-in tools, in the order a model sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ml_intern.core.display import DatasetBlock
from ml_intern.core.once import Once
from ml_intern.core.questions import Questions
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import MessagingSettings
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.hub import HubClient
from ml_intern.services.workers import Workers
from ml_intern.tools.ask_user import create_ask_user_tool
from ml_intern.tools.datasets.tool import create_inspect_dataset
from ml_intern.tools.docs.api import create_find_api
from ml_intern.tools.docs.tools import create_docs_tools
from ml_intern.tools.edit import create_edit_tool
from ml_intern.tools.files import create_file_tools
from ml_intern.tools.github.tools import create_github_tools
from ml_intern.tools.jobs.tool import create_jobs_tool
from ml_intern.tools.papers.tool import create_papers_tool
from ml_intern.tools.plan import create_plan_tool
from ml_intern.tools.repos.details import create_details_tool
from ml_intern.tools.repos.files import create_files_tool
from ml_intern.tools.repos.git import create_git_tool
from ml_intern.tools.repos.search import create_search_tool
from ml_intern.tools.research import create_research_tool
from ml_intern.tools.sandbox import create_sandbox_runtime
from ml_intern.tools.shell import create_bash_tool
from ml_intern.tools.web.fetch import create_web_fetch
from ml_intern.tools.web.search import create_web_search

if TYPE_CHECKING:
    from pathlib import Path

    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.services.docs import Docs
    from ml_intern.services.http import Progress
    from ml_intern.services.search_index import SearchIndex
    from ml_intern.tools.datasets.inspector import Inspector
    from ml_intern.tools.sandbox.access import Sandboxes


@dataclass(frozen=True, slots=True)
class Services:
    """What the built-in tools share.

    Attributes:
        jobs: Where compute jobs run.
        hub: The way to the Hub.
        http: Fetches from all other services.
        index: Documentation that has been fetched, searchable.
        env: Environment of the run, secrets included: values of the secrets that a job names come from here.
        messaging: Who may be told of a session from outside of it.
        sandboxes: Where bash, read, write and edit act; None: on this machine.
        questions: Where questions wait for the person.
        workers: Take documents apart.
    """

    jobs: JobsBackend
    hub: HubClient
    http: HttpService
    index: Once[SearchIndex]
    env: Mapping[str, str]
    messaging: MessagingSettings = field(default_factory=MessagingSettings)
    sandboxes: Sandboxes | None = None
    questions: Questions = field(default_factory=Questions)
    workers: Workers = field(default_factory=Workers)

    async def aclose(self) -> None:
        """Closes connections and files, and ends the workers."""
        await self.workers.aclose()
        await self.http.aclose()
        if self.index.made is not None:
            self.index.made.close()


def create_inspector(services: Services) -> Inspector:
    """Looks into data sets, for the agent and for the person alike."""
    from ml_intern.services.datasets_server import DatasetsServer
    from ml_intern.tools.datasets.inspector import Inspector

    server = DatasetsServer(services.http, Endpoints(services.env))
    return Inspector(server, services.workers, local=services.sandboxes is None)


async def preview_dataset(
    services: Services, workspace: Path, name: str, config: str, split: str, progress: Progress
) -> DatasetBlock:
    """What a person sees of a data set. See `preview`."""
    inspector = await asyncio.to_thread(create_inspector, services)
    from ml_intern.tools.datasets.inspector import preview

    return await preview(inspector, workspace, name, config, split, progress)


def _docs(services: Services) -> Docs:
    from ml_intern.services.docs import Docs

    return Docs(services.http, Endpoints(services.env), services.index(), runner=services.workers)


def create_builtin_tools(services: Services) -> list[ToolSpec]:
    """All tools that come with the program."""
    endpoints = Endpoints(services.env)
    workers = services.workers
    return [
        *(_local_tools() if services.sandboxes is None else create_sandbox_runtime(services.sandboxes)),
        create_plan_tool(),
        create_ask_user_tool(services.questions),
        create_research_tool(),
        create_jobs_tool(
            services.jobs,
            secrets=services.env,
            hub=services.hub,
            read_script=services.sandboxes.read_script if services.sandboxes is not None else None,
        ),
        create_details_tool(services.hub),
        create_search_tool(services.hub),
        create_files_tool(services.hub),
        create_git_tool(services.hub),
        *create_docs_tools(services.http, endpoints, partial(_docs, services)),
        create_find_api(services.http, endpoints, services.index, workers),
        create_papers_tool(services.http, endpoints, workers),
        create_inspect_dataset(partial(create_inspector, services)),
        *create_github_tools(services.http, endpoints, workers),
        create_web_search(services.http, endpoints, workers),
        create_web_fetch(services.http, endpoints, workers),
        *_notify(services, endpoints),
    ]


def _local_tools() -> list[ToolSpec]:
    return [create_bash_tool(), *create_file_tools(), create_edit_tool()]


def _notify(services: Services, endpoints: Endpoints) -> list[ToolSpec]:
    if not services.messaging.enabled:
        return []
    from ml_intern.services.slack import Slack
    from ml_intern.tools.notify import create_notify_tool

    slack = Slack(services.http, endpoints)
    tool = create_notify_tool(slack, services.messaging, Redactor.from_env(services.env).text)
    return [] if tool is None else [tool]
