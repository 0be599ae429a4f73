from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.events import Paste

from ml_intern.core.display import (
    CurveBlock,
    DiffBlock,
    DisplayBlock,
    JobCard,
    LogBlock,
    PlanBlock,
    TableBlock,
    TextBlock,
)
from ml_intern.core.protocol import (
    ApprovalItem,
    ApprovalRequired,
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    ErrorEvent,
    EventBase,
    Interrupted,
    Leftover,
    LeftoversEvent,
    ModelChanged,
    Notice,
    PlanItem,
    PlanUpdate,
    Processing,
    QuestionAsked,
    QuestionOption,
    QuestionResolved,
    SessionMeta,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.skills import Skills
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.mcp.hub import ServerStatus, ToolStatus
from tests.sessions.support import prompt, record
from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.tui.glass import GlassApp, bomb, check_bytes, check_rows, drawn, seen
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app
from tests.tui.test_artifacts import Shelf, made
from tests.tui.test_leftovers import Ending

DONE = TurnComplete(reason="completed", final_response="", iterations=1, cost_usd=0.1, tokens=1)


@pytest.fixture(autouse=True)
def _on_a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


class Trial:
    """A person who looks at one place after the other."""

    def __init__(self, stage: Stage, agent: PlayedAgent) -> None:
        self.stage = stage
        self.agent = agent
        self.links: set[str] = set()

    def play(self, *events: EventBase) -> None:
        self.agent.events.play(*events)

    async def look(self, *names: str) -> None:
        """Waits for these hostile texts and checks all that was painted until then."""
        await self.stage.sees(*(seen(name) for name in names))
        self.check()

    def check(self) -> None:
        check_rows(self.stage)
        app = self.stage.app
        assert isinstance(app, GlassApp)
        self.links |= check_bytes(app.take_written())

    async def command(self, text: str) -> None:
        await self.stage.enter(text)

    async def leave(self, *keys: str) -> None:
        await self.stage.press(*(keys or ("escape",)))
        self.check()


@asynccontextmanager
async def trial(directory: Path, size: tuple[int, int] = (120, 40), **parts: Any) -> AsyncIterator[Trial]:
    app, agents = played_app(directory, kind=GlassApp, **parts)
    async with on_stage(app, size, headless=False) as stage:
        await stage.sees("claude-opus")
        yield Trial(stage, agents[0])


async def test_what_is_said_in_the_chat_and_done_with_it(tmp_path: Path) -> None:
    async with trial(tmp_path, (110, 90)) as person:
        person.play(UserMessage(content=bomb("asked")), Processing())
        person.play(AssistantMessage(content=bomb("said"), reasoning=bomb("thought")))
        person.play(Notice(text=bomb("noticed"), level="warning"))
        person.play(ErrorEvent(error=bomb("failed") + "; do [b]this[/b].", kind=bomb("kind")))
        await person.look("asked", "said", "noticed", "failed")
        await person.stage.press("tab", "t")
        await person.look("thought")
        await person.stage.press("o")
        await person.stage.sees("links in view")
        await person.leave()
        await person.stage.press("slash")
        await person.stage.type("[u]said")
        await person.stage.sees("/ [u]said", "1 of 1")
        await person.leave("enter", "escape", "y", "f8", "e")
        await person.look("asked")
        await person.leave()
        await person.command("/rewind")
        await person.stage.sees("go back to before")
        await person.look("asked")
        await person.leave()
        assert "https://good.test" in person.links


@pytest.mark.parametrize("seed", range(2))
async def test_a_reply_that_comes_in_pieces_cut_anywhere(tmp_path: Path, seed: int) -> None:
    reply = (
        f"{bomb('begun')}\n\n- {bomb('item')}\n\n```python\n{bomb('code')}\n```\n\n| a |\n|---|\n| {bomb('cell')} |\n\n"
    )
    cuts = random.Random(seed)
    async with trial(tmp_path, (100, 70)) as person:
        person.play(UserMessage(content="go"), Processing())
        for kind in ("reasoning", "text"):
            at = 0
            while at < len(reply):
                size = cuts.choice((1, 1, 2, 5, 40))
                person.play(AssistantChunk(content=reply[at : at + size], kind=kind))
                at += size
                if not cuts.randrange(12):
                    await person.stage.pilot.pause()
                    person.check()
        await person.look("begun", "item", "code", "cell")
        person.play(AssistantStreamEnd(), AssistantMessage(content=reply, reasoning=reply), DONE)
        await person.look("begun", "item", "code", "cell")


def blocks() -> list[DisplayBlock]:
    return [
        TextBlock(text=bomb("text"), title=bomb("title"), language=bomb("x")),
        TextBlock(text=bomb("lit"), language="python"),
        DiffBlock(path=bomb("path"), old=bomb("old") + "\nsame", new=bomb("new") + "\nsame"),
        TableBlock(columns=(bomb("head"), "b"), rows=((bomb("cell"), ""),), title=bomb("table")),
        LogBlock(lines=(bomb("line"), "", "\r50%\r100%"), omitted=3, path=bomb("kept")),
        PlanBlock(items=((bomb("planned"), "in_progress"),)),
        JobCard(job_id=bomb("id"), backend=bomb("at"), stage=bomb("stage"), title=bomb("job"), load=bomb("load")),
        CurveBlock(title=bomb("curve"), series={bomb("series"): ((0.0, 1.0), (1.0, float("nan")), (2.0, 0.5))}),
    ]


async def test_what_tools_are_called_with_and_show(tmp_path: Path) -> None:
    async with trial(tmp_path, (120, 60)) as person:
        person.play(UserMessage(content="go"), Processing())
        person.play(ToolCallEvent(tool=bomb("tool"), arguments={bomb("key"): bomb("value")}, tool_call_id="a"))
        person.play(ToolLog(tool="x", log=bomb("logged"), tool_call_id="a"))
        person.play(ToolStateChange(tool="x", tool_call_id="a", state="running"))
        await person.look("tool", "logged")
        person.play(ToolOutput(tool="x", tool_call_id="a", output=bomb("output"), success=False, duration_s=1.0))
        for number, block in enumerate(blocks()):
            call_id = f"b{number}"
            person.play(ToolCallEvent(tool="bash", arguments={"command": bomb("command")}, tool_call_id=call_id))
            person.play(ToolOutput(tool="bash", tool_call_id=call_id, output="ok", success=True, display=(block,)))
        await person.look("command")
        await person.stage.press("tab", "tab", "tab", "end")
        for names in (
            ("curve",),
            ("job", "at"),
            ("planned",),
            ("line",),
            ("cell",),
            ("old", "new"),
            ("lit",),
            ("text",),
        ):
            await person.stage.press("space")
            await person.stage.pilot.pause()
            person.check()
            await person.stage.press("space", "enter")
            await person.look(*names)
            await person.leave()
            await person.stage.press("up")
        await person.stage.press("home", "down", "enter")
        await person.look("tool", "key", "value", "output")
        await person.stage.press("slash")
        await person.stage.type("[u]output")
        await person.stage.sees("1 of 1")
        await person.leave("escape", "escape")


async def test_plan_titles_notices_and_sub_agents(tmp_path: Path) -> None:
    async with trial(tmp_path, (160, 50)) as person:
        person.play(
            UserMessage(content=bomb("headline")), Processing(), ModelChanged(model=bomb("model"), effort="high")
        )
        plan = tuple(PlanItem(id=str(n), content=bomb(f"step{n}"), status="in_progress") for n in range(3))
        person.play(PlanUpdate(plan=plan))
        await person.look("headline", "step1")
        person.play(ToolCallEvent(tool="research", arguments={"task": bomb("task")}, tool_call_id="r"))
        person.play(ToolStateChange(tool="research", tool_call_id="r", state="running"))
        label = bomb("label")
        person.play(SubagentState(agent_id="r", label=label, model=bomb("m"), state="running", note=bomb("note")))
        inner = ToolCallEvent(tool=bomb("inner"), arguments={"url": bomb("url")}, tool_call_id="n")
        person.play(SubagentEvent(agent_id="r", event=inner))
        person.play(SubagentEvent(agent_id="r", event=AssistantMessage(content=bomb("remark"))))
        await person.look("task", "inner")
        await person.stage.press("ctrl+o")
        await person.look("inner", "remark")
        await person.leave()
        person.stage.app.notify(bomb("toast"), markup=False)
        await person.look("toast")
        await person.command("/status")
        await person.stage.sees("directory")
        await person.stage.enter(bomb("queued"))
        await person.stage.sees("queued")
        person.check()
        await person.stage.press("f4")
        await person.stage.sees("export CSV")
        await person.leave()
        person.play(Interrupted())
        await person.stage.press("ctrl+p")
        await person.stage.sees("commands")
        await person.leave()


async def test_questions_and_approvals(tmp_path: Path) -> None:
    async with trial(tmp_path, (110, 45)) as person:
        person.play(UserMessage(content="go"), Processing())
        options = (QuestionOption(label=bomb("option"), description=bomb("means")),)
        person.play(QuestionAsked(question_id="q", question=bomb("question"), options=options))
        await person.look("question", "option")
        person.play(QuestionResolved(question_id="q", how="withdrawn"))
        items = tuple(
            ApprovalItem(
                tool=bomb("tool"),
                arguments={"command": bomb("argument"), bomb("key"): [bomb("list")]},
                tool_call_id=f"c{at}",
                reason=bomb("reason"),
                cost_note=bomb("note"),
                allowance=bomb("allowance"),
                editable="command",
                checks=((True, bomb("passed")), (False, bomb("missed"))),
                display=(block,),
                estimated_cost_usd=1.0,
            )
            for at, block in enumerate(blocks())
        )
        person.play(ApprovalRequired(tools=items, count=len(items)))
        await person.look("reason", "missed", "text")
        for name in ("lit", "new", "cell", "line", "planned", "job", "series"):
            await person.stage.press("r")
            await person.look(name)
        await person.stage.press("up", "down", "e")
        await person.stage.pilot.pause()
        person.check()
        await person.leave("escape")


async def test_what_the_session_made_and_looked_into_and_what_others_left(tmp_path: Path) -> None:
    folder = tmp_path / "skills" / "odd"
    folder.mkdir(parents=True)
    said = bomb("skill").replace("\n", " ").replace("\0", "").encode("utf-8", "replace").decode()
    (folder / "SKILL.md").write_text(f"---\nname: odd\ndescription: {said!r}\n---\n{said}\n", encoding="utf-8")
    skills = Skills(tmp_path / "skills", tmp_path, tmp_path)
    shelf = Shelf(bomb("gone"))
    async with trial(tmp_path, (120, 45), artifacts=shelf, skills=skills, end_leftover=Ending()) as person:
        address = f"https://x.test/{bomb('page')}"
        person.play(UserMessage(content="go"), Processing())
        person.play(made(bomb("artifact"), url=address, via=bomb("via")), made(bomb("gone")))
        call = ToolCallEvent(tool="web_fetch", arguments={"url": address}, tool_call_id="w")
        result = ToolOutput(tool="web_fetch", tool_call_id="w", output=bomb("found"), success=True)
        person.play(call, result, DONE)
        await person.command("/artifacts")
        await person.look("artifact", "gone")
        await person.leave()
        await person.command("/trail")
        await person.stage.sees("trail · 1 source")
        person.check()
        await person.leave()
        left = Leftover(
            backend=bomb("b"), kind="job", id=bomb("left"), title=bomb("work"), flavor=bomb("flavor"), stage="X"
        )
        person.play(LeftoversEvent(items=(left,)))
        await person.look("left")
        await person.leave()
        await person.command("/skills")
        await person.look("skill")
        await person.leave()


async def test_jobs_with_their_cards_and_logs(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", {"PATH": os.defpath}, grace_s=0.2)
    from ml_intern.core.jobs import JobSpec

    raw = f"{bomb('printed')}\n".encode("utf-8", "surrogatepass")
    script = f"import sys\nsys.stdout.buffer.write({raw!r})\nprint('step 1 loss=0.5')\n"
    name = bomb("named").replace("\0", "").encode("utf-8", "replace").decode()
    info = await backend.submit(JobSpec("script", script=script, name=name, timeout_s=60.0, workdir=tmp_path))
    async with asyncio.timeout(20):
        async for _line in backend.follow_logs(info.ref):
            pass
    async with trial(tmp_path, (140, 45), jobs=backend) as person:
        await person.stage.press("f3")
        await person.look("printed", "named")
        await person.stage.press("slash")
        await person.stage.enter("[u]printed")
        await person.stage.sees("1 of 1")
        person.check()
        await person.leave("escape", "escape")


async def test_earlier_sessions_and_stepping_through_one(tmp_path: Path) -> None:
    events: list[EventBase] = [
        *prompt(bomb("first")),
        AssistantMessage(content=bomb("answered"), reasoning=bomb("thought")),
        ToolCallEvent(tool="bash", arguments={"command": bomb("ran")}, tool_call_id="c"),
        ToolOutput(tool="bash", tool_call_id="c", output=bomb("gave"), success=False, display=tuple(blocks()[:3])),
        ErrorEvent(error=bomb("broke"), kind="internal"),
        SessionMeta(title=bomb("titled"), tags=(bomb("tagged"),)),
    ]
    path = record(tmp_path / "home" / "sessions", "aaaa", *events, directory=f"/home/{bomb('dir')}")
    foreign = path.read_text()  # a log from elsewhere need not have been cleaned as ours are
    for name in ("first", "answered", "thought", "ran", "gave", "broke", "titled", "tagged", "dir"):
        mark = json.dumps(seen(name))[1:-1]
        foreign = foreign.replace(f"under{mark}", f"under\\u001b[2J\\ud800\\u009b8m\\u202e\\u0000{mark}")
    path.write_text(foreign)
    async with trial(tmp_path, (140, 45)) as person:
        await person.stage.press("f2")
        await person.stage.sees("sessions  ⌕")
        await person.stage.press("a")
        await person.look("titled")
        await person.stage.press("slash")
        await person.stage.type("answered")
        await person.stage.pilot.pause()
        person.check()
        await person.leave()
        await person.look("titled")
        await person.stage.press("down", "enter")
        await person.look("first", "answered", "broke")
        for key in ("home", *["right"] * 12, "ctrl+o"):
            await person.stage.press(key)
            await person.stage.pilot.pause()
            person.check()
        await person.leave("escape")
        await person.stage.press("f")
        await person.stage.sees("stop at")
        await person.leave("escape", "slash")
        await person.stage.enter("[u]gave")
        await person.stage.sees("1 of 1")
        person.check()


class Servers:
    """Stands in for MCP servers that say what they like."""

    def status(self) -> list[ServerStatus]:
        tool = ToolStatus(bomb("tool"), bomb("does"), True, False)
        return [
            ServerStatus(bomb("server"), "connected", "", bomb("place"), "stdio", bomb("signed"), (tool,)),
            ServerStatus(bomb("dead"), "failed", bomb("problem")),
        ]

    def journal(self, _name: str) -> list[str]:
        return [bomb("journal")]

    def watch(self, _changed: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


async def test_servers_with_their_tools_and_logs(tmp_path: Path) -> None:
    async with trial(tmp_path, (120, 40), servers=Servers()) as person:
        await person.command("/mcp")
        await person.look("server", "tool", "does")
        await person.stage.press("l")
        await person.look("journal")
        await person.stage.press("l", "down")
        await person.look("problem")
        await person.leave()


async def test_what_is_typed_pasted_found_and_run(tmp_path: Path) -> None:
    with ScriptedLLM(text(bomb("said").encode("utf-8", "replace").decode())) as server:
        app = real_app(server, tmp_path, kind=GlassApp)
        odd = seen("file") + "\x1b[2J\u202e\x9b8m\n" + "你.py"
        (tmp_path / "work" / odd.replace("/", "")).write_text("x")
        async with on_stage(app, (120, 70), headless=False) as stage:
            person = Trial(stage, PlayedAgent(tmp_path))
            await stage.sees("vllm/scripted")
            app.post_message(Paste(bomb("pasted")))
            await person.look("pasted")
            await stage.press("enter")
            await person.look("said")
            await stage.press("ctrl+r")
            await stage.sees("earlier prompts")
            await person.look("pasted")
            await person.leave("enter")
            await person.look("pasted")
            await stage.press("f7", "delete")
            await stage.type("@[u]file")
            await stage.until(lambda: stage.screen.count("[u]file") > 1, "the name of a file")
            person.check()
            await stage.press("escape", "f7", "delete")
            await stage.enter("!printf '[u]ran[/u] \\033[2J\\033]0;stolen\\007\\233 8m a\\rb \\342\\200\\256'")
            await stage.sees("exit code 0")
            person.check()
            await stage.press("ctrl+f")
            app.post_message(Paste(bomb("sought")))
            await stage.sees("/ under", " of ")
            person.check()


# ------------------------------------------------------------------------------------------------- sizes and widths

LINE = "x" * 500_000 + "你" * 250_000 + "END"
BLANKS = "top" + "\n" * 10_000 + "END"


@pytest.mark.parametrize("said", [LINE, BLANKS], ids=["one line of a megabyte", "ten thousand empty lines"])
async def test_texts_without_measure_are_shown_in_no_time(tmp_path: Path, said: str) -> None:
    async with trial(tmp_path, (120, 40)) as person:
        began = time.perf_counter()
        person.play(UserMessage(content=said), Processing(), AssistantChunk(content=said, kind="reasoning"))
        person.play(AssistantChunk(content=said), AssistantStreamEnd(), AssistantMessage(content=said, reasoning=said))
        person.play(Notice(text=said), PlanUpdate(plan=(PlanItem(id="1", content=said, status="in_progress"),)))
        for number, block in enumerate(
            (
                TextBlock(text=said),
                LogBlock(lines=tuple(said.split("\n"))),
                DiffBlock(path="p", old="", new=said),
                TableBlock(columns=(said,), rows=((said,),)),
            )
        ):
            call_id = f"b{number}"
            person.play(ToolCallEvent(tool="bash", arguments={"command": text}, tool_call_id=call_id))
            person.play(ToolLog(tool="bash", log=said, tool_call_id=call_id))
            person.play(ToolOutput(tool="bash", tool_call_id=call_id, output=said, success=True, display=(block,)))
        person.play(ErrorEvent(error=said, kind="internal"))
        await person.stage.sees("F8 copies time", timeout=60)
        person.check()
        await person.stage.press("tab", "pageup", "home", "end", "ctrl+o")
        await person.stage.sees("1 all")
        await person.stage.press("end", "home", "slash")
        await person.stage.type("END")
        await person.stage.sees("1 of ", timeout=60)
        await person.leave("escape", "escape")
        await person.stage.press("ctrl+f")
        await person.stage.type("END")
        await person.stage.sees(" of ", timeout=60)
        await person.leave("escape")
        item = ApprovalItem(tool="bash", arguments={"command": text}, tool_call_id="c", reason=said, editable="command")
        person.play(Processing(), ApprovalRequired(tools=(item,), count=1))
        await person.stage.sees("a/1 approve")
        await person.leave("end", "escape")
        assert time.perf_counter() - began < 60  # each of them is laid out some twenty times


FULL = "你好，世界 ｆｕｌｌ width 한국어 テスト naïve Ångström ελληνικά עברית العربية ①→█ ¡¿ “quotes” – —"


async def test_a_terminal_draws_what_the_app_believes_it_has_drawn(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, kind=GlassApp)
    assert isinstance(app, GlassApp)
    async with on_stage(app, (97, 33), headless=False) as stage:
        await stage.sees("claude-opus")
        events = agents[0].events
        events.play(
            UserMessage(content=FULL),
            Processing(),
            AssistantMessage(content=f"{FULL}\n\n```\n{FULL}\n```\n\n| a | {FULL} |\n|---|---|\n| {FULL} | b |\n"),
        )
        events.play(ToolCallEvent(tool="bash", arguments={"command": FULL}, tool_call_id="c"))
        events.play(
            ToolOutput(tool="bash", tool_call_id="c", output=FULL, success=True, display=(TextBlock(text=FULL),))
        )
        events.play(PlanUpdate(plan=(PlanItem(id="1", content=FULL, status="in_progress"),)), DONE)
        await stage.sees("done ·")
        for keys in (("tab", "pageup"), ("ctrl+o",), ("escape", "ctrl+f", "l"), ("escape", "o")):
            await stage.press(*keys)
            await stage.pilot.pause()
            assert drawn(app.written, (97, 33)) == [row.rstrip() for row in stage.screen.split("\n")]
