"""Looks into data sets, on the Hub and in files, for the agent and for the person alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.display import DatasetBlock
from ml_intern.core.previews import PreviewError
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.datasets_server import DatasetError, DatasetsServer
from ml_intern.services.http import Progress
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner
from ml_intern.tools.datasets.found import Found, block, report
from ml_intern.tools.datasets.hub import explain, look_into_hub
from ml_intern.tools.datasets.local import look_into_file
from ml_intern.tools.datasets.reading import DataFileError, kind_of_file
from ml_intern.tools.datasets.tool import InspectParams
from ml_intern.tools.files import assess_path
from ml_intern.tools.known_datasets import KnownDatasets
from ml_intern.tools.text_files import FileError, locate, regular_file

FILE_LIMIT_S = 60.0

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_PATH = re.compile(r"[/~]|\.\.?[/\\]|[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks into data sets, for the agent and for the person alike.

    Attributes:
        server: The services that know data sets of the Hub.
        runner: Reads files.
        local: Whether there are files here; otherwise they are in a sandbox.
    """

    server: DatasetsServer
    runner: Runner
    local: bool = True

    async def look(self, name: str, config: str, split: str, workspace: Path, progress: Progress) -> Found:
        """What a data set holds.

        Args:
            name: Id or address of a data set of the Hub, or a path.
            config: Config to look into; empty for the default one.
            split: Split to look into; empty for train.
            workspace: Where relative paths begin.
            progress: Told what is being done.

        Raises:
            PreviewError: It cannot be looked into.
        """
        if is_path(name):
            found = await self._look_into_file(name, workspace, progress)
            if config or split:
                found.problems.append("A file has no configs and no splits; those that were named were not used.")
            return found
        bare = hub_id(name)
        if not _ID.fullmatch(bare) or ".." in bare:
            raise PreviewError(
                f"{name!r} is neither a data set of the Hub (owner/name) nor a data file (.csv, .tsv, .jsonl, .json)."
            )
        try:
            return await look_into_hub(self.server, bare, config, split, progress)
        except DatasetError as error:
            raise PreviewError(explain(bare, error, self.server.endpoints)) from error

    async def _look_into_file(self, name: str, workspace: Path, progress: Progress) -> Found:
        if not self.local:
            raise PreviewError(f"{name} is a path, and the files are in the sandbox: look at it there with bash.")
        try:
            path = locate(name, workspace)
            if not path.is_dir():
                regular_file(path)
            progress(f"reading {path.name}")
            return await self.runner.run(look_into_file, path, name, limit_s=FILE_LIMIT_S)
        except (DataFileError, FileError) as error:
            raise PreviewError(str(error)) from error
        except WorkError as error:
            raise PreviewError(f"{name} {error}. Look at a part of it with bash.") from error


class Inspection:
    """The tool over an inspector."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    async def assess(self, params: InspectParams, context: ToolContext) -> Assessment:
        """What a call would do."""
        if is_path(params.dataset):
            return assess_path(params.dataset, context, {Effect.READ}, "reads")
        return Assessment(frozenset({Effect.READ}), subject=params.dataset)

    async def handle(self, params: InspectParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        asked = params.dataset, params.config or "", params.split or ""
        try:
            found = await self._inspector.look(*asked, context.workspace, context.log)
        except PreviewError as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        if found.columns:
            names = frozenset(column.name for column in found.columns)
            context.state.get(KnownDatasets).add(found.name, names, found.row_count)
        return ToolResult(report(found, params.sample_rows), display=(block(found),))


async def preview(
    inspector: Inspector, workspace: Path, name: str, config: str, split: str, progress: Progress
) -> DatasetBlock:
    """What a person sees of a data set.

    Raises:
        PreviewError: It cannot be looked into.
    """
    return block(await inspector.look(name, config, split, workspace, progress))


def is_path(name: str) -> bool:
    """Whether a file is meant and no data set of the Hub."""
    return "://" not in name and bool(_PATH.match(name) or kind_of_file(name))


def hub_id(name: str) -> str:
    """The id in an address of a data set's page, or in `datasets/owner/name`."""
    if "://" not in name:
        return name.strip("/").removeprefix("datasets/")
    parts = [part for part in urlsplit(name).path.split("/") if part]
    return "/".join(parts[1:3]) if parts[:1] == ["datasets"] else name
