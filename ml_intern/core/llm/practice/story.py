"""What has happened in a practice session so far, read from its messages and from nothing else.

The transport keeps no state, so a session that was interrupted, undone or resumed is read like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.practice.material import Material
from ml_intern.core.llm.practice.wishes import WORK, Wish, read_wish, wanted_epochs

Trouble = Literal["refused", "interrupted", "failed", "cancelled", "no_figure"]

SCRIPT = "train.py"

_REFUSED = re.compile(r"(Rejected|Refused|Abandoned)\b")
_INTERRUPTED = re.compile(r"(Not executed|Interrupted)\b")
_FEEDBACK = re.compile(r"User feedback: (.*)", re.DOTALL)
_EDITED = re.compile(r"^\[The user edited", re.IGNORECASE)
_JOB = re.compile(r"\bJob (\S+) ([A-Z]+)\b")


@dataclass(frozen=True, slots=True)
class Run:
    """One job that was run to its end, as its result tells it.

    Attributes:
        improved: Whether the script had the improvement in it.
        asked_epochs: Epochs in the script as it was submitted.
        text: The tool's result.
    """

    improved: bool
    asked_epochs: int
    text: str

    @property
    def accuracy(self) -> float | None:
        """Share of the test messages it got right, as the job printed it."""
        return self._figure(r"^accuracy=([\d.]+)")

    @property
    def validation(self) -> float | None:
        """The same for the validation messages."""
        return self._figure(r"^validation_accuracy=([\d.]+)")

    @property
    def epochs(self) -> str:
        """Epochs it really ran."""
        return self._word(r"\bepochs: (\d+)") or str(self.asked_epochs)

    @property
    def test_rows(self) -> int:
        """Number of test messages."""
        return int(self._word(r"(\d+) test\b") or 0)

    @property
    def last_loss(self) -> float | None:
        """Training loss of the last epoch."""
        losses = re.findall(r"'loss': ([\d.]+)", self.text)
        return float(losses[-1]) if losses else None

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self._word(r"\bJob (\S+)")

    @property
    def mistake(self) -> tuple[str, str, str] | None:
        """A validation message it got wrong, as `(message, label, guess)`."""
        found = re.search(r"^mistake: (['\"])(.*)\1 is (\w+), predicted (\w+)$", self.text, re.MULTILINE)
        return (found[2], found[3], found[4]) if found else None

    @property
    def last_line(self) -> str:
        """The last thing it printed."""
        return self.text.rstrip().rpartition("\n")[2][:300]

    @property
    def was_edited(self) -> bool:
        """Whether a person had changed the script before approving it."""
        return _EDITED.search(self.text) is not None

    def _figure(self, pattern: str) -> float | None:
        try:
            return float(self._word(pattern))
        except ValueError:
            return None

    def _word(self, pattern: str) -> str:
        found = re.search(pattern, self.text, re.MULTILINE)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Block:
    """Why the task cannot simply go on.

    Attributes:
        kind: What happened.
        tool: The call it happened to.
        text: What the tool, or the person, said.
        feedback: The person's own words on a refusal.
        was_edited: The job that failed ran a script that a person had changed.
    """

    kind: Trouble
    tool: str
    text: str
    feedback: str = ""
    was_edited: bool = False


@dataclass(slots=True)
class Story:
    """Where the task stands.

    Attributes:
        prompt: What the person said, if that is the newest thing that happened; else empty.
        begun: Whether the task was begun.
        closed: Whether a final text has been said since the last step of the task.
        plan_open: Whether the plan has unfinished steps.
        plan: The plan as it was last written, `(id, status)`.
        data: What looking at the data showed; None before.
        written: Whether the script was written.
        improved: Whether the improvement is in it.
        epochs: Epochs in the script.
        wanted: Epochs the person wants.
        wish: The newest wish of the person.
        submitted: Which kinds of job were submitted: with the improvement (True), without it (False).
        runs: Jobs that ended with a figure.
        read_again: Whether the script was read because it could not be changed unread.
        checked: What `metrics.json` said after the last run; None before.
        block: Why it cannot go on, if so.
    """

    epochs: int
    wanted: int
    prompt: str = ""
    begun: bool = False
    closed: bool = False
    plan_open: bool = False
    plan: tuple[tuple[str, str], ...] = ()
    data: str | None = None
    written: bool = False
    improved: bool = False
    wish: Wish = field(default_factory=lambda: Wish("other"))
    submitted: set[bool] = field(default_factory=set)
    runs: list[Run] = field(default_factory=list)
    read_again: bool = False
    checked: str | None = None
    block: Block | None = None

    @property
    def baseline(self) -> Run | None:
        """The newest run without the improvement."""
        return next((run for run in reversed(self.runs) if not run.improved), None)

    @property
    def best(self) -> Run | None:
        """The newest run with the improvement, of the script as it is now."""
        return next((run for run in reversed(self.runs) if run.improved and run.asked_epochs == self.wanted), None)

    @property
    def finished(self) -> bool:
        """Whether everything was done and reported."""
        return self.closed and self.best is not None and self.block is None


def read_story(messages: Iterable[Message], material: Material) -> Story:
    """The story of the newest task in a conversation.

    Args:
        messages: The conversation as the model sees it.
        material: What was prepared.
    """
    reader = _Reader(material)
    for happening in _happenings(messages):
        reader.take(happening)
    return reader.story


@dataclass(frozen=True, slots=True)
class _Said:
    """A person's words."""

    text: str


@dataclass(frozen=True, slots=True)
class _Answered:
    """A reply without a tool call."""


@dataclass(frozen=True, slots=True)
class _Did:
    """A tool call with its result; empty while there is none."""

    tool: str
    arguments: dict[str, Any]
    result: str


def _happenings(messages: Iterable[Message]) -> Iterator[_Said | _Answered | _Did]:
    messages = tuple(messages)
    results = {message.tool_call_id: message.content for message in messages if message.role == "tool"}
    for message in messages:
        if message.is_prompt:
            yield _Said(message.content)
        elif message.role == "assistant":
            for call in message.tool_calls:
                yield _Did(call.name, _arguments(call.arguments), results.get(call.id, ""))
            if not message.tool_calls:
                yield _Answered()


def _arguments(text: str) -> dict[str, Any]:
    arguments = json.loads(text)
    return arguments if isinstance(arguments, dict) else {}


class _Reader:
    def __init__(self, material: Material) -> None:
        self._material = material
        self.story = self._blank()

    def take(self, happening: _Said | _Answered | _Did) -> None:
        match happening:
            case _Said():
                self._hear(happening.text)
            case _Answered():
                self.story.closed, self.story.prompt = True, ""
            case _Did():
                self._see(happening)

    def _blank(self) -> Story:
        return Story(epochs=self._material.epochs, wanted=self._material.epochs)

    def _hear(self, text: str) -> None:
        story = self.story
        story.prompt = text
        self._wish(text)
        if story.block is not None and story.wish.kind in WORK:
            story.block = None

    def _wish(self, text: str) -> None:
        story = self.story
        story.wish = read_wish(text)
        if story.begun:
            story.wanted = wanted_epochs(story.wish, story.wanted, self._material.most_epochs)

    def _see(self, did: _Did) -> None:
        if did.tool == "plan_tool":
            self._see_plan(did.arguments.get("todos") or [])
            return
        story = self.story
        story.prompt, story.closed = "", False
        if did.tool == "hf_jobs":
            self._see_job(did.result)
        elif did.tool == "read":
            self._see_read(str(did.arguments.get("path")), did.result)
        elif trouble := _trouble(did.result):
            story.block = Block(trouble, did.tool, did.result)
        elif did.tool == "bash":
            story.data = did.result
        elif did.tool == "write":
            story.written, story.read_again = True, False
        elif did.tool == "edit":
            self._see_edit(str(did.arguments.get("new_str", "")))

    def _see_read(self, path: str, result: str) -> None:
        if _trouble(result) == "interrupted":
            self.story.block = Block("interrupted", "read", result)
        elif path == "metrics.json":
            self.story.checked = result  # also when it could not be read: the report says so
        elif path == SCRIPT:
            # The tools refuse to change a file that was not read, or has changed since: now it has been.
            self.story.block, self.story.read_again = None, True

    def _see_plan(self, todos: list[dict[str, str]]) -> None:
        plan = tuple((str(todo.get("id")), str(todo.get("status"))) for todo in todos)
        if plan[:1] == (("look", "in_progress"),) and len(plan) == len(self._material.plan):
            wish = self.story.wish
            self.story = self._blank()
            self.story.begun = True
            if wish.kind == "epochs":
                self.story.wanted = wanted_epochs(wish, self.story.epochs, self._material.most_epochs)
        self.story.plan = plan
        self.story.plan_open = any(status != "completed" for _, status in plan)

    def _see_edit(self, new: str) -> None:
        story = self.story
        story.read_again = False
        if number := re.fullmatch(r"EPOCHS = (\d+)", new):
            story.epochs = int(number[1])
        else:
            story.improved = True

    def _see_job(self, text: str) -> None:
        story = self.story
        story.submitted.add(story.improved)
        ended = _JOB.search(text)
        run = Run(story.improved, story.epochs, text)
        if ended is None:
            self._see_no_job(text)
        elif ended[2] == "COMPLETED" and run.accuracy is not None:
            story.runs.append(run)
            story.checked = None
        else:
            kinds: dict[str, Trouble] = {"CANCELED": "cancelled", "COMPLETED": "no_figure"}
            kind = kinds.get(ended[2], "failed")
            story.block = Block(kind, "hf_jobs", run.last_line, was_edited=run.was_edited)

    def _see_no_job(self, text: str) -> None:
        """The call was refused, interrupted or did not work; feedback on a refusal may say how to go on."""
        story = self.story
        feedback = _FEEDBACK.search(text)
        words = feedback[1].strip() if feedback else ""
        if words:
            self._wish(words)
            if story.wish.kind in {"epochs", "fewer", "more"}:
                return
        story.block = Block(_trouble(text) or "failed", "hf_jobs", text, feedback=words)


def _trouble(result: str) -> Trouble | None:
    """What went wrong with a call, going by how its result begins."""
    if not result or _INTERRUPTED.match(result):
        return "interrupted"
    if _REFUSED.match(result):
        return "refused"
    return "failed" if result.startswith("ERROR") else None
