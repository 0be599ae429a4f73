"""One conversation, line by line: what a person types goes to the agent, what the agent tells is said in lines."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from typing import TYPE_CHECKING

from ml_intern.core.config import ConfigError
from ml_intern.core.plain_text import plain
from ml_intern.core.protocol import (
    ApprovalRequired,
    ApprovalResolved,
    ErrorEvent,
    EventBase,
    Interrupt,
    Interrupted,
    Operation,
    Processing,
    QuestionAsked,
    QuestionResolved,
    Ready,
    Steer,
    TurnComplete,
    UserInput,
)
from ml_intern.core.redact import Redactor
from ml_intern.exit_codes import FAILURE, INTERRUPTED, OK, USAGE
from ml_intern.headless.plain.asking import Approval, Asked, Question
from ml_intern.headless.plain.commands import COMMANDS, CommandError, Local, parse
from ml_intern.headless.plain.reader import Reader, Typed, is_terminal
from ml_intern.headless.plain.teller import Teller
from ml_intern.headless.progress import WORDS, Progress
from ml_intern.headless.streams import Stream, standard_output

if TYPE_CHECKING:
    from ml_intern.options import Options
    from ml_intern.wiring import Wired

TWICE_S = 2.0
CLOSING_S = 16.0
MOST_SUGGESTIONS = 9


def run_plain(options: Options) -> int:
    """Talks until the person leaves. Returns the exit code."""
    try:
        return asyncio.run(_talk(options))
    except KeyboardInterrupt:
        return INTERRUPTED


async def _talk(options: Options) -> int:
    from ml_intern.wiring import build

    stream = standard_output(lambda: None)
    try:
        wired = build(options)
    except ConfigError as error:
        stream.write_line(f"ml-intern: {error}")
        return USAGE
    return await PlainSession(wired, stream).run()


class PlainSession:
    """Stands between a person and an agent.

    Args:
        wired: The agent with all its parts.
        stream: Where everything is said.
    """

    def __init__(self, wired: Wired, stream: Stream) -> None:
        self._wired = wired
        self._agent = wired.agent
        self._stream = stream
        self._redactor = Redactor.from_env(wired.env)
        self._teller = Teller(self._say, Progress(stream, self._redactor, WORDS))
        self._reader = Reader()
        self._asked: Asked | None = None
        self._asked_at = 0.0
        self._queue: deque[str | Operation] = deque()
        self._running = False
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._leaving = asyncio.Event()
        self._interrupted_at = -TWICE_S
        self._unanswerable = False

    async def run(self) -> int:
        """Serves the agent and the person until one of them leaves."""
        self._listen_for_signals()
        self._tell_of_the_past()
        unsubscribe = self._agent.events.subscribe(self._on_event)
        serving = asyncio.create_task(self._agent.run())
        talking = asyncio.create_task(self._converse())
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait({serving, talking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        broken = serving.done()
        for task in (talking, leaving):
            task.cancel()
        await self._close(serving)
        unsubscribe()
        if broken and (error := serving.exception()):
            self._say(f"Error: the agent stopped ({type(error).__name__}: {error}). The log file has the details.")
            return FAILURE
        return OK

    async def _close(self, serving: asyncio.Task[None]) -> None:
        session = self._agent.session.id
        if not serving.done():
            await self._agent.shut_down()
            await asyncio.wait({serving}, timeout=CLOSING_S)
        if self._wired.renting:
            self._say("Ending the sandbox.")
            await self._wired.give_back(CLOSING_S)
        saved = self._wired.session_log.path is not None
        await self._wired.aclose()
        self._say(f"Left. session {session}" if saved else "Left.")

    def _say(self, text: str) -> None:
        for line in self._redactor.text(plain(text)).split("\n"):
            self._stream.write_line(line)
        if self._stream.closed:
            self._leaving.set()

    def _tell_of_the_past(self) -> None:
        """A resumed session is told of in two lines: what was asked last, and what was answered."""
        earlier = self._wired.earlier
        prompts = [event.content for event in earlier if event.type == "user_message"]  # type: ignore[attr-defined]
        answers = [event.content for event in earlier if event.type == "assistant_message"]  # type: ignore[attr-defined]
        if prompts:
            self._say(f"Resumed, after {len(prompts)} prompts. The last one: {prompts[-1]}")
        if answers:
            self._say(f"The last answer: {answers[-1]}")

    # ------------------------------------------------------------------------------------------- from the agent

    def _on_event(self, event: EventBase) -> None:
        self._teller.event(event)
        match event:
            case Ready():
                self._greet()
                self._ready.set()
            case Processing():
                self._running = True
            case ApprovalRequired():
                self._ask(Approval(event, self._say))
            case QuestionAsked():
                self._ask(Question(event, self._say))
            case ApprovalResolved() | QuestionResolved():
                if self._asked is not None and getattr(event, "how", "") == "withdrawn":
                    self._say("The request was withdrawn.")
                self._asked = None
            case TurnComplete():
                self._running, self._asked = False, None
                self._send_next()
                if not self._running:
                    self._idle.set()
            case Interrupted():
                self._end_turn()
            case ErrorEvent() if event.ends_turn:
                self._end_turn()

    def _greet(self) -> None:
        if self._wired.model_problem:
            self._say(f"warning: {self._wired.model_problem}")
            self._say("Type /model for the suggested models, or /model ID.")
        self._say("Type what should be done, or /help. Ctrl+C interrupts; Ctrl+D leaves.")
        if self._wired.suggestion:
            self._say(f"For example: {self._wired.suggestion}")

    def _ask(self, asked: Asked) -> None:
        self._asked, self._asked_at = asked, time.monotonic()
        asked.put()
        if self._unanswerable:
            self._submit(Interrupt())

    def _end_turn(self) -> None:
        """The turn did not end well: what waits is not sent by itself."""
        self._running, self._asked = False, None
        if self._queue:
            self._say(f"Lines that wait: {len(self._queue)}. An empty line sends the next one.")
        self._idle.set()

    def _send_next(self) -> None:
        while self._queue and not self._running:
            if isinstance(first := self._queue.popleft(), str):
                self._send(first)
            else:
                self._submit(first)

    # ------------------------------------------------------------------------------------------ from the person

    async def _converse(self) -> None:
        await self._ready.wait()
        while (typed := await self._reader.line()).text is not None:
            if not await self._take(typed, typed.text):
                if is_terminal():
                    return
                break  # the last line of a script: like the end of it
        while self._running:  # the end of a pipe: what was asked is still done
            self._unanswerable = True
            if self._asked is not None:
                self._submit(Interrupt())
            await self._idle.wait()

    async def _take(self, typed: Typed, text: str) -> bool:
        """Carries out a line. False when it asks to leave."""
        self._interrupted_at = -TWICE_S  # whoever types does not want to leave
        if self._asked is not None and typed.at - self._asked_at >= self._wired.settings.ui.approval_grace_s:
            if operation := await self._asked.take(text):
                self._submit(operation)
            return True
        if self._asked is not None:
            self._say("That line came before what was asked could be read, so it is no answer. It was not sent.")
            self._asked.put()
            return True
        if not text.strip():
            self._send_next()
            return True
        try:
            meaning = parse(text.strip())
        except CommandError as error:
            self._say(str(error))
            return True
        if isinstance(meaning, str):
            self._prompt(meaning)
        elif isinstance(meaning, Local):
            return await self._carry_out(meaning.name)
        elif self._running and not isinstance(meaning, Steer) and (self._queue or not is_terminal()):
            self._wait(meaning)  # what came before it is still to be done, and lines of a pipe follow each other
        else:
            self._submit(meaning)
        return True

    def _prompt(self, text: str) -> None:
        if self._wired.model_problem and not self._teller.model:
            self._say("Choose a model first: /model ID.")
        elif self._running:
            self._wait(text)
        else:
            self._send(text)

    def _wait(self, line: str | Operation) -> None:
        self._queue.append(line)
        self._say("It waits for the end of the turn. /steer TEXT reaches the running turn.")

    def _send(self, text: str) -> None:
        self._running = True
        self._idle.clear()
        self._submit(UserInput(text=text))

    def _submit(self, operation: Operation) -> None:
        self._agent.submit(operation)

    async def _carry_out(self, name: str) -> bool:
        match name:
            case "help":
                for usage, what in COMMANDS.items():
                    self._say(f"  /{usage}: {what}")
            case "status":
                self._tell_status()
            case "output":
                self._say(self._teller.last_output or "No tool has put out anything yet.")
            case "jobs":
                await self._tell_jobs()
            case "models":
                self._tell_models()
            case "quit":
                return False
        return True

    def _tell_status(self) -> None:
        teller, usage = self._teller, self._teller.usage
        self._say(f"model {teller.model or 'none'}, mode {teller.mode}, session {self._agent.session.id}")
        if usage is not None:
            cap = f" of ${usage.cap_usd:.2f}" if usage.cap_usd is not None else ", no cap"
            self._say(f"context {usage.tokens:,} of {usage.window:,} tokens, spent ${usage.cost_usd:.2f}{cap}")
        self._say(f"directory {self._agent.session.workspace}; {len(self._queue)} lines wait")

    def _tell_models(self) -> None:
        self._say(f"In use: {self._teller.model or 'none'}. Suggested:")
        for suggestion in self._wired.catalog.suggestions[:MOST_SUGGESTIONS]:
            self._say(f"  {suggestion.id}: {suggestion.label}")

    async def _tell_jobs(self) -> None:
        from ml_intern.core.jobs import JobsError

        try:
            jobs = await self._wired.services.jobs.list_jobs()
        except JobsError as error:
            self._say(f"Error: {error}")
            return
        for job in jobs:
            self._say(f"  {job.ref.id}: {job.name or 'no name'}, {job.stage.lower()}, {job.flavor}")
        if not jobs:
            self._say("There are no jobs.")

    # -------------------------------------------------------------------------------------------------- leaving

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
            for name in ("SIGTERM", "SIGHUP"):
                if hasattr(signal, name):
                    loop.add_signal_handler(getattr(signal, name), self._leaving.set)
        except NotImplementedError:  # Windows: Ctrl+C ends the program
            pass

    def _interrupt(self) -> None:
        now = time.monotonic()
        if now - self._interrupted_at <= TWICE_S or not is_terminal():
            self._leaving.set()
            return
        self._interrupted_at = now
        if self._running:
            self._submit(Interrupt())
        self._say("Ctrl+C again leaves.")
