from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ArtifactEvent,
    ErrorEvent,
    EventBase,
    SessionMeta,
    TurnComplete,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.options import Options
from ml_intern.run import Run
from ml_intern.sessions.find import logs_in
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.lock import SessionLock
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionStore, summary_of
from ml_intern.sessions.summary import Summary
from ml_intern.tui.screens.sessions import SessionsScreen
from ml_intern.tui.screens.sessions_text import session_line, when
from ml_intern.wiring import Wired, assemble, build
from tests.sessions.support import answer, call, output, prompt, record, spent
from tests.support.llm_script import text
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import SESSION, PlayedAgent, played_app
from tests.tui.stage import Stage, WatchedApp, on_stage, real_app

HERE = "/home/ada/notes"
WARMUP = "Use cosine with 3% warmup and look at the gradient norm."


class Past:
    """Earlier sessions, an hour apart, the first one the oldest."""

    def __init__(self, directory: Path) -> None:
        self.sessions = directory / "home" / "sessions"
        self.store = SessionStore(self.sessions, Redactor())
        self._hours = 0

    def add(self, session_id: str, said: str, *more: EventBase, directory: str = HERE) -> Path:
        """A session that ended some hours after the one before."""
        events = more or tuple(answer(f"Done with {said}."))
        path = record(self.sessions, session_id, *prompt(said), *events, directory=directory)
        self._hours += 1
        moment = f"2026-01-01T{self._hours:02}:00:00.000Z"
        lines = [json.loads(line) | {"time": moment} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def ids(self) -> set[str]:
        return {file.path.stem for file in logs_in(self.sessions)}

    def trash(self) -> set[str]:
        return {file.path.stem for file in logs_in(self.store.trash)}


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


@pytest.fixture
def three(past: Past) -> Past:
    past.add("aaaa", "reproduce table 2", spent(9.87), *_end("cost_limit"))
    past.add("bbbb", "why does eval loss go up", *answer(WARMUP))
    past.add("cccc", "fine-tune smollm on my notes", directory="/data/other")
    return past


def _end(reason: str) -> tuple[EventBase, ...]:
    return (TurnComplete(reason=reason, final_response="", iterations=1, cost_usd=0, tokens=0),)


@asynccontextmanager
async def looking(directory: Path, size: tuple[int, int] = (140, 40)) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    """The sessions screen, opened by its key."""
    app, agents = played_app(directory)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        await stage.press("f2")
        await stage.sees("sessions  ⌕", "all (")
        yield stage, agents[0]


async def test_the_newest_session_is_chosen_also_when_it_is_found_later_than_the_others(
    past: Past, tmp_path: Path
) -> None:
    past.add("aaaa", "reproduce table 2")
    SessionIndex(past.sessions).refresh()
    past.add("bbbb", "the newest one")
    async with looking(tmp_path) as (stage, _):
        await stage.sees("reproduce table 2", "Done with the newest one.")
        past.add("cccc", "from another app")
        await stage.sees("from another app", "Done with the newest one.")


async def test_resume_without_an_id_lets_one_choose(three: Past, tmp_path: Path) -> None:
    asked: list[str | None] = []

    def connect(options: Options) -> Wired:
        asked.append(options.resume)
        return build(options.but(model="vllm/x"), env={"ML_INTERN_HOME": str(tmp_path / "home")})

    app = WatchedApp(Options(resume="", workdir=tmp_path), connect)
    async with on_stage(app, (140, 40)) as stage:
        await stage.sees("sessions  ⌕", "all (3)")
        assert asked == [None]
        await stage.press("a")
        await stage.sees("reproduce table 2")
        await stage.press("escape", "escape")
        await stage.sees("Ask for machine-learning work")
    assert three.ids() == {"aaaa", "bbbb", "cccc"}


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The log is open in another program."""
    lock = SessionLock.take(path)
    try:
        yield
    finally:
        lock.release()


# ------------------------------------------------------------------------------------------------------------ looking


async def test_sessions_of_the_directory_come_first_and_all_are_a_key_away(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("this directory (2) · all (3)", "why does eval loss go up", "reproduce table 2")
        assert "fine-tune smollm" not in stage.screen
        lines = stage.screen.split("\n")
        newer, older = (next(n for n, row in enumerate(lines) if said in row) for said in ("why does", "reproduce"))
        assert newer < older
        assert "today 02:00" in stage.row("why does eval")
        assert "$ cap" in stage.row("reproduce table")
        assert "$9.87" in stage.row("reproduce table")
        assert "✓ done" in stage.row("why does eval")
        assert _underlined(stage) == "this directory (2)"
        await stage.press("a")
        await stage.sees("fine-tune smollm on my notes", "other")
        assert _underlined(stage) == "all (3)"
        await stage.press("tab")
        await stage.sees_no_more("fine-tune smollm")


def _underlined(stage: Stage) -> str:
    """What stands out in the first row."""
    first = stage.app.screen._compositor.render_strips(stage.app.size)[0]
    return "".join(part.text for part in first if part.style is not None and part.style.underline)


async def test_the_chosen_session_is_previewed(past: Past, tmp_path: Path) -> None:
    calls = [
        *call("c1", "bash", "{}", {"command": "python train.py"}),
        *output("c1", "bash", "loss 0.3", stage="RUNNING"),
        *call("c2", "bash", "{}", {"command": "false"}),
        *output("c2", "bash", "exit code 1", success=False),
        ArtifactEvent(kind="model", id="ada/smollm", state="created"),
    ]
    past.add("aaaa", "train it", *calls, *answer("Accuracy is 0.93."), SessionMeta(tags=("good", "lr sweep")))
    async with looking(tmp_path) as (stage, _):
        await stage.sees("you", "train it", "Accuracy is 0.93.", "#good  #lr sweep", "vllm/qwen3", HERE)
        await stage.sees("bash\N{NO-BREAK SPACE}2", "jobs 1 · artifacts 1 · errors 1 ·", "model ada/smollm", "aaaa")


async def test_typing_filters_at_once_and_finds_what_was_said(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("all (3)")
        await stage.type("/TABLE")  # faster than anybody types
        await stage.sees_no_more("why does eval")
        assert "reproduce table 2" in stage.screen
        for _ in "TABLE":
            await stage.press("backspace")
        await stage.type("warmup")
        await stage.sees("why does eval loss go up", "answer: Use cosine with 3% warmup")
        assert "reproduce table" not in stage.screen
        await stage.press("tab")
        await stage.sees("why does eval loss go up")
        await stage.type(" zebra")
        await stage.sees("Nothing fits 'warmup zebra'.")
        await stage.press("escape")
        await stage.sees("fine-tune smollm", "reproduce table 2")


@pytest.mark.parametrize("columns", [60, 120])
async def test_how_many_fit_is_told_whole_even_where_all_do(past: Past, tmp_path: Path, columns: int) -> None:
    for number in range(12):
        past.add(f"a{number:03}", "train it again")
    async with looking(tmp_path, (columns, 24)) as (stage, _):
        await stage.sees("(12)")
        await stage.press("slash")
        await stage.type("train")
        await stage.sees("(12 of 12) · all (12)")


async def test_filter_knows_status_tags_model_and_directory(past: Past, tmp_path: Path) -> None:
    past.add("aaaa", "why does eval loss go up", *prompt("x"), *_end("cost_limit"), SessionMeta(tags=("slow",)))
    past.add("bbbb", "another one", *answer("z"), directory="/elsewhere")
    async with looking(tmp_path) as (stage, _):
        await stage.press("a")
        for words in ("cap", "#slow", "notes eval"):
            await stage.sees("another one")
            await stage.press("slash")
            await stage.type(words)
            await stage.sees_no_more("another one")
            await stage.sees("why does eval loss go up")
            await stage.press("escape", "escape")
        await stage.press("slash")
        await stage.type("qwen3 e")
        await stage.sees("why does eval loss go up", "another one")


async def test_new_sessions_appear_and_those_that_are_gone_go(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("why does eval loss go up")
        three.add("dddd", "one more thing")
        three.store.delete(three.store.find("aaaa"))
        await stage.sees("one more thing")
        await stage.sees_no_more("reproduce table")
        await stage.sees("this directory (2)")


async def test_status_of_sessions_is_told_in_words(past: Past, tmp_path: Path) -> None:
    past.add("aaaa", "it broke", ErrorEvent(error="no", kind="auth"))
    past.add("bbbb", "it was killed", spent())
    running = past.add("cccc", "it runs", spent())
    with held(running):
        async with looking(tmp_path) as (stage, _):
            await stage.sees("it broke")
            assert "✗ error" in stage.row("it broke")
            assert "⊘ interrupted" in stage.row("it was killed")
            assert "▸ running" in stage.row("it runs")


def _fits(stage: Stage, width: int) -> bool:
    rows = stage.screen.split("\n")
    return all(len(row) <= width for row in rows) and ("ml-intern" in stage.screen) == (width >= 100)


async def test_columns_fit_the_width(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.press("a")
        for size in ((140, 40), (100, 30), (80, 24), (60, 20), (40, 12)):
            await stage.resize(*size)
            await stage.sees("fine-tune smollm", "✓")
            await stage.until(partial(_fits, stage, size[0]), f"columns for {size[0]}")


async def test_hostile_titles_are_text(past: Past, tmp_path: Path) -> None:
    past.add("aaaa", "[red]x[/] \x1b[31m \x1b]0;y\x07 [/] 漢字 👩‍👩‍👧 \u202e end", *answer("[bold]no[/] \x1b[2J"))
    async with looking(tmp_path) as (stage, _):
        await stage.sees("[red]x[/]", "漢字", "[bold]no[/]")


async def test_empty_lists_say_what_to_do(past: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("No sessions yet.")
        past.add("aaaa", "somewhere else", directory="/elsewhere")
        await stage.sees("No sessions in this directory yet.", "Press a for all 1 session")
        await stage.press("a")
        await stage.sees("somewhere else")
        await stage.press("f2")
        await stage.sees_no_more("somewhere else")


def test_rows_stay_on_one_line_whatever_the_width() -> None:
    session = Summary(
        "x", prompt="漢字 " * 50, directory="/a/" + "b" * 90, turns=12_345, cost_usd=1e9, tags=("t" * 99,)
    )
    for width in range(10, 200):
        line = session_line(session, width, date(2026, 1, 1), everywhere=width % 2 == 0, current=True)
        assert line.width <= max(width, 14), width


def test_practice_directories_are_named_for_what_they_are() -> None:
    made, own = "/home/ada/.cache/ml-intern/practice/20260102-154909-b258", "/home/ada/practice/20260102-notes"
    for directory, named in ((made, "practice"), (own, "20260102-notes")):
        session = Summary("x", prompt="a", directory=directory)
        row = session_line(session, 100, date(2026, 1, 1), everywhere=True, current=False)
        assert any(run.text.strip() == named for run in row.runs)


def test_times_are_named_as_people_do() -> None:
    today = date(2026, 1, 31)
    assert when("2026-01-31T14:02:00Z", today) == "today 14:02"
    assert when("2026-01-30T23:59:00Z", today) == "yesterday"
    assert when("2025-12-30T23:59:00Z", today) == "2025-12-30"
    assert when("whenever", today) == ""


# -------------------------------------------------------------------------------------------------------------- doing


async def test_a_deletion_is_asked_for_twice_and_can_be_undone(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("why does eval loss go up")
        await stage.press("d")
        await stage.sees("Delete 'why does eval loss go up'?")
        await stage.press("n")
        await stage.press("d", "y")
        await stage.sees("into the trash?")
        await stage.press("escape")
        assert three.trash() == set()
        await stage.press("d", "y")
        await stage.sees("into the trash?")
        await stage.press("y")
        await stage.until(lambda: three.trash() == {"bbbb"})
        await stage.sees("this directory (1)")
        await stage.press("u")
        await stage.until(lambda: three.ids() == {"aaaa", "bbbb", "cccc"})
        await stage.sees("this directory (2)")
        assert "why does eval loss go up" in stage.screen


async def test_what_was_deleted_earlier_is_picked_from_the_trash(three: Past, tmp_path: Path) -> None:
    three.store.delete(three.store.find("bbbb"))
    async with looking(tmp_path) as (stage, _):
        await stage.sees("this directory (1)")
        await stage.press("u")
        await stage.sees("bring back from the trash", "why does eval loss go up")
        await stage.press("enter")
        await stage.until(lambda: "bbbb" in three.ids())
        await stage.sees("this directory (2)")


async def test_titles_and_tags_are_given(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("why does eval loss go up")
        await stage.press("n", *["backspace"] * 24)
        await stage.enter("Overfitting")
        await stage.until(lambda: "Overfitting" in stage.row("today 02:00"))
        await stage.press("t")
        await stage.enter("good, #lr sweep")
        await stage.until(lambda: "#good #lr sweep" in stage.row("today 02:00"))
        await stage.press("t", *["backspace"] * 10)
        await stage.press("enter")
        await stage.until(lambda: "#lr sweep" not in stage.row("today 02:00"))
    assert summary_of(three.store.find("bbbb")).tags == ("good",)


async def test_a_copy_is_made_and_chosen(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("why does eval loss go up")
        await stage.press("f")
        await stage.sees("this directory (3)", "fork of bbbb")
    assert len(three.ids()) == 4


async def test_an_export_asks_for_format_and_place(
    three: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ml-intern-bbbb.md").write_text("mine")
    async with looking(tmp_path) as (stage, _):
        await stage.sees("why does eval loss go up")
        await stage.press("e")
        await stage.sees("markdown", "html", "one page")
        await stage.press("enter")
        await stage.sees("export as markdown", "~/ml-intern-bbbb-2.md")
        await stage.press("enter")
        await stage.sees("Saved to")
    assert "warmup" in (tmp_path / "ml-intern-bbbb-2.md").read_text()
    assert (tmp_path / "ml-intern-bbbb.md").read_text() == "mine"


async def test_a_session_that_is_open_elsewhere_is_not_touched_but_can_be_copied(three: Past, tmp_path: Path) -> None:
    with held(three.store.find("bbbb")):
        async with looking(tmp_path) as (stage, _):
            await stage.sees("why does eval loss go up")
            await stage.press("d", "y")
            await stage.sees("into the trash?")
            await stage.press("y")
            await stage.sees("open in another ml-intern")
            await stage.press("r")
            await stage.sees("open elsewhere", "y/1 make a copy")
            await stage.press("y")
            await stage.sees("this directory (3)", "fork of bbbb")
    assert three.trash() == set()


async def test_the_running_session_is_marked_and_kept(past: Past, tmp_path: Path) -> None:
    past.add(SESSION, "what runs here")
    past.add("bbbb", "another one")
    async with looking(tmp_path) as (stage, _):
        await stage.sees("another one")
        assert stage.row("what runs here").strip().startswith("●")
        assert stage.screen.count("what runs here") == 1
        await stage.press("down", "d")
        await stage.sees("cannot be deleted")
        await stage.press("r")
        await stage.sees("runs here already")
    assert past.trash() == set()


async def test_a_session_opens_for_review_and_the_list_waits_behind_it(three: Past, tmp_path: Path) -> None:
    async with looking(tmp_path) as (stage, _):
        await stage.sees("why does eval loss go up")
        await stage.press("enter")
        await stage.sees("read-only")
        await stage.press("escape")
        await stage.sees("sessions  ⌕", "reproduce table 2")
        assert isinstance(stage.app.screen, SessionsScreen)


async def test_the_screen_opens_while_the_agent_works_and_the_live_session_can_be_named(tmp_path: Path) -> None:
    script = (text("First answer."), text("Second answer."))
    async with ScriptedLLM(*script) as server, on_stage(real_app(server, tmp_path), (140, 40)) as stage:
        await stage.sees("scripted")
        await stage.enter("train a tiny model")
        await stage.sees("First answer.")
        await stage.press("f2")
        await stage.sees("this directory (1)", "● this session")
        await stage.press("n", *["backspace"] * 18)
        await stage.enter("Tiny")
        await stage.until(lambda: "Tiny" in stage.row("✓ done"))
        await stage.press("escape")
        await stage.enter("and again")
        await stage.sees("Second answer.")
        await stage.press("f2")
        await stage.until(lambda: "2 turns" in stage.screen and "Tiny" in stage.row("2 turns"))


async def test_an_earlier_session_is_gone_on_with(three: Past, tmp_path: Path) -> None:
    async with ScriptedLLM(text("Yes.")) as server:

        def connect(options: Options) -> Wired:
            saved = restore(three.store.find(options.resume)) if options.resume else None
            return assemble(
                Run(
                    Settings(model_name="vllm/scripted"),
                    places=find_places({"ML_INTERN_HOME": str(tmp_path / "home")}),
                    workspace=tmp_path,
                    env={"LOCAL_LLM_BASE_URL": server.url, "HOME": str(tmp_path)},
                    saved=saved,
                )
            )

        async with on_stage(WatchedApp(Options(), connect), (140, 40)) as stage:
            await stage.sees("scripted")
            await stage.press("f2")
            await stage.sees("all 3 sessions")
            await stage.press("a")
            await stage.sees("why does eval loss go up")
            await stage.press("slash")
            await stage.type("eval loss")
            await stage.sees_no_more("reproduce")
            await stage.press("escape", "r")
            await stage.sees(WARMUP, "tool calls")
            await stage.enter("Go on")
            await stage.sees("Yes.")
    said = [message["content"] for message in server.requests[0].body["messages"] if message["role"] == "user"]
    assert len(said) == 2
    assert "eval loss" in str(said[0])


async def test_answers_in_the_preview_look_as_they_did_in_the_conversation(past: Past, tmp_path: Path) -> None:
    past.add(
        "aaaa", "compare **them**", *answer("Runs:\n\n| run | loss |\n|---|---|\n| *a* | `0.9` |\n\n" + "- more\n" * 30)
    )
    async with looking(tmp_path) as (stage, _):
        await stage.press("a")
        await stage.sees("compare **them**", "0.9", "• more", "…")
        assert "|---|" not in stage.screen
        assert "`0.9`" not in stage.screen
