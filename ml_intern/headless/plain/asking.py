"""What waits for a person's answer, as numbered choices: each takes lines until it has an operation for the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ml_intern.core.approvals.rules import spoken
from ml_intern.core.protocol import (
    AnswerQuestion,
    ApprovalDecision,
    ApprovalItem,
    ApprovalRequired,
    ExecApproval,
    Interrupt,
    Operation,
    QuestionAsked,
)
from ml_intern.headless.plain.blocks import block_lines
from ml_intern.services.person_editor import EditorError, edit_text, find_editor

Say = Callable[[str], None]
APPROVE, REJECT, REJECT_WITH_NOTE, EDIT, REMEMBER, ALWAYS, READ_AGAIN, APPROVE_REST, END = "123467890"
"""As in the app, where 5 changes the hardware."""


class Asked(Protocol):
    """Something that waits for an answer."""

    def put(self) -> None:
        """Says what is asked and how to answer."""

    async def take(self, line: str) -> Operation | None:
        """Takes a line; gives the operation that answers, or None while more is needed."""


class Approval:
    """A request for approval, one call after the other.

    Args:
        request: The request.
        say: Says a line.
    """

    def __init__(self, request: ApprovalRequired, say: Say) -> None:
        self._request = request
        self._say = say
        self._decisions: list[ApprovalDecision] = []
        self._edited: str | None = None
        self._wants_note = False

    def put(self) -> None:
        """Says all of the present call, and the choices."""
        item, request = self._item, self._request
        number = f" {len(self._decisions) + 1} of {request.count}" if request.count > 1 else ""
        self._say(f"Approval{number}: {item.tool}. Why asked: {item.reason}.")
        for line in _money(item, request):
            self._say(line)
        for passed, text in item.checks:
            self._say(f"{'check passed' if passed else 'check failed'}: {text}")
        if item.origin is not None:
            lead = "Not from you: this follows an order " if item.origin.order else "Its words were "
            self._say(f"{lead}{item.origin.found_in}")
        for line in self._content():
            self._say(f"  {line}")
        self._say_choices()

    async def take(self, line: str) -> Operation | None:
        """A number, or the reason of a rejection."""
        answer = line.strip()
        if self._wants_note:
            self._wants_note = False
            return self._decide(approved=False, feedback=answer)
        if answer not in self._choices:
            self._say(f"{answer or 'An empty line'} is none of the choices.")
            self._say_choices()
            return None
        match answer:
            case "1":
                return self._decide(approved=True)
            case "6" | "7":
                return self._decide(approved=True, remember=True, rule=self._item.rule, always=answer == ALWAYS)
            case "2":
                return self._decide(approved=False)
            case "3":
                self._wants_note = True
                self._say("Say what should be different; the agent reads it:")
            case "4":
                await self._edit()
            case "8":
                self.put()
            case "9":
                return self._approve_rest()
            case "0":
                return Interrupt()
        return None

    @property
    def _item(self) -> ApprovalItem:
        return self._request.tools[len(self._decisions)]

    @property
    def _choices(self) -> dict[str, str]:
        item = self._item
        choices = {APPROVE: "approve", REJECT: "reject", REJECT_WITH_NOTE: "reject and say why"}
        if item.editable:
            choices[EDIT] = f"edit the {item.editable} in your editor"
        if item.rememberable and self._edited is None:
            like = spoken(item.rule or item.allowance)
            what = f": {like}" if like else ""
            choices[REMEMBER] = f"approve, and the like of it in this session without asking{what}"
            if item.standing:
                choices[ALWAYS] = "the same, in later sessions too"
        choices[READ_AGAIN] = "read it again"
        if self._request.count - len(self._decisions) > 1:
            choices[APPROVE_REST] = "approve this and all the rest"
        return {**choices, END: "end the turn"}

    def _say_choices(self) -> None:
        self._say("Type a number and Enter. " + "; ".join(f"{key} {what}" for key, what in self._choices.items()) + ".")

    def _content(self) -> Iterator[str]:
        item = self._item
        if self._edited is not None:
            yield f"{item.editable} as you edited it:"
            yield from self._edited.split("\n")
            return
        if not item.display:
            for name, value in item.arguments.items():
                yield f"{name}: {value}"
        for block in item.display:
            yield from block_lines(block)

    async def _edit(self) -> None:
        item = self._item
        original = str(item.arguments.get(item.editable, ""))
        try:
            editor = find_editor()
            text = original if self._edited is None else self._edited
            edited = await asyncio.to_thread(edit_text, editor, text, item.editable)
        except EditorError as error:
            self._say(str(error))
        else:
            self._edited = edited if edited != original else None
        self.put()

    def _decide(self, **fields: Any) -> Operation | None:
        """Keeps a decision about the present call, and goes on to the next one."""
        item = self._item
        if self._edited is not None and fields["approved"]:
            fields["edited_arguments"] = {item.editable: self._edited}
        self._decisions.append(ApprovalDecision(tool_call_id=item.tool_call_id, **fields))
        self._edited = None
        if len(self._decisions) == len(self._request.tools):
            return ExecApproval(approvals=tuple(self._decisions))
        self.put()
        return None

    def _approve_rest(self) -> Operation:
        rest = self._request.tools[len(self._decisions) + 1 :]
        edited = {} if self._edited is None else {self._item.editable: self._edited}
        first = ApprovalDecision(tool_call_id=self._item.tool_call_id, approved=True, edited_arguments=edited)
        others = (ApprovalDecision(tool_call_id=item.tool_call_id, approved=True) for item in rest)
        return ExecApproval(approvals=(*self._decisions, first, *others))


def _money(item: ApprovalItem, request: ApprovalRequired) -> Iterator[str]:
    if not (item.estimated_cost_usd or item.cost_note):  # of a command that costs nothing one does not speak of money
        return
    if item.estimated_cost_usd is None:
        yield f"Cost: {item.cost_note}."
    else:
        note = f" ({item.cost_note})" if item.cost_note else ""
        yield f"It costs at most ${item.estimated_cost_usd:.2f}{note}."
    cap = f" of ${request.cap_usd:.2f}" if request.cap_usd is not None else ", and there is no cap"
    yield f"Spent so far: ${request.spent_usd:.2f}{cap}."


class Question:
    """A question of the agent.

    Args:
        event: The question.
        say: Says a line.
    """

    def __init__(self, event: QuestionAsked, say: Say) -> None:
        self._event = event
        self._say = say

    def put(self) -> None:
        """Says the question and its options."""
        event = self._event
        self._say(f"Question: {event.question}")
        for number, option in enumerate(event.options, 1):
            self._say(f"  {number} {option.label}{f': {option.description}' if option.description else ''}")
        ways = []
        if event.options:
            ways.append("numbers with commas between them" if event.multiple else "a number")
        if event.free_text or not event.options:
            ways.append("your own words")
        self._say(f"Type {' or '.join(ways)}; an empty line leaves it to the agent.")

    async def take(self, line: str) -> Operation | None:
        """Numbers of options, or words."""
        event, answer = self._event, line.strip()
        if not answer:
            return AnswerQuestion(question_id=event.question_id, dismissed=True)
        numbers = [part.strip() for part in answer.split(",")]
        labels = {str(number): option.label for number, option in enumerate(event.options, 1)}
        if all(number in labels for number in numbers) and (event.multiple or len(numbers) == 1):
            chosen = tuple(labels[number] for number in numbers)
            return AnswerQuestion(question_id=event.question_id, choices=chosen)
        if event.free_text or not event.options:
            return AnswerQuestion(question_id=event.question_id, text=answer)
        self._say(f"{answer} is none of the options.")
        self.put()
        return None
