"""What a tool needs to run in a test: a real context over real directories, and what it said on the way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.image_store import ImageStore
from ml_intern.core.images import ImageRef
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import SessionState, ToolContext, ToolResult, ToolSpec

_SYSTEM = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


@dataclass
class Bench:
    """One session's worth of tool calls.

    Attributes:
        workspace: Where the tools work.
        home: The person's home directory; the workspace lies in it.
        logged: What calls showed while they ran.
        emitted: Events that tools sent.
    """

    workspace: Path
    home: Path
    settings: Settings = field(default_factory=Settings)
    env: Mapping[str, str] = field(default_factory=dict)
    state: SessionState = field(default_factory=SessionState)
    logged: list[str] = field(default_factory=list)
    emitted: list[Any] = field(default_factory=list)
    calls: int = 0

    @classmethod
    def at(cls, directory: Path, **settings: Any) -> Bench:
        """A bench with a home directory and a workspace under `directory`."""
        home = directory / "home"
        workspace = home / "project"
        workspace.mkdir(parents=True)
        return cls(workspace, home, settings=Settings(**settings))

    @property
    def spill_dir(self) -> Path:
        """Where long output goes."""
        return self.home.parent / "outputs"

    def context(self) -> ToolContext:
        """A context for one more call of the session."""
        self.calls += 1
        return ToolContext(
            call_id=f"call-{self.calls}",
            session_id="session",
            workspace=self.workspace,
            spill_dir=self.spill_dir,
            settings=self.settings,
            env={**_SYSTEM, "HOME": str(self.home), **self.env},
            state=self.state,
            log=self.logged.append,
            set_state=lambda *_, **__: None,
            emit=self.emitted.append,
            keep_image=self._keep_image,
        )

    async def _keep_image(self, name: str, data: bytes) -> ImageRef:
        return ImageStore(lambda _: self.home.parent / "images").keep("session", name, data)

    async def run(self, spec: ToolSpec, **arguments: Any) -> ToolResult:
        """Runs a call with arguments as a model sends them."""
        return await spec.handler(validated(spec, arguments), self.context())

    async def assess(self, spec: ToolSpec, **arguments: Any) -> Assessment:
        """What the tool says that a call would do."""
        assert spec.assess is not None
        assessment = spec.assess(validated(spec, arguments), self.context())
        return assessment if isinstance(assessment, Assessment) else await assessment

    @property
    def log_lines(self) -> list[str]:
        """All lines that were shown live."""
        return "\n".join(self.logged).split("\n") if self.logged else []


def validated(spec: ToolSpec, arguments: dict[str, Any]) -> BaseModel:
    """The arguments as the tool's own model."""
    assert isinstance(spec.parameters, type)
    return spec.parameters.model_validate(arguments)


def within_marks(text: str) -> str:
    """What stands between the marks of fetched text; the assertion fails when there are none."""
    opening, _, rest = text.partition("\n")
    inside, _, closing = rest.rpartition("\n")
    assert opening.startswith("<fetched by="), text
    assert closing.startswith("</fetched mark="), text
    return inside
