from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_intern.core.artifacts import ArtifactError
from ml_intern.core.protocol import ArtifactEvent, NewComplete
from ml_intern.tools.repos.artifacts import ArtifactRow
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage


def made(name: str = "ada/smollm-notes", kind: str = "model", state: str = "created", **more: Any) -> ArtifactEvent:
    more.setdefault("url", f"https://huggingface.co/{name}")
    return ArtifactEvent.model_validate({"kind": kind, "id": name, "state": state, "via": "hf_repo_git", **more})


class Shelf:
    """Stands in for the Hub: what is on it, and what was deleted."""

    def __init__(self, *missing: str, fault: str = "") -> None:
        self.missing = set(missing)
        self.deleted: list[str] = []
        self._fault = fault

    async def look(self, items: Sequence[ArtifactEvent]) -> list[ArtifactRow]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return [
            ArtifactRow(item, exists=False, problem="not there")
            if item.id in self.missing
            else ArtifactRow(item, True, "public", 3_400_000_000, now)
            for item in items
        ]

    async def delete(self, item: ArtifactEvent) -> ArtifactEvent:
        if self._fault:
            raise ArtifactError(self._fault)
        self.deleted.append(item.id)
        return item.model_copy(update={"state": "deleted"})


@asynccontextmanager
async def shown(
    directory: Path, *events: ArtifactEvent | NewComplete, shelf: Shelf | None = None, size: tuple[int, int] = (120, 35)
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory, artifacts=shelf or Shelf())
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        agents[0].events.play(*events)
        await stage.enter("/artifacts")
        await stage.sees("of this session", "esc back")
        yield stage, agents[0]


async def test_a_session_that_has_made_nothing_says_what_will_appear(tmp_path: Path) -> None:
    async with shown(tmp_path) as (stage, _):
        await stage.sees("This session has put nothing on the Hub yet.", "0 things", "esc back")
        assert "copy link" not in stage.screen
        await stage.press("d", "o", "c", "escape")
        await stage.sees("Ask for machine-learning work")


async def test_artifacts_are_listed_newest_first_with_what_the_hub_says(tmp_path: Path) -> None:
    events = (made(), made("ada/notes", "dataset", private=True), made("ada/other", "space", "found"))
    async with shown(tmp_path, *events, shelf=Shelf("ada/notes")) as (stage, _):
        await stage.sees("3 things", "✗ not there", "✓ created", "✓ there")
        rows = [row for row in stage.screen.split("\n") if "ada/" in row]
        assert [row.split()[:2] for row in rows] == [
            ["space", "ada/other"],
            ["dataset", "ada/notes"],
            ["model", "ada/smollm-notes"],
        ]
        assert "public" in rows[2]
        assert "3.4 GB" in rows[2]


async def test_what_is_made_while_the_screen_is_open_appears(tmp_path: Path) -> None:
    async with shown(tmp_path, made()) as (stage, agent):
        agent.events.play(made("ada/late", "dataset"))
        await stage.sees("ada/late", "2 things")


async def test_a_fresh_conversation_has_made_nothing(tmp_path: Path) -> None:
    async with shown(tmp_path, made(), NewComplete(previous_session_id="x")) as (stage, _):
        await stage.sees("nothing on the Hub yet")


async def test_deleting_asks_twice(tmp_path: Path) -> None:
    shelf = Shelf()
    async with shown(tmp_path, made(), shelf=shelf) as (stage, _):
        await stage.press("d")
        await stage.sees("Delete the model ada/smollm-notes from the Hub?")
        await stage.press("n", "d", "y")
        await stage.sees("delete for good?", "Nobody can bring them back.")
        assert shelf.deleted == []
        await stage.press("n")
        await stage.sees_no_more("delete for good?")
        assert shelf.deleted == []
        await stage.press("d", "y", "y")
        await stage.sees("Deleted the model ada/smollm-notes.", "0 things")
        assert shelf.deleted == ["ada/smollm-notes"]
        await stage.press("d")
        await stage.sees("It is deleted already.")


async def test_a_deletion_that_fails_says_why_and_keeps_the_row(tmp_path: Path) -> None:
    async with shown(tmp_path, made(), shelf=Shelf(fault="The token may not do that.")) as (stage, _):
        await stage.press("d", "y", "y")
        await stage.sees("Not deleted: The token may not do that.", "1 thing ")


async def test_a_job_is_not_deleted(tmp_path: Path) -> None:
    async with shown(tmp_path, made("66f1", "job")) as (stage, _):
        await stage.press("d")
        await stage.sees("A job is not deleted but stopped.")


async def test_the_address_is_copied_and_opened(tmp_path: Path) -> None:
    async with shown(tmp_path, made()) as (stage, _):
        await stage.press("c")
        await stage.sees("Copied.")
        assert stage.app.clipboard == "https://huggingface.co/ada/smollm-notes"
        await stage.press("o", "enter")
        assert stage.app.opened == ["https://huggingface.co/ada/smollm-notes"] * 2


async def test_what_is_no_web_address_is_never_opened(tmp_path: Path) -> None:
    async with shown(tmp_path, made(url="file:///etc/passwd")) as (stage, _):
        await stage.press("o")
        await stage.sees("It has no address.")
        assert stage.app.opened == []


async def test_kind_name_and_state_are_seen_at_every_size(tmp_path: Path) -> None:
    async with shown(tmp_path, made("ada/a-rather-long-name-of-a-model")) as (stage, _):
        for size in ((60, 20), (80, 24), (160, 50)):
            await stage.resize(*size)
            await stage.sees("model", "ada/a-rather", "✓ created", "d delete")


async def test_text_from_outside_is_no_markup(tmp_path: Path) -> None:
    async with shown(tmp_path, made("[bold]x[/bold]\x1b[2J")) as (stage, _):
        await stage.sees("[bold]x[/bold]")
