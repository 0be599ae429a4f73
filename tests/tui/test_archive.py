from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ml_intern.sessions.index import SessionIndex
from ml_intern.tui.screens.sessions_archive import Archive
from tests.sessions.support import answer, prompt, record

HERE, ELSEWHERE = "/data/here", "/data/elsewhere"


class Listener:
    """Hears what an archive tells."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.ids: set[str] = set()
        self.left: list[int] = []
        archive.news = self._take

    def _take(self, ids: frozenset[str]) -> None:
        self.ids |= ids
        self.left.append(self.archive.left)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


def add(directory: Path, name: str, workdir: str = HERE, said: str = "train") -> Path:
    return record(directory, name, *prompt(f"{said} {name}"), *answer("done"), directory=workdir)


def listed(archive: Archive, words: str = "") -> set[str]:
    return {session.id for session in archive.shelf.select(None, words)}


async def test_the_first_sessions_are_there_at_once_the_others_and_new_ones_with_a_look(directory: Path) -> None:
    for name, workdir in (("a", HERE), ("b", ELSEWHERE), ("c", HERE)):
        add(directory, name, workdir)
    SessionIndex(directory).refresh()
    add(directory, "d")
    archive = Archive(directory)
    await archive.load(HERE, 1)
    assert len(archive.shelf) == 1
    await archive.look()
    assert listed(archive) == {"a", "b", "c", "d"}
    assert (archive.shelf.count(HERE), archive.shelf.count(ELSEWHERE)) == (3, 1)
    assert not archive.reading


async def test_what_changes_is_told_and_what_is_gone_goes(directory: Path) -> None:
    paths = [add(directory, name) for name in ("a", "b")]
    archive = Archive(directory)
    await archive.look()
    listener = Listener(archive)
    paths[0].unlink()
    add(directory, "b", said="and then evaluate")
    await archive.look()
    assert (listed(archive), listener.ids) == ({"b"}, {"a", "b"})
    assert archive.shelf.count(HERE) == 1


@pytest.mark.parametrize("damage", [b"", b"no database" * 999])
async def test_a_lost_index_fills_while_one_looks_and_tells_how_much_is_left(directory: Path, damage: bytes) -> None:
    for number in range(40):
        add(directory, f"s{number:02}")
    (directory / "index.sqlite").write_bytes(damage)
    archive = Archive(directory)
    await archive.load(HERE, 10)
    assert (len(archive.shelf), archive.problem) == (0, "")
    listener = Listener(archive)
    await archive.look()
    assert len(archive.shelf) == len(listener.ids) == 40
    assert listener.left[-1] == 0
    assert sorted(listener.left, reverse=True) == listener.left
    assert len(await archive.hits("train", None, 100, lambda: False) or ()) == 40


async def test_two_who_look_at_once_share_one_reading(directory: Path) -> None:
    for number in range(10):
        add(directory, f"s{number}")
    archive = Archive(directory)
    listener = Listener(archive)
    await asyncio.gather(archive.refresh(), archive.look(), archive.refresh())
    assert len(archive.shelf) == 10
    assert listener.ids == {f"s{number}" for number in range(10)}
    assert SessionIndex(directory).refresh() == 0


async def test_an_app_that_ends_leaves_the_rest_of_the_logs_for_the_next_one(directory: Path) -> None:
    for number in range(60):
        add(directory, f"s{number}")
    archive = Archive(directory)
    looking = asyncio.create_task(archive.look())
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    index = SessionIndex(directory)
    index.refresh()
    assert [session.turns for session in index.list()] == [1] * 60


async def test_an_index_that_cannot_be_made_is_told_of_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("a file where a directory should be")
    archive = Archive(tmp_path / "sessions")
    await archive.load(HERE, 10)
    await archive.look()
    assert "index of the sessions cannot be made" in archive.problem
    assert not archive.reading
