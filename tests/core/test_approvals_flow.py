from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Assessment, Cost, Effect
from ml_intern.core.approvals.rule_file import RuleFile
from ml_intern.core.config import ConfigError, load_config
from ml_intern.core.display import TextBlock
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    ApprovalResolved,
    ErrorEvent,
    ExecApproval,
    Interrupt,
    Interrupted,
    Notice,
    Ready,
    SetMode,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    Undo,
    UndoComplete,
    UserInput,
)
from ml_intern.core.settings import ApprovalRules
from ml_intern.core.tools.spec import Params, ToolSpec
from tests.support.harness import Harness, tool
from tests.support.llm_server import ScriptedLLM, call, text, tools


class Job(Params):
    script: str
    usd: float | None = 0.0
    effect: Effect = Effect.COMPUTE


class Cluster:
    """A job tool that remembers what really ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def spec(self) -> ToolSpec:
        def assess(params: Job, _context: object) -> Assessment:
            return Assessment(
                frozenset({params.effect}),
                cost=Cost(params.usd, "per run"),
                subject=params.script,
                editable="script",
                display=(TextBlock(text=params.script, language="python"),),
            )

        def run(params: Job, _context: object) -> str:
            self.ran.append(params.script)
            return f"ran {params.script}"

        return tool("train", run, assess=assess, params=Job)


def yes(call_id: str, **more: Any) -> ApprovalDecision:
    return ApprovalDecision(tool_call_id=call_id, approved=True, **more)


def no(call_id: str, feedback: str = "") -> ApprovalDecision:
    return ApprovalDecision(tool_call_id=call_id, approved=False, feedback=feedback)


def train(script: str, call_id: str, **more: Any) -> dict[str, Any]:
    return call("train", {"script": script, **more}, id=call_id)


async def test_nothing_runs_before_approval_and_exactly_once_after(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1")), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        assert cluster.ran == []
        assert asked.count == 1
        item = asked.tools[0]
        assert (item.tool, item.tool_call_id, item.arguments["script"], item.editable) == ("train", "c1", "a", "script")
        assert "compute" in item.reason
        agent.decide(yes("c1"))
        end = await agent.ended()
        assert isinstance(end, TurnComplete)
        assert cluster.ran == ["a"]
        assert agent.tool_results(2) == ["ran a"]
        states = [event.state for event in agent.all(ToolStateChange) if event.tool_call_id == "c1"]
        assert states == ["approved", "running", "completed"]


async def test_rejection_carries_feedback_in_its_own_case(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(no("c1", "Use t4 for Now\x07"))
        await agent.ended()
        assert cluster.ran == []
        assert "Use t4 for Now" in agent.tool_results(2)[0]
        assert "\x07" not in agent.tool_results(2)[0]
        assert "train" in agent.tool_results(2)[0]


async def test_harmless_calls_run_first_and_unnamed_pending_calls_are_rejected(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (
        tools(train("a", "c1"), call("look", {}, id="c2"), train("b", "c3")),
        text("done"),
    )
    look = tool("look", lambda *_: "seen")
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec(), look]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        assert [item.tool_call_id for item in asked.tools] == ["c1", "c3"]
        assert agent.outputs()["c2"].output == "seen"
        agent.decide(yes("c3"))
        await agent.ended()
        assert cluster.ran == ["b"]
        first, second, third = agent.tool_results(2)
        assert "Rejected" in first
        assert (second, third) == ("seen", "ran b")


async def test_an_edited_script_is_what_runs_and_the_model_is_told(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", edited_arguments={"script": "b"}))
        await agent.ended()
        assert cluster.ran == ["b"]
        assert "edited script" in agent.tool_results(2)[0]
        assert "ran b" in agent.tool_results(2)[0]


async def test_an_edit_that_does_not_fit_fails_that_call_only(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1"), train("b", "c2")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", edited_arguments={"usd": "many"}), yes("c2"))
        await agent.ended()
        assert cluster.ran == ["b"]
        assert "usd" in agent.tool_results(2)[0]


async def test_a_new_message_abandons_what_is_pending_and_follows_it(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.submit(UserInput(text="wait, something else"))
        end = await agent.ended()
        assert isinstance(end, TurnComplete)
        assert cluster.ran == []
        result, message = agent.request(2).messages[-2:]
        assert "Abandoned" in result["content"]
        assert message == {"role": "user", "content": "wait, something else"}
        assert agent.last(ApprovalResolved).how == "abandoned"
        assert server.violations == []


async def test_an_interrupt_withdraws_the_approval_and_a_late_answer_runs_nothing(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), tools(train("b", "c2")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.submit(Interrupt())
        assert isinstance(await agent.ended(), Interrupted)
        assert agent.last(ApprovalResolved).how == "withdrawn"
        agent.decide(yes("c1"))
        assert agent.last(ErrorEvent).error == "No approval is pending."
        assert not agent.last(ErrorEvent).ends_turn
        assert cluster.ran == []
        mark = len(agent.events)
        agent.submit(UserInput(text="again"))
        await agent.approval(mark)
        agent.decide(yes("c2"))
        await agent.ended(mark)
        assert cluster.ran == ["b"]
        assert server.violations == []


async def test_undo_while_an_approval_is_pending_withdraws_it(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.submit(Undo())
        await agent.until(lambda event: isinstance(event, UndoComplete))
        agent.decide(yes("c1"))
        mark = len(agent.events)
        await agent.prompt("fresh")
        assert cluster.ran == []
        assert [message["content"] for message in agent.request(2).messages[1:]] == ["fresh"]
        assert not [event for event in agent.events[mark:] if isinstance(event, ToolOutput)]


async def test_an_answer_to_other_calls_decides_nothing(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.submit(ExecApproval(approvals=(yes("some_other"),)))
        assert agent.last(ErrorEvent).kind == "usage"
        agent.decide(yes("c1"))
        await agent.ended()
        assert cluster.ran == ["a"]


async def test_yolo_runs_without_asking_but_schedules_are_asked(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1"), train("b", "c2", effect="schedule")), text("ok"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[cluster.spec()]) as agent:
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        assert [item.tool_call_id for item in asked.tools] == ["c2"]
        assert not asked.tools[0].rememberable
        assert cluster.ran == ["a"]
        agent.decide(no("c2"))
        await agent.ended()
        assert cluster.ran == ["a"]


async def test_two_jobs_of_one_reply_cannot_jointly_pass_the_cap(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1", usd=3.0), train("b", "c2", usd=3.0)), text("ok"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, cap=5.0, tools=[cluster.spec()]) as agent:
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        assert [item.tool_call_id for item in asked.tools] == ["c2"]
        assert "$3.00" in asked.tools[0].reason
        assert "$2.00" in asked.tools[0].reason
        agent.decide(no("c2"))
        await agent.ended()
        assert cluster.ran == ["a"]


async def test_approving_both_of_two_jobs_that_fit_only_singly_runs_one(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1", usd=3.0), train("b", "c2", usd=3.0)), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", cap=5.0, tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        assert asked.count == 2
        agent.decide(yes("c1"), yes("c2"))
        await agent.ended()
        assert cluster.ran == ["a"]
        assert "$2.00" in agent.tool_results(2)[1]


async def test_plan_mode_refuses_with_a_reason_and_asks_nobody(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="plan", tools=[cluster.spec()]) as agent,
    ):
        await agent.prompt()
        assert cluster.ran == []
        assert not agent.all(ApprovalRequired)
        assert "plan mode" in agent.tool_results(2)[0]


async def test_a_deny_rule_holds_against_an_approved_edit(tmp_path: Path) -> None:
    cluster = Cluster()
    rules = ApprovalRules(deny=("train(evil*)",))
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()], approvals=rules) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", edited_arguments={"script": "evil"}))
        await agent.ended()
        assert cluster.ran == []


async def test_what_is_remembered_is_not_asked_again_in_this_session(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1")), tools(train("b", "c2")), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", remember=True))
        await agent.ended()
        assert cluster.ran == ["a", "b"]
        assert len(agent.all(ApprovalRequired)) == 1


async def test_a_mode_change_counts_from_the_next_call_on(tmp_path: Path) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1")), text("ok"), tools(train("b", "c2")), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="plan", tools=[cluster.spec()]) as agent,
    ):
        await agent.prompt()
        agent.submit(SetMode(mode="yolo"))
        await agent.prompt()
        assert cluster.ran == ["b"]


async def test_a_call_whose_effects_cannot_be_determined_is_not_run(tmp_path: Path) -> None:
    ran: list[str] = []

    def assess(*_: object) -> Assessment:
        raise OSError("catalogue down")

    def run(*_: object) -> str:
        ran.append("x")
        return "ran"

    async with (
        ScriptedLLM(tools(call("odd")), text("ok")) as server,
        Harness(server, tmp_path, tools=[tool("odd", run, assess=assess)]) as agent,
    ):
        await agent.prompt()
        assert ran == []
        assert "catalogue down" in agent.tool_results(2)[0]


@pytest.mark.parametrize("cap", [0.0, 0.5])
async def test_the_spending_cap_ends_the_turn_before_the_next_model_call(tmp_path: Path, cap: float) -> None:
    cluster = Cluster()
    prices = tmp_path / "home" / "config" / "models.json"
    prices.parent.mkdir(parents=True)
    prices.write_text('{"models": {"vllm/scripted": {"input_usd": 20, "output_usd": 20}}}')
    script = (tools(train("a", "c1", usd=0.0)).usage(25_000, 50), text("never"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, cap=cap, tools=[cluster.spec()]) as agent:
        events = await agent.prompt()
        end = events[-1]
        assert isinstance(end, TurnComplete)
        assert end.reason == "cost_limit"
        assert len(server.requests) == (0 if cap == 0 else 1)
        assert end.cost_usd == pytest.approx(0.501 if cap else 0.0)


async def test_a_free_model_goes_on_at_the_cap_since_it_spends_nothing(tmp_path: Path) -> None:
    async with ScriptedLLM(text("free")) as server, Harness(server, tmp_path, cap=0.0) as agent:
        events = await agent.prompt()
        assert isinstance(events[-1], TurnComplete)
        assert events[-1].reason == "completed"


async def test_several_arguments_are_edited_at_once_and_the_model_reads_what_changed(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1", usd=3.0)), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", edited_arguments={"script": "b", "usd": 1.0}))
        await agent.ended()
        assert cluster.ran == ["b"]
        assert 'edited script ("b", was "a"), usd (1.0, was 3.0) before' in agent.tool_results(2)[0]
        assert agent.last(TurnComplete).cost_usd == pytest.approx(1.0)


@pytest.mark.parametrize(("seen", "asked"), [(None, 2), (4.0, 2), (5.0, 1), (6.0, 1)])
async def test_an_edited_call_that_is_dearer_than_was_seen_is_asked_again(
    tmp_path: Path, seen: float | None, asked: int
) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1", usd=3.0), train("b", "c2")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        mark = len(agent.events)
        agent.decide(yes("c1", edited_arguments={"usd": 5.0}, edited_usd=seen), yes("c2"))
        if asked == 2:
            again = await agent.approval(mark)
            (item,) = again.tools
            assert (item.tool_call_id, item.estimated_cost_usd, item.arguments["usd"]) == ("c1", 5.0, 5.0)
            assert "costs more than was shown" in item.reason
            assert cluster.ran == []
            agent.decide(yes("c1"))
        await agent.ended()
        assert sorted(cluster.ran) == ["a", "b"]
        assert "edited usd (5.0, was 3.0)" in agent.tool_results(2)[0]
        assert len(agent.all(ApprovalRequired)) == asked


async def test_an_edit_that_passes_the_cap_is_asked_again_and_says_so(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1", usd=3.0)), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", cap=4.0, tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        mark = len(agent.events)
        agent.decide(yes("c1", edited_arguments={"usd": 5.0}, edited_usd=5.0))
        again = await agent.approval(mark)
        assert "only $4.00 of the cap of $4.00 are left" in again.tools[0].reason
        assert not again.tools[0].rememberable
        agent.decide(no("c1"))
        await agent.ended()
        assert cluster.ran == []


async def test_a_request_says_what_allowing_the_like_would_allow(tmp_path: Path) -> None:
    cluster = Cluster()
    async with (
        ScriptedLLM(tools(train("a", "c1", usd=3.0)), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        assert (await agent.approval()).tools[0].allowance == "train ≤ $3.00"
        agent.decide(no("c1"))
        await agent.ended()


async def test_what_is_allowed_for_good_is_written_down_and_read_back(tmp_path: Path) -> None:
    places = find_places({"ML_INTERN_HOME": str(tmp_path / "home")})
    file = places.config / "cli_agent_config.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"ui": {"theme": "ml-intern-light"}, "approvals": {"allow": ["bash(ls *)"]}}')
    cluster = Cluster()
    script = (tools(train("a", "c1", usd=2.0)), tools(train("b", "c2", usd=1.0)), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert (item.rule, item.standing) == ("train ≤ $2.00", True)
        agent.decide(yes("c1", remember=True, rule=item.rule, always=True))
        await agent.ended()
        assert cluster.ran == ["a", "b"]
        assert len(agent.all(ApprovalRequired)) == 1
        assert any(str(file) in notice.text for notice in agent.all(Notice))
    assert json.loads(file.read_text()) == {
        "ui": {"theme": "ml-intern-light"},
        "approvals": {"allow": ["bash(ls *)", "train ≤ $2.00"]},
    }
    rules = load_config(places, {}).settings.approvals
    script = (tools(train("c", "c3", usd=2.0)), tools(train("d", "c4", usd=2.5)), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()], approvals=rules) as agent,
    ):
        agent.submit(UserInput(text="go"))
        (dearer,) = (await agent.approval()).tools
        assert cluster.ran == ["a", "b", "c"]
        assert dearer.tool_call_id == "c4"
        agent.decide(no("c4"))
        await agent.ended()


@pytest.mark.parametrize(
    ("effect", "rule", "said"),
    [
        ("destroy", "", "deletes or overwrites"),
        ("outside", "", "leaves the workspace"),
        ("credentials", "", "touches credentials"),
        ("compute", "train(b)", "does not fit this call"),
        ("compute", "train", "narrow it down"),
        ("compute", "bash(a)", "must begin with train"),
    ],
)
async def test_what_may_not_be_allowed_for_good_is_approved_once(
    tmp_path: Path, effect: str, rule: str, said: str
) -> None:
    cluster = Cluster()
    script = (tools(train("a", "c1", effect=effect)), tools(train("a", "c2", effect=effect)), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert item.standing is (effect == "compute")
        mark = len(agent.events)
        agent.decide(yes("c1", remember=True, rule=rule, always=True))
        await agent.approval(mark)
        assert any("Nothing more was allowed" in notice.text and said in notice.text for notice in agent.all(Notice))
        agent.decide(no("c2"))
        await agent.ended()
    assert not (tmp_path / "home" / "config" / "cli_agent_config.json").exists()


async def test_a_deny_rule_wins_over_what_was_allowed_for_good_and_schedules_are_still_asked(tmp_path: Path) -> None:
    cluster = Cluster()
    rules = ApprovalRules(allow=("train",), deny=("train(evil*)",))
    script = (tools(train("evil", "c1")), tools(train("weekly", "c2", effect="schedule")), text("ok"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, mode="yolo", tools=[cluster.spec()], approvals=rules) as agent,
    ):
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert item.tool_call_id == "c2"
        assert not item.rememberable
        agent.decide(yes("c2", remember=True, always=True))
        await agent.ended()
        assert cluster.ran == ["weekly"]
        assert any("Nothing more was allowed" in notice.text for notice in agent.all(Notice))


async def test_a_rule_that_holds_a_secret_or_cannot_be_written_counts_in_the_session_only(tmp_path: Path) -> None:
    cluster = Cluster()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config").write_text("a file where the directory should be")
    async with (
        ScriptedLLM(tools(train("a", "c1")), tools(train("b", "c2")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[cluster.spec()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", remember=True, always=True))
        await agent.ended()
        assert cluster.ran == ["a", "b"]
        assert any("in this session only" in notice.text for notice in agent.all(Notice))
    keeper = RuleFile(find_places({"ML_INTERN_HOME": str(tmp_path / "other")}), redact=lambda text: text[:3])
    with pytest.raises(ConfigError, match="secret"):
        keeper.add("allow", "bash(curl -H token)")
    assert not keeper.file.exists()


async def test_rules_are_listed_explained_and_taken_back(tmp_path: Path) -> None:
    places = find_places({"ML_INTERN_HOME": str(tmp_path / "home")})
    file = RuleFile(places)
    file.add("allow", "bash(pytest *)")
    file.add("deny", "bash(git push *)")
    rules = ApprovalRules(allow=("bash(pytest *)", "ghost"), deny=("bash(git push *)",))
    async with (
        ScriptedLLM(tools(train("a", "c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[Cluster().spec()], approvals=rules) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(yes("c1", remember=True))
        await agent.ended()
        assert any("no tool named ghost" in note for note in agent.all(Ready)[0].notes)
        desk = agent.wired.rules
        known = await desk.rules()
        assert [(rule.kind, rule.text) for rule in known] == [
            ("deny", "bash(git push *)"),
            ("allow", "bash(pytest *)"),
            ("allow", "ghost"),
            ("session", "train ≤ $0"),
        ]
        assert [rule.removable for rule in known] == [True, True, False, True]

        async def told(typed: str) -> tuple[str, str]:
            found = await desk.explain(typed)
            return found.action, found.reason

        assert await told("git push origin") == ("deny", "the rule `deny bash(git push *)` forbids it")
        assert await told("bash pytest -q") == ("allow", "the rule `allow bash(pytest *)` allows it")
        assert await told("rm -r build") == ("ask", "deletes build")
        assert await told("write ../x.txt") == ("ask", f"writes {tmp_path}/x.txt, outside the workspace")
        assert await told("ls") == ("allow", "it only reads")
        assert "known once the call is whole" in (await told("train"))[1]

        for rule in (known[0], known[1], known[3]):
            await desk.take_back(rule)
        with pytest.raises(ConfigError, match="cannot be taken back"):
            await desk.take_back(known[2])
        assert (await told("git push origin"))[0] == "ask"
        assert [rule.text for rule in await desk.rules()] == ["ghost"]
    assert file.read("allow") == file.read("deny") == ()
