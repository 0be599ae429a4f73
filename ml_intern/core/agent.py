"""The submission loop: operations in, one at a time; interrupts and answers out of band."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.context.messages import Message
from ml_intern.core.events import EventStream
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.plan import Plan
from ml_intern.core.protocol import (
    AnswerQuestion,
    Aside,
    Compact,
    ErrorEvent,
    ExecApproval,
    Feedback,
    Interrupt,
    Mode,
    ModeChanged,
    ModelChanged,
    New,
    NewComplete,
    Notice,
    Operation,
    PlanUpdate,
    Rate,
    Ready,
    Resume,
    Rewind,
    SessionResumed,
    SetCap,
    SetEffort,
    SetMode,
    SetModel,
    ShareTraces,
    Shutdown,
    ShutdownEvent,
    Steer,
    StopCall,
    Trust,
    Undo,
    UndoComplete,
    Upload,
    UserInput,
)
from ml_intern.core.questions import Questions
from ml_intern.core.session import Session
from ml_intern.core.snapshots import FileSnapshots
from ml_intern.core.stopping import Stops
from ml_intern.core.turn import TurnRunner

if TYPE_CHECKING:
    from ml_intern.core.llm.probe import Probe
    from ml_intern.core.uploads import Uploader

log = logging.getLogger(__name__)

WITH_ANSWER = "(with the answer)"
"""Stands for the words where only images or texts are left to be told: the words have answered a question."""
_TRIAL_TOKENS = 16
"""Length of the prompt that tries a model, and not less."""

PRELOAD_AFTER_S = 1.0

TryModel = Callable[[str, str], "Awaitable[Probe]"]
"""Tries a model with a reasoning effort before it is switched to. Raises `LLMError` when it cannot be used."""

Share = Callable[[Literal["status", "on", "off", "public", "private"]], Awaitable[tuple[str, bool]]]
"""Carries out `share_traces`: gives a sentence for the person and whether it is bad news."""

Reopen = Callable[[str], Awaitable[str]]
"""Makes the session an earlier one, by the beginning of its id; gives why that cannot be, or an empty text."""

TrustProject = Callable[[], str]
"""Trusts the workspace for good; gives what its instructions say, or an empty string. May raise `OSError`."""


class Agent:
    """Serves one session after another until it is shut down.

    Args:
        runner: Runs the turns.
        events: The event stream; front ends subscribe to it.
        pending: Where turns wait for approvals.
        system_prompt: Makes the system prompt of a new conversation.
        try_model: See `TryModel`.
        preload: Does beforehand what the first request to a model would otherwise wait for. Never fails.
        trust_project: See `TrustProject`.
        questions: Where tools wait for a person's answer.
        uploader: Uploads data that a person names; None where that is not possible.
        share: Carries out `share_traces`; gives a sentence and whether it is bad news.
        reopen: See `Reopen`; None where that is not possible.
        on_ready: Called once, when `ready` has been told; begins what must not hold up the start.
        default_cap_usd: Spending cap that `yolo` brings where there is none; None where none is wanted.
        tool_count: How many tools there are, for `ready`.
        notes: Sentences the person should see at the start.
    """

    def __init__(
        self,
        runner: TurnRunner,
        events: EventStream,
        pending: PendingApprovals,
        *,
        system_prompt: Callable[[], str],
        try_model: TryModel,
        preload: Callable[[str], Awaitable[None]],
        trust_project: TrustProject = lambda: "",
        questions: Questions | None = None,
        uploader: Uploader | None = None,
        share: Share | None = None,
        reopen: Reopen | None = None,
        on_ready: Callable[[], None] = lambda: None,
        default_cap_usd: float | None = None,
        tool_count: int,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.events = events
        self.session: Session = runner.session
        self._runner = runner
        self._pending = pending
        self._system_prompt = system_prompt
        self._try_model = try_model
        self._switching: asyncio.Task[None] | None = None
        self._preload = preload
        self._trust = trust_project
        self._questions = questions or Questions()
        self._uploader = uploader
        self._share = share
        self._reopen = reopen
        self._on_ready = on_ready
        self._default_cap_usd = default_cap_usd
        self._preloading: asyncio.Task[None] | None = None
        self._tool_count = tool_count
        self._notes = notes
        self._queue: asyncio.Queue[Operation] = asyncio.Queue()
        self._turn: asyncio.Task[None] | None = None
        self._serving = self._begun = False

    @property
    def busy(self) -> bool:
        """Whether an operation is being carried out."""
        return self._turn is not None and not self._turn.done()

    def submit(self, operation: Operation) -> None:
        """Takes an operation. Interrupts, answers, steering and choices act at once; the rest waits its turn."""
        match operation:
            case Interrupt():
                self._runner.interrupted_because = operation.reason
                self._interrupt()
            case Aside():
                self._ask_aside(operation.text)
            case StopCall():
                if not self.session.state.get(Stops).end(operation.tool_call_id):
                    self._complain("That call does not run any more.")
            case ExecApproval():
                if not self._pending.decide(operation.approvals):
                    self._complain("No approval is pending.")
            case AnswerQuestion():
                if not self._questions.answer(operation):
                    self._complain("No question is open that this would answer.")
            case UserInput() if self._pending.abandon(operation):
                pass
            case UserInput() if self._questions.say(operation.text):
                if operation.images or operation.attached:
                    self._runner.steering.append(operation.model_copy(update={"text": WITH_ANSWER}))
            case Steer() if self.busy:
                self._runner.steering.append(operation)
            case SetMode():
                self._set_mode(operation.mode)
            case SetCap():
                self.session.budget.cap_usd = operation.cap_usd
                self._runner.tell_usage()
            case SetEffort():
                self._choose(self.session.model, operation.effort, "")
            case SetModel():
                self._begin_switch(operation.model)
            case Rate():
                self.events.emit(Feedback(message_seq=operation.message_seq, rating=operation.rating))
            case _:
                if self._pending.open or self._questions.open:
                    self._interrupt()
                self._queue.put_nowait(operation)

    async def run(self) -> None:
        """Serves until `Shutdown`."""
        session = self.session
        self.events.emit(
            Ready(
                tool_count=self._tool_count,
                model=session.model,
                mode=session.mode,
                effort=session.effort,
                workdir=str(session.workspace),
                notes=self._notes,
            )
        )
        if session.context.messages:
            self._tell_resumed()
        self._runner.tell_usage()
        # A prompt that waits already does for itself what it needs; nothing else must come before it.
        self._begin_preload(0.0 if self._queue.empty() else PRELOAD_AFTER_S)
        self._on_ready()
        self._serving = True
        while not isinstance(operation := await self._queue.get(), Shutdown):
            self._turn = asyncio.create_task(self._carry_out(operation))
            try:
                await asyncio.wait({self._turn})
            except asyncio.CancelledError:
                await self._wind_up()
                raise
            self._turn, self._begun = None, False
        self._serving = False
        for task in (self._preloading, self._switching):
            if task is not None:
                task.cancel()
        await self._runner.asides.stop()
        await session.state.release()
        self.events.emit(ShutdownEvent())

    async def shut_down(self, patience_s: float = 2.0) -> None:
        """Interrupts the running turn and waits for it, for a front end that leaves."""
        self._interrupt()
        self._queue.put_nowait(Shutdown())
        if self._turn is not None:
            await asyncio.wait({self._turn}, timeout=patience_s)

    # ------------------------------------------------------------------------------------------- out of band

    def _interrupt(self) -> None:
        if not self._begun:
            # What was just sent is meant too. A task that is cancelled before it begins would say nothing of it.
            if self._serving and not (self._turn is None and self._queue.empty()):
                asyncio.get_running_loop().call_soon(self._interrupt)
            return
        # Once: a second cancellation would break into the tidying up after the first.
        if self._turn is not None and not self._turn.done() and not self._turn.cancelling():
            self._turn.cancel()

    async def _wind_up(self) -> None:
        self._interrupt()
        if self._turn is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({self._turn}, timeout=1.0)

    def _set_mode(self, mode: Mode) -> None:
        self.session.mode = mode
        self.events.emit(ModeChanged(mode=mode))
        budget = self.session.budget
        if mode == "yolo" and budget.cap_usd is None and self._default_cap_usd is not None:
            budget.cap_usd = budget.totals.spent_usd + self._default_cap_usd
            self._runner.tell_usage()

    def _choose(self, model: str, effort: str, note: str) -> None:
        self.session.model, self.session.effort = model, effort
        self.events.emit(ModelChanged(model=model, effort=effort, note=note))
        self._runner.tell_usage()

    def _begin_switch(self, model: str) -> None:
        """Tries a model beside whatever runs; the last one that was asked for wins."""
        if self._switching is not None:
            self._switching.cancel()
        self._switching = asyncio.create_task(self._switch(model))

    async def _switch(self, model: str) -> None:
        if objection := self._runner.spending.objection(model, _TRIAL_TOKENS):
            self._complain(f"{model} cannot be tried: {objection}. Raise the cap with --max-cost.")
            return
        try:
            tried = await self._try_model(model, self.session.effort)
        except LLMError as error:
            kept = f" {self.session.model} stays in use." if self.session.model else ""
            self.events.emit(ErrorEvent(error=f"{error.message}{kept}", kind=error.kind, ends_turn=False))
            return
        if tried.usage is not None:
            self._runner.exchange.bill(model, tried.usage, "probe")
        self._choose(model, self.session.effort, tried.note)
        self._begin_preload()

    def _ask_aside(self, question: str) -> None:
        if not question.strip():
            self._complain("Ask something: /btw QUESTION.")
        elif not self.session.model:
            self._complain("No model is chosen yet: /model.")
        else:
            self._runner.asides.ask(question)

    def _begin_preload(self, after_s: float = 0.0) -> None:
        async def preload() -> None:
            await asyncio.sleep(after_s)
            await self._preload(self.session.model)
            self._runner.tell_usage()  # the window may be known better now

        if self._preloading is not None:
            self._preloading.cancel()
        self._preloading = asyncio.create_task(preload())

    def _complain(self, text: str) -> None:
        self.events.emit(ErrorEvent(error=text, kind="usage", ends_turn=False))

    # ---------------------------------------------------------------------------------------------- in order

    async def _carry_out(self, operation: Operation) -> None:
        self._begun = True
        try:
            match operation:
                case UserInput() | Steer():
                    await self._runner.run(operation)
                case Compact():
                    await self._runner.compact(operation.instructions)
                case Undo():
                    await self._rewind(-1)
                case Rewind():
                    await self._rewind(operation.prompt, restore_files=operation.restore_files)
                case Trust():
                    self._trust_project()
                case Upload() if self._uploader is not None:
                    from ml_intern.core.uploads import carry_out

                    await carry_out(self._uploader, operation.path, self.session, self.events)
                    self._runner.tell_usage()
                case ShareTraces() if self._share is not None:
                    text, bad = await self._share(operation.action)
                    self.events.emit(Notice(text=text, level="warning" if bad else "info"))
                case New():
                    await self._new()
                case Resume() if self._reopen is not None:
                    await self._resume(self._reopen, operation.session_id)
                case _:
                    self._complain(f"`{operation.type}` cannot be done here.")
        except asyncio.CancelledError:
            log.info("%s was interrupted", operation.type)
        except LLMError as error:
            self.events.emit(ErrorEvent(error=error.message, kind=error.kind, ends_turn=False))
        except Exception as error:  # the worker's edge: one broken operation must not end the agent
            log.exception("operation %s failed", operation.type)
            text = f"{operation.type} failed ({type(error).__name__}: {error}). The log file has the details."
            self.events.emit(ErrorEvent(error=text, kind="internal", ends_turn=False))

    async def _rewind(self, index: int, *, restore_files: bool = False) -> None:
        context, snapshots = self.session.context, self.session.state.get(FileSnapshots)
        # Counted from the end: a compaction takes prompts out between the first and the last ones.
        back = len(context.prompts) - index if index > 0 else -index
        images = context.images_of(index)
        removed, prompt = context.rewind(index)
        if removed:
            self._runner.steering.clear()  # it was said of what is gone
        restored: list[str] = []
        kept: list[str] = []
        if removed and restore_files:
            number = max(1, snapshots.prompt - back + 1) if index else 1
            restored, kept = await asyncio.to_thread(snapshots.put_back, number)
        self.events.emit(
            UndoComplete(
                removed_messages=removed,
                prompt=prompt,
                images=images,
                restored_files=tuple(restored),
                kept_files=tuple(kept),
            )
        )
        self._runner.tell_usage()

    def _trust_project(self) -> None:
        text = self._trust()
        if text:
            # Not into the system prompt, which stays the same for the whole session.
            self.session.context.append(Message("user", text, kind="context"))
        done = "Its instructions are read from now on." if text else "It holds no instructions for agents."
        self.events.emit(Notice(text=f"{self.session.workspace} is trusted. {done}"))

    async def _new(self) -> None:
        previous = self.session.id
        self._runner.steering.clear()
        await self.session.restart(self._system_prompt())
        self.events.session_id = self.session.id
        self.events.emit(NewComplete(previous_session_id=previous))
        self.events.emit(PlanUpdate(plan=()))
        self._runner.tell_usage()

    async def _resume(self, reopen: Reopen, session_id: str) -> None:
        if objection := await reopen(session_id):
            self._complain(objection)
            return
        self._tell_resumed()
        self.events.emit(PlanUpdate(plan=self.session.state.get(Plan).items))
        self._runner.tell_usage()

    def _tell_resumed(self) -> None:
        session = self.session
        self.events.emit(SessionResumed(messages=len(session.context.messages), model=session.model))
