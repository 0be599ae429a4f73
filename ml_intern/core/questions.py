"""The question that waits for a person, and how the waiting ends.

Where nobody is there the default is taken at once. A new prompt in place of an answer is the answer, in the person's
own words. An interrupt withdraws the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ml_intern.core.protocol import AnswerQuestion, EventBase, QuestionAsked, QuestionResolved

Emit = Callable[[EventBase], object]


@dataclass(frozen=True, slots=True)
class Answered:
    """How a question ended.

    Attributes:
        how: `answered` or `dismissed` by a person, or `default` since nobody is there.
        choices: Labels of the options that were chosen.
        text: What the person said in their own words.
    """

    how: Literal["answered", "dismissed", "default"]
    choices: tuple[str, ...] = ()
    text: str = ""


class Questions:
    """At most one open question; further ones queue.

    Args:
        attended: Whether somebody is there to answer.
    """

    def __init__(self, *, attended: bool = True) -> None:
        self._attended = attended
        self._asking = asyncio.Lock()
        self._question: QuestionAsked | None = None
        self._future: asyncio.Future[Answered] | None = None

    @property
    def open(self) -> bool:
        """Whether a question waits for its answer."""
        return self._future is not None and not self._future.done()

    async def ask(self, question: QuestionAsked, emit: Emit) -> Answered:
        """Asks and waits. Cancelling it withdraws the question.

        Args:
            question: What is asked.
            emit: Tells the events of it.
        """
        async with self._asking:
            if self._attended:
                return await self._put(question, emit)
            emit(question)
            chosen = (question.default,) if question.default else ()
            emit(QuestionResolved(question_id=question.question_id, how="default", choices=chosen))
            return Answered("default", chosen)

    def answer(self, operation: AnswerQuestion) -> bool:
        """Answers the open question. False when there is none, or the answer does not fit it: then it stays open."""
        question = self._question
        if question is None or operation.question_id not in {"", question.question_id}:
            return False
        if operation.dismissed:
            return self._resolve(Answered("dismissed"))
        offered = [option.label for option in question.options]
        chosen = tuple(label for label in offered if label in operation.choices)
        if not question.multiple:
            chosen = chosen[:1]
        return bool(chosen or operation.text.strip()) and self._resolve(Answered("answered", chosen, operation.text))

    def say(self, text: str) -> bool:
        """Answers the open question in a person's own words. False when none is open."""
        return self._resolve(Answered("answered", text=text))

    async def _put(self, question: QuestionAsked, emit: Emit) -> Answered:
        self._question, self._future = question, asyncio.get_running_loop().create_future()
        emit(question)
        try:
            answered = await self._future
        except asyncio.CancelledError:
            emit(QuestionResolved(question_id=question.question_id, how="withdrawn"))
            raise
        finally:
            self._question = self._future = None
        emit(
            QuestionResolved(
                question_id=question.question_id, how=answered.how, choices=answered.choices, text=answered.text
            )
        )
        return answered

    def _resolve(self, answered: Answered) -> bool:
        if self._future is None or self._future.done():
            return False
        self._future.set_result(answered)
        return True
