from __future__ import annotations

from pathlib import Path

from ml_intern.core.places import find_places
from ml_intern.core.settings import LLMSettings, Settings
from ml_intern.options import Options
from ml_intern.run import Run
from ml_intern.sessions.restore import latest_session, restore
from ml_intern.wiring import Wired, assemble
from tests.support.llm_server import Gate, ScriptedLLM, call, text, tools
from tests.tui.stage import WatchedApp, on_stage, real_app


async def test_an_earlier_prompt_comes_back_to_be_changed_with_its_files(tmp_path: Path) -> None:
    write = tools(call("write", {"path": "a.txt", "content": "x"}))
    with ScriptedLLM(text("answer one"), write, text("answer two"), text("answer three")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("the first prompt")
            await stage.sees("answer one", "done")
            await stage.enter("the second prompt")
            await stage.sees("answer two")
            await stage.until(lambda: not stage.app.main_screen.state.running)
            assert (tmp_path / "work" / "a.txt").exists()
            await stage.enter("/rewind files")
            await stage.sees("go back to before")
            await stage.press("enter")
            await stage.sees_no_more("answer two")
            await stage.sees("answer one", "Files as they were before", "the second prompt")
            assert not (tmp_path / "work" / "a.txt").exists()
            await stage.enter(", changed")
            await stage.sees("answer three")
    assert server.requests[-1].messages[-1]["content"] == "the second prompt, changed"


async def test_steering_is_heard_at_the_next_step(tmp_path: Path) -> None:
    gate = Gate()
    script = (tools(call("bash", {"command": "true"})).hold(gate), text("as you wish"))
    with ScriptedLLM(*script) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await gate.reached()
            await stage.enter("/steer be brief")
            gate.release()
            await stage.sees("be brief", "as you wish")
    assert server.requests[1].messages[-1]["content"] == "be brief"


async def test_a_resumed_session_looks_as_it_did_and_goes_on(tmp_path: Path) -> None:
    places = find_places({"ML_INTERN_HOME": str(tmp_path / "home")})
    with ScriptedLLM(tools(call("bash", {"command": "echo was-here"})), text("the old answer")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("the old prompt")
            await stage.sees("the old answer", "done")
            await stage.press("ctrl+d")
    path = latest_session(places.sessions, tmp_path / "work")
    assert path is not None

    def connect(_options: Options) -> Wired:
        return assemble(
            Run(
                Settings(model_name="vllm/scripted", llm=LLMSettings(retry_base_s=0.01)),
                places=places,
                workspace=tmp_path / "work",
                env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
                saved=restore(path),
            )
        )

    with ScriptedLLM(text("the new answer")) as server:
        async with on_stage(WatchedApp(Options(), connect), size=(150, 40)) as stage:
            await stage.sees("the old prompt", "the old answer", "echo was-here")
            await stage.enter("the new prompt")
            await stage.sees("the new answer")
    contents = [message["content"] for message in server.requests[0].messages[1:]]
    assert contents[0] == "the old prompt"
    assert contents[-2:] == ["the old answer", "the new prompt"]
