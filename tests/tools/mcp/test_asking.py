from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.display import TextBlock
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    AnswerQuestion,
    ApprovalDecision,
    ApprovalRequired,
    ApprovalResolved,
    EventBase,
    Interrupt,
    LLMCall,
    Notice,
    QuestionAsked,
    QuestionResolved,
    ToolLog,
    ToolOutput,
    UserInput,
    UserMessage,
)
from ml_intern.core.settings import ApprovalRules, Settings
from ml_intern.run import Run
from ml_intern.tools.mcp.desk import LEAVE_OUT
from ml_intern.wiring import assemble
from tests.support.harness import FAST, MODEL, Harness
from tests.support.llm_server import ScriptedLLM, call, silent_before_headers, text, tools
from tests.support.mcp_bench import program
from tests.support.tools import within_marks

pytestmark = pytest.mark.xdist_group("mcp")

ALLOWED = ApprovalRules(allow=("notes__*",))


def agent_with(server: ScriptedLLM, directory: Path, **settings: Any) -> Harness:
    servers = {"notes": program(timeout_s=settings.pop("timeout_s", 120))}
    settings.setdefault("approvals", ALLOWED)
    return Harness(server, directory, mode=settings.pop("mode", "guarded"), mcpServers=servers, **settings)


async def connected(agent: Harness) -> None:
    await agent.until(lambda event: isinstance(event, Notice) and "is connected" in event.text)


async def asked(agent: Harness, number: int = 0) -> QuestionAsked:
    def wanted(event: EventBase) -> bool:
        return isinstance(event, QuestionAsked) and len(agent.all(QuestionAsked)) > number

    await agent.until(wanted)
    return agent.all(QuestionAsked)[number]


def said(agent: Harness) -> Any:
    return json.loads(within_marks(agent.last(ToolOutput).output))


# -------------------------------------------------------------------------------------------------------- sampling


async def test_a_request_to_the_model_shows_who_asks_what_and_is_paid_once_it_is_allowed(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_model", {"text": "what is 2 + 2?"})), text("four"), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        request = await agent.approval()
        (item,) = request.tools
        assert item.tool == "mcp_sampling"
        assert item.arguments["server"] == "notes"
        assert item.reason == f"the MCP server notes wants a reply of {MODEL}, which it will read and you pay for"
        (shown,) = item.display
        assert isinstance(shown, TextBlock)
        assert shown.text == "[system]\nbe brief\n\n[user]\nwhat is 2 + 2?"
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True))
        await agent.ended()
        answer = said(agent)
        assert answer["content"] == {"type": "text", "text": "four"}
        assert answer["stopReason"] == "endTurn"
        assert [event.kind for event in agent.all(LLMCall)] == ["main", "sampling", "main"]
        sent = server.requests[1].body
        assert [message["content"] for message in sent["messages"]] == ["be brief", "what is 2 + 2?"]
        assert not sent.get("tools")
        assert any("answered the server: 4 characters" in event.log for event in agent.all(ToolLog))


async def test_a_rejected_request_never_reaches_the_model_and_the_server_hears_why(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_model", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=False, feedback="too dear"))
        await agent.ended()
        assert said(agent)["message"] == "The client declined: the person said no: too dear"
        assert [event.kind for event in agent.all(LLMCall)] == ["main", "main"]


async def test_what_was_allowed_for_the_session_is_not_asked_again(tmp_path: Path) -> None:
    once = tools(call("notes__ask_model", {}))
    script = (once, text("a"), text("done"), once, text("b"), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert (item.allowance, item.standing) == ("mcp_sampling(notes)", True)
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True, remember=True))
        await agent.ended()
        await agent.prompt("again")
        assert said(agent)["content"]["text"] == "b"
        assert len(agent.all(ApprovalRequired)) == 1


async def test_a_rule_may_forbid_it(tmp_path: Path) -> None:
    rules = ApprovalRules(allow=("notes__*",), deny=("mcp_sampling(notes)",))
    script = (tools(call("notes__ask_model", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path, approvals=rules) as agent:
        await connected(agent)
        await agent.prompt("go")
        assert "deny mcp_sampling(notes)" in said(agent)["message"]
        assert agent.all(ApprovalRequired) == []


async def test_pictures_are_not_sent_to_the_model(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_model", {"text": "picture"})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        await agent.prompt("go")
        assert said(agent)["message"] == "The client declined: only text can be answered"


async def test_what_does_not_fit_under_the_cap_is_asked_about_in_spite_of_a_rule(tmp_path: Path) -> None:
    prices = tmp_path / "home" / "config" / "models.json"
    prices.parent.mkdir(parents=True)
    prices.write_text(json.dumps({"models": {MODEL: {"input_usd": 0, "output_usd": 1_000_000}}}))  # $1 a token
    script = (tools(call("notes__ask_model", {})).usage(9, 1), text("done").usage(9, 1))
    rules = ApprovalRules(allow=("notes__*", "mcp_sampling"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path, approvals=rules, cap=30.0) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert item.estimated_cost_usd == 50.0
        assert "cap" in item.reason
        assert not item.rememberable
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=False))
        await agent.ended()
        assert "declined" in said(agent)["message"]


@pytest.mark.parametrize(("rule", "allowed"), [("", False), ("mcp_sampling(notes)", True), ("mcp_sampling(x)", False)])
async def test_where_nobody_looks_on_only_a_rule_allows_it(tmp_path: Path, rule: str, allowed: bool) -> None:
    script = (tools(call("notes__ask_model", {})), text("four" if allowed else "done"), text("done"))
    async with ScriptedLLM(*script) as server:
        wired = assemble(
            Run(
                Settings(
                    model_name=MODEL,
                    mode="yolo",
                    llm=FAST,
                    approvals=ApprovalRules(allow=tuple(filter(None, [rule]))),
                    mcpServers={"notes": program()},
                ),
                places=find_places({"ML_INTERN_HOME": str(tmp_path / "home")}),
                workspace=tmp_path,
                env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
                headless=True,
            )
        )
        async with Harness.around(wired, server) as agent:
            await connected(agent)
            await agent.prompt("go")
            answer = said(agent)
            assert ("content" in answer) is allowed
            if not allowed:
                assert "`mcp_sampling(notes)` under approvals.allow would allow it" in answer["message"]
            assert agent.all(ApprovalRequired) == []


async def test_a_prompt_in_place_of_a_decision_declines_and_is_heard(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_model", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.submit(UserInput(text="leave that"))
        await agent.ended()
        assert said(agent)["message"] == "The client declined: the person said no"
        assert [event.content for event in agent.all(UserMessage)] == ["go", "leave that"]
        assert agent.last(ApprovalResolved).how == "abandoned"


async def test_an_interrupt_withdraws_the_request(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_model", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.submit(Interrupt())
        await agent.ended()
        await agent.until(lambda event: isinstance(event, ApprovalResolved) and event.how == "withdrawn")


async def test_an_interrupt_while_the_model_answers_a_server_is_paid_as_far_as_it_came(tmp_path: Path) -> None:
    rules = ApprovalRules(allow=("notes__*", "mcp_sampling"))
    script = (tools(call("notes__ask_model", {})), silent_before_headers())
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path, approvals=rules) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        async with asyncio.timeout(10):
            while len(server.requests) < 2:
                await asyncio.sleep(0.01)
        agent.submit(Interrupt())
        await agent.ended()
        broken = await agent.until(lambda event: isinstance(event, LLMCall) and event.kind == "sampling")
        assert broken.finish_reason == "broken_off"


async def test_what_is_asked_outside_of_a_call_is_declined(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_late", {})), text("done"), tools(call("notes__late_answer", {})), text("done"))
    rules = ApprovalRules(allow=("notes__ask_late", "mcp_sampling"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path, approvals=rules) as agent:
        await connected(agent)
        await agent.prompt("go")
        async with asyncio.timeout(5):
            while not any("did not belong to a call" in line for line in agent.wired.beside.mcp().journal("notes")):
                await asyncio.sleep(0.01)


# ----------------------------------------------------------------------------------------------------- elicitation


async def test_a_form_is_asked_field_by_field_and_wrong_answers_once_more(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_form", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path, timeout_s=1) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        first = await asked(agent, 0)
        assert first.question == "The MCP server notes asks: which data?\n\nRows: how many (1 of 5)"
        agent.submit(AnswerQuestion(question_id=first.question_id, text="many"))
        assert "That does not fit: a whole number is wanted." in (await asked(agent, 1)).question
        agent.submit(AnswerQuestion(text="0"))
        assert "at least 1 is wanted" in (await asked(agent, 2)).question
        agent.submit(AnswerQuestion(text="12"))
        split = await asked(agent, 3)
        assert [option.label for option in split.options] == ["for training", "for testing"]
        assert not split.free_text
        await asyncio.sleep(1.2)  # longer than the call may take: a person's time does not count
        agent.submit(AnswerQuestion(choices=("for testing",)))
        tags = await asked(agent, 4)
        assert tags.multiple
        agent.submit(AnswerQuestion(choices=("a", "c")))
        assert [option.label for option in (await asked(agent, 5)).options] == ["yes", "no"]
        agent.submit(AnswerQuestion(choices=("no",)))
        assert [option.label for option in (await asked(agent, 6)).options] == ["none", LEAVE_OUT]
        agent.submit(AnswerQuestion(choices=(LEAVE_OUT,)))
        await agent.ended()
        content = {"rows": 12, "split": "test", "tags": ["a", "c"], "sure": False}
        assert said(agent) == {"action": "accept", "content": content}


async def test_a_person_may_refuse_to_answer(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_form", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        await asked(agent)
        agent.submit(AnswerQuestion(dismissed=True))
        await agent.ended()
        assert said(agent) == {"action": "decline"}


@pytest.mark.parametrize(("answer", "action"), [("yes", "accept"), ("no", "decline")])
async def test_a_question_without_fields_is_a_yes_or_no(tmp_path: Path, answer: str, action: str) -> None:
    script = (tools(call("notes__ask_yes", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        await asked(agent)
        agent.submit(AnswerQuestion(choices=(answer,)))
        await agent.ended()
        assert said(agent)["action"] == action


async def test_an_address_is_shown_whole_and_opened_by_the_person_alone(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_visit", {})), tools(call("notes__ask_visit", {"text": "file:///x"})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        assert "pay here\n\nhttps://example.com/pay\n" in (await asked(agent)).question
        agent.submit(AnswerQuestion(choices=("I have opened it",)))
        await agent.ended()
        actions = [json.loads(within_marks(output.output))["action"] for output in agent.all(ToolOutput)]
        assert actions == ["accept", "decline"]
        assert len(agent.all(QuestionAsked)) == 1


async def test_an_interrupt_withdraws_the_question(tmp_path: Path) -> None:
    script = (tools(call("notes__ask_form", {})), text("done"))
    async with ScriptedLLM(*script) as server, agent_with(server, tmp_path) as agent:
        await connected(agent)
        agent.submit(UserInput(text="go"))
        await asked(agent)
        agent.submit(Interrupt())
        await agent.ended()
        await agent.until(lambda event: isinstance(event, QuestionResolved) and event.how == "withdrawn")
