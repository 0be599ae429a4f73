from __future__ import annotations

from pathlib import Path

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import TextBlock
from tests.tools.sandbox.support import on_stage, until


async def test_the_result_says_what_was_rented_and_what_it_costs(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        done = await stage.run("sandbox_create", hardware="t4-small")
        (job,) = stage.running
        assert done.ok
        for part in (job.id, "t4-small", "$0.40 an hour", "30 min without use", "in /app", f"/jobs/mia/{job.id}"):
            assert part in done.text
        assert job.spec["flavor"] == "t4-small"


async def test_the_same_hardware_or_none_named_gives_the_sandbox_that_is_there(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.run("sandbox_create", hardware="t4-small")
        for arguments in ({"hardware": "t4-small"}, {}):
            assert "It was there already" in (await stage.run("sandbox_create", **arguments)).text
        assert len(stage.area.all()) == 1


async def test_other_hardware_takes_the_place_of_a_cpu_sandbox(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("touch file")
        done = await stage.run("sandbox_create", hardware="t4-small")
        assert "was deleted with its files" in done.text
        first, second = stage.area.all()
        assert (first.stage, second.stage) == ("CANCELED", "RUNNING")
        assert (await stage.bash("ls")).text.startswith("(no output)")


async def test_a_gpu_sandbox_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.run("sandbox_create", hardware="t4-small")
        kept = await stage.run("sandbox_create", hardware="l4x1")
        assert not kept.ok
        assert "replace=true" in kept.text
        assert [job.spec["flavor"] for job in stage.running] == ["t4-small"]
        asked = await stage.assess("sandbox_create", hardware="l4x1", replace=True)
        assert Effect.DESTROY in asked.effects
        assert (await stage.run("sandbox_create", hardware="l4x1", replace=True)).ok
        assert [job.spec["flavor"] for job in stage.running] == ["l4x1"]


async def test_the_cheapest_is_not_asked_about_and_the_rest_is_with_its_price(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        free = await stage.assess("sandbox_create")
        assert free.effects == {Effect.CHANGE}
        assert free.cost.usd == 0.01
        asked = await stage.assess("sandbox_create", hardware="a100-large", trackio_space_id="mia/board")
        assert asked.effects == {Effect.COMPUTE, Effect.PUBLISH}
        assert (asked.cost.usd, asked.cost.kind) == (2.5, "sandbox")
        assert "reserved hour by hour" in asked.cost.note
        assert asked.compute is not None
        assert asked.compute.arguments == {"flavor": "hardware"}
        (shown,) = asked.display
        assert isinstance(shown, TextBlock)
        assert "$2.50 an hour" in shown.text
        assert "30 min without use" in shown.text


async def test_hardware_that_does_not_exist_is_answered_with_near_names(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        offered = stage.tools["sandbox_create"].schema()["properties"]["hardware"]["enum"]
        assert offered[:2] == ["cpu-basic", "cpu-upgrade"]
        done = await stage.run("sandbox_create", hardware="t4-smal")
        assert not done.ok
        assert "t4-small" in done.text
        assert stage.area.all() == []


async def test_trackio_is_known_to_every_command(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.run("sandbox_create", hardware="cpu-basic", trackio_space_id="mia/board", trackio_project="runs")
        assert (await stage.bash("echo $TRACKIO_SPACE_ID $TRACKIO_PROJECT")).text.startswith("mia/board runs")


async def test_deleting_ends_it_once_and_the_next_command_starts_another(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        assert (await stage.run("sandbox_delete")).text == "There was no sandbox."
        await stage.bash("true")
        assert "is deleted" in (await stage.run("sandbox_delete")).text
        assert stage.running == []
        assert await until(stage.cancels) == 1
        assert (await stage.bash("true")).ok
        assert len(stage.area.all()) == 2


async def test_a_port_has_an_address(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        assert not (await stage.run("sandbox_url", port=8000)).ok
        await stage.bash("true")
        done = await stage.run("sandbox_url", port=8000, path="/x")
        assert done.text.splitlines()[0].startswith(stage.hub.url)
        assert done.text.splitlines()[0].endswith("/proxy/8000/x")
