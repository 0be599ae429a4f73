from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import App

from ml_intern.core.config import ConfigError
from ml_intern.core.protocol import AssistantChunk, AssistantMessage
from ml_intern.options import Options
from ml_intern.sessions.log import read_session
from ml_intern.sessions.replay import Recording
from ml_intern.sessions.restore import restore
from ml_intern.tui.messages import ReviewSession
from ml_intern.tui.screens.review_reel import Reel
from ml_intern.tui.widgets.timeline import Timeline
from ml_intern.wiring import Wired, build
from tests.support.llm_script import Gate, text
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import played_app
from tests.tui.review_story import PAST, long_story, prompt, story, write_log
from tests.tui.stage import Stage, WatchedApp, on_stage

LAST = "event 25 of 25"


def sessions_of(directory: Path) -> Path:
    return directory / "home" / "sessions"


async def review(stage: Stage, what: str = PAST[:8]) -> None:
    await stage.sees("claude-opus")
    await stage.enter(f"/review {what}".strip())
    await stage.sees("review · ", "esc back", "event")


def app_with_past(directory: Path) -> WatchedApp:
    write_log(sessions_of(directory), story())
    return played_app(directory)[0]


async def test_a_session_opens_at_its_end_and_shows_what_was_seen(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.sees("Clean the data", "Train on it", "Trained: loss 1.02.", "3 calls", "plan · 1 of 2")
        await stage.sees(
            "read-only", "vllm/qwen3", "ctx 30%", "$1.25", LAST, "12:00 ├", "┤ 13:00", "● prompt", "■ error"
        )
        assert all(sign in stage.row("12:00 ├") for sign in "●◆■▲")
        await stage.press("escape")
        await stage.sees("claude-opus")
        assert "review · " not in stage.screen


def without_bars(stage: Stage) -> str:
    """The screen, but for scroll bars: they go by heights that are known better the longer one looks."""
    return re.sub("[▁▂▃▄▅▆▇█]", " ", stage.screen)


async def test_a_long_session_shows_its_end_at_once_and_every_moment_soon(tmp_path: Path) -> None:
    write_log(sessions_of(tmp_path), long_story(60))
    async with on_stage(played_app(tmp_path)[0], (160, 45)) as stage:
        await review(stage)
        await stage.sees("event 603 of 603", "Prompt 59", "60 calls", "▾ Prompt 59", "$0.60", "plan · 1 of 2")
        picture = without_bars(stage)
        for key, seen in (("home", "event 1 of 603"), ("end", "event 603 of 603")):
            await stage.press(key)
            await stage.sees(seen)
        await stage.until(lambda: without_bars(stage) == picture, "the end as it was")
        await stage.press("left_square_bracket", "left_square_bracket")
        await stage.sees("prompt: Prompt 58", "58 calls", "$0.58")


async def test_a_long_session_that_ended_within_a_reply_shows_the_half_of_it(tmp_path: Path) -> None:
    told = [*long_story(60), *[(900.0, event) for event in prompt("And?")]]
    told += [(901.0, AssistantChunk(content=piece)) for piece in ("Half of ", "a rep")]
    write_log(sessions_of(tmp_path), told)
    async with on_stage(played_app(tmp_path)[0], (160, 45)) as stage:
        await review(stage)
        await stage.sees("event 605 of 605", "Half of a rep", "60 calls")
        await stage.press("home", "end")
        await stage.sees("event 605 of 605", "Half of a rep", "60 calls")
        await stage.press("left")
        await stage.sees("event 604 of 605", "And?")
        assert "Half of" not in stage.screen


@pytest.mark.parametrize("step", [250, 411, 602])
async def test_a_glance_at_a_moment_tells_what_all_events_up_to_it_tell(tmp_path: Path, step: int) -> None:
    recording = Recording.open(write_log(tmp_path, long_story(60)))
    async with App[None]().run_test():
        glance, whole = Reel(recording), Reel(recording)
        glance.glance(step)
        whole.go(step)
        assert replace(glance.state, title="") == replace(whole.state, title="")
        assert glance.plan.snapshot() == whole.plan.snapshot()
        assert glance.now.time == whole.now.time
        tail = [block.plain for block in glance.chat.snapshot().blocks.pieces]
        assert tail == [block.plain for block in whole.chat.snapshot().blocks.pieces][-len(tail) :]
        whole.go(3)
        whole.adopt(glance)
        assert (whole.step, whole.state) == (step, glance.state)


async def test_a_log_that_is_gone_closes_the_review_and_says_so(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story())
    async with on_stage(played_app(tmp_path)[0], (160, 45)) as stage:
        await review(stage)
        path.unlink()
        await stage.pilot.resize_terminal(100, 30)
        await stage.sees("an event that cannot be read")
        await stage.press("home")
        await stage.sees("The log cannot be read any more", "claude-opus")


async def test_arrows_go_through_time_and_every_pane_follows(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.press("home")
        await stage.sees("event 1 of 25", "the session was opened with vllm/qwen3")
        assert "you " not in stage.screen
        await stage.press("right", "right", "right")
        await stage.sees("event 4 of 25", "Step 0", "plan · 0 of 2", "ctx 10%", "$0.01")
        assert "tool calls ·" not in stage.screen
        await stage.press("right", "right")
        await stage.sees("1 call, 1 running", "bash running", "▸ bash")
        await stage.press("right")
        await stage.sees("bash FAILED after 3.0 s: no such file: clean.py", "✗ bash")
        await stage.press("left")
        await stage.sees("1 call, 1 running")
        assert "✗" not in stage.screen
        await stage.press("end")
        await stage.sees(LAST, "3 calls")


async def test_going_back_shows_the_same_as_going_there(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.press("home")
        await stage.sees("event 1 of 25")
        pictures = []
        for number in range(2, 26):
            await stage.press("right")
            await stage.sees(f"event {number} of 25")
            pictures.append(stage.screen)
        for picture in reversed(pictures[:-1]):
            await stage.press("left")
            await stage.until(lambda picture=picture: stage.screen == picture, "the same picture")  # type: ignore[misc]  # a default binds it


async def test_one_key_leads_to_the_next_prompt_error_approval_payment_and_job(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.press("left_square_bracket")
        await stage.sees("prompt: Train on it")
        await stage.press("left_square_bracket")
        await stage.sees("prompt: Clean the data")
        await stage.press("right_square_bracket", "right_square_bracket")
        await stage.sees(LAST)
        await stage.press("e")  # around the end
        await stage.sees("bash FAILED")
        await stage.press("a")
        await stage.sees("approval asked: hf_jobs, paid compute, at most $2.00", "waiting")
        await stage.press("p")
        await stage.sees("job job-1: $2.00 promised")
        await stage.press("j", "j")
        await stage.sees("hf_jobs job job-1 RUNNING")
        await stage.press("J")
        await stage.sees("hf_jobs job job-1 SCHEDULING")


async def test_keys_without_a_goal_say_so(tmp_path: Path) -> None:
    write_log(sessions_of(tmp_path), story()[:4])
    async with on_stage(played_app(tmp_path)[0], (120, 40)) as stage:
        await review(stage)
        await stage.press("e", "j")
        await stage.sees("There is no error in this session.", "There is no job in this session.")


async def test_playing_keeps_the_pace_shortens_long_pauses_and_stops(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.press("plus", "plus", "plus", "plus", "plus")
        await stage.sees("space play 16×")
        await stage.press("space")  # from the end: from the beginning
        await stage.sees("space pause 16×", "skipping a pause of 1 h 0 m")
        await stage.press("space")
        await stage.sees("space play 16×")
        assert LAST not in stage.screen
        await stage.press("minus")
        await stage.sees("space play 8×")
        await stage.press("space")
        await stage.sees(LAST, "space play 8×", timeout=20)


async def test_a_search_goes_through_prompts_commands_outputs_and_answers(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.press("slash")
        await stage.enter("clean")
        await stage.sees("/ clean", "1 of 5   n N next, previous   esc end", "prompt: Clean the data")
        await stage.press("n", "n")
        await stage.sees("3 of 5", "no such file: clean.py")
        await stage.press("N", "N", "N")
        await stage.sees("5 of 5", "answer: The data is **clean**.")
        await stage.press("slash")
        await stage.enter("rows dropped")
        await stage.sees("/ rows dropped", "1 of 1", "31 rows dropped")
        await stage.press("escape")
        await stage.sees_no_more("1 of 1")
        await stage.press("slash")
        await stage.enter("quokka")
        await stage.sees("/ quokka", "nowhere in this session")
        await stage.press("slash")
        await stage.enter("Clean")
        await stage.sees("/ Clean", "1 of 1")  # its capital counts


async def test_a_filter_lets_the_arrows_stop_at_one_tool_or_at_errors_only(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (160, 45)) as stage:
        await review(stage)
        await stage.press("f")
        await stage.sees("stop at", "all events", "only errors", "only bash", "2 calls")
        await stage.type("only hf")
        await stage.press("enter")
        await stage.sees("only hf_jobs: ")
        await stage.press("home", "right")
        await stage.sees("hf_jobs asked for: run")
        await stage.press("left")
        await stage.sees("Nothing more of hf_jobs this way")
        await stage.press("escape")
        await stage.sees_no_more("only hf_jobs")
        await stage.press("home", "f")
        await stage.type("error")
        await stage.press("enter", "right")
        await stage.sees("only errors: 1 event", "bash FAILED")


async def test_a_pane_takes_all_the_room_and_gives_it_back(tmp_path: Path) -> None:
    write_log(sessions_of(tmp_path), story())
    async with on_stage(played_app(tmp_path)[0], (120, 40)) as stage:
        await review(stage)
        await stage.sees("plan · ", "tool calls · ")
        await stage.press("z")
        await stage.sees_no_more("tool calls · ")
        await stage.press("alt+2")
        await stage.sees("tool calls · ")
        assert "plan · " not in stage.screen
        await stage.press("z")
        await stage.sees("plan · ", "tool calls · ")


async def test_a_call_opens_in_full_as_it_was_then(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story())
    assert any(path.with_suffix(".files").iterdir())
    async with on_stage(played_app(tmp_path)[0], (120, 40)) as stage:
        await review(stage)
        await stage.press("slash")
        await stage.enter("rows dropped")
        await stage.sees("bash gave")
        await stage.press("ctrl+o")
        await stage.sees("1 all", "python data/clean.py", "31 rows dropped", "xxxxx")
        await stage.press("slash")
        await stage.type("x" * 10)
        await stage.sees("1 of 7,000")  # of 70,000 characters, not of a preview
        await stage.press("escape", "escape")
        await stage.sees("event ")
        await stage.press("left", "ctrl+o")
        await stage.sees("1 all", "row 1 of 2")
        assert "31 rows dropped" not in stage.screen


async def test_a_click_on_the_timeline_goes_there(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (120, 40)) as stage:
        await review(stage)
        row = stage.row("12:00 ├")
        await stage.pilot.click(Timeline, offset=(row.index("■"), 0))
        await stage.sees("bash FAILED")
        await stage.pilot.click(Timeline, offset=(row.index("├") + 1, 0))
        await stage.sees("event 1 of 25")


async def test_sixty_columns_show_one_pane_at_a_time(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (60, 20)) as stage:
        await review(stage)
        await stage.sees("1 chat", "2 tools 3 calls", "3 plan 1 of 2", "25/25", "├", "Trained: loss 1.02.")
        await stage.press("2")
        await stage.sees("✗ bash")
        assert "Trained: loss" not in stage.screen
        await stage.press("3")
        await stage.sees("✓ Step 0")
        await stage.press("left")
        await stage.sees("24/25", "✓ Step 0")


async def test_what_is_damaged_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story())
    lines = path.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5][:30] + b"\n"
    lines.append(b'{"seq": 900, "time": "2026-01-01T14:00:00Z", "session_id": "x", "type": "telepathy"}\n')
    path.write_bytes(b"".join(lines) + b'{"seq": 901, "time"')
    async with on_stage(played_app(tmp_path)[0], (200, 40)) as stage:
        await review(stage)
        await stage.sees("1 line of this log cannot be read", "last line is cut off", "kind unknown to this version")
        await stage.sees("Train on it", "Trained: loss 1.02.")


async def test_a_session_that_another_process_writes_is_reviewed_and_grows(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story()[:-2])
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print('locked', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        async with on_stage(played_app(tmp_path)[0], (160, 40)) as stage:
            await review(stage)
            await stage.sees("event 24 of 24")
            with path.open("a") as file:
                file.write(
                    f'{{"seq": 900, "time": "2026-01-01T13:01:00Z", "session_id": "{PAST}", "type": "user_message",'
                    ' "content": "And now?"}\n'
                )
            await stage.press("end")
            await stage.sees(LAST, "And now?")
            await stage.press("r")
            await stage.sees("is open in another ml-intern")
        other.communicate("\n")


# ------------------------------------------------------------------------------------------- going on from the past


def app_on(server: ScriptedLLM, directory: Path, *, refuses: bool = False) -> WatchedApp:
    """The app as it is started in a directory: what it resumes is what its options say, or it refuses to."""
    workspace = directory / "work"
    workspace.mkdir(exist_ok=True)
    env = {
        "ML_INTERN_HOME": str(directory / "home"),
        "LOCAL_LLM_BASE_URL": server.url,
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
    }

    def connect(options: Options) -> Wired:
        if refuses and options.resume:
            raise ConfigError("The configuration is broken by now.")
        return build(options, env)

    return WatchedApp(Options(model="vllm/scripted", workdir=workspace), connect)


async def test_a_fork_goes_on_from_the_event_and_leaves_the_session_alone(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story())
    before = path.read_bytes()
    with ScriptedLLM(text("Going on differently.")) as server:
        async with on_stage(app_on(server, tmp_path), (140, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter(f"/review {PAST[:6]}")
            await stage.sees(LAST)
            await stage.press("slash")
            await stage.enter("data/clean.py")
            await stage.sees("bash asked for: python data/clean.py")
            await stage.press("F")
            await stage.sees("fork here", "A copy of this session up to event 8 of 25", "copy and open")
            await stage.press("y")
            await stage.sees_no_more("review · ")
            await stage.sees("Clean the data", "interrupted", "⊘ bash")
            assert "Train on it" not in stage.screen
            await stage.enter("do it otherwise")
            await stage.sees("Going on differently.", "done")
            sent = server.requests[0].messages
            roles = [message["role"] for message in sent[1:]]
            assert roles == ["user", "assistant", "tool", "assistant", "tool", "user"]
            assert "no such file" in sent[3]["content"]
            assert "there is no result" in sent[5]["content"]
    assert path.read_bytes() == before
    copies = [log for log in sessions_of(tmp_path).glob("*/*/*.jsonl") if log != path]
    assert len(copies) == 1
    assert restore(copies[0]).turns == 2


async def test_resuming_at_the_end_goes_on_with_the_session_itself(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story())
    with ScriptedLLM(text("Here I am again.")) as server:
        async with on_stage(app_on(server, tmp_path), (140, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter(f"/review {PAST}")
            await stage.sees(LAST)
            await stage.press("r")
            await stage.sees_no_more("review · ")
            await stage.sees("Train on it", "Trained: loss 1.02.")
            await stage.enter("are you there?")
            await stage.sees("Here I am again.", "done")
            await stage.enter("/review")
            await stage.sees("review · Clean the data", "this session", "Here I am again.")
    said = [event["content"] for event in read_session(path) if event["type"] == "user_message"]
    assert said == ["Clean the data", "Train on it", "are you there?"]
    assert len(list(sessions_of(tmp_path).glob("*/*/*.jsonl"))) == 1


async def test_a_session_that_cannot_be_opened_leaves_an_app_that_works(tmp_path: Path) -> None:
    write_log(sessions_of(tmp_path), story())
    with ScriptedLLM(text("Here is a new one.")) as server:
        async with on_stage(app_on(server, tmp_path, refuses=True), (140, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter(f"/review {PAST}")
            await stage.sees(LAST)
            await stage.press("r")
            await stage.sees("The configuration is broken by now.", "The next prompt starts a new one.")
            await stage.enter("hello")
            await stage.sees("Here is a new one.", "done")


async def test_opening_a_session_asks_while_a_turn_runs(tmp_path: Path) -> None:
    write_log(sessions_of(tmp_path), story())
    with ScriptedLLM(text("never whole").hold(Gate())) as server:
        async with on_stage(app_on(server, tmp_path), (140, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("begin")
            await stage.sees("working")
            await stage.enter(f"/review {PAST}")
            await stage.sees(LAST)
            await stage.press("r")
            await stage.sees("A turn is running.")
            await stage.press("n")
            await stage.sees("review · Clean the data")
            await stage.press("r")
            await stage.sees("A turn is running.")
            await stage.press("y")
            await stage.sees_no_more("review · ")
            await stage.sees("Trained: loss 1.02.", "0ddba11d")
    others = [log for log in sessions_of(tmp_path).glob("*/*/*.jsonl") if log.stem != PAST]
    assert [event["type"] for event in read_session(others[0])][-2:] == ["interrupted", "shutdown"]


async def test_a_running_session_can_be_looked_at_and_left_again(tmp_path: Path) -> None:
    with ScriptedLLM(text("One."), text("Two.")) as server:
        async with on_stage(app_on(server, tmp_path), (140, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("/review")
            await stage.sees("Nothing has been said in this session yet.")
            await stage.enter("first")
            await stage.sees("One.", "done")
            await stage.enter("/review")
            await stage.sees("review · first", "this session", "One.")
            await stage.press("r")  # it runs already
            await stage.sees_no_more("review · ")
            await stage.enter("second")
            await stage.sees("Two.")
            assert len(server.requests) == 2


async def test_a_session_can_be_opened_at_an_event(tmp_path: Path) -> None:
    path = write_log(sessions_of(tmp_path), story())
    failed = next(event["seq"] for event in read_session(path) if event.get("success") is False)
    async with on_stage(played_app(tmp_path)[0], (160, 40)) as stage:
        await stage.sees("claude-opus")
        stage.app.main_screen.post_message(ReviewSession(path, seq=failed))
        await stage.sees("bash FAILED", "1 call")
        await stage.press("right")
        await stage.sees("bash asked for: python data/clean.py")


async def test_help_is_about_the_review_wherever_the_focus_is(tmp_path: Path) -> None:
    async with on_stage(app_with_past(tmp_path), (100, 40)) as stage:
        await review(stage)
        for _ in range(3):
            await stage.press("tab", "f1")
            await stage.sees("A session as it was.")
            await stage.press("escape")


async def test_a_find_in_a_long_answer_is_brought_into_view(tmp_path: Path) -> None:
    long = "\n\n".join(f"Paragraph {number} of the report." for number in range(200))
    events = [(float(at), event) for at, event in enumerate([*prompt("Report"), AssistantMessage(content=long)])]
    write_log(sessions_of(tmp_path), events)
    async with on_stage(played_app(tmp_path)[0], (100, 30)) as stage:
        await review(stage)
        await stage.sees("Paragraph 199")
        await stage.press("slash")
        await stage.enter("graph 77")
        await stage.sees("Paragraph 77 of", "Paragraph 80 of")
        await stage.press("end")
        await stage.sees("Paragraph 199")


async def test_a_session_that_does_not_exist_is_named(tmp_path: Path) -> None:
    async with on_stage(played_app(tmp_path)[0]) as stage:
        await stage.sees("claude-opus")
        await stage.enter("/review nowhere")
        await stage.sees("There is no session whose id begins with 'nowhere'")


async def test_an_imported_trace_is_reviewed_and_gone_on_with(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    envelope = '"uuid": "u", "parentUuid": null, "sessionId": "s1", "timestamp": "2026-01-01T12:00:00.000Z"'
    trace.write_text(
        f'{{"type": "user", "message": {{"role": "user", "content": "Fix the loader"}}, {envelope}}}\n'
        f'{{"type": "assistant", "message": {{"role": "assistant", "model": "m", "content": '
        f'[{{"type": "text", "text": "It reads twice."}}]}}, {envelope}}}\n'
    )
    from ml_intern.core.redact import Redactor
    from ml_intern.sessions.imports import import_trace
    from ml_intern.sessions.store import SessionStore

    path = import_trace(trace, SessionStore(sessions_of(tmp_path), Redactor()))
    with ScriptedLLM(text("Mended.")) as server:
        async with on_stage(app_on(server, tmp_path), (140, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter(f"/review {path.stem}")
            await stage.sees("review · Fix the loader", "It reads twice.")
            await stage.press("r")
            await stage.sees_no_more("review · ")
            await stage.enter("mend it")
            await stage.sees("Mended.")
            assert [message["content"] for message in server.requests[-1].messages[1:]] == [
                "Fix the loader",
                "It reads twice.",
                "mend it",
            ]


@pytest.mark.parametrize("size", [(100, 30), (160, 45)], ids=["medium", "wide"])
def test_picture(snap_compare, tmp_path: Path, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]  # of the plugin
    app = app_with_past(tmp_path)

    async def prepare(pilot):  # type: ignore[no-untyped-def]  # of the plugin
        stage = Stage(app, pilot)
        await review(stage)
        await stage.press("a")
        await stage.sees("approval asked")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=prepare)
