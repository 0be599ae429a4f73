"""The money desk of a session: asks before each paid act, books what it cost, tells of it and warns."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.dollars import dollars
from ml_intern.core.events import EventStream
from ml_intern.core.ledger import Charge
from ml_intern.core.llm.types import CallKind, Usage
from ml_intern.core.protocol import BROKEN_OFF, ContextUsage, Expense, LLMCall, Notice
from ml_intern.core.rent import Rent, reserved_ref
from ml_intern.core.session import Session
from ml_intern.core.settings import MoneySettings
from ml_intern.core.spend_watch import SpendWatch
from ml_intern.core.tools.spec import ToolResult


class ModelFacts(Protocol):
    """What is known about models: prices and sizes."""

    def charge(self, model: str, usage: Usage) -> Charge:
        """What one reply costs."""
        ...

    def window(self, model: str) -> int:
        """Tokens the model takes."""
        ...

    def learn_window(self, model: str, detail: str) -> None:
        """Reads the true limit out of an overflow message, if it names one."""
        ...


class Spending:
    """Books the spending of a session, whatever it is for.

    Args:
        session: Whose money it is. Its ledger may hold what an earlier run has spent.
        facts: Prices and window sizes.
        events: Where every expense is told.
        settings: When to warn.
        clock: Monotonic seconds.

    Attributes:
        tokens: What all model calls have taken since the start, prompts and replies together.
    """

    def __init__(
        self,
        session: Session,
        facts: ModelFacts,
        events: EventStream,
        settings: MoneySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = 0
        self._session = session
        self._facts = facts
        self._events = events
        self._watch = SpendWatch(settings, session.budget.totals.spent_usd, clock)
        self._told_unpriced: set[str] = set()
        self._refs: dict[str, str] = {}
        self._named: set[str] = set()
        self._open: set[str] = set()

    def take_over(self) -> None:
        """The session has become an earlier one: what that has spent is no news."""
        self._watch.begin(self._session.budget.totals.spent_usd)

    # ------------------------------------------------------------------------------------------- model calls

    def objection(self, model: str, prompt_tokens: int) -> str:
        """Why the cap does not allow a call of a model, or an empty string. What it will say is not reckoned with.

        A free model spends nothing, so no cap stands against it; one of unknown price goes on until the cap is used up.
        """
        budget = self._session.budget
        if budget.cap_usd is None:
            return ""
        least = self._facts.charge(model, Usage(prompt_tokens=prompt_tokens)).usd
        if least == 0.0:
            return ""
        if not budget.exhausted and (least is None or not budget.objection(Cost(least))):
            return ""
        cost = "" if least is None else f", and the next model call costs ${least:.4f} or more"
        return f"{dollars(budget.totals.committed_usd)} of the cap of {dollars(budget.cap_usd)} are used{cost}"

    def book_call(
        self, model: str, usage: Usage, kind: CallKind, latency_ms: int = 0, finish_reason: str = ""
    ) -> LLMCall:
        """Books a model call."""
        self.tokens += usage.total
        charge = self._facts.charge(model, usage)
        event = LLMCall(
            model=model,
            kind=kind,
            cost_usd=charge.usd,
            cost_state=charge.state,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            latency_ms=latency_ms,
            finish_reason=finish_reason,
        )
        self._session.budget.ledger.take(event)
        self._events.emit(event)
        self._tell_unpriced(model, charge)
        self.tell()
        return event

    def book_unfinished(self, model: str, prompt_tokens: int, said_tokens: int, kind: CallKind = "main") -> None:
        """Books a call that broke off after its reply had begun, since it is paid for as far as it came."""
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=said_tokens, estimated=True)
        if self._facts.charge(model, usage).usd != 0.0:
            self.book_call(model, usage, kind, finish_reason=BROKEN_OFF)

    # ---------------------------------------------------------------------------------------------- tool calls

    def reserve(self, call_id: str, tool: str, cost: Cost) -> None:
        """Promises the worst case of a tool call that is about to run."""
        self._book(self._session.budget.reserve(self._ref(call_id), cost, tool))

    def pay_as(self, call_id: str, ref: str) -> None:
        """Lets a call pay under the name of the job it has started or follows."""
        expenses = self._session.budget.rename(self._ref(call_id), ref)
        self._refs[call_id] = ref
        self._named.add(call_id)
        self._book(expenses)

    def pay_later(self, ref: str) -> None:
        """Leaves an entry as promised beyond the end of the calls that pay under its name, until it is measured."""
        self._open.add(ref)

    def measure(self, ref: str, usd: float | None) -> None:
        """Books what a job has cost, or its worst case where nobody will know. Nothing for a job that is not ours."""
        self._open.discard(ref)
        if self._session.budget.ledger.find(ref) is not None:
            self._book(self._session.budget.settle(ref, usd))

    def rent(self, call_id: str, ref: str, usd_per_hour: float | None, what: str) -> Rent:
        """Opens the account of something that goes on after the call that pays for its first hour.

        Nothing the call does later touches that hour: whoever holds the account books it and closes it.
        """
        reserved = reserved_ref(ref)
        self.pay_as(call_id, reserved)
        self._open.add(reserved)
        rent = Rent(self._session.budget, self._book, ref, what, usd_per_hour)
        entry = self._session.budget.ledger.find(reserved)
        rent.reserve_hour(paid=entry is not None and entry.state == "promised")
        return rent

    def learn(self, ref: str, usd: float) -> None:
        """Books what something of an earlier run has really cost, in place of what that run could only estimate."""
        budget, reserved = self._session.budget, reserved_ref(ref)
        entry, rest = budget.ledger.find(ref), budget.ledger.find(reserved)
        known = entry or rest
        if known is None or (entry is not None and entry.state == "measured" and rest is None):
            return
        expense = Expense(kind=known.kind, what=known.what, ref=ref, cost_usd=round(usd, 9), state="measured")
        told = budget.book(expense)
        self._book([*told, *budget.settle(reserved, 0.0)] if rest is not None else told)

    def settle(self, call_id: str, tool: str, result: ToolResult) -> None:
        """Books what a tool call has cost, or takes its promise back."""
        ref, named, budget = self._ref(call_id), call_id in self._named, self._session.budget
        del self._refs[call_id]
        self._named.discard(call_id)
        if (ref in self._open and result.cost_usd is None) or (named and budget.ledger.find(ref) is None):
            return  # a job that costs nothing, or one of another session
        if named or result.ok or result.cost_usd is not None:
            self._book(budget.settle(ref, result.cost_usd, tool))
        else:
            self._book(budget.release(ref))

    def keep(self, call_id: str) -> None:
        """Books the worst case of a call that was broken off, since nobody measured what it had cost until then."""
        if self._ref(call_id) in self._open:
            return
        self._book(self._session.budget.settle(self._ref(call_id), None))

    def _ref(self, call_id: str) -> str:
        """The name of a call's entry. Ids of calls may come again in a session that is resumed; entries do not."""
        if call_id not in self._refs:
            taken = self._session.budget.ledger.find(call_id) is not None
            self._refs[call_id] = f"{call_id}.{uuid.uuid4().hex}" if taken else call_id
        return self._refs[call_id]

    def _book(self, expenses: Iterable[Expense]) -> None:
        told = [self._events.emit(expense) for expense in expenses]
        if told:
            self.tell()

    # ------------------------------------------------------------------------------------------------- telling

    def tell(self) -> None:
        """Tells how full the context is and what was spent, and warns where that is news."""
        session, budget = self._session, self._session.budget
        totals = budget.totals
        self._events.emit(
            ContextUsage(
                tokens=session.context.tokens,
                window=self._facts.window(session.model),
                cost_usd=round(totals.spent_usd, 6),
                estimated_usd=round(totals.estimated_usd, 6),
                promised_usd=round(totals.promised_usd, 6),
                cap_usd=budget.cap_usd,
                unpriced_calls=totals.unknown,
            )
        )
        for text in self._watch.observe(totals.spent_usd, budget.cap_usd):
            self._events.emit(Notice(text=text, level="warning"))

    def _tell_unpriced(self, model: str, charge: Charge) -> None:
        cap = self._session.budget.cap_usd
        if charge.usd is not None or cap is None or model in self._told_unpriced:
            return
        self._told_unpriced.add(model)
        text = (
            f"The price of {model} is unknown, so the spending cap of {dollars(cap)} does not see what it costs. "
            "Write its price into models.json to have it counted."
        )
        self._events.emit(Notice(text=text, level="warning"))
