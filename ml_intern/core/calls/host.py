"""What tool calls run with, and what each is handed of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.core.events import EventSink
from ml_intern.core.image_store import ImageStore
from ml_intern.core.images import ImageRef
from ml_intern.core.protocol import ToolLog, ToolStateChange
from ml_intern.core.session import Session
from ml_intern.core.settings import Settings
from ml_intern.core.spending import Spending
from ml_intern.core.tools.router import Prepared, ToolRouter
from ml_intern.core.tools.spec import ToolContext, ToolResult

if TYPE_CHECKING:
    from ml_intern.core.subagent import Assignment

Delegate = Callable[[ToolContext, "Assignment"], Awaitable[ToolResult]]
"""Lets a sub-agent work for the call whose context is given."""


@dataclass(frozen=True, slots=True)
class ToolHost:
    """What tool calls run with.

    Attributes:
        router: The tools.
        settings: Configuration.
        env: Environment of child processes.
        spill_dir: Directory for long outputs of a session, by its id.
        images: Where images of a session are kept.
        instructions: What the project's own instructions say, if the person trusts them; else an empty text.
    """

    router: ToolRouter
    settings: Settings
    env: Mapping[str, str]
    spill_dir: Callable[[str], Path]
    images: ImageStore
    instructions: Callable[[], str] = lambda: ""

    def context(
        self, item: Prepared, session: Session, events: EventSink, spending: Spending, delegate: Delegate | None
    ) -> ToolContext:
        """What one call is handed.

        Args:
            item: The call.
            session: Whose it is.
            events: Where it tells what happens.
            spending: Where what it costs is booked.
            delegate: Gives it a sub-agent; None where it gets none.
        """
        tool, call_id = item.name, item.call_id

        def show(line: str) -> None:
            events.emit(ToolLog(tool=tool, log=line, tool_call_id=call_id))

        def set_state(state: str, *, job_url: str | None = None, display: Any = ()) -> None:
            change = ToolStateChange(
                tool=tool, tool_call_id=call_id, state=state, job_url=job_url, display=tuple(display)
            )
            events.emit(change)

        async def keep_image(name: str, data: bytes) -> ImageRef:
            return await asyncio.to_thread(self.images.keep, session.id, name, data)

        context = ToolContext(
            call_id=call_id,
            session_id=session.id,
            workspace=session.workspace,
            spill_dir=self.spill_dir(session.id),
            settings=self.settings,
            env=self.env,
            state=session.state,
            log=show,
            set_state=set_state,
            emit=events.emit,
            pay_as=partial(spending.pay_as, call_id),
            pay_later=spending.pay_later,
            measure=spending.measure,
            rent=partial(spending.rent, call_id),
            keep_image=keep_image,
        )
        if delegate is not None:
            context.delegate = partial(delegate, context)
        return context
