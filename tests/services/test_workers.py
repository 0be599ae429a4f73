from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ml_intern.services.http import FetchError
from ml_intern.services.pages import UnreadableError
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Threads, Workers
from tests.support.processes import gone


def whereabouts(text: str) -> tuple[str, int, dict[str, str]]:
    sys.stdout.write("whatever a library may print")
    return text.upper(), os.getpid(), dict(os.environ)


def rank() -> tuple[int, int, int]:
    return os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0), os.getpgid(0)


def refuse(kind: str) -> None:
    raise UnreadableError("no text in it") if kind == "plain" else FetchError("server", "an error with three fields")


def never_end() -> None:
    while True:
        time.sleep(0.01)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def devour() -> int:
    return len(bytearray(2**40))


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers()
    yield made
    await made.aclose()


async def test_work_is_done_elsewhere_and_the_same_worker_goes_on(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret")
    text, first, env = await workers.run(whereabouts, "grün" * 100_000)
    _, second, _ = await workers.run(whereabouts, "x")
    assert text == "GRÜN" * 100_000
    assert first == second != os.getpid()
    assert "SOME_API_KEY" not in env
    await workers.aclose()
    await gone([first], 5)


@pytest.mark.skipif(sys.platform == "win32", reason="has neither niceness nor sessions")
async def test_work_steps_back_for_the_app_and_is_not_interrupted_with_it(workers: Workers) -> None:
    """Linux weighs niceness within a session only; Ctrl+C goes to the group of processes in front."""
    nice, session, group = await workers.run(rank)
    assert nice == os.getpriority(os.PRIO_PROCESS, 0) + 10
    assert session == os.getsid(0)
    assert group != os.getpgid(0)


async def test_what_work_raises_is_raised_here(workers: Workers) -> None:
    with pytest.raises(UnreadableError, match="no text in it"):
        await workers.run(refuse, "plain")
    with pytest.raises(RuntimeError, match="an error with three fields"):
        await workers.run(refuse, "odd")
    with pytest.raises(WorkError, match="takes more memory than it may"):
        await workers.run(devour)
    assert (await workers.run(whereabouts, "still here"))[0] == "STILL HERE"


async def test_work_that_does_not_end_is_ended_and_holds_up_no_other(workers: Workers) -> None:
    await asyncio.gather(workers.run(whereabouts, "one"), workers.run(whereabouts, "two"))
    stuck = asyncio.create_task(workers.run(never_end, limit_s=0.6))
    assert (await workers.run(whereabouts, "meanwhile"))[0] == "MEANWHILE"
    assert not stuck.done()
    with pytest.raises(WorkError, match=r"takes longer than 0\.6 seconds"):
        await stuck


async def test_work_that_nobody_waits_for_any_more_is_ended(workers: Workers) -> None:
    _, pid, _ = await workers.run(whereabouts, "x")
    task = asyncio.create_task(workers.run(never_end))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 0.3)
    await gone([pid], 5)


async def test_a_worker_that_dies_costs_its_work_and_nothing_else(workers: Workers) -> None:
    with pytest.raises(WorkError, match="broke the program that reads it"):
        await workers.run(die)
    assert (await workers.run(whereabouts, "next"))[0] == "NEXT"


async def test_threads_serve_where_no_process_is_wanted() -> None:
    assert (await Threads().run(whereabouts, "here"))[1] == os.getpid()
    with pytest.raises(WorkError, match=r"takes longer than 0\.05 seconds"):
        await Threads().run(time.sleep, 0.2, limit_s=0.05)


def die_once(mark: str) -> str:
    path = Path(mark)
    if not path.exists():
        path.touch()
        die()
    return "second time"


async def test_work_whose_worker_died_by_itself_is_tried_once_more(workers: Workers, tmp_path: Path) -> None:
    assert await workers.run(die_once, str(tmp_path / "mark")) == "second time"


async def test_what_lies_in_the_directory_that_is_worked_in_is_never_run(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle.py", "resource.py", "contextlib.py", "ml_intern.py"):
        (tmp_path / name).write_text("raise SystemExit('run from the workspace')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", *sys.path])
    assert (await workers.run(whereabouts, "safe"))[0] == "SAFE"
