"""The app with a conversation that a program plays: the inside of `benchmarks/transcript.py`.

Takes orders over a socket, one JSON object a line (`{"do": "load", "messages": 100}`), and answers each with figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.procfs import memory_mb
from benchmarks.words import PARAGRAPHS, words
from ml_intern.core.display import LogBlock
from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    Processing,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import WatchedApp

Figures = dict[str, float]
DONE = TurnComplete(reason="completed", final_response="", iterations=1, cost_usd=0.0, tokens=0)
PIECE = 65_536
AT_ONCE = 200
"""Messages that are played before the app gets a turn."""


class Counting(WatchedApp):
    """Counts how often a screen is laid out."""

    layouts = 0

    def count_layouts(self) -> None:
        """Begins to count."""
        screen = self.main_screen
        lay_out = screen._refresh_layout

        def counted(*args: Any, **options: Any) -> None:
            Counting.layouts += 1
            lay_out(*args, **options)

        screen._refresh_layout = counted  # type: ignore[method-assign]  # Textual has no hook for it


class Conductor:
    """Carries out orders.

    Args:
        app: The app.
        agent: Plays events into it.
    """

    def __init__(self, app: Counting, agent: PlayedAgent) -> None:
        self._app = app
        self._play = agent.events.play
        self._messages = 0
        self._stream: asyncio.Task[int] | None = None
        self._orders: dict[str, Callable[..., Awaitable[Figures]]] = {
            "load": self._load,
            "stream": self._begin_stream,
            "stop": self._end_stream,
            "think": self._think,
            "done": self._done,
            "output": self._output,
            "calls": self._calls,
            "figures": self._figures,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers orders until there are no more, then ends the app."""
        while line := await reader.readline():
            order = json.loads(line)
            figures = await self._orders[order.pop("do")](**order)
            writer.write(json.dumps(figures).encode() + b"\n")
            await writer.drain()
        writer.close()
        self._app.exit()

    async def _load(self, messages: int) -> Figures:
        """As many messages as that in all."""
        began = time.process_time()
        while self._messages < messages:
            text = "".join(PARAGRAPHS[self._messages % 6 :] + PARAGRAPHS[: self._messages % 6])
            text = text.replace("41 minutes", f"{self._messages} minutes")  # no two are the same
            self._play(UserMessage(content=f"And what of run {self._messages}?"), AssistantMessage(content=text))
            self._messages += 2
            if self._messages % AT_ONCE == 0:
                await asyncio.sleep(0)
        await self._painted()
        return {"cpu_s": time.process_time() - began}

    async def _begin_stream(self, rate: float) -> Figures:
        """An answer of this many tokens a second, without an end."""
        self._play(UserMessage(content="Go on."), Processing())
        self._stream = asyncio.create_task(self._tokens(rate))
        return {}

    async def _tokens(self, rate: float) -> int:
        sent, start, said = 0, time.perf_counter(), words(100_000)
        try:
            while True:
                self._play(AssistantChunk(content=said[sent % len(said)]))
                sent += 1
                await asyncio.sleep(max(0.0, start + sent / rate - time.perf_counter()))
        except asyncio.CancelledError:
            return sent

    async def _end_stream(self) -> Figures:
        assert self._stream is not None
        self._stream.cancel()
        sent = await self._stream
        self._play(AssistantStreamEnd(), AssistantMessage(content="".join(words(sent))), DONE)
        self._messages += 2
        await self._painted()
        return {"tokens": sent}

    async def _think(self) -> Figures:
        """A turn that waits: a call that runs, and a clock that ticks."""
        self._play(UserMessage(content="Wait."), Processing(), AssistantChunk(content="Hm.", kind="reasoning"))
        self._play(ToolCallEvent(tool="bash", arguments={"command": "sleep 99"}, tool_call_id="think"))
        self._play(ToolStateChange(tool="bash", tool_call_id="think", state="running"))
        await self._painted()
        return await self._figures()

    async def _done(self) -> Figures:
        self._play(ToolOutput(tool="bash", tool_call_id="think", output="", success=True), AssistantStreamEnd(), DONE)
        await self._painted()
        return {}

    async def _output(self, megabytes: float) -> Figures:
        """A call that puts out as much as that, as fast as the app takes it."""
        began = time.process_time()
        line = "{'loss': 1.0312, 'grad_norm': 0.81, 'epoch': 1.4}\n"
        whole = line * int(megabytes * 1e6 / len(line))
        self._play(UserMessage(content="Print."), Processing())
        self._play(ToolCallEvent(tool="bash", arguments={"command": "cat log"}, tool_call_id="out"))
        self._play(ToolStateChange(tool="bash", tool_call_id="out", state="running"))
        for at in range(0, len(whole), PIECE):
            self._play(ToolLog(tool="bash", log=whole[at : at + PIECE], tool_call_id="out"))
            await asyncio.sleep(0)
        self._play(ToolOutput(tool="bash", tool_call_id="out", output=whole, success=True), DONE)
        await self._painted()
        return {"cpu_s": time.process_time() - began}

    async def _calls(self, number: int, kilobytes: int) -> Figures:
        """So many calls with an output of so many kilobytes each."""
        before = memory_mb(_OWN)
        self._play(UserMessage(content="Run them."), Processing())
        for at in range(number):
            text = random.Random(at).randbytes(kilobytes * 500).hex()  # nothing that could be packed well
            lines = tuple(text[start : start + 90] for start in range(0, len(text), 90))
            self._play(ToolCallEvent(tool="bash", arguments={"command": f"run {at}"}, tool_call_id=f"call {at}"))
            self._play(
                ToolOutput(
                    tool="bash",
                    tool_call_id=f"call {at}",
                    output=text,
                    success=True,
                    display=(LogBlock(lines=lines[-200:], omitted=len(lines) - 200),),
                )
            )
            if at % 10 == 9:
                await self._painted()
        self._play(DONE)
        await self._painted()
        return {"mb": memory_mb(_OWN) - before}

    async def _figures(self) -> Figures:
        return {"layouts": Counting.layouts, "cpu_s": time.process_time(), "mb": memory_mb(_OWN)}

    async def _painted(self) -> None:
        """Waits until what was played has been painted: the bridge gathers for a moment."""
        await asyncio.sleep(0.1)
        done = asyncio.Event()
        self._app.main_screen.call_after_refresh(done.set)
        await done.wait()


_OWN = os.getpid()


async def main(address: str) -> None:
    """Runs the app and serves orders at a socket."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        app, agents = played_app(Path(directory), kind=Counting, clock=time.time)
        assert isinstance(app, Counting)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not agents or not app.main_screen.state.ready:
                await asyncio.sleep(0.02)
            app.count_layouts()
            await Conductor(app, agents[0]).serve(reader, writer)

        async with await asyncio.start_unix_server(serve, address):
            await app.run_async()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
