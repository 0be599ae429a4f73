from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.accumulator import Accumulator
from ml_intern.core.llm.practice import SUGGESTION, PracticeTransport
from ml_intern.core.llm.practice.wishes import read_wish, wanted_epochs
from ml_intern.core.llm.types import RawToolCall, Reply, Request

TOOLS = ("bash", "read", "write", "edit", "plan_tool", "hf_jobs")
COUNTS = "topic,message\ndata,x\n\n    100 data\n    100 install\n"
REJECTED = "Rejected by the user, NOT executed: hf_jobs."


def job(accuracy: float, *, epochs: int = 40, number: int = 1) -> str:
    return (
        f"Job local-{number} COMPLETED.\nExit code 0; ran 1.0 s; cost $0.00.\n--- log (all of it) ---\n"
        f"rows: 120 train, 40 validation, 40 test\nfeatures: 900, epochs: {epochs}\n"
        f"{{'loss': 0.01, 'epoch': {epochs}}}\n"
        "mistake: 'lables are empyt' is data, predicted install\n"
        f"validation_accuracy={accuracy - 0.05:.4f}\naccuracy={accuracy:.4f}"
    )


FAILED = "Job local-9 ERROR. It exited with code 1.\n--- log (all of it) ---\nValueError: bad column"


class Conversation:
    """A conversation with the practice model; the tools' results are written by the test."""

    def __init__(self, prompt: str = SUGGESTION) -> None:
        self.messages = [Message("system", "You are ml-intern."), Message("user", prompt)]
        self.replies: list[Reply] = []
        self.jobs: list[str] = []
        self.results: dict[str, list[str]] = {}
        self.saved = "{}"

    async def step(self) -> Reply:
        reply = await ask(self.messages)
        self.replies.append(reply)
        calls = tuple(call.as_history(call.arguments) for call in reply.tool_calls)
        self.messages.append(Message("assistant", reply.content, calls))
        for call in reply.tool_calls:
            self.messages.append(Message("tool", self._result(call), tool_call_id=call.id, name=call.name))
        return reply

    async def run(self, *jobs: str) -> str:
        """Goes on to the end of the turn; each job gets one of these results. Returns the last text."""
        self.jobs += jobs
        for _ in range(30):
            if not (await self.step()).tool_calls:
                return self.replies[-1].content
        raise AssertionError("the turn does not end")

    async def say(self, text: str, *jobs: str) -> str:
        self.messages.append(Message("user", text))
        return await self.run(*jobs)

    def calls(self, tool: str) -> list[dict[str, Any]]:
        return [json.loads(call.arguments) for reply in self.replies for call in reply.tool_calls if call.name == tool]

    def plan(self) -> dict[str, str]:
        return {todo["id"]: todo["status"] for todo in self.calls("plan_tool")[-1]["todos"]}

    def _result(self, call: RawToolCall) -> str:
        if prepared := self.results.get(call.name):
            return prepared.pop(0)
        if call.name == "hf_jobs":
            text = self.jobs.pop(0)
            figure = text.rpartition("accuracy=")[2]
            self.saved = f'{{"validation_accuracy": 0.1, "accuracy": {figure}}}'
            return text
        return {"bash": COUNTS, "read": self.saved}.get(call.name, "Done.")


async def ask(
    messages: list[Message], *, stream: bool = True, kind: Any = "main", tools: tuple[str, ...] = TOOLS
) -> Reply:
    offered = tuple({"type": "function", "function": {"name": name}} for name in tools)
    request = Request("demo/first-run", tuple(messages), offered, stream=stream, kind=kind)
    accumulator = Accumulator(tools)
    async for chunk in PracticeTransport(0).send(request):
        accumulator.feed(chunk)
    assert accumulator.finished
    return accumulator.reply()


async def test_it_plans_looks_writes_runs_improves_and_reports_what_the_jobs_printed() -> None:
    talk = Conversation()
    report = await talk.run(job(0.8, number=1), job(0.925, number=2))
    assert "92.5%" in report
    assert "80%" in report
    assert "`local-1` and `local-2`" in report
    assert "40 messages" in report
    assert "±4 points" in report
    assert "Not verified" in report
    assert "Checked: `metrics.json`" in report
    tools = [call.name for reply in talk.replies for call in reply.tool_calls if call.name != "plan_tool"]
    assert tools == ["bash", "read", "write", "hf_jobs", "edit", "hf_jobs", "read"]
    assert set(talk.plan().values()) == {"completed"}
    assert len(talk.plan()) == 5


async def test_it_says_at_once_that_it_is_a_practice_model() -> None:
    assert "practice model" in (await Conversation().step()).content
    other = await Conversation("fine-tune llama on my dataset").step()
    assert "one task only" in other.content


async def test_at_most_one_step_of_the_plan_is_in_progress_and_none_is_done_before_its_time() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    for call in talk.calls("plan_tool"):
        statuses = [todo["status"] for todo in call["todos"]]
        assert statuses.count("in_progress") <= 1
        assert statuses == sorted(statuses, key=["completed", "in_progress", "pending"].index)


async def test_it_quotes_a_real_mistake_of_the_baseline_before_it_improves_it() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    edit = next(reply for reply in talk.replies if any(call.name == "edit" for call in reply.tool_calls))
    assert "`lables are empyt`" in edit.content
    assert "80%" in edit.content


async def test_an_improvement_that_does_not_help_is_reported_as_that() -> None:
    report = await Conversation().run(job(0.8), job(0.775))
    assert "did not help" in report
    assert "77.5%" in report


async def test_saved_figures_that_differ_from_the_log_are_not_called_checked() -> None:
    talk = Conversation()
    talk.results["read"] = ["readme", '{"accuracy": 0.5}']
    assert "Not checked" in await talk.run(job(0.8), job(0.9))


@pytest.mark.parametrize(
    ("feedback", "epochs"),
    [("Use 5 epochs", 5), ("fewer epochs please", 20), ("7", 7), ("more epochs", 80), ("100000 epochs", 100)],
)
async def test_feedback_at_the_approval_is_followed_and_the_changed_job_is_asked_for_again(
    feedback: str, epochs: int
) -> None:
    talk = Conversation()
    report = await talk.run(f"{REJECTED} User feedback: {feedback}", job(0.7, epochs=epochs), job(0.8, epochs=epochs))
    assert talk.calls("edit")[0] == {"path": "train.py", "old_str": "EPOCHS = 40", "new_str": f"EPOCHS = {epochs}"}
    assert f"| {epochs} |" in report


@pytest.mark.parametrize("feedback", ["", " User feedback: no job", " User feedback: Paint it BLUE"])
async def test_a_rejected_job_ends_the_turn_and_is_not_run_in_another_way(feedback: str) -> None:
    talk = Conversation()
    answer = await talk.run(REJECTED + feedback)
    assert "will not run the same thing in another way" in answer
    assert len(talk.calls("bash")) == 1
    assert talk.plan() == {"look": "completed", "write": "completed"}
    assert ("BLUE" in answer) == ("BLUE" in feedback)


async def test_after_a_rejection_it_asks_again_when_told_to_continue() -> None:
    talk = Conversation()
    await talk.run(REJECTED)
    report = await talk.say("ok, continue", job(0.8), job(0.9))
    assert "90%" in report
    assert len(talk.calls("hf_jobs")) == 3


async def test_a_failed_job_is_reported_with_its_error_and_without_a_figure() -> None:
    answer = await Conversation().run(FAILED)
    assert "ValueError: bad column" in answer
    assert "No model has been trained yet" in answer


async def test_a_failed_second_job_leaves_the_first_figure_standing() -> None:
    answer = await Conversation().run(job(0.8), FAILED)
    assert "baseline with 80%" in answer


async def test_a_failed_job_that_a_person_had_edited_is_told_from_its_own() -> None:
    note = "[The user edited script before approving; this is the result of the edited version.]\n"
    assert "version that you had edited" in await Conversation().run(note + FAILED)
    report = await Conversation().run(note + job(0.7), job(0.9))
    assert "You edited a script" in report


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("Job local-3 CANCELED. Cancelled.\n--- log ---\nx", "was cancelled"),
        ("Job local-3 COMPLETED.\nThe log is empty.", "no line `accuracy=…`"),
        ("Refused, NOT executed: in plan mode nothing is changed: only reading tools run.", "was not run"),
    ],
)
async def test_other_ends_of_a_job_are_reported_as_what_they_are(result: str, words: str) -> None:
    assert words in await Conversation().run(result)


async def test_after_an_interrupt_it_goes_on_where_it_stood() -> None:
    talk = Conversation()
    talk.results["hf_jobs"] = ["Interrupted by the user before it had finished. What it had done so far is not undone."]
    for _ in range(3):
        await talk.step()
    answer = await talk.say("and now?")
    assert "interrupted `hf_jobs`" in answer or "scripted practice model" in answer
    report = await talk.say("continue", job(0.8), job(0.9))
    assert "90%" in report
    assert len(talk.calls("write")) == 1


async def test_a_message_instead_of_a_decision_is_answered_and_nothing_is_run() -> None:
    talk = Conversation()
    talk.results["hf_jobs"] = ["Abandoned, NOT executed: the user went on with a new message instead of deciding."]
    for _ in range(3):
        await talk.step()
    answer = await talk.say("what is a softmax?")
    assert "cannot answer that" in answer
    assert len(talk.calls("hf_jobs")) == 1


async def test_steering_while_it_works_is_followed_or_honestly_declined() -> None:
    talk = Conversation()
    await talk.step()
    talk.messages.append(Message("user", "use 8 epochs"))
    assert "Noted: 8 epochs" in (await talk.step()).content
    talk.messages.append(Message("user", "sing a song"))
    assert "cannot take that into account" in (await talk.step()).content
    await talk.run(job(0.8, epochs=8), job(0.9, epochs=8))
    assert talk.calls("edit")[0]["new_str"] == "EPOCHS = 8"


async def test_steering_it_to_stop_stops_it() -> None:
    talk = Conversation()
    await talk.step()
    await talk.step()
    answer = await talk.say("stop please")
    assert "leave it at that" in answer
    assert talk.calls("hf_jobs") == []


async def test_questions_after_the_end_are_answered_from_the_results() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    assert "90%" in await talk.say("What accuracy did you get?")
    assert "typo" in await talk.say("why is that?")
    assert "welcome" in await talk.say("thanks!")
    assert "real model" in await talk.say("now fine-tune llama")
    assert "nothing left" in await talk.say("continue")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What accuracy is it?", "gets 90% of the test messages right"),
        ("why is that?", "typo"),
        ("which licence?\n\nand why not?", "typo"),
        ("sing a song", "scripted practice model"),
        ("continue", "90% of the test messages right"),
    ],
)
async def test_a_question_beside_the_work_is_answered_in_words_alone(question: str, told: str) -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    asked = Message("user", f"[Aside] The user asks something beside the work.\n\n{question}")
    reply = await ask([*talk.messages, asked], kind="aside")
    assert told in reply.content
    assert not reply.tool_calls


async def test_a_question_beside_the_work_is_answered_before_there_is_a_figure() -> None:
    talk = Conversation()
    await talk.step()
    reply = await ask([*talk.messages, Message("user", "[Aside]\n\nhow good is it?")], kind="aside")
    assert "No model has been trained yet." in reply.content


async def test_one_epoch_is_one() -> None:
    talk = Conversation()
    await talk.step()
    talk.messages.append(Message("user", "1 epoch is enough"))
    assert "Noted: 1 epoch from" in (await talk.step()).content
    await talk.run(job(0.8, epochs=1), job(0.9, epochs=1))
    assert any("1 epoch: I set" in reply.content for reply in talk.replies)


async def test_another_number_of_epochs_after_the_end_is_one_more_run() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    report = await talk.say("try 10 epochs", job(0.85, epochs=10, number=3))
    assert "`local-1` and `local-3`" in report
    assert "differ in epochs" in report


async def test_the_whole_task_can_be_done_again() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    await talk.say("again", job(0.8), job(0.9))
    assert len(talk.calls("write")) == 2


async def test_without_the_data_it_says_how_to_get_it() -> None:
    talk = Conversation()
    talk.results["bash"] = ["head: cannot open 'data.csv' for reading: No such file or directory"]
    answer = await talk.run()
    assert "ml-intern --demo" in answer
    assert talk.calls("write") == []


async def test_a_file_that_may_not_be_changed_unread_is_read_and_then_changed() -> None:
    talk = Conversation()
    talk.results["write"] = ["ERROR: train.py exists and was not read in this session; read it first."]
    assert "90%" in await talk.run(job(0.8), job(0.9))
    assert {"path": "train.py"} in talk.calls("read")


async def test_a_file_that_cannot_be_changed_at_all_ends_the_turn() -> None:
    talk = Conversation()
    talk.results["write"] = ["ERROR: the disk is full."] * 2
    assert "the disk is full" in await talk.run()


async def test_a_missing_tool_is_named() -> None:
    reply = await ask(Conversation().messages, tools=("plan_tool", "read"))
    assert "`bash`" in reply.content
    assert reply.tool_calls == ()


async def test_whole_and_streamed_replies_are_the_same() -> None:
    messages = Conversation().messages
    streamed, whole = await ask(messages), await ask(messages, stream=False)
    assert (streamed.content, streamed.reasoning, streamed.tool_calls, streamed.finish_reason) == (
        whole.content,
        whole.reasoning,
        whole.tool_calls,
        whole.finish_reason,
    )
    assert streamed.finish_reason == "tool_calls"
    assert streamed.reasoning


async def test_the_same_conversation_always_gets_the_same_reply() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    assert await ask(talk.messages[:6]) == await ask(talk.messages[:6])


async def test_a_summary_keeps_the_figures() -> None:
    messages = [Message("system", "Summarise."), Message("user", f"tool: {job(0.8)}\ntool: {job(0.9)}")]
    summary = (await ask(messages, kind="compaction", tools=())).content
    assert "0.8000, 0.9000" in summary


async def test_the_pace_can_be_set_and_a_whole_session_waits_three_seconds_at_most() -> None:
    talk = Conversation()
    await talk.run(job(0.8), job(0.9))
    words = sum(len(reply.content.split()) + len(reply.reasoning.split()) for reply in talk.replies)
    assert words * 0.006 < 3
    request = Request("demo/first-run", tuple(Conversation().messages))
    began = time.monotonic()
    async for _ in PracticeTransport(env={"ML_INTERN_PRACTICE_PACE_MS": "0"}).send(request):
        pass
    assert time.monotonic() - began < 0.2


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("use 5 epochs", "epochs", 5),
        ("epochs = 12", "epochs", 12),
        ("no, not 40 epochs but 6 epochs", "epochs", 6),
        ("3", "epochs", 3),
        ("wait 5 minutes", "other", 0),
        ("fewer epochs", "fewer", 0),
        ("a lesson in patience", "other", 0),
        ("No.", "stop", 0),
        ("don't run it again", "stop", 0),
        ("run it again", "again", 0),
        ("Go ahead", "go on", 0),
        ("Why?", "why", 0),
        ("what score", "results", 0),
        ("I know nothing", "other", 0),
        (SUGGESTION, "task", 0),
    ],
)
def test_wishes_are_read_from_words(text: str, kind: str, number: int) -> None:
    wish = read_wish(text)
    assert (wish.kind, wish.number) == (kind, number)


def test_epochs_stay_within_sense() -> None:
    assert wanted_epochs(read_wish("0 epochs"), 40, 100) == 1
    assert wanted_epochs(read_wish("fewer"), 1, 100) == 1
    assert wanted_epochs(read_wish("thanks"), 40, 100) == 40
