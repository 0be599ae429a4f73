from __future__ import annotations

from pathlib import Path

from ml_intern.core.protocol import AssistantChunk, EventBase, Ready
from ml_intern.options import Options
from ml_intern.wiring import Wired, build
from tests.support.llm_script import Gate, raw, text
from tests.support.llm_server import ScriptedLLM
from tests.tui.review_story import PAST, prompt, write_log
from tests.tui.stage import WatchedApp, on_stage

SECRET = "correct-horse-battery-staple"


def app(server: ScriptedLLM, directory: Path, resume: str | None = None) -> WatchedApp:
    workspace = directory / "work"
    workspace.mkdir(exist_ok=True)
    env = {
        "ML_INTERN_HOME": str(directory / "home"),
        "LOCAL_LLM_BASE_URL": server.url,
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "MY_SERVICE_TOKEN": SECRET,
    }

    def connect(options: Options) -> Wired:
        return build(options, env)

    return WatchedApp(Options(model="vllm/scripted", workdir=workspace, resume=resume), connect)


async def test_a_secret_that_the_model_repeats_is_never_on_the_screen(tmp_path: Path) -> None:
    said = f"The token is {SECRET}, and hf_{'Zq7' * 12} too."
    gate = Gate()
    reply = raw(*({"content": letter} for letter in said)).stall_after(30, gate)
    with ScriptedLLM(reply) as server:
        async with on_stage(app(server, tmp_path), (120, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("what is it?")
            await stage.sees("The token is")
            assert "correct" not in stage.screen
            gate.release()
            await stage.sees("The token is [REDACTED], and [REDACTED_HF_TOKEN] too.", "done")


async def test_a_reply_that_a_kill_cut_off_is_there_again_and_said_to_be_interrupted(tmp_path: Path) -> None:
    events: list[tuple[float, EventBase]] = [
        (0, Ready(tool_count=20, model="vllm/scripted", workdir=str(tmp_path / "work"))),
        *[(1, event) for event in prompt("Explain it")],
        (2, AssistantChunk(content="Let me see.", kind="reasoning")),
        (3, AssistantChunk(content="The loss **falls** ")),
        (4, AssistantChunk(content="because")),
    ]
    path = write_log(tmp_path / "home" / "sessions", events)
    before = path.read_bytes()
    with ScriptedLLM(text("As I said.")) as server:
        async with on_stage(app(server, tmp_path, resume=PAST), (120, 40)) as stage:
            await stage.sees("Explain it", "thought", "The loss falls because", "interrupted")
            assert stage.screen.count("The loss falls because") == 1
            assert path.read_bytes() == before
            await stage.enter("go on")
            await stage.sees("As I said.", "done")
        assert [message["content"] for message in server.requests[0].messages[1:]] == [
            "Explain it",
            "The loss **falls** because",
            "go on",
        ]
        async with on_stage(app(server, tmp_path, resume=PAST), (120, 40)) as stage:
            await stage.sees("The loss falls because", "interrupted", "go on", "As I said.")
            assert stage.screen.count("The loss falls because") == 1
