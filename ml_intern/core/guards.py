"""Guards against a model that has lost its way: repetition, malformed calls, cut or empty replies, unfinished plans.

Each guard looks only at what has just happened and at a small state, never at the history, so that a step costs the
same after ten thousand others. What a guard tells the model goes into the history as a marked message, not as a prompt.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_intern.core.protocol import PlanItem

if TYPE_CHECKING:
    from ml_intern.core.calls.results import Outcome

SAME_CALL_LIMIT = 3
"""Equal calls with equal results in a row that count as repetition."""
MAX_CYCLE = 5
"""Longest cycle of different calls that is watched for; it must have come round twice."""
MAX_IGNORED = 3
"""Replies that may go on repeating after a notice, and notices about one thing, before the turn is stopped."""
WAITED_S = 10.0
"""A call that took this long waited for something."""
MALFORMED_LIMIT = 2
"""Malformed calls of one tool in a row that bring a notice."""
MAX_PLAN_NUDGES = 2
"""Answers in a row that are sent back because the plan is unfinished."""
MAX_EMPTY_REPLIES = 2
"""Empty replies in a row that are answered with a notice."""
MAX_TRUNCATED = 5
"""Replies in a row that may be cut off within a tool call before the turn is stopped."""
MAX_CONTINUATIONS = 3
"""Times in a row that an answer cut off at the output limit is continued."""

_NAMED_ITEMS = 4
_SHOWN_NAMES = 8

Signature = tuple[str, int]
"""A call: the tool's name and a hash of arguments and result."""


@dataclass(frozen=True, slots=True)
class GuardNotice:
    """What a guard has to say.

    Attributes:
        text_for_model: Goes into the history.
        notice_for_person: One calm sentence.
        stop: The model was told before and did not listen: the turn should end here.
    """

    text_for_model: str
    notice_for_person: str
    stop: bool = False


@dataclass(slots=True)
class GuardState:
    """What the guards remember of a turn.

    Attributes:
        recent: The last calls, newest last; just as many as the longest cycle needs.
        streak: What is being repeated at the moment, or None.
        ignored: Replies since the notice about this streak that went on with it.
        noticed: How many notices each repeated set of calls has brought in this turn.
        malformed_tool: The tool whose last calls were malformed, and how many of them in a row.
    """

    recent: deque[Signature] = field(default_factory=lambda: deque(maxlen=2 * MAX_CYCLE))
    streak: frozenset[Signature] | None = None
    ignored: int = 0
    noticed: dict[frozenset[Signature], int] = field(default_factory=dict)
    malformed_tool: str = ""
    malformed_count: int = 0
    plan_nudges: int = 0
    empty_replies: int = 0
    truncated: int = 0
    continuations: int = 0


class Guards:
    """The guards of a session with the state of its running turn."""

    def __init__(self) -> None:
        self._state = GuardState()

    def begin_turn(self) -> None:
        """Forgets the last turn: a person has spoken."""
        self._state = GuardState()

    def after_calls(self, outcomes: Sequence[Outcome]) -> list[GuardNotice]:
        """Looks at the results of one reply's calls, in call order."""
        state = self._state
        state.plan_nudges = state.empty_replies = state.truncated = state.continuations = 0
        state.recent.extend(signature(outcome) for outcome in outcomes)
        notices = (check_repetition(state), check_malformed(state, outcomes))
        return [notice for notice in notices if notice is not None]

    def truncated_calls(self, names: Sequence[str]) -> GuardNotice:
        """The reply hit the output limit within a tool call, so none of its calls was executed."""
        return check_truncated_calls(self._state, names)

    def truncated_text(self) -> GuardNotice | None:
        """The answer hit the output limit; None once it has been continued often enough."""
        return check_truncated_text(self._state)

    def empty_reply(self) -> GuardNotice | None:
        """The reply held neither text nor a call; None once that has been answered often enough."""
        return check_empty_reply(self._state)

    def unfinished_plan(self, plan: Sequence[PlanItem]) -> GuardNotice | None:
        """The model answered without a call; None when the plan is done, or the model was told often enough."""
        return check_unfinished_plan(self._state, plan)


# ---------------------------------------------------------------------------------------------------- repetition


def signature(outcome: Outcome) -> Signature:
    """Equal for calls that are the same and had the same result; the order of keys in the arguments is nothing.

    A call that took long was waiting for something, and waiting again is no repetition.
    """
    if outcome.seconds >= WAITED_S:
        return outcome.call.name, hash(outcome.call.id)
    arguments = outcome.call.arguments
    if not outcome.malformed:
        arguments = json.dumps(outcome.arguments, sort_keys=True, separators=(",", ":"), default=str)
    return outcome.call.name, hash((arguments, outcome.result.text))


def repeated(recent: Sequence[Signature]) -> tuple[Signature, ...] | None:
    """What the newest calls repeat: one call, or a cycle of two to five that came round twice; None if nothing.

    A call whose result changes is another signature each time, so watching a job is not repetition.
    """
    calls = tuple(recent)
    if len(calls) >= SAME_CALL_LIMIT and len(set(calls[-SAME_CALL_LIMIT:])) == 1:
        return calls[-1:]
    for length in range(2, MAX_CYCLE + 1):
        cycle = calls[-length:]
        if len(calls) >= 2 * length and calls[-2 * length : -length] == cycle and len(set(cycle)) > 1:
            return cycle
    return None


def check_repetition(state: GuardState) -> GuardNotice | None:
    """One notice when a streak of repetition begins; a stop when it goes on, or comes back, too often."""
    cycle = repeated(state.recent)
    if cycle is None:
        state.streak = None
        return None
    streak = frozenset(cycle)
    if state.streak is not None and streak & state.streak:
        state.ignored += 1
        return _repetition_stop(cycle) if state.ignored >= MAX_IGNORED else None
    state.streak, state.ignored = streak, 0
    state.noticed[streak] = state.noticed.get(streak, 0) + 1
    return _repetition_stop(cycle) if state.noticed[streak] > MAX_IGNORED else _repetition_notice(cycle)


def _repetition_notice(cycle: Sequence[Signature]) -> GuardNotice:
    what = _cycle_text(cycle)
    return GuardNotice(
        f"[Repetition] You have made {what} several times with the same arguments and the same results. Once more will "
        "bring the same again. Step back: say in one sentence what you expected and what the result says instead, then "
        "take another way: other arguments, another tool, or a look at the cause. If you are waiting for something, "
        "wait with one call that takes longer. If you cannot go on, say so and what you need.",
        f"The agent repeats {what} without anything new; it was told to try another way.",
    )


def _repetition_stop(cycle: Sequence[Signature]) -> GuardNotice:
    what = _cycle_text(cycle)
    text = f"Stopped: the agent kept repeating {what} with the same results after it was told to try another way. "
    return GuardNotice("", text + "Tell it how to go on.", stop=True)


def _cycle_text(cycle: Sequence[Signature]) -> str:
    names = [name for name, _ in cycle]
    return f"the call {names[0]}" if len(names) == 1 else f"the calls {' → '.join(names)}"


# ----------------------------------------------------------------------------------------------- malformed calls


def check_malformed(state: GuardState, outcomes: Sequence[Outcome]) -> GuardNotice | None:
    """A notice when the newest calls of one tool were malformed twice in a row; every two more bring another."""
    due = False
    for outcome in outcomes:
        if not outcome.malformed:
            state.malformed_tool, state.malformed_count = "", 0
            due = False
            continue
        same = outcome.call.name == state.malformed_tool
        state.malformed_tool, state.malformed_count = outcome.call.name, state.malformed_count + 1 if same else 1
        due = (due and same) or state.malformed_count % MALFORMED_LIMIT == 0
    return _malformed_notice(state.malformed_tool, state.malformed_count) if due else None


def _malformed_notice(name: str, count: int) -> GuardNotice:
    return GuardNotice(
        f"[Malformed calls] The last {count} calls of {name} had arguments that were not a JSON object, and none was "
        "executed. Sending the same again will fail again. Change your approach: one small, complete JSON object; "
        "quotes and line breaks inside strings escaped; long contents in several pieces, for example a short file "
        "first and edits after it.",
        f"The agent's calls of {name} were malformed {count} times in a row; it was told to send smaller ones.",
    )


# -------------------------------------------------------------------------------------- cut and empty replies, plan


def check_truncated_calls(state: GuardState, names: Sequence[str]) -> GuardNotice:
    """For a reply cut off at the output limit while it made tool calls; a stop when that happens again and again."""
    state.truncated += 1
    lost = ", ".join(dict.fromkeys(names[:_SHOWN_NAMES])) or "a tool"
    return GuardNotice(
        f"[Cut off] Your reply reached the output limit while it called {lost}, so none of its calls was executed. "
        "Make the same step in smaller pieces: one call at a time, long files written in parts, edits instead of "
        "whole files.",
        f"The reply was cut off at the model's output limit while it called {lost}; nothing of it was executed.",
        stop=state.truncated > MAX_TRUNCATED,
    )


def check_truncated_text(state: GuardState) -> GuardNotice | None:
    """For an answer cut off at the output limit."""
    state.continuations += 1
    if state.continuations > MAX_CONTINUATIONS:
        return None
    return GuardNotice(
        "[Cut off] Your answer reached the output limit. Go on exactly where it stopped, without repeating anything "
        "and without an introduction.",
        "The answer was cut off at the model's output limit; the agent goes on with it.",
    )


def check_empty_reply(state: GuardState) -> GuardNotice | None:
    """For a reply without text and without a tool call."""
    state.empty_replies += 1
    if state.empty_replies > MAX_EMPTY_REPLIES:
        return None
    return GuardNotice(
        "[Empty reply] Your last reply held neither text nor a tool call. Go on with the task: make the next call, or "
        "say what you have found.",
        "The model sent an empty reply; it was asked again.",
    )


def check_unfinished_plan(state: GuardState, plan: Sequence[PlanItem]) -> GuardNotice | None:
    """For an answer while the plan still has open items; names the first four of them."""
    unfinished = [item for item in plan if item.status != "completed"]
    if not unfinished or state.plan_nudges >= MAX_PLAN_NUDGES:
        return None
    state.plan_nudges += 1
    named = "; ".join(f"{item.id}. {item.content} [{item.status}]" for item in unfinished[:_NAMED_ITEMS])
    more = f"; ... and {len(unfinished) - _NAMED_ITEMS} more" if len(unfinished) > _NAMED_ITEMS else ""
    return GuardNotice(
        f"[Unfinished plan] You ended your turn, but the plan still has open items: {named}{more}. If they are still "
        "to be done, go on with them now. If they are done or no longer needed, bring the plan up to date. If you need "
        "the user, say exactly what for.",
        f"The plan still has {len(unfinished)} open {'item' if len(unfinished) == 1 else 'items'}; the agent goes on.",
    )
