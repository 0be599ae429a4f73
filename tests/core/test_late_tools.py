from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import ToolContext, ToolResult
from tests.support.tools import Bench


class Worker:
    async def handle(self, params: Any, context: ToolContext) -> ToolResult:
        return ToolResult(f"{params} in {context.workspace.name}")


async def test_calls_at_the_same_time_share_one_worker_which_is_made_off_the_loop(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> Worker:
        made.append(threading.current_thread().name)
        return Worker()

    late = Late(make)
    handle, context = late.method("handle"), Bench.at(tmp_path).context()
    assert made == []
    answers = await asyncio.gather(*(handle(number, context) for number in range(5)))
    assert [answer.text.split()[0] for answer in answers] == ["0", "1", "2", "3", "4"]
    assert len(made) == 1
    assert made[0] != threading.current_thread().name


async def test_what_could_not_be_made_is_tried_again_by_the_next_call(tmp_path: Path) -> None:
    broken = [True]

    def make() -> Worker:
        if broken:
            raise ImportError("a library is missing")
        return Worker()

    handle, context = Late(make).method("handle"), Bench.at(tmp_path).context()
    with pytest.raises(ImportError, match="a library is missing"):
        await handle("x", context)
    broken.clear()
    assert (await handle("x", context)).ok
