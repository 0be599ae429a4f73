"""A night in a few seconds: one prompt, every fault there is, a window that fills again and again."""

from __future__ import annotations

from pathlib import Path

from ml_intern.core.protocol import Compacted, ErrorEvent, ToolOutput, TurnComplete
from ml_intern.core.settings import LLMSettings
from ml_intern.sessions.restore import restore
from tests.support.harness import Harness
from tests.support.llm_server import ScriptedLLM
from tests.support.night import FINISHED, PROMPT, Night, tools_of_the_night

ITERATIONS = 150
WINDOW = 16_000
QUICK = LLMSettings(context_window=WINDOW, retry_base_s=0.001, retry_max_s=0.005, idle_timeout_s=0.5)


async def test_a_night_of_faults_from_one_prompt_reaches_its_end_with_a_log_that_tells_it_all(tmp_path: Path) -> None:
    night = Night(ITERATIONS, window=WINDOW, seldom=14)
    async with (
        ScriptedLLM(night) as server,
        Harness(server, tmp_path, tools=tools_of_the_night(), llm=QUICK, max_iterations=3 * ITERATIONS) as agent,
    ):
        await agent.prompt(PROMPT, timeout=60)
        assert agent.all(ErrorEvent) == []
        end = agent.last(TurnComplete)
        assert (end.reason, end.final_response) == ("completed", FINISHED)
        assert night.finished
        assert night.unplayed == set()
        assert server.violations == []
        assert night.problems == []
        assert len(agent.all(Compacted)) >= len(agent.all(ToolOutput)) // 40
        told = {output.tool_call_id: output.success for output in agent.all(ToolOutput)}
        assert {call_id for call_id, well in told.items() if call_id.startswith("ill-" if well else "well-")} == set()
        assert sum(call_id.startswith("well-") for call_id in told) > ITERATIONS // 2

        live = [message.record() for message in agent.agent.session.context.messages]
        assert agent.wired.session_log.path is not None
        assert restore(agent.wired.session_log.path).records == live
