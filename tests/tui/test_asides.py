from __future__ import annotations

from pathlib import Path

from ml_intern.core.protocol import UNANSWERED, AsideEvent, EventBase, Ready
from ml_intern.sessions.restore import restore as saved_of
from tests.support.llm_script import Gate, text
from tests.support.llm_server import ScriptedLLM
from tests.tui.review_story import prompt, write_log
from tests.tui.stage import on_stage, real_app


async def test_an_aside_stands_beside_the_reply_that_streams(tmp_path: Path) -> None:
    gate = Gate()
    script = (text("First half, second half.", pieces=2).stall_after(1, gate), text("It is **fine**."))
    with ScriptedLLM(*script) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees("scripted")
            await stage.enter("go")
            await stage.sees("First half,")
            await stage.enter("/btw is it all right?")
            await stage.sees("┊ by the way: is it all right?", "┊ It is fine.")
            assert stage.app.main_screen.state.running
            gate.release()
            await stage.sees("First half, second half.", "done")
            assert stage.screen.index("second half.") < stage.screen.index("by the way")
            await stage.enter("/find fine")
            await stage.sees("1 of 1")
            await stage.press("enter", "escape", "y")
            await stage.until(
                lambda: stage.app.clipboard == "is it all right?\n\nIt is **fine**.", "the aside to be copied"
            )
            await stage.press("escape", "escape")
            await stage.enter("/btw")
            await stage.sees("Ask something that stays out of the conversation")
        assert "all right?" not in str(server.requests[0].messages)


async def test_a_resumed_session_does_not_wait_for_an_aside(tmp_path: Path) -> None:
    events: list[tuple[float, EventBase]] = [
        (0, Ready(tool_count=20, model="vllm/scripted", workdir=str(tmp_path))),
        *[(1, event) for event in prompt("Explain it")],
        (2, AsideEvent(aside_id="1.1", question="why?", state="asked")),
        (3, AsideEvent(aside_id="1.2", question="how?", state="asked")),
        (4, AsideEvent(aside_id="1.2", question="how?", state="answered", answer="So.")),
    ]
    saved = saved_of(write_log(tmp_path / "sessions", events))
    asides = {event.aside_id: event for event in saved.events if isinstance(event, AsideEvent)}
    assert asides["1.1"].answer == UNANSWERED
    assert asides["1.2"].answer == "So."
    assert saved.records == [{"role": "user", "content": "Explain it"}]
