"""One prompt from start to exit code."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from ml_intern.core.config import ConfigError
from ml_intern.core.ledger import Ledger
from ml_intern.core.origins.watch import refusal
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalItem,
    ApprovalRequired,
    EventBase,
    ExecApproval,
    Interrupt,
    LLMCall,
    ModelChanged,
    Processing,
    Ready,
    UserInput,
)
from ml_intern.core.redact import Redactor
from ml_intern.exit_codes import FAILURE, INTERRUPTED, NEEDS_APPROVAL
from ml_intern.headless.outcome import Outcome
from ml_intern.headless.output import Output, create_output
from ml_intern.headless.progress import Progress, one_line
from ml_intern.headless.streams import standard_error, standard_output
from ml_intern.headless.wording import for_command_line
from ml_intern.options import Options

if TYPE_CHECKING:
    from ml_intern.core.agent import Agent
    from ml_intern.wiring import Wired

INTERRUPT_GRACE_S = 2.0
"""How long an interrupted turn may take to end before the process leaves anyway."""
UNCOLLECTED_S = 1.0
"""How long garbage is not looked for: starting makes little but what stays, and it would be looked at over and over."""
LAST_GRACE_S = 0.5
"""How long the rest may take after that."""
RENTAL_GRACE_S = 12.0
"""How long it may take beyond that to give back what costs money by the hour."""
NOBODY = "it needs a person's approval, and nobody watches this run"
"""What the model is told of a call that ended the run."""


def run_headless(options: Options) -> int:
    """Works on the prompt of `options` and returns the exit code."""
    for number in _stop_signals():
        signal.signal(number, _interrupted_early)
    try:
        return _run_to_end(HeadlessRun(options).run())
    except KeyboardInterrupt:
        return INTERRUPTED


def _stop_signals() -> list[int]:
    """Ctrl+C, the request to end, and the end of the terminal, unless the run was started to survive it (`nohup`)."""
    found = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in found if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]


def _interrupted_early(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


class HeadlessRun:
    """Feeds the prompt to the agent, tells of what happens, and answers for the person who is not there.

    Args:
        options: The command line.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._started = time.monotonic()
        self._redactor = Redactor.from_env(os.environ)
        self._progress = Progress(standard_error(), self._redactor, word=for_command_line)
        self._stdout = standard_output(self._output_closed)
        self._output: Output = create_output(options.output, self._stdout, self._redactor)
        self._outcome: Outcome | None = None
        self._ended = asyncio.Event()
        self._given_up = asyncio.Event()
        self._stop_as: Outcome | None = None
        self._patience_s = INTERRUPT_GRACE_S
        self._agent: Agent | None = None
        self._tally = Outcome("", 0)
        self._ledger = Ledger()

    async def run(self) -> int:
        """The whole run. Returns the exit code."""
        self._listen_for_signals()
        asyncio.get_running_loop().call_later(UNCOLLECTED_S, _collect_again)
        try:
            wired = self._build()
        except ConfigError as error:
            return self._finish(Outcome.failure("usage", str(error)))
        if wired.model_problem:
            return self._finish(Outcome.failure("usage", wired.model_problem))
        agent = self._agent = wired.agent
        self._progress.faint(f"prompt {one_line(self._options.prompt or '')}")
        serving = asyncio.create_task(agent.run())
        agent.submit(UserInput(text=self._options.prompt or ""))
        await self._until_ended(serving)
        await self._wind_up(wired, serving)
        return self._finish(self._outcome or _broken_off(serving))

    def _build(self) -> Wired:
        from ml_intern.wiring import build

        wired = build(self._options)
        self._redactor.add_env(wired.env)
        wired.agent.events.subscribe(self._on_event)
        return wired

    # ---------------------------------------------------------------------------------------------------- events

    def _on_event(self, event: EventBase) -> None:
        self._output.event(event)
        self._progress.event(event)
        self._count(event)
        if isinstance(event, Processing) and self._stop_as is not None and self._agent is not None:
            self._agent.submit(Interrupt())  # a signal came before there was a turn to interrupt
        elif isinstance(event, ApprovalRequired):
            self._answer_for_nobody(event)
        elif self._outcome is None and (outcome := Outcome.of(event)):
            self._outcome = self._stop_as if self._stop_as and outcome.reason == "interrupted" else outcome
            self._ended.set()

    def _count(self, event: EventBase) -> None:
        """Adds up what the last event of an interrupted or failed turn does not tell."""
        tally = self._tally
        tally.session_id = event.session_id or tally.session_id
        self._ledger.take(event)
        match event:
            case Ready() | ModelChanged():
                tally.model = event.model
            case LLMCall():
                tally.iterations += event.kind == "main"
                tally.tokens += event.prompt_tokens + event.completion_tokens

    def _answer_for_nobody(self, event: ApprovalRequired) -> None:
        """In `yolo` mode the few things that are asked all the same are refused; in other modes the run ends."""
        agent = self._agent
        if agent is None:
            return
        if agent.session.mode == "yolo":
            refusals = tuple(
                ApprovalDecision(
                    tool_call_id=item.tool_call_id,
                    approved=False,
                    feedback=f"{refusal(item.reason, item.origin)}; this needs a person's approval, and nobody "
                    "watches this run. Say in your answer what is left for a person to do",
                    by="program",
                )
                for item in event.tools
            )
            for item in event.tools:
                self._progress.line(f"! {item.tool} was refused, since nobody can approve it: {_why(item)}")
            agent.submit(ExecApproval(approvals=refusals))
            return
        asked = "; ".join(f"{item.tool} ({_why(item)})" for item in event.tools)
        text = (
            f"approval needed, and nobody is here to give it: {asked}. "
            "Run it in the app, allow the tool in the configuration, or use --mode yolo."
        )
        self._stop(Outcome("needs_approval", NEEDS_APPROVAL, error=text, error_kind="needs_approval"), NOBODY)

    # ------------------------------------------------------------------------------------------------- stopping

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _stop_signals():
            try:
                loop.add_signal_handler(number, self._on_signal)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._on_signal))

    def _on_signal(self) -> None:
        if self._stop_as is not None:  # the second one: whoever sent it does not want to wait
            self._given_up.set()
            self._give_up()
            return
        self._stop(Outcome("interrupted", INTERRUPTED))

    def _output_closed(self) -> None:
        """Nobody reads the answer any more; going on would only cost money."""
        if self._outcome is None:
            self._stop(Outcome("error", FAILURE, error="standard output was closed; the run was stopped."))

    def _stop(self, outcome: Outcome, because: str = "") -> None:
        if self._stop_as is not None:
            return
        self._stop_as = outcome
        if self._agent is not None:
            self._agent.submit(Interrupt(reason=because))
        asyncio.get_running_loop().call_later(INTERRUPT_GRACE_S, self._give_up)

    def _give_up(self) -> None:
        self._patience_s = 0.0
        self._ended.set()

    async def _until_ended(self, serving: asyncio.Task[None]) -> None:
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        self._outcome = self._outcome or self._stop_as

    async def _wind_up(self, wired: Wired, serving: asyncio.Task[None]) -> None:
        if not self._patience_s:
            return
        ending = asyncio.create_task(self._end(wired, serving))
        await asyncio.wait({ending}, timeout=self._patience_s)
        if not ending.done() and wired.renting:
            self._progress.line("ending the sandbox; a second Ctrl+C leaves it to end by itself")
            giving_back = asyncio.create_task(wired.give_back(RENTAL_GRACE_S))
            given_up = asyncio.create_task(self._given_up.wait())
            await asyncio.wait({giving_back, given_up}, return_when=asyncio.FIRST_COMPLETED)
            giving_back.cancel()
            given_up.cancel()
            await asyncio.wait({ending}, timeout=LAST_GRACE_S)
        if not ending.done():
            ending.cancel()
        elif error := ending.exception():
            raise error

    @staticmethod
    async def _end(wired: Wired, serving: asyncio.Task[None]) -> None:
        await wired.agent.shut_down()
        await asyncio.wait({serving})
        await wired.aclose()

    def _finish(self, outcome: Outcome) -> int:
        tally, totals = self._tally, self._ledger.totals
        outcome.session_id, outcome.model = tally.session_id, tally.model
        outcome.unpriced_calls = totals.unknown
        outcome.estimated_usd = round(totals.estimated_usd, 6)
        outcome.iterations = outcome.iterations or tally.iterations
        outcome.tokens = outcome.tokens or tally.tokens
        outcome.cost_usd = outcome.cost_usd or round(totals.spent_usd, 6)
        outcome.duration_ms = round((time.monotonic() - self._started) * 1000)
        outcome.error = for_command_line(outcome.error)
        self._outcome = outcome
        self._output.finish(outcome)
        if self._stdout.closed:  # where it was while the run worked, the turn may have been done before it could stop
            outcome.exit_code = outcome.exit_code or FAILURE
            outcome.error = outcome.error or "standard output was closed before the answer could be written."
        self._progress.finish(outcome)
        return outcome.exit_code


def _why(item: ApprovalItem) -> str:
    """Why a call is asked about, and where words of it come from if from outside."""
    return item.reason if item.origin is None else f"{item.reason}; {item.origin.found_in}"


def _collect_again() -> None:
    gc.freeze()
    gc.enable()


def _broken_off(serving: asyncio.Task[None]) -> Outcome:
    """The agent stopped serving without an end of the turn."""
    error = serving.exception() if serving.done() and not serving.cancelled() else None
    reason = f"{type(error).__name__}: {error}" if error else "it stopped by itself"
    return Outcome.failure("internal", f"the agent broke ({reason}); the log file has the details.")


def _run_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Like `asyncio.run`, but does not wait for threads: a library that still loads in one must not hold up the end."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(work)
    finally:
        for patience_s in (0.5, 0.1):  # the second time breaks into tidying up that takes too long
            if left := asyncio.all_tasks(loop):
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(left, timeout=patience_s))
        asyncio.set_event_loop(None)
        if sys.exc_info()[0] is None:
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
