"""A person's own upload of a data file: shown like a tool call, and told to the model as a fact of the conversation."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ml_intern.core.artifacts import Artifacts
from ml_intern.core.context.messages import Message
from ml_intern.core.display import DisplayBlock
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    ArtifactEvent,
    Notice,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolState,
    ToolStateChange,
)
from ml_intern.core.session import Session

NAME = "upload"


class UploadError(Exception):
    """The data was not uploaded; the text says why and what to do next."""


@dataclass(frozen=True, slots=True)
class UploadDone:
    """What became of an upload.

    Attributes:
        note: What the model is told.
        summary: What a person is told, in a sentence.
        artifact: The data set it went into.
        display: What a person is shown.
    """

    note: str
    summary: str
    artifact: ArtifactEvent
    display: tuple[DisplayBlock, ...] = ()


Uploader = Callable[[str, str, Callable[[str], None]], Awaitable[UploadDone]]
"""Uploads a path for a session id; the third argument takes lines of progress. Raises `UploadError`."""


async def carry_out(uploader: Uploader, path: str, session: Session, events: EventStream) -> None:
    """Uploads, telling how far it is, and leaves a note for the model."""
    call_id = f"{NAME}-{uuid.uuid4().hex[:12]}"
    began = time.monotonic()

    def tell(line: str) -> None:
        events.emit(ToolLog(tool=NAME, log=line, tool_call_id=call_id))

    def end(text: str, state: ToolState, display: tuple[DisplayBlock, ...] = ()) -> None:
        events.emit(
            ToolOutput(
                tool=NAME,
                tool_call_id=call_id,
                output=text,
                success=state == "completed",
                duration_s=round(time.monotonic() - began, 3),
                display=display,
            )
        )
        events.emit(ToolStateChange(tool=NAME, tool_call_id=call_id, state=state))

    events.emit(ToolCallEvent(tool=NAME, arguments={"path": path}, tool_call_id=call_id))
    events.emit(ToolStateChange(tool=NAME, tool_call_id=call_id, state="running"))
    try:
        done = await uploader(path, session.id, tell)
    except asyncio.CancelledError:
        end("Interrupted. The same command goes on where it was.", "cancelled")
        raise
    except UploadError as error:
        end(f"ERROR: {error}", "failed")
        events.emit(Notice(text=f"Nothing was uploaded: {error}", level="warning"))
        return
    session.context.append(Message("user", done.note, kind="context"))
    session.state.get(Artifacts).take(done.artifact)
    events.emit(done.artifact)
    end(done.note, "completed", done.display)
    events.emit(Notice(text=done.summary))
