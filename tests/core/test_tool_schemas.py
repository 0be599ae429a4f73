from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import create_model

from ml_intern.core.places import find_places
from ml_intern.core.settings import Settings
from ml_intern.core.tools.schemas import Schemas, program_stamp
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.run import Run
from ml_intern.wiring import assemble


class Lasting(Params):
    path: str
    lines: int = 3


async def handle(params: Any, context: ToolContext) -> ToolResult:
    return ToolResult("done")


def spec(parameters: type[Params], name: str = "tool") -> ToolSpec:
    return ToolSpec(name, "Does it.", parameters, handle)


def kept(path: Path, stamp: str = "1") -> dict[str, Any]:
    schemas = Schemas(path, stamp)
    schemas.of(spec(Lasting))
    schemas.keep()
    said: dict[str, Any] = json.loads(path.read_text())
    return said


def test_what_was_made_once_is_read_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "schemas.json"
    told = kept(path)
    told["schemas"]["tool"]["properties"]["path"]["description"] = "as it was kept"
    path.write_text(json.dumps(told))
    assert Schemas(path, "1").of(spec(Lasting))["properties"]["path"]["description"] == "as it was kept"
    assert Schemas(path, "2").of(spec(Lasting)) == spec(Lasting).schema()
    assert kept(path, "2")["stamp"] == "2"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"stamp": "1"}', '{"stamp": "1", "schemas": []}', "\x00"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "schemas.json"
    path.write_text(damage)
    assert Schemas(path, "1").of(spec(Lasting)) == spec(Lasting).schema()
    assert kept(path)["schemas"] == {"tool": spec(Lasting).schema()}


def test_parameters_that_are_made_for_a_session_are_not_kept(tmp_path: Path) -> None:
    class Local(Params):
        choice: str

    path = tmp_path / "schemas.json"
    schemas = Schemas(path, "1")
    made = create_model("Made", __base__=Params, choice=(str, "a"))
    for name, parameters in (("local", Local), ("made", made)):
        assert schemas.of(spec(parameters, name))["properties"]["choice"]["type"] == "string"
    schemas.keep()
    assert not path.exists()


def test_a_place_that_cannot_be_written_to_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    schemas = Schemas(tmp_path / "file" / "schemas.json", "1")
    assert schemas.of(spec(Lasting)) == spec(Lasting).schema()
    schemas.keep()


async def test_a_session_offers_the_same_tools_at_its_second_start(tmp_path: Path) -> None:
    async def offered() -> str:
        wired = assemble(
            Run(
                Settings(model_name="vllm/m"),
                places=find_places({"ML_INTERN_HOME": str(tmp_path)}),
                workspace=tmp_path,
                env={"PATH": "/usr/bin"},
            )
        )
        await wired.aclose()
        return json.dumps(wired.agent._runner._host.router.wire())

    first = await offered()
    file = tmp_path / "cache" / "tool-schemas.json"
    known = json.loads(file.read_text())
    assert known["stamp"] == program_stamp()
    assert {"bash", "hf_jobs", "web_fetch"} <= set(known["schemas"])
    written = file.stat().st_mtime_ns
    assert await offered() == first
    assert file.stat().st_mtime_ns == written
