from __future__ import annotations

from pathlib import Path

from ml_intern.core.display import TextBlock
from ml_intern.core.protocol import ToolOutput
from ml_intern.core.skills import Skills
from ml_intern.core.tools.router import Prepared, ToolRouter
from ml_intern.core.tools.spec import ToolResult
from ml_intern.tools.skill import create_skill_tool
from tests.support.harness import Harness
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.tools import Bench


async def load(directory: Path, **arguments: str) -> ToolResult:
    bench = Bench.at(directory / "bench")
    router = ToolRouter([create_skill_tool(Skills(directory / "bundled", directory / "config", bench.workspace))])
    prepared = router.prepare_arguments("1", "skill", arguments)
    assert isinstance(prepared, Prepared)
    return await router.run(prepared, bench.context())


def shelf(directory: Path) -> Path:
    folder = directory / "config" / "skills" / "tidy"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: tidy\ndescription: Keeps things tidy.\n---\n# Sweep\nTwice a day.\n")
    (folder / "broom.py").write_text("sweep()")
    return folder


async def test_a_skill_is_loaded_with_the_names_of_its_files(tmp_path: Path) -> None:
    folder = shelf(tmp_path)
    result = await load(tmp_path, name="tidy")
    assert result.ok
    assert result.text.startswith("# Skill: tidy\n\n# Sweep\nTwice a day.")
    assert result.text.endswith(f"In {folder}; load one with `file`:\n- broom.py")
    assert "description" not in result.text
    (block,) = result.display
    assert isinstance(block, TextBlock)
    assert "yours" in block.title


async def test_a_file_of_a_skill_is_given_and_no_other(tmp_path: Path) -> None:
    shelf(tmp_path)
    assert (await load(tmp_path, name="tidy", file="broom.py")).text == "sweep()"


async def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    shelf(tmp_path)
    missing = await load(tmp_path, name="tydi")
    assert not missing.ok
    assert missing.text == "ERROR: Nothing was loaded: there is no skill named 'tydi'; there are: tidy."


async def test_a_file_outside_of_a_skill_is_refused(tmp_path: Path) -> None:
    shelf(tmp_path)
    outside = await load(tmp_path, name="tidy", file="../../trusted.json")
    assert not outside.ok
    assert "its files are: broom.py" in outside.text


async def test_the_agent_sees_the_bundled_skills_and_loads_one_without_being_asked(tmp_path: Path) -> None:
    script = (tools(call("skill", {"name": "sft-trl"})), text("done"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, mode="ask") as agent:
        await agent.prompt("fine-tune it")
        prompt = server.requests[0].body["messages"][0]["content"]
        assert "- sft-trl: Supervised fine-tuning" in prompt
        output = agent.last(ToolOutput)
        assert output.success
        assert "SFTTrainer" in output.output
