"""What the tests of jobs share: a context that records, a gate a job waits at, a look at processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import SessionState, ToolContext, ToolResult, ToolSpec
from ml_intern.tools.jobs.params import JobsParams

Value = TypeVar("Value")
PATIENCE_S = 10.0


@dataclass
class Seen:
    """What a call showed while it ran."""

    log: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    logged: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lines(self) -> list[str]:
        return "\n".join(self.log).split("\n") if self.log else []


def make_context(
    workspace: Path,
    *,
    settings: Settings | None = None,
    env: Mapping[str, str] | None = None,
    session: str = "session-1",
    call_id: str = "call_1",
    state: SessionState | None = None,
) -> tuple[ToolContext, Seen]:
    seen = Seen()

    def show(text: str) -> None:
        seen.log.append(text)
        seen.logged.set()

    def set_state(state: str, **_: Any) -> None:
        seen.states.append(state)

    context = ToolContext(
        call_id=call_id,
        session_id=session,
        workspace=workspace,
        spill_dir=workspace / "spill",
        settings=settings or Settings(),
        env=dict(os.environ) if env is None else env,
        state=state or SessionState(),
        log=show,
        set_state=set_state,
        emit=lambda event: None,
    )
    return context, seen


async def assess(tool: ToolSpec, context: ToolContext, **arguments: Any) -> Assessment:
    assert tool.assess is not None
    answer = tool.assess(JobsParams.model_validate(arguments), context)
    return await answer if isinstance(answer, Awaitable) else answer


async def call(tool: ToolSpec, context: ToolContext, **arguments: Any) -> ToolResult:
    return await asyncio.wait_for(tool.handler(JobsParams.model_validate(arguments), context), PATIENCE_S)


class Gate:
    """A named pipe: a job that reads it waits until `open` is called."""

    def __init__(self, directory: Path, name: str = "gate") -> None:
        self.path = directory / name
        os.mkfifo(self.path)

    @property
    def python(self) -> str:
        return f"open({str(self.path)!r}).read()"

    @property
    def shell(self) -> str:
        return f"cat '{self.path}' > /dev/null"

    async def open(self) -> None:
        def reader() -> int:
            with contextlib.suppress(OSError):  # nobody reads yet; waiting in a thread could be for ever
                return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            return 0

        os.close(await until(reader))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc").is_dir()


async def until(condition: Callable[[], Value]) -> Value:
    """Waits for a change that another process makes, of which only the outcome can be seen."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return value
